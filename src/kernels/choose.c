/* SPDX-License-Identifier: Apache-2.0 */
/* choose.c - see choose.h. */
#include "kernels/choose.h"

#include <ctype.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif

#include "base/file.h"
#include "base/text.h"
#include "kernels/winograd.h"

/* Of keys and file, and of what an algorithm does: where winograd.c, gathered.c or amx_weights.c
 * becomes faster or computes otherwise, this goes up, and shapes are timed anew in another file. */
enum { FORMAT = 6 };

const char *pri_conv_algorithm_name(pri_conv_algorithm algorithm)
{
    static const char *const names[PRI_CONV_ALGORITHMS] = {
        [PRI_CONV_DIRECT] = "direct", [PRI_CONV_WINOGRAD] = "winograd", [PRI_CONV_BF16] = "bf16"};

    return names[algorithm];
}

/* --- The rule --- */

/* From here on Winograd's algorithm pays (measured on Zen 4 and Zen 5): against direct products in
 * float32 it is 1.3 times as fast at 16 channels and 2.7 times at 64, against those in bfloat16 1.2
 * times at 32 and 1.7 times at 64. Not against those by AMX, which are 1.5 to 3.5 times as fast in
 * training and forwards (Sapphire Rapids, 16 to 512 channels of 7 x 7 to 256 x 256). With few tiles
 * turning the weights takes what it saves. With fewer than TRIED channels it is not even timed.
 * With AVX2 (Zen 3) steps of training at 16 and 32 channels take 0.8 and 0.5 of direct ones. */
enum { LEAST_CHANNELS = 12, LEAST_CHANNELS_NARROW = 28, LEAST_TILES = 32, TILE = 4, TRIED = 8 };

static pri_conv_algorithm without_winograd(const pri_conv_problem *p)
{
    return p->is_narrow ? PRI_CONV_BF16 : PRI_CONV_DIRECT;
}

pri_conv_algorithm pri_conv_rule(const pri_conv_problem *p)
{
    const int64_t least = p->is_narrow ? LEAST_CHANNELS_NARROW : LEAST_CHANNELS;

    if ((p->is_narrow && pri_dnn_has_amx()) || !pri_winograd_suits(p) || p->in_channels < least ||
        p->out_channels < least ||
        p->batch * ((p->out[0] + TILE - 1) / TILE) * ((p->out[1] + TILE - 1) / TILE) < LEAST_TILES)
        return without_winograd(p);
    return PRI_CONV_WINOGRAD;
}

bool pri_conv_other(pri_conv_algorithm *out, const pri_conv_problem *p)
{
    *out = pri_conv_rule(p) == PRI_CONV_WINOGRAD ? without_winograd(p) : PRI_CONV_WINOGRAD;
    return pri_winograd_suits(p) && p->in_channels >= TRIED && p->out_channels >= TRIED;
}

/* --- Key and file --- */

static void add(char key[PRI_CONV_KEY], const char *format, ...) PARE_PRINTF(2, 3);

static void add(char key[PRI_CONV_KEY], const char *format, ...)
{
    const size_t used = strlen(key);
    va_list args;

    va_start(args, format);
    vsnprintf(key + used, PRI_CONV_KEY - used, format, args);
    va_end(args);
}

static void add_sizes(char key[PRI_CONV_KEY], const char *name, const int64_t *sizes, int n)
{
    for (int k = 0; k < n; k++)
        add(key, "%s%lld", k == 0 ? name : "x", (long long)sizes[k]);
}

void pri_conv_key(char out[PRI_CONV_KEY], const pri_conv_problem *p, unsigned directions,
                  int threads)
{
    static const char *const posts[] = {
        [PRI_POST_NONE] = "",       [PRI_POST_RELU] = " relu",
        [PRI_POST_CLIP] = " clip",  [PRI_POST_SIGMOID] = " sigmoid",
        [PRI_POST_TANH] = " tanh",  [PRI_POST_HARDSWISH] = " hardswish",
        [PRI_POST_SWISH] = " swish"};
    const bool forward = (directions & PRI_CONV_FORWARD) != 0,
               data = (directions & PRI_CONV_BACKWARD_DATA) != 0,
               weights = (directions & PRI_CONV_BACKWARD_WEIGHTS) != 0;

    out[0] = '\0';
    add(out, "batch %lld channels %lld to %lld groups %lld", (long long)p->batch,
        (long long)p->in_channels, (long long)p->out_channels, (long long)p->groups);
    add_sizes(out, " in ", p->in, p->spatial);
    add_sizes(out, " out ", p->out, p->spatial);
    add_sizes(out, " kernel ", p->kernel, p->spatial);
    add_sizes(out, " stride ", p->stride, p->spatial);
    add_sizes(out, " dilation ", p->dilation, p->spatial);
    add_sizes(out, " pad ", p->pad_begin, p->spatial);
    add_sizes(out, " to ", p->pad_end, p->spatial);
    add(out, " %s %s%s%s %s%s%s%s%s threads %d", p->layout == PRI_CHANNELS_LAST ? "last" : "plain",
        p->is_narrow ? "bf16" : "f32", p->src_type == PRI_BF16 ? " in-bf16" : "",
        p->dst_type == PRI_BF16 ? " out-bf16" : "", forward ? "f" : "", data ? "d" : "",
        weights ? "w" : "", p->accumulates ? " sum" : "", posts[p->post], threads);
}

/* The processor's name in `out` as part of a file name; with family, model and stepping as one
 * number, since a virtual machine may say less in words. */
