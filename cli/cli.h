/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h - what the commands share: options, help, errors, progress. */
#ifndef PARE_CLI_H
#define PARE_CLI_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include <pare/pare.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_MET = 3, EXIT_INTERRUPTED = 130 };

/* A number that nobody stated: options cannot be given it. The help shows no default then. */
#define CLI_UNSTATED ((double)NAN)

/* What an option that may be repeated was given. */
enum { CLI_LIST_MAX = 32 };
typedef struct cli_list {
    const char *items[CLI_LIST_MAX];
    int count;
} cli_list;

/* One option of a command: text is stored where given, numbers are checked. */
typedef struct cli_option {
    const char *name;     /* "--data" */
    char kind;            /* 's' text, 'l' texts, 'i' integer, 'f' number, 'b' switch */
    void *value;          /* const char **, cli_list *, int64_t *, double *, bool *; holds the
                             default */
    const char *argument; /* "PATH", for help; NULL for switches */
    const char *help;     /* one or two lines, without a full stop */
} cli_option;

/* A command as its help shows it. Every command also takes --threads, --json, --quiet,
 * --verbose and --help. */
typedef struct cli_command {
    const char *name;
    const char *words;         /* "MODEL.onnx" */
    const char *about;         /* what it does, in a sentence or two */
    const cli_option *options; /* ends with a NULL name */
    int min_words, max_words;
    const char *const *examples; /* shell lines, run by the tests; ends with NULL */
} cli_command;

/* What the options common to all commands said. */
typedef struct cli_settings {
    int64_t threads; /* 0: all processors */
    bool json, quiet, verbose;
    const char *algorithms; /* "measure" or "rule"; NULL: the command has no such option, rule */
    char **program;         /* the words it was started with */
} cli_settings;
extern cli_settings cli_common;

/* A row of the tables of commands that train or run engines at length; the command states the
 * default in cli_common. */
#define CLI_ALGORITHMS_OPTION                                                                      \
    {                                                                                              \
        "--algorithms", 's', &cli_common.algorithms, "measure|rule",                               \
            "how convolutions choose theirs: the fastest, timed once and\nremembered, or by "      \
            "their shapes"                                                                         \
    }

/* Fills options; the other words go to words[]. Returns their number, or -1 when the command is
 * over: *code is then its exit code (0 after --help, EXIT_USAGE after a message). To be called
 * before anything has been done: it may start the program once more (waiting.c). */
int cli_parse(int *code, int argc, char **argv, const cli_command *command, const char **words);
/* Starts the program once more, with threads that soon sleep when they wait for others, unless the
 * environment says how they wait. */
void cli_shorten_waits(void);
/* A number as the library's options take it, of which 0 stands for a default and a negative one for
 * none: 0 of one that was not stated, -1 of a stated 0, otherwise the number. */
double cli_stated(double value);
/* Says what is wrong with the command line and points at --help; returns EXIT_USAGE. */
int cli_usage(const cli_command *command, const char *format, ...) PARE_PRINTF(2, 3);
/* Prints the context's message; the exit code of a status. */
int cli_fail(pare_context *ctx, pare_status status);
/* A context with log and progress on stderr, cancelled by Ctrl-C. NULL after a message. */
pare_context *cli_context(void);
/* Ends a progress line that stands on the terminal, before something is printed. */
void cli_end_progress(void);

/* A file that a command reads or is going to write. */
typedef struct cli_file {
    const char *option, *path; /* as messages name it; NULL: none */
    bool is_written;
    bool may_exist; /* is replaced, or gone on with, without --force */
    bool resumes;   /* --resume would go on with it */
    bool in_place;  /* may be the same file as another one of which this is said */
} cli_file;
/* Whether all can be written, and none is two of them at once, before work is spent on what goes
 * there. 0, or an exit code after a message. */
int cli_check_files(const cli_file *files, int n, bool force);
/* A file of less than 64 KiB as text (free); NULL after a message. */
char *cli_read_text(const char *path, const char *what);

/* The input shapes of a file, so that what a command fixes for running does not get into the file.
 */
typedef struct cli_shapes {
    int ranks[PARE_MAX_RANK];
    int64_t dims[PARE_MAX_RANK][PARE_MAX_RANK];
} cli_shapes;
void cli_keep_inputs(cli_shapes *out, const pare_model *model);
pare_status cli_restore_inputs(pare_model *model, const cli_shapes *shapes);

/* --- Images to score --- */

typedef struct cli_images {
    const char *path, *split, *size, *preprocess, *ignore_class, *class_offset;
    const char *input; /* shapes of the models' inputs */
    double val_fraction;
    int64_t limit, crop, seed, memory;
} cli_images;

/* Of the training images, for choosing the best epoch; what is shown before a training and what it
 * then sees have to be the same images. */
#define CLI_VAL_FRACTION 0.1

#define CLI_MEMORY_HELP                                                                            \
    "megabytes of pixels that are held; files beyond are decoded each\ntime they are used; 0: 1024"

