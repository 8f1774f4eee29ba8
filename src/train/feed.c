/* SPDX-License-Identifier: Apache-2.0 */
/* feed.c - which images the steps of an epoch take. */
#include "base/random.h"
#include "train/trainer.h"

/* Images of a step; their changes are those of the epoch. */
static uint64_t plan_step(void *user, int64_t step, int64_t *order)
{
    const pri_trainer *t = user;

    for (int64_t i = 0; i < t->batch; i++)
        order[i] = t->permutation[(step * t->batch + i) % t->in_use];
    return t->epoch_seed;
}

static pare_status order_images(pri_trainer *t)
{
    const int64_t epoch = t->position.epoch;
    const uint64_t stream = PRI_STREAM_SHUFFLE + ((uint64_t)epoch << 32);

    pri_random_permutation(t->permutation, t->train->count, t->options.seed, stream);
    t->in_use = t->train->count;
    if (t->options.trim > 0 && epoch == t->options.trim_after && t->position.step == 0)
        PRI_TRY(pri_noise_trim(&t->noise, t->ctx, t->options.trim));
    if (t->noise.dropped > 0)
        t->in_use = pri_noise_filter(&t->noise, t->permutation, t->in_use);
    return PARE_OK;
}

pare_status pri_trainer_feed(pri_trainer *t)
{
    const pri_prefetch_options options = {.data = t->train,
                                          .preprocess = &t->view.preprocess,
                                          .augment = &t->options.augment,
                                          .batch = t->batch,
                                          .first = t->position.step,
                                          .count = t->steps,
                                          .plan = plan_step,
                                          .user = t,
                                          .wants_truth = true};

    PRI_TRY(order_images(t));
    t->epoch_seed =
        pri_random_bits(t->options.seed, PRI_STREAM_AUGMENT, (uint64_t)t->position.epoch);
    return pri_prefetch_open(&t->prefetch, t->ctx, &options);
}
