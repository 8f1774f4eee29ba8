/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resize.c - Resize and Upsample: nearest, linear and cubic interpolation of up to three axes.
 *
 * Interpolation is separable: every output index of an axis reads a few input indices ("taps") with
 * weights worked out once. A row of the output (the axis that lies innermost in memory) is then a sum
 * over the taps of the other axes.
 */
#include <math.h>
#include <string.h>

#include "ops/op_support.h"

enum { MAX_AXES = 3, MAX_TAPS = 4 };

typedef enum coordinate_mode {
    HALF_PIXEL,
    PYTORCH_HALF_PIXEL,
    ALIGN_CORNERS,
    ASYMMETRIC,
    TF_HALF_PIXEL,
    HALF_PIXEL_SYMMETRIC
} coordinate_mode;

typedef enum rounding { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, FLOOR, CEIL, SIMPLE } rounding;

typedef struct resize_params {
    int taps; /* 1 nearest, 2 linear, 4 cubic */
    coordinate_mode coordinates;
    rounding nearest;
    float cubic;
    bool excludes_outside;
    const pri_attr *axes, *scales;
    int scales_slot, sizes_slot; /* -1: none */
} resize_params;

static int find_word(const char *word, const char *const *words, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(word, words[i]) == 0)
            return i;
    }
    return -1;
}

static pare_status parse_mode(const pri_node *node, resize_params *p, pare_context *ctx)
{
    const char *mode = pri_node_attr_string(node, "mode", "nearest");

    p->taps = strcmp(mode, "nearest") == 0                                       ? 1
              : strcmp(mode, "linear") == 0 || strcmp(mode, "bilinear") == 0 ? 2
              : strcmp(mode, "cubic") == 0                                       ? 4
                                                                                 : 0;
    return p->taps > 0 ? PARE_OK : pri_parse_fail(ctx, node, "mode '%s' is unknown", mode);
}

static pare_status parse_words(const pri_node *node, resize_params *p, pare_context *ctx)
{
    static const char *const coordinates[] = {
        "half_pixel", "pytorch_half_pixel",   "align_corners",
        "asymmetric", "tf_half_pixel_for_nn", "half_pixel_symmetric"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil"};
    const char *word = pri_node_attr_string(node, "coordinate_transformation_mode", "half_pixel");
    const int coordinate = find_word(word, coordinates, (int)PRI_COUNT(coordinates));

    if (coordinate < 0)
        return pri_parse_fail(ctx, node, "coordinate_transformation_mode '%s' is not supported",
                              word);
    word = pri_node_attr_string(node, "nearest_mode", roundings[0]);
    const int nearest = find_word(word, roundings, (int)PRI_COUNT(roundings));
    if (nearest < 0)
        return pri_parse_fail(ctx, node, "nearest_mode '%s' is unknown", word);
    if (pri_node_attr_int(node, "antialias", 0) != 0)
        return pri_parse_fail(ctx, node, "antialias is not supported");
    word = pri_node_attr_string(node, "keep_aspect_ratio_policy", "stretch");
    if (strcmp(word, "stretch") != 0)
        return pri_parse_fail(ctx, node, "keep_aspect_ratio_policy '%s' is not supported", word);
    p->coordinates = (coordinate_mode)coordinate;
    p->nearest = (rounding)nearest;
    return PARE_OK;
}

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    resize_params *p = params;

    (void)arena;
    *p = (resize_params){.coordinates = ASYMMETRIC, .nearest = SIMPLE, .sizes_slot = -1};
    PRI_TRY(parse_mode(node, p, ctx));
    p->cubic = pri_node_attr_float(node, "cubic_coeff_a", -0.75f);
    p->excludes_outside = pri_node_attr_int(node, "exclude_outside", 0) != 0;
    p->axes = pri_node_attr(node, "axes");
    p->scales_slot = 1;
    if (node->op_type[0] == 'U' && opset < 9) {
        p->scales = pri_node_attr(node, "scales");
        p->scales_slot = -1;
        if (p->scales == NULL)
            return pri_parse_fail(ctx, node, "has no scales");
    }
    if (node->op_type[0] == 'U' || opset < 11)
        return PARE_OK;
    p->scales_slot = 2;
    p->sizes_slot = 3;
    return parse_words(node, p, ctx);
}

