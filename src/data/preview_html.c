/* SPDX-License-Identifier: Apache-2.0 */
/* preview_html.c - a contact sheet as one page without scripts, images inside as data. */
#include <string.h>

#include "data/preview.h"

static const char style[] =
    "body{font:14px sans-serif;margin:1em;background:#fff;color:#222}"
    "main{display:flex;flex-wrap:wrap;gap:10px}figure{margin:0}"
    "img{display:inline-block;image-rendering:pixelated;margin-right:1px}"
    "figcaption{max-width:18em;overflow-wrap:anywhere}"
    "ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:4px 14px}"
    "i{display:inline-block;width:1em;height:1em;margin-right:.4em;vertical-align:-.1em;"
    "border:1px solid #888}";

static void add_base64(pri_text *out, const unsigned char *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < size; i += 3) {
        const size_t n = size - i < 3 ? size - i : 3;
        const unsigned bits = (unsigned)bytes[i] << 16 | (n > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                              (n > 2 ? bytes[i + 2] : 0);
        const char four[5] = {digits[bits >> 18], digits[bits >> 12 & 63],
                              n > 1 ? digits[bits >> 6 & 63] : '=', n > 2 ? digits[bits & 63] : '=',
                              '\0'};
        pri_text_add(out, four);
    }
}

static pare_status add_image(pri_text *out, const pri_sheet *s, int64_t n, bool with_mask)
{
    pri_sheet small = *s;
    pri_image image = {.height = s->data->height, .width = s->data->width, .channels = 3};
    unsigned char *png = NULL;
    size_t size = 0;

    small.zoom = 1; /* the browser enlarges */
    image.pixels = pri_alloc(s->ctx, (size_t)(image.height * image.width), 3);
    if (image.pixels == NULL)
        return PARE_ERROR_MEMORY;
    pri_sheet_draw(image.pixels, image.width, &small, n, with_mask);
    const pare_status status = pri_png_encode(&png, &size, s->ctx, &image, NULL, 0);
    pri_image_clear(&image);
    PRI_TRY(status);
    pri_text_addf(out,
                  "<img alt=\"%s\" width=\"%lld\" height=\"%lld\" src=\"data:image/png;base64,",
                  with_mask ? "mask" : "image", (long long)(s->data->width * s->zoom),
                  (long long)(s->data->height * s->zoom));
    add_base64(out, png, size);
    pri_text_add(out, "\">");
    pri_free(png);
    return PARE_OK;
}

static void add_class(pri_text *out, const pri_sheet *s, int32_t label)
{
    const char *name = pare_data_class_name(s->data, label);

    pri_text_addf(out, "%d", (int)label);
    if (name == NULL)
        return;
    pri_text_add(out, " ");
    pri_text_add_html(out, name);
}

static void add_caption(pri_text *out, const pri_sheet *s, int64_t n)
{
    const int32_t label = s->batch.labels[n], other = s->batch.labels2[n];
    const float share = s->batch.weights[n];

    pri_text_addf(out, "<figcaption>#%lld", (long long)s->order[n]);
    if (label >= 0) {
        pri_text_add(out, ": ");
        add_class(out, s, label);
    }
    if (other >= 0 && share < 1) {
        pri_text_addf(out, " %.0f %%, ", 100 * (double)share);
        add_class(out, s, other);
        pri_text_addf(out, " %.0f %%", 100 * (1 - (double)share));
    }
    pri_text_add(out, "</figcaption>");
}

static void add_legend(pri_text *out, const pri_sheet *s)
{
    pri_text_add(out, "<ul>\n");
    for (int k = 1; k < pare_data_mask_classes(s->data); k++) {
        const char *name = pare_data_mask_class_name(s->data, k);
        uint8_t rgb[3];
        pri_class_colour(rgb, k);
        pri_text_addf(out, "<li><i style=\"background:#%02x%02x%02x\"></i>%d ", rgb[0], rgb[1],
                      rgb[2], k);
        pri_text_add_html(out, name != NULL ? name : "");
        pri_text_add(out, "</li>\n");
    }
    pri_text_add(out, "<li><i style=\"background:#fff\"></i>ignored</li>\n</ul>\n");
}

pare_status pri_sheet_html(pri_text *out, const pri_sheet *s)
{
    pri_text_addf(out,
                  "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                  "<title>images</title><style>%s</style></head><body>\n",
                  style);
    pri_text_addf(out, "<p>%lld of %lld images of %lld &times; %lld pixels</p>\n",
                  (long long)s->count, (long long)s->data->count, (long long)s->data->height,
                  (long long)s->data->width);
    if (s->batch.masks != NULL)
        add_legend(out, s);
    pri_text_add(out, "<main>\n");
    for (int64_t n = 0; n < s->count; n++) {
        pri_text_add(out, "<figure>");
        PRI_TRY(add_image(out, s, n, false));
        if (s->batch.masks != NULL)
            PRI_TRY(add_image(out, s, n, true));
        add_caption(out, s, n);
        pri_text_add(out, "</figure>\n");
    }
    pri_text_add(out, "</main>\n</body></html>\n");
    return PARE_OK;
}
