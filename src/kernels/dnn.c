/* SPDX-License-Identifier: Apache-2.0 */
/* dnn.c - convolutions through oneDNN 2.x or 3.x; what differs between them stands first. */
#include "kernels/dnn.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <dnnl.h>

/* --- Version differences --- */

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t memory_desc;
#define MD(md) (md)

static dnnl_status_t make_md(memory_desc *md, int rank, const int64_t *dims,
                             dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(md, rank, dims, dnnl_f32, tag);
}

static void drop_md(memory_desc *md)
{
    if (*md != NULL)
        dnnl_memory_desc_destroy(*md);
}

static void append_post(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha, float beta)
{
    dnnl_post_ops_append_eltwise(ops, kind, alpha, beta);
}

static void append_sum(dnnl_post_ops_t ops)
{
    dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
}
#else
typedef dnnl_memory_desc_t memory_desc;
#define MD(md) (&(md))

static dnnl_status_t make_md(memory_desc *md, int rank, const int64_t *dims,
                             dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(md, rank, dims, dnnl_f32, tag);
}

static void drop_md(memory_desc *md)
{
    (void)md;
}

static void append_post(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha, float beta)
{
    dnnl_post_ops_append_eltwise(ops, 1.0f, kind, alpha, beta);
}

static void append_sum(dnnl_post_ops_t ops)
{
    dnnl_post_ops_append_sum(ops, 1.0f);
}
#endif

typedef struct problem_md {
    memory_desc src, dst, weights, bias;
    dnnl_dims_t stride, dilation, pad_begin, pad_end; /* dilation 0 = dense, as oneDNN counts */
} problem_md;

static dnnl_status_t create_forward(dnnl_primitive_desc_t *pd, const problem_md *m,
                                    dnnl_engine_t engine, dnnl_primitive_attr_t attr,
                                    bool training)
{
    const dnnl_prop_kind_t kind = training ? dnnl_forward_training : dnnl_forward_inference;
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_forward_primitive_desc_create(
        pd, engine, kind, dnnl_convolution_direct, m->src, m->weights, m->bias, m->dst, m->stride,
        m->dilation, m->pad_begin, m->pad_end, attr);
#else
    dnnl_convolution_desc_t desc;
    const dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &desc, kind, dnnl_convolution_direct, &m->src, &m->weights, &m->bias, &m->dst, m->stride,
        m->dilation, m->pad_begin, m->pad_end);
    return status != dnnl_success ? status
                                  : dnnl_primitive_desc_create(pd, &desc, attr, engine, NULL);
#endif
}

static dnnl_status_t create_backward_data(dnnl_primitive_desc_t *pd, const problem_md *m,
                                          dnnl_engine_t engine, dnnl_primitive_attr_t attr,
                                          dnnl_primitive_desc_t hint)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_backward_data_primitive_desc_create(
        pd, engine, dnnl_convolution_direct, m->src, m->weights, m->dst, m->stride, m->dilation,
        m->pad_begin, m->pad_end, hint, attr);
#else
    dnnl_convolution_desc_t desc;
    const dnnl_status_t status = dnnl_dilated_convolution_backward_data_desc_init(
        &desc, dnnl_convolution_direct, &m->src, &m->weights, &m->dst, m->stride, m->dilation,
        m->pad_begin, m->pad_end);
    return status != dnnl_success ? status
                                  : dnnl_primitive_desc_create(pd, &desc, attr, engine, hint);
#endif
}

static dnnl_status_t create_backward_weights(dnnl_primitive_desc_t *pd, const problem_md *m,
                                             dnnl_engine_t engine, dnnl_primitive_attr_t attr,
                                             dnnl_primitive_desc_t hint)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_backward_weights_primitive_desc_create(
        pd, engine, dnnl_convolution_direct, m->src, m->weights, m->bias, m->dst, m->stride,
        m->dilation, m->pad_begin, m->pad_end, hint, attr);
#else
    dnnl_convolution_desc_t desc;
    const dnnl_status_t status = dnnl_dilated_convolution_backward_weights_desc_init(
        &desc, dnnl_convolution_direct, &m->src, &m->weights, &m->bias, &m->dst, m->stride,
        m->dilation, m->pad_begin, m->pad_end);
    return status != dnnl_success ? status
                                  : dnnl_primitive_desc_create(pd, &desc, attr, engine, hint);
#endif
}

/* --- Common to both --- */

static dnnl_engine_t shared_engine;
static dnnl_stream_t shared_stream;
static pthread_once_t shared_once = PTHREAD_ONCE_INIT;

static void make_shared(void)
{
    if (dnnl_engine_create(&shared_engine, dnnl_cpu, 0) == dnnl_success)
        (void)dnnl_stream_create(&shared_stream, shared_engine, dnnl_stream_default_flags);
}

