/* SPDX-License-Identifier: Apache-2.0 */
/* markup.c - see markup.h. */
#include "report/markup.h"

#include <math.h>
#include <string.h>

#define MINUS "\xe2\x88\x92"
#define DASH "\xe2\x80\x93"
#define ELLIPSIS "\xe2\x80\xa6"
#define NARROW_SPACE "\xe2\x80\xaf"

/* |value| below 1e15, so that its decimals fit an integer. */
static void add_fixed(pri_text *text, double value, int decimals, const char *minus,
                      const char *plus)
{
    int64_t scale = 1;

    for (int d = 0; d < decimals; d++)
        scale *= 10;
    const int64_t digits =
        (int64_t)llround(fmin(fabs(value), 1e15 / (double)scale) * (double)scale);
    if (digits != 0)
        pri_text_add(text, value < 0 ? minus : plus);
    pri_text_addf(text, "%lld", (long long)(digits / scale));
    if (decimals > 0)
        pri_text_addf(text, ".%0*lld", decimals, (long long)(digits % scale));
}

void pri_markup_fixed(pri_text *text, double value, int decimals)
{
    if (isfinite(value))
        add_fixed(text, value, decimals, MINUS, "");
    else
        pri_text_add(text, DASH);
}

void pri_markup_signed(pri_text *text, double value, int decimals)
{
    if (isfinite(value))
        add_fixed(text, value, decimals, MINUS, "+");
    else
        pri_text_add(text, DASH);
}

void pri_markup_xy(pri_text *text, double value)
{
    add_fixed(text, isfinite(value) ? value : 0, 1, "-", "");
}

void pri_markup_si(pri_text *text, double value, const char *unit)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    size_t p = 0;

    if (!isfinite(value)) {
        pri_text_add(text, DASH);
        return;
    }
    for (; fabs(value) >= 999.5 && p + 1 < PRI_COUNT(prefixes); p++)
        value /= 1000;
    const double size = fabs(value);
    pri_markup_fixed(text, value, p == 0 ? 0 : size < 10 ? 2 : size < 100 ? 1 : 0);
    if (p > 0 || *unit != '\0')
        pri_text_addf(text, NARROW_SPACE "%s%s", prefixes[p], unit);
}

void pri_markup_count(pri_text *text, int64_t value)
{
    if (value < 0) {
        pri_text_add(text, DASH);
    } else if (value < 1000) {
        pri_text_addf(text, "%lld", (long long)value);
    } else {
        pri_markup_count(text, value / 1000);
        pri_text_addf(text, ",%03lld", (long long)(value % 1000));
    }
}

/* Bytes of the well-formed UTF-8 character at `at`; 0 when it is none. */
static int utf8_length(const unsigned char *at)
{
    const int length = at[0] < 0x80   ? 1
                       : at[0] < 0xc2 ? 0
                       : at[0] < 0xe0 ? 2
                       : at[0] < 0xf0 ? 3
                       : at[0] < 0xf5 ? 4
                                      : 0;

    for (int i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f) ||
        (at[0] == 0xef && at[1] == 0xbf && at[2] >= 0xbe))
        return 0; /* overlong, surrogates, beyond Unicode, not for XML */
    return length;
}

int pri_markup_length(const char *name, int max)
{
    int count = 0;

    for (const unsigned char *at = (const unsigned char *)name; at != NULL && *at != '\0';
         count++) {
        const int length = utf8_length(at);
        at += length > 0 ? length : 1;
    }
    return max > 0 && count > max ? max : count;
}

void pri_markup_name(pri_text *text, const char *name, int max)
{
    const int whole = pri_markup_length(name, 0);
    const int kept = max > 0 && whole > max ? max - 1 : whole;
    const unsigned char *at = (const unsigned char *)name;

    for (int n = 0; n < kept; n++) {
        const int length = utf8_length(at);
        char piece[5] = "?";
        if (length == 1 && (*at < 0x20 || *at == 0x7f))
            piece[0] = ' ';
        else if (length > 0)
            memcpy(piece, at, (size_t)length);
        pri_text_add_html(text, piece);
        at += length > 0 ? length : 1;
    }
    if (kept < whole)
        pri_text_add(text, ELLIPSIS);
}
