/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conv_transpose.c - ConvTranspose: the gradient of a convolution by its input, run forwards.
 *
 * Its weights [inputs][outputs / groups][kernel] are those of a convolution from its output to
 * its input, so all three directions come from that convolution.
 */
#include "ops/conv.h"

#include <string.h>

#include "kernels/narrow.h"
#include "kernels/normalise.h"

static pare_status window_of(const pri_call *call, pri_window *window, int64_t out[3])
{
    const pri_conv_params *p = call->params;
    const pri_shape *x = &call->in[0].shape, *w = &call->in[1].shape;

    *window = p->window;
    if (x->rank < 3 || x->rank > 5 || w->rank != x->rank)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "weights have rank %d, the input has %d",
                           w->rank, x->rank);
    window->spatial = x->rank - 2;
    for (int k = 0; k < window->spatial; k++) {
        window->kernel[k] = w->dims[2 + k];
        const int64_t reach = (window->kernel[k] - 1) * window->dilation[k] + 1;
        const int64_t full = (x->dims[2 + k] - 1) * window->stride[k] + reach;
        if (p->has_output_shape || window->auto_pad == 1 || window->auto_pad == 2) {
            out[k] = p->has_output_shape ? p->output_shape[k] : x->dims[2 + k] * window->stride[k];
            const int64_t pad = full + p->output_padding[k] - out[k];
            /* an output larger than everything that is written is longer at its end */
            window->pad_begin[k] = pad < 0 ? 0 : window->auto_pad == 1 ? pad / 2 : pad - pad / 2;
            window->pad_end[k] = pad - window->pad_begin[k];
        } else {
            out[k] = full + p->output_padding[k] - window->pad_begin[k] - window->pad_end[k];
        }
        /* what the convolution from output to input sees */
        window->pad_end[k] -= p->output_padding[k];
        if (out[k] < 1 || window->pad_begin[k] < 0)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "padding leaves no output along axis %d",
                               2 + k);
    }
    return PARE_OK;
}

static pare_status infer(pri_call *call)
{
    const pri_conv_params *p = call->params;
    const pri_shape *x = &call->in[0].shape, *w = &call->in[1].shape;
    pri_window window;
    int64_t out[3];

    PRI_TRY(pri_need_float(call, 7));
    PRI_TRY(window_of(call, &window, out));
    if (w->dims[0] != x->dims[1] || x->dims[1] % p->group != 0)
        return pri_op_fail(call, PARE_ERROR_SHAPE,
                           "the input has %lld channels, the weights are for %lld in %lld groups",
                           (long long)x->dims[1], (long long)w->dims[0], (long long)p->group);
    call->out[0].dtype = PRI_F32;
    call->out[0].shape = *x;
    call->out[0].shape.dims[1] = w->dims[1] * p->group;
    for (int k = 0; k < window.spatial; k++)
        call->out[0].shape.dims[2 + k] = out[k];
    return PARE_OK;
}

/* Two sums and a zero of each channel. */
static size_t bias_bytes(const pri_channels *ch)
{
    return ((size_t)ch->channels * (2 * sizeof(double) + sizeof(float)) + 63) / 64 * 64;
}

static pare_status prepare(pri_call *call)
{
    const pri_conv_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    unsigned directions = PRI_CONV_BACKWARD_DATA;
    pri_conv_problem problem;
    pri_window window;
    int64_t out[3];

    PRI_TRY(window_of(call, &window, out));
    problem = (pri_conv_problem){.spatial = window.spatial,
                                 .batch = x->dims[0],
                                 .groups = p->group,
                                 .in_channels = call->out[0].shape.dims[1],
                                 .out_channels = x->dims[1],
                                 .layout = call->preferred,
                                 .may_measure = call->may_measure,
                                 .src_type = call->out[0].dtype,
                                 .dst_type = call->in[0].dtype};
    problem.is_narrow = call->is_narrow && pri_conv_gains_by_bf16(p->group, x->dims[1]);
    for (int k = 0; k < window.spatial; k++) {
        problem.in[k] = out[k];
        problem.out[k] = x->dims[2 + k];
        problem.kernel[k] = window.kernel[k];
        problem.stride[k] = window.stride[k];
        problem.dilation[k] = window.dilation[k];
        problem.pad_begin[k] = window.pad_begin[k];
        problem.pad_end[k] = window.pad_end[k];
    }
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
        if (call->needs_grad[0]) {
            directions |= PRI_CONV_FORWARD;
            state->data_scratch = pri_conv_data_scratch(&call->in[0]);
        }
        if (call->needs_grad[1])
            directions |= PRI_CONV_BACKWARD_WEIGHTS;
    }
    PRI_TRY(pri_conv_new(&state->conv, call->ctx, &problem, directions));
    call->scratch_bytes = state->data_scratch + pri_conv_scratch(state->conv);
    const pri_channels ch = pri_channels_of(&call->out[0].shape, call->out[0].layout);
    const size_t sums = bias_bytes(&ch) + pri_norm_scratch(&ch);
    if (sums > call->scratch_bytes)
        call->scratch_bytes = sums;
    return PARE_OK;
}