/* Their rows in a command's table. */
#define CLI_IMAGE_OPTIONS(images)                                                                  \
    {"--data", 's', &(images).path, "PATH", "labelled images; only pare prune can do without"},    \
        {"--split", 's', &(images).split, "NAME", "train, val, test or all (train and val)"},      \
        {"--val-fraction", 'f', &(images).val_fraction, "F",                                       \
         "share of the training images that is val where the data has none;\n"                     \
         "val chooses the best epoch; 0: none"},                                                   \
        {"--limit", 'i', &(images).limit, "N", "the first N images only"},                         \
        {"--size", 's', &(images).size, "HxW",                                                     \
         "resize images and masks; default: what the model\n"                                      \
         "wants"},                                                                                 \
        {"--crop", 'i', &(images).crop, "PERCENT",                                                 \
         "of the shorter side a centre crop keeps before resizing"},                               \
        {"--ignore-class", 's', &(images).ignore_class, "K",                                       \
         "pixels of mask class K are not counted"},                                                \
        {"--preprocess", 's', &(images).preprocess, "TEXT",                                        \
         "cifar10, imagenet, none, unit or scale=..,mean=..,std=..;\ndefault: what the model "     \
         "says"},                                                                                  \
        {"--input", 's', &(images).input, "SHAPES",                                                \
         "sizes the model leaves open: [NAME:]1x3x320x320, several with\ncommas; a file written "  \
         "keeps them open"},                                                                       \
        {"--class-offset", 's', &(images).class_offset, "N",                                       \
         "output number of label 0; 1 where output 0 is a background\nclass without label"},       \
        {"--memory", 'i', &(images).memory, "MB", CLI_MEMORY_HELP},                                \
    {                                                                                              \
        "--seed", 'i', &(images).seed, "N",                                                        \
            "of everything random, splits that the data lacks included"                            \
    }

/* "224x224" (height x width) or "224". */
bool cli_read_size(int64_t *height, int64_t *width, const char *text);
/* Checks what needs no model; EXIT_USAGE after a message, otherwise 0. */
int cli_check_images(const cli_command *command, const cli_images *images);
/* Fixes the models' inputs, stores preprocessing and class offset in them, then opens the images as
 * they want them (as the files are without a model). */
pare_status cli_open_images(pare_data **out, pare_context *ctx, const cli_images *images,
                            pare_model *const *models, int n_models);

typedef struct json_t json_t;
/* Writes a document to stdout and frees it (NULL: out of memory); the exit code. */
int cli_print_json(json_t *root);
json_t *cli_costs_json(const pare_costs *costs);
/* All of a model's scores, with per-class rows; `data` gives class names. */
json_t *cli_scores_json(const pare_scores *scores, const pare_data *data);

/* The table of commands; ends with a NULL name. */
typedef struct cli_entry {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} cli_entry;
const cli_entry *cli_commands(void);
/* The command whose name is most like `name`; NULL when none is close. */
const char *cli_nearest_command(const char *name);

/* --- Requirements --- */

enum { CLI_MAX_CONDITIONS = 128 };

typedef struct cli_requirements {
    char *texts[CLI_LIST_MAX]; /* copies cut at commas; owned */
    const char *items[CLI_MAX_CONDITIONS];
    int n_texts, count;
} cli_requirements;

typedef struct cli_verdict {
    bool met;
    char text[PARE_CONDITION_TEXT];
} cli_verdict;

/* "a>=1,b<=2" twice or more often; false when there are too many or memory is short. */
bool cli_split_requirements(cli_requirements *out, const cli_list *list);
void cli_clear_requirements(cli_requirements *r);
pare_status cli_check_requirements(cli_verdict *out, pare_context *ctx,
                                   const pare_comparison *comparison, const cli_requirements *r);
/* Reads the requirements on made-up numbers, so that a slip is found before hours of work. */
pare_status cli_read_requirements(cli_verdict *room, pare_context *ctx, const cli_requirements *r,
                                  bool has_latency);
/* Original and pruned side by side, as text. */
void cli_print_comparison(const pare_comparison *c);
/* The same as JSON, with verdicts; `files` names the two. */
json_t *cli_comparison_json(const pare_comparison *c, const char *const *files,
                            const pare_data *data, const cli_requirements *r, const cli_verdict *v);

#define CLI_AUGMENT_HELP                                                                           \
    "random changes: flip, vflip, crop=4, resized_crop=0.3, rotate=10,\n"                          \
    "brightness, contrast, saturation, hue=0.2, gray=0.1, blur=1,\n"                               \
    "noise=0.02, cutout=0.5, mixup=0.2, cutmix=1, rand=2:5"
/* Reads such a list; NULL leaves it; EXIT_USAGE after a message. */
int cli_parse_augment(const cli_command *command, pare_augment *out, const char *text);
/* One line about an epoch on stderr, unless --quiet. */
void cli_print_epoch(const pare_epoch *e);

int cmd_inspect(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_prune(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_synth(int argc, char **argv);
int cmd_new(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_data(int argc, char **argv);

#endif
