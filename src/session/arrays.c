/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arrays.c - NumPy files: .npy (numpy.lib.format, versions 1 to 3) and .npz, a zip archive of them.
 *
 * Only what NumPy writes by default is read: little-endian numbers and truth values in C order.
 * Members of an archive are stored, not packed: outputs of networks hardly pack.
 */
#include <pare/run.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/text.h"
#include "tensor/tensor.h"

static const struct {
    char descr[4];
    pare_type type;
} kinds[] = {{"<f4", PARE_FLOAT32}, {"<f8", PARE_FLOAT64}, {"<f2", PARE_FLOAT16},
             {"<i8", PARE_INT64},   {"<i4", PARE_INT32},   {"<i2", PARE_INT16},
             {"|i1", PARE_INT8},    {"|u1", PARE_UINT8},   {"<u2", PARE_UINT16},
             {"<u4", PARE_UINT32},  {"<u8", PARE_UINT64},  {"|b1", PARE_BOOL}};

static const char magic[] = "\x93NUMPY";
enum { MAGIC = 6, PREFIX = 10 }; /* bytes: magic; magic, version and a two-byte length */

static uint32_t little(const unsigned char *at, int bytes)
{
    uint32_t value = 0;

    for (int k = bytes - 1; k >= 0; k--)
        value = value << 8 | at[k];
    return value;
}

/* --- Reading --- */

/* What follows "'key':" and blanks in the header, or NULL. */
static const char *find_key(const char *header, const char *key)
{
    char quoted[32];

    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *at = strstr(header, quoted);
    return at != NULL ? at + strlen(quoted) + strspn(at + strlen(quoted), " ") : NULL;
}

static bool read_dims(pare_tensor *out, const char *text)
{
    if (text == NULL || *text++ != '(')
        return false;
    for (text += strspn(text, " "); *text != ')'; out->rank++) {
        char *end;
        if (out->rank == PARE_MAX_RANK || *text < '0' || *text > '9')
            return false;
        out->dims[out->rank] = strtoll(text, &end, 10);
        if (out->dims[out->rank] > INT32_MAX || (*end != ',' && *end != ')'))
            return false;
        text = end + (*end == ',');
        text += strspn(text, " ");
    }
    return true;
}

static pare_status read_header(pare_tensor *out, pare_context *ctx, const char *header,
                               const char *path)
{
    const char *descr = find_key(header, "descr"), *order = find_key(header, "fortran_order");

    if (order == NULL || strncmp(order, "False", 5) != 0)
        return pri_fail(ctx, PARE_ERROR_FORMAT,
                        "'%s' is not in C order; save numpy.ascontiguousarray of it", path);
    for (size_t i = 0; i < PRI_COUNT(kinds) && descr != NULL; i++) {
        if (descr[0] == '\'' && strncmp(descr + 1, kinds[i].descr, 3) == 0 && descr[4] == '\'')
            out->type = kinds[i].type;
    }
    if (out->type == 0)
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED, "'%s' holds elements of the kind %.8s", path,
                        descr != NULL ? descr : "''");
    if (!read_dims(out, find_key(header, "shape")))
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' states no shape of up to %d dimensions", path,
                        (int)PARE_MAX_RANK);
    return PARE_OK;
}

static pare_status parse(pare_tensor *out, pare_context *ctx, const pri_bytes *file,
                         const char *path)
{
    const unsigned char *data = file->data;

    if (file->size_bytes < PREFIX + 2 || memcmp(data, magic, MAGIC) != 0 || data[6] < 1 ||
        data[6] > 3)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is no NumPy array (.npy)", path);
    const size_t length_bytes = data[6] == 1 ? 2 : 4;
    const size_t length = little(data + 8, (int)length_bytes), start = 8 + length_bytes + length;
    if (length > file->size_bytes || start > file->size_bytes)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "the header of '%s' is cut off", path);
    char *header = pri_alloc(ctx, length + 1, 1);
    if (header == NULL)
        return PARE_ERROR_MEMORY;
    memcpy(header, data + 8 + length_bytes, length);
    const pare_status status = read_header(out, ctx, header, path);
    pri_free(header);
    PRI_TRY(status);
    const pri_shape shape = pri_shape_of(out->rank, out->dims);
    const int64_t count = pri_shape_count(&shape);
    const size_t element = pri_dtype_bytes((pri_dtype)out->type);
    const size_t there = file->size_bytes - start;
    if (count < 0 || (uint64_t)count > there / element || (size_t)count * element != there)
        return pri_fail(ctx, PARE_ERROR_FORMAT,
                        "'%s' holds %zu bytes of elements, its shape wants another number", path,
                        there);
    out->data = pri_alloc(ctx, there, 1);
    if (out->data == NULL)
        return PARE_ERROR_MEMORY;
    out->size_bytes = there;
    memcpy(out->data, data + start, there);
    return PARE_OK;
}

pare_status pare_array_read(pare_tensor *out, pare_context *ctx, const char *path)
{
    pri_bytes file = {0};
    const char *base = strrchr(path, '/');

    *out = (pare_tensor){0};
    PRI_TRY(pri_file_read(&file, ctx, path));
    pare_status status = parse(out, ctx, &file, path);
    pri_bytes_clear(&file);
    if (status == PARE_OK) {
        out->name = pri_strdup(ctx, base != NULL ? base + 1 : path);
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

static const char *descr_of(pare_type type)
{
    for (size_t i = 0; i < PRI_COUNT(kinds); i++) {
        if (kinds[i].type == type)
            return kinds[i].descr;
    }
    return NULL;
}

/* Magic, header and elements; the header is padded so that these start at a multiple of 64. */
static void put_array(writer *w, const pare_tensor *array)
{
    char header[64 + 24 * PARE_MAX_RANK];
    int n = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                     descr_of(array->type));

    for (int a = 0; a < array->rank; a++)
        n += snprintf(header + n, sizeof header - (size_t)n, "%lld,%s", (long long)array->dims[a],
                      a + 1 < array->rank ? " " : "");
    n += snprintf(header + n, sizeof header - (size_t)n, "), }");
    const size_t padding = 63 - (PREFIX + (size_t)n) % 64;
    put(w, magic, MAGIC);
    put(w, "\1\0", 2);
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
    put_number(w, 20, 2);         /* needs version 2.0 */
    put_number(w, 0x800, 2);      /* the name is UTF-8 */
    put_number(w, 0, 2);          /* stored */
    put_number(w, 0, 2);          /* time */
    put_number(w, 0x21, 2);       /* date: 1980-01-01 */
    put_number(w, crc, 4);
    put_number(w, size, 4);
    put_number(w, size, 4);
    put_number(w, strlen(name) + 4, 2);
    put_number(w, 0, 2);          /* no extra field */
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
               w->data != NULL ? little(w->data + offset + CRC_AT, 4) : 0);
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
        if (descr_of(arrays[k].type) == NULL)
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
