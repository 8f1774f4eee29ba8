/* SPDX-License-Identifier: Apache-2.0 */
/* augment_parse.c - the table of augmentations: words, ranges, places in pare_augment. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"

typedef enum kind { SWITCH, WHOLE, NUMBER, POLICY } kind;

enum { WORD_BYTES = 32 };

static const struct {
    const char *name;
    kind kind;
    size_t at;
    double max;
    const char *word, *summary;
} table[] = {
    {"flip", SWITCH, offsetof(pare_augment, flip), 1, "flip", "left and right, one in two"},
    {"vflip", SWITCH, offsetof(pare_augment, vflip), 1, "vflip", "top and bottom, one in two"},
    {"crop", WHOLE, offsetof(pare_augment, crop), 4096, "crop=PIXELS",
     "pad by this much, then crop at random to the old size"},
    {"resized_crop", NUMBER, offsetof(pare_augment, resized_crop), 1, "resized_crop=SHARE",
     "a random crop of at least this share of the area, resized"},
    {"rotate", NUMBER, offsetof(pare_augment, rotate), 180, "rotate=DEGREES",
     "by up to this angle"},
    {"brightness", NUMBER, offsetof(pare_augment, brightness), 1, "brightness=X",
     "add up to this share of the range"},
    {"contrast", NUMBER, offsetof(pare_augment, contrast), 1, "contrast=X", "factor within 1 +- X"},
    {"saturation", NUMBER, offsetof(pare_augment, saturation), 1, "saturation=X",
     "factor within 1 +- X"},
    {"hue", NUMBER, offsetof(pare_augment, hue), 1, "hue=X",
     "turn colours by up to this share of half a circle"},
    {"gray", NUMBER, offsetof(pare_augment, grayscale), 1, "gray=SHARE",
     "this share of the images loses its colour"},
    {"blur", NUMBER, offsetof(pare_augment, blur), 20, "blur=PIXELS",
     "Gaussian, standard deviation up to this"},
    {"noise", NUMBER, offsetof(pare_augment, noise), 1, "noise=X",
     "normal, standard deviation as a share of the range"},
    {"cutout", NUMBER, offsetof(pare_augment, cutout), 1, "cutout=SHARE",
     "a square hole with this share of the shorter side"},
    {"mixup", NUMBER, offsetof(pare_augment, mixup), 1, "mixup=ALPHA",
     "blend with another image by Beta(ALPHA, ALPHA)"},
    {"cutmix", NUMBER, offsetof(pare_augment, cutmix), 1, "cutmix=ALPHA",
     "put a rectangle of another image in, of area Beta(ALPHA, ALPHA)"},
    {"rand", POLICY, offsetof(pare_augment, policy_count), PRI_POLICY_MOST, "rand=N:M",
     "N random changes of magnitude M, 0 to 10 (RandAugment)"},
};

bool pare_augment_describe(int k, const char **word, const char **summary)
{
    if (k < 0 || (size_t)k >= PRI_COUNT(table))
        return false;
    *word = table[k].word;
    *summary = table[k].summary;
    return true;
}

/* Edits (insertions, deletions, substitutions) from a word of length n < WORD_BYTES to b. */
static int distance(const char *a, size_t n, const char *b)
{
    int row[WORD_BYTES + 1];
    const int m = (int)strlen(b);

    for (int j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (int j = 1; j <= m; j++) {
            const int up = row[j], same = diagonal + (a[i - 1] != b[j - 1]);
            const int best = up < row[j - 1] ? up + 1 : row[j - 1] + 1;
            row[j] = same < best ? same : best;
            diagonal = up;
        }
    }
    return row[m];
}

static pare_status fail_unknown(pare_context *ctx, const char *text, size_t length)
{
    const char *best = table[0].name;
    int least = WORD_BYTES;

    for (size_t i = 0; i < PRI_COUNT(table) && length < WORD_BYTES; i++) {
        const int d = distance(text, length, table[i].name);
        if (d < least) {
            least = d;
            best = table[i].name;
        }
    }
    return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                    "there is no augmentation '%.*s'; the nearest is '%s'",
                    (int)pri_min_i64((int64_t)length, 60), text, best);
}

