/* SPDX-License-Identifier: Apache-2.0 */
/* conv.c - Conv: grouped, dilated, strided convolution over one to three spatial axes. */
#include "ops/conv.h"

#include <string.h>

#include "kernels/depthwise.h"
#include "kernels/narrow.h"

pare_status pri_conv_parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                           pare_context *ctx)
{
    pri_conv_params *p = params;
    const pri_attr *padding = pri_node_attr(node, "output_padding");
    const pri_attr *shape = pri_node_attr(node, "output_shape");

    (void)opset;
    (void)arena;
    p->group = pri_node_attr_int(node, "group", 1);
    if (p->group < 1)
        return pri_parse_fail(ctx, node, "group is %lld", (long long)p->group);
    for (int k = 0; padding != NULL && k < padding->count && k < 3; k++)
        p->output_padding[k] = padding->ints[k];
    for (int k = 0; shape != NULL && k < shape->count && k < 3; k++) {
        p->output_shape[k] = shape->ints[k];
        p->has_output_shape = true;
    }
    return pri_window_parse(&p->window, node, ctx);
}

/* The window with kernel sizes taken from the weights. */
static pare_status window_of(const pri_call *call, pri_window *window, int64_t out[3])
{
    const pri_conv_params *p = call->params;
    const pri_shape *w = &call->in[1].shape;

    *window = p->window;
    if (w->rank != call->in[0].shape.rank)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "weights have rank %d, the input has %d",
                           w->rank, call->in[0].shape.rank);
    for (int k = 0; k < w->rank - 2 && k < 3; k++) {
        if (window->has_kernel && window->kernel[k] != w->dims[2 + k])
            return pri_op_fail(call, PARE_ERROR_SHAPE, "kernel_shape does not fit the weights");
        window->kernel[k] = w->dims[2 + k];
    }
    return pri_window_apply(call, window, &call->in[0].shape, out);
}

static pare_status infer(pri_call *call)
{
    const pri_conv_params *p = call->params;
    const pri_shape *x = &call->in[0].shape, *w = &call->in[1].shape;
    const pri_operand *bias = pri_in(call, 2);
    pri_window window;
    int64_t out[3];

    PRI_TRY(pri_need_float(call, 7));
    if (x->rank < 3)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the input has rank %d", x->rank);
    PRI_TRY(window_of(call, &window, out));
    if (w->dims[1] * p->group != x->dims[1] || w->dims[0] % p->group != 0)
        return pri_op_fail(
            call, PARE_ERROR_SHAPE,
            "the input has %lld channels; weights %lldx%lld in %lld groups do not fit",
            (long long)x->dims[1], (long long)w->dims[0], (long long)w->dims[1],
            (long long)p->group);
    if (bias != NULL && (bias->shape.rank != 1 || bias->shape.dims[0] != w->dims[0]))
        return pri_op_fail(call, PARE_ERROR_SHAPE, "the bias does not fit %lld output channels",
                           (long long)w->dims[0]);
    call->out[0].dtype = PRI_F32;
    call->out[0].shape = *x;
    call->out[0].shape.dims[1] = w->dims[0];
    for (int k = 0; k < window.spatial; k++)
        call->out[0].shape.dims[2 + k] = out[k];
    return PARE_OK;
}

static pri_post_kind post_of(pri_activation_kind kind)
{
    static const pri_post_kind kinds[] = {
        [PRI_ACT_NONE] = PRI_POST_NONE,  [PRI_ACT_RELU] = PRI_POST_RELU,
        [PRI_ACT_CLIP] = PRI_POST_CLIP,  [PRI_ACT_SIGMOID] = PRI_POST_SIGMOID,
        [PRI_ACT_TANH] = PRI_POST_TANH,  [PRI_ACT_HARDSWISH] = PRI_POST_HARDSWISH,
        [PRI_ACT_SWISH] = PRI_POST_SWISH};

    return kinds[kind];
}

