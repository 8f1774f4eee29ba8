/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random_graph.c - see random_graph.h.
 *
 * A network is a stem, blocks from the table at the end of the file and one or two heads. Each block
 * takes a feature map and gives another one; together they cover the ways channels get coupled.
 */
#include "random_graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"

typedef struct drawing {
    pri_graph *graph;
    uint64_t seed, n; /* n: numbers drawn */
    bool is_open;     /* the batch dimension is */
} drawing;

typedef struct map {
    pri_value *value;
    int64_t c, h, w;
} map;

static int64_t draw(drawing *d, int64_t bound)
{
    return pri_random_below(bound, d->seed, PRI_STREAM_TEST, d->n++);
}

static bool flip(drawing *d)
{
    return draw(d, 2) == 1;
}

static pri_value *weight(drawing *d, int rank, const int64_t *dims, int64_t fan_in)
{
    return test_weight(d->graph, rank, dims, d->seed * 1000003 + d->n++,
                       sqrt(1.6 / (double)fan_in));
}

/* Numbers round 1, for scales, slopes and variances. */
static pri_value *near_one(drawing *d, int rank, const int64_t *dims)
{
    pri_value *value = test_weight(d->graph, rank, dims, d->seed * 1000003 + d->n++, 0.3);
    float *data = value->constant->data;

    for (int64_t i = 0; i < pri_tensor_count(value->constant); i++)
        data[i] = fabsf(data[i] + 1) + 0.1f;
    return value;
}

static pri_value *ints(drawing *d, int count, const int64_t *values)
{
    return test_ints(d->graph, count, values);
}

static int64_t divisor(drawing *d, int64_t n)
{
    int64_t found[64];
    int count = 0;

    for (int64_t k = 1; k <= n && count < 64; k++) {
        if (n % k == 0)
            found[count++] = k;
    }
    return found[draw(d, count)];
}

static int64_t width(drawing *d)
{
    return 2 + draw(d, 14);
}

/* --- Layers --- */

static map conv(drawing *d, map x, int64_t out, int64_t kernel, int64_t stride, int64_t groups)
{
    const int64_t dims[4] = {out, x.c / groups, kernel, kernel};
    char text[128];
    pri_value *in[3] = {x.value, weight(d, 4, dims, dims[1] * kernel * kernel), NULL};
    const int n_in = flip(d) ? 3 : 2;

    if (n_in == 3)
        in[2] = weight(d, 1, &out, 8);
    snprintf(text, sizeof text, "group=%lld strides=[%lld,%lld] pads=[%lld,%lld,%lld,%lld]",
             (long long)groups, (long long)stride, (long long)stride, (long long)(kernel / 2),
             (long long)(kernel / 2), (long long)(kernel / 2), (long long)(kernel / 2));
    return (map){test_op(d->graph, "Conv", text, n_in, in), out, (x.h - 1) / stride + 1,
                 (x.w - 1) / stride + 1};
}

static map batch_norm(drawing *d, map x)
{
    pri_value *in[5] = {x.value, near_one(d, 1, &x.c), weight(d, 1, &x.c, 8),
                        weight(d, 1, &x.c, 8), near_one(d, 1, &x.c)};

    x.value = test_op(d->graph, "BatchNormalization", "", 5, in);
    return x;
}

static map activation(drawing *d, map x)
{
    static const char *const names[] = {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid",
                                        "Elu"};
    const int64_t kind = draw(d, 8);

    if (kind == 7) {
        const int64_t dims[3] = {flip(d) ? x.c : 1, 1, 1};
        x.value = test_op(d->graph, "PRelu", "", TEST_LIST(x.value, near_one(d, 3, dims)));
    } else if (kind == 6) {
        pri_value *low = test_floats(d->graph, 1, (const float[]){-1});
        low->constant->shape.rank = 0;
        x.value = test_op(d->graph, "Clip", "", TEST_LIST(x.value, low));
    } else {
        x.value = test_op(d->graph, names[kind], "", TEST_LIST(x.value));
    }
    return x;
}

