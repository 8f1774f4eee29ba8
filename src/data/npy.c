/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npy.c - the header of a NumPy array (numpy.lib.format, versions 1 to 3): a Python dictionary of
 * descr, fortran_order and shape.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/archive.h"

enum { MAX_HEADER = 65536, MAGIC = 6, VERSION_1 = 10, VERSION_2 = 12 /* bytes before a header */ };

static const struct {
    char descr[4];
    pri_dtype dtype;
} types[] = {{"<f4", PRI_F32}, {"<f8", PRI_F64}, {"<f2", PRI_F16}, {"<i8", PRI_I64},
             {"<i4", PRI_I32}, {"<i2", PRI_I16}, {"|i1", PRI_I8},  {"|u1", PRI_U8},
             {"<u2", PRI_U16}, {"<u4", PRI_U32}, {"<u8", PRI_U64}, {"|b1", PRI_BOOL}};

const char *pri_array_descr(pri_dtype dtype)
{
    for (size_t i = 0; i < PRI_COUNT(types); i++) {
        if (types[i].dtype == dtype)
            return types[i].descr;
    }
    return NULL;
}

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
    pri_shape *shape = &out->shape;

    if (*at++ != '(')
        return false;
    for (at += strspn(at, " "); *at != ')'; at += strspn(at, " ")) {
        char *end;
        if (*at < '0' || *at > '9' || shape->rank == PRI_MAX_RANK)
            return false;
        shape->dims[shape->rank++] = strtoll(at, &end, 10);
        end += strspn(end, " ");
        if (*end != ',' && *end != ')')
            return false;
        at = end + (*end == ',');
    }
    out->count = pri_shape_count(shape);
    return pri_shape_is_sane(shape);
}

/* "'<f4'"; the byte order of single bytes is of no account. */
static pare_status read_type(pri_array *out, pare_context *ctx, const char *at, const char *name)
{
    for (size_t i = 0; i < PRI_COUNT(types); i++) {
        const char *descr = types[i].descr;
        if (at[0] == '\'' && (at[1] == descr[0] || (at[1] == '<' && descr[2] == '1')) &&
            strncmp(at + 2, descr + 1, 2) == 0 && at[4] == '\'') {
            out->dtype = types[i].dtype;
            out->kind = descr[1];
            out->width = descr[2] - '0';
            return PARE_OK;
        }
    }
    if (at[0] == '\'' && at[1] == '>')
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                        "'%s' holds big-endian numbers; save it with .astype('<f4') or ('u1')",
                        name);
    return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                    "'%s' holds elements of type %.*s; pare reads u1 to u8, i1 to i8, f2 to f8, "
                    "bool",
                    name, (int)strcspn(at, ",}"), at);
}

/* Copies the header out, terminated; *begin is where the data begins. */
static pare_status copy_header(char **out, size_t *begin, pare_context *ctx,
                               const unsigned char *bytes, size_t size, const char *name)
{
    const bool is_array = size >= VERSION_2 && memcmp(bytes, PRI_ARRAY_MAGIC, MAGIC) == 0 &&
                          bytes[MAGIC] >= 1 && bytes[MAGIC] <= 3;
    const size_t start = is_array && bytes[MAGIC] == 1 ? VERSION_1 : VERSION_2;
    const size_t length = is_array ? (size_t)pri_little(bytes + 8, (int)start - 8) : 0;

    if (!is_array || length > MAX_HEADER || start + length > size)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is no NumPy array (.npy), or truncated",
                        name);
    *out = pri_alloc(ctx, length + 1, 1);
    if (*out == NULL)
        return PARE_ERROR_MEMORY;
    memcpy(*out, bytes + start, length);
    *begin = start + length;
    return PARE_OK;
}

static pare_status read_header(pri_array *out, pare_context *ctx, const char *header,
                               const char *name)
{
    const char *type = find_value(header, "descr"), *shape = find_value(header, "shape");
    const char *order = find_value(header, "fortran_order");

    if (type == NULL || shape == NULL || order == NULL ||
        (strncmp(order, "True", 4) != 0 && strncmp(order, "False", 5) != 0))
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' has a damaged header", name);
    PRI_TRY(read_type(out, ctx, type, name));
    if (!read_shape(out, shape))
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' has a shape pare cannot read", name);
    if (*order == 'T' && out->shape.rank > 1)
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                        "'%s' is in Fortran order; save it with numpy.ascontiguousarray", name);
    return PARE_OK;
}

pare_status pri_array_parse(pri_array *out, pare_context *ctx, const unsigned char *bytes,
                            size_t size_bytes, const char *name)
{
    size_t begin = 0;
    char *header = NULL;
    int64_t total;

    *out = (pri_array){0};
    PRI_TRY(copy_header(&header, &begin, ctx, bytes, size_bytes, name));
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
    const uint64_t bits = pri_little(array->data + index * array->width, array->width);

    if (array->dtype == PRI_F16)
        return (double)pri_f16_to_f32((uint16_t)bits);
    if (array->dtype == PRI_F32) {
        const uint32_t half = (uint32_t)bits;
        float value;
        memcpy(&value, &half, sizeof value);
        return (double)value;
    }
    if (array->dtype == PRI_F64) {
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