const char *pri_dnn_version(void)
{
    static char text[48];
    const dnnl_version_t *version = dnnl_version();

    snprintf(text, sizeof text, "oneDNN %d.%d.%d", version->major, version->minor,
             version->patch);
    return text;
}

/* One direction: its primitive and the memories it works on. */
typedef struct direction {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b;          /* activations; their handles are set at each call */
    dnnl_memory_t weights, bias; /* packed and owned (forward, data) or in scratch (weights) */
    dnnl_memory_t scratchpad;
    size_t scratch_bytes, weights_bytes;
    dnnl_primitive_t reorder;    /* plain <-> packed weights; NULL when they are the same */
} direction;

struct pri_conv {
    pare_context *ctx;
    pri_conv_problem problem;
    int64_t weight_count, row_count; /* elements in all, of one output channel */
    problem_md md;      /* weights: "any" */
    memory_desc plain;  /* weights as ONNX has them */
    dnnl_memory_t plain_memory;
    direction forward, data, weights;
    size_t scratch_bytes;
};

static pare_status check(pare_context *ctx, dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return PARE_OK;
    if (status == dnnl_out_of_memory)
        return pri_fail(ctx, PARE_ERROR_MEMORY, "not enough memory for a convolution");
    return pri_fail(ctx, PARE_ERROR_INTERNAL, "oneDNN could not %s (status %d)", what,
                    (int)status);
}

#define DNN(call, what) PRI_TRY(check(conv->ctx, (call), (what)))

static dnnl_format_tag_t activation_tag(const pri_conv_problem *p)
{
    static const dnnl_format_tag_t plain[] = {dnnl_ncw, dnnl_nchw, dnnl_ncdhw};
    static const dnnl_format_tag_t last[] = {dnnl_nwc, dnnl_nhwc, dnnl_ndhwc};

    return p->layout == PRI_CHANNELS_LAST ? last[p->spatial - 1] : plain[p->spatial - 1];
}

static pare_status describe(pri_conv *conv)
{
    static const dnnl_format_tag_t dense[] = {dnnl_oiw, dnnl_oihw, dnnl_oidhw};
    static const dnnl_format_tag_t grouped[] = {dnnl_goiw, dnnl_goihw, dnnl_goidhw};
    const pri_conv_problem *p = &conv->problem;
    dnnl_dims_t src = {p->batch, p->in_channels}, dst = {p->batch, p->out_channels};
    dnnl_dims_t weights, bias = {p->out_channels};
    int rank = 0;

    if (p->groups > 1)
        weights[rank++] = p->groups;
    weights[rank++] = p->out_channels / p->groups;
    weights[rank++] = p->in_channels / p->groups;
    conv->row_count = p->in_channels / p->groups;
    for (int k = 0; k < p->spatial; k++) {
        src[2 + k] = p->in[k];
        dst[2 + k] = p->out[k];
        weights[rank++] = p->kernel[k];
        conv->row_count *= p->kernel[k];
        conv->md.stride[k] = p->stride[k];
        conv->md.dilation[k] = p->dilation[k] - 1;
        conv->md.pad_begin[k] = p->pad_begin[k];
        conv->md.pad_end[k] = p->pad_end[k];
    }
    conv->weight_count = conv->row_count * p->out_channels;
    const dnnl_format_tag_t tag = activation_tag(p);
    DNN(make_md(&conv->md.src, 2 + p->spatial, src, tag), "describe an input");
    DNN(make_md(&conv->md.dst, 2 + p->spatial, dst, tag), "describe an output");
    DNN(make_md(&conv->md.weights, rank, weights, dnnl_format_tag_any), "describe weights");
    DNN(make_md(&conv->md.bias, 1, bias, dnnl_x), "describe a bias");
    const int k = p->spatial - 1;
    DNN(make_md(&conv->plain, rank, weights, p->groups > 1 ? grouped[k] : dense[k]),
        "describe weights");
    DNN(dnnl_memory_create(&conv->plain_memory, MD(conv->plain), shared_engine, NULL),
        "make a memory");
    return PARE_OK;
}

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Memories of a made primitive descriptor. `is_gradient`: weights live in scratch. */
static pare_status finish(pri_conv *conv, direction *d, bool is_gradient)
{
    const dnnl_query_t query = is_gradient ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
    dnnl_primitive_desc_t pd = NULL;

    DNN(dnnl_primitive_create(&d->primitive, d->desc), "make a convolution");
    DNN(dnnl_memory_create(&d->a, MD(conv->md.src), shared_engine, NULL), "make a memory");
    DNN(dnnl_memory_create(&d->b, MD(conv->md.dst), shared_engine, NULL), "make a memory");
    void *const handle = is_gradient ? NULL : DNNL_MEMORY_ALLOCATE;
    DNN(dnnl_memory_create(&d->weights, dnnl_primitive_desc_query_md(d->desc, query, 0),
                           shared_engine, handle),
        "make a memory");
    DNN(dnnl_memory_create(&d->bias, MD(conv->md.bias), shared_engine, handle), "make a memory");
    DNN(dnnl_memory_create(&d->scratchpad,
                           dnnl_primitive_desc_query_md(d->desc, dnnl_query_scratchpad_md, 0),
                           shared_engine, NULL),
        "make a memory");
    d->weights_bytes = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(d->desc, query, 0));
    d->scratch_bytes = round_up(dnnl_memory_desc_get_size(
        dnnl_primitive_desc_query_md(d->desc, dnnl_query_scratchpad_md, 0)));
    size_t total = d->scratch_bytes;
    if (is_gradient)
        total += round_up(d->weights_bytes) +
                 round_up((size_t)conv->problem.out_channels * sizeof(float));
    total += round_up((size_t)conv->weight_count * sizeof(float));
    if (total > conv->scratch_bytes)
        conv->scratch_bytes = total;
    if (is_gradient)
        DNN(dnnl_reorder_primitive_desc_create(&pd,
                                               dnnl_primitive_desc_query_md(d->desc, query, 0),
                                               shared_engine, MD(conv->plain), shared_engine, NULL),
            "reorder weights");
    else
        DNN(dnnl_reorder_primitive_desc_create(&pd, MD(conv->plain), shared_engine,
                                               dnnl_primitive_desc_query_md(d->desc, query, 0),
                                               shared_engine, NULL),
            "reorder weights");
    const dnnl_status_t status = dnnl_primitive_create(&d->reorder, pd);
    dnnl_primitive_desc_destroy(pd);
    return check(conv->ctx, status, "reorder weights");
}

