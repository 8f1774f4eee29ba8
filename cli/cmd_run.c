/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run.c - `pare run`: a model on images or arrays. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run_input.h"
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
    /* all runs, one below the other; data owned, names of the session */
    pare_tensor outputs[MAX_OUTPUTS];
    bool has_rows[MAX_OUTPUTS]; /* a row an image, or a row of the first array */
    int n_outputs;
    int64_t count; /* images, or rows of the first array */
} job;

/* --- Outputs --- */

static bool has_rows(const pare_tensor *output, int64_t batch)
{
    return output->rank > 0 && output->dims[0] == batch;
}

/* Adds `rows` rows of what the session holds to what was collected; outputs without rows are kept
 * of the first run. */
static bool collect(job *j, int64_t rows, int64_t batch)
{
    pare_tensor y;

    for (j->n_outputs = 0; pare_session_output(&y, j->session, j->n_outputs); j->n_outputs++) {
        if (j->n_outputs == MAX_OUTPUTS)
            return false;
        pare_tensor *all = &j->outputs[j->n_outputs];
        const bool stacks = has_rows(&y, batch);
        const size_t bytes = stacks ? y.size_bytes / (size_t)batch * (size_t)rows : y.size_bytes;
        void *data = all->data;
        if (data != NULL && !stacks)
            continue;
        data = realloc(data, all->size_bytes + bytes + 1);
        if (data == NULL)
            return false;
        if (all->data == NULL) {
            *all = y;
            all->size_bytes = 0;
            all->dims[0] = stacks ? 0 : y.dims[0];
        }
        if (bytes > 0)
            memcpy((char *)data + all->size_bytes, y.data, bytes);
        all->data = data;
        all->size_bytes += bytes;
        all->dims[0] += stacks ? rows : 0;
        j->has_rows[j->n_outputs] = stacks;
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
        paths[i] = run_file_of(j->inputs.items[i]);
    if (j->size != NULL)
        (void)cli_read_size(&options.height, &options.width, j->size);
    if (j->preprocess != NULL)
        status = pare_model_set_preprocess(j->model, j->preprocess);
    if (status == PARE_OK)
        status = pare_data_fit_options(&options, j->model);
    if (status == PARE_OK)
        status = pare_data_open_images(&j->images, j->ctx, paths, j->inputs.count, &options);
    if (status == PARE_OK)
        status =
            pare_session_new(&j->session, j->model, &(pare_session_options){.images = j->images});
    return status;
}

/* What belongs to no single image cannot be told apart over several. */
static int check_rows(const job *j, int64_t batch)
{
    pare_tensor y;

    for (int k = 0; j->inputs.count > 1 && pare_session_output(&y, j->session, k); k++) {
        if (has_rows(&y, batch))
            continue;
        fprintf(stderr, "pare: output '%s' has no row for each image; run one image at a time\n",
                y.name);
        return EXIT_FAILED;
    }
    return 0;
}

static int run_images(job *j)
{
    pare_tensor x;
    pare_status status = open_images(j);

    if (status != PARE_OK)
        return cli_fail(j->ctx, status);
    (void)pare_session_input(&x, j->session, 0);
    const int64_t batch = x.dims[0];
    const int code = check_rows(j, batch);
    if (code != 0)
        return code;
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

static int run_arrays(job *j)
{
    pare_tensor x;
    const int code = run_open_arrays(&j->session, j->ctx, j->model, &j->inputs);

    if (code != 0)
        return code;
    (void)pare_session_input(&x, j->session, 0);
    const int64_t batch = x.rank > 1 && x.dims[0] > 0 ? x.dims[0] : 1;
    if (j->mask != NULL && batch > 1) {
        fprintf(stderr, "pare: --mask wants one image, the array holds %lld\n", (long long)batch);
        return EXIT_FAILED;
    }
    const pare_status status = pare_session_run(j->session);
    if (status != PARE_OK)
        return cli_fail(j->ctx, status);
    j->count = batch;
    return collect(j, batch, batch) ? 0 : fail_memory();
}

/* --- Results --- */

static int write_mask(const job *j)
{
    int64_t height, width;

    for (int k = 0; k < j->n_outputs; k++) {
        uint8_t *mask = j->has_rows[k] ? run_mask_of(&j->outputs[k], &height, &width) : NULL;
        if (mask == NULL)
            continue;
        const pare_status status = pare_mask_write(j->ctx, j->mask, mask, height, width, j->force);
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

/* Outputs without rows come with the first one. */
static json_t *outputs_of(const job *j, int64_t row)
{
    json_t *outputs = cli_common.json ? json_array() : NULL;

    for (int k = 0; k < j->n_outputs; k++) {
        const int64_t at = j->has_rows[k] ? row : PARE_RUN_WHOLE;
        if (!j->has_rows[k] && row > 0)
            continue;
        if (cli_common.json)
            json_array_append_new(outputs, run_row_json(&j->outputs[k], at, j->top));
        else
            run_print_row(&j->outputs[k], at, j->top);
    }
    return outputs;
}

static int print(const job *j)
{
    const bool are_arrays = run_is_array(j->inputs.items[0]);
    json_t *runs = cli_common.json ? json_array() : NULL;

    for (int64_t row = 0; row < j->count; row++) {
        const char *file = run_file_of(j->inputs.items[are_arrays ? 0 : row]);
        if (!cli_common.json && are_arrays && j->count > 1)
            printf("%s row %lld\n", file, (long long)row);
        else if (!cli_common.json)
            printf("%s\n", file);
        json_t *outputs = outputs_of(j, row);
        if (!cli_common.json)
            continue;
        json_t *run = json_pack("{s:s, s:o}", "input", file, "outputs", outputs);
        if (run != NULL && are_arrays)
            json_object_set_new(run, "row", json_integer((json_int_t)row));
        json_array_append_new(runs, run);
    }
    if (cli_common.json)
        return cli_print_json(json_pack("{s:s, s:o}", "schema", "pare.run/1", "runs", runs));
    if (j->out != NULL)
        printf("written: %s\n", j->out);
    return 0;
}

static int check_files(const job *j, const char *path)
{
    cli_file files[CLI_LIST_MAX + 3] = {{.option = "MODEL", .path = path},
                                        {.option = "-o", .path = j->out, .is_written = true},
                                        {.option = "--mask", .path = j->mask, .is_written = true}};
    int n = 3;

    for (int i = 0; i < j->inputs.count; i++)
        files[n++] = (cli_file){.option = "--input", .path = run_file_of(j->inputs.items[i])};
    return cli_check_files(files, n, j->force);
}

static int run(job *j, const char *path)
{
    const int unusable = check_files(j, path);

    if (unusable != 0)
        return unusable;
    j->ctx = cli_context();
    if (j->ctx == NULL)
        return EXIT_FAILED;
    const pare_status status = pare_model_load(&j->model, j->ctx, path);
    if (status != PARE_OK)
        return cli_fail(j->ctx, status);
    int code = run_is_array(j->inputs.items[0]) ? run_arrays(j) : run_images(j);
    cli_end_progress();
    if (code == 0)
        code = write_files(j);
    return code == 0 ? print(j) : code;
}

static void close_job(job *j)
{
    for (int k = 0; k < MAX_OUTPUTS; k++)
        free(j->outputs[k].data);
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
        if (run_is_array(j->inputs.items[i]) != run_is_array(j->inputs.items[0]))
            return cli_usage(command, "--input takes images or arrays, not both");
    }
    if (j->top < 0 || j->crop < 0 || j->crop > 100)
        return cli_usage(command, "--top and --crop want 0 or more, --crop at most 100");
    if (j->size != NULL && !cli_read_size(&height, &width, j->size))
        return cli_usage(command, "'%s' is no size; say 224x224 (height x width)", j->size);
    const bool are_arrays = run_is_array(j->inputs.items[0]);
    if (are_arrays && (j->size != NULL || j->crop != 0 || j->preprocess != NULL))
        return cli_usage(command, "--size, --crop and --preprocess are for images, not arrays");
    if (j->mask != NULL && j->inputs.count > 1 && !are_arrays)
        return cli_usage(command, "--mask wants one image");
    return 0;
}

int cmd_run(int argc, char **argv)
{
    job j = {.top = 5};
    const cli_option options[] = {
        {"--input", 'l', &j.inputs, "[NAME=]FILE",
         "an image (several: repeat), or a NumPy array\n(.npy) for each input of the "
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
        "pare run duo.onnx --input data/test/images/00000.png --mask mask.png -o outputs.npz",
        NULL};
    const cli_command command = {"run",
                                 "MODEL.onnx",
                                 "Runs a model on images, as its preprocessing says, or on arrays; "
                                 "prints the best classes and\n"
                                 "what masks hold.",
                                 options,
                                 1,
                                 1,
                                 examples};
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
