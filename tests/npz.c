/* SPDX-License-Identifier: Apache-2.0 */
/* npz.c - see npz.h. Members are found through the central directory of the zip file. */
#include "npz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { END_BYTES = 22, ENTRY_BYTES = 46, LOCAL_BYTES = 30, STORED = 0, DEFLATED = 8 };

static uint32_t little(const unsigned char *at, int bytes)
{
    uint32_t value = 0;

    for (int k = bytes - 1; k >= 0; k--)
        value = value << 8 | at[k];
    return value;
}

pare_status test_npz_open(test_npz *out, pare_context *ctx, const char *path)
{
    out->ctx = ctx;
    return pri_file_read(&out->file, ctx, path);
}

void test_npz_close(test_npz *npz)
{
    pri_bytes_clear(&npz->file);
}

/* The directory entry of a member, or NULL. */
static const unsigned char *find_entry(const test_npz *npz, const char *member)
{
    const unsigned char *data = npz->file.data;
    const size_t size = npz->file.size_bytes, length = strlen(member);

    for (size_t end = END_BYTES; end <= size && end < 66000; end++) {
        const unsigned char *tail = data + size - end;
        if (memcmp(tail, "PK\5\6", 4) != 0)
            continue;
        size_t at = little(tail + 16, 4);
        for (uint32_t i = little(tail + 10, 2); i > 0 && at + ENTRY_BYTES <= size; i--) {
            const unsigned char *entry = data + at;
            const size_t name = little(entry + 28, 2);
            if (at + ENTRY_BYTES + name <= size && name == length &&
                memcmp(entry + ENTRY_BYTES, member, length) == 0)
                return entry;
            at += ENTRY_BYTES + name + little(entry + 30, 2) + little(entry + 32, 2);
        }
        return NULL;
    }
    return NULL;
}

static bool inflate_member(unsigned char *to, size_t to_bytes, unsigned char *from,
                           size_t from_bytes)
{
    z_stream stream = {.avail_in = (uInt)from_bytes, .avail_out = (uInt)to_bytes};
    bool is_whole = false;

    stream.next_in = from;
    stream.next_out = to;
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return false;
    is_whole = inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.total_out == to_bytes;
    inflateEnd(&stream);
    return is_whole;
}

static pare_status unpack(pri_bytes *out, const test_npz *npz, const unsigned char *entry)
{
    const size_t packed = little(entry + 20, 4), whole = little(entry + 24, 4);
    const size_t at = little(entry + 42, 4), size = npz->file.size_bytes;

    if (at + LOCAL_BYTES > size)
        return pri_fail(npz->ctx, PARE_ERROR_FORMAT, "zip member lies outside the file");
    const unsigned char *local = npz->file.data + at;
    const size_t start = at + LOCAL_BYTES + little(local + 26, 2) + little(local + 28, 2);
    if (start > size || packed > size - start)
        return pri_fail(npz->ctx, PARE_ERROR_FORMAT, "zip member lies outside the file");
    out->data = pri_alloc(npz->ctx, whole + 1, 1);
    out->size_bytes = whole;
    if (out->data == NULL)
        return PARE_ERROR_MEMORY;
    if (little(entry + 10, 2) == STORED && packed == whole)
        memcpy(out->data, npz->file.data + start, whole);
    else if (little(entry + 10, 2) != DEFLATED ||
             !inflate_member(out->data, whole, npz->file.data + start, packed))
        return pri_fail(npz->ctx, PARE_ERROR_FORMAT, "zip member cannot be unpacked");
    return PARE_OK;
}

static pri_dtype dtype_of(const char *header)
{
    static const struct {
        const char *text;
        pri_dtype dtype;
    } table[] = {{"'|u1'", PRI_U8}, {"'<i8'", PRI_I64}, {"'<f4'", PRI_F32}};

    for (size_t i = 0; i < PRI_COUNT(table); i++) {
        if (strstr(header, table[i].text) != NULL)
            return table[i].dtype;
    }
    return PRI_UNDEFINED;
}

static pare_status parse_npy(pri_tensor **out, const test_npz *npz, const pri_bytes *bytes)
{
    pri_shape shape = {0};
    char header[1024];

    if (bytes->size_bytes < 10 || memcmp(bytes->data, "\x93NUMPY\1", 7) != 0)
        return pri_fail(npz->ctx, PARE_ERROR_FORMAT, "no NumPy array of version 1");
    const size_t length = little(bytes->data + 8, 2);
    if (length >= sizeof header || 10 + length > bytes->size_bytes)
        return pri_fail(npz->ctx, PARE_ERROR_FORMAT, "the header of the array is too long");
    memcpy(header, bytes->data + 10, length);
    header[length] = '\0';
    const char *at = strchr(header, '(');
    const pri_dtype dtype = dtype_of(header);
    if (at == NULL || dtype == PRI_UNDEFINED || strstr(header, "'fortran_order': False") == NULL)
        return pri_fail(npz->ctx, PARE_ERROR_UNSUPPORTED, "array header '%s'", header);
    for (at++; *at >= '0' && *at <= '9' && shape.rank < PRI_MAX_RANK;) {
        char *end;
        shape.dims[shape.rank++] = strtoll(at, &end, 10);
        at = end + strspn(end, ", ");
    }
    PRI_TRY(pri_tensor_new(out, npz->ctx, dtype, &shape));
    const size_t size = (size_t)pri_tensor_count(*out) * pri_dtype_bytes(dtype);
    if (size != bytes->size_bytes - 10 - length) {
        pri_tensor_free(*out);
        *out = NULL;
        return pri_fail(npz->ctx, PARE_ERROR_FORMAT, "array has another size than its header says");
    }
    memcpy((*out)->data, bytes->data + 10 + length, size);
    return PARE_OK;
}

pare_status test_npz_read(pri_tensor **out, const test_npz *npz, const char *name)
{
    char member[256];
    pri_bytes bytes = {0};

    *out = NULL;
    snprintf(member, sizeof member, "%s.npy", name);
    const unsigned char *entry = find_entry(npz, member);
    if (entry == NULL)
        return PARE_OK;
    pare_status status = unpack(&bytes, npz, entry);
    if (status == PARE_OK)
        status = parse_npy(out, npz, &bytes);
    pri_bytes_clear(&bytes);
    if (status != PARE_OK)
        pri_note(npz->ctx, "while reading array '%s'", name);
    return status;
}
