/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_external_write.c - the file beside a model: its name, what goes there, and an older one. */
#include <stdio.h>
#include <string.h>

#include "onnx/onnx_external.h"
#include "onnx/wire.h"

enum { SMALL_BYTES = 1024, ALIGNMENT = 4096, MAX_NAMES = 1000 };

/* `location` beside `path`. */
static char *beside(pare_context *ctx, const char *path, const char *location)
{
    const size_t folder = (size_t)(pri_name_of(path) - path);
    char *result = pri_alloc(ctx, folder + strlen(location) + 1, 1);

    if (result != NULL) {
        memcpy(result, path, folder);
        strcpy(result + folder, location);
    }
    return result;
}

static void write_name(char *name, size_t size, const char *path, int number)
{
    if (number == 0)
        snprintf(name, size, "%s.data", pri_name_of(path));
    else
        snprintf(name, size, "%s.%d.data", pri_name_of(path), number);
}

pare_status pri_onnx_external_init(pri_onnx_external *external, pare_context *ctx, const char *path)
{
    const size_t size = strlen(pri_name_of(path)) + 32;

    *external = (pri_onnx_external){.ctx = ctx, .location = pri_alloc(ctx, size, 1)};
    if (external->location == NULL)
        return PARE_ERROR_MEMORY;
    for (int number = 0; number < MAX_NAMES; number++) {
        write_name(external->location, size, path, number);
        char *full = beside(ctx, path, external->location);
        if (full == NULL)
            return PARE_ERROR_MEMORY;
        const bool is_taken = pri_file_exists(full);
        pri_free(full);
        if (!is_taken)
            return PARE_OK;
    }
    return pri_fail(ctx, PARE_ERROR_EXISTS, "no name is free for the external data of '%s'", path);
}

void pri_onnx_external_clear(pri_onnx_external *external)
{
    pri_free(external->location);
    pri_free(external->parts);
    *external = (pri_onnx_external){0};
}

static Onnx__StringStringEntryProto *new_entry(pri_arena *arena, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *entry = pri_arena_alloc(arena, 1, sizeof *entry);

    if (entry == NULL)
        return NULL;
    onnx__string_string_entry_proto__init(entry);
    entry->key = pri_arena_strdup(arena, key);
    entry->value = pri_arena_strdup(arena, value);
    return entry->key != NULL && entry->value != NULL ? entry : NULL;
}

pare_status pri_onnx_move_outside(pri_onnx_external *external, pri_arena *arena,
                                  Onnx__TensorProto *message)
{
    const size_t size = message->raw_data.len;
    Onnx__StringStringEntryProto **entries = pri_arena_alloc(arena, 3, sizeof *entries);
    char offset[32], length[32];

    if (size < SMALL_BYTES)
        return PARE_OK;
    if (external->n_parts == external->capacity) {
        const int capacity = external->capacity > 0 ? 2 * external->capacity : 64;
        pri_file_part *parts =
            pri_realloc(external->ctx, external->parts, (size_t)capacity, sizeof *parts);
        if (parts == NULL)
            return PARE_ERROR_MEMORY;
        external->parts = parts;
        external->capacity = capacity;
    }
    const int64_t at = (external->size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    external->parts[external->n_parts++] =
        (pri_file_part){.data = message->raw_data.data, .size_bytes = size, .offset = at};
    external->size_bytes = at + (int64_t)size;
    snprintf(offset, sizeof offset, "%lld", (long long)at);
    snprintf(length, sizeof length, "%zu", size);
    if (entries == NULL)
        return PARE_ERROR_MEMORY;
    entries[0] = new_entry(arena, "location", external->location);
    entries[1] = new_entry(arena, "offset", offset);
    entries[2] = new_entry(arena, "length", length);
    message->has_raw_data = 0;
    message->raw_data = (ProtobufCBinaryData){0, NULL};
    message->has_data_location = 1;
    message->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    message->n_external_data = 3;
    message->external_data = entries;
    return entries[0] != NULL && entries[1] != NULL && entries[2] != NULL ? PARE_OK
                                                                          : PARE_ERROR_MEMORY;
}

char *pri_onnx_external_path(const pri_onnx_external *external, const char *path)
{
    return beside(external->ctx, path, external->location);
}

/* --- An older one --- */

/* The names that pri_onnx_external_init gives. */
static bool is_our_name(const char *location, const char *path)
{
    const size_t length = strlen(pri_name_of(path));
    const char *rest = location + length;

    if (strncmp(location, pri_name_of(path), length) != 0)
        return false;
    if (*rest == '.' && rest[1] >= '0' && rest[1] <= '9')
        rest += 1 + strspn(rest + 1, "0123456789");
    return strcmp(rest, ".data") == 0;
}

/* Whether any file has such a name, so that there can be data to look for in the model. */
static bool has_our_file(pare_context *ctx, const char *path)
{
    const size_t size = strlen(path) + 32;
    char *name = pri_alloc(ctx, size, 1);
    bool is_there = false;

    for (int number = 0; name != NULL && number < MAX_NAMES && !is_there; number++) {
        const size_t folder = (size_t)(pri_name_of(path) - path);
        memcpy(name, path, folder);
        write_name(name + folder, size - folder, path, number);
        is_there = pri_file_exists(name);
    }
    pri_free(name);
    return is_there;
}

/* The data file that pare states to have written with a model, NULL where it states none. */
static const char *written_by_pare(const Onnx__ModelProto *model)
{
    for (size_t i = 0; i < model->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *entry = model->metadata_props[i];
        if (entry->key != NULL && strcmp(entry->key, PRI_ONNX_DATA_KEY) == 0)
            return entry->value;
    }
    return NULL;
}

static const char *location_of(const Onnx__TensorProto *message)
{
    for (size_t i = 0; pri_onnx_is_external(message) && i < message->n_external_data; i++) {
        const Onnx__StringStringEntryProto *entry = message->external_data[i];
        if (entry->key != NULL && strcmp(entry->key, "location") == 0)
            return entry->value;
    }
    return NULL;
}

/* Other models may share a data file that pare only found beside the model. */
static const char *find_old(const Onnx__ModelProto *model, const char *path)
{
    const char *ours = written_by_pare(model);

    if (ours == NULL || !is_our_name(ours, path) || model->graph == NULL)
        return NULL;
    for (size_t i = 0; i < model->graph->n_initializer; i++) {
        const char *location = location_of(model->graph->initializer[i]);
        if (location != NULL && strcmp(location, ours) == 0)
            return ours;
    }
    return NULL;
}

char *pri_onnx_old_external(pare_context *ctx, const char *path)
{
    pri_bytes bytes = {0};
    char *result = NULL;

    if (!has_our_file(ctx, path) || !pri_file_exists(path) ||
        pri_file_read(&bytes, ctx, path) != PARE_OK) {
        pri_forget(ctx);
        return NULL;
    }
    const bool is_safe =
        pri_wire_check(ctx, bytes.data, bytes.size_bytes, PRI_ONNX_MAX_NESTING) == PARE_OK;
    Onnx__ModelProto *model =
        is_safe ? onnx__model_proto__unpack(NULL, bytes.size_bytes, bytes.data) : NULL;
    pri_forget(ctx);
    pri_bytes_clear(&bytes);
    const char *location = model != NULL ? find_old(model, path) : NULL;
    if (location != NULL)
        result = beside(ctx, path, location);
    if (model != NULL)
        onnx__model_proto__free_unpacked(model, NULL);
    return result;
}
