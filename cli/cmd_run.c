/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run.c - `pare run`: a model on images or arrays. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run_view.h"

enum { MAX_OUTPUTS = 64 };

typedef struct job {
    const char *out, *mask, *size, *preprocess;
    cli_list inputs; /* "[NAME=]FILE" */
    int64_t top, crop;
    bool force;
    pare_context *ctx;
    pare_model *model;
    pare_session *session;
    pare_data *images;
    pare_tensor arrays[CLI_LIST_MAX];
    /* all runs, one below the other; data owned, names of the session */
    pare_tensor outputs[MAX_OUTPUTS];
    int n_outputs;
    int64_t count; /* runs, or images */
} job;

static const char *file_of(const char *input)
{
    const char *equals = strchr(input, '=');

    return equals != NULL && access(input, F_OK) != 0 ? equals + 1 : input;
}

static bool is_array(const char *input)
{
    const size_t n = strlen(input);

    return n > 4 && strcmp(input + n - 4, ".npy") == 0;
}

/* --- Outputs --- */

/* Adds `rows` rows of what the session holds to what was collected; outputs without rows are kept of
 * the first run. */
static bool collect(job *j, int64_t rows, int64_t batch)
{
    pare_tensor y;

    for (j->n_outputs = 0; pare_session_output(&y, j->session, j->n_outputs); j->n_outputs++) {
        if (j->n_outputs == MAX_OUTPUTS)
            return false;
        pare_tensor *all = &j->outputs[j->n_outputs];
        const bool has_rows = y.rank > 0 && y.dims[0] == batch;
        const size_t bytes = has_rows ? y.size_bytes / (size_t)batch * (size_t)rows : y.size_bytes;
        void *data = all->data;
        if (data != NULL && !has_rows)
            continue;
        data = realloc(data, all->size_bytes + bytes + 1);
        if (data == NULL)
            return false;
        if (all->data == NULL) {
            *all = y;
            all->size_bytes = 0;
            all->dims[0] = has_rows ? 0 : y.dims[0];
        }
        if (bytes > 0)
            memcpy((char *)data + all->size_bytes, y.data, bytes);
        all->data = data;
        all->size_bytes += bytes;
        all->dims[0] += has_rows ? rows : 0;
    }
    return true;
}

static int fail_memory(void)
{
    fprintf(stderr, "pare: out of memory, or more than %d outputs\n", (int)MAX_OUTPUTS);
    return EXIT_FAILED;
}

/* --- Images --- */

static pare_status open_images(job *j)
{
    pare_data_options options = {.crop = j->crop};
    const char *paths[CLI_LIST_MAX];
    pare_status status = PARE_OK;

    for (int i = 0; i < j->inputs.count; i++)
        paths[i] = file_of(j->inputs.items[i]);
    if (j->size != NULL)
        (void)cli_read_size(&options.height, &options.width, j->size);
    if (j->preprocess != NULL)
        status = pare_model_set_preprocess(j->model, j->preprocess);
    if (status == PARE_OK)
        status = pare_data_fit_options(&options, j->model);
    if (status == PARE_OK)
        status = pare_data_open_images(&j->images, j->ctx, paths, j->inputs.count, &options);
    if (status == PARE_OK)
        status = pare_session_new(&j->session, j->model,
                                  &(pare_session_options){.images = j->images});
    return status;
}

static int run_images(job *j)
{
    pare_tensor x;
    pare_status status = open_images(j);

    if (status != PARE_OK)
        return cli_fail(j->ctx, status);
    (void)pare_session_input(&x, j->session, 0);
    const int64_t batch = x.dims[0];
    for (j->count = 0; j->count < j->inputs.count;) {
        const int64_t left = j->inputs.count - j->count, rows = left < batch ? left : batch;
        status = pare_session_set_images(j->session, j->images, j->count);
        if (status == PARE_OK)
            status = pare_session_run(j->session);
        if (status != PARE_OK)
            return cli_fail(j->ctx, status);
        if (!collect(j, rows, batch))
            return fail_memory();
        j->count += rows;
    }
    return 0;
}

/* --- Arrays --- */

