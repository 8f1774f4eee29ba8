/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_train.c - `pare train`. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "cli.h"

typedef struct arguments {
    const char *out, *teacher, *augment, *schedule, *log;
    const char *checkpoint;
    cli_images images; /* split: the one trained on */
    int64_t epochs, batch;
    double rate, momentum, decay, warmup, smoothing, mask_weight, clip, distill, temperature;
    bool resume, keep_last, force;
} arguments;

typedef struct run_log {
    FILE *file;
    bool failed;
} run_log;

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *epoch_json(const pare_epoch *e)
{
    return json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "epoch", e->epoch,
                     "epochs", e->epochs, "loss", number(e->loss), "val_nll", number(e->val_nll),
                     "val_accuracy", number(e->val_accuracy), "val_miou", number(e->val_miou),
                     "learning_rate", number(e->learning_rate), "images_per_second",
                     number(e->images_per_second), "seconds", number(e->seconds), "best",
                     e->is_best, "data_wait", number(e->data_wait));
}

void cli_print_epoch(const pare_epoch *e)
{
    if (cli_common.quiet)
        return;
    cli_end_progress();
    fprintf(stderr, "epoch %d/%d loss %.4f", e->epoch, e->epochs, e->loss);
    if (isfinite(e->val_nll))
        fprintf(stderr, " val nll %.4f", e->val_nll);
    if (isfinite(e->val_accuracy))
        fprintf(stderr, " accuracy %.2f %%", 100 * e->val_accuracy);
    if (isfinite(e->val_miou))
        fprintf(stderr, " mIoU %.2f %%", 100 * e->val_miou);
    fprintf(stderr, " lr %.3g %.0f img/s data wait %.0f %% %.1f s%s\n", e->learning_rate,
            e->images_per_second, 100 * e->data_wait, e->seconds, e->is_best ? " *" : "");
}

static void on_epoch(void *user, const pare_epoch *e)
{
    run_log *log = user;

    if (log->file != NULL) {
        json_t *line = epoch_json(e);
        log->failed = log->failed || line == NULL || json_dumpf(line, log->file, JSON_COMPACT) != 0 ||
                      fputc('\n', log->file) == EOF || fflush(log->file) != 0;
        json_decref(line);
    }
    cli_print_epoch(e);
}

static int print(const pare_train_result *r, const arguments *a, const pare_costs *costs)
{
    if (!cli_common.json) {
        printf("epochs         %d\nbest epoch     %d\n", r->epochs, r->best_epoch);
        if (isfinite(r->best_val_nll))
            printf("validation NLL %.4f\n", r->best_val_nll);
        if (isfinite(r->best_val_accuracy))
            printf("accuracy       %.2f %%\n", 100 * r->best_val_accuracy);
        if (isfinite(r->best_val_miou))
            printf("mIoU           %.2f %%\n", 100 * r->best_val_miou);
        printf("images/s       %.0f\ntime           %.1f s\nwritten        %s\n",
               r->images_per_second, r->seconds, a->out);
        return 0;
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "schema", "pare.train/1", "output",
        a->out, "epochs", r->epochs, "best_epoch", r->best_epoch, "best_val_nll",
        number(r->best_val_nll), "best_val_accuracy", number(r->best_val_accuracy), "best_val_miou",
        number(r->best_val_miou), "images_per_second", number(r->images_per_second), "seconds",
        number(r->seconds), "data_wait", number(r->data_wait), "seed", (json_int_t)a->images.seed, "costs", cli_costs_json(costs));
    return cli_print_json(root);
}

/* Training images and, unless the fraction is 0 and the data has none of its own, validation ones. */
static pare_status open_data(pare_data **train, pare_data **val, pare_context *ctx,
                             pare_model *model, const arguments *a)
{
    cli_images images = a->images;
    const pare_status status = cli_open_images(train, ctx, &images, &model, 1);

    if (status != PARE_OK || a->images.val_fraction <= 0)
        return status;
    images.split = "val";
    images.limit = 0;
    return cli_open_images(val, ctx, &images, &model, 1);
}

typedef struct parts {
    pare_model *model, *teacher;
    pare_data *train, *val;
} parts;

static pare_status open_parts(parts *p, pare_context *ctx, const char *in, const arguments *a)
{
    pare_status status = pare_model_load(&p->model, ctx, in);

    if (status == PARE_OK && a->teacher != NULL)
        status = pare_model_load(&p->teacher, ctx, a->teacher);
    if (status == PARE_OK)
        status = open_data(&p->train, &p->val, ctx, p->model, a);
    return status;
}

static int run(pare_context *ctx, const char *in, const arguments *a, pare_train_options *options)
{
    parts p = {0};
    pare_train_result result = {0};
    pare_costs costs = {0};
    run_log log = {0};
    int code = 0;

    if (a->log != NULL && (log.file = fopen(a->log, a->resume ? "a" : "w")) == NULL) {
        fprintf(stderr, "pare: cannot write '%s'\n", a->log);
        return EXIT_FAILED;
    }
    options->on_epoch = on_epoch;
    options->user = &log;
    pare_status status = open_parts(&p, ctx, in, a);
    if (status == PARE_OK) {
        options->teacher = p.teacher;
        status = pare_train(p.model, p.train, p.val, options, &result);
    }
    if (status == PARE_OK)
        status = pare_model_save(p.model, a->out, a->force);
    if (status == PARE_OK)
        status = pare_model_costs(p.model, &costs);
    if (log.file != NULL && (fclose(log.file) != 0 || log.failed)) {
        fprintf(stderr, "pare: '%s' is not complete\n", a->log);
        code = EXIT_FAILED;
    }
    if (status == PARE_OK) {
        unlink(options->checkpoint);
        const int printed = print(&result, a, &costs);
        code = printed != 0 ? printed : code;
    } else {
        code = cli_fail(ctx, status);
    }
    pare_data_free(p.train);
    pare_data_free(p.val);
    pare_model_free(p.teacher);
    pare_model_free(p.model);
    return code;
}

