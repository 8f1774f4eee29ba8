/* SPDX-License-Identifier: Apache-2.0 */
/* dnn.c - convolutions through oneDNN; see dnn.h. */
#include "kernels/dnn.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "kernels/dnn_api.h"
#include "kernels/narrow.h"

static dnnl_engine_t shared_engine;
static dnnl_stream_t shared_stream;
static pthread_once_t shared_once = PTHREAD_ONCE_INIT;

static void make_shared(void)
{
    if (dnnl_engine_create(&shared_engine, dnnl_cpu, 0) == dnnl_success)
        (void)dnnl_stream_create(&shared_stream, shared_engine, dnnl_stream_default_flags);
}

static bool has_isa(dnnl_cpu_isa_t isa)
{
    return (dnnl_get_effective_cpu_isa() & isa) == (unsigned)isa;
}

bool pri_dnn_has_bf16(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core_bf16);
}

bool pri_dnn_gains_by_bf16(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return has_isa(dnnl_cpu_isa_avx512_core_amx) ||
           (pri_dnn_has_bf16() && __builtin_cpu_is("amd"));
#else
    return false;
#endif
}

const char *pri_dnn_version(void)
{
    static char text[48];
    const dnnl_version_t *version = dnnl_version();

    snprintf(text, sizeof text, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
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
    dnnl_primitive_t reorder; /* plain <-> packed weights; NULL when they are the same */
} direction;

/* Activations as the caller has them, and as the primitives read them: the same, or half as wide.
 */
typedef struct side {
    memory_desc md, read_md;
    int64_t count;
    size_t narrow_bytes; /* in scratch; 0: read as it is */
} side;

struct pri_conv {
    pare_context *ctx;
    pri_conv_problem problem;
    int64_t weight_count, row_count; /* elements in all, of one output channel */
    side src, dst;
    memory_desc read_weights, weights_any, bias; /* packed for reading, gradients of them */
    memory_desc plain;                           /* weights as ONNX has them */
    dnnl_dims_t stride, dilation, pad_begin, pad_end;
    dnnl_memory_t plain_memory;
    direction forward, data, weights;
    size_t narrow_bytes, scratch_bytes; /* the first of scratch holds what was narrowed */
};

static pare_status check(pare_context *ctx, dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return PARE_OK;
    if (status == dnnl_out_of_memory)
        return pri_fail(ctx, PARE_ERROR_MEMORY, "not enough memory for a convolution");
    return pri_fail(ctx, PARE_ERROR_INTERNAL, "oneDNN could not %s (status %d)", what, (int)status);
}

#define DNN(call, what) PRI_TRY(check(conv->ctx, (call), (what)))

static dnnl_format_tag_t activation_tag(const pri_conv_problem *p)
{
    static const dnnl_format_tag_t plain[] = {dnnl_ncw, dnnl_nchw, dnnl_ncdhw};
    static const dnnl_format_tag_t last[] = {dnnl_nwc, dnnl_nhwc, dnnl_ndhwc};

    return p->layout == PRI_CHANNELS_LAST ? last[p->spatial - 1] : plain[p->spatial - 1];
}

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static pare_status describe_side(pri_conv *conv, side *s, const int64_t *dims,
                                 dnnl_data_type_t type)
{
    const int rank = 2 + conv->problem.spatial;
    const dnnl_format_tag_t tag = activation_tag(&conv->problem);

    s->count = 1;
    for (int k = 0; k < rank; k++)
        s->count *= dims[k];
    s->narrow_bytes = type == dnnl_f32 ? 0 : round_up((size_t)s->count * sizeof(uint16_t));
    DNN(make_md(&s->md, rank, dims, dnnl_f32, tag), "describe activations");
    DNN(make_md(&s->read_md, rank, dims, type, tag), "describe activations");
    return PARE_OK;
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
        conv->stride[k] = p->stride[k];
        conv->dilation[k] = p->dilation[k] - 1;
        conv->pad_begin[k] = p->pad_begin[k];
        conv->pad_end[k] = p->pad_end[k];
    }
    conv->weight_count = conv->row_count * p->out_channels;
    const dnnl_data_type_t type = p->is_narrow ? dnnl_bf16 : dnnl_f32;
    PRI_TRY(describe_side(conv, &conv->src, src, type));
    PRI_TRY(describe_side(conv, &conv->dst, dst, type));
    conv->narrow_bytes = conv->src.narrow_bytes + conv->dst.narrow_bytes;
    DNN(make_md(&conv->read_weights, rank, weights, type, dnnl_format_tag_any), "describe weights");
    DNN(make_md(&conv->weights_any, rank, weights, dnnl_f32, dnnl_format_tag_any),
        "describe weights");
    DNN(make_md(&conv->bias, 1, bias, dnnl_f32, dnnl_x), "describe a bias");
    const dnnl_format_tag_t plain = p->groups > 1 ? grouped[p->spatial - 1] : dense[p->spatial - 1];
    DNN(make_md(&conv->plain, rank, weights, dnnl_f32, plain), "describe weights");
    DNN(dnnl_memory_create(&conv->plain_memory, MD(conv->plain), shared_engine, NULL),
        "make a memory");
    return PARE_OK;
}

