/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_data.c - `pare data check` and `pare data preview`. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum { NAMED_CLASSES = 20 };

typedef struct arguments {
    const char *out, *against, *augment;
    cli_images images;
    int64_t near, show, count;
    bool force;
} arguments;

/* --- check --- */

static json_t *text_or_null(const char *text)
{
    return text != NULL ? json_string(text) : json_null();
}

static json_t *classes_json(const pare_data_report *r)
{
    json_t *rows = json_array();

    for (int64_t k = 0; k < r->n_classes; k++) {
        const pare_data_class_count *c = &r->classes[k];
        json_array_append_new(rows,
                              json_pack("{s:I, s:o, s:I, s:I, s:I, s:I}", "class", (json_int_t)k,
                                        "name", text_or_null(c->name), "train",
                                        (json_int_t)c->train, "val", (json_int_t)c->val, "test",
                                        (json_int_t)c->test, "other", (json_int_t)c->other));
    }
    return rows;
}

static json_t *findings_json(const pare_data_report *r)
{
    json_t *rows = json_array();

    for (int64_t i = 0; i < r->n_findings; i++) {
        const pare_data_finding *f = &r->findings[i];
        json_array_append_new(rows, json_pack("{s:s, s:b, s:s, s:s}", "fault",
                                              pare_data_fault_name(f->fault), "note",
                                              pare_data_fault_is_note(f->fault), "file", f->file,
                                              "detail", f->detail));
    }
    return rows;
}

static json_t *counts_json(const pare_data_report *r)
{
    json_t *counts = json_object();

    for (int k = 0; k < PARE_FAULTS; k++)
        json_object_set_new(counts, pare_data_fault_name((pare_data_fault)k),
                            json_integer((json_int_t)r->counts[k]));
    return counts;
}

static int print_json(const pare_data_report *r, const char *path, const char *against, bool clean)
{
    json_t *root = json_pack(
        "{s:s, s:s, s:b, s:I, s:{s:I, s:I, s:I, s:I}, s:[I, I], s:[I, I], s:I, s:o, s:o, s:o}",
        "schema", "pare.data-check/1", "path", path, "clean", clean, "images",
        (json_int_t)r->images, "splits", "train", (json_int_t)r->train, "val", (json_int_t)r->val,
        "test", (json_int_t)r->test, "other", (json_int_t)r->other, "least_size",
        (json_int_t)r->least_height, (json_int_t)r->least_width, "most_size",
        (json_int_t)r->most_height, (json_int_t)r->most_width, "comparisons",
        (json_int_t)r->comparisons, "counts", counts_json(r), "classes", classes_json(r),
        "findings", findings_json(r));

    if (root != NULL && against != NULL) {
        json_object_set_new(root, "against", json_string(against));
        json_object_set_new(root, "compared", json_integer((json_int_t)r->compared));
    }
    return cli_print_json(root);
}

static void print_classes(const pare_data_report *r)
{
    if (r->n_classes == 0)
        return;
    printf("\n%-24s %8s %8s %8s %8s\n", "class", "train", "val", "test", "other");
    for (int64_t k = 0; k < r->n_classes && k < NAMED_CLASSES; k++) {
        const pare_data_class_count *c = &r->classes[k];
        printf("%3lld %-20.20s %8lld %8lld %8lld %8lld\n", (long long)k,
               c->name != NULL ? c->name : "", (long long)c->train, (long long)c->val,
               (long long)c->test, (long long)c->other);
    }
    if (r->n_classes > NAMED_CLASSES)
        printf("... and %lld classes more (--json has all)\n",
               (long long)r->n_classes - NAMED_CLASSES);
}

static void print_findings(const pare_data_report *r, int64_t show)
{
    int64_t shown = 0;

    for (int64_t i = 0; i < r->n_findings; i++) {
        const pare_data_finding *f = &r->findings[i];
        const bool is_new = i == 0 || r->findings[i - 1].fault != f->fault;
        shown = is_new ? 0 : shown + 1;
        if (is_new)
            printf("\n%s:\n", pare_data_fault_name(f->fault));
        if (shown < show)
            printf("  %s%s%s\n", f->file, f->file[0] != '\0' ? ": " : "", f->detail);
        else if (shown == show)
            printf("  ... and %lld more (--show)\n", (long long)(r->counts[f->fault] - show));
    }
}

static void print_text(const pare_data_report *r, const arguments *a, bool clean)
{
    printf("images         %lld (train %lld, val %lld, test %lld, no split %lld)\n",
           (long long)r->images, (long long)r->train, (long long)r->val, (long long)r->test,
           (long long)r->other);
    if (r->least_height == r->most_height && r->least_width == r->most_width)
        printf("size           %lldx%lld\n", (long long)r->most_height, (long long)r->most_width);
    else
        printf("size           %lldx%lld to %lldx%lld\n", (long long)r->least_height,
               (long long)r->least_width, (long long)r->most_height, (long long)r->most_width);
    if (a->against != NULL)
        printf("compared with  %lld images of %s\n", (long long)r->compared, a->against);
    printf("comparisons    %lld of perceptual hashes\n\n%-24s %8s\n", (long long)r->comparisons,
           "fault", "found");
    for (int k = 0; k < PARE_FAULTS; k++)
        printf("%-15s%-9s %8lld\n", pare_data_fault_name((pare_data_fault)k),
               pare_data_fault_is_note((pare_data_fault)k) ? " (note)" : "",
               (long long)r->counts[k]);
    print_classes(r);
    print_findings(r, a->show);
    printf("\n%s\n", clean ? "no fault found" : "there are faults");
}