static const char *const examples[] = {
    "pare train model.onnx -o trained.onnx --data cifar10/ --preprocess cifar10 --epochs 30 "
    "--augment flip,crop=4",
    "pare train small.onnx -o tuned.onnx --data cifar10/ --teacher model.onnx --lr 0.01 "
    "--epochs 5",
    "pare train small.onnx -o tuned.onnx --data cifar10/ --teacher model.onnx --lr 0.01 "
    "--epochs 5 --resume",
    NULL};

static void copy_options(pare_train_options *to, const arguments *a)
{
    to->epochs = (int)a->epochs;
    to->batch = a->batch;
    to->learning_rate = a->rate;
    to->momentum = a->momentum == 0 ? -1 : a->momentum;
    to->weight_decay = a->decay == 0 ? -1 : a->decay;
    to->schedule = a->schedule;
    to->warmup = a->warmup;
    to->label_smoothing = a->smoothing;
    to->mask_weight = a->mask_weight;
    to->clip_norm = a->clip;
    to->distill = a->distill;
    to->temperature = a->temperature;
    to->resume = a->resume;
    to->keep_last = a->keep_last;
    to->seed = (uint64_t)a->images.seed;
}

static int start(const cli_command *command, const char *in, const arguments *a)
{
    pare_train_options options = {0};
    char checkpoint[4096];

    if (a->out == NULL)
        return cli_usage(command, "-o is missing");
    const int unusable = cli_check_images(command, &a->images);
    if (unusable != 0)
        return unusable;
    if (a->epochs < 1 || a->epochs > 1000000 || a->batch < 1 || !(a->rate > 0))
        return cli_usage(command, "--epochs, --batch and --lr must be above 0");
    if (cli_parse_augment(command, &options.augment, a->augment) != 0)
        return EXIT_USAGE;
    if (access(a->out, F_OK) == 0 && !a->force) {
        fprintf(stderr, "pare: '%s' exists; use --force to replace it\n", a->out);
        return EXIT_FAILED;
    }
    copy_options(&options, a);
    options.checkpoint = a->checkpoint;
    if (a->checkpoint == NULL) {
        if (snprintf(checkpoint, sizeof checkpoint, "%s.checkpoint", a->out) >=
            (int)sizeof checkpoint)
            return cli_usage(command, "the path after -o is too long");
        options.checkpoint = checkpoint;
    }
    pare_context *ctx = cli_context();
    return ctx != NULL ? run(ctx, in, a, &options) : EXIT_FAILED;
}

int cmd_train(int argc, char **argv)
{
    arguments a = {.epochs = 10, .batch = 64, .rate = 0.05, .momentum = 0.9, .decay = 5e-4,
                   .schedule = "cosine", .mask_weight = 1, .distill = 0.7, .temperature = 4,
                   .images = {.split = "train", .val_fraction = 0.1}};
    const cli_option list[] = {
        {"-o", 's', &a.out, "OUT.onnx", "the file to write (required)"},
        {"--epochs", 'i', &a.epochs, "N", "passes over the training images"},
        {"--batch", 'i', &a.batch, "N", "images of a step"},
        {"--lr", 'f', &a.rate, "X", "peak learning rate"},
        {"--momentum", 'f', &a.momentum, "X", "Nesterov momentum"},
        {"--decay", 'f', &a.decay, "X", "weight decay"},
        {"--schedule", 's', &a.schedule, "NAME", "cosine, step or constant"},
        {"--warmup", 'f', &a.warmup, "EPOCHS", "epochs of linear warm-up"},
        {"--smoothing", 'f', &a.smoothing, "X", "label smoothing, 0 to 1"},
        {"--mask-weight", 'f', &a.mask_weight, "X", "factor of the mask head's loss"},
        {"--clip", 'f', &a.clip, "X", "gradients are scaled down to this norm"},
        {"--augment", 's', &a.augment, "LIST", CLI_AUGMENT_HELP},
        {"--teacher", 's', &a.teacher, "BIG.onnx", "learn from this model's outputs too"},
        {"--distill", 'f', &a.distill, "X", "share of the teacher, 0 to 1"},
        {"--temperature", 'f', &a.temperature, "X", "of the distillation"},
        CLI_IMAGE_OPTIONS(a.images),
        {"--checkpoint", 's', &a.checkpoint, "FILE",
         "state of the run, removed after success;\ndefault: OUT.onnx.checkpoint"},
        {"--resume", 'b', &a.resume, NULL, "go on from the checkpoint if there is one"},
        {"--keep-last", 'b', &a.keep_last, NULL, "write the last epoch, not the best"},
        {"--log", 's', &a.log, "FILE", "one JSON line an epoch"},
        {"--force", 'b', &a.force, NULL, "replace an existing file"},
        {NULL, 0, NULL, NULL, NULL}};
    const cli_command command = {
        "train", "MODEL.onnx",
        "Trains a model from scratch or onward, with a teacher when one is given. Ctrl-C leaves a\n"
        "checkpoint; the same command with --resume goes on from there and gives the same file.",
        list, 1, 1, examples};
    const char *words[1];
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    return start(&command, words[0], &a);
}
