/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_train.c - `pare train`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train_log.h"
#include "train_view.h"

typedef struct arguments {
    const char *out, *teacher, *augment, *schedule, *log;
    const char *optimizer, *precision, *loss, *mask_loss, *class_weights, *tensorboard,
        *noise_report, *trim;
    const char *checkpoint;
    cli_images images; /* split: the one trained on */
    int64_t epochs, batch, early_stop, trim_after;
    double rate, decay, momentum, warmup, smoothing, mask_weight, clip, distill, temperature, inner;
    double beta2, average;
    bool resume, keep_last, force, freeze_norm, insert_norm, recompute;
} arguments;

static pare_status without_validation(const char *why)
{
    cli_end_progress();
    if (!cli_common.quiet)
        fprintf(stderr, "note: there is no validation: %s\n", why);
    return PARE_OK;
}

/* Training images and validation ones, unless all is trained on, or the fraction is 0 and the data
 * has none of its own. */
static pare_status open_data(pare_data **train, pare_data **val, pare_context *ctx,
                             pare_model *model, const arguments *a)
{
    cli_images images = a->images;
    pare_status status = cli_open_images(train, ctx, &images, &model, 1);

    if (status != PARE_OK)
        return status;
    if (strcmp(images.split, "all") == 0)
        return without_validation("--split all trains on those images too");
    images.split = "val";
    images.limit = 0;
    status = cli_open_images(val, ctx, &images, &model, 1);
    return status == PARE_ERROR_DATA && a->images.val_fraction <= 0
               ? without_validation(pare_context_message(ctx))
               : status;
}

typedef struct parts {
    pare_model *model, *teacher;
    pare_data *train, *val;
} parts;

static pare_status open_parts(parts *p, cli_shapes *shapes, pare_context *ctx, const char *in,
                              const arguments *a)
{
    pare_status status = pare_model_load(&p->model, ctx, in);

    if (status == PARE_OK)
        cli_keep_inputs(shapes, p->model);
    if (status == PARE_OK && a->teacher != NULL)
        status = pare_model_load(&p->teacher, ctx, a->teacher);
    if (status == PARE_OK && p->teacher != NULL && a->images.input != NULL)
        status = pare_model_set_inputs(p->teacher, a->images.input);
    if (status == PARE_OK)
        status = open_data(&p->train, &p->val, ctx, p->model, a);
    return status;
}

/* The file keeps the input shapes it had, whatever --input fixed for the run. */
static pare_status save(pare_model *model, const arguments *a, const cli_shapes *shapes)
{
    const pare_status status =
        a->images.input != NULL ? cli_restore_inputs(model, shapes) : PARE_OK;

    return status == PARE_OK ? pare_model_save(model, a->out, a->force) : status;
}

/* What a run that stopped for bad numbers had reached. */
static void save_best(pare_context *ctx, pare_model *model, const arguments *a,
                      const cli_shapes *shapes, int epoch)
{
    const pare_status status = save(model, a, shapes);

    if (status == PARE_OK)
        fprintf(stderr, "pare: '%s' holds the weights of epoch %d\n", a->out, epoch);
    else
        (void)cli_fail(ctx, status);
}

static int train(pare_context *ctx, parts *p, const cli_shapes *shapes, const arguments *a,
                 pare_train_options *options)
{
    pare_train_result result = {0};
    pare_costs costs = {0};
    train_log log;

    int code = train_log_open(&log, a->log, a->resume);
    if (code != 0)
        return code;
    options->on_epoch = train_log_epoch;
    options->on_steps = train_log_steps;
    options->user = &log;
    options->teacher = p->teacher;
    pare_status status = pare_train(p->model, p->train, p->val, options, &result);
    if (status == PARE_OK)
        status = save(p->model, a, shapes);
    if (status == PARE_OK)
        status = pare_model_costs(p->model, &costs);
    code = train_log_close(&log);
    if (status == PARE_OK) {
        unlink(options->checkpoint);
        const int printed = train_print(&result, a->out, a->trim != NULL, a->images.seed, &costs);
        return printed != 0 ? printed : code;
    }
    code = cli_fail(ctx, status);
    if (status == PARE_ERROR_NUMERIC && result.best_epoch > 0)
        save_best(ctx, p->model, a, shapes, result.best_epoch);
    return code;
}

static int run(pare_context *ctx, const char *in, const arguments *a, pare_train_options *options)
{
    parts p = {0};
    cli_shapes shapes = {0};
    const pare_status status = open_parts(&p, &shapes, ctx, in, a);

    const int code =
        status == PARE_OK ? train(ctx, &p, &shapes, a, options) : cli_fail(ctx, status);
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
    "pare train duo.onnx -o trained.onnx --data data/ --epochs 2 --optimizer adamw "
    "--schedule one-cycle --loss ce --mask-loss ce+dice --class-weights auto --ema 0.99 "
    "--grad-clip 1 --log train.jsonl --tensorboard events",
    "pare train model.onnx -o trained.onnx --data cifar10/ --preprocess cifar10 --epochs 3 "
    "--noise-report doubtful.tsv --trim 2% --early-stop 2",
    "pare train model.onnx -o trained.onnx --data cifar10/ --preprocess cifar10 --epochs 1 "
    "--insert-norm",
    NULL};

