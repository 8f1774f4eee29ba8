/* SPDX-License-Identifier: Apache-2.0 */
/* amx_product.c - what runs on AMX; see amx_tile.h. */
#include "kernels/amx_tile.h"

#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
#include <cpuid.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <immintrin.h>

#define PRI_AMX __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16")))
#define PRI_AMX_INLINE PRI_AMX static inline __attribute__((always_inline))

/* --- Whether --- */

static bool is_allowed;
static pthread_once_t allowed_once = PTHREAD_ONCE_INIT;

/* The system keeps the state of tiles only for processes that asked for it. */
static void ask(void)
{
    enum { REQUEST_STATE = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM of asm/prctl.h */
    enum { OSXSAVE = 1 << 27, AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, TILE_STATE = 3 << 17 };
    enum { AVX512_BF16 = 1 << 5 };
    unsigned a, b, c, d, low, high;

    __builtin_cpu_init();
    if (!pri_dnn_has_avx512())
        return;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & OSXSAVE) == 0)
        return;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & AMX_BF16) == 0 || (d & AMX_TILE) == 0)
        return;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0 || (a & AVX512_BF16) == 0)
        return;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    is_allowed =
        (low & TILE_STATE) == TILE_STATE && syscall(SYS_arch_prctl, REQUEST_STATE, TILE_DATA) == 0;
}

bool pri_amx_runs(void)
{
    pthread_once(&allowed_once, ask);
    return is_allowed;
}

/* --- Products --- */

/* All eight tiles: 16 rows of 64 bytes. Static, since compilers do not see how much of it the
 * instruction reads. */
static const struct {
    uint8_t palette, start, none[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} whole_tiles = {.palette = 1,
                 .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                 .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

PRI_AMX void pri_amx_begin(void)
{
    _tile_loadconfig(&whole_tiles);
}

PRI_AMX void pri_amx_end(void)
{
    _tile_release();
}

/* Tiles 0 to 4 hold sums, 5 what all are multiplied by, 6 and 7 the others in turns. A product
 * takes 16 cycles, loading a tile 8 from the first cache. */
#define PRI_LOAD_SUM(k)                                                                            \
    if (n > (k)) {                                                                                 \
        if (p->begins)                                                                             \
            _tile_zero(k);                                                                         \
        else                                                                                       \
            _tile_loadd(k, p->sums[k], 64);                                                        \
    }
#define PRI_STORE_SUM(k)                                                                           \
    if (n > (k))                                                                                   \
    _tile_stored(k, p->sums[k], 64)
#define PRI_MULTIPLY_X(k, tile)                                                                    \
    if (n > (k)) {                                                                                 \
        _tile_loadd(tile, p->x[k] + p->offsets[step], 64);                                         \
        _tile_dpbf16ps(k, 5, tile);                                                                \
    }
#define PRI_MULTIPLY_DY(k, tile)                                                                   \
    if (n > (k)) {                                                                                 \
        _tile_loadd(tile, p->dy[k] + step * PRI_AMX_TILE, 64);                                     \
        _tile_dpbf16ps(k, tile, 5);                                                                \
    }

PRI_AMX_INLINE void multiply(const pri_amx_product *p, int n, bool has_one_dy)
{
    PRI_LOAD_SUM(0)
    PRI_LOAD_SUM(1)
    PRI_LOAD_SUM(2)
    PRI_LOAD_SUM(3)
    PRI_LOAD_SUM(4)
    for (int64_t step = 0; step < p->steps; step++) {
        if (has_one_dy) {
            _tile_loadd(5, p->dy[0] + step * PRI_AMX_TILE, 64);
            PRI_MULTIPLY_X(0, 6)
            PRI_MULTIPLY_X(1, 7)
            PRI_MULTIPLY_X(2, 6)
            PRI_MULTIPLY_X(3, 7)
            PRI_MULTIPLY_X(4, 6)
        } else {
            _tile_loadd(5, p->x[0] + p->offsets[step], 64);
            PRI_MULTIPLY_DY(0, 6)
            PRI_MULTIPLY_DY(1, 7)
            PRI_MULTIPLY_DY(2, 6)
            PRI_MULTIPLY_DY(3, 7)
            PRI_MULTIPLY_DY(4, 6)
        }
    }
    PRI_STORE_SUM(0);
    PRI_STORE_SUM(1);
    PRI_STORE_SUM(2);
    PRI_STORE_SUM(3);
    PRI_STORE_SUM(4);
}

PRI_AMX void pri_amx_multiply(const pri_amx_product *p)
{
    /* Compilers do not know that tiles read memory. */
    __asm__ volatile("" ::: "memory");
    if (p->has_one_dy || p->count == 1) {
        switch (p->count) {
        case 1: multiply(p, 1, true); break;
        case 2: multiply(p, 2, true); break;
        case 3: multiply(p, 3, true); break;
        case 4: multiply(p, 4, true); break;
        default: multiply(p, 5, true); break;
        }
        return;
    }
    switch (p->count) {
    case 2: multiply(p, 2, false); break;
    case 3: multiply(p, 3, false); break;
    case 4: multiply(p, 4, false); break;
    default: multiply(p, 5, false); break;
    }
}

PRI_AMX void pri_amx_sum(float *sums, const unsigned char *dy, int64_t steps)
{
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
    __m512 row[PRI_AMX_CHANNELS];

    for (int o = 0; o < PRI_AMX_CHANNELS; o++)
        row[o] = _mm512_setzero_ps();
    for (int64_t k = 0; k < steps; k++) {
        for (int o = 0; o < PRI_AMX_CHANNELS; o++) {
            const __m512i values = _mm512_load_si512(dy + k * PRI_AMX_TILE + o * 64);
            row[o] = _mm512_dpbf16_ps(row[o], (__m512bh)values, ones);
        }
    }
    for (int o = 0; o < PRI_AMX_CHANNELS; o++)
        sums[o] += _mm512_reduce_add_ps(row[o]);
}
#else
bool pri_amx_runs(void)
{
    return false;
}
#endif
