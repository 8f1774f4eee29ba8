/* SPDX-License-Identifier: Apache-2.0 */
/* amx_pack.c - activations as tiles read them; see amx_tile.h. */
#include "kernels/amx_tile.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
#include <immintrin.h>

#define PRI_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define PRI_AVX512_INLINE PRI_AVX512 static inline __attribute__((always_inline))

/* Of a block's channels those that there are. */
static __mmask16 lanes_of(int64_t channels, int64_t block)
{
    const int64_t left = channels - block * PRI_AMX_CHANNELS;

    return left >= PRI_AMX_CHANNELS ? 0xffff : (__mmask16)((1u << left) - 1);
}

/* A page ahead: the processor's own fetching ahead ends with a page (8 % of 4 x 32 -> 16 channels
 * at 256 x 256 on Sapphire Rapids). */
PRI_AVX512_INLINE void fetch_ahead(const uint16_t *from)
{
    _mm_prefetch((const char *)(const void *)from + 4096, _MM_HINT_T0);
}

/* --- Gradients of outputs: turned --- */

/* Eight channels of positions j, j+8, j+16, j+24, `stride` elements apart. */
PRI_AVX512_INLINE __m512i load_eights(const uint16_t *from, int64_t stride)
{
    __m512i r = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)from));

    r = _mm512_inserti32x4(r, _mm_loadu_si128((const __m128i *)(const void *)(from + 8 * stride)),
                           1);
    r = _mm512_inserti32x4(r, _mm_loadu_si128((const __m128i *)(const void *)(from + 16 * stride)),
                           2);
    return _mm512_inserti32x4(
        r, _mm_loadu_si128((const __m128i *)(const void *)(from + 24 * stride)), 3);
}

/* Turns 32 positions of 8 channels: in each 128 bits 8 x 8 elements. */
PRI_AVX512_INLINE void turn_eight(unsigned char *to, const uint16_t *from, int64_t stride)
{
    __m512i z[8], t[8], u[8];

    for (int j = 0; j < 8; j++) {
        fetch_ahead(from + 2 * j * stride);
        fetch_ahead(from + (2 * j + 16) * stride);
        z[j] = load_eights(from + j * stride, stride);
    }
    for (int j = 0; j < 4; j++) {
        t[2 * j] = _mm512_unpacklo_epi16(z[2 * j], z[2 * j + 1]);
        t[2 * j + 1] = _mm512_unpackhi_epi16(z[2 * j], z[2 * j + 1]);
    }
    for (int j = 0; j < 2; j++) {
        u[4 * j] = _mm512_unpacklo_epi32(t[4 * j], t[4 * j + 2]);
        u[4 * j + 1] = _mm512_unpackhi_epi32(t[4 * j], t[4 * j + 2]);
        u[4 * j + 2] = _mm512_unpacklo_epi32(t[4 * j + 1], t[4 * j + 3]);
        u[4 * j + 3] = _mm512_unpackhi_epi32(t[4 * j + 1], t[4 * j + 3]);
    }
    for (int j = 0; j < 4; j++) {
        _mm512_store_si512(to + 128 * j, _mm512_unpacklo_epi64(u[j], u[4 + j]));
        _mm512_store_si512(to + 128 * j + 64, _mm512_unpackhi_epi64(u[j], u[4 + j]));
    }
}

PRI_AVX512 static void turn(unsigned char *to, const uint16_t *from, int64_t stride)
{
    turn_eight(to, from, stride);
    turn_eight(to + PRI_AMX_TILE / 2, from + 8, stride);
}

/* First pixel of a row in an array of images of `size`, and of how many columns it is; 0 beyond
 * what `limit` rows of an image hold. */
static int64_t pixels_of(int64_t *pixel, const pri_amx_shape *s, int64_t row, const int64_t size[2],
                         int64_t limit)
{
    const int64_t image = row / s->image_rows, at = row % s->image_rows;

    *pixel = 0;
    if (row < 0 || row >= s->rows || at >= limit)
        return 0;
    *pixel = (image * size[0] + at) * size[1];
    return size[1];
}

/* A position of a strip. */
typedef struct place {
    int64_t row, column;
} place;

/* 32 positions from `at` on, as far as they have an output, into room; `at` moves on. */
PRI_AVX512 static void gather(uint16_t *room, place *at, const pri_amx_shape *s, const uint16_t *dy,
                              const pri_amx_strip *strip, __mmask16 lanes)
{
    int64_t pixel = 0, columns = 0, seen = -1;

    for (int t = 0; t < PRI_AMX_STEP; t++) {
        if (seen != at->row) {
            seen = at->row;
            columns = pixels_of(&pixel, s, strip->first + seen, s->dst, s->dst[0]);
            columns = seen < strip->rows ? pri_min_i64(columns, s->dst_pixels - pixel) : 0;
        }
        __m256i value = _mm256_setzero_si256();
        if (at->column < columns)
            value = _mm256_maskz_loadu_epi16(lanes, dy + (pixel + at->column) * s->out_channels);
        _mm256_store_si256((__m256i *)(void *)(room + t * PRI_AMX_CHANNELS), value);
        at->column++;
        if (at->column == s->pitch) {
            at->column = 0;
            at->row++;
        }
    }
}

/* A step of a row that is whole steps long, or one that gather has to put together. */
PRI_AVX512 static void pack_step(unsigned char *to, place *at, const pri_amx_shape *s,
                                 const uint16_t *dy, const pri_amx_strip *strip, __mmask16 lanes)
{
    uint16_t room[PRI_AMX_STEP * PRI_AMX_CHANNELS] __attribute__((aligned(64)));
    const place from = *at;
    int64_t pixel;

    const int64_t columns = pixels_of(&pixel, s, strip->first + from.row, s->dst, s->dst[0]);
    if (lanes == 0xffff && from.row < strip->rows && from.column + PRI_AMX_STEP <= columns &&
        pixel + from.column + PRI_AMX_STEP <= s->dst_pixels) {
        turn(to, dy + (pixel + from.column) * s->out_channels, s->out_channels);
        at->column += PRI_AMX_STEP;
        return;
    }
    gather(room, at, s, dy, strip, lanes);
    turn(to, room, PRI_AMX_CHANNELS);
}