static void copy_options(pare_train_options *to, const arguments *a)
{
    to->epochs = (int)a->epochs;
    to->batch = a->batch;
    to->momentum = cli_stated(a->momentum);
    to->optimizer = a->optimizer;
    to->precision = a->precision;
    to->recompute = a->recompute;
    to->beta2 = cli_stated(a->beta2);
    to->average = a->average;
    to->early_stop = (int)a->early_stop;
    to->loss = a->loss;
    to->mask_loss = a->mask_loss;
    to->class_weights = a->class_weights;
    to->tensorboard = a->tensorboard;
    to->noise_report = a->noise_report;
    to->trim_after = (int)a->trim_after;
    to->insert_norm = a->insert_norm;
    to->schedule = a->schedule;
    to->warmup = a->warmup;
    to->label_smoothing = a->smoothing;
    to->mask_weight = cli_stated(a->mask_weight);
    to->clip_norm = a->clip;
    to->distill = cli_stated(a->distill);
    to->temperature = cli_stated(a->temperature);
    to->learning_rate = cli_stated(a->rate);
    to->weight_decay = cli_stated(a->decay);
    to->distill_inner = a->inner;
    to->freeze_norm = a->freeze_norm;
    to->resume = a->resume;
    to->keep_last = a->keep_last;
    to->seed = (uint64_t)a->images.seed;
}

/* "2%" or "0.02"; NULL leaves 0. */
static bool read_share(double *out, const char *text)
{
    char *end;

    if (text == NULL)
        return true;
    *out = strtod(text, &end);
    if (end != text && *end == '%') {
        *out /= 100;
        end++;
    }
    return end != text && *end == '\0' && *out > 0 && *out <= 0.5;
}

static int check_files(const char *in, const arguments *a, const char *checkpoint)
{
    const bool has_weights = a->class_weights != NULL && strcmp(a->class_weights, "auto") != 0;
    const cli_file files[] = {
        {"MODEL", in, .in_place = true},
        {"--teacher", a->teacher, .in_place = true},
        {.option = "--class-weights", .path = has_weights ? a->class_weights : NULL},
        {"-o", a->out, .is_written = true, .in_place = true},
        {"--checkpoint", checkpoint, .is_written = true, .may_exist = true},
        {"--log", a->log, .is_written = true, .may_exist = a->resume, .resumes = true},
        {"--noise-report", a->noise_report, .is_written = true, .may_exist = a->resume,
         .resumes = true}};

    return cli_check_files(files, (int)(sizeof files / sizeof *files), a->force);
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
    if (a->epochs < 1 || a->epochs > 1000000 || a->batch < 1 || a->rate <= 0 || a->temperature <= 0)
        return cli_usage(command, "--epochs, --batch, --lr and --temperature must be above 0");
    if (a->momentum < 0 || a->beta2 < 0 || a->decay < 0 || a->mask_weight < 0 || a->distill < 0)
        return cli_usage(command, "--momentum, --beta2, --decay, --mask-weight and --distill must "
                                  "not be negative");
    if (a->early_stop < 0 || a->early_stop > 1000000 || a->trim_after < 0 ||
        a->trim_after > 1000000)
        return cli_usage(command, "--early-stop and --trim-after want numbers of epochs");
    if (a->teacher == NULL && (!isnan(a->distill) || !isnan(a->temperature) || a->inner > 0))
        return cli_usage(command, "--distill, --temperature and --distill-inner want a --teacher");
    if (a->trim_after > 0 && a->trim == NULL && a->noise_report == NULL)
        return cli_usage(command, "--trim-after wants --trim or --noise-report");
    if (!read_share(&options.trim, a->trim))
        return cli_usage(command, "--trim wants a share such as 2%% or 0.02");
    if (cli_parse_augment(command, &options.augment, a->augment) != 0)
        return EXIT_USAGE;
    const bool is_named = a->checkpoint != NULL;
    if (snprintf(checkpoint, sizeof checkpoint, "%s%s", is_named ? a->checkpoint : a->out,
                 is_named ? "" : ".checkpoint") >= (int)sizeof checkpoint)
        return cli_usage(command, "the path %s is too long",
                         is_named ? "of --checkpoint" : "after -o");
    const int code = check_files(in, a, checkpoint);
    if (code != 0)
        return code;
    arguments filled = *a;
    char *weights = NULL;
    if (a->class_weights != NULL && strcmp(a->class_weights, "auto") != 0) {
        weights = cli_read_text(a->class_weights, "class weights");
        if (weights == NULL)
            return EXIT_FAILED;
        filled.class_weights = weights;
    }
    copy_options(&options, &filled);
    options.checkpoint = checkpoint;
    pare_context *ctx = cli_context();
    const int ended = ctx != NULL ? run(ctx, in, a, &options) : EXIT_FAILED;
    free(weights);
    return ended;
}

