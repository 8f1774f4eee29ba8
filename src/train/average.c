/* SPDX-License-Identifier: Apache-2.0 */
/* average.c - see average.h. */
#include "train/average.h"

#include <math.h>

pare_status pri_average_open(pri_average *out, pare_context *ctx, const pri_state *state,
                             double decay)
{
    *out = (pri_average){.decay = decay};
    if (decay <= 0)
        return PARE_OK;
    out->row = pri_alloc(ctx, (size_t)state->total, sizeof *out->row);
    out->raw = pri_alloc(ctx, (size_t)state->total, sizeof *out->raw);
    if (out->row == NULL || out->raw == NULL) {
        pri_average_close(out);
        return PARE_ERROR_MEMORY;
    }
    pri_state_read(state, out->row);
    return PARE_OK;
}

void pri_average_close(pri_average *average)
{
    pri_free(average->row);
    pri_free(average->raw);
    *average = (pri_average){0};
}

void pri_average_step(pri_average *average, const pri_state *state, int64_t step)
{
    if (average->decay <= 0)
        return;
    const double most = (1 + (double)step) / (10 + (double)step);
    const float share = (float)(1 - fmin(average->decay, most));
    for (int k = 0; k < state->n_parts; k++) {
        const pri_state_part *part = &state->parts[k];
        const float *weights = part->value->constant->data;
        float *row = average->row + part->first;
        for (int64_t i = 0; i < part->count; i++)
            row[i] += share * (weights[i] - row[i]);
    }
}

void pri_average_enter(const pri_average *average, const pri_state *state)
{
    if (average->decay <= 0)
        return;
    pri_state_read(state, average->raw);
    pri_state_write(state, average->row);
}

void pri_average_leave(const pri_average *average, const pri_state *state)
{
    if (average->decay > 0)
        pri_state_write(state, average->raw);
}
