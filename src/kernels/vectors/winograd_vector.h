/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd_vector.h - the transforms of winograd.h on vectors of channels. Included by the
 * winograd_*.c files.
 *
 * Names of the transforms: B' on 6 inputs, G on 3 weights, A' on 6 products, and A and G' which go
 * the other way. The points are 0, 1, -1, 2, -2 and infinity.
 */
#ifndef PRI_WINOGRAD_VECTOR_H
#define PRI_WINOGRAD_VECTOR_H

#include "kernels/vectors/vector.h"
#include "kernels/vectors/winograd_tile.h"

/* Channels of a block of weights. */
enum { PRI_WIDTH = 2 * PRI_LANES };

/* Where the block with output channel `out` begins in one place's weights of `in` rows. */
static inline int64_t pri_block_at(int64_t in, int64_t out)
{
    return out / PRI_WIDTH * PRI_WIDTH * in;
}

static inline int64_t pri_block_width(int64_t filled, int64_t out)
{
    return filled - out / PRI_WIDTH * PRI_WIDTH < PRI_WIDTH ? PRI_LANES : PRI_WIDTH;
}

#define PRI_MUL(x, c) ((x)*pri_all(c))
#define PRI_MORE(x, c, y) pri_fma(x, pri_all(c), y) /* c x + y */

/* B' d. */
PRI_INLINE void pri_on_inputs(pri_vec r[PRI_PATCH], const pri_vec d[PRI_PATCH])
{
    const pri_vec even = PRI_MORE(d[2], -4.0f, d[4]), odd = PRI_MORE(d[1], -4.0f, d[3]);
    const pri_vec rest = d[4] - d[2], twice = PRI_MUL(d[3] - d[1], 2.0f);

    r[0] = PRI_MORE(d[0], 4.0f, PRI_MORE(d[2], -5.0f, d[4]));
    r[1] = even + odd;
    r[2] = even - odd;
    r[3] = rest + twice;
    r[4] = rest - twice;
    r[5] = PRI_MORE(d[1], 4.0f, PRI_MORE(d[3], -5.0f, d[5]));
}

/* A' m. */
PRI_INLINE void pri_on_products(pri_vec y[PRI_TILE], const pri_vec m[PRI_PATCH])
{
    const pri_vec s = m[1] + m[2], d = m[1] - m[2];
    const pri_vec s2 = m[3] + m[4], d2 = m[3] - m[4];

    y[0] = m[0] + (s + s2);
    y[1] = PRI_MORE(d2, 2.0f, d);
    y[2] = PRI_MORE(s2, 4.0f, s);
    y[3] = m[5] + PRI_MORE(d2, 8.0f, d);
}

/* A y. */
PRI_INLINE void pri_on_outputs(pri_vec z[PRI_PATCH], const pri_vec y[PRI_TILE])
{
    const pri_vec even = y[0] + y[2], odd = y[1] + y[3];
    const pri_vec even2 = PRI_MORE(y[2], 4.0f, y[0]),
                  odd2 = PRI_MUL(PRI_MORE(y[3], 4.0f, y[1]), 2.0f);

    z[0] = y[0];
    z[1] = even + odd;
    z[2] = even - odd;
    z[3] = even2 + odd2;
    z[4] = even2 - odd2;
    z[5] = y[3];
}

/* G w. */
PRI_INLINE void pri_on_weights(pri_vec u[PRI_PATCH], const pri_vec w[3])
{
    const pri_vec s = PRI_MUL(w[0] + w[2], -1.0f / 6);
    const pri_vec s2 = PRI_MORE(w[2], 1.0f / 6, PRI_MUL(w[0], 1.0f / 24));

    u[0] = PRI_MUL(w[0], 0.25f);
    u[1] = PRI_MORE(w[1], -1.0f / 6, s);
    u[2] = PRI_MORE(w[1], 1.0f / 6, s);
    u[3] = PRI_MORE(w[1], 1.0f / 12, s2);
    u[4] = PRI_MORE(w[1], -1.0f / 12, s2);
    u[5] = w[2];
}

/* G' s. */
PRI_INLINE void pri_on_sums(pri_vec w[3], const pri_vec s[PRI_PATCH])
{
    const pri_vec sum = s[1] + s[2], sum2 = s[3] + s[4];

    w[0] = PRI_MORE(s[0], 0.25f, PRI_MORE(sum, -1.0f / 6, PRI_MUL(sum2, 1.0f / 24)));
    w[1] = PRI_MORE(s[2] - s[1], 1.0f / 6, PRI_MUL(s[3] - s[4], 1.0f / 12));
    w[2] = s[5] + PRI_MUL(sum2 - sum, 1.0f / 6);
}

#endif