int cmd_train(int argc, char **argv)
{
    arguments a = {.epochs = 10,
                   .batch = 64,
                   .momentum = 0.9,
                   .optimizer = "sgd",
                   .precision = "f32",
                   .beta2 = 0.999,
                   .schedule = "cosine",
                   .mask_weight = 1,
                   .rate = CLI_UNSTATED,
                   .decay = CLI_UNSTATED,
                   .distill = CLI_UNSTATED,
                   .temperature = CLI_UNSTATED,
                   .images = {.split = "train", .val_fraction = CLI_VAL_FRACTION}};
    cli_common.algorithms = "measure";
    const cli_option list[] = {
        {"-o", 's', &a.out, "OUT.onnx", "the file to write (required)"},
        {"--epochs", 'i', &a.epochs, "N", "passes over the training images"},
        {"--batch", 'i', &a.batch, "N", "images of a step"},
        {"--optimizer", 's', &a.optimizer, "NAME", "sgd (Nesterov momentum) or adamw"},
        {"--precision", 's', &a.precision, "f32|bf16|auto",
         "what convolutions multiply in; auto: bf16 where that\nis faster"},
        {"--recompute", 'b', &a.recompute, NULL,
         "less memory, more time: activations are computed again\non the way back; the result is the same"},
        CLI_ALGORITHMS_OPTION,
        {"--lr", 'f', &a.rate, "X", "peak learning rate; default: 0.05, with adamw 0.001"},
        {"--momentum", 'f', &a.momentum, "X", "Nesterov momentum; with adamw beta1"},
        {"--beta2", 'f', &a.beta2, "X", "of adamw"},
        {"--decay", 'f', &a.decay, "X", "weight decay; default: 5e-4, with adamw 0.01"},
        {"--schedule", 's', &a.schedule, "NAME", "cosine, step, constant or one-cycle"},
        {"--warmup", 'f', &a.warmup, "EPOCHS", "epochs of linear warm-up; of one-cycle the rise"},
        {"--loss", 's', &a.loss, "TERMS",
         "a sum such as ce+0.5*dice of ce, focal=GAMMA, dice, bce, mse;\ndefault: ce, with one "
         "output bce"},
        {"--mask-loss", 's', &a.mask_loss, "TERMS", "of the mask head; default: as --loss"},
        {"--class-weights", 's', &a.class_weights, "auto|FILE", "balanced, or a number a class"},
        {"--ema", 'f', &a.average, "X",
         "validate and keep a running average of the weights\nwith this decay, say 0.999"},
        {"--early-stop", 'i', &a.early_stop, "N", "end after N epochs without a better one"},
        {"--smoothing", 'f', &a.smoothing, "X", "label smoothing, 0 to 1"},
        {"--mask-weight", 'f', &a.mask_weight, "X", "factor of the mask head's loss"},
        {"--grad-clip", 'f', &a.clip, "X", "gradients are scaled down to this norm"},
        {"--augment", 's', &a.augment, "LIST", CLI_AUGMENT_HELP},
        {"--teacher", 's', &a.teacher, "BIG.onnx", "learn from this model's outputs too"},
        {"--distill", 'f', &a.distill, "X", "share of the teacher, 0 to 1; default: 0.7"},
        {"--temperature", 'f', &a.temperature, "X", "of the distillation; default: 4"},
        {"--distill-inner", 'f', &a.inner, "X",
         "weight of the squared difference of logits and residual\nsums from the teacher's"},
        {"--freeze-norm", 'b', &a.freeze_norm, NULL, "normalisations keep their statistics"},
        CLI_IMAGE_OPTIONS(a.images),
        {"--checkpoint", 's', &a.checkpoint, "FILE",
         "state of the run, removed after success;\ndefault: OUT.onnx.checkpoint"},
        {"--resume", 'b', &a.resume, NULL, "go on from the checkpoint if there is one"},
        {"--keep-last", 'b', &a.keep_last, NULL, "write the last epoch, not the best"},
        {"--log", 's', &a.log, "FILE", "a JSON line an epoch and a group of steps"},
        {"--tensorboard", 's', &a.tensorboard, "DIR", "event files for TensorBoard"},
        {"--noise-report", 's', &a.noise_report, "FILE",
         "images whose label training did not believe, as TSV"},
        {"--trim", 's', &a.trim, "SHARE", "leave out at most this share of them, say 2%"},
        {"--trim-after", 'i', &a.trim_after, "N",
         "epochs before that; default: a third of them, at least 2"},
        {"--insert-norm", 'b', &a.insert_norm, NULL,
         "train with normalisations behind convolutions that have\nnone, and fold them back"},
        {"--force", 'b', &a.force, NULL, "replace existing files"},
        {NULL, 0, NULL, NULL, NULL}};
    const cli_command command = {
        "train",
        "MODEL.onnx",
        "Trains a model from scratch or onward, with a teacher when one is given. Ctrl-C leaves a\n"
        "checkpoint; the same command with --resume goes on from there and gives the same file.",
        list,
        1,
        1,
        examples};
    const char *words[1];
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    return start(&command, words[0], &a);
}
