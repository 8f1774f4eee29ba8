/* SPDX-License-Identifier: Apache-2.0 */
/* input_shapes.c - `--input NAME:1x3x224x224,...`: fixes the input shapes of a model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static bool parse_dims(int *rank, int64_t dims[PARE_MAX_RANK], const char *text, size_t length)
{
    const char *end = text + length;

    for (*rank = 0; *rank < PARE_MAX_RANK; text++) {
        char *after;
        if (text >= end || *text < '0' || *text > '9')
            return false;
        dims[*rank] = strtoll(text, &after, 10);
        if (dims[(*rank)++] > INT32_MAX)
            return false;
        text = after;
        if (text == end)
            return true;
        if (*text != 'x')
            return false;
    }
    return false;
}

static int find_input(const pare_model *model, const char *name, size_t length)
{
    const char *known;

    for (int k = 0; (known = pare_model_input_name(model, k)) != NULL; k++) {
        if (strlen(known) == length && strncmp(known, name, length) == 0)
            return k;
    }
    return -1;
}

int cli_set_inputs(pare_context *ctx, pare_model *model, const char *text)
{
    while (text != NULL && *text != '\0') {
        int64_t dims[PARE_MAX_RANK];
        int rank = 0, index = 0;
        const size_t length = strcspn(text, ",");
        const char *shape = text;
        for (const char *c = text; c < text + length; c++)
            shape = *c == ':' ? c + 1 : shape; /* names may hold colons: the last one counts */
        if (shape > text)
            index = find_input(model, text, (size_t)(shape - text) - 1);
        if (index < 0) {
            fprintf(stderr, "pare: the model has no input '%.*s'; it has '%s'%s\n",
                    (int)(shape - text) - 1, text, pare_model_input_name(model, 0),
                    pare_model_input_name(model, 1) != NULL ? " and others" : "");
            return EXIT_FAILED;
        }
        if (!parse_dims(&rank, dims, shape, length - (size_t)(shape - text))) {
            fprintf(stderr, "pare: '%.*s' is no shape; --input wants [NAME:]1x3x224x224\n",
                    (int)length, text);
            return EXIT_USAGE;
        }
        const pare_status status = pare_model_set_input_shape(model, index, rank, dims);
        if (status != PARE_OK)
            return cli_fail(ctx, status);
        text += length + (text[length] == ',');
    }
    return 0;
}
