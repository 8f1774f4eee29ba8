/* SPDX-License-Identifier: Apache-2.0 */
/* open.c - pare_data_open: finds the format, lists, splits, loads. */
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "data/dataset.h"

enum { MAX_SIDE = 16384 };

static const struct {
    const char *name;
    int wanted; /* parts the split consists of */
    int needed; /* parts that must be listed to make it */
} splits[] = {
    {"train", PRI_PART_TRAIN, PRI_PART_TRAIN | PRI_PART_VAL},
    {"val", PRI_PART_VAL, PRI_PART_TRAIN | PRI_PART_VAL},
    {"test", PRI_PART_TEST, PRI_PART_TEST},
    {"all", PRI_PART_TRAIN | PRI_PART_VAL, PRI_PART_TRAIN | PRI_PART_VAL},
};

static int find_split(const char *name)
{
    for (size_t i = 0; i < PRI_COUNT(splits); i++) {
        if (strcmp(splits[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

static pare_status check_options(pare_context *ctx, const pare_data_options *o)
{
    if (o->split != NULL && find_split(o->split) < 0)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                        "the split is 'train', 'val', 'test' or 'all', not '%s'", o->split);
    if (o->channels != 0 && o->channels != 1 && o->channels != 3)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "images have 1 or 3 channels, not %lld",
                        (long long)o->channels);
    if (o->height < 0 || o->width < 0 || o->height > MAX_SIDE || o->width > MAX_SIDE)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "height and width are at most %d, not %lldx%lld",
                        MAX_SIDE, (long long)o->height, (long long)o->width);
    if (o->crop < 0 || o->crop > 100)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "the centre crop is 1 to 100 %%, not %lld",
                        (long long)o->crop);
    if (!(o->val_fraction >= 0 && o->val_fraction <= 1) ||
        !(o->test_fraction >= 0 && o->test_fraction <= 1))
        return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                        "the fractions of val and test are 0 to 1, not %g and %g", o->val_fraction,
                        o->test_fraction);
    if (o->ignore_class < 0 || o->ignore_class > 256 || o->limit < 0)
        return pri_fail(
            ctx, PARE_ERROR_ARGUMENT,
            "the class to ignore is 1 to 256 and the limit not negative, not %d and %lld",
            o->ignore_class, (long long)o->limit);
    return PARE_OK;
}

static pare_status fail_unknown(pare_context *ctx, const char *path)
{
    const pri_dataset *const *table;
    const int n = pri_dataset_list(&table);
    pri_text text;

    pri_text_init(&text, ctx);
    for (int i = 0; i < n; i++)
        pri_text_addf(&text, "\n  %s: %s", table[i]->name, table[i]->layout);
    const pare_status status =
        pri_fail(ctx, PARE_ERROR_DATA, "'%s' holds no images pare can read; it reads%s", path,
                 pri_text_get(&text));
    pri_text_clear(&text);
    return status;
}

/* classes.txt names the labels, or the masks where there are no labels; mask_classes.txt the masks.
 */
static pare_status read_names(pri_listing *listing, const pri_source *source)
{
    const bool has_labels = listing->count > 0 && listing->items[0].label >= 0;

    if (has_labels && listing->classes.count == 0)
        PRI_TRY(pri_names_read(&listing->classes, source, "classes.txt"));
    if (listing->mask_classes.count == 0)
        PRI_TRY(pri_mask_names_read(listing, source, "mask_classes.txt"));
    if (!has_labels && listing->mask_classes.count == 0)
        PRI_TRY(pri_mask_names_read(listing, source, "classes.txt"));
    return PARE_OK;
}

static pare_status fail_empty(pare_context *ctx, const pri_listing *listing, const char *path,
                              const pare_data_options *options, const char *split)
{
    const int64_t left_out = listing->problems.count;

    if (left_out > 0)
        return pri_fail(ctx, PARE_ERROR_DATA,
                        "no %s image of '%s' can be used; files left out: %lld, the last: %s",
                        split, path, (long long)left_out, listing->problems.of[left_out - 1]);
    const bool wants_val = strcmp(split, "val") == 0 && options->val_fraction == 0;
    return pri_fail(ctx, PARE_ERROR_DATA, "'%s' has no %s images%s", path, split,
                    wants_val ? "; state a fraction of the training images (val_fraction)" : "");
}

