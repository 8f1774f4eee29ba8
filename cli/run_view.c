/* SPDX-License-Identifier: Apache-2.0 */
/* run_view.c - see run_view.h. */
#include "run_view.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What a row holds, one score a class at each of `area` places. */
typedef struct head {
    int64_t classes, height, width;
    int64_t class_step, place_step; /* in floats */
    int64_t size;                   /* floats a row */
} head;

/* N x K, N x K x H x W, or with the classes last, where that axis is the shortest; false: neither.
 */
static bool find_head(head *out, const pare_tensor *t)
{
    const int64_t *d = t->dims;
    const bool is_image = t->rank == 4;

    if (t->type != PARE_FLOAT32 || (t->rank != 2 && !is_image) || t->size_bytes == 0)
        return false;
    const bool is_last = is_image && d[3] < d[1] && d[3] < d[2];
    *out = (head){.classes = is_last ? d[3] : d[1],
                  .height = !is_image ? 1
                            : is_last ? d[1]
                                      : d[2],
                  .width = !is_image ? 1
                           : is_last ? d[2]
                                     : d[3]};
    out->class_step = is_last ? 1 : out->height * out->width;
    out->place_step = is_last ? out->classes : 1;
    out->size = out->classes * out->height * out->width;
    return out->classes > 1;
}

/* --- Class heads --- */

typedef struct ranked {
    int64_t class;
    double score;
} ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->class < y->class ? -1 : 1;
}

/* Scores of a class head from the best, new; *total: what turns them into probabilities (softmax),
 * 0 where they are probabilities already. */
static ranked *rank_classes(const head *h, const float *row, double *total)
{
    ranked *list = calloc((size_t)h->classes, sizeof *list);
    double sum = 0, least = 0;

    if (list == NULL)
        return NULL;
    for (int64_t k = 0; k < h->classes; k++) {
        list[k] = (ranked){k, (double)row[k]};
        sum += list[k].score;
        least = fmin(least, list[k].score);
    }
    qsort(list, (size_t)h->classes, sizeof *list, by_score);
    *total = 0;
    for (int64_t k = 0; k < h->classes && (least < 0 || fabs(sum - 1) > 1e-3); k++)
        *total += exp(list[k].score - list[0].score);
    return list;
}

static double probability(const ranked *list, int64_t k, double total)
{
    return total > 0 ? exp(list[k].score - list[0].score) / total : list[k].score;
}

/* --- Mask heads --- */

static int64_t class_at(const head *h, const float *row, int64_t place)
{
    const float *at = row + place * h->place_step;
    int64_t best = 0;

    for (int64_t k = 1; k < h->classes; k++) {
        if (at[k * h->class_step] > at[best * h->class_step])
            best = k;
    }
    return best;
}

/* Share of the places of each class, new. */
static double *class_shares(const head *h, const float *row)
{
    double *shares = calloc((size_t)h->classes, sizeof *shares);
    const int64_t area = h->height * h->width;

    for (int64_t i = 0; i < area && shares != NULL; i++)
        shares[class_at(h, row, i)] += 1.0 / (double)area;
    return shares;
}

uint8_t *run_mask_of(const pare_tensor *output, int64_t *height, int64_t *width)
{
    head h;

    if (!find_head(&h, output) || h.height * h.width < 2 || h.classes > 256)
        return NULL;
    uint8_t *mask = malloc((size_t)(h.height * h.width));
    for (int64_t i = 0; i < h.height * h.width && mask != NULL; i++)
        mask[i] = (uint8_t)class_at(&h, output->data, i);
    *height = h.height;
    *width = h.width;
    return mask;
}

/* --- Both --- */

static void find_range(double range[2], const pare_tensor *t, int64_t row)
{
    const bool has_rows = row != PARE_RUN_WHOLE && t->rank > 0 && t->dims[0] > 0;
    const size_t count = t->size_bytes / sizeof(float) / (has_rows ? (size_t)t->dims[0] : 1);
    const float *x = (const float *)t->data + (has_rows ? (size_t)row * count : 0);

    for (size_t i = 0; i < count; i++) {
        range[0] = i == 0 ? (double)x[i] : fmin(range[0], (double)x[i]);
        range[1] = i == 0 ? (double)x[i] : fmax(range[1], (double)x[i]);
    }
}

static void print_shape(const pare_tensor *t)
{
    printf("  %s: %s", t->name, pare_type_name(t->type));
    for (int a = 0; a < t->rank; a++)
        printf("%c%lld", a == 0 ? ' ' : 'x', (long long)t->dims[a]);
}

void run_print_row(const pare_tensor *output, int64_t row, int64_t top)
{
    double range[2] = {0, 0}, total;
    head h;

    print_shape(output);
    if (row == PARE_RUN_WHOLE || !find_head(&h, output)) {
        if (output->type == PARE_FLOAT32) {
            find_range(range, output, row);
            printf("  %g to %g", range[0], range[1]);
        }
        putchar('\n');
        return;
    }
    putchar('\n');
    const float *x = (const float *)output->data + row * h.size;
    if (h.height * h.width > 1) {
        double *shares = class_shares(&h, x);
        for (int64_t k = 0; k < h.classes && shares != NULL; k++) {
            if (shares[k] > 0)
                printf("  %6.2f %%  of the pixels are class %lld\n", 100 * shares[k], (long long)k);
        }
        free(shares);
        return;
    }
    ranked *list = rank_classes(&h, x, &total);
    for (int64_t k = 0; k < top && k < h.classes && list != NULL; k++)
        printf("  %6.2f %%  class %lld\n", 100 * probability(list, k, total),
               (long long)list[k].class);
    free(list);
}

static json_t *shape_json(const pare_tensor *t)
{
    json_t *shape = json_array();

    for (int a = 0; a < t->rank; a++)
        json_array_append_new(shape, json_integer((json_int_t)t->dims[a]));
    return shape;
}

json_t *run_row_json(const pare_tensor *output, int64_t row, int64_t top)
{
    json_t *root = json_pack("{s:s, s:s, s:o}", "name", output->name, "type",
                             pare_type_name(output->type), "shape", shape_json(output));
    double range[2] = {0, 0}, total;
    head h;

    if (output->type != PARE_FLOAT32)
        return root;
    find_range(range, output, row);
    if (isfinite(range[0]) && isfinite(range[1]))
        json_object_set_new(root, "range", json_pack("[f, f]", range[0], range[1]));
    if (row == PARE_RUN_WHOLE || !find_head(&h, output))
        return root;
    const float *x = (const float *)output->data + row * h.size;
    json_t *rows = json_array();
    if (h.height * h.width > 1) {
        double *shares = class_shares(&h, x);
        for (int64_t k = 0; k < h.classes && shares != NULL; k++) {
            if (shares[k] > 0)
                json_array_append_new(
                    rows, json_pack("{s:I, s:f}", "class", (json_int_t)k, "share", shares[k]));
        }
        free(shares);
        json_object_set_new(root, "mask", rows);
        return root;
    }
    ranked *list = rank_classes(&h, x, &total);
    for (int64_t k = 0; k < top && k < h.classes && list != NULL; k++) {
        const double p = probability(list, k, total);
        json_array_append_new(rows, json_pack("{s:I, s:f}", "class", (json_int_t)list[k].class,
                                              "probability", isfinite(p) ? p : 0.0));
    }
    free(list);
    json_object_set_new(root, "top", rows);
    return root;
}
