/* SPDX-License-Identifier: Apache-2.0 */
/* data.c - sets of images in memory. */
#include "data/data.h"

#include <string.h>

#include "base/file.h"
#include "base/random.h"
#include "data/store.h"

int64_t pare_data_count(const pare_data *data)
{
    return data->count;
}

int64_t pare_data_classes(const pare_data *data)
{
    return data->classes;
}

int64_t pare_data_channels(const pare_data *data)
{
    return data->channels;
}

int64_t pare_data_height(const pare_data *data)
{
    return data->height;
}

int64_t pare_data_width(const pare_data *data)
{
    return data->width;
}

int64_t pare_data_mask_classes(const pare_data *data)
{
    return data->mask_classes;
}

const uint8_t *pare_data_mask(const pare_data *data, int64_t index)
{
    if (data->masks == NULL || index < 0 || index >= data->count)
        return NULL;
    return data->masks + index * data->height * data->width;
}

int64_t pare_data_label(const pare_data *data, int64_t index)
{
    return data->labels != NULL && index >= 0 && index < data->count ? data->labels[index] : -1;
}

const char *pare_data_class_name(const pare_data *data, int64_t k)
{
    return data->class_names != NULL && k >= 0 && k < data->classes ? data->class_names[k] : NULL;
}

const char *pare_data_mask_class_name(const pare_data *data, int64_t k)
{
    const bool is_named = data->mask_class_names != NULL && k >= 0 && k < data->mask_classes;

    return is_named ? data->mask_class_names[k] : NULL;
}

void pare_data_free(pare_data *data)
{
    if (data == NULL)
        return;
    pri_free(data->pixels);
    pri_store_release(data->store);
    pri_free(data->where);
    pri_free(data->labels);
    pri_free(data->masks);
    if (data->class_names != NULL)
        pri_names_free(data->class_names, data->classes);
    if (data->mask_class_names != NULL)
        pri_names_free(data->mask_class_names, data->mask_classes);
    pri_free(data);
}

pare_status pri_data_append(pare_data *data, const uint8_t *pixels, bool planar,
                            const uint8_t *labels, int64_t count)
{
    const int64_t area = data->height * data->width, size = area * data->channels;
    const int64_t total = data->count + count;
    uint8_t *more = pri_realloc(data->ctx, data->pixels, (size_t)total, (size_t)size);

    if (more == NULL)
        return PARE_ERROR_MEMORY;
    data->pixels = more;
    if (labels != NULL) {
        int32_t *more_labels = pri_realloc(data->ctx, data->labels, (size_t)total, sizeof(int32_t));
        if (more_labels == NULL)
            return PARE_ERROR_MEMORY;
        data->labels = more_labels;
    }
    for (int64_t n = 0; n < count; n++) {
        uint8_t *to = data->pixels + (data->count + n) * size;
        const uint8_t *from = pixels + n * size;
        for (int64_t p = 0; planar && p < area; p++) {
            for (int64_t c = 0; c < data->channels; c++)
                to[p * data->channels + c] = from[c * area + p];
        }
        if (!planar)
            memcpy(to, from, (size_t)size);
        if (labels == NULL)
            continue;
        data->labels[data->count + n] = labels[n];
        data->classes = pri_max_i64(data->classes, labels[n] + 1);
    }
    data->count = total;
    return PARE_OK;
}

/* A copy of items chosen[0 .. count-1], `size` bytes each; NULL of NULL. */
static void *copy_items(bool *ok, pare_context *ctx, const void *items, const int64_t *chosen,
                        int64_t count, int64_t size)
{
    if (items == NULL)
        return NULL;
    char *copy = pri_alloc(ctx, (size_t)count, (size_t)size);
    for (int64_t i = 0; copy != NULL && i < count; i++)
        memcpy(copy + i * size, (const char *)items + chosen[i] * size, (size_t)size);
    *ok = *ok && copy != NULL;
    return copy;
}

pare_status pri_names_copy(char ***out, int64_t classes, pare_context *ctx, char *const *names,
                           int64_t count)
{
    *out = NULL;
    if (classes == 0 || count == 0 || names == NULL)
        return PARE_OK;
    *out = pri_alloc(ctx, (size_t)classes, sizeof **out);
    if (*out == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t k = 0; k < classes && k < count; k++) {
        if (names[k] == NULL)
            continue;
        (*out)[k] = pri_strdup(ctx, names[k]);
        if ((*out)[k] == NULL)
            return PARE_ERROR_MEMORY;
    }
    return PARE_OK;
}

const uint8_t *pri_data_image(const pare_data *data, int64_t index, pri_image *room,
                              pare_context *ctx)
{
    if (data->store == NULL)
        return data->pixels + index * data->height * data->width * data->channels;
    return pri_store_image(data->store, data->where != NULL ? data->where[index] : index, room,
                           ctx);
}

