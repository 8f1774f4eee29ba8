/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arrays.c - NumPy files: .npy read and written, .npz (a zip archive of them) written.
 *
 * Members of an archive are stored, not packed: outputs of networks hardly pack.
 */
#include <pare/run.h>

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "data/archive.h"

enum { PREFIX = 10 }; /* bytes before a header of version 1: magic, version and its length */

/* --- Reading --- */

static pare_status parse(pare_tensor *out, pare_context *ctx, const pri_bytes *file,
                         const char *path)
{
    pri_array array;

    PRI_TRY(pri_array_parse(&array, ctx, file->data, file->size_bytes, path));
    out->type = (pare_type)array.dtype;
    out->rank = array.shape.rank;
    memcpy(out->dims, array.shape.dims, sizeof out->dims);
    out->size_bytes = (size_t)array.count * (size_t)array.width;
    out->data = pri_alloc(ctx, out->size_bytes, 1);
    if (out->data == NULL)
        return PARE_ERROR_MEMORY;
    memcpy(out->data, array.data, out->size_bytes);
    return PARE_OK;
}

pare_status pare_array_read(pare_tensor *out, pare_context *ctx, const char *path)
{
    pri_bytes file = {0};

    *out = (pare_tensor){0};
    PRI_TRY(pri_file_read(&file, ctx, path));
    pare_status status = parse(out, ctx, &file, path);
    pri_bytes_clear(&file);
    if (status == PARE_OK) {
        out->name = pri_strdup(ctx, pri_name_of(path));
        status = out->name != NULL ? PARE_OK : PARE_ERROR_MEMORY;
    }
    if (status != PARE_OK)
        pare_array_clear(out);
    return status;
}

void pare_array_clear(pare_tensor *array)
{
    pri_free((void *)(uintptr_t)array->name);
    pri_free(array->data);
    *array = (pare_tensor){0};
}

/* --- Writing --- */

/* A file in memory; `at` only counts while data is NULL. */
typedef struct writer {
    unsigned char *data;
    size_t at;
} writer;

static void put(writer *w, const void *bytes, size_t size)
{
    if (w->data != NULL && size > 0)
        memcpy(w->data + w->at, bytes, size);
    w->at += size;
}

static void put_number(writer *w, size_t value, int bytes)
{
    unsigned char out[8];

    for (int k = 0; k < bytes; k++)
        out[k] = (unsigned char)(value >> 8 * k & 255);
    put(w, out, (size_t)bytes);
}

/* Magic, header and elements; the header is padded so that these start at a multiple of 64. */
static void put_array(writer *w, const pare_tensor *array)
{
    char header[64 + 24 * PARE_MAX_RANK];
    int n = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                     pri_array_descr((pri_dtype)array->type));

    for (int a = 0; a < array->rank; a++)
        n += snprintf(header + n, sizeof header - (size_t)n, "%lld,%s", (long long)array->dims[a],
                      a + 1 < array->rank ? " " : "");
    n += snprintf(header + n, sizeof header - (size_t)n, "), }");
    const size_t padding = 63 - (PREFIX + (size_t)n) % 64;
    put(w, PRI_ARRAY_MAGIC "\1\0", PREFIX - 2);
    put_number(w, (size_t)n + padding + 1, 2);
    put(w, header, (size_t)n);
    for (size_t k = 0; k < padding; k++)
        put(w, " ", 1);
    put(w, "\n", 1);
    put(w, array->data, array->size_bytes);
}

/* The fields that the local header and the directory entry of a member share. */
static void put_member(writer *w, const char *name, size_t size, size_t crc)
{
    put_number(w, 20, 2);    /* needs version 2.0 */
    put_number(w, 0x800, 2); /* the name is UTF-8 */
    put_number(w, 0, 2);     /* stored */
    put_number(w, 0, 2);     /* time */
    put_number(w, 0x21, 2);  /* date: 1980-01-01 */
    put_number(w, crc, 4);
    put_number(w, size, 4);
    put_number(w, size, 4);
    put_number(w, strlen(name) + 4, 2);
    put_number(w, 0, 2); /* no extra field */
}

