/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dnn_api.h - what versions 2 and 3 of oneDNN's C interface do differently.
 *
 * Included by dnn_conv.h alone. Functions return oneDNN's own status.
 */
#ifndef PRI_DNN_API_H
#define PRI_DNN_API_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <dnnl.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t memory_desc;
#define MD(md) (md)

static inline dnnl_status_t make_md(memory_desc *md, int rank, const int64_t *dims,
                                    dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(md, rank, dims, type, tag);
}

static inline void drop_md(memory_desc *md)
{
    if (*md != NULL)
        dnnl_memory_desc_destroy(*md);
}

static inline void append_post(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha, float beta)
{
    dnnl_post_ops_append_eltwise(ops, kind, alpha, beta);
}

static inline void append_sum(dnnl_post_ops_t ops)
{
    dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
}
#else
typedef dnnl_memory_desc_t memory_desc;
#define MD(md) (&(md))

static inline dnnl_status_t make_md(memory_desc *md, int rank, const int64_t *dims,
                                    dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(md, rank, dims, type, tag);
}

static inline void drop_md(memory_desc *md)
{
    (void)md;
}

static inline void append_post(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha, float beta)
{
    dnnl_post_ops_append_eltwise(ops, 1.0f, kind, alpha, beta);
}

static inline void append_sum(dnnl_post_ops_t ops)
{
    dnnl_post_ops_append_sum(ops, 1.0f);
}
#endif

/* Descriptors of one direction of a convolution; dilation 0 = dense, as oneDNN counts. */
typedef struct conv_md {
    const memory_desc *src, *dst, *weights, *bias;
    const dnnl_dim_t *stride, *dilation, *pad_begin, *pad_end;
    dnnl_alg_kind_t algorithm;
} conv_md;

/* Whether an implementation reads past an array: making the kernel of brgconv:avx512_core_amx_bf16,
 * oneDNN 2.6.3 looks up the row behind the last one in a table of rows, for nearly every kernel
 * larger than 1 x 1. It uses nothing of what it reads, but that may be where no memory is. The next
 * implementation by AMX takes 0.8 to 1.5 times as long forwards (Sapphire Rapids, 16 to 512
 * channels of 6 x 6 to 256 x 256, mostly 0.9 to 1.2). */
static inline bool is_overreading(const_dnnl_primitive_desc_t pd)
{
    const char *name = NULL, *const brgconv = "brgconv:avx512_core_amx";

    return dnnl_version()->major == 2 &&
           dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name) ==
               dnnl_success &&
           strncmp(name, brgconv, strlen(brgconv)) == 0;
}

#if DNNL_VERSION_MAJOR < 3
/* The first implementation of `desc` that does not overread; where all do, the last. */
static inline dnnl_status_t create_sound(dnnl_primitive_desc_t *pd,
                                         const dnnl_convolution_desc_t *desc, dnnl_engine_t engine,
                                         dnnl_primitive_attr_t attr)
{
    dnnl_primitive_desc_iterator_t all = NULL;
    dnnl_status_t status = dnnl_primitive_desc_create(pd, desc, attr, engine, NULL);

    if (status != dnnl_success || !is_overreading(*pd) ||
        dnnl_primitive_desc_iterator_create(&all, desc, attr, engine, NULL) != dnnl_success)
        return status;
    while (is_overreading(*pd) && dnnl_primitive_desc_iterator_next(all) == dnnl_success) {
        dnnl_primitive_desc_t next = dnnl_primitive_desc_iterator_fetch(all);
        if (next == NULL)
            break;
        dnnl_primitive_desc_destroy(*pd);
        *pd = next;
    }
    dnnl_primitive_desc_iterator_destroy(all);
    return status;
}
#endif