static void work(const pri_call *call, pri_work *out)
{
    const pri_conv_state *state = call->state;

    out->algorithm = pri_conv_algorithm_name(pri_conv_chosen(state->conv));
    out->staged = pri_conv_staged_bytes(state->conv, PRI_CONV_BACKWARD_DATA, false);
    out->staged_back =
        pri_conv_staged_bytes(state->conv, PRI_CONV_FORWARD | PRI_CONV_BACKWARD_WEIGHTS, false);
}

static bool takes_bf16(const pri_call *call, int slot)
{
    const pri_conv_params *p = call->params;

    return (slot == 0 || slot == PRI_OUT(0)) &&
           pri_conv_gains_by_bf16(p->group, call->in[0].shape.dims[1]);
}

/* Elements at .. at+n-1 plus terms[i]. */
static void add_terms(const pri_operand *y, int64_t at, int64_t n, const float *terms)
{
    float room[PRI_NARROW_PIECE];
    const float *from = pri_floats_at(y->data, y->dtype, at, n, room);
    float *to = pri_floats_for(y->data, y->dtype, at, room);

    for (int64_t i = 0; i < n; i++)
        to[i] = from[i] + terms[i];
    pri_floats_put(y->data, y->dtype, at, n, to);
}

/* Channels-last: pieces of whole positions, or of one where channels are many. */
static void add_bias_last(const pri_operand *y, const float *bias, int64_t channels, int64_t total)
{
    const int64_t row = pri_max_i64(1, PRI_NARROW_PIECE / channels) * channels;
    float terms[PRI_NARROW_PIECE];

    for (int64_t i = 0; i < PRI_NARROW_PIECE; i++)
        terms[i] = bias[i % channels];
#pragma omp parallel for schedule(static) if (total > 16384)
    for (int64_t first = 0; first < total; first += row) {
        const int64_t n = pri_min_i64(row, total - first);
        if (channels <= PRI_NARROW_PIECE)
            add_terms(y, first, n, terms);
        for (int64_t c = 0; c < channels && channels > PRI_NARROW_PIECE; c += PRI_NARROW_PIECE)
            add_terms(y, first + c, pri_min_i64(PRI_NARROW_PIECE, channels - c), bias + c);
    }
}

/* Plain: rows of one channel. */
static void add_bias_plain(const pri_operand *y, const float *bias, const pri_channels *ch)
{
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < ch->outer * ch->channels; row++) {
        float terms[PRI_NARROW_PIECE];
        for (int64_t i = 0; i < pri_min_i64(PRI_NARROW_PIECE, ch->inner); i++)
            terms[i] = bias[row % ch->channels];
        for (int64_t at = 0; at < ch->inner; at += PRI_NARROW_PIECE)
            add_terms(y, row * ch->inner + at, pri_min_i64(PRI_NARROW_PIECE, ch->inner - at),
                      terms);
    }
}

static void add_bias(const pri_operand *y, const float *bias)
{
    const pri_channels ch = pri_channels_of(&y->shape, y->layout);

    if (ch.channel_stride == 1)
        add_bias_last(y, bias, ch.channels, ch.outer * ch.channels * ch.inner);
    else
        add_bias_plain(y, bias, &ch);
}

static pare_status forward(pri_call *call)
{
    pri_conv_state *state = call->state;
    const pri_operand *bias = pri_in(call, 2);

    if (call->in[1].constant == NULL || state->packed_version != call->weights_version + 1) {
        PRI_TRY(pri_conv_pack(state->conv, call->in[1].data, NULL, NULL, call->scratch));
        state->packed_version = call->weights_version + 1;
    }
    PRI_TRY(
        pri_conv_backward_data(state->conv, call->in[0].data, call->out[0].data, call->scratch));
    if (bias != NULL)
        add_bias(&call->out[0], bias->data);
    return PARE_OK;
}

/* The sums of a normalisation, about zero. */
static void add_bias_gradient(const pri_call *call, float *gradient)
{
    const pri_operand *y = &call->out[0];
    const pri_channels ch = pri_channels_of(&y->shape, y->layout);
    double *sums = call->scratch;
    float *centre = (float *)(sums + 2 * ch.channels);

    memset(centre, 0, (size_t)ch.channels * sizeof *centre);
    pri_norm_sums(&ch, (pri_norm_tensor){call->grad_out[0], y->dtype}, centre, sums,
                  (unsigned char *)call->scratch + bias_bytes(&ch));
    for (int64_t c = 0; c < ch.channels; c++)
        gradient[c] += (float)sums[ch.channels + c];
}