enum { CRC_AT = 14, LOCAL = 30 }; /* in a local header, and its length without the name */

static size_t array_bytes(const pare_tensor *array)
{
    writer counted = {0};

    put_array(&counted, array);
    return counted.at;
}

static void put_local(writer *w, const pare_tensor *array)
{
    writer header = *w;

    put(w, "PK\3\4", 4);
    put_member(w, array->name, array_bytes(array), 0);
    put(w, array->name, strlen(array->name));
    put(w, ".npy", 4);
    const size_t start = w->at;
    put_array(w, array);
    if (w->data == NULL)
        return;
    header.at += CRC_AT;
    put_number(&header, crc32_z(crc32(0, NULL, 0), w->data + start, w->at - start), 4);
}

static void put_entry(writer *w, const pare_tensor *array, size_t offset)
{
    put(w, "PK\1\2", 4);
    put_number(w, 20, 2);
    put_member(w, array->name, array_bytes(array),
               w->data != NULL ? pri_little(w->data + offset + CRC_AT, 4) : 0);
    put_number(w, 0, 6); /* comment, disk, inner attributes */
    put_number(w, 0, 4);
    put_number(w, offset, 4);
    put(w, array->name, strlen(array->name));
    put(w, ".npy", 4);
}

static void put_archive(writer *w, const pare_tensor *arrays, int n)
{
    for (int k = 0; k < n; k++)
        put_local(w, &arrays[k]);
    const size_t directory = w->at;
    for (size_t k = 0, offset = 0; k < (size_t)n; k++) {
        put_entry(w, &arrays[k], offset);
        offset += LOCAL + strlen(arrays[k].name) + 4 + array_bytes(&arrays[k]);
    }
    const size_t end = w->at;
    put(w, "PK\5\6\0\0\0\0", 8);
    put_number(w, (size_t)n, 2);
    put_number(w, (size_t)n, 2);
    put_number(w, end - directory, 4);
    put_number(w, directory, 4);
    put_number(w, 0, 2);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static pare_status check_arrays(pare_context *ctx, const char *path, const pare_tensor *arrays,
                                int n)
{
    if (!ends_with(path, ".npy") && !ends_with(path, ".npz"))
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "'%s' ends neither in .npy nor in .npz", path);
    if (n < 1 || n > 65535 || (n != 1 && ends_with(path, ".npy")))
        return pri_fail(ctx, PARE_ERROR_ARGUMENT, "a .npy file holds one array, not %d; use .npz",
                        n);
    for (int k = 0; k < n; k++) {
        if (pri_array_descr((pri_dtype)arrays[k].type) == NULL)
            return pri_fail(ctx, PARE_ERROR_UNSUPPORTED, "NumPy has no elements like those of '%s'",
                            arrays[k].name);
        if (strlen(arrays[k].name) > 60000)
            return pri_fail(ctx, PARE_ERROR_UNSUPPORTED, "the name of an array is too long");
    }
    return PARE_OK;
}

pare_status pare_arrays_write(pare_context *ctx, const char *path, const pare_tensor *arrays,
                              int n_arrays, bool replace)
{
    writer w = {0};

    PRI_TRY(check_arrays(ctx, path, arrays, n_arrays));
    for (int pass = 0; pass < 2; pass++) { /* counts, then writes */
        w.at = 0;
        if (ends_with(path, ".npz"))
            put_archive(&w, arrays, n_arrays);
        else
            put_array(&w, &arrays[0]);
        if (pass == 1)
            break;
        if (w.at > UINT32_MAX)
            return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                            "the arrays take %zu bytes; pare writes files below 4 GiB", w.at);
        w.data = pri_alloc(ctx, w.at, 1);
        if (w.data == NULL)
            return PARE_ERROR_MEMORY;
    }
    const pare_status status = pri_file_write(ctx, path, w.data, w.at, replace);
    pri_free(w.data);
    return status;
}