/* The input that "NAME=FILE" means, the first without a name; -1 after a message. */
static int input_of(const job *j, const char *text)
{
    const size_t length = (size_t)(file_of(text) - text);
    const char *name;

    if (length == 0)
        return 0;
    for (int k = 0; (name = pare_model_input_name(j->model, k)) != NULL; k++) {
        if (strlen(name) == length - 1 && strncmp(name, text, length - 1) == 0)
            return k;
    }
    fprintf(stderr, "pare: the model has no input '%.*s'; see 'pare inspect'\n", (int)length - 1,
            text);
    return -1;
}

/* NumPy's default is double precision, networks mostly want single. */
static void narrow(pare_tensor *array)
{
    const size_t count = array->size_bytes / sizeof(double);

    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, (char *)array->data + i * sizeof value, sizeof value);
        const float single = (float)value;
        memcpy((char *)array->data + i * sizeof single, &single, sizeof single);
    }
    array->type = PARE_FLOAT32;
    array->size_bytes = count * sizeof(float);
}

static int set_array(job *j, pare_tensor *array, int index)
{
    pare_tensor x;

    (void)pare_session_input(&x, j->session, index);
    if (array->type == PARE_FLOAT64 && x.type == PARE_FLOAT32)
        narrow(array);
    if (array->type != x.type || array->size_bytes != x.size_bytes) {
        fprintf(stderr, "pare: input '%s' takes %zu bytes of %s, '%s' holds %zu of %s\n", x.name,
                x.size_bytes, pare_type_name(x.type), array->name, array->size_bytes,
                pare_type_name(array->type));
        return EXIT_FAILED;
    }
    memcpy(x.data, array->data, x.size_bytes);
    return 0;
}

static int run_arrays(job *j)
{
    int index[CLI_LIST_MAX];
    pare_status status = PARE_OK;

    for (int i = 0; i < j->inputs.count && status == PARE_OK; i++) {
        pare_tensor *array = &j->arrays[i];
        if ((index[i] = input_of(j, j->inputs.items[i])) < 0)
            return EXIT_FAILED;
        status = pare_array_read(array, j->ctx, file_of(j->inputs.items[i]));
        if (status == PARE_OK)
            status = pare_model_set_input_shape(j->model, index[i], array->rank, array->dims);
    }
    if (status == PARE_OK)
        status = pare_session_new(&j->session, j->model, NULL);
    if (status != PARE_OK)
        return cli_fail(j->ctx, status);
    for (int i = 0; i < j->inputs.count; i++) {
        const int code = set_array(j, &j->arrays[i], index[i]);
        if (code != 0)
            return code;
    }
    status = pare_session_run(j->session);
    if (status != PARE_OK)
        return cli_fail(j->ctx, status);
    j->count = 1;
    return collect(j, 1, 1) ? 0 : fail_memory();
}

/* --- Results --- */

static int write_mask(const job *j)
{
    int64_t height, width;

    for (int k = 0; k < j->n_outputs; k++) {
        uint8_t *mask = run_mask_of(&j->outputs[k], &height, &width);
        if (mask == NULL)
            continue;
        const pare_status status =
            pare_mask_write(j->ctx, j->mask, mask, height, width, j->force);
        free(mask);
        return status == PARE_OK ? 0 : cli_fail(j->ctx, status);
    }
    fprintf(stderr, "pare: no output of the model is a mask of up to 256 classes\n");
    return EXIT_FAILED;
}

static int write_files(const job *j)
{
    if (j->out != NULL) {
        const pare_status status =
            pare_arrays_write(j->ctx, j->out, j->outputs, j->n_outputs, j->force);
        if (status != PARE_OK)
            return cli_fail(j->ctx, status);
    }
    return j->mask != NULL ? write_mask(j) : 0;
}

static int print(const job *j)
{
    json_t *runs = cli_common.json ? json_array() : NULL;

    for (int64_t row = 0; row < j->count; row++) {
        json_t *outputs = runs != NULL ? json_array() : NULL;
        const char *file = file_of(j->inputs.items[row]);
        if (!cli_common.json)
            printf("%s\n", file);
        for (int k = 0; k < j->n_outputs; k++) {
            if (cli_common.json)
                json_array_append_new(outputs, run_row_json(&j->outputs[k], row, j->top));
            else
                run_print_row(&j->outputs[k], row, j->top);
        }
        if (cli_common.json)
            json_array_append_new(runs, json_pack("{s:s, s:o}", "input", file, "outputs", outputs));
    }
    if (cli_common.json)
        return cli_print_json(json_pack("{s:s, s:o}", "schema", "pare.run/1", "runs", runs));
    if (j->out != NULL)
        printf("written: %s\n", j->out);
    return 0;
}

