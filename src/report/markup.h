/* SPDX-License-Identifier: Apache-2.0 */
/*
 * markup.h - numbers and names as they stand in HTML and SVG.
 *
 * Numbers are written digit by digit: printf follows the program's locale, and a decimal comma
 * would break every coordinate.
 */
#ifndef PRI_MARKUP_H
#define PRI_MARKUP_H

#include <pare/report.h>

#include "base/text.h"

enum { PRI_REPORT_COLOURS = 8 }; /* classes f0 .. f7 (fill), s0 .. s7 (stroke), t0 .. (text) */

/* "12.30"; a true minus sign, a dash for what is not finite. */
void pri_markup_fixed(pri_text *text, double value, int decimals);
/* The same with "+" before what is positive. */
void pri_markup_signed(pri_text *text, double value, int decimals);
/* A coordinate: one decimal, ASCII only. */
void pri_markup_xy(pri_text *text, double value);
/* Three or four digits and k, M, G or T: "40.55 M". `unit` is put behind ("B": "1.11 MB"). */
void pri_markup_si(pri_text *text, double value, const char *unit);
/* "40,551,040" */
void pri_markup_count(pri_text *text, int64_t value);
/* A name from outside: escaped, without control characters and broken UTF-8, cut to `max`
 * characters with an ellipsis (0: whole). NULL is "". */
void pri_markup_name(pri_text *text, const char *name, int max);
/* Characters that pri_markup_name writes for it. */
int pri_markup_length(const char *name, int max);

#endif
