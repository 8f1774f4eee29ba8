/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.c - two rounds of pri_random_mix over seed, stream and index.
 */
#include "base/random.h"

#include <math.h>

uint64_t pri_random_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    const uint64_t key = pri_random_mix(seed + golden) ^
                         pri_random_mix(stream * golden + UINT64_C(0x632be59bd9b4e019));

    return pri_random_mix(pri_random_mix(key + index * golden) + key);
}

double pri_random_unit(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (double)(pri_random_bits(seed, stream, index) >> 11) * 0x1p-53;
}

double pri_random_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    /* Box-Muller; 1 - u keeps the logarithm finite */
    const double u = 1.0 - pri_random_unit(seed, stream, 2 * index);
    const double v = pri_random_unit(seed, stream, 2 * index + 1);

    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

int64_t pri_random_below(int64_t bound, uint64_t seed, uint64_t stream, uint64_t index)
{
    /* the bias of the multiplication method is below bound / 2^53 */
    return (int64_t)(pri_random_unit(seed, stream, index) * (double)bound);
}

void pri_random_permutation(int64_t *order, int64_t count, uint64_t seed, uint64_t stream)
{
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    for (int64_t i = count - 1; i > 0; i--) {
        const int64_t j = pri_random_below(i + 1, seed, stream, (uint64_t)i);
        const int64_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}
