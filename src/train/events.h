/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.h - scalars in the event files that TensorBoard shows.
 *
 * A file is a row of TFRecords: length (8 bytes), masked CRC32C of the length, an Event message,
 * masked CRC32C of it, all little-endian. Events hold a wall time, a step and a Summary of one
 * simple value; the first one states the version instead.
 */
#ifndef PRI_EVENTS_H
#define PRI_EVENTS_H

#include <stdio.h>

#include "base/base.h"

typedef struct pri_events {
    pare_context *ctx;
    FILE *file; /* NULL: not asked for */
    char *path;
} pri_events;

/* Starts a new file in the folder, which is made where it is missing. */
pare_status pri_events_open(pri_events *out, pare_context *ctx, const char *directory);
/* Adds one number; those that are not finite are left out. Without a file, nothing happens. */
pare_status pri_events_add(pri_events *events, const char *tag, int64_t step, double value);
/* Hands everything to the system. */
pare_status pri_events_flush(pri_events *events);
void pri_events_close(pri_events *events);

/* CRC-32C (Castagnoli), as in RFC 3720; and as TFRecords mask it. */
uint32_t pri_crc32c(const void *data, size_t size);
uint32_t pri_crc32c_masked(const void *data, size_t size);

#endif
