/* SPDX-License-Identifier: Apache-2.0 */
/* preview.h - the images of a contact sheet, as training sees them. */
#ifndef PRI_PREVIEW_H
#define PRI_PREVIEW_H

#include "base/text.h"
#include "data/batch.h"

typedef struct pri_sheet {
    pare_context *ctx;
    const pare_data *data;
    int64_t count;
    int64_t zoom;    /* output pixels of a pixel, at least 1 */
    uint8_t *pixels; /* count x height x width x 3 */
    pri_batch batch; /* labels, weights, masks of the same; images as floats */
    int64_t *order;
} pri_sheet;

enum { PRI_PREVIEW_SHADE = 153 }; /* of 255: how much of a mask's colour covers the image */

/* Image `n`, enlarged, into `out` of `row` pixels a line; with its mask over it if asked. */
void pri_sheet_draw(uint8_t *out, int64_t row, const pri_sheet *sheet, int64_t n, bool with_mask);
pare_status pri_sheet_html(pri_text *out, const pri_sheet *sheet);

#endif