/* Memories of a made primitive descriptor over inputs `a` and outputs `b`. `is_gradient`: weights
 * live in scratch. */
static pare_status finish(pri_conv *conv, direction *d, const memory_desc *a, const memory_desc *b,
                          bool is_gradient)
{
    const dnnl_query_t query = is_gradient ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
    dnnl_primitive_desc_t pd = NULL;

    DNN(dnnl_primitive_create(&d->primitive, d->desc), "make a convolution");
    DNN(dnnl_memory_create(&d->a, MD(*a), shared_engine, NULL), "make a memory");
    DNN(dnnl_memory_create(&d->b, MD(*b), shared_engine, NULL), "make a memory");
    void *const handle = is_gradient ? NULL : DNNL_MEMORY_ALLOCATE;
    DNN(dnnl_memory_create(&d->weights, dnnl_primitive_desc_query_md(d->desc, query, 0),
                           shared_engine, handle),
        "make a memory");
    DNN(dnnl_memory_create(&d->bias, MD(conv->bias), shared_engine, handle), "make a memory");
    DNN(dnnl_memory_create(&d->scratchpad,
                           dnnl_primitive_desc_query_md(d->desc, dnnl_query_scratchpad_md, 0),
                           shared_engine, NULL),
        "make a memory");
    d->weights_bytes = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(d->desc, query, 0));
    d->scratch_bytes = round_up(dnnl_memory_desc_get_size(
        dnnl_primitive_desc_query_md(d->desc, dnnl_query_scratchpad_md, 0)));
    size_t total = conv->narrow_bytes + d->scratch_bytes;
    if (is_gradient)
        total += round_up(d->weights_bytes) +
                 round_up((size_t)conv->problem.out_channels * sizeof(float));
    total += round_up((size_t)conv->weight_count * sizeof(float));
    if (total > conv->scratch_bytes)
        conv->scratch_bytes = total;
    if (is_gradient)
        DNN(dnnl_reorder_primitive_desc_create(&pd, dnnl_primitive_desc_query_md(d->desc, query, 0),
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
    case PRI_POST_SWISH: append_post(ops, dnnl_eltwise_swish, 1, 0); break;
    case PRI_POST_NONE: break;
    }
}

