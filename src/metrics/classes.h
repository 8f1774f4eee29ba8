/* SPDX-License-Identifier: Apache-2.0 */
/*
 * classes.h - what precision, recall, F1 and IoU are made of: three counts a class.
 *
 * The whole confusion matrix would grow with the square of the classes and nothing asks for it.
 */
#ifndef PRI_CLASSES_H
#define PRI_CLASSES_H

#include <pare/evaluate.h>

#include "base/base.h"

typedef struct pri_class_counts {
    int64_t classes;
    int64_t *truth; /* images or pixels that are of the class; owned, with said and both behind */
    int64_t *said;  /* that were taken for it */
    int64_t *both;  /* that were taken for it rightly */
} pri_class_counts;

/* Means over the classes that occur (truth > 0); accuracy is over all images or pixels. */
typedef struct pri_class_means {
    double precision, recall, f1, iou, accuracy;
} pri_class_means;

pare_status pri_class_counts_init(pri_class_counts *counts, pare_context *ctx, int64_t classes);
void pri_class_counts_clear(pri_class_counts *counts);
/* One row a class in new memory (pri_free). */
pare_status pri_class_scores(pare_class_scores **rows, pri_class_means *means, pare_context *ctx,
                             const pri_class_counts *counts);

#endif
