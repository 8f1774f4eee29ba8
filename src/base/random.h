/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.h - counter-based random numbers: value = f(seed, stream, index).
 *
 * There is no state to carry, so shuffling, augmentation and random pruning do
 * not depend on the order in which threads ask. A stream is a purpose
 * ("shuffle of epoch 3"), the index a position in it.
 */
#ifndef PRI_RANDOM_H
#define PRI_RANDOM_H

#include <stdint.h>

/* The purposes numbers are drawn for; add epoch or round to the upper half. */
enum pri_stream {
    PRI_STREAM_INIT = 1,
    PRI_STREAM_SHUFFLE,
    PRI_STREAM_SPLIT,
    PRI_STREAM_AUGMENT,
    PRI_STREAM_SYNTH,
    PRI_STREAM_DROPOUT,
    PRI_STREAM_PRUNE,
    PRI_STREAM_PROJECTION,
    PRI_STREAM_LABEL,
    PRI_STREAM_ORACLE,
    PRI_STREAM_TEST
};

/* The finaliser of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", 2014): every bit depends on all of x. For those who draw too many numbers for
 * pri_random_bits. */
static inline uint64_t pri_random_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t pri_random_bits(uint64_t seed, uint64_t stream, uint64_t index);
double pri_random_unit(uint64_t seed, uint64_t stream, uint64_t index);   /* [0, 1) */
double pri_random_normal(uint64_t seed, uint64_t stream, uint64_t index); /* mean 0, sd 1 */
/* Uniform on 0 .. bound-1; bound > 0. */
int64_t pri_random_below(int64_t bound, uint64_t seed, uint64_t stream, uint64_t index);
/* A uniformly random order of 0 .. count-1. */
void pri_random_permutation(int64_t *order, int64_t count, uint64_t seed, uint64_t stream);

#endif
