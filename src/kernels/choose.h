/* SPDX-License-Identifier: Apache-2.0 */
/*
 * choose.h - by which algorithm a convolution is computed.
 *
 * A rule on the shape, or, where the context wants it (PARE_ALGORITHMS_MEASURED), a measurement
 * made once and remembered. Algorithms round differently, so that a choice has to stay what it was
 * for the same network to give the same bytes: what cannot be remembered is not measured, and the
 * rule holds. Convolutions that only one algorithm can compute are never measured.
 *
 * The table of choices is the process's, read from a file of the user's cache folder whose name
 * says all that a measurement hangs on besides the shape: processor, instruction set, oneDNN. Any
 * number of threads and processes may choose at the same time; one of them measures, the others
 * take over what it found.
 */
#ifndef PRI_CHOOSE_H
#define PRI_CHOOSE_H

#include "kernels/choices.h"
#include "kernels/dnn.h"

/* "direct", "winograd", "bf16". Static. */
const char *pri_conv_algorithm_name(pri_conv_algorithm algorithm);
/* What holds without a measurement; also where two are about equally fast. */
pri_conv_algorithm pri_conv_rule(const pri_conv_problem *problem);
/* The other algorithm that suits a problem, as far as its shape says; false: there is none. */
bool pri_conv_other(pri_conv_algorithm *out, const pri_conv_problem *problem);
/* The choice. Never fails and leaves the context's message alone unless it has to try something
 * that fails: it is then forgotten. */
pri_conv_algorithm pri_conv_choose(pare_context *ctx, const pri_conv_problem *problem,
                                   unsigned directions);

/* Measures something: a word for it, and a note for readers of the file. False: nothing came out,
 * and nothing is remembered. */
typedef bool pri_measure(char word[PRI_CHOICE_WORD], char note[PRI_CHOICE_NOTE], pare_context *ctx,
                         const void *what);
/* The word remembered for `key`; where there is none it is measured and remembered. False: it
 * cannot be, or the context does not want it. */
bool pri_remember(char word[PRI_CHOICE_WORD], pare_context *ctx, const char *key,
                  pri_measure *measure, const void *what);

/* One line that names everything about a problem that its times depend on. */
enum { PRI_CONV_KEY = PRI_CHOICE_KEY };
void pri_conv_key(char out[PRI_CONV_KEY], const pri_conv_problem *problem, unsigned directions,
                  int threads);
/* Path of the file of choices, in new memory; NULL where no cache folder is named (neither
 * XDG_CACHE_HOME, which counts when it is absolute, nor HOME) or memory is out. */
char *pri_choices_default_path(pare_context *ctx);

/* Times algorithms `rule` and `other` in turns on made-up numbers, all directions together, and
 * gives the faster; `rule` unless the other one is faster by more than 8 %, and for convolutions
 * that take less than 0.2 ms. seconds: of both (rule first), 0 where not timed. Takes about 60 ms;
 * where one run takes longer, a run of each, or three where they are close. Of problems that take
 * more than about a quarter of a second a part is timed. */
pri_conv_algorithm pri_conv_faster(double seconds[2], pare_context *ctx,
                                   const pri_conv_problem *problem, unsigned directions,
                                   pri_conv_algorithm rule, pri_conv_algorithm other);

#endif