static inline dnnl_status_t create_forward(dnnl_primitive_desc_t *pd, const conv_md *m,
                                           dnnl_engine_t engine, dnnl_primitive_attr_t attr,
                                           bool training)
{
    const dnnl_prop_kind_t kind = training ? dnnl_forward_training : dnnl_forward_inference;
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_forward_primitive_desc_create(
        pd, engine, kind, m->algorithm, *m->src, *m->weights, *m->bias, *m->dst, m->stride,
        m->dilation, m->pad_begin, m->pad_end, attr);
#else
    dnnl_convolution_desc_t desc;
    const dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &desc, kind, m->algorithm, m->src, m->weights, m->bias, m->dst, m->stride, m->dilation,
        m->pad_begin, m->pad_end);
    return status != dnnl_success ? status : create_sound(pd, &desc, engine, attr);
#endif
}

/* Whether an implementation may give wrong numbers: oneDNN 2.6.3's backward data of 1 x 1 in
 * bfloat16 does for an odd number of channels of dst at some sizes (6 x 5, not 6 x 6). */
static inline bool is_broken(const_dnnl_primitive_desc_t pd, int64_t outputs)
{
    const char *name = NULL;

    return outputs % 2 != 0 &&
           dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name) ==
               dnnl_success &&
           strncmp(name, "jit_bf16_1x1", strlen("jit_bf16_1x1")) == 0;
}

/* outputs: channels of dst. Takes the first implementation that is right. */
static inline dnnl_status_t create_backward_data(dnnl_primitive_desc_t *pd, const conv_md *m,
                                                 dnnl_engine_t engine, dnnl_primitive_attr_t attr,
                                                 dnnl_primitive_desc_t hint, int64_t outputs)
{
#if DNNL_VERSION_MAJOR >= 3
    dnnl_status_t status = dnnl_convolution_backward_data_primitive_desc_create(
        pd, engine, m->algorithm, *m->src, *m->weights, *m->dst, m->stride, m->dilation,
        m->pad_begin, m->pad_end, hint, attr);
    while (status == dnnl_success && is_broken(*pd, outputs))
        status = dnnl_primitive_desc_next_impl(*pd);
    return status;
#else
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_iterator_t all = NULL;
    dnnl_status_t status = dnnl_dilated_convolution_backward_data_desc_init(
        &desc, m->algorithm, m->src, m->weights, m->dst, m->stride, m->dilation, m->pad_begin,
        m->pad_end);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_iterator_create(&all, &desc, attr, engine, hint);
    if (status != dnnl_success)
        return status;
    *pd = dnnl_primitive_desc_iterator_fetch(all);
    while (status == dnnl_success && *pd != NULL && is_broken(*pd, outputs)) {
        dnnl_primitive_desc_destroy(*pd);
        *pd = NULL;
        status = dnnl_primitive_desc_iterator_next(all);
        if (status == dnnl_success)
            *pd = dnnl_primitive_desc_iterator_fetch(all);
    }
    dnnl_primitive_desc_iterator_destroy(all);
    return status != dnnl_success || *pd != NULL ? status : dnnl_out_of_memory;
#endif
}

static inline dnnl_status_t create_backward_weights(dnnl_primitive_desc_t *pd, const conv_md *m,
                                                    dnnl_engine_t engine,
                                                    dnnl_primitive_attr_t attr,
                                                    dnnl_primitive_desc_t hint)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_backward_weights_primitive_desc_create(
        pd, engine, m->algorithm, *m->src, *m->weights, *m->bias, *m->dst, m->stride, m->dilation,
        m->pad_begin, m->pad_end, hint, attr);
#else
    dnnl_convolution_desc_t desc;
    const dnnl_status_t status = dnnl_dilated_convolution_backward_weights_desc_init(
        &desc, m->algorithm, m->src, m->weights, m->bias, m->dst, m->stride, m->dilation,
        m->pad_begin, m->pad_end);
    return status != dnnl_success ? status
                                  : dnnl_primitive_desc_create(pd, &desc, attr, engine, hint);
#endif
}

#endif
