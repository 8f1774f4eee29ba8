/* SPDX-License-Identifier: Apache-2.0 */
/* test_pieces.c - joining and splitting rows beside loops over their elements. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/narrow.h"
#include "kernels/pieces.h"

enum { MOST = 120000, PIECES = 3 };

/* The whole and the pieces, as floats that bfloat16 holds and in memory. */
static double values[1 + PIECES][MOST];
static float wide[1 + PIECES][MOST];
static uint16_t narrow[1 + PIECES][MOST];

static void fill(void)
{
    uint32_t state = 1;

    for (int k = 0; k <= PIECES; k++) {
        for (int64_t i = 0; i < MOST; i++) {
            state = state * 1664525u + 1013904223u;
            wide[k][i] = (float)(int32_t)(state >> 25) - 64;
            values[k][i] = (double)wide[k][i];
            narrow[k][i] = pri_f32_to_bf16(wide[k][i]);
        }
    }
}

static void *memory_of(int k, pri_dtype dtype)
{
    return dtype == PRI_BF16 ? (void *)narrow[k] : wide[k];
}

static void assert_values(int k, pri_dtype dtype, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const double found =
            dtype == PRI_BF16 ? (double)pri_bf16_to_f32(narrow[k][i]) : (double)wide[k][i];
        const double room = dtype == PRI_BF16 ? fabs(values[k][i]) / 250 : 0;
        if (!(fabs(found - values[k][i]) <= room))
            fail_msg("array %d at %lld: %g, not %g", k, (long long)i, found, values[k][i]);
    }
}

static void move(double *to, double from, bool add)
{
    *to = add ? *to + from : from;
}

/* Piece 1 is left out when `skips`. */
static void check(const int64_t counts[PIECES], int64_t rows, pri_dtype whole,
                  const pri_dtype types[PIECES], bool add, bool joins, bool skips)
{
    pri_piece pieces[PIECES];
    int64_t row = 0;

    fill();
    for (int k = 0; k < PIECES; k++) {
        pieces[k] = (pri_piece){skips && k == 1 ? NULL : memory_of(1 + k, types[k]), counts[k],
                                types[k], add};
        row += counts[k];
    }
    assert_true(rows * row <= MOST);
    for (int64_t r = 0, at = 0; r < rows; r++) {
        for (int k = 0; k < PIECES; k++) {
            for (int64_t i = 0; i < counts[k]; i++, at++) {
                double *part = &values[1 + k][r * counts[k] + i];
                if (pieces[k].data != NULL && joins)
                    move(&values[0][at], *part, add);
                else if (pieces[k].data != NULL)
                    move(part, values[0][at], add);
            }
        }
    }
    if (joins)
        pri_pieces_join(memory_of(0, whole), whole, pieces, PIECES, rows);
    else
        pri_pieces_split(memory_of(0, whole), whole, pieces, PIECES, rows);
    assert_values(0, whole, MOST);
    for (int k = 0; k < PIECES; k++)
        assert_values(1 + k, types[k], MOST);
}

static const pri_dtype both[2] = {PRI_F32, PRI_BF16};

static void pieces_of_any_length_and_type_move(void **state)
{
    static const int64_t counts[][PIECES] = {{16, 16, 0},  {1, 2, 3},    {4, 5, 8},
                                             {11, 7, 9},   {13, 32, 1},  {64, 17, 33},
                                             {100, 3, 65}, {40, 24, 16}, {9000, 30000, 1}};

    (void)state;
    for (size_t c = 0; c < PRI_COUNT(counts); c++) {
        const int64_t row = counts[c][0] + counts[c][1] + counts[c][2];
        for (int m = 0; m < 64; m++) {
            const pri_dtype types[PIECES] = {both[m & 1], both[m >> 1 & 1], both[m & 1]};
            check(counts[c], row > 1000 ? 3 : 211, both[m >> 2 & 1], types, (m >> 3 & 1) != 0,
                  (m >> 4 & 1) != 0, m >> 5 != 0);
        }
    }
}

/* Arrays that are written past the caches, at lines and not. */
static void large_arrays_move_too(void **state)
{
    enum { ROWS = 140001, A = 5, B = 8, ROW = A + B };
    float *whole = malloc((ROWS * ROW + 16) * sizeof *whole);
    float *first = malloc(ROWS * A * sizeof *first), *second = malloc(ROWS * B * sizeof *second);

    (void)state;
    assert_true(whole != NULL && first != NULL && second != NULL);
    for (int shift = 0; shift < 2; shift++) {
        float *there = whole + (64 - (uintptr_t)whole % 64) % 64 / sizeof *whole + shift;
        for (int64_t i = 0; i < ROWS * ROW; i++)
            there[i] = (float)(i % 65521);
        const pri_piece pieces[2] = {{first, A, PRI_F32, false}, {second, B, PRI_F32, false}};
        pri_pieces_split(there, PRI_F32, pieces, 2, ROWS);
        for (int64_t i = 0; i < ROWS * B; i++)
            assert_true(second[i] == (float)((i / B * ROW + A + i % B) % 65521));
        memset(there, 0, ROWS * ROW * sizeof *there);
        pri_pieces_join(there, PRI_F32, pieces, 2, ROWS);
        for (int64_t i = 0; i < ROWS * ROW; i++)
            assert_true(there[i] == (float)(i % 65521));
    }
    free(whole);
    free(first);
    free(second);
}

static void other_types_are_copied(void **state)
{
    enum { ROWS = 7 };
    const int64_t counts[2] = {3, 5};
    int64_t whole[ROWS * 8], first[ROWS * 3], second[ROWS * 5];
    uint8_t small[ROWS * 8], one[ROWS * 3], two[ROWS * 5];

    (void)state;
    for (int i = 0; i < ROWS * 8; i++)
        small[i] = (uint8_t)(whole[i] = i * 3 + 1);
    pri_piece pieces[2] = {{first, counts[0], PRI_I64, false}, {second, counts[1], PRI_I64, false}};
    pri_pieces_split(whole, PRI_I64, pieces, 2, ROWS);
    assert_true(first[3] == whole[8] && second[5 * 6 + 4] == whole[8 * 6 + 7]);
    memset(whole, 0, sizeof whole);
    pri_pieces_join(whole, PRI_I64, pieces, 2, ROWS);
    for (int i = 0; i < ROWS * 8; i++)
        assert_int_equal(whole[i], i * 3 + 1);
    pri_piece bytes[2] = {{one, counts[0], PRI_U8, false}, {two, counts[1], PRI_U8, false}};
    pri_pieces_split(small, PRI_U8, bytes, 2, ROWS);
    memset(small, 0, sizeof small);
    pri_pieces_join(small, PRI_U8, bytes, 2, ROWS);
    for (int i = 0; i < ROWS * 8; i++)
        assert_int_equal(small[i], (uint8_t)(i * 3 + 1));
    pri_pieces_join(whole, PRI_I64, NULL, 0, ROWS); /* nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_of_any_length_and_type_move),
                                       cmocka_unit_test(large_arrays_move_too),
                                       cmocka_unit_test(other_types_are_copied)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
