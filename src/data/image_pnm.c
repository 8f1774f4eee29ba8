/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_pnm.c - binary PGM (P5) and PPM (P6).
 *
 * Values are scaled so that the stated maximum becomes 255; a mask keeps them as they are.
 */
#include <string.h>

#include "data/image.h"

typedef struct pnm_reader {
    const unsigned char *at, *end;
} pnm_reader;

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A number of the header, after spaces and comments; -1: there is none, or it is too large. */
static int64_t read_number(pnm_reader *r)
{
    int64_t value = 0;
    int digits = 0;

    while (r->at < r->end && (is_space(*r->at) || *r->at == '#')) {
        const bool is_comment = *r->at == '#';
        while (is_comment && r->at < r->end && *r->at != '\n')
            r->at++;
        if (r->at < r->end)
            r->at++;
    }
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9' && digits < 8; digits++)
        value = 10 * value + (*r->at++ - '0');
    return digits > 0 && digits < 8 ? value : -1;
}

static void copy_samples(uint8_t *out, const unsigned char *in, int64_t count, int64_t max,
                         bool as_values)
{
    const int bytes = max > 255 ? 2 : 1;

    for (int64_t i = 0; i < count; i++, in += bytes) {
        int64_t value = bytes == 2 ? in[0] << 8 | in[1] : in[0];
        value = pri_min_i64(value, max);
        out[i] = (uint8_t)(as_values ? value : (value * 255 + max / 2) / max);
    }
}

pare_status pri_pnm_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                           size_t size_bytes, bool as_values, const char *name)
{
    pnm_reader r = {.at = bytes + 2, .end = bytes + size_bytes};
    const int channels = bytes[1] == '6' ? 3 : 1;

    *out = (pri_image){0};
    const int64_t width = read_number(&r), height = read_number(&r), max = read_number(&r);
    if (width <= 0 || height <= 0 || max <= 0 || max > 65535 || width > PRI_MAX_SIDE ||
        height > PRI_MAX_PIXELS / width || r.at == r.end || !is_space(*r.at))
        return pri_fail(ctx, PARE_ERROR_FORMAT, "cannot decode '%s': no header of a PGM or PPM",
                        name);
    r.at++;
    const int64_t samples = height * width * channels;
    if (as_values && (channels != 1 || max > 255))
        return pri_fail(ctx, PARE_ERROR_FORMAT,
                        "cannot decode '%s': a mask is gray with at most 8 bits a pixel", name);
    if (samples * (max > 255 ? 2 : 1) > r.end - r.at)
        return pri_fail(ctx, PARE_ERROR_FORMAT, "cannot decode '%s': the file is truncated", name);
    out->pixels = pri_alloc(ctx, (size_t)samples, 1);
    if (out->pixels == NULL)
        return PARE_ERROR_MEMORY;
    out->height = height;
    out->width = width;
    out->channels = channels;
    copy_samples(out->pixels, r.at, samples, max, as_values);
    return PARE_OK;
}
