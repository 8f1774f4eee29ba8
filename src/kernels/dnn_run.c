/* SPDX-License-Identifier: Apache-2.0 */
/* dnn_run.c - runs convolutions of oneDNN; see dnn.h. */
#include <string.h>

#include "kernels/dnn_conv.h"
#include "kernels/narrow.h"

size_t pri_conv_scratch(const pri_conv *conv)
{
    return conv->scratch_bytes;
}

pri_conv_algorithm pri_conv_chosen(const pri_conv *conv)
{
    return conv->winograd != NULL    ? PRI_CONV_WINOGRAD
           : conv->problem.is_narrow ? PRI_CONV_BF16
                                     : PRI_CONV_DIRECT;
}

static int64_t side_bytes(const pri_dnn_side *s)
{
    return s->is_staged ? s->count * (int64_t)(sizeof(float) + sizeof(uint16_t)) : 0;
}

int64_t pri_conv_staged_bytes(const pri_conv *conv, unsigned directions, bool after_data)
{
    int64_t bytes = 0;

    if ((directions & PRI_CONV_FORWARD) != 0 && conv->forward.primitive != NULL)
        bytes += side_bytes(&conv->src);
    if ((directions & PRI_CONV_BACKWARD_DATA) != 0 && conv->data.primitive != NULL)
        bytes += side_bytes(&conv->dst);
    if ((directions & PRI_CONV_BACKWARD_WEIGHTS) != 0 &&
        (conv->weights.primitive != NULL || conv->amx_weights != NULL))
        bytes += side_bytes(&conv->src) +
                 (after_data && conv->data.primitive != NULL ? 0 : side_bytes(&conv->dst));
    return bytes;
}

/* oneDNN takes handles without const; it writes only what it is told to. */
static void set_handle(dnnl_memory_t memory, const void *data)
{
    void *handle;

    memcpy(&handle, &data, sizeof handle);
    dnnl_memory_set_data_handle(memory, handle);
}

/* Activations as a primitive reads them: the caller's, or staged in the scratch at *at, which moves
 * on; is_there: they have been. */
static const void *read_side(const pri_dnn_side *s, const void *data, unsigned char **at,
                             bool is_there)
{
    void *staged = *at;

    *at += s->staged_bytes;
    if (!s->is_staged)
        return data;
    if (!is_there)
        pri_narrow(staged, data, s->count);
    return staged;
}

static bool by_winograd(const pri_conv *conv, unsigned direction)
{
    return (conv->winograd_directions & direction) != 0;
}

static bool by_gathering(const pri_conv *conv, unsigned direction)
{
    return (conv->gathered_directions & direction) != 0;
}

static pare_status run(pri_conv *conv, dnnl_primitive_t primitive, int n,
                       const dnnl_exec_arg_t *args, const char *what)
{
    return pri_dnn_check(conv->ctx, dnnl_primitive_execute(primitive, pri_dnn_stream(), n, args),
                         what);
}

static pare_status reorder(pri_conv *conv, dnnl_primitive_t primitive, dnnl_memory_t from,
                           dnnl_memory_t to)
{
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};

    return run(conv, primitive, 2, args, "reorder weights");
}

pare_status pri_conv_pack(pri_conv *conv, const float *weights, const float *scale,
                          const float *bias, void *scratch)
{
    const size_t bias_bytes = (size_t)conv->problem.out_channels * sizeof(float);
    void *handle = NULL;

    if (conv->winograd != NULL)
        pri_winograd_pack(conv->winograd, weights, scale, bias);
    if (conv->depthwise != NULL)
        pri_depthwise_pack(conv->depthwise, weights, scale, bias);
    if (conv->product != NULL)
        pri_pointwise_product_pack(conv->product, weights, scale, bias);
    if (conv->gathered != NULL)
        pri_gathered_pack(conv->gathered, weights, scale, bias);
    if (conv->plain_memory == NULL) /* nothing is left to oneDNN */
        return PARE_OK;
    if (scale != NULL) {
        float *scaled = scratch;
        for (int64_t o = 0; o < conv->problem.out_channels; o++) {
            for (int64_t k = 0; k < conv->row_count; k++)
                scaled[o * conv->row_count + k] = weights[o * conv->row_count + k] * scale[o];
        }
        weights = scaled;
    }
    set_handle(conv->plain_memory, weights);
    if (conv->forward.primitive != NULL) {
        PRI_TRY(reorder(conv, conv->forward.reorder, conv->plain_memory, conv->forward.weights));
        dnnl_memory_get_data_handle(conv->forward.bias, &handle);
        if (bias != NULL)
            memcpy(handle, bias, bias_bytes);
        else
            memset(handle, 0, bias_bytes);
    }
    if (conv->data.primitive != NULL)
        PRI_TRY(reorder(conv, conv->data.reorder, conv->plain_memory, conv->data.weights));
    return PARE_OK;
}

