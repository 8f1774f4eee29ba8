/* SPDX-License-Identifier: Apache-2.0 */
/* random_moves.c - blocks that move channels about. */
#include "random_draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"

static random_map padded_block(random_drawing *d, random_map x)
{
    const int64_t before = random_draw(d, 4), after = 1 + random_draw(d, 4),
                  stride = x.h >= 4 && random_flip(d) ? 2 : 1;
    const int64_t pads[8] = {0, before, 0, 0, 0, after, 0, 0};
    random_map y =
        random_conv(d, random_layer(d, x, random_width(d)), x.c + before + after, 3, stride, 1);
    pri_value *shortcut = x.value;

    if (stride == 2) {
        const int64_t from[2] = {0, 0}, to[2] = {INT64_MAX, INT64_MAX};
        const int64_t axes[2] = {2, 3}, steps[2] = {2, 2};
        shortcut = test_op(d->graph, "Slice", "",
                           TEST_LIST(shortcut, random_ints(d, 2, from), random_ints(d, 2, to),
                                     random_ints(d, 2, axes), random_ints(d, 2, steps)));
    }
    shortcut = test_op(d->graph, "Pad", "", TEST_LIST(shortcut, random_ints(d, 8, pads)));
    y.value = random_two(d, "Add", y.value, shortcut);
    return random_activation(d, y);
}

static random_map concat_block(random_drawing *d, random_map x)
{
    const random_map a = random_layer(d, x, random_width(d)),
                     b = random_layer(d, x, random_width(d));
    const bool takes_x = random_flip(d), repeats = random_flip(d);
    pri_value *in[4] = {a.value, b.value};
    random_map y = {NULL, a.c + b.c, x.h, x.w};
    int n = 2;

    if (takes_x) {
        in[n++] = x.value;
        y.c += x.c;
    }
    if (repeats) {
        in[n++] = a.value;
        y.c += a.c;
    }
    y.value = random_concat(d, "axis=1", n, in);
    return y;
}

static random_map split_block(random_drawing *d, random_map x)
{
    random_map parts[2];

    x = random_layer(d, x, 4 + random_width(d));
    random_split(d, x, 1 + random_draw(d, x.c - 1), true, parts);
    parts[1] = random_layer(d, parts[1], random_width(d));
    const random_map y = {random_concat(d, "axis=1", TEST_LIST(parts[1].value, parts[0].value)),
                          parts[0].c + parts[1].c, x.h, x.w};
    return y;
}

static random_map slice_block(random_drawing *d, random_map x)
{
    const random_map wide = random_layer(d, x, 4 + random_width(d));
    const int64_t at = 1 + random_draw(d, wide.c - 1);
    const random_map a = random_slice(d, wide, 0, at),
                     b = random_layer(d, random_slice(d, wide, at, wide.c), random_width(d));

    return (random_map){random_concat(d, "axis=1", TEST_LIST(a.value, b.value)), a.c + b.c, x.h,
                        x.w};
}

static random_map shuffle_block(random_drawing *d, random_map x)
{
    const int64_t groups = random_divisor(d, x.c), batch = random_flip(d) ? 0 : -1;
    const int64_t apart[5] = {batch, groups, x.c / groups, x.h, x.w};
    const int64_t together[4] = {batch, x.c, x.h, random_flip(d) && batch == 0 ? -1 : x.w};
    pri_value *y = random_reshape(d, x.value, 5, apart);

    y = test_op(d->graph, "Transpose", "perm=[0,2,1,3,4]", TEST_LIST(y));
    x.value = random_reshape(d, y, 4, together);
    return x;
}

static random_map gather_block(random_drawing *d, random_map x)
{
    int64_t order[256];

    pri_random_permutation(order, x.c, d->seed + d->n++, PRI_STREAM_TEST);
    const int64_t kept = random_flip(d) ? x.c : 1 + random_draw(d, x.c);
    x.value =
        test_op(d->graph, "Gather", "axis=1", TEST_LIST(x.value, random_ints(d, (int)kept, order)));
    x.c = kept;
    return x;
}

random_map random_resize(random_drawing *d, random_map x)
{
    static const char *const modes[] = {"mode=nearest", "mode=linear",
                                        "mode=linear coordinate_transformation_mode=align_corners"};
    const char *mode = modes[random_draw(d, 3)];

    if (x.h > 8)
        return random_plain(d, x);
    if (random_flip(d) || d->is_open) {
        const float scales[4] = {1, 1, 2, 2};
        x.value = test_op(d->graph, "Resize", mode,
                          TEST_LIST(x.value, NULL, test_floats(d->graph, 4, scales)));
    } else {
        const int64_t sizes[4] = {1, x.c, 2 * x.h, 2 * x.w};
        x.value = test_op(d->graph, "Resize", mode,
                          TEST_LIST(x.value, NULL, NULL, random_ints(d, 4, sizes)));
    }
    return (random_map){x.value, x.c, 2 * x.h, 2 * x.w};
}