static pare_status backward(pri_call *call)
{
    pri_conv_state *state = call->state;
    unsigned char *scratch = (unsigned char *)call->scratch + state->data_scratch;

    if (call->grad_out[0] == NULL)
        return PARE_OK;
    if (call->grad_in[0] != NULL && pri_is_fresh(call, 0)) {
        PRI_TRY(pri_conv_forward(state->conv, call->grad_out[0], call->grad_in[0], scratch));
    } else if (call->grad_in[0] != NULL) {
        PRI_TRY(pri_conv_forward(state->conv, call->grad_out[0], call->scratch, scratch));
        pri_add_elements(call->grad_in[0], call->scratch, call->in[0].dtype,
                         pri_shape_count(&call->in[0].shape));
    }
    if (call->grad_in[1] != NULL)
        PRI_TRY(pri_conv_backward_weights(state->conv, call->grad_out[0], call->in[0].data,
                                          call->grad_in[1], NULL, scratch, false));
    if (call->n_in > 2 && call->grad_in[2] != NULL)
        add_bias_gradient(call, call->grad_in[2]);
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    const pri_conv_params *p = call->params;

    return pri_conv_couple_groups(call, rules, p->group, 0, 1);
}

static void cost(const pri_call *call, pri_cost *out)
{
    const pri_shape *x = &call->in[0].shape, *w = &call->in[1].shape;

    out->macs = pri_shape_count(x) * pri_shape_span(w, 1, w->rank);
}

static int consumed_axis(const pri_call *call, int slot)
{
    const pri_conv_params *p = call->params;

    return slot == 1 && call->in[0].shape.dims[1] > p->group ? 0 : -1;
}

/* Output position by position: every tap (input channel, kernel offset) that reaches it. */
static bool product(const pri_call *call, pri_product *out)
{
    const pri_conv_params *p = call->params;
    const pri_shape *w = &call->in[1].shape, *y = &call->out[0].shape;
    const int64_t area = pri_shape_span(w, 2, w->rank);

    *out = (pri_product){.groups = (int)p->group,
                         .is_image = true,
                         .positions = pri_shape_span(y, 2, y->rank),
                         .columns = w->dims[0] / p->group * area,
                         .outputs = w->dims[1],
                         .weight_slot = 1,
                         .column_stride = 1,
                         .block_stride = w->dims[1] * area,
                         .output_stride = area,
                         .group_stride = w->dims[0] / p->group * w->dims[1] * area,
                         .block = area};
    out->rows = y->dims[0] * out->positions;
    return true;
}

/* Index of the input element that reaches output position `at` through kernel offset k, or -1. */
static int64_t source_of(const pri_window *window, const pri_shape *x, const int64_t at[3],
                         int64_t k)
{
    int64_t index = 0, rest = k, offset[3] = {0, 0, 0};

    for (int a = window->spatial - 1; a >= 0; a--) {
        offset[a] = rest % window->kernel[a];
        rest /= window->kernel[a];
    }
    for (int a = 0; a < window->spatial; a++) {
        const int64_t i = at[a] + window->pad_begin[a] - offset[a] * window->dilation[a];
        if (i < 0 || i % window->stride[a] != 0 || i / window->stride[a] >= x->dims[2 + a])
            return -1;
        index = index * x->dims[2 + a] + i / window->stride[a];
    }
    return index;
}

static void columns(const pri_call *call, int group, int64_t from, int64_t to, float *rows)
{
    const pri_conv_params *p = call->params;
    const pri_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
    const pri_channels ch = pri_channels_of(x, call->in[0].layout);
    const int64_t area = pri_shape_span(&call->in[1].shape, 2, x->rank);
    const int64_t per_group = x->dims[1] / p->group, positions = pri_shape_span(y, 2, y->rank);
    pri_window window;
    int64_t out[3];

    if (window_of(call, &window, out) != PARE_OK)
        return;
#pragma omp parallel for schedule(static)
    for (int64_t r = from; r < to; r++) {
        const float *sample =
            (const float *)call->in[0].data + r / positions * ch.channels * ch.inner;
        float *row = rows + (r - from) * per_group * area;
        int64_t at[3], rest = r % positions;
        for (int a = window.spatial - 1; a >= 0; a--) {
            at[a] = rest % y->dims[2 + a];
            rest /= y->dims[2 + a];
        }
        for (int64_t k = 0; k < area; k++) {
            const int64_t source = source_of(&window, x, at, k);
            for (int64_t c = 0; c < per_group; c++)
                row[c * area + k] = source < 0
                                        ? 0
                                        : sample[(group * per_group + c) * ch.channel_stride +
                                                 source * ch.inner_stride];
        }
    }
}

const pri_op pri_op_conv_transpose = {
    .name = "ConvTranspose",
    .summary = "transposed convolution",
    .min_opset = 1,
    .max_opset = 21,
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .params_size = sizeof(pri_conv_params),
    .layouts = PRI_LAYOUTS_PREPARE,
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
