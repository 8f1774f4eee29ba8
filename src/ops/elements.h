/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elements.h - one element of an operand as a number, whatever its type.
 *
 * For operators on shapes, indices and boxes: never on the way of large activations, whose loops
 * work in float.
 */
#ifndef PRI_ELEMENTS_H
#define PRI_ELEMENTS_H

#include "ops/op.h"

bool pri_is_float(pri_dtype dtype);   /* float16 to float64 */
bool pri_is_integer(pri_dtype dtype); /* signed and unsigned; not bool */
bool pri_is_number(pri_dtype dtype);  /* either */

/* The operand's data as a tensor that owns nothing. */
pri_tensor pri_view(const pri_operand *operand);
double pri_get_number(const pri_operand *operand, int64_t index);
int64_t pri_get_integer(const pri_operand *operand, int64_t index);
/* Rounds floats to the type; numbers outside an integer type end at its bounds. */
void pri_set_number(const pri_operand *operand, int64_t index, double value);
/* Keeps the low bits where the type is narrower. */
void pri_set_integer(const pri_operand *operand, int64_t index, int64_t value);

#endif
