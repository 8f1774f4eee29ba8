/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_prune.c - options of `pare prune`. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prune_job.h"

enum { MAX_OPTIONS = 64 };

typedef struct words_of {
    const char *target, *align, *strategy, *against, *scope, *fisher, *action, *augment, *schedule;
    const char *precision, *recover;
    cli_list required;
    int64_t rounds, epochs, final_epochs, batch, draws, steps, reconstruct, latency_batch;
    double distill, inner, rate, factor, mask_weight;
    bool no_latency;
} words_of;

static int choice(const char *text, const char *const *names)
{
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(text, names[i]) == 0)
            return i;
    }
    return -1;
}

/* The strategy that is written, then those it is compared with. */
static int read_strategies(prune_arguments *a, const cli_command *command, const words_of *w)
{
    const char *const lists[2] = {w->strategy, w->against};

    for (int k = 0; k < 2; k++) {
        for (const char *at = lists[k]; at != NULL && *at != '\0';) {
            char name[32];
            const size_t length = strcspn(at, ",");
            snprintf(name, sizeof name, "%.*s", (int)(length < 31 ? length : 31), at);
            if (a->n_strategies == PRUNE_MAX_RUNS)
                return cli_usage(command, "there are more than %d strategies", PRUNE_MAX_RUNS);
            if (!pare_strategy_parse(&a->strategies[a->n_strategies++], name))
                return cli_usage(command, "there is no strategy '%s'; see 'pare list strategies'",
                                 name);
            for (int i = 0; i + 1 < a->n_strategies; i++) {
                if (a->strategies[i] == a->strategies[a->n_strategies - 1])
                    return cli_usage(command, "strategy '%s' is named twice", name);
            }
            at += length + (at[length] == ',');
        }
    }
    if (w->strategy[0] == '\0')
        return cli_usage(command, "--strategy wants a name; see 'pare list strategies'");
    if (strchr(w->strategy, ',') != NULL)
        return cli_usage(command, "--strategy takes one name; others go to --against");
    return 0;
}

/* --align: a number from 1, "auto", or nothing. */
static bool read_align(prune_arguments *a, const char *text)
{
    char *end;

    a->chooses_align = text == NULL;
    if (text == NULL || strcmp(text, "auto") == 0) {
        a->recipe.prune.align = PARE_ALIGN_AUTO;
        return true;
    }
    const long long number = strtoll(text, &end, 10);
    a->recipe.prune.align = number;
    return end != text && *end == '\0' && number >= 1 && number <= 65536;
}

static bool is_named(pare_train_list list, const char *name)
{
    pare_entry entry;

    for (int i = 0; name != NULL && pare_train_entry_at(&entry, list, i); i++) {
        if (strcmp(entry.name, name) == 0)
            return true;
    }
    return name == NULL;
}

/* What training would refuse, before the first pruning. */
static int check_training(const prune_arguments *a, const cli_command *command, const words_of *w)
{
    if (!is_named(PARE_TRAIN_OPTIMIZERS, a->recipe.train.optimizer))
        return cli_usage(command, "there is no optimizer '%s'; see 'pare list optimizers'",
                         a->recipe.train.optimizer);
    if (!is_named(PARE_TRAIN_SCHEDULES, w->schedule))
        return cli_usage(command, "there is no schedule '%s'; see 'pare list schedules'",
                         w->schedule);
    const char *const losses[] = {a->recipe.train.loss, a->recipe.train.mask_loss};
    for (int k = 0; k < 2; k++) {
        if (losses[k] != NULL && !pare_train_reads_loss(losses[k]))
            return cli_usage(command,
                             "'%s' is no sum of losses such as ce+0.5*dice; see 'pare list losses'",
                             losses[k]);
    }
    if (w->latency_batch < 0 || w->latency_batch > 65536)
        return cli_usage(command, "--latency-batch wants at most 65536");
    if (w->reconstruct < -1 || w->reconstruct > 100000)
        return cli_usage(command, "--reconstruct wants a number of passes, or -1 for none");
    return 0;
}