pare_status pri_source_list(pri_listing *out, const pri_source *source)
{
    const pri_dataset *dataset = pri_dataset_find(source);

    if (dataset == NULL)
        return fail_unknown(source->ctx, source->path);
    PRI_TRY(dataset->list(out, source));
    return read_names(out, source);
}

static pare_status read_source(pare_data *data, pri_listing *listing, const pri_source *source,
                               const pare_data_options *options)
{
    const char *split = options->split != NULL ? options->split : "test";
    int64_t n_chosen = 0;

    PRI_TRY(pri_source_list(listing, source));
    int64_t *chosen = pri_alloc(data->ctx, (size_t)listing->count, sizeof *chosen);
    if (chosen == NULL)
        return PARE_ERROR_MEMORY;
    pare_status status =
        pri_choose(chosen, &n_chosen, listing, splits[find_split(split)].wanted, options);
    if (status == PARE_OK)
        status = pri_load(data, listing, chosen, n_chosen, options);
    pri_free(chosen);
    if (status == PARE_OK && data->count == 0)
        return fail_empty(data->ctx, listing, source->path, options, split);
    if (status == PARE_OK && listing->problems.count > 0)
        pri_log(data->ctx, PARE_LOG_WARNING, "files of '%s' left out: %lld, the first: %s",
                source->path, (long long)listing->problems.count, listing->problems.of[0]);
    return status;
}

pare_status pare_data_open(pare_data **out, pare_context *ctx, const char *path,
                           const pare_data_options *options)
{
    const pare_data_options defaults = {0};
    pri_source source;

    *out = NULL;
    if (options == NULL)
        options = &defaults;
    PRI_TRY(check_options(ctx, options));
    pare_data *data = pri_alloc(ctx, 1, sizeof *data);
    if (data == NULL)
        return PARE_ERROR_MEMORY;
    data->ctx = ctx;
    pri_listing listing = {.ctx = ctx};
    const char *split = options->split != NULL ? options->split : "test";
    pare_status status = pri_source_open(&source, ctx, path, splits[find_split(split)].needed);
    if (status == PARE_OK)
        status = read_source(data, &listing, &source, options);
    pri_source_clear(&source);
    pri_listing_clear(&listing);
    if (status != PARE_OK) {
        pare_data_free(data);
        return status;
    }
    *out = data;
    return PARE_OK;
}

pare_status pare_data_open_images(pare_data **out, pare_context *ctx, const char *const *paths,
                                  int64_t count, const pare_data_options *options)
{
    const pare_data_options defaults = {0};
    pri_listing listing = {.ctx = ctx};
    pare_status status = PARE_OK;

    *out = NULL;
    if (options == NULL)
        options = &defaults;
    PRI_TRY(check_options(ctx, options));
    pare_data *data = pri_alloc(ctx, 1, sizeof *data);
    int64_t *chosen = pri_alloc(ctx, (size_t)count, sizeof *chosen);
    if (data == NULL || chosen == NULL)
        status = PARE_ERROR_MEMORY;
    else
        data->ctx = ctx;
    for (int64_t i = 0; i < count && status == PARE_OK; i++) {
        const pri_item item = {.image = pri_strdup(ctx, paths[i]), .label = -1};
        chosen[i] = i;
        status = item.image != NULL ? pri_listing_add(&listing, &item) : PARE_ERROR_MEMORY;
    }
    if (status == PARE_OK)
        status = pri_load(data, &listing, chosen, count, options);
    if (status == PARE_OK && listing.problems.count > 0)
        status = pri_fail(ctx, PARE_ERROR_DATA, "%s", listing.problems.of[0]);
    pri_free(chosen);
    pri_listing_clear(&listing);
    if (status != PARE_OK) {
        pare_data_free(data);
        return status;
    }
    *out = data;
    return PARE_OK;
}
