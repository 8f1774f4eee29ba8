/* SPDX-License-Identifier: Apache-2.0 */
/* random_blocks.c - blocks of layers. */
#include "random_draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"

random_map random_plain(random_drawing *d, random_map x)
{
    return random_layer(d, x, random_width(d));
}

static random_map strided_block(random_drawing *d, random_map x)
{
    x = random_conv(d, x, random_width(d), 3, x.h >= 4 ? 2 : 1, 1);
    return random_activation(d, x);
}

static random_map grouped_block(random_drawing *d, random_map x)
{
    const int64_t groups = random_divisor(d, x.c);

    return random_activation(d, random_conv(d, x, groups * (1 + random_draw(d, 3)), 3, 1, groups));
}

static random_map grouped_wide_block(random_drawing *d, random_map x)
{
    const int64_t groups = 2 + random_draw(d, 2);

    x = random_layer(d, x, groups * (2 + random_draw(d, 4)));
    return random_layer(d, random_conv(d, x, groups * (1 + random_draw(d, 4)), 3, 1, groups),
                        random_width(d));
}

static random_map depthwise_block(random_drawing *d, random_map x)
{
    x = random_activation(
        d,
        random_batch_norm(d, random_conv(d, x, x.c, 3, x.h >= 4 && random_flip(d) ? 2 : 1, x.c)));
    return random_layer(d, x, random_width(d));
}

static random_map multiplier_block(random_drawing *d, random_map x)
{
    return random_activation(d, random_conv(d, x, x.c * 2, 3, 1, x.c));
}

static random_map residual_block(random_drawing *d, random_map x)
{
    static const char *const sums[] = {"Add", "Add", "Sum", "Mul", "Max", "Sub"};
    random_map y = random_conv(d, random_layer(d, x, random_width(d)), x.c, 3, 1, 1);

    if (random_flip(d))
        y = random_batch_norm(d, y);
    y.value = random_two(d, sums[random_draw(d, 6)], x.value, y.value);
    return random_flip(d) ? random_activation(d, y) : y;
}

static random_map transposed_block(random_drawing *d, random_map x)
{
    const int64_t groups = random_flip(d) ? 1 : random_flip(d) ? x.c : random_divisor(d, x.c);
    const int64_t per_group = 1 + random_draw(d, groups > 4 ? 2 : 6);
    const int64_t dims[4] = {x.c, per_group, 2, 2};
    char text[64];

    if (x.h > 8)
        return random_plain(d, x);
    snprintf(text, sizeof text, "strides=[2,2] group=%lld", (long long)groups);
    x.value = test_op(d->graph, "ConvTranspose", text,
                      TEST_LIST(x.value, random_weight(d, 4, dims, x.c / groups)));
    return random_activation(d, (random_map){x.value, per_group * groups, 2 * x.h, 2 * x.w});
}

static random_map shared_block(random_drawing *d, random_map x)
{
    const int64_t dims[4] = {x.c, x.c, 1, 1};
    pri_value *shared = random_weight(d, 4, dims, x.c);

    for (int k = 0; k < 2; k++) {
        x.value = test_op(d->graph, "Conv", "", TEST_LIST(x.value, shared));
        x = random_activation(d, x);
    }
    return x;
}

static random_map lrn_block(random_drawing *d, random_map x)
{
    x.value = test_op(d->graph, "LRN", "size=3 alpha=0.5f", TEST_LIST(x.value));
    return random_layer(d, x, random_width(d));
}

static random_map pool_block(random_drawing *d, random_map x)
{
    if (x.h < 4 || x.w < 4)
        return random_plain(d, x);
    x.value = test_op(d->graph, random_flip(d) ? "MaxPool" : "AveragePool",
                      "kernel_shape=[2,2] strides=[2,2]", TEST_LIST(x.value));
    return (random_map){x.value, x.c, x.h / 2, x.w / 2};
}

static random_map instance_block(random_drawing *d, random_map x)
{
    x.value =
        test_op(d->graph, "InstanceNormalization", "",
                TEST_LIST(x.value, random_near_one(d, 1, &x.c), random_weight(d, 1, &x.c, 8)));
    return x;
}

static random_map constant_block(random_drawing *d, random_map x)
{
    const int64_t dims[4] = {1, x.c, 1, 1}, area[2] = {x.h, x.w};

    x.value = random_two(d, "Mul", x.value, random_near_one(d, 4, dims));
    x.value = random_two(d, "Add", x.value, random_weight(d, 3, dims + 1, 8));
    if (random_flip(d))
        x.value = random_two(d, "Add", x.value, random_weight(d, 2, area, 8));
    return x;
}

static random_map token_block(random_drawing *d, random_map x)
{
    const int64_t out = random_width(d);
    pri_value *y = x.value;

    if (random_flip(d)) {
        y = test_op(d->graph, "Transpose", "perm=[0,2,3,1]", TEST_LIST(y));
        y = test_op(d->graph, "Transpose", "perm=[0,3,1,2]",
                    TEST_LIST(random_matmul(d, y, x.c, out)));
    } else {
        y = random_reshape(d, y, 3, (const int64_t[]){0, x.c, -1});
        y = test_op(d->graph, "Transpose", "perm=[0,2,1]", TEST_LIST(y));
        y = test_op(d->graph, "Transpose", "perm=[0,2,1]",
                    TEST_LIST(random_matmul(d, y, x.c, out)));
        y = random_reshape(d, y, 4, (const int64_t[]){0, out, x.h, x.w});
    }
    return random_activation(d, (random_map){y, out, x.h, x.w});
}

static const random_block blocks[] = {
    {"plain", random_plain},        {"strided", strided_block},
    {"grouped", grouped_block},     {"grouped-wide", grouped_wide_block},
    {"depthwise", depthwise_block}, {"multiplier", multiplier_block},
    {"residual", residual_block},   {"transposed", transposed_block},
    {"shared", shared_block},       {"lrn", lrn_block},
    {"pool", pool_block},           {"instance", instance_block},
    {"constant", constant_block},   {"token", token_block},
};

int random_layer_blocks(const random_block **out)
{
    *out = blocks;
    return (int)PRI_COUNT(blocks);
}