static pare_status describe(const pri_call *call, pri_conv_problem *problem)
{
    const pri_conv_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    pri_window window;
    int64_t out[3];

    PRI_TRY(window_of(call, &window, out));
    *problem = (pri_conv_problem){.spatial = window.spatial,
                                  .batch = x->dims[0],
                                  .groups = p->group,
                                  .in_channels = x->dims[1],
                                  .out_channels = call->in[1].shape.dims[0],
                                  .layout = call->preferred,
                                  .may_measure = call->may_measure,
                                  .src_type = call->in[0].dtype,
                                  .dst_type = call->out[0].dtype};
    problem->is_narrow =
        call->is_narrow && (pri_conv_gains_by_bf16(p->group, problem->in_channels) ||
                            problem->src_type == PRI_BF16 || problem->dst_type == PRI_BF16);
    for (int k = 0; k < window.spatial; k++) {
        problem->in[k] = x->dims[2 + k];
        problem->out[k] = out[k];
        problem->kernel[k] = window.kernel[k];
        problem->stride[k] = window.stride[k];
        problem->dilation[k] = window.dilation[k];
        problem->pad_begin[k] = window.pad_begin[k];
        problem->pad_end[k] = window.pad_end[k];
    }
    if (call->epilogue != NULL) {
        problem->accumulates = call->epilogue->has_residual;
        problem->post = post_of(call->epilogue->activation.kind);
        problem->alpha = call->epilogue->activation.alpha;
        problem->beta = call->epilogue->activation.beta;
    }
    return PARE_OK;
}

static pare_status prepare(pri_call *call)
{
    pri_conv_problem problem;
    unsigned directions = PRI_CONV_FORWARD;

    PRI_TRY(describe(call, &problem));
    call->in[0].layout = problem.layout;
    call->out[0].layout = problem.layout;
    call->in[1].layout = PRI_PLAIN;
    if (call->n_in > 2)
        call->in[2].layout = PRI_PLAIN;
    pri_conv_state *state = pri_alloc(call->ctx, 1, sizeof *state);
    if (state == NULL)
        return PARE_ERROR_MEMORY;
    call->state = state;
    if (call->needs_backward) {
        if (call->needs_grad[0])
            directions |= PRI_CONV_BACKWARD_DATA;
        if (call->needs_grad[1] || (call->n_in > 2 && call->needs_grad[2]))
            directions |= PRI_CONV_BACKWARD_WEIGHTS;
    }
    PRI_TRY(pri_conv_new(&state->conv, call->ctx, &problem, directions));
    if (call->epilogue != NULL && call->epilogue->scale != NULL) {
        state->bias = pri_alloc(call->ctx, (size_t)problem.out_channels, sizeof(float));
        if (state->bias == NULL)
            return PARE_ERROR_MEMORY;
    }
    if ((directions & PRI_CONV_BACKWARD_DATA) != 0 && !pri_conv_adds_data(state->conv))
        state->data_scratch = pri_conv_data_scratch(&call->in[0]);
    call->scratch_bytes = state->data_scratch + pri_conv_scratch(state->conv);
    return PARE_OK;
}

size_t pri_conv_data_scratch(const pri_operand *x)
{
    return ((size_t)pri_shape_count(&x->shape) * pri_dtype_bytes(x->dtype) + 63) / 64 * 64;
}

bool pri_conv_gains_by_bf16(int64_t groups, int64_t channels)
{
    return groups < channels;
}

/* Depthwise convolutions gain by moving fewer bytes, where the kernel does not round products. */
static bool takes_bf16(const pri_call *call, int slot)
{
    const pri_conv_params *p = call->params;
    pri_conv_problem problem;

    if (slot != 0 && slot != PRI_OUT(0))
        return false;
    if (pri_conv_gains_by_bf16(p->group, call->in[0].shape.dims[1]))
        return true;
    if (describe(call, &problem) != PARE_OK)
        return false;
    problem.layout = PRI_CHANNELS_LAST;
    return pri_depthwise_suits(&problem);
}