static map layer(drawing *d, map x, int64_t out)
{
    x = conv(d, x, out, flip(d) ? 3 : 1, 1, 1);
    if (flip(d))
        x = batch_norm(d, x);
    return activation(d, x);
}

static pri_value *concat(drawing *d, const char *axis, int n, pri_value *const *in)
{
    return test_op(d->graph, "Concat", axis, n, in);
}

/* A part of the channels by Slice. */
static map slice(drawing *d, map x, int64_t from, int64_t to)
{
    const int64_t f = from, t = to == x.c && flip(d) ? INT64_MAX : to, axis = flip(d) ? 1 : -3;

    x.value = test_op(d->graph, "Slice", "",
                      TEST_LIST(x.value, ints(d, 1, &f), ints(d, 1, &t), ints(d, 1, &axis)));
    x.c = to - from;
    return x;
}

/* Splits the channels in two by Split. */
static void split(drawing *d, map x, int64_t first, bool is_stated, map out[2])
{
    pri_value *values[2] = {pri_graph_add_value(d->graph, ""), pri_graph_add_value(d->graph, "")};
    const int64_t sizes[2] = {first, x.c - first};
    char text[96] = "axis=1";
    pri_value *in[2] = {x.value, NULL};
    int n_in = 1;

    if (is_stated && d->graph->opset >= 13) {
        in[1] = ints(d, 2, sizes);
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

static pri_value *reshape(drawing *d, pri_value *x, int count, const int64_t *dims)
{
    return test_op(d->graph, "Reshape", "", TEST_LIST(x, ints(d, count, dims)));
}

static pri_value *mean(drawing *d, pri_value *x, int count, const int64_t *axes, bool keeps)
{
    char text[96];

    if (d->graph->opset >= 18) {
        snprintf(text, sizeof text, "keepdims=%d", keeps);
        return test_op(d->graph, "ReduceMean", text, TEST_LIST(x, ints(d, count, axes)));
    }
    snprintf(text, sizeof text, count == 2 ? "keepdims=%d axes=[%lld,%lld]" : "keepdims=%d axes=[%lld]",
             keeps, (long long)axes[0], (long long)axes[count - 1]);
    return test_op(d->graph, "ReduceMean", text, TEST_LIST(x));
}

static pri_value *pooled(drawing *d, map x)
{
    switch (draw(d, 3)) {
    case 0: return mean(d, x.value, 2, (const int64_t[]){2, 3}, true);
    case 1: return test_op(d->graph, "GlobalMaxPool", "", TEST_LIST(x.value));
    default: return test_op(d->graph, "GlobalAveragePool", "", TEST_LIST(x.value));
    }
}

static pri_value *gemm(drawing *d, pri_value *x, int64_t in, int64_t out)
{
    const bool is_transposed = flip(d);
    const int64_t dims[2] = {is_transposed ? out : in, is_transposed ? in : out};
    pri_value *list[3] = {x, weight(d, 2, dims, in), weight(d, 1, &out, 8)};

    return test_op(d->graph, "Gemm", is_transposed ? "transB=1" : "", flip(d) ? 3 : 2, list);
}

static pri_value *matmul(drawing *d, pri_value *x, int64_t in, int64_t out)
{
    const int64_t dims[2] = {in, out};

    return test_op(d->graph, "MatMul", "", TEST_LIST(x, weight(d, 2, dims, in)));
}

static pri_value *two(drawing *d, const char *op, pri_value *a, pri_value *b)
{
    return flip(d) ? test_op(d->graph, op, "", TEST_LIST(a, b))
                   : test_op(d->graph, op, "", TEST_LIST(b, a));
}

/* --- Blocks --- */

static map plain_block(drawing *d, map x)
{
    return layer(d, x, width(d));
}

static map strided_block(drawing *d, map x)
{
    x = conv(d, x, width(d), 3, x.h >= 4 ? 2 : 1, 1);
    return activation(d, x);
}

static map grouped_block(drawing *d, map x)
{
    const int64_t groups = divisor(d, x.c);

    return activation(d, conv(d, x, groups * (1 + draw(d, 3)), 3, 1, groups));
}

static map grouped_wide_block(drawing *d, map x)
{
    const int64_t groups = 2 + draw(d, 2);

    x = layer(d, x, groups * (2 + draw(d, 4)));
    return layer(d, conv(d, x, groups * (1 + draw(d, 4)), 3, 1, groups), width(d));
}

static map depthwise_block(drawing *d, map x)
{
    x = activation(d, batch_norm(d, conv(d, x, x.c, 3, x.h >= 4 && flip(d) ? 2 : 1, x.c)));
    return layer(d, x, width(d));
}

static map multiplier_block(drawing *d, map x)
{
    return activation(d, conv(d, x, x.c * 2, 3, 1, x.c));
}

static map residual_block(drawing *d, map x)
{
    static const char *const sums[] = {"Add", "Add", "Sum", "Mul", "Max", "Sub"};
    map y = conv(d, layer(d, x, width(d)), x.c, 3, 1, 1);

    if (flip(d))
        y = batch_norm(d, y);
    y.value = two(d, sums[draw(d, 6)], x.value, y.value);
    return flip(d) ? activation(d, y) : y;
}

/* The shortcut of CIFAR residual networks: every second position, zero channels round it. */
static map padded_block(drawing *d, map x)
{
    const int64_t before = draw(d, 4), after = 1 + draw(d, 4), stride = x.h >= 4 && flip(d) ? 2 : 1;
    const int64_t pads[8] = {0, before, 0, 0, 0, after, 0, 0};
    map y = conv(d, layer(d, x, width(d)), x.c + before + after, 3, stride, 1);
    pri_value *shortcut = x.value;

    if (stride == 2) {
        const int64_t from[2] = {0, 0}, to[2] = {INT64_MAX, INT64_MAX};
        const int64_t axes[2] = {2, 3}, steps[2] = {2, 2};
        shortcut = test_op(d->graph, "Slice", "",
                           TEST_LIST(shortcut, ints(d, 2, from), ints(d, 2, to), ints(d, 2, axes),
                                     ints(d, 2, steps)));
    }
    shortcut = test_op(d->graph, "Pad", "", TEST_LIST(shortcut, ints(d, 8, pads)));
    y.value = two(d, "Add", y.value, shortcut);
    return activation(d, y);
}

static map concat_block(drawing *d, map x)
{
    const map a = layer(d, x, width(d)), b = layer(d, x, width(d));
    const bool takes_x = flip(d), repeats = flip(d);
    pri_value *in[4] = {a.value, b.value};
    map y = {NULL, a.c + b.c, x.h, x.w};
    int n = 2;

    if (takes_x) {
        in[n++] = x.value;
        y.c += x.c;
    }
    if (repeats) {
        in[n++] = a.value;
        y.c += a.c;
    }
    y.value = concat(d, "axis=1", n, in);
    return y;
}

static map split_block(drawing *d, map x)
{
    map parts[2];

    x = layer(d, x, 4 + width(d));
    split(d, x, 1 + draw(d, x.c - 1), true, parts);
    parts[1] = layer(d, parts[1], width(d));
    const map y = {concat(d, "axis=1", TEST_LIST(parts[1].value, parts[0].value)),
                   parts[0].c + parts[1].c, x.h, x.w};
    return y;
}

static map gated_block(drawing *d, map x)
{
    map parts[2];

    x = layer(d, x, 2 * width(d));
    split(d, x, x.c / 2, flip(d), parts);
    parts[0].value = two(d, "Mul", parts[0].value,
                         test_op(d->graph, "Sigmoid", "", TEST_LIST(parts[1].value)));
    return parts[0];
}

static map slice_block(drawing *d, map x)
{
    const map wide = layer(d, x, 4 + width(d));
    const int64_t at = 1 + draw(d, wide.c - 1);
    const map a = slice(d, wide, 0, at), b = layer(d, slice(d, wide, at, wide.c), width(d));

    return (map){concat(d, "axis=1", TEST_LIST(a.value, b.value)), a.c + b.c, x.h, x.w};
}

static map shuffle_block(drawing *d, map x)
{
    const int64_t groups = divisor(d, x.c), batch = flip(d) ? 0 : -1;
    const int64_t apart[5] = {batch, groups, x.c / groups, x.h, x.w};
    const int64_t together[4] = {batch, x.c, x.h, flip(d) && batch == 0 ? -1 : x.w};
    pri_value *y = reshape(d, x.value, 5, apart);

    y = test_op(d->graph, "Transpose", "perm=[0,2,1,3,4]", TEST_LIST(y));
    x.value = reshape(d, y, 4, together);
    return x;
}

static map gather_block(drawing *d, map x)
{
    int64_t order[256];

    pri_random_permutation(order, x.c, d->seed + d->n++, PRI_STREAM_TEST);
    const int64_t kept = flip(d) ? x.c : 1 + draw(d, x.c);
    x.value = test_op(d->graph, "Gather", "axis=1", TEST_LIST(x.value, ints(d, (int)kept, order)));
    x.c = kept;
    return x;
}

static map excite_block(drawing *d, map x)
{
    const int64_t inner = 1 + draw(d, 6);
    pri_value *s = pooled(d, x);

    if (flip(d)) {
        map m = {s, x.c, 1, 1};
        m = activation(d, conv(d, m, inner, 1, 1, 1));
        s = conv(d, m, x.c, 1, 1, 1).value;
    } else {
        s = test_op(d->graph, "Flatten", "", TEST_LIST(s));
        s = test_op(d->graph, "Relu", "", TEST_LIST(gemm(d, s, x.c, inner)));
        s = gemm(d, s, inner, x.c);
        s = flip(d) ? reshape(d, s, 4, (const int64_t[]){-1, x.c, 1, 1})
                    : reshape(d, s, 4, (const int64_t[]){0, -1, 1, 1});
    }
    s = test_op(d->graph, flip(d) ? "Sigmoid" : "HardSigmoid", "", TEST_LIST(s));
    x.value = two(d, "Mul", x.value, s);
    return x;
}

static map transposed_block(drawing *d, map x)
{
    const int64_t groups = flip(d) ? 1 : flip(d) ? x.c : divisor(d, x.c);
    const int64_t per_group = 1 + draw(d, groups > 4 ? 2 : 6);
    const int64_t dims[4] = {x.c, per_group, 2, 2};
    char text[64];

    if (x.h > 8)
        return plain_block(d, x);
    snprintf(text, sizeof text, "strides=[2,2] group=%lld", (long long)groups);
    x.value = test_op(d->graph, "ConvTranspose", text,
                      TEST_LIST(x.value, weight(d, 4, dims, x.c / groups)));
    return activation(d, (map){x.value, per_group * groups, 2 * x.h, 2 * x.w});
}

static map resize_block(drawing *d, map x)
{
    static const char *const modes[] = {"mode=nearest", "mode=linear",
                                        "mode=linear coordinate_transformation_mode=align_corners"};
    const char *mode = modes[draw(d, 3)];

    if (x.h > 8)
        return plain_block(d, x);
    if (flip(d) || d->is_open) {
        const float scales[4] = {1, 1, 2, 2};
        x.value = test_op(d->graph, "Resize", mode,
                          TEST_LIST(x.value, NULL, test_floats(d->graph, 4, scales)));
    } else {
        const int64_t sizes[4] = {1, x.c, 2 * x.h, 2 * x.w};
        x.value =
            test_op(d->graph, "Resize", mode, TEST_LIST(x.value, NULL, NULL, ints(d, 4, sizes)));
    }
    return (map){x.value, x.c, 2 * x.h, 2 * x.w};
}

static map pool_block(drawing *d, map x)
{
    if (x.h < 4 || x.w < 4)
        return plain_block(d, x);
    x.value = test_op(d->graph, flip(d) ? "MaxPool" : "AveragePool",
                      "kernel_shape=[2,2] strides=[2,2]", TEST_LIST(x.value));
    return (map){x.value, x.c, x.h / 2, x.w / 2};
}

static map spatial_block(drawing *d, map x)
{
    map m = {mean(d, x.value, 1, (const int64_t[]){1}, true), 1, x.h, x.w};

    m = conv(d, m, 1, 3, 1, 1);
    x.value = two(d, "Mul", x.value, test_op(d->graph, "Sigmoid", "", TEST_LIST(m.value)));
    return x;
}

static map constant_block(drawing *d, map x)
{
    const int64_t dims[4] = {1, x.c, 1, 1}, area[2] = {x.h, x.w};

    x.value = two(d, "Mul", x.value, near_one(d, 4, dims));
    x.value = two(d, "Add", x.value, weight(d, 3, dims + 1, 8));
    if (flip(d))
        x.value = two(d, "Add", x.value, weight(d, 2, area, 8));
    return x;
}

/* A 1x1 convolution written as a product of the last axis. */
static map token_block(drawing *d, map x)
{
    const int64_t out = width(d);
    pri_value *y = x.value;

    if (flip(d)) {
        y = test_op(d->graph, "Transpose", "perm=[0,2,3,1]", TEST_LIST(y));
        y = test_op(d->graph, "Transpose", "perm=[0,3,1,2]", TEST_LIST(matmul(d, y, x.c, out)));
    } else {
        y = reshape(d, y, 3, (const int64_t[]){0, x.c, -1});
        y = test_op(d->graph, "Transpose", "perm=[0,2,1]", TEST_LIST(y));
        y = test_op(d->graph, "Transpose", "perm=[0,2,1]", TEST_LIST(matmul(d, y, x.c, out)));
        y = reshape(d, y, 4, (const int64_t[]){0, out, x.h, x.w});
    }
    return activation(d, (map){y, out, x.h, x.w});
}

/* Similarity of positions: a product of two activations, summed over channels. */
static map attention_block(drawing *d, map x)
{
    const int64_t inner = width(d), flat[3] = {0, inner, -1};
    const map q = conv(d, x, inner, 1, 1, 1), k = conv(d, x, inner, 1, 1, 1);
    const map v = conv(d, x, x.c, 1, 1, 1);

    if (x.h * x.w > 64)
        return plain_block(d, x);
    pri_value *rows = test_op(d->graph, "Transpose", "perm=[0,2,1]",
                              TEST_LIST(reshape(d, q.value, 3, flat)));
    pri_value *s = test_op(d->graph, "MatMul", "", TEST_LIST(rows, reshape(d, k.value, 3, flat)));
    s = test_op(d->graph, "Softmax", "axis=2", TEST_LIST(s));
    pri_value *values = reshape(d, v.value, 3, (const int64_t[]){0, x.c, -1});
    values = test_op(d->graph, "Transpose", "perm=[0,2,1]", TEST_LIST(values));
    values = test_op(d->graph, "MatMul", "", TEST_LIST(s, values));
    values = test_op(d->graph, "Transpose", "perm=[0,2,1]", TEST_LIST(values));
    values = reshape(d, values, 4, (const int64_t[]){0, x.c, x.h, x.w});
    x.value = two(d, "Add", x.value, values);
    return x;
}

static map expand_block(drawing *d, map x)
{
    const int64_t dims[4] = {1, x.c, x.h, x.w};
    pri_value *y = pooled(d, layer(d, x, x.c));

    y = test_op(d->graph, "Expand", "", TEST_LIST(y, ints(d, 4, dims)));
    x.value = two(d, "Add", x.value, y);
    return x;
}

static map shared_block(drawing *d, map x)
{
    const int64_t dims[4] = {x.c, x.c, 1, 1};
    pri_value *shared = weight(d, 4, dims, x.c);

    for (int k = 0; k < 2; k++) {
        x.value = test_op(d->graph, "Conv", "", TEST_LIST(x.value, shared));
        x = activation(d, x);
    }
    return x;
}

static map lrn_block(drawing *d, map x)
{
    x.value = test_op(d->graph, "LRN", "size=3 alpha=0.5f", TEST_LIST(x.value));
    return layer(d, x, width(d));
}

/* Channels to pixels and back to channels; one of the two alone where the size does not allow both. */
static map depth_block(drawing *d, map x)
{
    if (x.h > 8 && (x.h % 2 != 0 || x.w % 2 != 0))
        return plain_block(d, x);
    if (x.h > 8 || (x.h % 2 == 0 && x.w % 2 == 0 && flip(d))) {
        x.value = test_op(d->graph, "SpaceToDepth", "blocksize=2", TEST_LIST(x.value));
        return (map){x.value, 4 * x.c, x.h / 2, x.w / 2};
    }
    x = layer(d, x, 4 * (1 + draw(d, 4)));
    x.value = test_op(d->graph, "DepthToSpace", flip(d) ? "blocksize=2" : "blocksize=2 mode=CRD",
                      TEST_LIST(x.value));
    return (map){x.value, x.c / 4, 2 * x.h, 2 * x.w};
}

static map instance_block(drawing *d, map x)
{
    x.value = test_op(d->graph, "InstanceNormalization", "",
                      TEST_LIST(x.value, near_one(d, 1, &x.c), weight(d, 1, &x.c, 8)));
    return x;
}

/* Every channel twice, then one of two by a comparison. */
static map tile_block(drawing *d, map x)
{
    const int64_t repeats[4] = {1, 2, 1, 1};
    pri_value *limit = test_floats(d->graph, 1, (const float[]){0.1f});

    x.value = test_op(d->graph, "Tile", "", TEST_LIST(x.value, ints(d, 4, repeats)));
    x.c *= 2;
    pri_value *condition = test_op(d->graph, "Greater", "", TEST_LIST(x.value, limit));
    pri_value *other = conv(d, x, x.c, 1, 1, 1).value;
    x.value = test_op(d->graph, "Where", "", TEST_LIST(condition, x.value, other));
    return x;
}

static const struct {
    const char *name;
    map (*draw)(drawing *d, map x);
} blocks[] = {
    {"plain", plain_block},           {"strided", strided_block},
    {"grouped", grouped_block},       {"grouped-wide", grouped_wide_block},
    {"depthwise", depthwise_block},   {"multiplier", multiplier_block},
    {"residual", residual_block},     {"padded", padded_block},
    {"concat", concat_block},         {"split", split_block},
    {"gated", gated_block},           {"slice", slice_block},
    {"shuffle", shuffle_block},       {"gather", gather_block},
    {"excite", excite_block},         {"transposed", transposed_block},
    {"resize", resize_block},         {"pool", pool_block},
    {"spatial", spatial_block},       {"constant", constant_block},
    {"token", token_block},           {"attention", attention_block},
    {"expand", expand_block},         {"shared", shared_block},
    {"lrn", lrn_block},               {"residual", residual_block},
    {"depth", depth_block},           {"instance", instance_block},
    {"tile", tile_block},
};

/* --- Heads --- */

/* The batch read from the shape, as exporters write it. */
static pri_value *shape_of_rows(drawing *d, map x)
{
    const int64_t zero = 0, rest = x.c * x.h * x.w;
    pri_value *batch = test_op(d->graph, "Shape", "", TEST_LIST(x.value));

    batch = test_op(d->graph, "Gather", "axis=0", TEST_LIST(batch, ints(d, 1, &zero)));
    return concat(d, "axis=0", TEST_LIST(batch, ints(d, 1, &rest)));
}

static pri_value *class_head(drawing *d, map x)
{
    const int64_t classes = 2 + draw(d, 4), all = x.c * x.h * x.w;

    switch (draw(d, 6)) {
    case 0: return gemm(d, test_op(d->graph, "Flatten", "", TEST_LIST(pooled(d, x))), x.c, classes);
    case 1: return gemm(d, mean(d, x.value, 2, (const int64_t[]){2, 3}, false), x.c, classes);
    case 2: return gemm(d, test_op(d->graph, "Flatten", "", TEST_LIST(x.value)), all, classes);
    case 3: {
        const int64_t dims[2] = {d->is_open || flip(d) ? 0 : 1, flip(d) ? -1 : all};
        return matmul(d, reshape(d, x.value, 2, dims), all, classes);
    }
    case 4: {
        pri_value *y = test_op(d->graph, "Reshape", "", TEST_LIST(x.value, shape_of_rows(d, x)));
        return gemm(d, test_op(d->graph, "Relu", "", TEST_LIST(gemm(d, y, all, 8))), 8, classes);
    }
    default: {
        pri_value *y = pooled(d, conv(d, x, classes, 1, 1, 1));
        y = test_op(d->graph, "Flatten", "", TEST_LIST(y));
        return test_op(d->graph, "Softmax", "axis=1", TEST_LIST(y));
    }
    }
}

static pri_value *mask_head(drawing *d, map x)
{
    const int64_t classes = 2 + draw(d, 3);

    x = conv(d, x, classes, 1, 1, 1);
    if (flip(d))
        x = resize_block(d, x);
    return flip(d) ? test_op(d->graph, "Softmax", "axis=1", TEST_LIST(x.value)) : x.value;
}

static void add_word(char *text, size_t size, const char *word)
{
    const size_t used = strlen(text);

    if (used + 1 < size)
        snprintf(text + used, size - used, "%s%s", used > 0 ? " " : "", word);
}

/* Exporters state the shapes of outputs; a cut has to keep them true. */
static void declare_outputs(pare_model *model, bool is_open)
{
    pri_facts *facts = NULL;

    test_ok(model->ctx, pri_facts_infer(&facts, model, 1, false));
    for (int k = 0; k < model->graph->n_outputs; k++) {
        pri_value *value = model->graph->outputs[k];
        value->shape = facts->of[value->id].shape;
        value->has_shape = true;
        if (is_open)
            value->shape.dims[0] = PRI_DYNAMIC;
    }
    pri_facts_free(facts);
}

pare_model *test_random_model(pare_context *ctx, uint64_t seed, char *text, size_t text_size)
{
    static const int opsets[] = {11, 13, 18};
    drawing d = {.seed = seed};

    d.graph = test_graph(ctx, opsets[draw(&d, 3)]);
    d.is_open = flip(&d);
    const int64_t size = 4 + draw(&d, 8), dims[4] = {d.is_open ? PRI_DYNAMIC : 1, 1 + draw(&d, 3),
                                                     size, size + draw(&d, 3)};
    map x = {test_input(d.graph, "input", 4, dims), dims[1], dims[2], dims[3]};
    text[0] = '\0';
    x = layer(&d, x, width(&d));
    const int64_t n = 2 + draw(&d, 5);
    for (int64_t i = 0; i < n; i++) {
        const int64_t kind = draw(&d, (int64_t)PRI_COUNT(blocks));
        add_word(text, text_size, blocks[kind].name);
        x = blocks[kind].draw(&d, x);
        if (x.c > 40)
            x = layer(&d, x, width(&d));
    }
    const int64_t heads = draw(&d, 4);
    add_word(text, text_size, heads == 0 ? "| class, mask" : heads == 1 ? "| mask" : "| class");
    if (heads != 1)
        test_output(d.graph, class_head(&d, x));
    if (heads <= 1)
        test_output(d.graph, mask_head(&d, x));
    pare_model *model = test_model(d.graph);
    declare_outputs(model, d.is_open);
    return model;
}