static int check(pare_context *ctx, const char *path, const arguments *a)
{
    const pare_data_check_options options = {.against = a->against,
                                             .near = a->near > 0 ? (int)a->near : -1};
    pare_data_report report;
    bool clean = true;
    int code = 0;

    const pare_status status = pare_data_check(&report, ctx, path, &options);
    if (status != PARE_OK)
        return cli_fail(ctx, status);
    cli_end_progress();
    for (int k = 0; k < PARE_FAULTS; k++)
        clean = clean && (report.counts[k] == 0 || pare_data_fault_is_note((pare_data_fault)k));
    if (cli_common.json)
        code = print_json(&report, path, a->against, clean);
    else
        print_text(&report, a, clean);
    pare_data_report_clear(&report);
    return code != 0 ? code : clean ? 0 : EXIT_NOT_MET;
}

/* --- preview --- */

static int preview(pare_context *ctx, const pare_preview_options *options, const arguments *a)
{
    pare_data *data = NULL;
    pare_status status = cli_open_images(&data, ctx, &a->images, NULL, 0);

    if (status == PARE_OK)
        status = pare_data_preview(data, a->out, options, a->force);
    const int64_t count = status == PARE_OK ? pare_data_count(data) : 0;
    const int64_t shown = options->count < count ? options->count : count;
    pare_data_free(data);
    if (status != PARE_OK)
        return cli_fail(ctx, status);
    if (cli_common.json)
        return cli_print_json(json_pack("{s:s, s:s, s:I, s:I}", "schema", "pare.data-preview/1",
                                        "output", a->out, "images", (json_int_t)count, "shown",
                                        (json_int_t)shown));
    printf("%lld of %lld images written to %s\n", (long long)shown, (long long)count, a->out);
    return 0;
}

/* --- Command line --- */

static const char *const examples[] = {
    "pare data check data/", "pare data check data/ --against cifar10/ --json",
    "pare data preview data/ -o sheet.png --augment flip,crop=4,rotate=10 --seed 1",
    "pare data preview data/ -o sheet.html --split test --count 12", NULL};

static int start(const cli_command *command, const char *const *words, arguments *a)
{
    pare_preview_options options = {.count = a->count, .seed = (uint64_t)a->images.seed};
    const bool is_preview = strcmp(words[0], "preview") == 0;

    if (!is_preview && strcmp(words[0], "check") != 0)
        return cli_usage(command, "'%s' is neither check nor preview", words[0]);
    if (is_preview != (a->out != NULL))
        return cli_usage(command, is_preview ? "-o is missing" : "-o belongs to preview");
    if (a->near < 0 || a->near > 7 || a->show < 0 || a->count < 1)
        return cli_usage(command, "--near is 0 to 7, --show from 0, --count from 1");
    a->images.path = words[1];
    const int unusable = cli_check_images(command, &a->images);
    if (unusable != 0)
        return unusable;
    if (cli_parse_augment(command, &options.augment, a->augment) != 0)
        return EXIT_USAGE;
    pare_context *ctx = cli_context();
    if (ctx == NULL)
        return EXIT_FAILED;
    return is_preview ? preview(ctx, &options, a) : check(ctx, words[1], a);
}

int cmd_data(int argc, char **argv)
{
    arguments a = {.near = 3,
                   .show = 20,
                   .count = 48,
                   .images = {.split = "train", .val_fraction = CLI_VAL_FRACTION}};
    const cli_option list[] = {
        {"--against", 's', &a.against, "DIR",
         "check: another set that must share no image with DIR"},
        {"--near", 'i', &a.near, "BITS",
         "check: images look alike when at most this many bits of their\n"
         "hashes differ; 0: do not look"},
        {"--show", 'i', &a.show, "N", "check: files listed of each fault"},
        {"-o", 's', &a.out, "SHEET", "preview: the .png or .html to write (required)"},
        {"--count", 'i', &a.count, "N", "preview: images on the sheet"},
        {"--augment", 's', &a.augment, "LIST", CLI_AUGMENT_HELP},
        {"--split", 's', &a.images.split, "NAME", "preview: train, val, test or all"},
        {"--val-fraction", 'f', &a.images.val_fraction, "F",
         "preview: share of the training images that is val"},
        {"--size", 's', &a.images.size, "HxW", "preview: resize to this"},
        {"--crop", 'i', &a.images.crop, "PERCENT", "preview: centre crop before resizing"},
        {"--ignore-class", 's', &a.images.ignore_class, "K",
         "preview: mask class shown as ignored"},
        {"--memory", 'i', &a.images.memory, "MB", CLI_MEMORY_HELP},
        {"--seed", 'i', &a.images.seed, "N", "preview: as the --seed of a training"},
        {"--force", 'b', &a.force, NULL, "preview: replace an existing file"},
        {NULL, 0, NULL, NULL, NULL}};
    const cli_command command = {
        "data",
        "check|preview DIR",
        "check decodes every image and looks for damage, duplicates, images in two splits, wrong\n"
        "labels and masks: exit code 3 when there are faults. preview writes a contact sheet of\n"
        "what training sees.",
        list,
        2,
        2,
        examples};
    const char *words[2];
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    return start(&command, words, &a);
}
