/* SPDX-License-Identifier: Apache-2.0 */
/* random_gates.c - blocks where one tensor weighs another. */
#include "random_draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"

static random_map gated_block(random_drawing *d, random_map x)
{
    random_map parts[2];

    x = random_layer(d, x, 2 * random_width(d));
    random_split(d, x, x.c / 2, random_flip(d), parts);
    parts[0].value = random_two(d, "Mul", parts[0].value,
                                test_op(d->graph, "Sigmoid", "", TEST_LIST(parts[1].value)));
    return parts[0];
}

static random_map excite_block(random_drawing *d, random_map x)
{
    const int64_t inner = 1 + random_draw(d, 6);
    pri_value *s = random_pooled(d, x);

    if (random_flip(d)) {
        random_map m = {s, x.c, 1, 1};
        m = random_activation(d, random_conv(d, m, inner, 1, 1, 1));
        s = random_conv(d, m, x.c, 1, 1, 1).value;
    } else {
        s = test_op(d->graph, "Flatten", "", TEST_LIST(s));
        s = test_op(d->graph, "Relu", "", TEST_LIST(random_gemm(d, s, x.c, inner)));
        s = random_gemm(d, s, inner, x.c);
        s = random_flip(d) ? random_reshape(d, s, 4, (const int64_t[]){-1, x.c, 1, 1})
                           : random_reshape(d, s, 4, (const int64_t[]){0, -1, 1, 1});
    }
    static const char *const gates[] = {"Sigmoid", "HardSigmoid", "Softmax"};
    const int64_t gate = random_draw(d, 7) / 3;
    s = test_op(d->graph, gates[gate], gate == 2 ? "axis=1" : "", TEST_LIST(s));
    x.value = random_two(d, "Mul", x.value, s);
    return x;
}

static random_map spatial_block(random_drawing *d, random_map x)
{
    random_map m = {random_mean(d, x.value, 1, (const int64_t[]){1}, true), 1, x.h, x.w};

    m = random_conv(d, m, 1, 3, 1, 1);
    x.value = random_two(d, "Mul", x.value, test_op(d->graph, "Sigmoid", "", TEST_LIST(m.value)));
    return x;
}

static random_map attention_block(random_drawing *d, random_map x)
{
    const int64_t inner = random_width(d), flat[3] = {0, inner, -1};
    const random_map q = random_conv(d, x, inner, 1, 1, 1), k = random_conv(d, x, inner, 1, 1, 1);
    const random_map v = random_conv(d, x, x.c, 1, 1, 1);

    if (x.h * x.w > 64)
        return random_plain(d, x);
    pri_value *rows = test_op(d->graph, "Transpose", "perm=[0,2,1]",
                              TEST_LIST(random_reshape(d, q.value, 3, flat)));
    pri_value *s =
        test_op(d->graph, "MatMul", "", TEST_LIST(rows, random_reshape(d, k.value, 3, flat)));
    s = test_op(d->graph, "Softmax", "axis=2", TEST_LIST(s));
    pri_value *values = random_reshape(d, v.value, 3, (const int64_t[]){0, x.c, -1});
    values = test_op(d->graph, "Transpose", "perm=[0,2,1]", TEST_LIST(values));
    values = test_op(d->graph, "MatMul", "", TEST_LIST(s, values));
    values = test_op(d->graph, "Transpose", "perm=[0,2,1]", TEST_LIST(values));
    values = random_reshape(d, values, 4, (const int64_t[]){0, x.c, x.h, x.w});
    x.value = random_two(d, "Add", x.value, values);
    return x;
}

static const random_block blocks[] = {
    {"gated", gated_block},
    {"excite", excite_block},
    {"spatial", spatial_block},
    {"attention", attention_block},
};

int random_gate_blocks(const random_block **out)
{
    *out = blocks;
    return (int)PRI_COUNT(blocks);
}