/* How training recovers, from what was stated of it. */
static int read_recovery(pare_recipe *r, const cli_command *command, const words_of *w)
{
    static const char *const recoveries[] = {"hints", "labels", NULL};
    const int stated = w->recover != NULL ? choice(w->recover, recoveries) : -1;
    const bool has_share = !isnan(w->distill);

    if (w->recover != NULL && stated < 0)
        return cli_usage(command, "--recover is hints or labels, not '%s'", w->recover);
    if (w->distill < 0 || w->distill > 1 || w->inner < 0 || w->rate <= 0)
        return cli_usage(command, "--distill is 0 to 1, --distill-inner 0 or more, --lr above 0");
    if (stated != 1 && !has_share && (r->train.loss != NULL || r->train.mask_loss != NULL))
        return cli_usage(command, "--loss and --mask-loss are for --recover labels or --distill");
    if (stated == 0 && has_share)
        return cli_usage(command, "--distill is a way by labels; leave out --recover hints");
    r->hints = stated != 1 && !has_share;
    r->distill = !r->hints && (w->distill > 0 || w->inner > 0);
    r->train.distill = r->hints || has_share ? cli_stated(w->distill) : -1;
    r->train.distill_inner = cli_stated(w->inner);
    r->train.learning_rate = isnan(w->rate) && !r->hints ? 0.02 : cli_stated(w->rate);
    return 0;
}

static int read_words(prune_arguments *a, const cli_command *command, const words_of *w)
{
    static const char *const scopes[] = {"global", "layer", NULL};
    static const char *const fishers[] = {"gauss-newton", "true", "empirical", NULL};
    static const char *const actions[] = {"delete", "mask", "weaken", NULL};
    const int scope = choice(w->scope, scopes), fisher = choice(w->fisher, fishers);
    const int action = choice(w->action, actions);
    pare_recipe *r = &a->recipe;

    if (scope < 0 || fisher < 0 || action < 0)
        return cli_usage(command,
                         "--scope is global or layer, --fisher gauss-newton, true or empirical, "
                         "--action delete, mask or weaken");
    if (w->rounds < 1 || w->rounds > 1000 || w->epochs < 0 || w->epochs > 100000 ||
        w->final_epochs < 0 || w->final_epochs > 100000 || w->draws < 0 || w->draws > 1000 ||
        w->steps < 0 || w->steps > 100 || w->batch < 0 || !(w->mask_weight >= 0) ||
        r->prune.calibration < 0)
        return cli_usage(command, "a number is out of its range");
    int unusable = check_training(a, command, w);
    if (unusable == 0)
        unusable = read_recovery(r, command, w);
    if (unusable != 0)
        return unusable;
    if (!read_align(a, w->align))
        return cli_usage(command, "--align is auto or a number from 1, not '%s'", w->align);
    if (cli_parse_augment(command, &r->train.augment, w->augment) != 0)
        return EXIT_USAGE;
    if (!cli_split_requirements(&a->required, &w->required))
        return cli_usage(command, "there are too many requirements");
    r->prune.per_layer = scope == 1;
    r->prune.fisher = (pare_fisher)fisher;
    r->prune.action = (pare_action)action;
    r->prune.factor = w->factor;
    r->prune.draws = (int)w->draws;
    r->prune.steps = (int)w->steps;
    r->prune.reconstruct = (int)w->reconstruct;
    r->prune.seed = r->train.seed = (uint64_t)a->images.seed;
    r->rounds = (int)w->rounds;
    r->epochs = (int)w->epochs;
    r->final_epochs = (int)w->final_epochs;
    r->train.mask_weight = cli_stated(w->mask_weight);
    r->train.batch = w->batch;
    r->train.schedule = w->schedule;
    r->train.precision = r->prune.precision = w->precision;
    a->compare =
        (pare_compare_options){.latency_rounds = w->no_latency ? -1 : 0, .batch = w->latency_batch};
    if (a->required.count > 0 && (a->no_compare || a->images.path == NULL))
        return cli_usage(command, "--require is checked by comparing: %s",
                         a->no_compare ? "it excludes --no-compare" : "it needs --data");
    return read_strategies(a, command, w);
}

/* Writes a word as a shell reads it back; `at` has room for 4 bytes a byte and 3. Returns its end.
 */
