/* SPDX-License-Identifier: Apache-2.0 */
/* train_nets.c - see train_nets.h. */
#include "train_nets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/random.h"

pri_value *train_weight(pri_graph *graph, const char *name, int rank, const int64_t *dims,
                        double mean, double deviation)
{
    const pri_shape shape = pri_shape_of(rank, dims);
    pri_tensor *tensor = NULL;

    test_ok(graph->ctx, pri_tensor_new(&tensor, graph->ctx, PRI_F32, &shape));
    for (int64_t i = 0; i < pri_tensor_count(tensor); i++)
        ((float *)tensor->data)[i] =
            (float)(mean + deviation * pri_random_normal(strlen(name) + (uint64_t)name[0],
                                                         PRI_STREAM_TEST, (uint64_t)i));
    pri_value *value = pri_graph_add_constant(graph, name, tensor);
    assert_non_null(value);
    return value;
}

pri_value *train_node(pri_graph *graph, const char *type, int n, pri_value *const *inputs,
                      const char *output)
{
    pri_value *out = pri_graph_add_value(graph, output);

    assert_non_null(out);
    assert_non_null(pri_graph_add_node(graph, type, output, n, inputs, 1, &out));
    return out;
}

pri_value *train_convolution(pri_graph *graph, pri_value *x, const char *name, int64_t in,
                             int64_t out)
{
    pri_value *inputs[] = {x, train_weight(graph, name, 4, (const int64_t[]){out, in, 3, 3}, 0,
                                           sqrt(2.0 / (9.0 * (double)in)))};
    char text[32];

    snprintf(text, sizeof text, "%s_y", name);
    pri_value *y = train_node(graph, "Conv", 2, inputs, text);
    test_ok(graph->ctx,
            pri_node_set_ints(graph, y->producer, "pads", (const int64_t[]){1, 1, 1, 1}, 4));
    return y;
}

pri_value *train_normalise(pri_graph *graph, pri_value *x, const char *name, int64_t channels,
                           pri_value *mean, pri_value *variance)
{
    char names[6][40];
    static const char *const ends[] = {"gamma", "beta", "mean", "variance", "bn", "relu"};

    for (int k = 0; k < 6; k++)
        snprintf(names[k], sizeof names[k], "%s_%s", name, ends[k]);
    pri_value *inputs[] = {x, train_weight(graph, names[0], 1, &channels, 1, 0),
                           train_weight(graph, names[1], 1, &channels, 0, 0),
                           mean != NULL ? mean : train_weight(graph, names[2], 1, &channels, 0, 0),
                           variance != NULL ? variance
                                            : train_weight(graph, names[3], 1, &channels, 1, 0)};
    pri_value *y = train_node(graph, "BatchNormalization", 5, inputs, names[4]);
    return train_node(graph, "Relu", 1, &y, names[5]);
}

pri_graph *train_graph(pare_context *ctx, pri_value **x)
{
    const pri_shape shape = {4, {PRI_DYNAMIC, 3, SIZE, SIZE}};
    pri_graph *graph = NULL;

    test_ok(ctx, pri_graph_new(&graph, ctx));
    graph->opset = 13;
    graph->ir_version = 7;
    *x = pri_graph_add_value(graph, "x");
    test_ok(ctx, pri_graph_add_input(graph, *x, PRI_F32, &shape));
    return graph;
}

pare_model *train_finish(pri_graph *graph, pri_value *output, int rank, int64_t classes)
{
    const pri_shape shape = {rank, {PRI_DYNAMIC, classes, SIZE, SIZE}};
    pare_model *model = NULL;
    pare_context *ctx = graph->ctx;

    test_ok(ctx, pri_graph_add_output(graph, output, PRI_F32, &shape));
    test_ok(ctx, pri_graph_sort(graph));
    test_ok(ctx, pri_model_from_graph(&model, graph));
    return model;
}

/* conv - bn - relu, twice, then mean, Gemm and perhaps Softmax. With `shared`, both normalisations
 * read the same statistics through Identity nodes, as exporters write them. */
pare_model *train_network(pare_context *ctx, int64_t channels, bool softmax, bool shared)
{
    pri_value *x;
    pri_graph *graph = train_graph(ctx, &x);
    pri_value *mean = NULL, *variance = NULL, *of_first[2] = {NULL, NULL};

    if (shared) {
        mean = train_weight(graph, "mean", 1, &channels, 0, 0);
        variance = train_weight(graph, "variance", 1, &channels, 1, 0);
        of_first[0] = train_node(graph, "Identity", 1, &mean, "mean_1");
        of_first[1] = train_node(graph, "Identity", 1, &variance, "variance_1");
    }
    x = train_convolution(graph, x, "conv1", 3, channels);
    x = train_normalise(graph, x, "conv1", channels, of_first[0], of_first[1]);
    x = train_convolution(graph, x, "conv2", channels, channels);
    x = train_normalise(graph, x, "conv2", channels, mean, variance);
    x = train_node(graph, "GlobalAveragePool", 1, &x, "pooled");
    x = train_node(graph, "Flatten", 1, &x, "flat");
    pri_value *inputs[] = {
        x, train_weight(graph, "fc", 2, (const int64_t[]){channels, CLASSES}, 0, 0.3),
        train_weight(graph, "fc_bias", 1, (const int64_t[]){CLASSES}, 0, 0)};
    x = train_node(graph, "Gemm", 3, inputs, "logits");
    if (softmax)
        x = train_node(graph, "Softmax", 1, &x, "probabilities");
    return train_finish(graph, x, 2, CLASSES);
}

