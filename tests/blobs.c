/* SPDX-License-Identifier: Apache-2.0 */
/* blobs.c - see blobs.h. */
#include "blobs.h"

#include <math.h>

#include "base/random.h"
#include "data/data.h"
#include "engine/engine.h"

pare_data *test_blobs(pare_context *ctx, int64_t count, uint64_t seed)
{
    pare_data *data = pri_alloc(ctx, 1, sizeof *data);
    enum { SIZE = 16 };

    assert_non_null(data);
    *data = (pare_data){
        .ctx = ctx, .count = count, .channels = 1, .height = SIZE, .width = SIZE, .classes = 4};
    data->pixels = pri_alloc(ctx, (size_t)count, SIZE * SIZE);
    data->labels = pri_alloc(ctx, (size_t)count, sizeof(int32_t));
    assert_true(data->pixels != NULL && data->labels != NULL);
    for (int64_t n = 0; n < count; n++) {
        const int label = (int)(n % 4);
        data->labels[n] = label;
        for (int i = 0; i < SIZE * SIZE; i++) {
            const double dy = i / SIZE - (label / 2 ? 11 : 4), dx = i % SIZE - (label % 2 ? 11 : 4);
            const double noise =
                30 * pri_random_normal(seed, PRI_STREAM_TEST, (uint64_t)(n * SIZE * SIZE + i));
            data->pixels[n * SIZE * SIZE + i] =
                (uint8_t)fmin(255, fmax(0, 60 + 150 * exp(-(dx * dx + dy * dy) / 20) + noise));
        }
    }
    return data;
}

pare_model *test_network(pare_context *ctx, const char *name)
{
    pare_model *model = NULL;

    test_ok(ctx, pare_model_new(&model, ctx, name, 4, 1, 16, 16, 3));
    return model;
}

double test_output_error(pare_context *ctx, pare_model *a, pare_model *b, const pare_data *data)
{
    pare_model *models[2] = {a, b};
    pri_engine *engines[2];
    double sum = 0;

    for (int k = 0; k < 2; k++) {
        pri_preprocess preprocess;
        int64_t order[64];
        test_ok(ctx, pri_engine_new(&engines[k], models[k], &(pri_engine_options){.batch = 64}));
        test_ok(ctx, pri_preprocess_of(&preprocess, models[k]));
        for (int i = 0; i < 64; i++)
            order[i] = i;
        pri_data_batch(data, &preprocess, order, 64, NULL, 0, pri_engine_input(engines[k], 0), NULL,
                       NULL);
        test_ok(ctx, pri_engine_forward(engines[k]));
    }
    const pri_shape shape = pri_engine_output_shape(engines[0], 0);
    for (int64_t i = 0; i < pri_shape_count(&shape); i++) {
        const double d = pri_engine_output(engines[0], 0)[i] - pri_engine_output(engines[1], 0)[i];
        sum += d * d;
    }
    pri_engine_free(engines[0]);
    pri_engine_free(engines[1]);
    return sum / (double)pri_shape_count(&shape);
}

double test_achieved(const pare_prune_result *r, pare_quantity quantity)
{
    switch (quantity) {
    case PARE_MACS: return (double)r->after.macs / (double)r->before.macs;
    case PARE_PARAMETERS: return (double)r->after.parameters / (double)r->before.parameters;
    case PARE_BYTES: return (double)r->after.bytes / (double)r->before.bytes;
    case PARE_CHANNELS: break;
    }
    return 1 - (double)r->removed / (double)r->units;
}