void pri_conv_release(pri_call *call)
{
    pri_conv_state *state = call->state;

    if (state == NULL)
        return;
    pri_conv_free(state->conv);
    pri_free(state->bias);
    pri_free(state);
    call->state = NULL;
}

static void work(const pri_call *call, pri_work *out)
{
    const pri_conv_state *state = call->state;

    out->algorithm = pri_conv_algorithm_name(pri_conv_chosen(state->conv));
    out->staged = pri_conv_staged_bytes(state->conv, PRI_CONV_FORWARD, false);
    out->staged_back =
        pri_conv_staged_bytes(state->conv, PRI_CONV_BACKWARD_DATA | PRI_CONV_BACKWARD_WEIGHTS,
                              call->needs_backward && call->needs_grad[0]);
}

static pare_status pack(pri_call *call, pri_conv_state *state)
{
    const pri_operand *bias_in = pri_in(call, 2);
    const float *bias = bias_in != NULL ? bias_in->data : NULL;
    const float *scale = NULL;

    if (call->in[1].constant != NULL && state->packed_version == call->weights_version + 1)
        return PARE_OK;
    if (call->epilogue != NULL && call->epilogue->scale != NULL) {
        scale = call->epilogue->scale;
        for (int64_t o = 0; o < call->in[1].shape.dims[0]; o++)
            state->bias[o] = (bias != NULL ? bias[o] * scale[o] : 0) + call->epilogue->shift[o];
        bias = state->bias;
    }
    PRI_TRY(pri_conv_pack(state->conv, call->in[1].data, scale, bias, call->scratch));
    state->packed_version = call->weights_version + 1;
    return PARE_OK;
}

static pare_status forward(pri_call *call)
{
    pri_conv_state *state = call->state;

    PRI_TRY(pack(call, state));
    return pri_conv_forward(state->conv, call->in[0].data, call->out[0].data, call->scratch);
}

static pare_status backward(pri_call *call)
{
    pri_conv_state *state = call->state;
    unsigned char *scratch = (unsigned char *)call->scratch + state->data_scratch;
    float *bias_gradient = call->n_in > 2 ? call->grad_in[2] : NULL;

    if (call->grad_out[0] == NULL)
        return PARE_OK;
    if (call->grad_in[0] != NULL && pri_is_fresh(call, 0)) {
        PRI_TRY(pri_conv_backward_data(state->conv, call->grad_out[0], call->grad_in[0], scratch));
    } else if (call->grad_in[0] != NULL && pri_conv_adds_data(state->conv)) {
        PRI_TRY(pri_conv_add_data(state->conv, call->grad_out[0], call->grad_in[0], scratch));
    } else if (call->grad_in[0] != NULL) {
        PRI_TRY(pri_conv_backward_data(state->conv, call->grad_out[0], call->scratch, scratch));
        pri_add_elements(call->grad_in[0], call->scratch, call->in[0].dtype,
                         pri_shape_count(&call->in[0].shape));
    }
    if (call->grad_in[1] != NULL || bias_gradient != NULL)
        PRI_TRY(pri_conv_backward_weights(state->conv, call->in[0].data, call->grad_out[0],
                                          call->grad_in[1], bias_gradient, scratch,
                                          call->grad_in[0] != NULL));
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    const pri_conv_params *p = call->params;

    return pri_conv_couple_groups(call, rules, p->group, 1, 0);
}

static void cost(const pri_call *call, pri_cost *out)
{
    const pri_shape *y = &call->out[0].shape, *w = &call->in[1].shape;

    out->macs = pri_shape_count(y) * pri_shape_span(w, 1, w->rank);
}

static int consumed_axis(const pri_call *call, int slot)
{
    const pri_conv_params *p = call->params;

    return slot == 1 && !pri_conv_loses_groups(call, p->group) && call->in[1].shape.dims[1] > 1
               ? 1
               : -1;
}