static void name_processor(char *out, size_t size)
{
    char brand[64] = "processor";

#if defined(__x86_64__) && defined(__GNUC__)
    unsigned words[12];
    bool is_there = true;
    for (unsigned k = 0; k < 3 && is_there; k++)
        is_there = __get_cpuid(0x80000002U + k, &words[4 * k], &words[4 * k + 1], &words[4 * k + 2],
                               &words[4 * k + 3]) != 0;
    unsigned signature = 0, rest[3];
    if (is_there)
        memcpy(brand, words, sizeof words);
    brand[sizeof words] = '\0';
    if (__get_cpuid(1, &signature, &rest[0], &rest[1], &rest[2]) != 0)
        snprintf(brand + strlen(brand), sizeof brand - strlen(brand), " %x", signature);
#endif
    size_t used = 0;
    for (const char *at = brand; *at != '\0' && used + 1 < size; at++) {
        if (isalnum((unsigned char)*at))
            out[used++] = *at;
        else if (used > 0 && out[used - 1] != '-')
            out[used++] = '-';
    }
    while (used > 0 && out[used - 1] == '-')
        used--;
    out[used] = '\0';
}

char *pri_choices_default_path(pare_context *ctx)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const bool has_cache = cache != NULL && cache[0] == '/';
    char processor[80];
    pri_text path;

    if (!has_cache && (home == NULL || home[0] != '/'))
        return NULL;
    name_processor(processor, sizeof processor);
    pri_text_init(&path, ctx);
    pri_text_addf(&path, "%s%s/pare/algorithms-%d-%s-%s-%s.txt", has_cache ? cache : home,
                  has_cache ? "" : "/.cache", FORMAT, processor, pri_dnn_isa(), pri_dnn_version());
    char *text = pri_text_take(&path);
    for (char *at = text != NULL ? strrchr(text, '/') : NULL; at != NULL && *at != '\0'; at++)
        *at = *at == ' ' ? '-' : *at; /* of oneDNN's name */
    return text;
}

/* --- The choice --- */

static pthread_mutex_t table_mutex = PTHREAD_MUTEX_INITIALIZER;
static pri_choices *table; /* the process's */

/* The table of the file named now, read when it is opened; NULL: there can be none. */
static pri_choices *open_table(pare_context *ctx)
{
    char *path = pri_choices_default_path(ctx);

    if (path == NULL || table == NULL || strcmp(pri_choices_path(table), path) != 0) {
        pri_choices_free(table);
        table = NULL;
        if (path != NULL && pri_choices_new(&table, ctx, path) == PARE_OK)
            pri_choices_read(table, ctx);
        else
            pri_forget(ctx);
    }
    pri_free(path);
    return table;
}

/* Measures what nobody has measured, with the file locked, so that no two do. */
static bool measure_once(pri_choices *choices, pare_context *ctx, const char *key,
                         pri_measure *measure, const void *what)
{
    char word[PRI_CHOICE_WORD] = "", note[PRI_CHOICE_NOTE] = "";

    if (!pri_choices_lock(choices, ctx))
        return false;
    pri_choices_read(choices, ctx);
    const bool is_there =
        pri_choices_find(choices, key) != NULL ||
        (measure(word, note, ctx, what) && pri_choices_add(choices, ctx, key, word, note));
    pri_choices_unlock(choices);
    return is_there;
}

bool pri_remember(char word[PRI_CHOICE_WORD], pare_context *ctx, const char *key,
                  pri_measure *measure, const void *what)
{
    if (pare_context_algorithms(ctx) != PARE_ALGORITHMS_MEASURED)
        return false;
    pthread_mutex_lock(&table_mutex);
    pri_choices *choices = open_table(ctx);
    const bool is_there = choices != NULL && (pri_choices_find(choices, key) != NULL ||
                                              measure_once(choices, ctx, key, measure, what));
    if (is_there)
        snprintf(word, PRI_CHOICE_WORD, "%s", pri_choices_find(choices, key));
    pthread_mutex_unlock(&table_mutex);
    return is_there;
}

/* --- Algorithms --- */

typedef struct contest {
    const pri_conv_problem *problem;
    unsigned directions;
    pri_conv_algorithm rule, other;
} contest;

static bool hold(char word[PRI_CHOICE_WORD], char note[PRI_CHOICE_NOTE], pare_context *ctx,
                 const void *what)
{
    const contest *c = what;
    double seconds[2];
    const pri_conv_algorithm faster =
        pri_conv_faster(seconds, ctx, c->problem, c->directions, c->rule, c->other);

    snprintf(word, PRI_CHOICE_WORD, "%s", pri_conv_algorithm_name(faster));
    if (seconds[0] > 0 && seconds[1] > 0)
        snprintf(note, PRI_CHOICE_NOTE, "%s %.3g ms, %s %.3g ms", pri_conv_algorithm_name(c->rule),
                 1e3 * seconds[0], pri_conv_algorithm_name(c->other), 1e3 * seconds[1]);
    return true;
}

pri_conv_algorithm pri_conv_choose(pare_context *ctx, const pri_conv_problem *problem,
                                   unsigned directions)
{
    contest c = {.problem = problem, .directions = directions, .rule = pri_conv_rule(problem)};
    char key[PRI_CONV_KEY], word[PRI_CHOICE_WORD];

    if (!problem->may_measure || !pri_conv_other(&c.other, problem))
        return c.rule;
    pri_conv_key(key, problem, directions, pare_context_threads(ctx));
    /* a file may say anything */
    return pri_remember(word, ctx, key, hold, &c) &&
                   strcmp(word, pri_conv_algorithm_name(c.other)) == 0
               ? c.other
               : c.rule;
}