static random_map depth_block(random_drawing *d, random_map x)
{
    if (x.h > 8 && (x.h % 2 != 0 || x.w % 2 != 0))
        return random_plain(d, x);
    if (x.h > 8 || (x.h % 2 == 0 && x.w % 2 == 0 && random_flip(d))) {
        x.value = test_op(d->graph, "SpaceToDepth", "blocksize=2", TEST_LIST(x.value));
        return (random_map){x.value, 4 * x.c, x.h / 2, x.w / 2};
    }
    x = random_layer(d, x, 4 * (1 + random_draw(d, 4)));
    x.value = test_op(d->graph, "DepthToSpace",
                      random_flip(d) ? "blocksize=2" : "blocksize=2 mode=CRD", TEST_LIST(x.value));
    return (random_map){x.value, x.c / 4, 2 * x.h, 2 * x.w};
}

static random_map tile_block(random_drawing *d, random_map x)
{
    const int64_t repeats[4] = {1, 2, 1, 1};
    pri_value *limit = test_floats(d->graph, 1, (const float[]){0.1f});

    x.value = test_op(d->graph, "Tile", "", TEST_LIST(x.value, random_ints(d, 4, repeats)));
    x.c *= 2;
    pri_value *condition = test_op(d->graph, "Greater", "", TEST_LIST(x.value, limit));
    pri_value *other = random_conv(d, x, x.c, 1, 1, 1).value;
    x.value = test_op(d->graph, "Where", "", TEST_LIST(condition, x.value, other));
    return x;
}

static random_map expand_block(random_drawing *d, random_map x)
{
    const int64_t dims[4] = {1, x.c, x.h, x.w};
    pri_value *y = random_pooled(d, random_layer(d, x, x.c));

    y = test_op(d->graph, "Expand", "", TEST_LIST(y, random_ints(d, 4, dims)));
    x.value = random_two(d, "Add", x.value, y);
    return x;
}

/* Focus: four strided slices become channels. */
static random_map focus_block(random_drawing *d, random_map x)
{
    const int64_t axes[2] = {2, 3}, ends[2] = {INT64_MAX, INT64_MAX}, steps[2] = {2, 2};
    pri_value *parts[4];

    if (x.h % 2 != 0 || x.w % 2 != 0 || x.h < 4)
        return random_plain(d, x);
    for (int64_t k = 0; k < 4; k++) {
        const int64_t starts[2] = {k % 2, k / 2};
        parts[k] = test_op(d->graph, "Slice", "",
                           TEST_LIST(x.value, random_ints(d, 2, starts), random_ints(d, 2, ends),
                                     random_ints(d, 2, axes), random_ints(d, 2, steps)));
    }
    x = (random_map){random_concat(d, "axis=1", 4, parts), 4 * x.c, x.h / 2, x.w / 2};
    return random_layer(d, x, random_width(d));
}

/* Two halves of interleaved channels by a Transpose and Gathers of its first axis, as ShuffleNetV2
 * is exported. */
static random_map interleave_block(random_drawing *d, random_map x)
{
    const int64_t zero = 0, one = 1;

    if (d->is_open)
        return random_plain(d, x);
    x = random_layer(d, x, 2 * random_width(d));
    pri_value *y = random_reshape(d, x.value, 3, (const int64_t[]){x.c / 2, 2, -1});
    y = test_op(d->graph, "Transpose", "perm=[1,0,2]", TEST_LIST(y));
    y = random_reshape(d, y, 5, (const int64_t[]){2, -1, x.c / 2, x.h, x.w});
    pri_value *first = random_ints(d, 1, &zero), *second = random_ints(d, 1, &one);
    first->constant->shape.rank = second->constant->shape.rank = 0;
    first = test_op(d->graph, "Gather", "axis=0", TEST_LIST(y, first));
    second = test_op(d->graph, "Gather", "axis=0", TEST_LIST(y, second));
    const random_map half = {second, x.c / 2, x.h, x.w};
    const random_map other = random_layer(d, half, random_width(d));
    return (random_map){random_concat(d, "axis=1", TEST_LIST(first, other.value)),
                        x.c / 2 + other.c, x.h, x.w};
}

/* Pixels repeated beyond the border, then cut by a convolution without padding of its own. */
static random_map reflect_block(random_drawing *d, random_map x)
{
    const int64_t pads[8] = {0, 0, 1, 1, 0, 0, 1, 1}, dims[4] = {random_width(d), x.c, 3, 3};

    x.value = test_op(d->graph, "Pad", random_flip(d) ? "mode=reflect" : "mode=edge",
                      TEST_LIST(x.value, random_ints(d, 8, pads)));
    x.value = test_op(d->graph, "Conv", "", TEST_LIST(x.value, random_weight(d, 4, dims, 9 * x.c)));
    x.c = dims[0];
    return random_activation(d, x);
}

static const random_block blocks[] = {
    {"padded", padded_block},  {"concat", concat_block},         {"split", split_block},
    {"slice", slice_block},    {"shuffle", shuffle_block},       {"gather", gather_block},
    {"resize", random_resize}, {"depth", depth_block},           {"tile", tile_block},
    {"focus", focus_block},    {"interleave", interleave_block}, {"reflect", reflect_block},
    {"expand", expand_block},
};

int random_move_blocks(const random_block **out)
{
    *out = blocks;
    return (int)PRI_COUNT(blocks);
}
