/* SPDX-License-Identifier: Apache-2.0 */
/* resize.c - Resize and Upsample: sizes and modes; kernels/interpolate.c does the rest. */
#include <math.h>
#include <string.h>

#include "kernels/interpolate.h"
#include "ops/op_support.h"

typedef struct resize_params {
    pri_interpolation how;
    const pri_attr *axes, *scales;
    int policy;                  /* of sizes: 0 stretch, 1 not_larger, 2 not_smaller */
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

    p->how.taps = strcmp(mode, "nearest") == 0                                   ? 1
                  : strcmp(mode, "linear") == 0 || strcmp(mode, "bilinear") == 0 ? 2
                  : strcmp(mode, "cubic") == 0                                   ? 4
                                                                                 : 0;
    return p->how.taps > 0 ? PARE_OK : pri_parse_fail(ctx, node, "mode '%s' is unknown", mode);
}

static pare_status parse_words(const pri_node *node, resize_params *p, pare_context *ctx)
{
    static const char *const coordinates[] = {"half_pixel",           "pytorch_half_pixel",
                                              "align_corners",        "asymmetric",
                                              "tf_half_pixel_for_nn", "half_pixel_symmetric"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil"};
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
    const char *word = pri_node_attr_string(node, "coordinate_transformation_mode", "half_pixel");
    const int coordinate = find_word(word, coordinates, (int)PRI_COUNT(coordinates));

    if (coordinate < 0)
        return pri_parse_fail(ctx, node, "coordinate_transformation_mode '%s' is not supported",
                              word);
    word = pri_node_attr_string(node, "nearest_mode", roundings[0]);
    const int nearest = find_word(word, roundings, (int)PRI_COUNT(roundings));
    if (nearest < 0)
        return pri_parse_fail(ctx, node, "nearest_mode '%s' is unknown", word);
    p->how.antialias = pri_node_attr_int(node, "antialias", 0) != 0 && p->how.taps > 1;
    word = pri_node_attr_string(node, "keep_aspect_ratio_policy", policies[0]);
    p->policy = find_word(word, policies, (int)PRI_COUNT(policies));
    if (p->policy < 0)
        return pri_parse_fail(ctx, node, "keep_aspect_ratio_policy '%s' is unknown", word);
    p->how.coordinates = (pri_coordinates)coordinate;
    p->how.nearest = (pri_rounding)nearest;
    return PARE_OK;
}

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    resize_params *p = params;

    (void)arena;
    *p = (resize_params){.how = {.coordinates = PRI_ASYMMETRIC, .nearest = PRI_ROUND_SIMPLE},
                         .sizes_slot = -1};
    PRI_TRY(parse_mode(node, p, ctx));
    p->how.cubic = pri_node_attr_float(node, "cubic_coeff_a", -0.75f);
    p->how.excludes_outside = pri_node_attr_int(node, "exclude_outside", 0) != 0;
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
    int axes[PRI_MAX_RESAMPLED];
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

/* One scale for all axes named: the smallest or the largest asked for. */
static void keep_aspect(const resize_params *p, const pri_shape *x, int count, geometry *g)
{
    float scale = -1;

    for (int k = 0; k < count && p->policy != 0; k++) {
        const float s = g->scale[axis_of(p, k, x->rank)];
        if (scale < 0 || (p->policy == 1 ? s < scale : s > scale))
            scale = s;
    }
    for (int k = 0; k < count && p->policy != 0; k++) {
        const int axis = axis_of(p, k, x->rank);
        g->scale[axis] = scale;
        g->out.dims[axis] = (int64_t)floorf(scale * (float)x->dims[axis] + 0.5f);
    }
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
    keep_aspect(p, x, count, g);
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
    const int64_t count = p->scales != NULL ? p->scales->count : pri_tensor_count(input->constant);
    for (int64_t k = 0; k < count; k++) {
        const float scale =
            p->scales != NULL ? p->scales->floats[k] : (float)pri_tensor_get(input->constant, k);
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
        if (g->count == PRI_MAX_RESAMPLED)
            return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "resizes more than %d axes",
                               PRI_MAX_RESAMPLED);
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

/* --- Running --- */

static void release(pri_call *call)
{
    if (call->state != NULL)
        pri_resampled_clear(call->state);
    pri_free(call->state);
    call->state = NULL;
}

static pare_status prepare(pri_call *call)
{
    const resize_params *p = call->params;
    geometry g;

    PRI_TRY(measure(call, &g));
    if (p->how.antialias)
        call->in[0].layout = PRI_PLAIN;
    call->out[0].layout = call->in[0].layout;
    for (int k = 1; k < call->n_in; k++)
        call->in[k].layout = PRI_PLAIN;
    pri_resampled *state = pri_alloc(call->ctx, 1, sizeof *state);
    if (state == NULL)
        return PARE_ERROR_MEMORY;
    call->state = state;
    for (int k = 0; k < g.count; k++) {
        const int axis = g.axes[k];
        PRI_TRY(pri_resampled_add(state, call->ctx, &p->how, axis, call->in[0].shape.dims[axis],
                                  g.out.dims[axis], g.scale[axis]));
    }
    if (!pri_resampled_fits(state, call->in[0].shape.rank, call->in[0].layout))
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                           "antialias shrinks by more than pare runs");
    return PARE_OK;
}

static pare_status forward(pri_call *call)
{
    pri_interpolate(call->state, &call->out[0].shape, &call->in[0].shape, call->in[0].layout,
                    call->in[0].data, call->out[0].data);
    return PARE_OK;
}

static pare_status backward(pri_call *call)
{
    if (call->grad_out[0] != NULL && call->grad_in[0] != NULL)
        pri_interpolate_back(call->state, &call->out[0].shape, &call->in[0].shape,
                             call->in[0].layout, call->grad_out[0], call->grad_in[0]);
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
