/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nms.c - NonMaxSuppression: boxes of high score that do not overlap.
 *
 * How many boxes are selected depends on the data, but an engine's shapes are fixed: with constant
 * inputs the output has the rows ONNX says, at run time as many as could ever be selected, the rows
 * behind the last one holding -1.
 */
#include <stdlib.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/op_support.h"

typedef struct sizes {
    int64_t batch, classes, boxes, most; /* most: of one class of one image */
} sizes;

static float number_of(const pri_call *call, int slot, float fallback)
{
    const pri_operand *operand = pri_in(call, slot);

    return operand != NULL && operand->data != NULL ? (float)pri_get_number(operand, 0) : fallback;
}

static pare_status measure(const pri_call *call, sizes *s)
{
    const pri_shape *boxes = &call->in[0].shape, *scores = &call->in[1].shape;
    int64_t most[PRI_MAX_RANK] = {0};
    int count;

    PRI_TRY(pri_need_float(call, 3));
    if (boxes->rank != 3 || scores->rank != 3 || boxes->dims[2] != 4 ||
        boxes->dims[0] != scores->dims[0] || boxes->dims[1] != scores->dims[2])
        return pri_op_fail(call, PARE_ERROR_SHAPE, "boxes and scores do not fit each other");
    for (int k = 3; k < 5; k++) {
        if (pri_in(call, k) != NULL && pri_shape_count(&call->in[k].shape) != 1)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "threshold %d is not one number", k);
    }
    PRI_TRY(pri_op_ints(call, 2, most, PRI_MAX_RANK, &count));
    *s = (sizes){scores->dims[0], scores->dims[1], scores->dims[2], 0};
    s->most = count > 0 ? pri_max_i64(0, pri_min_i64(most[0], s->boxes)) : 0;
    return PARE_OK;
}

typedef struct box {
    float top, left, bottom, right, area;
} box;

static box box_at(const pri_call *call, int64_t index)
{
    const float *v = (const float *)call->in[0].data + 4 * index;
    box b;

    if (pri_node_attr_int(call->node, "center_point_box", 0) != 0)
        b = (box){v[1] - v[3] / 2, v[0] - v[2] / 2, v[1] + v[3] / 2, v[0] + v[2] / 2, 0};
    else /* any two opposite corners */
        b = (box){v[0] < v[2] ? v[0] : v[2], v[1] < v[3] ? v[1] : v[3], v[0] < v[2] ? v[2] : v[0],
                  v[1] < v[3] ? v[3] : v[1], 0};
    b.area = (b.bottom - b.top) * (b.right - b.left);
    return b;
}

static float overlap(const box *a, const box *b)
{
    const float top = a->top > b->top ? a->top : b->top;
    const float left = a->left > b->left ? a->left : b->left;
    const float bottom = a->bottom < b->bottom ? a->bottom : b->bottom;
    const float right = a->right < b->right ? a->right : b->right;

    if (bottom <= top || right <= left || a->area <= 0 || b->area <= 0)
        return 0;
    const float common = (bottom - top) * (right - left);
    return common / (a->area + b->area - common);
}

typedef struct candidate {
    float score;
    int64_t index;
    box place;
} candidate;

static int compare_candidates(const void *a, const void *b)
{
    const candidate *u = a, *v = b;

    if (u->score != v->score)
        return u->score > v->score ? -1 : 1;
    return (u->index > v->index) - (u->index < v->index);
}

/* The boxes of one class of one image that stay, at the front of `list`; returns their number. */
static int64_t select_class(const pri_call *call, const sizes *s, int64_t image, int64_t class,
                            candidate *list)
{
    const float *scores = (const float *)call->in[1].data + (image * s->classes + class) * s->boxes;
    const float most_overlap = number_of(call, 3, 0);
    const bool has_least = pri_in(call, 4) != NULL;
    const float least = number_of(call, 4, 0);
    int64_t n = 0, kept = 0;

    for (int64_t i = 0; i < s->boxes; i++) {
        if (!has_least || scores[i] > least)
            list[n++] = (candidate){scores[i], i, box_at(call, image * s->boxes + i)};
    }
    qsort(list, (size_t)n, sizeof *list, compare_candidates);
    for (int64_t i = 0; i < n && kept < s->most; i++) {
        bool stays = true;
        for (int64_t k = 0; k < kept && stays; k++)
            stays = overlap(&list[i].place, &list[k].place) <= most_overlap;
        if (stays)
            list[kept++] = list[i];
    }
    return kept;
}

/* Selects everything; writes rows where `rows` is not NULL. Returns their number. */
static int64_t select_all(const pri_call *call, const sizes *s, candidate *list, int64_t *rows)
{
    int64_t total = 0;

    for (int64_t image = 0; image < s->batch; image++) {
        for (int64_t class = 0; class < s->classes; class ++) {
            const int64_t kept = select_class(call, s, image, class, list);
            for (int64_t k = 0; k < kept && rows != NULL; k++) {
                rows[3 * (total + k)] = image;
                rows[3 * (total + k) + 1] = class;
                rows[3 * (total + k) + 2] = list[k].index;
            }
            total += kept;
        }
    }
    return total;
}

static pare_status infer(pri_call *call)
{
    bool is_known = true;
    sizes s;

    PRI_TRY(measure(call, &s));
    for (int k = 0; k < call->n_in; k++)
        is_known = is_known && (!call->in[k].present || call->in[k].constant != NULL);
    int64_t rows;
    if (!pri_mul_i64(&rows, s.batch, s.classes) || !pri_mul_i64(&rows, rows, s.most) ||
        rows > 1 << 28)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "too many boxes could be selected");
    if (is_known) {
        candidate *list = pri_alloc(call->ctx, (size_t)s.boxes, sizeof *list);
        if (list == NULL)
            return PARE_ERROR_MEMORY;
        rows = select_all(call, &s, list, NULL);
        pri_free(list);
    }
    call->out[0].dtype = PRI_I64;
    call->out[0].shape = pri_shape_of(2, (const int64_t[]){rows, 3});
    return PARE_OK;
}

static pare_status prepare(pri_call *call)
{
    call->scratch_bytes = (size_t)call->in[1].shape.dims[2] * sizeof(candidate);
    return PARE_OK;
}

static pare_status forward(pri_call *call)
{
    int64_t *rows = call->out[0].data;
    sizes s;

    PRI_TRY(measure(call, &s));
    const int64_t selected = select_all(call, &s, call->scratch, rows);
    for (int64_t i = 3 * selected; i < 3 * call->out[0].shape.dims[0]; i++)
        rows[i] = -1;
    return PARE_OK;
}

const pri_op pri_op_non_max_suppression = {
    .name = "NonMaxSuppression",
    .summary = "boxes of high score that do not overlap; at run time padded with rows of -1",
    .min_opset = 10,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 5,
    .n_out = 1,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
};