/* --- Sizes --- */

typedef struct geometry {
    pri_shape out;
    float scale[PRI_MAX_RANK];
    int count; /* resampled axes */
    int axes[MAX_AXES];
} geometry;

/* The axis that number k of scales or sizes is about. */
static int axis_of(const resize_params *p, int k, int rank)
{
    if (p->axes == NULL)
        return k < rank ? k : -1;
    return k < p->axes->count && p->axes->ints != NULL ? pri_axis(p->axes->ints[k], rank) : -1;
}

static const pri_operand *filled(const pri_call *call, int slot)
{
    const pri_operand *operand = slot > 0 ? pri_in(call, slot) : NULL;

    return operand != NULL && pri_shape_count(&operand->shape) > 0 ? operand : NULL;
}

static pare_status read_sizes(const pri_call *call, geometry *g)
{
    const resize_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    int64_t sizes[PRI_MAX_RANK];
    int count;

    PRI_TRY(pri_op_ints(call, p->sizes_slot, sizes, PRI_MAX_RANK, &count));
    for (int k = 0; k < count; k++) {
        const int axis = axis_of(p, k, x->rank);
        if (axis < 0 || sizes[k] < 1 || sizes[k] > 1 << 30 || x->dims[axis] < 1)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "size %d does not fit the input", k);
        g->out.dims[axis] = sizes[k];
        g->scale[axis] = (float)sizes[k] / (float)x->dims[axis];
    }
    return PARE_OK;
}

static pare_status read_scales(const pri_call *call, geometry *g)
{
    const resize_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    const pri_operand *input = filled(call, p->scales_slot);

    if (p->scales == NULL && input == NULL)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "has neither scales nor sizes");
    if (p->scales == NULL && input->constant == NULL)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                           "its scales must be constant; they are computed at run time");
    const int64_t count =
        p->scales != NULL ? p->scales->count : pri_tensor_count(input->constant);
    for (int64_t k = 0; k < count; k++) {
        const float scale = p->scales != NULL ? p->scales->floats[k]
                                              : (float)pri_tensor_get(input->constant, k);
        const int axis = k < PRI_MAX_RANK ? axis_of(p, (int)k, x->rank) : -1;
        if (axis < 0 || !(scale > 0) || !(scale * (float)x->dims[axis] < 1e9f))
            return pri_op_fail(call, PARE_ERROR_SHAPE, "scale %lld does not fit the input",
                               (long long)k);
        g->scale[axis] = scale;
        g->out.dims[axis] = (int64_t)(scale * (float)x->dims[axis]);
    }
    return PARE_OK;
}

static pare_status measure(const pri_call *call, geometry *g)
{
    const resize_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;

    memset(g, 0, sizeof *g);
    g->out = *x;
    for (int a = 0; a < x->rank; a++)
        g->scale[a] = 1;
    PRI_TRY(filled(call, p->sizes_slot) != NULL ? read_sizes(call, g) : read_scales(call, g));
    for (int a = 0; a < x->rank; a++) {
        if (g->scale[a] == 1.0f && g->out.dims[a] == x->dims[a])
            continue;
        if (g->count == MAX_AXES)
            return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "resizes more than %d axes", MAX_AXES);
        g->axes[g->count++] = a;
    }
    return PARE_OK;
}

static pare_status infer(pri_call *call)
{
    geometry g;

    PRI_TRY(pri_need_float(call, 1));
    PRI_TRY(measure(call, &g));
    call->out[0].dtype = PRI_F32;
    call->out[0].shape = g.out;
    return PARE_OK;
}

/* --- Taps --- */

typedef struct axis_taps {
    int axis, n;     /* n taps an output index */
    int64_t *index;  /* out * n */
    float *weight;
} axis_taps;

typedef struct resize_state {
    int count;
    axis_taps axes[MAX_AXES];
} resize_state;

