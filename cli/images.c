/* SPDX-License-Identifier: Apache-2.0 */
/* images.c - the options that say which images a command scores. */
#include <stdlib.h>

#include "cli.h"

enum { LARGEST_SIDE = 65536 };

/* A whole number from 0 to max with nothing behind it but `end`. */
static bool read_number(int64_t *out, const char **at, int64_t max)
{
    char *end;

    *out = strtoll(*at, &end, 10);
    const bool is_number = end != *at && *out >= 0 && *out <= max;
    *at = end;
    return is_number;
}

bool cli_read_size(int64_t *height, int64_t *width, const char *text)
{
    if (!read_number(height, &text, LARGEST_SIDE) || *height == 0)
        return false;
    *width = *height;
    if (*text == '\0')
        return true;
    if (*text++ != 'x' || !read_number(width, &text, LARGEST_SIDE))
        return false;
    return *width > 0 && *text == '\0';
}

int cli_check_images(const cli_command *command, const cli_images *images)
{
    int64_t number, other;

    if (images->path == NULL)
        return cli_usage(command, "--data is missing");
    if (images->size != NULL && !cli_read_size(&number, &other, images->size))
        return cli_usage(command, "'%s' is no size; say 224x224 (height x width)", images->size);
    if (images->memory < 0 || images->memory > (INT64_C(1) << 24))
        return cli_usage(command, "--memory wants megabytes");
    if (images->limit < 0 || images->crop < 0 || images->crop > 100)
        return cli_usage(command, "--limit and --crop want 0 or more, --crop at most 100");
    if (images->val_fraction < 0 || !(images->val_fraction < 1))
        return cli_usage(command, "--val-fraction wants a number from 0 to below 1");
    const char *class = images->ignore_class, *offset = images->class_offset;
    if (class != NULL && (!read_number(&number, &class, 254) || *class != '\0'))
        return cli_usage(command, "--ignore-class wants a number from 0 to 254");
    if (offset != NULL && (!read_number(&number, &offset, INT32_MAX) || *offset != '\0'))
        return cli_usage(command, "--class-offset wants a number from 0");
    return 0;
}

void cli_keep_inputs(cli_shapes *out, const pare_model *model)
{
    for (int k = 0; k < PARE_MAX_RANK; k++)
        out->ranks[k] = pare_model_input_shape(model, k, out->dims[k]);
}

pare_status cli_restore_inputs(pare_model *model, const cli_shapes *shapes)
{
    pare_status status = PARE_OK;

    for (int k = 0; k < PARE_MAX_RANK && status == PARE_OK; k++) {
        if (shapes->ranks[k] > 0)
            status = pare_model_set_input_shape(model, k, shapes->ranks[k], shapes->dims[k]);
    }
    return status;
}

pare_status cli_open_images(pare_data **out, pare_context *ctx, const cli_images *images,
                            pare_model *const *models, int n_models)
{
    pare_data_options options = {.split = images->split,
                                 .val_fraction = images->val_fraction,
                                 .limit = images->limit,
                                 .crop = images->crop,
                                 .memory = images->memory << 20,
                                 .seed = (uint64_t)images->seed};
    pare_status status = PARE_OK;

    *out = NULL;
    if (images->ignore_class != NULL)
        options.ignore_class = atoi(images->ignore_class) + 1;
    if (images->size != NULL)
        (void)cli_read_size(&options.height, &options.width, images->size);
    for (int m = 0; m < n_models && status == PARE_OK; m++) {
        if (images->input != NULL)
            status = pare_model_set_inputs(models[m], images->input);
        if (status == PARE_OK && images->preprocess != NULL)
            status = pare_model_set_preprocess(models[m], images->preprocess);
        if (status == PARE_OK && images->class_offset != NULL)
            status = pare_model_set_metadata(models[m], "pare.class_offset", images->class_offset);
    }
    if (status == PARE_OK && n_models > 0)
        status = pare_data_fit_options(&options, models[0]);
    return status == PARE_OK ? pare_data_open(out, ctx, images->path, &options) : status;
}