static bool product(const pri_call *call, pri_product *out)
{
    const pri_conv_params *p = call->params;
    const pri_shape *w = &call->in[1].shape, *y = &call->out[0].shape;

    *out = (pri_product){.groups = (int)p->group,
                         .is_image = true,
                         .positions = pri_shape_span(y, 2, y->rank),
                         .columns = pri_shape_span(w, 1, w->rank),
                         .outputs = w->dims[0] / p->group,
                         .weight_slot = 1,
                         .column_stride = 1,
                         .block = pri_shape_span(w, 2, w->rank)};
    out->rows = y->dims[0] * out->positions;
    out->block_stride = out->block;
    out->output_stride = out->columns;
    out->group_stride = out->columns * out->outputs;
    return true;
}

/* One row: the window of output position `position` of sample `n`, channel by channel. */
static void fill_row(const float *x, const pri_channels *ch, const pri_conv_problem *p,
                     int64_t first_channel, const int64_t at[3], float *row)
{
    const int64_t per_group = p->in_channels / p->groups;
    const int64_t area = p->kernel[0] * p->kernel[1] * p->kernel[2];

    for (int64_t k = 0; k < area; k++) {
        const int64_t offset[3] = {k / (p->kernel[1] * p->kernel[2]),
                                   k / p->kernel[2] % p->kernel[1], k % p->kernel[2]};
        int64_t index = 0;
        bool is_inside = true;
        for (int a = 0; a < 3; a++) {
            const int64_t i = at[a] * p->stride[a] - p->pad_begin[a] + offset[a] * p->dilation[a];
            is_inside = is_inside && i >= 0 && i < p->in[a];
            index = index * p->in[a] + i;
        }
        const float *from =
            is_inside ? x + index * ch->inner_stride + first_channel * ch->channel_stride : NULL;
        for (int64_t c = 0; c < per_group; c++)
            row[c * area + k] = from != NULL ? from[c * ch->channel_stride] : 0.0f;
    }
}

static void columns(const pri_call *call, int group, int64_t from, int64_t to, float *rows)
{
    const pri_channels ch = pri_channels_of(&call->in[0].shape, call->in[0].layout);
    const float *x = call->in[0].data;
    pri_conv_problem p;

    if (describe(call, &p) != PARE_OK)
        return;
    for (int k = p.spatial; k < 3; k++) {
        p.in[k] = p.out[k] = p.kernel[k] = p.stride[k] = p.dilation[k] = 1;
        p.pad_begin[k] = 0;
    }
    const int64_t positions = p.out[0] * p.out[1] * p.out[2];
    const int64_t per_group = p.in_channels / p.groups;
    const int64_t width = per_group * p.kernel[0] * p.kernel[1] * p.kernel[2];
#pragma omp parallel for schedule(static)
    for (int64_t r = from; r < to; r++) {
        const int64_t n = r / positions, q = r % positions;
        const int64_t at[3] = {q / (p.out[1] * p.out[2]), q / p.out[2] % p.out[1], q % p.out[2]};
        fill_row(x + n * ch.channels * ch.inner, &ch, &p, group * per_group, at,
                 rows + (r - from) * width);
    }
}

const pri_op pri_op_conv = {
    .name = "Conv",
    .summary = "convolution, any stride, padding, dilation and groups",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .params_size = sizeof(pri_conv_params),
    .layouts = PRI_LAYOUTS_PREPARE,
    .takes_epilogue = true,
    .writes_gradients = true,
    .backward_reads = PRI_READS_IN0 | PRI_READS_IN1,
    .parse = pri_conv_parse,
    .infer = infer,
    .prepare = prepare,
    .release = pri_conv_release,
    .work = work,
    .forward = forward,
    .backward = backward,
    .takes_bf16 = takes_bf16,
    .couple = couple,
    .resize = pri_conv_resize,
    .cost = cost,
    .consumed_axis = consumed_axis,
    .bias_slot = 2,
    .product = product,
    .columns = columns,
};