static char *quote(char *at, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=%@:,./";
    const bool is_plain = *word != '\0' && word[strspn(word, plain)] == '\0';

    if (!is_plain)
        *at++ = '\'';
    for (; *word != '\0'; word++) {
        if (*word == '\'') { /* ends the quotes, stands alone, starts them again */
            memcpy(at, "'\\'", 3);
            at += 3;
        }
        *at++ = *word;
    }
    if (!is_plain)
        *at++ = '\'';
    *at = '\0';
    return at;
}

/* The command line as it was typed, for reports. */
static char *join(int argc, char **argv)
{
    size_t size = 8;

    for (int i = 0; i < argc; i++)
        size += 4 * strlen(argv[i]) + 4;
    char *line = malloc(size), *at = line;
    if (line == NULL)
        return NULL;
    at += snprintf(at, size, "pare");
    for (int i = 0; i < argc; i++) {
        *at++ = ' ';
        at = quote(at, argv[i]);
    }
    return line;
}

/* The table of options, stored in *a and *w. */
static void list_options(cli_option out[MAX_OPTIONS], prune_arguments *a, words_of *w)
{
    pare_prune_options *p = &a->recipe.prune;
    const cli_option options[] = {
        {"-o", 's', &a->out, "OUT.onnx", "the file to write (required)"},
        {"--target", 's', &w->target, "T",
         "what to keep: macs=50%, params=30%, bytes=500k, channels=60%\n(required)"},
        {"--strategy", 's', &w->strategy, "NAME",
         "random, magnitude, bn-scale, taylor, fisher, ml or local-ml"},
        {"--against", 's', &w->against, "NAMES", "strategies to run as well, for comparison"},
        {"--scope", 's', &w->scope, "WHERE", "one global order, or the same share of each layer"},
        {"--fisher", 's', &w->fisher, "KIND",
         "of ml and fisher: gauss-newton and true need no labels;\nempirical takes the data's"},
        {"--action", 's', &w->action, "WHAT",
         "delete channels, mask them (set to zero) or weaken them"},
        {"--factor", 'f', &w->factor, "F", "of weaken in one round"},
        {"--align", 's', &w->align, "N",
         "keep channel counts at multiples of N; auto: of 16, in layers\nof less than 32 channels of 4 "
         "(default: auto where MACs are\nthe target or rounds delete, otherwise 1)"},
        {"--draws", 'i', &w->draws, "K", "of random: the best of K by likelihood"},
        {"--steps", 'i', &w->steps, "N", "score and cut a round in N steps"},
        {"--ignore-cost", 'b', &p->ignore_cost, NULL,
         "rank channels by harm alone, not by harm for what is saved"},
        {"--rounds", 'i', &w->rounds, "R", "prune a part, train, again"},
        {"--epochs", 'i', &w->epochs, "E", "of training after each round"},
        {"--final-epochs", 'i', &w->final_epochs, "E", "after the last round instead"},
        {"--recover", 's', &w->recover, "HOW",
         "training by hints (the original teaches by its outputs\nand inner values; default) or by "
         "labels"},
        {"--distill", 'f', &w->distill, "A",
         "by labels, and the original's outputs with this share\nof the loss, 0 to 1"},
        {"--distill-inner", 'f', &w->inner, "X",
         "weight of the squared difference of logits and residual\nsums from the original's, in training"},
        {"--freeze-norm", 'b', &a->recipe.train.freeze_norm, NULL,
         "normalisations keep their statistics in training"},
        {"--optimizer", 's', &a->recipe.train.optimizer, "NAME", "sgd or adamw"},
        {"--precision", 's', &w->precision, "f32|bf16|auto",
         "of convolutions in reconstruction and training"},
        {"--recompute", 'b', &a->recipe.train.recompute, NULL,
         "training computes activations again: less memory, more time"},
        CLI_ALGORITHMS_OPTION,
        {"--lr", 'f', &w->rate, "X", "peak learning rate; default: 0.001, by labels 0.02"},
        {"--train-batch", 'i', &w->batch, "N", "images a training step (64)"},
        {"--loss", 's', &a->recipe.train.loss, "TERMS",
         "of training by labels, as in pare train (ce)"},
        {"--mask-loss", 's', &a->recipe.train.mask_loss, "TERMS",
         "of the mask head; default: as --loss"},
        {"--mask-weight", 'f', &w->mask_weight, "X", "of the mask head's loss"},
        {"--schedule", 's', &w->schedule, "NAME", "cosine, step or constant"},
        {"--augment", 's', &w->augment, "LIST", CLI_AUGMENT_HELP},
        {"--calibration", 'i', &p->calibration, "N",
         "images that scores and repairs look at (1024)"},
        {"--no-refit", 'b', &p->no_refit, NULL, "no least-squares re-fit, no reconstruction"},
        {"--no-fold", 'b', &p->no_fold, NULL, "nor the mean of what went added to biases"},
        {"--no-recalibrate", 'b', &p->no_recalibrate, NULL,
         "do not try to re-estimate normalisation statistics"},
        {"--reconstruct", 'i', &w->reconstruct, "N",
         "passes of joint reconstruction (20; 0 where training follows);\n-1: none"},
        CLI_IMAGE_OPTIONS(a->images),
        {"--require", 'l', &w->required, "CONDITION",
         "such as 'accuracy>=-1%'; exit code 3 when not met"},
        {"--report", 's', &a->report, "OUT.html", "write a page about it"},
        {"--plot", 's', &a->plot, "OUT.svg", "write the trade-off plot alone"},
        {"--no-compare", 'b', &a->no_compare, NULL, "do not compare on the test images"},
        {"--latency-batch", 'i', &w->latency_batch, "N", "images a run of the latency (1)"},
        {"--no-latency", 'b', &w->no_latency, NULL, "do not measure latency"},
        {"--dry-run", 'b', &a->dry_run, NULL, "do everything but write the model"},
        {"--force", 'b', &a->force, NULL, "replace existing files"},
        {NULL, 0, NULL, NULL, NULL}};

    static_assert(sizeof options <= MAX_OPTIONS * sizeof *out, "MAX_OPTIONS is too small");
    memcpy(out, options, sizeof options);
}