PRI_AVX512 void pri_amx_pack_dy(unsigned char *to, const pri_amx_shape *s, const uint16_t *dy,
                                const pri_amx_strip *strip)
{
    const int64_t steps = pri_amx_steps(s, strip->rows);
    place at = {0, 0};

    for (int64_t k = 0; k < steps; k++) {
        const place begin = at;
        for (int64_t b = strip->out_begin; b < strip->out_end; b++) {
            at = begin;
            pack_step(to + (b * s->strip_steps + k) * PRI_AMX_TILE, &at, s,
                      dy + b * PRI_AMX_CHANNELS, strip, lanes_of(s->out_channels, b));
        }
        if (s->by_row ? at.column >= s->dst[1] : at.column >= s->pitch)
            at = (place){at.row + 1, 0};
    }
}

/* --- Inputs: paired --- */

/* Pixels of a row of one phase, 16 channels each. */
typedef struct line {
    const uint16_t *data; /* column 0 */
    int64_t stride;       /* elements from a column to the next */
    int64_t columns;
    __mmask16 lanes;
} line;

PRI_AVX512_INLINE __m256i load_column(const line *l, int64_t column, bool is_full)
{
    const uint16_t *from = l->data + column * l->stride;

    return is_full ? _mm256_loadu_si256((const __m256i *)(const void *)from)
                   : _mm256_maskz_loadu_epi16(l->lanes, from);
}

PRI_AVX512_INLINE void put_pair(unsigned char *to, __m256i a, __m256i b)
{
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);

    _mm512_store_si512(
        to, _mm512_permutexvar_epi16(order, _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1)));
}

/* Pairs of columns from `column` on, up to the column `end`; zeros where the line has none. */
PRI_AVX512_INLINE void put_pairs(unsigned char *to, const line *l, int64_t column, int64_t end,
                                 bool is_full)
{
    const __m256i none = _mm256_setzero_si256();

    for (; column < -1; column += 2, to += 64)
        put_pair(to, none, none);
    if (column == -1) {
        put_pair(to, none, l->columns > 0 ? load_column(l, 0, is_full) : none);
        column += 2, to += 64;
    }
    for (; column + 1 < l->columns; column += 2, to += 64) {
        fetch_ahead(l->data + column * l->stride);
        put_pair(to, load_column(l, column, is_full), load_column(l, column + 1, is_full));
    }
    if (column < l->columns) {
        put_pair(to, load_column(l, column, is_full), none);
        column += 2, to += 64;
    }
    for (; column < end; column += 2, to += 64)
        put_pair(to, none, none);
}

/* Row `row` of a strip's x, in one copy of a block of channels. */
PRI_AVX512 static void pack_line(unsigned char *to, const pri_amx_shape *s, const line *l,
                                 int64_t row, int64_t parity)
{
    const int64_t begin = row * s->pitch, skipped = (begin + parity) % 2;
    const int64_t end = s->pitch + s->low[1];

    to += (begin + skipped - parity) / 2 * 64;
    if (l->lanes == 0xffff)
        put_pairs(to, l, skipped + s->low[1], end, true);
    else
        put_pairs(to, l, skipped + s->low[1], end, false);
}

/* Row and columns of a phase; none: the row is one of zeros. */
static line line_of(const pri_amx_shape *s, const uint16_t *x, int64_t row, const int64_t phase[2])
{
    const int64_t image = row >= 0 ? row / s->image_rows : -1, at = row - image * s->image_rows;
    const int64_t down = at * s->stride[0] + phase[0];
    line l = {.stride = s->stride[1] * s->in_channels};

    if (row < 0 || row >= s->rows || at >= s->filled[0] || down >= s->src[0])
        return l;
    const int64_t pixel = (image * s->src[0] + down) * s->src[1];
    const int64_t there = pri_min_i64(s->src[1], s->src_pixels - pixel) - phase[1];
    l.columns = there <= 0 ? 0 : (there + s->stride[1] - 1) / s->stride[1];
    l.columns = pri_min_i64(l.columns, s->filled[1]);
    l.data = x + (pixel + phase[1]) * s->in_channels;
    return l;
}

PRI_AVX512 void pri_amx_pack_x(unsigned char *to, const pri_amx_shape *s, const uint16_t *x,
                               const pri_amx_strip *strip)
{
    const int64_t all = strip->rows + s->high[0] - s->low[0];

    for (int64_t row = 0; row < all; row++) {
        for (int k = 0; k < s->copies; k++) {
            line l = line_of(s, x, strip->first + row + s->low[0], s->copy[k].phase);
            for (int64_t b = 0; b < s->in_blocks; b++) {
                l.lanes = lanes_of(s->in_channels, b);
                pack_line(to + (b * s->copies + k) * s->copy_bytes, s, &l, row, s->copy[k].parity);
                l.data = l.data == NULL ? NULL : l.data + PRI_AMX_CHANNELS;
            }
        }
    }
    for (int64_t k = 0; k < s->in_blocks * s->copies; k++) { /* what the last step reads beyond */
        const int64_t pairs = (all * s->pitch + 1 - s->copy[k % s->copies].parity) / 2;
        memset(to + k * s->copy_bytes + pairs * 64, 0, 2 * PRI_AMX_TILE);
    }
}
#endif