static int run(job *j, const char *path)
{
    const char *const files[] = {j->out, j->mask};

    for (int i = 0; i < 2 && !j->force; i++) {
        if (files[i] != NULL && access(files[i], F_OK) == 0) {
            fprintf(stderr, "pare: '%s' exists; use --force to replace it\n", files[i]);
            return EXIT_FAILED;
        }
    }
    j->ctx = cli_context();
    if (j->ctx == NULL)
        return EXIT_FAILED;
    const pare_status status = pare_model_load(&j->model, j->ctx, path);
    if (status != PARE_OK)
        return cli_fail(j->ctx, status);
    int code = is_array(j->inputs.items[0]) ? run_arrays(j) : run_images(j);
    cli_end_progress();
    if (code == 0)
        code = write_files(j);
    return code == 0 ? print(j) : code;
}

static void close_job(job *j)
{
    for (int k = 0; k < MAX_OUTPUTS; k++)
        free(j->outputs[k].data);
    for (int i = 0; i < CLI_LIST_MAX; i++)
        pare_array_clear(&j->arrays[i]);
    pare_session_free(j->session);
    pare_data_free(j->images);
    pare_model_free(j->model);
}

static int check(const job *j, const cli_command *command)
{
    int64_t height, width;

    if (j->inputs.count == 0)
        return cli_usage(command, "--input is missing");
    for (int i = 1; i < j->inputs.count; i++) {
        if (is_array(j->inputs.items[i]) != is_array(j->inputs.items[0]))
            return cli_usage(command, "--input takes images or arrays, not both");
    }
    if (j->top < 0 || j->crop < 0 || j->crop > 100)
        return cli_usage(command, "--top and --crop want 0 or more, --crop at most 100");
    if (j->size != NULL && !cli_read_size(&height, &width, j->size))
        return cli_usage(command, "'%s' is no size; say 224x224 (height x width)", j->size);
    if (j->mask != NULL && j->inputs.count > 1)
        return cli_usage(command, "--mask wants one image");
    return 0;
}

int cmd_run(int argc, char **argv)
{
    job j = {.top = 5};
    const cli_option options[] = {
        {"--input", 'l', &j.inputs, "[NAME=]FILE",
         "a PNG or JPEG image (several: repeat), or a NumPy array\n(.npy) for each input of the "
         "model (required)"},
        {"-o", 's', &j.out, "OUT.npz", "write the outputs; .npy where there is one"},
        {"--mask", 's', &j.mask, "OUT.png", "write the class of each pixel of a mask head"},
        {"--top", 'i', &j.top, "K", "classes to print of a class head"},
        {"--size", 's', &j.size, "HxW", "resize images; default: what the model wants"},
        {"--crop", 'i', &j.crop, "PERCENT",
         "of the shorter side a centre crop keeps before resizing"},
        {"--preprocess", 's', &j.preprocess, "TEXT",
         "cifar10, imagenet, none, unit or scale=..,mean=..,std=..;\ndefault: what the model says"},
        {"--force", 'b', &j.force, NULL, "replace existing files"},
        {NULL, 0, NULL, NULL, NULL}};
    const char *const examples[] = {
        "pare run model.onnx --input data/test/images/00000.png --preprocess cifar10",
        "pare run duo.onnx --input data/test/images/00000.png --mask mask.png -o outputs.npz", NULL};
    const cli_command command = {
        "run", "MODEL.onnx",
        "Runs a model on images, as its preprocessing says, or on arrays; prints the best classes and\n"
        "what masks hold.",
        options, 1, 1, examples};
    const char *words[1];
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    if ((code = check(&j, &command)) != 0)
        return code;
    code = run(&j, words[0]);
    close_job(&j);
    return code;
}