int cmd_prune(int argc, char **argv)
{
    prune_arguments a = {.images = {.split = "test", .val_fraction = CLI_VAL_FRACTION}};
    words_of w = {.strategy = "ml",
                  .scope = "global",
                  .fisher = "gauss-newton",
                  .action = "delete",
                  .rounds = 1,
                  .distill = CLI_UNSTATED,
                  .inner = CLI_UNSTATED,
                  .rate = CLI_UNSTATED,
                  .factor = 0.5,
                  .mask_weight = 1};
    cli_option options[MAX_OPTIONS];
    cli_common.algorithms = "measure";
    list_options(options, &a, &w);
    const char *const examples[] = {
        "pare prune model.onnx -o half.onnx --target macs=50% --strategy magnitude",
        "pare prune model.onnx -o half.onnx --target macs=50% --data cifar10/ "
        "--preprocess cifar10",
        "pare prune duo.onnx -o duo-small.onnx --target params=40% --strategy local-ml "
        "--against random --data data/ --rounds 2 --epochs 1 --report report.html",
        NULL};
    const cli_command command = {
        "prune",
        "MODEL.onnx",
        "Chooses channels, cuts them out, repairs what is left and compares it with the original on\n"
        "the test images. An interrupted run with rounds goes on when typed again. --limit is of the\n"
        "images that are learnt from; all of --split are compared on.",
        options,
        1,
        1,
        examples};
    const char *words[1];
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    if (a.out == NULL || w.target == NULL)
        return cli_usage(&command, "%s is missing", a.out == NULL ? "-o" : "--target");
    if (a.images.path != NULL && (code = cli_check_images(&command, &a.images)) != 0)
        return code;
    if (a.images.path == NULL && (a.images.limit != 0 || strcmp(a.images.split, "test") != 0))
        return cli_usage(&command, "--limit and --split are of the images of --data");
    if (a.images.path == NULL && a.plot != NULL)
        return cli_usage(&command, "--plot shows scores, and wants --data");
    code = read_words(&a, &command, &w);
    a.in = words[0];
    a.command = join(argc, argv);
    if (code == 0)
        code = a.command != NULL ? prune_run(&a, w.target) : EXIT_FAILED;
    free((char *)(uintptr_t)a.command);
    cli_clear_requirements(&a.required);
    return code;
}
