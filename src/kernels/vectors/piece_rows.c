/* SPDX-License-Identifier: Apache-2.0 */
/* piece_rows.c - see piece_rows.h. */
#include "kernels/vectors/piece_rows.h"

#include "kernels/vectors/vector.h"

PRI_INLINE void move_rows(const pri_piece_rows *c, bool to_narrow, bool from_narrow)
{
    for (int64_t i = 0; i < c->rows; i++) {
        void *to = c->to + i * c->to_step;
        const void *from = c->from + i * c->from_step;
        for (int64_t at = 0; at < c->count; at += PRI_LANES) {
            const pri_lane_set lanes = pri_lanes_of(c->count, at);
            pri_vec v = pri_load(from, from_narrow, at, lanes);
            if (c->add)
                v = pri_load(to, to_narrow, at, lanes) + v;
            pri_store(to, to_narrow, at, lanes, v);
        }
    }
}

static void move(const pri_piece_rows *c)
{
    const bool to_narrow = pri_is_narrow(c->to_type), from_narrow = pri_is_narrow(c->from_type);

    if (to_narrow && from_narrow)
        move_rows(c, true, true);
    else if (to_narrow)
        move_rows(c, true, false);
    else if (from_narrow)
        move_rows(c, false, true);
    else
        move_rows(c, false, false);
}

PRI_DEFINE_TABLE(pri_piece_moves) = {move};
