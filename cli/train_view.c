/* SPDX-License-Identifier: Apache-2.0 */
/* train_view.c - see train_view.h. */
#include "train_view.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

typedef struct part {
    const char *name;
    double seconds;
} part;

enum { PARTS = 7 };

static void list_parts(part parts[PARTS], const pare_train_times *t)
{
    const part list[PARTS] = {
        {"forward", t->forward},      {"loss", t->loss}, {"backward", t->backward},
        {"update", t->update},        {"data", t->data}, {"teacher", t->teacher},
        {"validation", t->validation}};

    memcpy(parts, list, sizeof list);
}

static void print_times(const pare_train_times *times)
{
    part parts[PARTS];
    double sum = 0;

    list_parts(parts, times);
    for (int k = 0; k < PARTS; k++)
        sum += parts[k].seconds;
    for (int k = 0, n = 0; k < PARTS; k++) {
        if (sum > 0 && parts[k].seconds >= 0.0005 * sum) /* what is not 0.0 % */
            printf("%s%s %.1f %%", n++ > 0 ? ", " : "of it          ", parts[k].name,
                   100 * parts[k].seconds / sum);
    }
    if (sum > 0)
        printf("\n");
}

static json_t *times_json(const pare_train_times *times)
{
    part parts[PARTS];
    json_t *root = json_object();

    list_parts(parts, times);
    for (int k = 0; k < PARTS; k++)
        json_object_set_new(root, parts[k].name, json_real(parts[k].seconds));
    return root;
}

int train_print(const pare_train_result *r, const char *out, bool trims, int64_t seed,
                const pare_costs *costs)
{
    if (!cli_common.json) {
        printf("epochs         %d\nbest epoch     %d\n", r->epochs, r->best_epoch);
        if (isfinite(r->best_val_loss) && r->best_val_loss != r->best_val_nll)
            printf("validation loss %.4f\n", r->best_val_loss);
        if (isfinite(r->best_val_nll))
            printf("validation NLL %.4f\n", r->best_val_nll);
        if (isfinite(r->best_val_accuracy))
            printf("accuracy       %.2f %%\n", 100 * r->best_val_accuracy);
        if (isfinite(r->best_val_miou))
            printf("mIoU           %.2f %%\n", 100 * r->best_val_miou);
        if (trims)
            printf("left out       %lld images\n", (long long)r->left_out);
        printf("images/s       %.0f\ntime           %.1f s\n", r->images_per_second, r->seconds);
        print_times(&r->times);
        printf("written        %s\n", out);
        return 0;
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "schema",
        "pare.train/1", "output", out, "epochs", r->epochs, "best_epoch", r->best_epoch,
        "best_val_loss", number(r->best_val_loss), "best_val_nll", number(r->best_val_nll),
        "best_val_accuracy", number(r->best_val_accuracy), "best_val_miou",
        number(r->best_val_miou), "images_per_second", number(r->images_per_second), "seconds",
        number(r->seconds), "data_wait", number(r->data_wait), "times", times_json(&r->times),
        "left_out", (json_int_t)r->left_out, "seed", (json_int_t)seed, "costs",
        cli_costs_json(costs));
    return cli_print_json(root);
}
