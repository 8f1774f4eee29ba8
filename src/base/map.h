/* SPDX-License-Identifier: Apache-2.0 */
/* map.h - from strings to pointers; keys are borrowed and must outlive the map. */
#ifndef PRI_MAP_H
#define PRI_MAP_H

#include "base/base.h"

typedef struct pri_map {
    pare_context *ctx;
    struct pri_map_entry *entries;
    size_t count, capacity;
} pri_map;

void pri_map_init(pri_map *map, pare_context *ctx);
void pri_map_clear(pri_map *map);
void *pri_map_get(const pri_map *map, const char *key); /* NULL if absent */
pare_status pri_map_set(pri_map *map, const char *key, void *value);

#endif