pare_status pri_conv_forward(pri_conv *conv, const void *src, void *dst, void *scratch)
{
    pri_dnn_direction *d = &conv->forward;
    unsigned char *at = scratch;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, d->a},
                                    {DNNL_ARG_WEIGHTS, d->weights},
                                    {DNNL_ARG_BIAS, d->bias},
                                    {DNNL_ARG_DST, d->b},
                                    {DNNL_ARG_SCRATCHPAD, d->scratchpad}};

    if (conv->depthwise != NULL) {
        pri_depthwise_forward(conv->depthwise, src, dst);
        return PARE_OK;
    }
    if (conv->product != NULL) {
        pri_pointwise_product_forward(conv->product, src, dst);
        return PARE_OK;
    }
    if (by_winograd(conv, PRI_CONV_FORWARD)) {
        pri_winograd_forward(conv->winograd, src, dst, scratch);
        return PARE_OK;
    }
    if (by_gathering(conv, PRI_CONV_FORWARD)) {
        pri_gathered_forward(conv->gathered, src, dst, scratch);
        return PARE_OK;
    }
    set_handle(d->a, read_side(&conv->src, src, &at, false));
    set_handle(d->b, dst);
    set_handle(d->scratchpad, at);
    return run(conv, d->primitive, 5, args, "run a convolution");
}

pare_status pri_conv_backward_data(pri_conv *conv, const void *diff_dst, void *diff_src,
                                   void *scratch)
{
    pri_dnn_direction *d = &conv->data;
    unsigned char *at = scratch;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_DIFF_DST, d->b},
                                    {DNNL_ARG_WEIGHTS, d->weights},
                                    {DNNL_ARG_DIFF_SRC, d->a},
                                    {DNNL_ARG_SCRATCHPAD, d->scratchpad}};

    if (conv->depthwise != NULL) {
        pri_depthwise_backward_data(conv->depthwise, diff_dst, diff_src);
        return PARE_OK;
    }
    if (conv->product != NULL) {
        pri_pointwise_product_backward_data(conv->product, diff_dst, diff_src);
        return PARE_OK;
    }
    if (by_winograd(conv, PRI_CONV_BACKWARD_DATA)) {
        pri_winograd_backward_data(conv->winograd, diff_dst, diff_src, false, scratch);
        return PARE_OK;
    }
    if (by_gathering(conv, PRI_CONV_BACKWARD_DATA)) {
        pri_gathered_backward_data(conv->gathered, diff_dst, diff_src, scratch);
        return PARE_OK;
    }
    set_handle(d->b, read_side(&conv->dst, diff_dst, &at, false));
    set_handle(d->a, diff_src);
    set_handle(d->scratchpad, at);
    return run(conv, d->primitive, 4, args, "run a convolution backwards");
}

bool pri_conv_adds_data(const pri_conv *conv)
{
    return by_winograd(conv, PRI_CONV_BACKWARD_DATA);
}

pare_status pri_conv_add_data(pri_conv *conv, const void *diff_dst, void *diff_src, void *scratch)
{
    pri_winograd_backward_data(conv->winograd, diff_dst, diff_src, true, scratch);
    return PARE_OK;
}

pare_status pri_conv_backward_weights(pri_conv *conv, const void *src, const void *diff_dst,
                                      float *diff_weights, float *diff_bias, void *scratch,
                                      bool after_data)
{
    pri_dnn_direction *d = &conv->weights;
    unsigned char *at = scratch;
    const int64_t outputs = conv->problem.out_channels;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, d->a},
                                    {DNNL_ARG_DIFF_DST, d->b},
                                    {DNNL_ARG_DIFF_WEIGHTS, d->weights},
                                    {DNNL_ARG_DIFF_BIAS, d->bias},
                                    {DNNL_ARG_SCRATCHPAD, d->scratchpad}};

    if (conv->depthwise != NULL) {
        pri_depthwise_backward_weights(conv->depthwise, src, diff_dst, diff_weights, diff_bias,
                                       scratch);
        return PARE_OK;
    }
    if (conv->has_pointwise_weights) {
        pri_pointwise_weights_run(&conv->problem, src, diff_dst, diff_weights, diff_bias, scratch);
        return PARE_OK;
    }
    if (by_winograd(conv, PRI_CONV_BACKWARD_WEIGHTS)) {
        pri_winograd_backward_weights(conv->winograd, src, diff_dst, diff_weights, diff_bias,
                                      scratch);
        return PARE_OK;
    }
    if (by_gathering(conv, PRI_CONV_BACKWARD_WEIGHTS)) {
        pri_gathered_backward_weights(conv->gathered, src, diff_dst, diff_weights, diff_bias,
                                      scratch);
        return PARE_OK;
    }
    const bool is_there = after_data && !by_winograd(conv, PRI_CONV_BACKWARD_DATA);
    diff_dst = read_side(&conv->dst, diff_dst, &at, is_there);
    src = read_side(&conv->src, src, &at, false);
    if (conv->amx_weights != NULL) {
        pri_amx_weights_run(conv->amx_weights, src, diff_dst, diff_weights, diff_bias, at);
        return PARE_OK;
    }
    set_handle(d->b, diff_dst);
    set_handle(d->a, src);
    set_handle(d->scratchpad, at);
    at += d->scratch_bytes;
    set_handle(d->weights, at);
    at += pri_dnn_round_up(d->weights_bytes);
    const float *bias = (const float *)(const void *)at;
    set_handle(d->bias, bias);
    at += pri_dnn_round_up((size_t)outputs * sizeof(float));
    const float *plain = (const float *)(const void *)at;
    PRI_TRY(run(conv, d->primitive, 5, args, "run a convolution backwards"));
    if (diff_weights != NULL) {
        set_handle(conv->plain_memory, plain);
        PRI_TRY(reorder(conv, d->reorder, d->weights, conv->plain_memory));
        for (int64_t i = 0; i < conv->weight_count; i++)
            diff_weights[i] += plain[i];
    }
    for (int64_t o = 0; o < outputs && diff_bias != NULL; o++)
        diff_bias[o] += bias[o];
    return PARE_OK;
}