/* Where output index i of an axis lies in the input. */
static float coordinate(coordinate_mode mode, int64_t i, int64_t in, int64_t out, float scale)
{
    const float at = (float)i;

    switch (mode) {
    case PYTORCH_HALF_PIXEL: return out > 1 ? (at + 0.5f) / scale - 0.5f : 0;
    case ALIGN_CORNERS: return out > 1 ? at * (float)(in - 1) / (float)(out - 1) : 0;
    case ASYMMETRIC: return at / scale;
    case TF_HALF_PIXEL: return (at + 0.5f) / scale;
    case HALF_PIXEL_SYMMETRIC: {
        const float adjustment = (float)out / (scale * (float)in);
        return (float)in / 2 * (1 - adjustment) + (at + 0.5f) / scale - 0.5f;
    }
    default: return (at + 0.5f) / scale - 0.5f;
    }
}

static float round_to(rounding mode, float x, float scale)
{
    switch (mode) {
    case ROUND_PREFER_FLOOR: return x == floorf(x) + 0.5f ? floorf(x) : roundf(x);
    case ROUND_PREFER_CEIL: return x == floorf(x) + 0.5f ? ceilf(x) : roundf(x);
    case CEIL: return ceilf(x);
    case SIMPLE: return scale < 1 ? ceilf(x) : floorf(x); /* before opset 11 */
    default: return floorf(x);
    }
}

static int64_t clamp_index(int64_t i, int64_t size)
{
    return pri_max_i64(0, pri_min_i64(i, size - 1));
}

/* Cubic convolution (Keys 1981) with coefficient a; r is the distance beyond the tap before. */
static void cubic_weights(float weight[4], float r, float a)
{
    weight[0] = ((a * (r + 1) - 5 * a) * (r + 1) + 8 * a) * (r + 1) - 4 * a;
    weight[1] = ((a + 2) * r - (a + 3)) * r * r + 1;
    weight[2] = ((a + 2) * (1 - r) - (a + 3)) * (1 - r) * (1 - r) + 1;
    weight[3] = ((a * (2 - r) - 5 * a) * (2 - r) + 8 * a) * (2 - r) - 4 * a;
}

static void fill_cubic(int64_t *index, float *weight, float x, int64_t in, const resize_params *p)
{
    const float first = floorf(x);
    float sum = 0;

    cubic_weights(weight, x - first, p->cubic);
    for (int t = 0; t < 4; t++) {
        const int64_t at = (int64_t)first - 1 + t;
        if (p->excludes_outside && (at < 0 || at >= in))
            weight[t] = 0;
        index[t] = clamp_index(at, in);
        sum += weight[t];
    }
    for (int t = 0; t < 4 && p->excludes_outside; t++)
        weight[t] /= sum;
}

static void fill_taps(axis_taps *taps, const resize_params *p, int64_t in, int64_t out, float scale)
{
    for (int64_t i = 0; i < out; i++) {
        int64_t *index = taps->index + i * taps->n;
        float *weight = taps->weight + i * taps->n;
        float x = coordinate(p->coordinates, i, in, out, scale);
        if (p->taps == 1) {
            index[0] = clamp_index((int64_t)round_to(p->nearest, x, scale), in);
            weight[0] = 1;
        } else if (p->taps == 2) {
            x = fmaxf(0, fminf(x, (float)(in - 1)));
            index[0] = clamp_index((int64_t)x, in);
            index[1] = clamp_index(index[0] + 1, in);
            weight[1] = x - (float)index[0];
            weight[0] = 1 - weight[1];
        } else {
            fill_cubic(index, weight, x, in, p);
        }
    }
}

static void release(pri_call *call)
{
    resize_state *state = call->state;

    for (int k = 0; state != NULL && k < state->count; k++) {
        pri_free(state->axes[k].index);
        pri_free(state->axes[k].weight);
    }
    pri_free(state);
    call->state = NULL;
}