/* Puts a number into its place; the text of the value ends at `end`. */
static bool store(pare_augment *out, size_t k, const char *value, const char *end)
{
    char *place = (char *)out + table[k].at, *stop = NULL;
    double number = 0;

    if (table[k].kind == SWITCH) {
        *(bool *)place = true;
        return value == end;
    }
    if (value == end)
        return false;
    if (table[k].kind == NUMBER) {
        number = strtod(value, &stop);
        *(float *)place = (float)number;
    } else {
        const long whole = strtol(value, &stop, 10);
        number = (double)whole;
        *(int *)place = (int)(whole >= 0 && whole <= 4096 ? whole : -1);
    }
    if (stop == value || !(number >= 0 && number <= table[k].max))
        return false;
    if (table[k].kind == POLICY && *stop == ':') {
        const char *from = stop + 1;
        out->policy_magnitude = strtof(from, &stop);
        return stop != from && stop == end && out->policy_magnitude >= 0 &&
               out->policy_magnitude <= 10;
    }
    return stop == end && table[k].kind != POLICY;
}

static pare_status read_item(pare_augment *out, pare_context *ctx, const char *text, size_t length)
{
    const char *equals = memchr(text, '=', length);
    const size_t name = equals != NULL ? (size_t)(equals - text) : length;
    const char *end = text + length;

    for (size_t k = 0; k < PRI_COUNT(table); k++) {
        if (strlen(table[k].name) != name || strncmp(table[k].name, text, name) != 0)
            continue;
        if (store(out, k, equals != NULL ? equals + 1 : end, end))
            return PARE_OK;
        if (table[k].kind == SWITCH)
            return pri_fail(ctx, PARE_ERROR_ARGUMENT, "'%s' takes no value", table[k].name);
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "cannot read '%.*s'; say %s from 0 to %g%s",
                        (int)pri_min_i64((int64_t)length, 60), text, table[k].word, table[k].max,
                        table[k].kind == POLICY ? ", M from 0 to 10" : "");
    }
    return fail_unknown(ctx, text, name);
}

pare_status pare_augment_parse(pare_augment *out, pare_context *ctx, const char *text)
{
    pare_augment read = *out;

    while (text != NULL && *text != '\0') {
        const size_t length = strcspn(text, ",");
        PRI_TRY(read_item(&read, ctx, text, length));
        text += length + (text[length] == ',');
    }
    *out = read;
    return PARE_OK;
}

/* Value k as a number; a switch is 0 or 1. */
static double value_of(const pare_augment *a, size_t k)
{
    const char *place = (const char *)a + table[k].at;

    switch (table[k].kind) {
    case SWITCH: return *(const bool *)place ? 1 : 0;
    case NUMBER: return (double)*(const float *)place;
    default: return *(const int *)place;
    }
}

pare_status pri_augment_check(pare_context *ctx, const pare_augment *a)
{
    for (size_t k = 0; k < PRI_COUNT(table); k++) {
        const double value = value_of(a, k);
        if (!(value >= 0 && value <= table[k].max))
            return pri_fail(ctx, PARE_ERROR_ARGUMENT, "augmentation '%s' lies from 0 to %g, not %g",
                            table[k].name, table[k].max, value);
    }
    if (!(a->policy_magnitude >= 0 && a->policy_magnitude <= 10))
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "the magnitude of 'rand' lies from 0 to 10");
    return PARE_OK;
}

uint64_t pri_augment_hash(uint64_t hash, const pare_augment *a)
{
    double values[PRI_COUNT(table) + 1];

    for (size_t k = 0; k < PRI_COUNT(table); k++)
        values[k] = value_of(a, k);
    values[PRI_COUNT(table)] = (double)a->policy_magnitude;
    return pri_hash(hash, values, sizeof values);
}
