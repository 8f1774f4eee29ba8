/* SPDX-License-Identifier: Apache-2.0 */
/* map.c - open addressing with linear probing, FNV-1a, at most two thirds full. */
#include "base/map.h"

#include <string.h>

struct pri_map_entry {
    const char *key;
    void *value;
};

void pri_map_init(pri_map *map, pare_context *ctx)
{
    *map = (pri_map){.ctx = ctx};
}

void pri_map_clear(pri_map *map)
{
    pri_free(map->entries);
    *map = (pri_map){.ctx = map->ctx};
}

/* The entry of a key, or the free one where it belongs. */
static struct pri_map_entry *place(const pri_map *map, const char *key)
{
    size_t i = (size_t)pri_hash(PRI_HASH_START, key, strlen(key)) & (map->capacity - 1);

    while (map->entries[i].key != NULL && strcmp(map->entries[i].key, key) != 0)
        i = (i + 1) & (map->capacity - 1);
    return &map->entries[i];
}

void *pri_map_get(const pri_map *map, const char *key)
{
    return map->capacity > 0 ? place(map, key)->value : NULL;
}

static pare_status enlarge(pri_map *map)
{
    pri_map larger = {.ctx = map->ctx, .capacity = map->capacity > 0 ? 2 * map->capacity : 64};

    larger.entries = pri_alloc(map->ctx, larger.capacity, sizeof *larger.entries);
    if (larger.entries == NULL)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->entries[i].key != NULL)
            *place(&larger, map->entries[i].key) = map->entries[i];
    }
    larger.count = map->count;
    pri_free(map->entries);
    *map = larger;
    return PARE_OK;
}

pare_status pri_map_set(pri_map *map, const char *key, void *value)
{
    if (3 * (map->count + 1) > 2 * map->capacity)
        PRI_TRY(enlarge(map));
    struct pri_map_entry *entry = place(map, key);
    if (entry->key == NULL) {
        entry->key = key;
        map->count++;
    }
    entry->value = value;
    return PARE_OK;
}