/* Class k: a quarter of the image in a colour of its own; the mask marks it. */
pare_data *train_images(pare_context *ctx, int64_t count, uint64_t seed, bool masks)
{
    pare_data *data = pri_alloc(ctx, 1, sizeof *data);
    const int64_t area = SIZE * SIZE;

    assert_non_null(data);
    *data = (pare_data){.ctx = ctx,
                        .count = count,
                        .channels = 3,
                        .height = SIZE,
                        .width = SIZE,
                        .classes = CLASSES,
                        .mask_classes = masks ? 2 : 0};
    data->pixels = pri_alloc(ctx, (size_t)(count * area), 3);
    data->labels = pri_alloc(ctx, (size_t)count, sizeof(int32_t));
    data->masks = masks ? pri_alloc(ctx, (size_t)(count * area), 1) : NULL;
    for (int64_t n = 0; n < count; n++) {
        const int label = (int)(n % CLASSES);
        data->labels[n] = label;
        for (int64_t p = 0; p < area; p++) {
            const bool is_in =
                (p / SIZE < SIZE / 2) == (label < 2) && (p % SIZE < SIZE / 2) == (label % 2 == 0);
            if (masks)
                data->masks[n * area + p] = is_in;
            for (int64_t c = 0; c < 3; c++)
                data->pixels[(n * area + p) * 3 + c] =
                    (uint8_t)((is_in ? 60 + 120 * (label == c || label == 3) : 20) +
                              pri_random_below(40, seed, PRI_STREAM_TEST,
                                               (uint64_t)((n * area + p) * 3 + c)));
        }
    }
    return data;
}

void assert_same_weights(const pare_model *a, const pare_model *b, bool same)
{
    bool equal = true;

    assert_int_equal(a->graph->n_values, b->graph->n_values);
    for (int i = 0; i < a->graph->n_values; i++) {
        const pri_tensor *x = a->graph->values[i]->constant, *y = b->graph->values[i]->constant;
        if (x == NULL || x->dtype != PRI_F32)
            continue;
        equal = equal && memcmp(x->data, y->data, (size_t)pri_tensor_count(x) * sizeof(float)) == 0;
    }
    assert_int_equal(equal, same);
}

void train_on_epoch(void *user, const pare_epoch *epoch)
{
    train_watch *w = user;

    if (w->epochs++ == 0)
        w->first_loss = epoch->loss;
    w->last_loss = epoch->loss;
    if (epoch->epoch == 1 && w->copy_from != NULL) {
        pri_bytes bytes = {0};
        test_ok(w->ctx, pri_file_read(&bytes, w->ctx, w->copy_from));
        test_ok(w->ctx, pri_file_write(w->ctx, w->copy_to, bytes.data, bytes.size_bytes, false));
        pri_bytes_clear(&bytes);
    }
}

const pare_train_options train_basic = {.epochs = 4,
                                        .batch = 16,
                                        .learning_rate = 0.05,
                                        .warmup = 0.5,
                                        .label_smoothing = 0.05,
                                        .clip_norm = 2,
                                        .augment = {.flip = false, .crop = 1},
                                        .seed = 3};

/* Trains a fresh small network; the caller frees model and (through it) nothing else. */
pare_model *train_small_run(pare_context *ctx, const pare_train_options *options,
                            pare_status *status)
{
    pare_model *model = train_network(ctx, 6, false, false);
    pare_data *train = train_images(ctx, IMAGES, 1, false);
    pare_data *val = train_images(ctx, 32, 2, false);
    const pare_status got = pare_train(model, train, val, options, NULL);

    if (status == NULL)
        test_ok(ctx, got);
    else
        *status = got;
    pare_data_free(train);
    pare_data_free(val);
    return model;
}

void train_assert_refused(pare_context *ctx, const pare_train_options *options,
                          pare_status expected, const char *word)
{
    pare_status status;
    pare_model *model = train_small_run(ctx, options, &status);

    assert_int_equal(status, expected);
    assert_non_null(strstr(pare_context_message(ctx), word));
    pare_model_free(model);
}
