/* SPDX-License-Identifier: Apache-2.0 */
/* run_input.c - see run_input.h. */
#include "run_input.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct arrays {
    pare_tensor of[CLI_LIST_MAX]; /* owned */
    int index[CLI_LIST_MAX];      /* of the input */
    int count;
} arrays;

const char *run_file_of(const char *input)
{
    const char *equals = strchr(input, '=');

    return equals != NULL && access(input, F_OK) != 0 ? equals + 1 : input;
}

bool run_is_array(const char *input)
{
    const size_t n = strlen(input);

    return n > 4 && strcmp(input + n - 4, ".npy") == 0;
}

/* The input that "NAME=FILE" means, the first without a name; -1 after a message. */
static int input_of(const pare_model *model, const char *text)
{
    const size_t length = (size_t)(run_file_of(text) - text);
    const char *name;

    if (length == 0)
        return 0;
    for (int k = 0; (name = pare_model_input_name(model, k)) != NULL; k++) {
        if (strlen(name) == length - 1 && strncmp(name, text, length - 1) == 0)
            return k;
    }
    fprintf(stderr, "pare: the model has no input '%.*s'; see 'pare inspect'\n", (int)length - 1,
            text);
    return -1;
}

/* Which input each array is for; every input must have one, and one only. */
static int assign(arrays *a, const pare_model *model, const cli_list *inputs)
{
    const char *name;

    for (int i = 0; i < inputs->count; i++) {
        a->index[i] = input_of(model, inputs->items[i]);
        if (a->index[i] < 0)
            return EXIT_FAILED;
    }
    for (int k = 0; (name = pare_model_input_name(model, k)) != NULL; k++) {
        int given = 0;
        for (int i = 0; i < inputs->count; i++)
            given += a->index[i] == k;
        if (given == 1)
            continue;
        fprintf(stderr,
                "pare: there are %d arrays for input '%s'; give each input one: --input "
                "'%s=FILE'\n",
                given, name, name);
        return EXIT_FAILED;
    }
    return 0;
}

static pare_status read_arrays(arrays *a, pare_context *ctx, pare_model *model,
                               const cli_list *inputs)
{
    pare_status status = PARE_OK;

    for (; a->count < inputs->count && status == PARE_OK; a->count++) {
        pare_tensor *array = &a->of[a->count];
        status = pare_array_read(array, ctx, run_file_of(inputs->items[a->count]));
        if (status == PARE_OK)
            status =
                pare_model_set_input_shape(model, a->index[a->count], array->rank, array->dims);
    }
    return status;
}

/* A half as IEEE 754 lays it out. */
static double half_at(const unsigned char *at)
{
    const int bits = at[0] | at[1] << 8, exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = ldexp(1024 + fraction, exponent - 25);

    if (exponent == 0)
        value = ldexp(fraction, -24);
    else if (exponent == 31)
        value = fraction == 0 ? (double)INFINITY : (double)NAN;
    return (bits >> 15) != 0 ? -value : value;
}

/* Halves or doubles into an input of single precision. */
static void convert(float *out, const pare_tensor *array, size_t count)
{
    const unsigned char *at = array->data;

    for (size_t i = 0; i < count; i++) {
        double value;
        if (array->type == PARE_FLOAT16)
            value = half_at(at + 2 * i);
        else
            memcpy(&value, at + sizeof value * i, sizeof value);
        out[i] = (float)value;
    }
}

static int set_array(const pare_session *session, const pare_tensor *array, int index)
{
    pare_tensor x;

    (void)pare_session_input(&x, session, index);
    const size_t element = array->type == PARE_FLOAT16 ? 2 : 8,
                 count = x.size_bytes / sizeof(float);
    if (x.type == PARE_FLOAT32 && (array->type == PARE_FLOAT64 || array->type == PARE_FLOAT16) &&
        array->size_bytes == element * count) {
        convert(x.data, array, count);
        return 0;
    }
    if (array->type != x.type || array->size_bytes != x.size_bytes) {
        fprintf(stderr, "pare: input '%s' takes %zu bytes of %s, '%s' holds %zu of %s\n", x.name,
                x.size_bytes, pare_type_name(x.type), array->name, array->size_bytes,
                pare_type_name(array->type));
        return EXIT_FAILED;
    }
    if (x.size_bytes > 0)
        memcpy(x.data, array->data, x.size_bytes);
    return 0;
}

int run_open_arrays(pare_session **out, pare_context *ctx, pare_model *model,
                    const cli_list *inputs)
{
    arrays a = {.count = 0};
    int code = assign(&a, model, inputs);

    if (code != 0)
        return code;
    pare_status status = read_arrays(&a, ctx, model, inputs);
    if (status == PARE_OK)
        status = pare_session_new(out, model, NULL);
    code = status == PARE_OK ? 0 : cli_fail(ctx, status);
    for (int i = 0; i < a.count && code == 0; i++)
        code = set_array(*out, &a.of[i], a.index[i]);
    for (int i = 0; i < CLI_LIST_MAX; i++)
        pare_array_clear(&a.of[i]);
    return code;
}
