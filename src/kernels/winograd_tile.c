/* SPDX-License-Identifier: Apache-2.0 */
/* winograd_tile.c - the transforms of winograd_tile.h. */
#include "kernels/winograd_tile.h"

#include <string.h>

#include "kernels/narrow.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,prfchw")))
#define INLINE TARGET static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

bool pri_winograd_runs(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

INLINE __mmask16 lanes_of(int64_t channels, int64_t c)
{
    return channels - c >= PRI_LANES ? 0xffff : (__mmask16)((1u << (channels - c)) - 1);
}

/* Lanes of 0xffff and types that the compiler knows make these one or two instructions. */
INLINE __m512 load(const void *data, bool is_narrow, int64_t at, __mmask16 lanes)
{
    if (!is_narrow)
        return lanes == 0xffff ? _mm512_loadu_ps((const float *)data + at)
                               : _mm512_maskz_loadu_ps(lanes, (const float *)data + at);
    const __m256i halves =
        lanes == 0xffff
            ? _mm256_loadu_si256((const __m256i *)(const void *)((const uint16_t *)data + at))
            : _mm256_maskz_loadu_epi16(lanes, (const uint16_t *)data + at);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/* Rounds as pri_f32_to_bf16. */
INLINE void store(void *data, bool is_narrow, int64_t at, __mmask16 lanes, __m512 x)
{
    if (!is_narrow && lanes == 0xffff)
        _mm512_storeu_ps((float *)data + at, x);
    else if (!is_narrow)
        _mm512_mask_storeu_ps((float *)data + at, lanes, x);
    if (!is_narrow)
        return;
    const __m512i bits = _mm512_castps_si512(x), half = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(half, _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m256i rounded = _mm512_cvtepi32_epi16(
        _mm512_mask_or_epi32(_mm512_srli_epi32(up, 16), is_nan, half, _mm512_set1_epi32(0x40)));
    if (lanes == 0xffff)
        _mm256_storeu_si256((__m256i *)(void *)((uint16_t *)data + at), rounded);
    else
        _mm256_mask_storeu_epi16((uint16_t *)data + at, lanes, rounded);
}

#define ADD _mm512_add_ps
#define SUB _mm512_sub_ps
#define MUL(x, c) _mm512_mul_ps(x, _mm512_set1_ps(c))
#define MORE(x, c, y) _mm512_fmadd_ps(x, _mm512_set1_ps(c), y) /* c x + y */

/* B' d. */
INLINE void on_inputs(__m512 r[PRI_PATCH], const __m512 d[PRI_PATCH])
{
    const __m512 even = MORE(d[2], -4.0f, d[4]), odd = MORE(d[1], -4.0f, d[3]);
    const __m512 rest = SUB(d[4], d[2]), twice = MUL(SUB(d[3], d[1]), 2.0f);

    r[0] = MORE(d[0], 4.0f, MORE(d[2], -5.0f, d[4]));
    r[1] = ADD(even, odd);
    r[2] = SUB(even, odd);
    r[3] = ADD(rest, twice);
    r[4] = SUB(rest, twice);
    r[5] = MORE(d[1], 4.0f, MORE(d[3], -5.0f, d[5]));
}

/* A' m. */
INLINE void on_products(__m512 y[PRI_TILE], const __m512 m[PRI_PATCH])
{
    const __m512 s = ADD(m[1], m[2]), d = SUB(m[1], m[2]);
    const __m512 s2 = ADD(m[3], m[4]), d2 = SUB(m[3], m[4]);

    y[0] = ADD(m[0], ADD(s, s2));
    y[1] = MORE(d2, 2.0f, d);
    y[2] = MORE(s2, 4.0f, s);
    y[3] = ADD(m[5], MORE(d2, 8.0f, d));
}

/* A y. */
INLINE void on_outputs(__m512 z[PRI_PATCH], const __m512 y[PRI_TILE])
{
    const __m512 even = ADD(y[0], y[2]), odd = ADD(y[1], y[3]);
    const __m512 even2 = MORE(y[2], 4.0f, y[0]), odd2 = MUL(MORE(y[3], 4.0f, y[1]), 2.0f);

    z[0] = y[0];
    z[1] = ADD(even, odd);
    z[2] = SUB(even, odd);
    z[3] = ADD(even2, odd2);
    z[4] = SUB(even2, odd2);
    z[5] = y[3];
}

/* G w. */
INLINE void on_weights(__m512 u[PRI_PATCH], const __m512 w[3])
{
    const __m512 s = MUL(ADD(w[0], w[2]), -1.0f / 6);
    const __m512 s2 = MORE(w[2], 1.0f / 6, MUL(w[0], 1.0f / 24));

    u[0] = MUL(w[0], 0.25f);
    u[1] = MORE(w[1], -1.0f / 6, s);
    u[2] = MORE(w[1], 1.0f / 6, s);
    u[3] = MORE(w[1], 1.0f / 12, s2);
    u[4] = MORE(w[1], -1.0f / 12, s2);
    u[5] = w[2];
}

/* G' s. */
INLINE void on_sums(__m512 w[3], const __m512 s[PRI_PATCH])
{
    const __m512 sum = ADD(s[1], s[2]), sum2 = ADD(s[3], s[4]);

    w[0] = MORE(s[0], 0.25f, MORE(sum, -1.0f / 6, MUL(sum2, 1.0f / 24)));
    w[1] = MORE(SUB(s[2], s[1]), 1.0f / 6, MUL(SUB(s[3], s[4]), 1.0f / 12));
    w[2] = ADD(s[5], MUL(SUB(sum2, sum), 1.0f / 6));
}

/* --- Pixels in and out --- */

/* Chooses the copy of `loop` for a type, and for 16 channels of pixels that are all in the image.
 */
#define BY_CASE(is_narrow, is_whole, loop, ...)                                                    \
    do {                                                                                           \
        if ((is_narrow) && (is_whole))                                                             \
            loop(__VA_ARGS__, true, true);                                                         \
        else if (is_narrow)                                                                        \
            loop(__VA_ARGS__, true, false);                                                        \
        else if (is_whole)                                                                         \
            loop(__VA_ARGS__, false, true);                                                        \
        else                                                                                       \
            loop(__VA_ARGS__, false, false);                                                       \
    } while (0)

/* `side` x `side` pixels of an image, 16 channels of them. */
typedef struct square {
    int64_t row, column, first, c; /* first: element (row, column, c) */
} square;

/* Rows and columns of a square that are in the image, as masks of all bits: what is outside is read
 * from zeros, without a branch, since a quarter of the tiles of a small image is at its border. */
typedef struct frame {
    uintptr_t row[PRI_PATCH], column[PRI_PATCH];
} frame;

static const float zeros[PRI_LANES];

INLINE frame frame_of(const pri_patch *in, const square *at)
{
    frame f;

    UNROLL
    for (int k = 0; k < PRI_PATCH; k++) {
        f.row[k] = (uintptr_t)0 - (at->row + k >= 0 && at->row + k < in->height);
        f.column[k] = (uintptr_t)0 - (at->column + k >= 0 && at->column + k < in->width);
    }
    return f;
}

INLINE __m512 pixel(const pri_patch *from, const square *at, const frame *f, int y, int x,
                    bool is_narrow, bool is_whole)
{
    const int64_t place = at->first + (y * from->width + x) * from->channels;

    if (is_whole)
        return load(from->data, is_narrow, place, 0xffff);
    const uintptr_t nothing = (uintptr_t)zeros;
    const uintptr_t there = (uintptr_t)from->data + (uintptr_t)(place * (is_narrow ? 2 : 4));
    const uintptr_t address = nothing + ((there - nothing) & f->row[y] & f->column[x]);
    return load((const void *)address, is_narrow, 0, lanes_of(from->channels, at->c));
}

INLINE void take(float *v, int64_t stride, const pri_patch *from, const square *at, const frame *f,
                 bool is_narrow, bool is_whole)
{
    __m512 part[PRI_PATCH][PRI_PATCH];

    UNROLL
    for (int x = 0; x < PRI_PATCH; x++) {
        __m512 d[PRI_PATCH], r[PRI_PATCH];
        UNROLL
        for (int y = 0; y < PRI_PATCH; y++)
            d[y] = pixel(from, at, f, y, x, is_narrow, is_whole);
        on_inputs(r, d);
        UNROLL
        for (int y = 0; y < PRI_PATCH; y++)
            part[y][x] = r[y];
    }
    UNROLL
    for (int y = 0; y < PRI_PATCH; y++) {
        __m512 r[PRI_PATCH];
        on_inputs(r, part[y]);
        UNROLL
        for (int x = 0; x < PRI_PATCH; x++)
            _mm512_storeu_ps(v + (y * PRI_PATCH + x) * stride, r[x]);
    }
}

INLINE void spread(float *z, int64_t stride, const pri_patch *from, const square *at,
                   const frame *f, bool is_narrow, bool is_whole)
{
    __m512 part[PRI_PATCH][PRI_TILE];

    UNROLL
    for (int x = 0; x < PRI_TILE; x++) {
        __m512 d[PRI_TILE], r[PRI_PATCH];
        UNROLL
        for (int y = 0; y < PRI_TILE; y++)
            d[y] = pixel(from, at, f, y, x, is_narrow, is_whole);
        on_outputs(r, d);
        UNROLL
        for (int y = 0; y < PRI_PATCH; y++)
            part[y][x] = r[y];
    }
    UNROLL
    for (int y = 0; y < PRI_PATCH; y++) {
        __m512 r[PRI_PATCH];
        on_outputs(r, part[y]);
        UNROLL
        for (int x = 0; x < PRI_PATCH; x++)
            _mm512_storeu_ps(z + (y * PRI_PATCH + x) * stride, r[x]);
    }
}

static square square_of(const pri_patch *in, int64_t image, int64_t row, int64_t column)
{
    return (square){row, column, ((image * in->height + row) * in->width + column) * in->channels,
                    0};
}

static bool is_inside(const pri_patch *in, const square *at, int64_t side)
{
    return at->row >= 0 && at->column >= 0 && at->row + side <= in->height &&
           at->column + side <= in->width;
}

enum { AHEAD = 2, LINE = 64 };

/* Asks for the pixels that the tile after the next one adds: six short rows are more than the
 * processor foresees by itself. */
INLINE void fetch(const pri_patch *from, const square *at)
{
    const int64_t bytes = from->dtype == PRI_BF16 ? 2 : 4, pixel_bytes = from->channels * bytes;
    const uintptr_t first =
        (uintptr_t)from->data + (uintptr_t)(at->first * bytes + (2 + 4 * AHEAD) * pixel_bytes);

    for (int y = 0; y < PRI_PATCH; y++) {
        const uintptr_t row = first + (uintptr_t)(y * from->width * pixel_bytes);
        for (int64_t b = 0; b < PRI_TILE * pixel_bytes; b += LINE)
            _mm_prefetch((const char *)(row + (uintptr_t)b), _MM_HINT_T0);
    }
}

TARGET void pri_winograd_take(float *v, int64_t stride, const pri_patch *from, int64_t image,
                              int64_t row, int64_t column)
{
    square at = square_of(from, image, row, column);
    const bool inside = is_inside(from, &at, PRI_PATCH), is_narrow = from->dtype == PRI_BF16;
    const frame f = frame_of(from, &at);

    fetch(from, &at);
    for (; at.c < from->channels; at.c += PRI_LANES, at.first += PRI_LANES)
        BY_CASE(is_narrow, inside && at.c + PRI_LANES <= from->channels, take, v + at.c, stride,
                from, &at, &f);
}

TARGET void pri_winograd_spread(float *z, int64_t stride, const pri_patch *from, int64_t image,
                                int64_t row, int64_t column)
{
    square at = square_of(from, image, row, column);
    const bool inside = is_inside(from, &at, PRI_TILE), is_narrow = from->dtype == PRI_BF16;
    const frame f = frame_of(from, &at);

    for (; at.c < from->channels; at.c += PRI_LANES, at.first += PRI_LANES)
        BY_CASE(is_narrow, inside && at.c + PRI_LANES <= from->channels, spread, z + at.c, stride,
                from, &at, &f);
}

INLINE __m512 finished(__m512 y, const pri_winograd_finish *f)
{
    const __m512 zero = _mm512_setzero_ps();

    if (f->post == PRI_POST_RELU) {
        const __mmask16 below = _mm512_cmp_ps_mask(y, zero, _CMP_LT_OQ);
        return f->alpha == 0 ? _mm512_mask_mov_ps(y, below, zero)
                             : _mm512_mask_mul_ps(y, below, y, _mm512_set1_ps(f->alpha));
    }
    if (f->post == PRI_POST_CLIP) /* a NaN stays one: the second operand is given back */
        return _mm512_min_ps(_mm512_set1_ps(f->beta), _mm512_max_ps(_mm512_set1_ps(f->alpha), y));
    return y;
}

INLINE void give(const pri_patch *to, const square *at, const float *m, int64_t stride,
                 const pri_winograd_finish *finish, bool is_narrow, bool is_whole)
{
    const __mmask16 lanes = is_whole ? 0xffff : lanes_of(to->channels, at->c);
    const __m512 bias =
        finish->bias != NULL ? _mm512_loadu_ps(finish->bias + at->c) : _mm512_setzero_ps();
    __m512 part[PRI_TILE][PRI_PATCH];

    UNROLL
    for (int x = 0; x < PRI_PATCH; x++) {
        __m512 d[PRI_PATCH], r[PRI_TILE];
        UNROLL
        for (int y = 0; y < PRI_PATCH; y++)
            d[y] = _mm512_loadu_ps(m + (y * PRI_PATCH + x) * stride);
        on_products(r, d);
        UNROLL
        for (int y = 0; y < PRI_TILE; y++)
            part[y][x] = r[y];
    }
    UNROLL
    for (int y = 0; y < PRI_TILE; y++) {
        __m512 r[PRI_TILE];
        on_products(r, part[y]);
        UNROLL
        for (int x = 0; x < PRI_TILE; x++) {
            const int64_t place = at->first + (y * to->width + x) * to->channels;
            if (!is_whole && (at->row + y >= to->height || at->column + x >= to->width))
                continue;
            __m512 sum = ADD(r[x], bias);
            if (finish->accumulates)
                sum = ADD(sum, load(to->written, is_narrow, place, lanes));
            if (finish->post != PRI_POST_NONE)
                sum = finished(sum, finish);
            store(to->written, is_narrow, place, lanes, sum);
        }
    }
}

INLINE void claim(const pri_patch *to, const square *at)
{
    const int64_t bytes = to->dtype == PRI_BF16 ? 2 : 4, pixel_bytes = to->channels * bytes;
    const uintptr_t first =
        (uintptr_t)to->written + (uintptr_t)(at->first * bytes + 4 * AHEAD * pixel_bytes);

    for (int y = 0; y < PRI_TILE; y++) {
        const uintptr_t row = first + (uintptr_t)(y * to->width * pixel_bytes);
        for (int64_t b = 0; b < PRI_TILE * pixel_bytes; b += LINE)
            __builtin_prefetch((const void *)(row + (uintptr_t)b), 1, 3);
    }
}

TARGET void pri_winograd_give(const pri_patch *to, int64_t image, int64_t row, int64_t column,
                              const float *m, int64_t stride, const pri_winograd_finish *finish)
{
    square at = square_of(to, image, row, column);
    const bool inside = is_inside(to, &at, PRI_TILE), is_narrow = to->dtype == PRI_BF16;

    claim(to, &at);
    for (; at.c < to->channels; at.c += PRI_LANES, at.first += PRI_LANES)
        BY_CASE(is_narrow, inside && at.c + PRI_LANES <= to->channels, give, to, &at, m + at.c,
                stride, finish);
}

/* --- Weights --- */

/* The kernels of input channel i and `count` output channels from o on, side by side. */
TARGET static void one_weight(float *u, int64_t place, const float *w, const float *scale,
                              int64_t i, int64_t o, const pri_winograd_order *order)
{
    float taken[9][PRI_LANES] = {{0}};
    __m512 part[3][PRI_PATCH], of_row[3], r[PRI_PATCH];

    for (int64_t n = 0; n < PRI_LANES && o + n < order->out; n++) {
        const float *from = w + i * order->in_stride + (o + n) * order->out_stride;
        const float factor = scale == NULL ? 1 : scale[order->is_turned ? i : o + n];
        for (int k = 0; k < 9; k++)
            taken[order->is_turned ? 8 - k : k][n] = from[k] * factor;
    }
    for (int y = 0; y < 3; y++) {
        for (int x = 0; x < 3; x++)
            of_row[x] = _mm512_loadu_ps(taken[3 * y + x]);
        on_weights(part[y], of_row);
    }
    for (int x = 0; x < PRI_PATCH; x++) {
        for (int y = 0; y < 3; y++)
            of_row[y] = part[y][x];
        on_weights(r, of_row);
        for (int y = 0; y < PRI_PATCH; y++)
            _mm512_storeu_ps(u + (y * PRI_PATCH + x) * place, r[y]);
    }
}

void pri_winograd_weights(float *u, const float *w, const float *scale,
                          const pri_winograd_order *order)
{
    const int64_t out = pri_filled(order->out), place = pri_place_stride(order->in, out);

#pragma omp parallel for collapse(2) schedule(static) if (place > 4096)
    for (int64_t o = 0; o < out; o += PRI_LANES) {
        for (int64_t i = 0; i < order->in; i++) {
            const int64_t width = pri_block_width(out, o);
            one_weight(u + pri_block_at(order->in, o) + i * width + o % PRI_WIDTH, place, w, scale,
                       i, o, order);
        }
    }
}

/* Adds to `count` kernels, out_stride apart, what their sums give. */
TARGET static void collect(float *w, int64_t out_stride, const float *sums, int64_t place,
                           int count)
{
    __m512 part[3][PRI_PATCH], of_column[PRI_PATCH], r[3];
    float given[9][PRI_LANES];

    for (int x = 0; x < PRI_PATCH; x++) {
        for (int y = 0; y < PRI_PATCH; y++)
            of_column[y] = _mm512_loadu_ps(sums + (y * PRI_PATCH + x) * place);
        on_sums(r, of_column);
        for (int y = 0; y < 3; y++)
            part[y][x] = r[y];
    }
    for (int y = 0; y < 3; y++) {
        on_sums(r, part[y]);
        for (int x = 0; x < 3; x++)
            _mm512_storeu_ps(given[3 * y + x], r[x]);
    }
    for (int o = 0; o < count; o++) {
        for (int k = 0; k < 9; k++)
            w[o * out_stride + k] += given[k][o];
    }
}

void pri_winograd_gradient(float *w, const float *sums, int64_t in, int64_t out)
{
    const int64_t rows = pri_filled(in), filled = pri_filled(out);
    const int64_t place = pri_place_stride(rows, filled);

#pragma omp parallel for schedule(static) if (place > 4096)
    for (int64_t o = 0; o < out; o += PRI_LANES) {
        const int64_t width = pri_block_width(filled, o);
        const float *from = sums + pri_block_at(rows, o) + o % PRI_WIDTH;
        for (int64_t i = 0; i < in; i++)
            collect(w + (o * in + i) * 9, in * 9, from + i * width, place,
                    (int)pri_min_i64(PRI_LANES, out - o));
    }
}

/* Sums over stretches of positions, so that floats do not lose what is small. */
TARGET static void sum_lanes(float *bias, const pri_patch *y, int64_t positions, int64_t c)
{
    enum { STRETCH = 256 };
    const __mmask16 lanes = lanes_of(y->channels, c);
    __m512 total = _mm512_mask_loadu_ps(_mm512_setzero_ps(), lanes, bias);

    for (int64_t from = 0; from < positions; from += STRETCH) {
        const int64_t to = pri_min_i64(from + STRETCH, positions);
        __m512 sum = _mm512_setzero_ps();
        for (int64_t p = from; p < to; p++)
            sum = ADD(sum, load(y->data, y->dtype == PRI_BF16, p * y->channels + c, lanes));
        total = ADD(total, sum);
    }
    _mm512_mask_storeu_ps(bias, lanes, total);
}

void pri_winograd_sum(float *bias, const pri_patch *y, int64_t batch)
{
    const int64_t positions = batch * y->height * y->width;

#pragma omp parallel for schedule(static) if (positions > 4096)
    for (int64_t c = 0; c < y->channels; c += PRI_LANES)
        sum_lanes(bias + c, y, positions, c);
}
#endif
