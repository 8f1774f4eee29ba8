/* SPDX-License-Identifier: Apache-2.0 */
/* archive.h - NumPy arrays and the zip files that hold several of them. */
#ifndef PRI_ARCHIVE_H
#define PRI_ARCHIVE_H

#include "tensor/tensor.h"

#define PRI_ARRAY_MAGIC "\x93NUMPY" /* how a .npy file begins */

/* An array inside the bytes of a file, little-endian, C order. */
typedef struct pri_array {
    pri_dtype dtype;
    char kind; /* of it: 'u', 'i', 'f' or 'b' (bool) */
    int width; /* bytes of an element: 1, 2, 4, 8 */
    pri_shape shape;
    int64_t count;
    const unsigned char *data; /* count * width bytes, borrowed */
} pri_array;

/* What NumPy calls a type in a header ("<f4"); NULL: it has no such elements. */
const char *pri_array_descr(pri_dtype dtype);
/* Reads the header of a .npy file. PARE_ERROR_UNSUPPORTED for Fortran order, big-endian numbers and
 * other types, PARE_ERROR_FORMAT for what is damaged or truncated; `name` is for messages. */
pare_status pri_array_parse(pri_array *out, pare_context *ctx, const unsigned char *bytes,
                            size_t size_bytes, const char *name);
double pri_array_at(const pri_array *array, int64_t index);

/* A member of a zip file. */
typedef struct pri_member {
    char *name; /* owned */
    uint64_t offset, packed, size;
    int method; /* 0 stored, 8 deflated */
} pri_member;

/* Lists the members; free with pri_members_free, also after a failure. Encrypted, split and zip64
 * files are refused, and such whose members share bytes. */
pare_status pri_members_list(pri_member **out, int64_t *count, pare_context *ctx,
                             const unsigned char *bytes, size_t size_bytes, const char *name);
void pri_members_free(pri_member *members, int64_t count);
/* Unpacks one; *out is the caller's (pri_free). */
pare_status pri_member_read(unsigned char **out, pare_context *ctx, const unsigned char *bytes,
                            size_t size_bytes, const pri_member *member);

#endif
