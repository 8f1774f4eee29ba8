/* SPDX-License-Identifier: Apache-2.0 */
/* dnn.c - makes the primitives of oneDNN; see dnn.h and dnn_conv.h. */
#include "kernels/dnn.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "kernels/dnn_conv.h"

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

bool pri_dnn_has_avx2(void)
{
    return has_isa(dnnl_cpu_isa_avx2);
}

bool pri_dnn_has_avx512(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core);
}

bool pri_dnn_has_bf16(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core_bf16);
}

bool pri_dnn_has_amx(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core_amx);
}

bool pri_dnn_gains_by_bf16(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return pri_dnn_has_amx() || (pri_dnn_has_bf16() && __builtin_cpu_is("amd"));
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

const char *pri_dnn_isa(void)
{
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } names[] = {{dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
                 {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
                 {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
                 {dnnl_cpu_isa_avx512_core, "avx512_core"},
                 {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
                 {dnnl_cpu_isa_avx2, "avx2"},
                 {dnnl_cpu_isa_avx, "avx"},
                 {dnnl_cpu_isa_sse41, "sse41"}};

    for (size_t i = 0; i < PRI_COUNT(names); i++) {
        if (has_isa(names[i].isa))
            return names[i].name;
    }
    return "generic";
}

pare_status pri_dnn_start(pare_context *ctx)
{
    pthread_once(&shared_once, make_shared);
    if (shared_stream == NULL)
        return pri_fail(ctx, PARE_ERROR_INTERNAL, "oneDNN did not start on this processor");
    return PARE_OK;
}

dnnl_stream_t pri_dnn_stream(void)
{
    return shared_stream;
}

pare_status pri_dnn_check(pare_context *ctx, dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return PARE_OK;
    if (status == dnnl_out_of_memory)
        return pri_fail(ctx, PARE_ERROR_MEMORY, "not enough memory for a convolution");
    return pri_fail(ctx, PARE_ERROR_INTERNAL, "oneDNN could not %s (status %d)", what, (int)status);
}

#define DNN(call, what) PRI_TRY(pri_dnn_check(conv->ctx, (call), (what)))

static dnnl_format_tag_t activation_tag(const pri_conv_problem *p)
{
    static const dnnl_format_tag_t plain[] = {dnnl_ncw, dnnl_nchw, dnnl_ncdhw};
    static const dnnl_format_tag_t last[] = {dnnl_nwc, dnnl_nhwc, dnnl_ndhwc};

    return p->layout == PRI_CHANNELS_LAST ? last[p->spatial - 1] : plain[p->spatial - 1];
}

static pare_status describe_side(pri_conv *conv, pri_dnn_side *s, const int64_t *dims,
                                 pri_dtype type)
{
    const pri_conv_problem *p = &conv->problem;
    const int rank = 2 + p->spatial;
    const dnnl_format_tag_t tag = activation_tag(p);
    const dnnl_data_type_t own_type = type == PRI_BF16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_data_type_t read_type = p->is_narrow ? dnnl_bf16 : dnnl_f32;

    s->count = 1;
    for (int k = 0; k < rank; k++)
        s->count *= dims[k];
    s->is_staged = read_type != own_type;
    if (s->is_staged)
        s->staged_bytes = pri_dnn_round_up((size_t)s->count * sizeof(uint16_t));
    DNN(make_md(&s->read_md, rank, dims, read_type, tag), "describe activations");
    DNN(make_md(&s->write_md, rank, dims, own_type, tag), "describe activations");
    return PARE_OK;
}

/* Layout of the gradient of weights. oneDNN 2.6.3 with AVX-512 gathers what a strided 1 x 1 kernel
 * reads from fewer than 16 channels past the end of its scratchpad and sums it up wrongly; that
 * kernel does not take this layout, so that another one is chosen. */
static dnnl_format_tag_t gradient_tag(const pri_conv_problem *p)
{
    static const dnnl_format_tag_t inputs_outer[] = {dnnl_wio, dnnl_hwio, dnnl_dhwio};
    bool is_point = true, is_strided = false;

    for (int k = 0; k < p->spatial; k++) {
        is_point = is_point && p->kernel[k] == 1;
        is_strided = is_strided || p->stride[k] > 1;
    }
    return is_point && is_strided && p->in_channels < 16 && p->groups == 1 &&
                   p->layout == PRI_CHANNELS_LAST
               ? inputs_outer[p->spatial - 1]
               : dnnl_format_tag_any;
}

pare_status pri_dnn_describe(pri_conv *conv)
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
    PRI_TRY(describe_side(conv, &conv->src, src, p->src_type));
    PRI_TRY(describe_side(conv, &conv->dst, dst, p->dst_type));
    DNN(make_md(&conv->read_weights, rank, weights, type, dnnl_format_tag_any), "describe weights");
    DNN(make_md(&conv->weights_any, rank, weights, dnnl_f32, gradient_tag(p)), "describe weights");
    DNN(make_md(&conv->bias, 1, bias, dnnl_f32, dnnl_x), "describe a bias");
    const dnnl_format_tag_t plain = p->groups > 1 ? grouped[p->spatial - 1] : dense[p->spatial - 1];
    DNN(make_md(&conv->plain, rank, weights, dnnl_f32, plain), "describe weights");
    DNN(dnnl_memory_create(&conv->plain_memory, MD(conv->plain), shared_engine, NULL),
        "make a memory");
    return PARE_OK;
}

/* Memories of a made primitive descriptor over inputs `a` and outputs `b`. `is_gradient`: weights
 * live in scratch. */
static pare_status finish(pri_conv *conv, pri_dnn_direction *d, const memory_desc *a,
                          const memory_desc *b, bool is_gradient)
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
    d->scratch_bytes = pri_dnn_round_up(dnnl_memory_desc_get_size(
        dnnl_primitive_desc_query_md(d->desc, dnnl_query_scratchpad_md, 0)));
    size_t total = conv->src.staged_bytes + conv->dst.staged_bytes + d->scratch_bytes;
    if (is_gradient)
        total += pri_dnn_round_up(d->weights_bytes) +
                 pri_dnn_round_up((size_t)conv->problem.out_channels * sizeof(float));
    total += pri_dnn_round_up((size_t)conv->weight_count * sizeof(float));
    pri_conv_need(conv, total);
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
    return pri_dnn_check(conv->ctx, status, "reorder weights");
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
                     .pad_end = conv->pad_end,
                     .algorithm = dnnl_convolution_direct};
}

/* The descriptor of the way forwards is a hint for the others. */
pare_status pri_dnn_build(pri_conv *conv, unsigned directions, bool training)
{
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
        const conv_md md =
            md_of(conv, &conv->src.read_md, &conv->dst.write_md, &conv->read_weights);
        status = create_forward(&conv->forward.desc, &md, shared_engine, fused, training);
    }
    if (status == dnnl_success && (directions & PRI_CONV_BACKWARD_DATA) != 0) {
        const conv_md md =
            md_of(conv, &conv->src.write_md, &conv->dst.read_md, &conv->read_weights);
        status =
            create_backward_data(&conv->data.desc, &md, shared_engine, plain, conv->forward.desc,
                                 conv->problem.out_channels / conv->problem.groups);
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
        PRI_TRY(finish(conv, &conv->forward, &conv->src.read_md, &conv->dst.write_md, false));
    if (conv->data.desc != NULL)
        PRI_TRY(finish(conv, &conv->data, &conv->src.write_md, &conv->dst.read_md, false));
    if (conv->weights.desc != NULL)
        PRI_TRY(finish(conv, &conv->weights, &conv->src.read_md, &conv->dst.read_md, true));
    return PARE_OK;
}

static void drop_direction(pri_dnn_direction *d)
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

void pri_dnn_clear(pri_conv *conv)
{
    drop_direction(&conv->forward);
    drop_direction(&conv->data);
    drop_direction(&conv->weights);
    if (conv->plain_memory != NULL)
        dnnl_memory_destroy(conv->plain_memory);
    drop_md(&conv->src.read_md);
    drop_md(&conv->src.write_md);
    drop_md(&conv->dst.read_md);
    drop_md(&conv->dst.write_md);
    drop_md(&conv->read_weights);
    drop_md(&conv->weights_any);
    drop_md(&conv->bias);
    drop_md(&conv->plain);
}
