/* SPDX-License-Identifier: Apache-2.0 */
/* random_norms.c - blocks round normalisation, NHWC, products other than Conv, odd poolings. */
#include "random_draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static pri_value *scalar(random_drawing *d, float number)
{
    pri_value *value = test_floats(d->graph, 1, &number);

    value->constant->shape.rank = 0;
    return value;
}

/* GroupNormalization as exporters write it before opset 18: groups become channels of an
 * InstanceNormalization. */
static pri_value *group_norm(random_drawing *d, random_map x, int64_t groups)
{
    const int64_t apart[3] = {0, groups, -1}, together[4] = {0, x.c, x.h, x.w};
    const int64_t dims[3] = {x.c, 1, 1};
    pri_value *y = random_reshape(d, x.value, 3, apart);

    y = test_op(d->graph, "InstanceNormalization", "",
                TEST_LIST(y, random_near_one(d, 1, &groups), random_weight(d, 1, &groups, 8)));
    y = random_reshape(d, y, 4, together);
    y = test_op(d->graph, "Mul", "", TEST_LIST(y, random_near_one(d, 3, dims)));
    return test_op(d->graph, "Add", "", TEST_LIST(y, random_weight(d, 3, dims, 8)));
}

static random_map group_norm_block(random_drawing *d, random_map x)
{
    const int64_t groups = 2 + random_draw(d, 3);
    const int64_t counts = groups;
    char text[32];

    x = random_layer(d, x, groups * (1 + random_draw(d, 4)));
    snprintf(text, sizeof text, "num_groups=%lld", (long long)groups);
    if (d->graph->opset >= 18)
        x.value = test_op(
            d->graph, "GroupNormalization", text,
            TEST_LIST(x.value, random_near_one(d, 1, &counts), random_weight(d, 1, &counts, 8)));
    else
        x.value = group_norm(d, x, groups);
    return random_layer(d, x, random_width(d));
}

/* Channels last between two Transposes: normalisation over them, a product, a bias. */
static random_map nhwc_block(random_drawing *d, random_map x)
{
    const int64_t out = random_width(d), inner = random_width(d);
    pri_value *y = test_op(d->graph, "Transpose", "perm=[0,2,3,1]", TEST_LIST(x.value));

    if (random_flip(d) && d->graph->opset >= 18)
        y = test_op(d->graph, "LayerNormalization", "axis=-1",
                    TEST_LIST(y, random_near_one(d, 1, &x.c), random_weight(d, 1, &x.c, 8)));
    y = random_matmul(d, y, x.c, inner);
    y = random_two(d, "Add", y, random_weight(d, 1, &inner, 8));
    y = test_op(d->graph, "Relu", "", TEST_LIST(y));
    y = random_matmul(d, y, inner, out);
    y = test_op(d->graph, "Transpose", "perm=[0,3,1,2]", TEST_LIST(y));
    return random_activation(d, (random_map){y, out, x.h, x.w});
}

/* The weight on the left: W [out][in] times X [in][positions]. */
static random_map left_block(random_drawing *d, random_map x)
{
    const int64_t out = random_width(d), dims[2] = {out, x.c};
    pri_value *y = random_reshape(d, x.value, 3, (const int64_t[]){0, x.c, -1});

    y = test_op(d->graph, "MatMul", "", TEST_LIST(random_weight(d, 2, dims, x.c), y));
    y = random_reshape(d, y, 4, (const int64_t[]){0, out, x.h, x.w});
    return random_activation(d, (random_map){y, out, x.h, x.w});
}

static random_map einsum_block(random_drawing *d, random_map x)
{
    const bool is_kn = random_flip(d);
    const int64_t out = random_width(d), dims[2] = {is_kn ? x.c : out, is_kn ? out : x.c};

    if (d->graph->opset < 12)
        return random_plain(d, x);
    x.value =
        test_op(d->graph, "Einsum", is_kn ? "equation=bchw,co->bohw" : "equation=bchw,oc->bohw",
                TEST_LIST(x.value, random_weight(d, 2, dims, x.c)));
    return random_activation(d, (random_map){x.value, out, x.h, x.w});
}

/* What a pooling took is put back where it was. */
static random_map unpool_block(random_drawing *d, random_map x)
{
    pri_value *pooled[2] = {pri_graph_add_value(d->graph, ""), pri_graph_add_value(d->graph, "")};

    if (x.h % 2 != 0 || x.w % 2 != 0)
        return random_plain(d, x);
    (void)test_node(d->graph, "MaxPool", "kernel_shape=[2,2] strides=[2,2]", TEST_LIST(x.value), 2,
                    pooled);
    random_map y = {pooled[0], x.c, x.h / 2, x.w / 2};
    if (random_flip(d))
        y = random_activation(d, random_conv(d, y, x.c, 3, 1, 1));
    x.value = test_op(d->graph, "MaxUnpool", "kernel_shape=[2,2] strides=[2,2]",
                      TEST_LIST(y.value, pooled[1]));
    return x;
}

/* To eight bits and back. */
static random_map quantized_block(random_drawing *d, random_map x)
{
    pri_value *q = test_op(d->graph, "QuantizeLinear", "", TEST_LIST(x.value, scalar(d, 0.125f)));

    x.value = test_op(d->graph, "DequantizeLinear", "", TEST_LIST(q, scalar(d, 0.125f)));
    return random_layer(d, x, random_width(d));
}

/* A further input of the network. */
static random_map input_block(random_drawing *d, random_map x)
{
    const int64_t dims[4] = {d->is_open ? PRI_DYNAMIC : 1, 1 + random_draw(d, 3), x.h, x.w};
    random_map other = {test_input(d->graph, "", 4, dims), dims[1], x.h, x.w};

    other = random_conv(d, other, x.c, 3, 1, 1);
    x.value = random_two(d, "Add", x.value, other.value);
    return random_activation(d, x);
}

static random_map lp_block(random_drawing *d, random_map x)
{
    if (random_flip(d))
        x.value = test_op(d->graph, "LpNormalization", "axis=1", TEST_LIST(x.value));
    else
        x.value =
            test_op(d->graph, "LpPool", "kernel_shape=[3,3] pads=[1,1,1,1]", TEST_LIST(x.value));
    return random_layer(d, x, random_width(d));
}

static const random_block blocks[] = {
    {"group-norm", group_norm_block}, {"nhwc", nhwc_block},     {"left", left_block},
    {"einsum", einsum_block},         {"unpool", unpool_block}, {"quantized", quantized_block},
    {"input", input_block},           {"lp", lp_block},
};

int random_norm_blocks(const random_block **out)
{
    *out = blocks;
    return (int)PRI_COUNT(blocks);
}
