/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npy.c - the header of a NumPy array: a Python dictionary of descr, fortran_order and shape.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/archive.h"

enum { MAX_HEADER = 65536 };

/* What follows 'key': in the header, or NULL. */
static const char *find_value(const char *header, const char *key)
{
    char quoted[32];

    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *at = strstr(header, quoted);
    if (at == NULL)
        return NULL;
    at += strlen(quoted);
    at += strspn(at, " ");
    if (*at != ':')
        return NULL;
    return at + 1 + strspn(at + 1, " ");
}

/* "(3, 4)", "(5,)", "()" */
static bool read_shape(pri_array *out, const char *at)
{
    if (*at++ != '(')
        return false;
    out->count = 1;
    for (at += strspn(at, " "); *at != ')'; at += strspn(at, ", ")) {
        char *end;
        const long long dim = strtoll(at, &end, 10);
        if (end == at || dim < 0 || out->rank == PRI_ARRAY_RANK ||
            !pri_mul_i64(&out->count, out->count, dim))
            return false;
        out->dims[out->rank++] = dim;
        at = end;
    }
    return true;
}

static pare_status read_type(pri_array *out, pare_context *ctx, const char *at, const char *name)
{
    if (*at == '\'' && (at[1] == '<' || at[1] == '|') && at[2] != '\0' &&
        strchr("uifb", at[2]) != NULL) {
        out->kind = at[2];
        out->width = at[3] - '0';
        const bool is_known = (out->width == 1 || out->width == 2 || out->width == 4 ||
                               out->width == 8) &&
                              at[4] == '\'';
        if (is_known && !(out->kind == 'f' && out->width < 4) &&
            !(out->kind == 'b' && out->width != 1))
            return PARE_OK;
    }
    if (*at == '\'' && at[1] == '>')
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                        "'%s' holds big-endian numbers; save it with .astype('<f4') or ('u1')",
                        name);
    return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                    "'%s' holds elements of type %.*s; pare reads u1 to u8, i1 to i8, f4, f8, bool",
                    name, (int)strcspn(at, ",}"), at);
}

/* Copies the header out, terminated; *size is where the data begins. NULL when there is none. */
static char *copy_header(size_t *begin, pare_context *ctx, const unsigned char *bytes, size_t size)
{
    if (size < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0 || bytes[6] < 1 || bytes[6] > 3)
        return NULL;
    const size_t start = bytes[6] == 1 ? 10 : 12;
    size_t length = bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (length > MAX_HEADER || start + length > size)
        return NULL;
    char *header = pri_alloc(ctx, length + 1, 1);
    if (header != NULL)
        memcpy(header, bytes + start, length);
    *begin = start + length;
    return header;
}

static pare_status read_header(pri_array *out, pare_context *ctx, const char *header,
                               const char *name)
{
    const char *type = find_value(header, "descr"), *shape = find_value(header, "shape");
    const char *order = find_value(header, "fortran_order");

    if (type == NULL || shape == NULL || order == NULL)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' has a damaged header", name);
    PRI_TRY(read_type(out, ctx, type, name));
    if (!read_shape(out, shape))
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' has a shape pare cannot read", name);
    if (strncmp(order, "True", 4) == 0 && out->rank > 1)
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                        "'%s' is in Fortran order; save it with numpy.ascontiguousarray", name);
    return PARE_OK;
}

pare_status pri_array_parse(pri_array *out, pare_context *ctx, const unsigned char *bytes,
                            size_t size_bytes, const char *name)
{
    size_t begin = 0;
    char *header = copy_header(&begin, ctx, bytes, size_bytes);
    int64_t total;

    *out = (pri_array){0};
    if (header == NULL)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is no .npy file, or truncated", name);
    const pare_status status = read_header(out, ctx, header, name);
    pri_free(header);
    PRI_TRY(status);
    out->data = bytes + begin;
    if (!pri_mul_i64(&total, out->count, out->width) || (uint64_t)total != size_bytes - begin)
        return pri_fail(ctx, PARE_ERROR_FORMAT,
                        "'%s' is truncated: %zu bytes of data for %lld elements", name,
                        size_bytes - begin, (long long)out->count);
    return PARE_OK;
}

double pri_array_at(const pri_array *array, int64_t index)
{
    const unsigned char *at = array->data + index * array->width;
    uint64_t bits = 0;

    for (int k = array->width - 1; k >= 0; k--)
        bits = bits << 8 | at[k];
    if (array->kind == 'f' && array->width == 4) {
        const uint32_t half = (uint32_t)bits;
        float value;
        memcpy(&value, &half, sizeof value);
        return (double)value;
    }
    if (array->kind == 'f') {
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    if (array->kind == 'i') {
        const int unused = 64 - 8 * array->width;
        return (double)((int64_t)(bits << unused) >> unused);
    }
    return (double)bits;
}