static void append_post_ops(dnnl_post_ops_t ops, const pri_conv_problem *p)
{
    if (p->accumulates)
        append_sum(ops);
    switch (p->post) {
    case PRI_POST_RELU: append_post(ops, dnnl_eltwise_relu, p->alpha, 0); break;
    case PRI_POST_CLIP: append_post(ops, dnnl_eltwise_clip_v2, p->alpha, p->beta); break;
    case PRI_POST_SIGMOID: append_post(ops, dnnl_eltwise_logistic, 0, 0); break;
    case PRI_POST_TANH: append_post(ops, dnnl_eltwise_tanh, 0, 0); break;
    case PRI_POST_HARDSWISH: append_post(ops, dnnl_eltwise_hardswish, 1.0f / 6, 0.5f); break;
    case PRI_POST_NONE: break;
    }
}

static pare_status build(pri_conv *conv, unsigned directions)
{
    const bool training = (directions & ~(unsigned)PRI_CONV_FORWARD) != 0;
    dnnl_primitive_attr_t plain = NULL, fused = NULL;
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&plain);

    if (status == dnnl_success)
        status = dnnl_primitive_attr_create(&fused);
    if (status == dnnl_success)
        status = dnnl_post_ops_create(&ops);
    if (status == dnnl_success) {
        append_post_ops(ops, &conv->problem);
        dnnl_primitive_attr_set_post_ops(fused, ops);
        dnnl_primitive_attr_set_scratchpad_mode(plain, dnnl_scratchpad_mode_user);
        dnnl_primitive_attr_set_scratchpad_mode(fused, dnnl_scratchpad_mode_user);
        status = create_forward(&conv->forward.desc, &conv->md, shared_engine, fused, training);
    }
    if (status == dnnl_success && (directions & PRI_CONV_BACKWARD_DATA) != 0)
        status = create_backward_data(&conv->data.desc, &conv->md, shared_engine, plain,
                                      conv->forward.desc);
    if (status == dnnl_success && (directions & PRI_CONV_BACKWARD_WEIGHTS) != 0)
        status = create_backward_weights(&conv->weights.desc, &conv->md, shared_engine, plain,
                                         conv->forward.desc);
    if (ops != NULL)
        dnnl_post_ops_destroy(ops);
    if (plain != NULL)
        dnnl_primitive_attr_destroy(plain);
    if (fused != NULL)
        dnnl_primitive_attr_destroy(fused);
    DNN(status, "make this convolution");
    if ((directions & PRI_CONV_FORWARD) != 0)
        PRI_TRY(finish(conv, &conv->forward, false));
    if (conv->data.desc != NULL)
        PRI_TRY(finish(conv, &conv->data, false));
    if (conv->weights.desc != NULL)
        PRI_TRY(finish(conv, &conv->weights, true));
    return PARE_OK;
}