static conv_md md_of(const pri_conv *conv, const memory_desc *src, const memory_desc *dst,
                     const memory_desc *weights)
{
    return (conv_md){.src = src,
                     .dst = dst,
                     .weights = weights,
                     .bias = &conv->bias,
                     .stride = conv->stride,
                     .dilation = conv->dilation,
                     .pad_begin = conv->pad_begin,
                     .pad_end = conv->pad_end};
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
        const conv_md md = md_of(conv, &conv->src.read_md, &conv->dst.md, &conv->read_weights);
        status = create_forward(&conv->forward.desc, &md, shared_engine, fused, training);
    }
    if (status == dnnl_success && (directions & PRI_CONV_BACKWARD_DATA) != 0) {
        const conv_md md = md_of(conv, &conv->src.md, &conv->dst.read_md, &conv->read_weights);
        status =
            create_backward_data(&conv->data.desc, &md, shared_engine, plain, conv->forward.desc);
    }
    if (status == dnnl_success && (directions & PRI_CONV_BACKWARD_WEIGHTS) != 0) {
        const conv_md md = md_of(conv, &conv->src.read_md, &conv->dst.read_md, &conv->weights_any);
        status = create_backward_weights(&conv->weights.desc, &md, shared_engine, plain,
                                         conv->forward.desc);
    }
    if (ops != NULL)
        dnnl_post_ops_destroy(ops);
    if (plain != NULL)
        dnnl_primitive_attr_destroy(plain);
    if (fused != NULL)
        dnnl_primitive_attr_destroy(fused);
    DNN(status, "make this convolution");
    if ((directions & PRI_CONV_FORWARD) != 0)
        PRI_TRY(finish(conv, &conv->forward, &conv->src.read_md, &conv->dst.md, false));
    if (conv->data.desc != NULL)
        PRI_TRY(finish(conv, &conv->data, &conv->src.md, &conv->dst.read_md, false));
    if (conv->weights.desc != NULL)
        PRI_TRY(finish(conv, &conv->weights, &conv->src.read_md, &conv->dst.read_md, true));
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
    drop_md(&conv->src.md);
    drop_md(&conv->src.read_md);
    drop_md(&conv->dst.md);
    drop_md(&conv->dst.read_md);
    drop_md(&conv->read_weights);
    drop_md(&conv->weights_any);
    drop_md(&conv->bias);
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

/* Activations as a primitive reads them: as they are, or narrowed into the scratch at *at, which
 * moves on; is_there: they have been. */
static const void *as_read(const side *s, const float *data, unsigned char **at, bool is_there)
{
    if (s->narrow_bytes == 0)
        return data;
    uint16_t *narrow = (uint16_t *)(void *)*at;
    if (!is_there)
        pri_narrow(narrow, data, s->count);
    *at += s->narrow_bytes;
    return narrow;
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
    unsigned char *at = scratch;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, d->a},
                                    {DNNL_ARG_WEIGHTS, d->weights},
                                    {DNNL_ARG_BIAS, d->bias},
                                    {DNNL_ARG_DST, d->b},
                                    {DNNL_ARG_SCRATCHPAD, d->scratchpad}};

    set_handle(d->a, as_read(&conv->src, src, &at, false));
    set_handle(d->b, dst);
    set_handle(d->scratchpad, at);
    return run(conv, d->primitive, 5, args, "run a convolution");
}

pare_status pri_conv_backward_data(pri_conv *conv, const float *diff_dst, float *diff_src,
                                   void *scratch)
{
    direction *d = &conv->data;
    unsigned char *at = scratch;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_DIFF_DST, d->b},
                                    {DNNL_ARG_WEIGHTS, d->weights},
                                    {DNNL_ARG_DIFF_SRC, d->a},
                                    {DNNL_ARG_SCRATCHPAD, d->scratchpad}};

    set_handle(d->a, diff_src);
    set_handle(d->b, as_read(&conv->dst, diff_dst, &at, false));
    set_handle(d->scratchpad, at);
    return run(conv, d->primitive, 4, args, "run a convolution backwards");
}

pare_status pri_conv_backward_weights(pri_conv *conv, const float *src, const float *diff_dst,
                                      float *diff_weights, float *diff_bias, void *scratch,
                                      bool after_data)
{
    direction *d = &conv->weights;
    unsigned char *at = scratch;
    const int64_t outputs = conv->problem.out_channels;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, d->a},
                                    {DNNL_ARG_DIFF_DST, d->b},
                                    {DNNL_ARG_DIFF_WEIGHTS, d->weights},
                                    {DNNL_ARG_DIFF_BIAS, d->bias},
                                    {DNNL_ARG_SCRATCHPAD, d->scratchpad}};

    set_handle(d->b, as_read(&conv->dst, diff_dst, &at, after_data));
    set_handle(d->a, as_read(&conv->src, src, &at, false));
    set_handle(d->scratchpad, at);
    at += d->scratch_bytes;
    set_handle(d->weights, at);
    at += round_up(d->weights_bytes);
    const float *bias = (const float *)(const void *)at;
    set_handle(d->bias, bias);
    at += round_up((size_t)outputs * sizeof(float));
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
