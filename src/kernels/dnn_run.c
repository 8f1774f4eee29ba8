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
    return conv->is_winograd         ? PRI_CONV_WINOGRAD
           : conv->problem.is_narrow ? PRI_CONV_BF16
                                     : PRI_CONV_DIRECT;
}

/* Of staging what is read, and of taking over what was written. */
static int64_t read_bytes(const pri_dnn_side *s)
{
    const int64_t bytes = s->type == PRI_BF16 ? sizeof(uint16_t) : sizeof(float);
    const int64_t own = s->batch * s->channels * s->positions * bytes;

    return s->staging != PRI_STAGED_NOT ? own + (int64_t)s->staged_bytes : 0;
}

static int64_t written_bytes(const pri_dnn_side *s)
{
    return s->staging == PRI_STAGED_BLOCKED ? read_bytes(s) : 0;
}

int64_t pri_conv_staged_bytes(const pri_conv *conv, unsigned directions, bool after_data)
{
    int64_t bytes = 0;

    if ((directions & PRI_CONV_FORWARD) != 0 && conv->forward.primitive != NULL)
        bytes += read_bytes(&conv->src) +
                 (conv->problem.accumulates ? 2 : 1) * written_bytes(&conv->dst);
    if ((directions & PRI_CONV_BACKWARD_DATA) != 0 && conv->data.primitive != NULL)
        bytes += read_bytes(&conv->dst) + written_bytes(&conv->src);
    if ((directions & PRI_CONV_BACKWARD_WEIGHTS) != 0 && conv->weights.primitive != NULL)
        bytes += read_bytes(&conv->src) + (after_data ? 0 : read_bytes(&conv->dst));
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
    if (s->staging == PRI_STAGED_NOT)
        return data;
    if (s->staging == PRI_STAGED_NARROW && !is_there)
        pri_narrow(staged, data, s->batch * s->channels * s->positions);
    else if (!is_there)
        pri_block_channels(staged, data, s->type, s->batch, s->channels, s->positions);
    return staged;
}

/* Where a primitive writes activations, in the same way; take_written has them in `data`
 * afterwards. */
static void *write_side(const pri_dnn_side *s, void *data, unsigned char **at)
{
    void *staged = *at;

    if (s->staging != PRI_STAGED_BLOCKED)
        return data;
    *at += s->staged_bytes;
    return staged;
}

static void take_written(const pri_dnn_side *s, void *data, const void *written)
{
    if (s->staging == PRI_STAGED_BLOCKED)
        pri_unblock_channels(data, s->type, written, s->batch, s->channels, s->positions);
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

    set_handle(d->a, read_side(&conv->src, src, &at, false));
    void *written = write_side(&conv->dst, dst, &at);
    if (conv->problem.accumulates && written != dst)
        pri_block_channels(written, dst, conv->dst.type, conv->dst.batch, conv->dst.channels,
                           conv->dst.positions);
    set_handle(d->b, written);
    set_handle(d->scratchpad, at);
    PRI_TRY(run(conv, d->primitive, 5, args, "run a convolution"));
    take_written(&conv->dst, dst, written);
    return PARE_OK;
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

    set_handle(d->b, read_side(&conv->dst, diff_dst, &at, false));
    void *written = write_side(&conv->src, diff_src, &at);
    set_handle(d->a, written);
    set_handle(d->scratchpad, at);
    PRI_TRY(run(conv, d->primitive, 4, args, "run a convolution backwards"));
    take_written(&conv->src, diff_src, written);
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

    set_handle(d->b, read_side(&conv->dst, diff_dst, &at, after_data));
    set_handle(d->a, read_side(&conv->src, src, &at, false));
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
