/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heads.h - a model as training sees it: image in, logits of a class head and a mask head out.
 *
 * The view is a clone whose outputs are the logits of the heads; a Softmax at the end is left
 * out, as is a Sigmoid behind a head of one output, outputs past the first head of a kind are not
 * computed. Values and nodes have the ids of the original, weights are shared until written.
 */
#ifndef PRI_HEADS_H
#define PRI_HEADS_H

#include "metrics/run.h"

typedef struct pri_head {
    bool is_mask;
    int64_t classes, positions;
    int64_t offset; /* of outputs to labels: label 0 is output `offset` (class heads) */
    int64_t
        labels; /* labels and their offset are below: the classes unless the loss says otherwise */
} pri_head;

typedef struct pri_view {
    pare_model *model; /* owned */
    pri_preprocess preprocess;
    pri_head heads[2]; /* output k of the view */
    int n_heads;
} pri_view;

/* `fallback`: preprocessing of a model that states none; NULL: the default. */
pare_status pri_view_open(pri_view *out, const pare_model *model, const pare_data *data,
                          const char *fallback);
void pri_view_close(pri_view *view);
/* Leaves only heads that `data` has labels or masks for, or all with `keep_all`; PARE_ERROR_DATA
 * when none is left or labels go past a head's classes. */
pare_status pri_view_select(pri_view *view, const pare_data *data, bool keep_all);
/* Labels or masks of `data` fit a head of the view. */
pare_status pri_view_check(const pri_view *view, const pri_head *head, const pare_data *data);
/* map[k]: the teacher's head for head k of the view, or -1. PARE_ERROR_SHAPE when there is none for
 * any, or sizes differ. */
pare_status pri_view_match(int map[2], const pri_view *view, const pri_view *teacher);

/* A network that only looks: logits of any images of a set. */
typedef struct pri_watcher {
    pri_view *view;
    pri_engine *engine;
    float *logits[2]; /* batch x classes x positions of each head; owned */
    int64_t *padded;
    int64_t batch;
} pri_watcher;

/* The view must outlive the watcher. Values of `taps` stay readable in the engine. */
pare_status pri_watcher_open(pri_watcher *out, pri_view *view, int64_t batch,
                             pri_value *const *taps, int n_taps, bool bf16);
void pri_watcher_close(pri_watcher *watcher);
/* Fills logits for images order[0 .. count-1], count <= batch. `made` are these images as the
 * view's preprocessing makes them, so that they are not made again; or NULL. */
pare_status pri_watcher_run(pri_watcher *watcher, const pare_data *data, const int64_t *order,
                            int64_t count, const pare_augment *augment, uint64_t seed,
                            const float *made);

#endif