uint64_t pri_data_hash(uint64_t hash, const pare_data *data)
{
    const int64_t area = data->height * data->width, size = area * data->channels;
    const int64_t shape[] = {data->count, data->channels,       data->height,
                             data->width, data->labels != NULL, data->masks != NULL};

    hash = pri_hash(hash ^ PRI_HASH_START, shape, sizeof shape);
    if (data->pixels != NULL)
        hash = pri_hash(hash, data->pixels, (size_t)(data->count * size));
    if (data->store != NULL)
        hash = pri_hash(hash, &data->store->frame.crop, sizeof data->store->frame.crop);
    for (int64_t i = 0; i < data->count && data->store != NULL; i++) {
        const int64_t k = data->where != NULL ? data->where[i] : i;
        const int64_t bytes = pri_file_size(data->store->paths[k]);
        hash = pri_hash(hash, data->store->paths[k], strlen(data->store->paths[k]));
        hash = pri_hash(hash, &bytes, sizeof bytes);
    }
    if (data->labels != NULL)
        hash = pri_hash(hash, data->labels, (size_t)data->count * sizeof *data->labels);
    return data->masks != NULL ? pri_hash(hash, data->masks, (size_t)(data->count * area)) : hash;
}

/* A part of a set that is not held shares its store. */
static pare_status share_store(pare_data *part, const pare_data *data, const int64_t *chosen)
{
    part->where = pri_alloc(data->ctx, (size_t)part->count, sizeof *part->where);
    if (part->where == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t i = 0; i < part->count; i++)
        part->where[i] = data->where != NULL ? data->where[chosen[i]] : chosen[i];
    part->store = pri_store_share(data->store);
    return PARE_OK;
}

static pare_status copy_part(pare_data *part, const pare_data *data, const int64_t *chosen)
{
    const int64_t area = data->height * data->width, n = part->count;
    pare_context *ctx = data->ctx;
    bool ok = true;

    part->pixels = copy_items(&ok, ctx, data->pixels, chosen, n, area * data->channels);
    part->labels = copy_items(&ok, ctx, data->labels, chosen, n, (int64_t)sizeof *data->labels);
    part->masks = copy_items(&ok, ctx, data->masks, chosen, n, area);
    if (!ok)
        return PARE_ERROR_MEMORY;
    if (data->store != NULL)
        PRI_TRY(share_store(part, data, chosen));
    PRI_TRY(
        pri_names_copy(&part->class_names, data->classes, ctx, data->class_names, data->classes));
    return pri_names_copy(&part->mask_class_names, data->mask_classes, ctx, data->mask_class_names,
                          data->mask_classes);
}

static pare_status make_part(pare_data **out, const pare_data *data, const int64_t *chosen,
                             int64_t count)
{
    pare_data *part = pri_alloc(data->ctx, 1, sizeof *part);

    if (part == NULL)
        return PARE_ERROR_MEMORY;
    *part = (pare_data){.ctx = data->ctx,
                        .count = count,
                        .channels = data->channels,
                        .height = data->height,
                        .width = data->width,
                        .classes = data->classes,
                        .mask_classes = data->mask_classes};
    const pare_status status = copy_part(part, data, chosen);
    if (status != PARE_OK) {
        pare_data_free(part);
        return status;
    }
    *out = part;
    return PARE_OK;
}

pare_status pare_data_slice(pare_data **out, const pare_data *data, int64_t from, int64_t count)
{
    *out = NULL;
    from = pri_max_i64(0, pri_min_i64(from, data->count));
    count = pri_min_i64(count, data->count - from);
    if (count <= 0)
        return pri_fail(data->ctx, PARE_ERROR_DATA, "no images are left in this part of the set");
    int64_t *chosen = pri_alloc(data->ctx, (size_t)count, sizeof *chosen);
    if (chosen == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        chosen[i] = from + i;
    const pare_status status = make_part(out, data, chosen, count);
    pri_free(chosen);
    return status;
}

pare_status pare_data_sample(pare_data **out, const pare_data *data, int64_t count, uint64_t seed)
{
    *out = NULL;
    count = pri_min_i64(count, data->count);
    if (count <= 0)
        return pri_fail(data->ctx, PARE_ERROR_DATA, "a sample of no images was asked for");
    int64_t *order = pri_alloc(data->ctx, (size_t)data->count, sizeof *order);
    if (order == NULL)
        return PARE_ERROR_MEMORY;
    pri_random_permutation(order, data->count, seed, PRI_STREAM_SPLIT);
    const pare_status status = make_part(out, data, order, count);
    pri_free(order);
    return status;
}
