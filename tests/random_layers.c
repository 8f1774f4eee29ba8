/* SPDX-License-Identifier: Apache-2.0 */
/* random_layers.c - the layers random networks are made of. */
#include "random_draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"

int64_t random_draw(random_drawing *d, int64_t bound)
{
    return pri_random_below(bound, d->seed, PRI_STREAM_TEST, d->n++);
}

bool random_flip(random_drawing *d)
{
    return random_draw(d, 2) == 1;
}

pri_value *random_weight(random_drawing *d, int rank, const int64_t *dims, int64_t fan_in)
{
    return test_weight(d->graph, rank, dims, d->seed * 1000003 + d->n++,
                       sqrt(1.6 / (double)fan_in));
}

/* Numbers round 1, for scales, slopes and variances. */
pri_value *random_near_one(random_drawing *d, int rank, const int64_t *dims)
{
    pri_value *value = test_weight(d->graph, rank, dims, d->seed * 1000003 + d->n++, 0.3);
    float *data = value->constant->data;

    for (int64_t i = 0; i < pri_tensor_count(value->constant); i++)
        data[i] = fabsf(data[i] + 1) + 0.1f;
    return value;
}

pri_value *random_ints(random_drawing *d, int count, const int64_t *values)
{
    return test_ints(d->graph, count, values);
}

int64_t random_divisor(random_drawing *d, int64_t n)
{
    int64_t found[64];
    int count = 0;

    for (int64_t k = 1; k <= n && count < 64; k++) {
        if (n % k == 0)
            found[count++] = k;
    }
    return found[random_draw(d, count)];
}

int64_t random_width(random_drawing *d)
{
    return 2 + random_draw(d, 14);
}

/* --- Layers --- */

/* Some weights stand behind another operator: Identity, DequantizeLinear, Transpose. */
static pri_value *conv_weight(random_drawing *d, const int64_t dims[4], int64_t fan_in)
{
    const int64_t swapped[4] = {dims[1], dims[0], dims[2], dims[3]};
    const pri_shape shape = pri_shape_of(4, dims);
    pri_tensor *bytes = NULL;

    switch (random_draw(d, 12)) {
    case 0: return test_op(d->graph, "Identity", "", TEST_LIST(random_weight(d, 4, dims, fan_in)));
    case 1:
        return test_op(d->graph, "Transpose", "perm=[1,0,2,3]",
                       TEST_LIST(random_weight(d, 4, swapped, fan_in)));
    case 2: {
        const float scale = 0.01f / (float)sqrt((double)fan_in);
        pri_value *one = test_floats(d->graph, 1, &scale);
        one->constant->shape.rank = 0;
        test_ok(d->graph->ctx, pri_tensor_new(&bytes, d->graph->ctx, PRI_I8, &shape));
        for (int64_t i = 0; i < pri_tensor_count(bytes); i++)
            ((int8_t *)bytes->data)[i] = (int8_t)(random_draw(d, 255) - 127);
        pri_value *q = pri_graph_add_constant(d->graph, "", bytes);
        assert_non_null(q);
        return test_op(d->graph, "DequantizeLinear", "", TEST_LIST(q, one));
    }
    default: return random_weight(d, 4, dims, fan_in);
    }
}

random_map random_conv(random_drawing *d, random_map x, int64_t out, int64_t kernel, int64_t stride,
                       int64_t groups)
{
    const int64_t dims[4] = {out, x.c / groups, kernel, kernel};
    char text[128];
    pri_value *in[3] = {x.value, conv_weight(d, dims, dims[1] * kernel * kernel), NULL};
    const int n_in = random_flip(d) ? 3 : 2;

    if (n_in == 3)
        in[2] = random_weight(d, 1, &out, 8);
    snprintf(text, sizeof text, "group=%lld strides=[%lld,%lld] pads=[%lld,%lld,%lld,%lld]",
             (long long)groups, (long long)stride, (long long)stride, (long long)(kernel / 2),
             (long long)(kernel / 2), (long long)(kernel / 2), (long long)(kernel / 2));
    return (random_map){test_op(d->graph, "Conv", text, n_in, in), out, (x.h - 1) / stride + 1,
                        (x.w - 1) / stride + 1};
}

random_map random_batch_norm(random_drawing *d, random_map x)
{
    pri_value *in[5] = {x.value, random_near_one(d, 1, &x.c), random_weight(d, 1, &x.c, 8),
                        random_weight(d, 1, &x.c, 8), random_near_one(d, 1, &x.c)};

    x.value = test_op(d->graph, "BatchNormalization", "", 5, in);
    return x;
}