static pare_status prepare(pri_call *call)
{
    const resize_params *p = call->params;
    geometry g;

    PRI_TRY(measure(call, &g));
    call->out[0].layout = call->in[0].layout;
    for (int k = 1; k < call->n_in; k++)
        call->in[k].layout = PRI_PLAIN;
    resize_state *state = pri_alloc(call->ctx, 1, sizeof *state);
    if (state == NULL)
        return PARE_ERROR_MEMORY;
    call->state = state;
    for (int k = 0; k < g.count; k++) {
        axis_taps *taps = &state->axes[state->count++];
        const int64_t out = g.out.dims[g.axes[k]];
        *taps = (axis_taps){.axis = g.axes[k], .n = p->taps};
        taps->index = pri_alloc(call->ctx, (size_t)(out * p->taps), sizeof *taps->index);
        taps->weight = pri_alloc(call->ctx, (size_t)(out * p->taps), sizeof *taps->weight);
        if (taps->index == NULL || taps->weight == NULL)
            return PARE_ERROR_MEMORY;
        fill_taps(taps, p, call->in[0].shape.dims[g.axes[k]], out, g.scale[g.axes[k]]);
    }
    return PARE_OK;
}

/* --- Rows --- */

typedef struct rows {
    int rank, row; /* row: the axis lying innermost */
    int64_t dims[PRI_MAX_RANK], x[PRI_MAX_RANK], y[PRI_MAX_RANK]; /* strides */
    const axis_taps *taps[PRI_MAX_RANK]; /* NULL: not resampled */
    int64_t count;                       /* rows */
} rows;

static rows rows_of(const pri_call *call)
{
    const resize_state *state = call->state;
    const pri_shape *out = &call->out[0].shape;
    rows r = {.rank = out->rank, .count = 1};

    pri_layout_strides(r.x, &call->in[0].shape, call->in[0].layout);
    pri_layout_strides(r.y, out, call->out[0].layout);
    memcpy(r.dims, out->dims, sizeof r.dims);
    r.row = call->out[0].layout == PRI_CHANNELS_LAST ? 1 : out->rank - 1;
    for (int k = 0; k < state->count; k++)
        r.taps[state->axes[k].axis] = &state->axes[k];
    for (int a = 0; a < r.rank; a++)
        r.count *= a != r.row ? r.dims[a] : 1;
    return r;
}

/* The input rows that one output row is a sum of. */
typedef struct sources {
    int n;
    int64_t offset[MAX_TAPS * MAX_TAPS * MAX_TAPS];
    float weight[MAX_TAPS * MAX_TAPS * MAX_TAPS];
    int64_t y; /* offset of the output row */
} sources;

static void multiply_sources(sources *s, const axis_taps *taps, int64_t i, int64_t stride)
{
    const int before = s->n;

    for (int t = taps->n - 1; t >= 0; t--) {
        for (int k = 0; k < before; k++) {
            s->offset[t * before + k] = s->offset[k] + taps->index[i * taps->n + t] * stride;
            s->weight[t * before + k] = s->weight[k] * taps->weight[i * taps->n + t];
        }
    }
    s->n = before * taps->n;
}

static void find_sources(sources *s, const rows *r, int64_t index)
{
    s->n = 1;
    s->offset[0] = 0;
    s->weight[0] = 1;
    s->y = 0;
    for (int a = r->rank - 1; a >= 0; a--) {
        if (a == r->row)
            continue;
        const int64_t i = index % r->dims[a];
        index /= r->dims[a];
        s->y += i * r->y[a];
        if (r->taps[a] != NULL) {
            multiply_sources(s, r->taps[a], i, r->x[a]);
            continue;
        }
        for (int k = 0; k < s->n; k++)
            s->offset[k] += i * r->x[a];
    }
}

static void forward_row(const rows *r, const sources *s, const float *x, float *y)
{
    const int64_t n = r->dims[r->row], sx = r->x[r->row], sy = r->y[r->row];
    const axis_taps *taps = r->taps[r->row];

    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        if (taps == NULL) {
            for (int k = 0; k < s->n; k++)
                sum += s->weight[k] * x[s->offset[k] + i * sx];
        } else {
            for (int t = 0; t < taps->n; t++) {
                const int64_t at = taps->index[i * taps->n + t] * sx;
                float part = 0;
                for (int k = 0; k < s->n; k++)
                    part += s->weight[k] * x[s->offset[k] + at];
                sum += taps->weight[i * taps->n + t] * part;
            }
        }
        y[s->y + i * sy] = sum;
    }
}

