/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_eval.c - `pare eval`. */
#include <jansson.h>
#include <stdio.h>

#include "cli.h"

typedef const char *(*name_fn)(const pare_data *data, int64_t k);

/* --- JSON --- */

static json_t *rows_json(const pare_class_scores *rows, int64_t count, const pare_data *data,
                         name_fn name_of)
{
    json_t *list = json_array();

    for (int64_t k = 0; k < count; k++) {
        const pare_class_scores *r = &rows[k];
        const char *name = name_of(data, k);
        json_t *row = json_pack("{s:I, s:I, s:f, s:f, s:f, s:f}", "class", (json_int_t)k, "support",
                                (json_int_t)r->support, "precision", r->precision, "recall",
                                r->recall, "f1", r->f1, "iou", r->iou);
        if (name != NULL)
            json_object_set_new(row, "name", json_string(name));
        if (json_array_append_new(list, row) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *cli_scores_json(const pare_scores *s, const pare_data *data)
{
    json_t *root = json_pack("{s:I}", "n", (json_int_t)s->count);
    int failed = root == NULL;

    if (s->classes > 0) {
        json_t *part =
            json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "accuracy", s->accuracy, "top5",
                      s->top5, "nll", s->nll, "precision_macro", s->precision_macro, "recall_macro",
                      s->recall_macro, "f1_macro", s->f1_macro, "per_class",
                      rows_json(s->per_class, s->classes, data, pare_data_class_name));
        failed |= json_object_update(root, part);
        json_decref(part);
    }
    if (s->mask_classes > 0) {
        json_t *part = json_pack(
            "{s:f, s:f, s:f, s:f, s:f, s:o}", "miou", s->miou, "pixel_accuracy", s->pixel_accuracy,
            "dice", s->dice, "class_average_accuracy", s->class_average_accuracy, "mask_nll",
            s->mask_nll, "per_mask_class",
            rows_json(s->per_mask_class, s->mask_classes, data, pare_data_mask_class_name));
        failed |= json_object_update(root, part);
        json_decref(part);
    }
    if (failed) {
        json_decref(root);
        return NULL;
    }
    return root;
}

/* --- Text --- */

static void print_rows(const char *title, const char *counted, const pare_class_scores *rows,
                       int64_t count, const pare_data *data, name_fn name_of)
{
    printf("\n%-28s %10s %10s %10s %10s %10s\n", title, counted, "precision", "recall", "F1",
           "IoU");
    for (int64_t k = 0; k < count; k++) {
        const char *name = name_of(data, k);
        printf("%5lld %-22.22s %10lld %10.4f %10.4f %10.4f %10.4f\n", (long long)k,
               name != NULL ? name : "", (long long)rows[k].support, rows[k].precision,
               rows[k].recall, rows[k].f1, rows[k].iou);
    }
}

static void print_text(const pare_scores *s, const pare_data *data, bool per_class)
{
    printf("images           %10lld\n", (long long)s->count);
    if (s->classes > 0)
        printf("\nclasses (%lld)\n  accuracy       %10.2f %%\n  top-5          %10.2f %%\n"
               "  NLL            %10.4f\n  precision      %10.4f   macro\n"
               "  recall         %10.4f   macro\n  F1             %10.4f   macro\n",
               (long long)s->classes, 100 * s->accuracy, 100 * s->top5, s->nll, s->precision_macro,
               s->recall_macro, s->f1_macro);
    if (s->mask_classes > 0)
        printf("\nmasks (%lld classes)\n  mIoU           %10.2f %%\n  pixel accuracy %10.2f %%\n"
               "  class average  %10.2f %%\n  Dice           %10.4f   macro\n"
               "  NLL            %10.4f   a pixel\n",
               (long long)s->mask_classes, 100 * s->miou, 100 * s->pixel_accuracy,
               100 * s->class_average_accuracy, s->dice, s->mask_nll);
    if (per_class && s->classes > 0)
        print_rows("class", "images", s->per_class, s->classes, data, pare_data_class_name);
    if (per_class && s->mask_classes > 0)
        print_rows("mask class", "pixels", s->per_mask_class, s->mask_classes, data,
                   pare_data_mask_class_name);
}

static int print(const pare_scores *s, const pare_data *data, bool per_class)
{
    if (!cli_common.json) {
        print_text(s, data, per_class);
        return 0;
    }
    json_t *root = cli_scores_json(s, data);
    json_object_set_new(root, "schema", json_string("pare.eval/1"));
    return cli_print_json(root);
}

int cmd_eval(int argc, char **argv)
{
    cli_images images = {.split = "test"};
    bool per_class = false;
    const cli_option options[] = {
        CLI_IMAGE_OPTIONS(images),
        {"--per-class", 'b', &per_class, NULL, "also a row for each class"},
        {NULL, 0, NULL, NULL, NULL}};
    const char *const examples[] = {"pare eval model.onnx --data cifar10/ --preprocess cifar10",
                                    "pare eval duo.onnx --data data/ --per-class", NULL};
    const cli_command command = {
        "eval",
        "MODEL.onnx",
        "Scores a model on labelled images: its class head on labels, its mask head on masks.",
        options,
        1,
        1,
        examples};
    const char *words[1];
    pare_model *model = NULL;
    pare_data *data = NULL;
    pare_scores scores = {0};
    int code;

    if (cli_parse(&code, argc, argv, &command, words) < 0)
        return code;
    if ((code = cli_check_images(&command, &images)) != 0)
        return code;
    pare_context *ctx = cli_context();
    if (ctx == NULL)
        return EXIT_FAILED;
    pare_status status = pare_model_load(&model, ctx, words[0]);
    if (status == PARE_OK)
        status = cli_open_images(&data, ctx, &images, &model, 1);
    if (status == PARE_OK)
        status = pare_evaluate(&scores, model, data);
    cli_end_progress();
    code = status == PARE_OK ? print(&scores, data, per_class) : cli_fail(ctx, status);
    pare_scores_clear(&scores);
    pare_data_free(data);
    pare_model_free(model);
    return code;
}
