/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_jpeg.c - JPEG through libjpeg.
 *
 * libjpeg's own error handler ends the program and its own warnings fill what is missing with gray.
 * Here an error jumps back, and the warnings that mean missing or wrong pixels count as errors.
 */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "data/image.h"

enum { MAX_SCANS = 500 }; /* a progressive file can ask for any number of passes over its pixels */

typedef struct jpeg_job {
    struct jpeg_error_mgr errors; /* first: libjpeg hands its address back */
    jmp_buf back;
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct jpeg;
    pare_context *ctx;
    const char *name;
    const unsigned char *bytes;
    size_t size;
    pri_image *image;
    uint8_t *line; /* one row of CMYK */
    pare_status status;
} jpeg_job;

static void on_error(j_common_ptr jpeg)
{
    jpeg_job *job = (jpeg_job *)jpeg->err;
    char text[JMSG_LENGTH_MAX];

    jpeg->err->format_message(jpeg, text);
    job->status = pri_fail(job->ctx, PARE_ERROR_FORMAT, "cannot decode '%s': %s", job->name, text);
    longjmp(job->back, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
    const int code = jpeg->err->msg_code;

    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER ||
                      code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC))
        on_error(jpeg);
}

static void print_nothing(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void limit_scans(j_common_ptr jpeg)
{
    jpeg_job *job = (jpeg_job *)jpeg->err;

    if (job->jpeg.input_scan_number <= MAX_SCANS)
        return;
    job->status = pri_fail(job->ctx, PARE_ERROR_FORMAT, "cannot decode '%s': more than %d scans",
                           job->name, MAX_SCANS);
    longjmp(job->back, 1);
}

/* Photoshop writes CMYK inverted and says so with an Adobe marker. */
static void cmyk_to_rgb(uint8_t *out, const uint8_t *in, int64_t width, bool is_inverted)
{
    for (int64_t x = 0; x < width; x++, in += 4, out += 3) {
        for (int c = 0; c < 3; c++) {
            const int colour = is_inverted ? in[c] : 255 - in[c];
            const int black = is_inverted ? in[3] : 255 - in[3];
            out[c] = (uint8_t)((colour * black + 127) / 255);
        }
    }
}

static void set_colours(struct jpeg_decompress_struct *jpeg)
{
    if (jpeg->jpeg_color_space == JCS_GRAYSCALE)
        jpeg->out_color_space = JCS_GRAYSCALE;
    else if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK)
        jpeg->out_color_space = JCS_CMYK;
    else
        jpeg->out_color_space = JCS_RGB;
}

static void read_rows(jpeg_job *job)
{
    struct jpeg_decompress_struct *jpeg = &job->jpeg;
    pri_image *image = job->image;

    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *row = image->pixels + (size_t)jpeg->output_scanline * (size_t)image->width *
                                           (size_t)image->channels;
        JSAMPROW to = job->line != NULL ? job->line : row;
        (void)jpeg_read_scanlines(jpeg, &to, 1);
        if (job->line != NULL)
            cmyk_to_rgb(row, job->line, image->width, jpeg->saw_Adobe_marker);
    }
    (void)jpeg_finish_decompress(jpeg);
}

static void decode(jpeg_job *job)
{
    struct jpeg_decompress_struct *jpeg = &job->jpeg;
    pri_image *image = job->image;

    jpeg_create_decompress(jpeg);
    job->progress.progress_monitor = limit_scans;
    jpeg->progress = &job->progress;
    jpeg_mem_src(jpeg, job->bytes, (unsigned long)job->size);
    (void)jpeg_read_header(jpeg, TRUE);
    /* Even a blank image takes a bit for each block of 64 pixels. */
    const uint64_t pixels = (uint64_t)jpeg->image_width * jpeg->image_height;
    if (pixels > PRI_MAX_PIXELS || pixels > 1024 * (uint64_t)job->size) {
        job->status = pri_fail(job->ctx, PARE_ERROR_FORMAT,
                               "cannot decode '%s': the header states %ux%u pixels in %zu bytes",
                               job->name, jpeg->image_width, jpeg->image_height, job->size);
        return;
    }
    set_colours(jpeg);
    (void)jpeg_start_decompress(jpeg);
    image->height = jpeg->output_height;
    image->width = jpeg->output_width;
    image->channels = jpeg->out_color_space == JCS_GRAYSCALE ? 1 : 3;
    image->pixels = pri_alloc(job->ctx, (size_t)pixels, (size_t)image->channels);
    if (jpeg->out_color_space == JCS_CMYK)
        job->line = pri_alloc(job->ctx, (size_t)image->width, 4);
    if (image->pixels == NULL || (jpeg->out_color_space == JCS_CMYK && job->line == NULL)) {
        job->status = PARE_ERROR_MEMORY;
        return;
    }
    read_rows(job);
}

static void decode_guarded(jpeg_job *job)
{
    if (setjmp(job->back) == 0)
        decode(job);
}

pare_status pri_jpeg_decode(pri_image *out, pare_context *ctx, const unsigned char *bytes,
                            size_t size_bytes, const char *name)
{
    jpeg_job job;

    memset(&job, 0, sizeof job);
    *out = (pri_image){0};
    job.ctx = ctx;
    job.name = name;
    job.bytes = bytes;
    job.size = size_bytes;
    job.image = out;
    job.jpeg.err = jpeg_std_error(&job.errors);
    job.errors.error_exit = on_error;
    job.errors.emit_message = on_message;
    job.errors.output_message = print_nothing;
    decode_guarded(&job);
    jpeg_destroy_decompress(&job.jpeg);
    pri_free(job.line);
    if (job.status != PARE_OK)
        pri_image_clear(out);
    return job.status;
}
