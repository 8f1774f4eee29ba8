/* SPDX-License-Identifier: Apache-2.0 */
/* classes.c - see classes.h. */
#include "metrics/classes.h"

pare_status pri_class_counts_init(pri_class_counts *counts, pare_context *ctx, int64_t classes)
{
    *counts = (pri_class_counts){.classes = classes};
    counts->truth = pri_alloc(ctx, (size_t)classes, 3 * sizeof(int64_t));
    if (counts->truth == NULL)
        return PARE_ERROR_MEMORY;
    counts->said = counts->truth + classes;
    counts->both = counts->said + classes;
    return PARE_OK;
}

void pri_class_counts_clear(pri_class_counts *counts)
{
    pri_free(counts->truth);
    *counts = (pri_class_counts){0};
}

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

pare_status pri_class_scores(pare_class_scores **rows, pri_class_means *means, pare_context *ctx,
                             const pri_class_counts *counts)
{
    int64_t occurring = 0, right = 0, all = 0;

    *means = (pri_class_means){0};
    *rows = pri_alloc(ctx, (size_t)counts->classes, sizeof **rows);
    if (*rows == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t k = 0; k < counts->classes; k++) {
        const int64_t truth = counts->truth[k], said = counts->said[k], both = counts->both[k];
        const pare_class_scores row = {.support = truth,
                                       .precision = share(both, said),
                                       .recall = share(both, truth),
                                       .f1 = share(2 * both, truth + said),
                                       .iou = share(both, truth + said - both)};
        (*rows)[k] = row;
        if (truth == 0)
            continue;
        occurring++;
        right += both;
        all += truth;
        means->precision += row.precision;
        means->recall += row.recall;
        means->f1 += row.f1;
        means->iou += row.iou;
    }
    const double n = (double)pri_max_i64(occurring, 1);
    means->precision /= n;
    means->recall /= n;
    means->f1 /= n;
    means->iou /= n;
    means->accuracy = share(right, all);
    return PARE_OK;
}