pare_status pri_conv_new(pri_conv **out, pare_context *ctx, const pri_conv_problem *problem,
                         unsigned directions)
{
    *out = NULL;
    pthread_once(&shared_once, make_shared);
    if (shared_stream == NULL)
        return pri_fail(ctx, PARE_ERROR_INTERNAL, "oneDNN did not start on this processor");
    pri_conv *conv = pri_alloc(ctx, 1, sizeof *conv);
    if (conv == NULL)
        return PARE_ERROR_MEMORY;
    conv->ctx = ctx;
    conv->problem = *problem;
    pare_status status = describe(conv);
    if (status == PARE_OK)
        status = build(conv, directions);
    if (status != PARE_OK) {
        pri_conv_free(conv);
        return status;
    }
    *out = conv;
    return PARE_OK;
}

static void drop_direction(direction *d)
{
    dnnl_memory_t memories[] = {d->a, d->b, d->weights, d->bias, d->scratchpad};

    for (size_t i = 0; i < PRI_COUNT(memories); i++) {
        if (memories[i] != NULL)
            dnnl_memory_destroy(memories[i]);
    }
    if (d->reorder != NULL)
        dnnl_primitive_destroy(d->reorder);
    if (d->primitive != NULL)
        dnnl_primitive_destroy(d->primitive);
    if (d->desc != NULL)
        dnnl_primitive_desc_destroy(d->desc);
}

void pri_conv_free(pri_conv *conv)
{
    if (conv == NULL)
        return;
    drop_direction(&conv->forward);
    drop_direction(&conv->data);
    drop_direction(&conv->weights);
    if (conv->plain_memory != NULL)
        dnnl_memory_destroy(conv->plain_memory);
    drop_md(&conv->md.src);
    drop_md(&conv->md.dst);
    drop_md(&conv->md.weights);
    drop_md(&conv->md.bias);
    drop_md(&conv->plain);
    pri_free(conv);
}

size_t pri_conv_scratch(const pri_conv *conv)
{
    return conv->scratch_bytes;
}

/* oneDNN takes handles without const; it writes only what it is told to. */
static void set_handle(dnnl_memory_t memory, const void *data)
{
    void *handle;

    memcpy(&handle, &data, sizeof handle);
    dnnl_memory_set_data_handle(memory, handle);
}

static pare_status run(pri_conv *conv, dnnl_primitive_t primitive, int n,
                       const dnnl_exec_arg_t *args, const char *what)
{
    return check(conv->ctx, dnnl_primitive_execute(primitive, shared_stream, n, args), what);
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

pare_status pri_conv_forward(pri_conv *conv, const float *src, float *dst, void *scratch)
{
    direction *d = &conv->forward;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, d->a},
                                    {DNNL_ARG_WEIGHTS, d->weights},
                                    {DNNL_ARG_BIAS, d->bias},
                                    {DNNL_ARG_DST, d->b},
                                    {DNNL_ARG_SCRATCHPAD, d->scratchpad}};

    set_handle(d->a, src);
    set_handle(d->b, dst);
    set_handle(d->scratchpad, scratch);
    return run(conv, d->primitive, 5, args, "run a convolution");
}

pare_status pri_conv_backward_data(pri_conv *conv, const float *diff_dst, float *diff_src,
                                   void *scratch)
{
    direction *d = &conv->data;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_DIFF_DST, d->b},
                                    {DNNL_ARG_WEIGHTS, d->weights},
                                    {DNNL_ARG_DIFF_SRC, d->a},
                                    {DNNL_ARG_SCRATCHPAD, d->scratchpad}};

    set_handle(d->a, diff_src);
    set_handle(d->b, diff_dst);
    set_handle(d->scratchpad, scratch);
    return run(conv, d->primitive, 4, args, "run a convolution backwards");
}

pare_status pri_conv_backward_weights(pri_conv *conv, const float *src, const float *diff_dst,
                                      float *diff_weights, float *diff_bias, void *scratch)
{
    direction *d = &conv->weights;
    unsigned char *at = scratch;
    const int64_t outputs = conv->problem.out_channels;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, d->a},
                                    {DNNL_ARG_DIFF_DST, d->b},
                                    {DNNL_ARG_DIFF_WEIGHTS, d->weights},
                                    {DNNL_ARG_DIFF_BIAS, d->bias},
                                    {DNNL_ARG_SCRATCHPAD, d->scratchpad}};

    set_handle(d->scratchpad, at);
    at += d->scratch_bytes;
    set_handle(d->weights, at);
    at += round_up(d->weights_bytes);
    const float *bias = (const float *)(const void *)at;
    set_handle(d->bias, bias);
    at += round_up((size_t)outputs * sizeof(float));
    const float *plain = (const float *)(const void *)at;
    set_handle(d->a, src);
    set_handle(d->b, diff_dst);
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