static void backward_row(const rows *r, const sources *s, float *d, const float *g)
{
    const int64_t n = r->dims[r->row], sx = r->x[r->row], sy = r->y[r->row];
    const axis_taps *taps = r->taps[r->row];

    for (int64_t i = 0; i < n; i++) {
        const float value = g[s->y + i * sy];
        for (int t = 0; t < (taps != NULL ? taps->n : 1); t++) {
            const int64_t at = (taps != NULL ? taps->index[i * taps->n + t] : i) * sx;
            const float part = value * (taps != NULL ? taps->weight[i * taps->n + t] : 1.0f);
            for (int k = 0; k < s->n; k++)
                d[s->offset[k] + at] += s->weight[k] * part;
        }
    }
}

static pare_status forward(pri_call *call)
{
    const rows r = rows_of(call);

#pragma omp parallel for schedule(static) if (r.count * r.dims[r.row] > 16384)
    for (int64_t i = 0; i < r.count; i++) {
        sources s;
        find_sources(&s, &r, i);
        forward_row(&r, &s, call->in[0].data, call->out[0].data);
    }
    return PARE_OK;
}

static pare_status backward(pri_call *call)
{
    const rows r = rows_of(call);
    /* samples write to gradients of their own */
    const bool by_sample = r.rank > 1 && r.row != 0 && r.taps[0] == NULL && r.dims[0] > 0;
    const int64_t parts = by_sample ? r.dims[0] : 1;

    if (call->grad_out[0] == NULL || call->grad_in[0] == NULL)
        return PARE_OK;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < parts; n++) {
        for (int64_t i = n * (r.count / parts); i < (n + 1) * (r.count / parts); i++) {
            sources s;
            find_sources(&s, &r, i);
            backward_row(&r, &s, call->grad_in[0], call->grad_out[0]);
        }
    }
    return PARE_OK;
}

/* --- Channels --- */

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    const pri_shape *x = &call->in[0].shape;
    geometry g;

    PRI_TRY(measure(call, &g));
    for (int a = 0; a < x->rank; a++) {
        if (g.scale[a] == 1.0f && g.out.dims[a] == x->dims[a])
            PRI_TRY(pri_rules_tie(rules, 0, a, 0, PRI_OUT(0), a, 0, x->dims[a]));
    }
    return PARE_OK;
}

/* Sizes state the channels; scales do not. */
static pare_status resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                          pri_node *node)
{
    const resize_params *p = call->params;
    const pri_shape after = pri_cut_shape(cut, PRI_OUT(0));
    int64_t sizes[PRI_MAX_RANK];
    int count;

    if (filled(call, p->sizes_slot) == NULL || pri_follows_shapes(call->node, p->sizes_slot))
        return PARE_OK;
    PRI_TRY(pri_op_ints(call, p->sizes_slot, sizes, PRI_MAX_RANK, &count));
    for (int k = 0; k < count; k++)
        sizes[k] = after.dims[axis_of(p, k, after.rank)];
    return pri_op_restate(graph, node, "sizes", p->sizes_slot, sizes, count);
}

#define RESIZE(symbol, text, words, first, last, most, resize_hook)                                \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = first,                                                     \
                           .max_opset = last,                                                      \
                           .min_in = 1,                                                            \
                           .max_in = most,                                                         \
                           .n_out = 1,                                                             \
                           .params_size = sizeof(resize_params),                                   \
                           .layouts = PRI_LAYOUTS_PREPARE,                                         \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .prepare = prepare,                                                     \
                           .release = release,                                                     \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .couple = couple,                                                       \
                           .resize = resize_hook}

RESIZE(pri_op_resize, "Resize", "interpolation: nearest, linear, cubic", 10, 21, 4, resize);
RESIZE(pri_op_upsample, "Upsample", "interpolation by scales: nearest, linear", 7, 9, 2, NULL);
