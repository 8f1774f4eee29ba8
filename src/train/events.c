/* SPDX-License-Identifier: Apache-2.0 */
/* events.c - see events.h. */
#include "train/events.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/float_bits.h"

enum { MAX_TAG = 64, MAX_EVENT = 160 };

/* --- Checksums --- */

uint32_t pri_crc32c(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t crc = 0xffffffffu;

    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

uint32_t pri_crc32c_masked(const void *data, size_t size)
{
    const uint32_t crc = pri_crc32c(data, size);

    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* --- Protocol buffers --- */

/* A message of at most MAX_EVENT bytes. */
typedef struct message {
    unsigned char bytes[MAX_EVENT];
    size_t size;
} message;

static void add_little(message *m, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        m->bytes[m->size++] = (unsigned char)(value >> 8 * i);
}

static void add_varint(message *m, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        m->bytes[m->size++] = (unsigned char)(value | 128);
    m->bytes[m->size++] = (unsigned char)value;
}

/* Field numbers up to 15; wire types: 0 varint, 1 eight bytes, 2 bytes, 5 four bytes. */
static void add_key(message *m, int field, int type)
{
    m->bytes[m->size++] = (unsigned char)(field << 3 | type);
}

static void add_bytes(message *m, int field, const void *bytes, size_t size)
{
    add_key(m, field, 2);
    add_varint(m, size);
    memcpy(m->bytes + m->size, bytes, size);
    m->size += size;
}

static void add_double(message *m, int field, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    add_key(m, field, 1);
    add_little(m, bits, 8);
}

static void add_float(message *m, int field, float value)
{
    add_key(m, field, 5);
    add_little(m, pri_bits_of_float(value), 4);
}

static double wall_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* --- Files --- */

static pare_status write_record(pri_events *events, const message *event)
{
    message head = {.size = 0}, tail = {.size = 0};

    add_little(&head, event->size, 8);
    add_little(&head, pri_crc32c_masked(head.bytes, 8), 4);
    add_little(&tail, pri_crc32c_masked(event->bytes, event->size), 4);
    if (fwrite(head.bytes, 1, head.size, events->file) == head.size &&
        fwrite(event->bytes, 1, event->size, events->file) == event->size &&
        fwrite(tail.bytes, 1, tail.size, events->file) == tail.size)
        return PARE_OK;
    return pri_fail(events->ctx, PARE_ERROR_FILE, "cannot write '%s': %s", events->path,
                    strerror(errno));
}

pare_status pri_events_open(pri_events *out, pare_context *ctx, const char *directory)
{
    static const char version[] = "brain.Event:2";
    message event = {.size = 0};
    char name[80];

    *out = (pri_events){.ctx = ctx};
    PRI_TRY(pri_make_directory(ctx, directory));
    for (int k = 0; out->file == NULL; k++) { /* files of one second are told apart by k */
        snprintf(name, sizeof name, "events.out.tfevents.%010lld.pare.%d", (long long)time(NULL),
                 k);
        pri_free(out->path);
        out->path = pri_path_join(ctx, directory, name);
        if (out->path == NULL)
            return PARE_ERROR_MEMORY;
        out->file = fopen(out->path, "wbx");
        if (out->file == NULL && errno != EEXIST) {
            const pare_status status = pri_fail(ctx, PARE_ERROR_FILE, "cannot create '%s': %s",
                                                out->path, strerror(errno));
            pri_events_close(out);
            return status;
        }
    }
    add_double(&event, 1, wall_time());
    add_bytes(&event, 3, version, sizeof version - 1);
    PRI_TRY(write_record(out, &event));
    return pri_events_flush(out);
}

pare_status pri_events_add(pri_events *events, const char *tag, int64_t step, double value)
{
    message scalar = {.size = 0}, summary = {.size = 0}, event = {.size = 0};

    if (events->file == NULL || !isfinite(value))
        return PARE_OK;
    add_bytes(&scalar, 1, tag, strnlen(tag, MAX_TAG));
    add_float(&scalar, 2, (float)value);
    add_bytes(&summary, 1, scalar.bytes, scalar.size);
    add_double(&event, 1, wall_time());
    add_key(&event, 2, 0);
    add_varint(&event, (uint64_t)step);
    add_bytes(&event, 5, summary.bytes, summary.size);
    return write_record(events, &event);
}

pare_status pri_events_flush(pri_events *events)
{
    if (events->file == NULL || fflush(events->file) == 0)
        return PARE_OK;
    return pri_fail(events->ctx, PARE_ERROR_FILE, "cannot write '%s': %s", events->path,
                    strerror(errno));
}

void pri_events_close(pri_events *events)
{
    if (events->file != NULL)
        fclose(events->file);
    pri_free(events->path);
    *events = (pri_events){0};
}
