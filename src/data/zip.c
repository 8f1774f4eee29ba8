/* SPDX-License-Identifier: Apache-2.0 */
/* zip.c - members of a zip file, through its central directory. */
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

#include "data/archive.h"

enum { END_BYTES = 22, ENTRY_BYTES = 46, LOCAL_BYTES = 30, MAX_COMMENT = 65535 };
enum { STORED = 0, DEFLATED = 8, DEFLATE_LIMIT = 1032 };
static const uint64_t max_member = UINT64_C(1) << 31, zip64 = UINT64_C(0xffffffff);

/* The record at the end of the file, or NULL. */
static const unsigned char *find_end(const unsigned char *bytes, size_t size)
{
    for (size_t back = END_BYTES; back <= size && back <= END_BYTES + MAX_COMMENT; back++) {
        if (memcmp(bytes + size - back, "PK\5\6", 4) == 0)
            return bytes + size - back;
    }
    return NULL;
}

static pare_status read_entry(pri_member *out, pare_context *ctx, const unsigned char *entry,
                              size_t left, const char *name)
{
    if (left < ENTRY_BYTES || memcmp(entry, "PK\1\2", 4) != 0 ||
        ENTRY_BYTES + pri_little(entry + 28, 2) > left)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' has a damaged directory", name);
    *out = (pri_member){.method = (int)pri_little(entry + 10, 2),
                        .packed = pri_little(entry + 20, 4),
                        .size = pri_little(entry + 24, 4),
                        .offset = pri_little(entry + 42, 4)};
    if (out->packed == zip64 || out->size == zip64 || out->offset == zip64)
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                        "'%s' holds a member of more than 4 GB; save its arrays as .npy files",
                        name);
    if ((pri_little(entry + 8, 2) & 1) != 0 || (out->method != STORED && out->method != DEFLATED))
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                        "'%s' is encrypted or packed in a way pare does not know", name);
    const size_t length = (size_t)pri_little(entry + 28, 2);
    out->name = pri_alloc(ctx, length + 1, 1);
    if (out->name == NULL)
        return PARE_ERROR_MEMORY;
    memcpy(out->name, entry + ENTRY_BYTES, length);
    return PARE_OK;
}

pare_status pri_members_list(pri_member **out, int64_t *count, pare_context *ctx,
                             const unsigned char *bytes, size_t size_bytes, const char *name)
{
    const unsigned char *end = find_end(bytes, size_bytes);

    *out = NULL;
    *count = 0;
    if (end == NULL || pri_little(end + 16, 4) > size_bytes)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' is no zip file, or truncated", name);
    const uint64_t total = pri_little(end + 10, 2);
    size_t at = (size_t)pri_little(end + 16, 4);
    *out = pri_alloc(ctx, (size_t)total, sizeof **out);
    if (*out == NULL)
        return PARE_ERROR_MEMORY;
    uint64_t packed = 0;
    for (uint64_t i = 0; i < total; i++) {
        PRI_TRY(read_entry(&(*out)[i], ctx, bytes + at, size_bytes - at, name));
        *count += 1;
        packed += (*out)[i].packed;
        if (packed > size_bytes) /* else a small file could unpack to anything */
            return pri_fail(ctx, PARE_ERROR_FORMAT, "'%s' has members that overlap", name);
        const unsigned char *lengths = bytes + at + 28; /* of name, extra field and comment */
        at += (size_t)(ENTRY_BYTES + pri_little(lengths, 2) + pri_little(lengths + 2, 2) +
                       pri_little(lengths + 4, 2));
        at = at < size_bytes ? at : size_bytes;
    }
    return PARE_OK;
}

void pri_members_free(pri_member *members, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        pri_free(members[i].name);
    pri_free(members);
}

static bool inflate_all(unsigned char *to, uint64_t to_bytes, const unsigned char *from,
                        uint64_t from_bytes)
{
    z_stream stream = {
        .next_in = from, .avail_in = (uInt)from_bytes, .next_out = to, .avail_out = (uInt)to_bytes};

    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return false;
    const bool is_whole = inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0;
    inflateEnd(&stream);
    return is_whole;
}

/* Where the packed bytes begin, 0 when they do not lie within the file. */
static uint64_t find_packed(const unsigned char *bytes, size_t size, const pri_member *m)
{
    if (m->offset + LOCAL_BYTES > size || memcmp(bytes + m->offset, "PK\3\4", 4) != 0)
        return 0;
    const uint64_t at = m->offset + LOCAL_BYTES + pri_little(bytes + m->offset + 26, 2) +
                        pri_little(bytes + m->offset + 28, 2);
    return at + m->packed <= size ? at : 0;
}

pare_status pri_member_read(unsigned char **out, pare_context *ctx, const unsigned char *bytes,
                            size_t size_bytes, const pri_member *member)
{
    const uint64_t at = find_packed(bytes, size_bytes, member);
    bool is_whole = at > 0 && member->size < max_member && member->packed < max_member &&
                    (member->method == STORED ? member->size == member->packed
                                              : member->size <= DEFLATE_LIMIT * member->packed);

    *out = NULL;
    if (is_whole) {
        *out = pri_alloc(ctx, (size_t)member->size, 1);
        if (*out == NULL)
            return PARE_ERROR_MEMORY;
        if (member->method == STORED)
            memcpy(*out, bytes + at, (size_t)member->size);
        else
            is_whole = inflate_all(*out, member->size, bytes + at, member->packed);
    }
    if (is_whole)
        return PARE_OK;
    pri_free(*out);
    *out = NULL;
    return pri_fail(ctx, PARE_ERROR_FORMAT, "member '%s' is damaged, truncated or above 2 GB",
                    member->name);
}