random_map random_activation(random_drawing *d, random_map x)
{
    static const char *const names[] = {"Relu", "LeakyRelu",   "Sigmoid",
                                        "Tanh", "HardSigmoid", "Elu"};
    const int64_t kind = random_draw(d, 8);

    if (kind == 7) {
        const int64_t dims[3] = {random_flip(d) ? x.c : 1, 1, 1};
        x.value = test_op(d->graph, "PRelu", "", TEST_LIST(x.value, random_near_one(d, 3, dims)));
    } else if (kind == 6) {
        pri_value *low = test_floats(d->graph, 1, (const float[]){-1});
        low->constant->shape.rank = 0;
        x.value = test_op(d->graph, "Clip", "", TEST_LIST(x.value, low));
    } else {
        x.value = test_op(d->graph, names[kind], "", TEST_LIST(x.value));
    }
    return x;
}

random_map random_layer(random_drawing *d, random_map x, int64_t out)
{
    x = random_conv(d, x, out, random_flip(d) ? 3 : 1, 1, 1);
    if (random_flip(d))
        x = random_batch_norm(d, x);
    return random_activation(d, x);
}

pri_value *random_concat(random_drawing *d, const char *axis, int n, pri_value *const *in)
{
    return test_op(d->graph, "Concat", axis, n, in);
}

/* A part of the channels by Slice. */
random_map random_slice(random_drawing *d, random_map x, int64_t from, int64_t to)
{
    const int64_t f = from, t = to == x.c && random_flip(d) ? INT64_MAX : to,
                  axis = random_flip(d) ? 1 : -3;

    x.value = test_op(
        d->graph, "Slice", "",
        TEST_LIST(x.value, random_ints(d, 1, &f), random_ints(d, 1, &t), random_ints(d, 1, &axis)));
    x.c = to - from;
    return x;
}

/* Splits the channels in two by Split. */
void random_split(random_drawing *d, random_map x, int64_t first, bool is_stated, random_map out[2])
{
    pri_value *values[2] = {pri_graph_add_value(d->graph, ""), pri_graph_add_value(d->graph, "")};
    const int64_t sizes[2] = {first, x.c - first};
    char text[96] = "axis=1";
    pri_value *in[2] = {x.value, NULL};
    int n_in = 1;

    if (is_stated && d->graph->opset >= 13) {
        in[1] = random_ints(d, 2, sizes);
        n_in = 2;
    } else if (is_stated) {
        snprintf(text, sizeof text, "axis=1 split=[%lld,%lld]", (long long)sizes[0],
                 (long long)sizes[1]);
    } else if (d->graph->opset >= 18) {
        snprintf(text, sizeof text, "axis=1 num_outputs=2");
    }
    (void)test_node(d->graph, "Split", text, n_in, in, 2, values);
    for (int k = 0; k < 2; k++) {
        out[k] = x;
        out[k].value = values[k];
        out[k].c = sizes[k];
    }
}

pri_value *random_reshape(random_drawing *d, pri_value *x, int count, const int64_t *dims)
{
    return test_op(d->graph, "Reshape", "", TEST_LIST(x, random_ints(d, count, dims)));
}

pri_value *random_mean(random_drawing *d, pri_value *x, int count, const int64_t *axes, bool keeps)
{
    char text[96];

    if (d->graph->opset >= 18) {
        snprintf(text, sizeof text, "keepdims=%d", keeps);
        return test_op(d->graph, "ReduceMean", text, TEST_LIST(x, random_ints(d, count, axes)));
    }
    snprintf(text, sizeof text,
             count == 2 ? "keepdims=%d axes=[%lld,%lld]" : "keepdims=%d axes=[%lld]", keeps,
             (long long)axes[0], (long long)axes[count - 1]);
    return test_op(d->graph, "ReduceMean", text, TEST_LIST(x));
}

pri_value *random_pooled(random_drawing *d, random_map x)
{
    switch (random_draw(d, 3)) {
    case 0: return random_mean(d, x.value, 2, (const int64_t[]){2, 3}, true);
    case 1: return test_op(d->graph, "GlobalMaxPool", "", TEST_LIST(x.value));
    default: return test_op(d->graph, "GlobalAveragePool", "", TEST_LIST(x.value));
    }
}

pri_value *random_gemm(random_drawing *d, pri_value *x, int64_t in, int64_t out)
{
    const bool is_transposed = random_flip(d);
    const int64_t dims[2] = {is_transposed ? out : in, is_transposed ? in : out};
    pri_value *list[3] = {x, random_weight(d, 2, dims, in), random_weight(d, 1, &out, 8)};

    return test_op(d->graph, "Gemm", is_transposed ? "transB=1" : "", random_flip(d) ? 3 : 2, list);
}

pri_value *random_matmul(random_drawing *d, pri_value *x, int64_t in, int64_t out)
{
    const int64_t dims[2] = {in, out};

    return test_op(d->graph, "MatMul", "", TEST_LIST(x, random_weight(d, 2, dims, in)));
}

pri_value *random_two(random_drawing *d, const char *op, pri_value *a, pri_value *b)
{
    return random_flip(d) ? test_op(d->graph, op, "", TEST_LIST(a, b))
                          : test_op(d->graph, op, "", TEST_LIST(b, a));
}
