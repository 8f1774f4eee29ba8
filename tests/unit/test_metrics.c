/* SPDX-License-Identifier: Apache-2.0 */
/* test_metrics.c - scores against counts made by hand, on networks that pass pixels through. */
#include "build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pare/pare.h>

#include "data/data.h"
#include "metrics/score_heads.h"
#include "model/model.h"

#define assert_near(a, b) assert_true(fabs((a) - (b)) < 1e-6)

/* --- Networks whose outputs are the pixels of the image --- */

typedef struct passing {
    int64_t input[4];
    const char *class_op;  /* operator that gives the class head, or NULL */
    const char *mask_op;   /* the same of the mask head */
    const char *first_op;  /* run before both, or NULL */
    int64_t fixed_classes; /* not 0: the class head is a Reshape to 1 x this */
} passing;

static pri_value *append(pri_graph *graph, const char *op, pri_value *from, pri_value *second)
{
    pri_value *out = pri_graph_add_value(graph, "");
    pri_value *inputs[2] = {from, second};

    assert_non_null(out);
    assert_non_null(pri_graph_add_node(graph, op, op, second != NULL ? 2 : 1, inputs, 1, &out));
    return out;
}

static pri_value *shape_constant(pri_graph *graph, int64_t classes)
{
    const int64_t two = 2;
    const pri_shape shape = pri_shape_of(1, &two);
    pri_tensor *tensor = NULL;

    test_ok(graph->ctx, pri_tensor_new(&tensor, graph->ctx, PRI_I64, &shape));
    ((int64_t *)tensor->data)[0] = 1;
    ((int64_t *)tensor->data)[1] = classes;
    return pri_graph_add_constant(graph, "shape", tensor);
}

static pare_model *make_model(pare_context *ctx, passing p)
{
    const pri_shape shape = pri_shape_of(4, p.input);
    pri_graph *graph = NULL;
    pare_model *model = NULL;

    test_ok(ctx, pri_graph_new(&graph, ctx));
    graph->opset = 13;
    graph->ir_version = 7;
    pri_value *x = pri_graph_add_value(graph, "x");
    test_ok(ctx, pri_graph_add_input(graph, x, PRI_F32, &shape));
    if (p.first_op != NULL)
        x = append(graph, p.first_op, x, NULL);
    if (p.mask_op != NULL)
        test_ok(ctx, pri_graph_add_output(graph, append(graph, p.mask_op, x, NULL), PRI_F32, NULL));
    if (p.class_op != NULL) {
        pri_value *second = p.fixed_classes != 0 ? shape_constant(graph, p.fixed_classes) : NULL;
        test_ok(ctx,
                pri_graph_add_output(graph, append(graph, p.class_op, x, second), PRI_F32, NULL));
    }
    test_ok(ctx, pri_model_from_graph(&model, graph));
    test_ok(ctx, pare_model_set_preprocess(model, "none"));
    return model;
}

/* Six images of three classes. Pixels are logits: 2 at the class that is said, 0 elsewhere. */
static uint8_t three_pixels[6 * 3] = {2, 0, 0, 2, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 2, 0, 0, 2};
static int32_t three_labels[6] = {0, 0, 0, 1, 1, 2};

static pare_data three_classes(pare_context *ctx)
{
    return (pare_data){.ctx = ctx,
                       .count = 6,
                       .channels = 1,
                       .height = 1,
                       .width = 3,
                       .classes = 3,
                       .pixels = three_pixels,
                       .labels = three_labels};
}

static const passing class_model = {.input = {-1, 1, 1, 3}, .class_op = "Flatten"};

static void class_scores_are_those_counted_by_hand(void **state)
{
    /* said 0 0 1 1 2 2 where 0 0 0 1 1 2 is true */
    static const pare_class_scores expected[3] = {
        {3, 1, 2. / 3, 0.8, 2. / 3}, {2, 0.5, 0.5, 0.5, 1. / 3}, {1, 0.5, 1, 2. / 3, 0.5}};
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, class_model);
    const pare_data data = three_classes(ctx);
    pare_scores s;

    (void)state;
    test_ok(ctx, pare_evaluate(&s, model, &data));
    assert_int_equal(s.count, 6);
    assert_int_equal(s.classes, 3);
    assert_int_equal(s.mask_classes, 0);
    assert_near(s.accuracy, 4. / 6);
    assert_near(s.top5, 1);
    assert_near(s.nll, log(exp(2) + 2) - 2 * 4. / 6);
    assert_near(s.precision_macro, 2. / 3);
    assert_near(s.recall_macro, (2. / 3 + 0.5 + 1) / 3);
    assert_near(s.f1_macro, (0.8 + 0.5 + 2. / 3) / 3);
    for (int k = 0; k < 3; k++) {
        assert_int_equal(s.per_class[k].support, expected[k].support);
        assert_near(s.per_class[k].precision, expected[k].precision);
        assert_near(s.per_class[k].recall, expected[k].recall);
        assert_near(s.per_class[k].f1, expected[k].f1);
        assert_near(s.per_class[k].iou, expected[k].iou);
    }
    assert_int_equal(s.predicted[2], 1);
    pare_scores_clear(&s);
    assert_null(s.per_class);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void classes_that_do_not_occur_are_left_out_of_means(void **state)
{
    int32_t labels[6] = {0, 0, 0, 1, 1, 0}; /* class 2 is said twice and never true */
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, class_model);
    pare_data data = three_classes(ctx);
    pare_scores s;

    (void)state;
    data.labels = labels;
    data.classes = 2;
    test_ok(ctx, pare_evaluate(&s, model, &data));
    assert_near(s.recall_macro, (2. / 4 + 1. / 2) / 2);
    assert_near(s.precision_macro, (1 + 0.5) / 2);
    assert_int_equal(s.per_class[2].support, 0);
    assert_near(s.per_class[2].f1, 0);
    pare_scores_clear(&s);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void of_equal_outputs_the_first_is_said(void **state)
{
    const float equal[7] = {1, 1, 1, 1, 1, 1, 1}, nan_row[3] = {0, NAN, 1};
    const pri_score_head seven = {.classes = 7}, three = {.classes = 3};

    (void)state;
    assert_int_equal(pri_score_row(equal, &seven, 4).predicted, 0);
    assert_int_equal(pri_score_row(equal, &seven, 4).rank, 4); /* among the first five */
    assert_int_equal(pri_score_row(equal, &seven, 5).rank, 5); /* no more */
    assert_near(pri_score_row(equal, &seven, 5).nll, log(7));
    assert_false(isfinite(pri_score_row(nan_row, &three, 0).nll));
}

static void probabilities_are_not_normalised_again(void **state)
{
    const float p[3] = {0.25f, 0.75f, 0};
    const pri_score_head head = {.classes = 3, .is_probability = true};

    (void)state;
    assert_near(pri_score_row(p, &head, 0).nll, log(4));
    assert_true(isfinite(pri_score_row(p, &head, 2).nll)); /* underflow is not infinity */
}

/* Softmax followed by Flatten must cost what the logits alone cost. */
static void a_softmax_at_the_end_is_recognised(void **state)
{
    pare_context *ctx = test_context();
    pare_data data = three_classes(ctx);
    pare_scores s[2];

    (void)state;
    if (pri_op_find("", "Softmax", 13) == NULL) {
        print_message("skipped: no operator Softmax\n");
        pare_context_free(ctx);
        skip();
    }
    for (int k = 0; k < 2; k++) {
        passing p = class_model;
        p.first_op = k == 1 ? "Softmax" : NULL;
        pare_model *model = make_model(ctx, p);
        test_ok(ctx, pare_evaluate(&s[k], model, &data));
        pare_model_free(model);
    }
    assert_near(s[0].nll, s[1].nll);
    pare_scores_clear(&s[0]);
    pare_scores_clear(&s[1]);
    pare_context_free(ctx);
}

static void a_class_offset_moves_labels_behind_a_background_class(void **state)
{
    int32_t labels[6] = {0, 0, 0, 0, 1, 1}; /* said: background twice, 0 twice, 1 twice */
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, class_model);
    pare_data data = three_classes(ctx);
    pare_scores s;

    (void)state;
    data.labels = labels;
    data.classes = 2;
    test_ok(ctx, pare_model_set_metadata(model, PRI_CLASS_OFFSET_KEY, "1"));
    test_ok(ctx, pare_evaluate(&s, model, &data));
    assert_int_equal(s.classes, 2);
    assert_int_equal(s.predicted[0], -1);
    assert_near(s.accuracy, 4. / 6);
    assert_near(s.per_class[0].recall, 0.5);
    assert_near(s.per_class[0].precision, 1);
    pare_scores_clear(&s);
    data.labels = three_labels; /* label 2 would be output 3 */
    data.classes = 3;
    assert_int_equal(pare_evaluate(&s, model, &data), PARE_ERROR_DATA);
    test_ok(ctx, pare_model_set_metadata(model, PRI_CLASS_OFFSET_KEY, "3"));
    assert_int_equal(pare_evaluate(&s, model, &data), PARE_ERROR_ARGUMENT);
    test_ok(ctx, pare_model_set_metadata(model, PRI_CLASS_OFFSET_KEY, "one"));
    assert_int_equal(pare_evaluate(&s, model, &data), PARE_ERROR_ARGUMENT);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* --- Masks --- */

/* Two images of 2 x 2 pixels, three channels that are the logits of three classes; row by row:
 * said 0 1 1 2 and 0 0 1 1, true 0 1 2 ignored and 0 1 1 ignored. */
static uint8_t mask_pixels[2 * 4 * 3] = {9, 0, 0, 0, 9, 0, 0, 9, 0, 0, 0, 9,
                                         9, 0, 0, 9, 0, 0, 0, 9, 0, 0, 9, 0};
static uint8_t mask_truth[2 * 4] = {0, 1, 2, PARE_IGNORE, 0, 1, 1, PARE_IGNORE};

static pare_data two_masks(pare_context *ctx)
{
    return (pare_data){.ctx = ctx,
                       .count = 2,
                       .channels = 3,
                       .height = 2,
                       .width = 2,
                       .mask_classes = 3,
                       .pixels = mask_pixels,
                       .masks = mask_truth};
}

static const passing mask_model = {.input = {-1, 3, 2, 2}, .mask_op = "Identity"};
static const passing two_heads = {
    .input = {-1, 3, 2, 2}, .mask_op = "Identity", .class_op = "Flatten"};

static void check_mask_scores(const pare_scores *s)
{
    const double sure = log(1 + 2 * exp(-9)), wrong = sure + 9;

    assert_int_equal(s->mask_classes, 3);
    /* counted: class 0 true 2 said 3 both 2; class 1 true 3 said 3 both 2; class 2 true 1, never */
    assert_near(s->per_mask_class[0].iou, 2. / 3);
    assert_near(s->per_mask_class[1].iou, 2. / 4);
    assert_near(s->per_mask_class[2].iou, 0);
    assert_int_equal(s->per_mask_class[1].support, 3);
    assert_near(s->miou, (2. / 3 + 0.5) / 3);
    assert_near(s->dice, (4. / 5 + 4. / 6) / 3);
    assert_near(s->class_average_accuracy, (1 + 2. / 3) / 3);
    assert_near(s->pixel_accuracy, 4. / 6);
    assert_near(s->pixel_accuracy_of[0], 2. / 3);
    assert_near(s->pixel_accuracy_of[1], 2. / 3);
    assert_near(s->mask_nll, (4 * sure + 2 * wrong) / 6);
}

static void mask_scores_leave_ignored_pixels_out(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, mask_model);
    const pare_data data = two_masks(ctx);
    pare_scores s;

    (void)state;
    test_ok(ctx, pare_evaluate(&s, model, &data));
    assert_int_equal(s.classes, 0);
    check_mask_scores(&s);
    pare_scores_clear(&s);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* Outputs N x H x W x K. More pixels than one chunk of the scoring loop. */
static void channels_last_masks_are_scored_alike(void **state)
{
    enum { AREA = 700 };
    static float planes[3 * AREA], last[3 * AREA];
    static uint8_t mask[AREA];
    const pri_score_head heads[2] = {
        {.classes = 3, .height = 7, .width = 100},
        {.classes = 3, .height = 7, .width = 100, .is_channels_last = true}};
    pri_class_counts counts[2];
    double nll[2];
    pare_context *ctx = test_context();

    (void)state;
    for (int p = 0; p < AREA; p++) {
        mask[p] = p % 10 == 0 ? PARE_IGNORE : (uint8_t)(p * p % 3);
        for (int k = 0; k < 3; k++)
            last[p * 3 + k] = planes[k * AREA + p] = sinf((float)(p * 3 + k));
    }
    for (int h = 0; h < 2; h++) {
        test_ok(ctx, pri_class_counts_init(&counts[h], ctx, 3));
        pri_score_mask(&counts[h], &nll[h], h == 0 ? planes : last, &heads[h], mask);
    }
    assert_near(nll[0], nll[1]);
    assert_memory_equal(counts[0].truth, counts[1].truth, 9 * sizeof(int64_t));
    assert_int_equal(counts[0].truth[0] + counts[0].truth[1] + counts[0].truth[2], 630);
    pri_class_counts_clear(&counts[0]);
    pri_class_counts_clear(&counts[1]);
    pare_context_free(ctx);
}

static void one_model_may_have_both_heads(void **state)
{
    int32_t labels[2] = {1, 0}; /* the first of the largest pixels is 0 both times */
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, two_heads);
    pare_data data = two_masks(ctx);
    pare_scores s;

    (void)state;
    data.labels = labels;
    data.classes = 2;
    test_ok(ctx, pare_evaluate(&s, model, &data));
    check_mask_scores(&s);
    assert_int_equal(s.classes, 12);
    assert_near(s.accuracy, 0.5);
    pare_scores_clear(&s);
    data.masks = NULL; /* then only the class head is scored */
    test_ok(ctx, pare_evaluate(&s, model, &data));
    assert_int_equal(s.mask_classes, 0);
    assert_near(s.accuracy, 0.5);
    pare_scores_clear(&s);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* ESPNet on the first 16 test images of CamVid; expected: ONNX Runtime and a confusion matrix in
 * numpy. */
static void a_real_segmenter_scores_as_elsewhere(void **state)
{
    const pare_data_options options = {.ignore_class = 12, .limit = 16};
    const char *path = test_shared("models/espnet_camvid.onnx");
    pare_model *model = NULL;
    pare_data *data = NULL;
    pare_scores s;

    (void)state;
    if (path == NULL)
        skip();
    pare_context *ctx = test_context();
    test_ok(ctx, pare_model_load(&model, ctx, path));
    test_ok(ctx, pare_model_set_preprocess(model, "scale=1,order=bgr,"
                                                  "mean=110.33134 108.40915 105.03351,"
                                                  "std=18391.926 18535.5777 17825.16555"));
    path = test_shared("data/camvid");
    if (path == NULL) {
        pare_model_free(model);
        pare_context_free(ctx);
        skip();
    }
    test_ok(ctx, pare_data_open(&data, ctx, path, &options));
    test_ok(ctx, pare_evaluate(&s, model, data));
    assert_int_equal(s.mask_classes, 12);
    assert_true(fabs(s.miou - 0.668858) < 3e-4);
    assert_true(fabs(s.pixel_accuracy - 0.866744) < 1e-4);
    assert_true(fabs(s.class_average_accuracy - 0.792552) < 3e-4);
    assert_true(fabs(s.mask_nll - 0.422375) < 3e-4);
    pare_scores_clear(&s);
    pare_data_free(data);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* --- Shapes and refusals --- */

static void fixed_batches_and_open_sizes_run(void **state)
{
    static const passing models[] = {
        {.input = {1, 1, 1, 3}, .class_op = "Flatten"},
        {.input = {4, 1, 1, 3}, .class_op = "Flatten"},
        {.input = {1, 1, 1, 3}, .class_op = "Reshape", .fixed_classes = 3},
        {.input = {1, 1, 1, 3}, .class_op = "Reshape", .fixed_classes = -1},
        {.input = {-1, -1, -1, -1}, .class_op = "Flatten"}};
    pare_context *ctx = test_context();
    const pare_data data = three_classes(ctx);

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(models); i++) {
        pare_model *model = make_model(ctx, models[i]);
        int64_t dims[PARE_MAX_RANK];
        pare_scores s;
        test_ok(ctx, pare_evaluate(&s, model, &data));
        assert_near(s.accuracy, 4. / 6);
        assert_int_equal(s.classes, 3);
        pare_scores_clear(&s);
        assert_int_equal(pare_model_input_shape(model, 0, dims), 4);
        assert_memory_equal(dims, models[i].input, sizeof models[i].input); /* left as it was */
        pare_model_free(model);
    }
    pare_context_free(ctx);
}

static void what_cannot_be_scored_is_refused(void **state)
{
    uint8_t wrong_mask[8] = {0, 3, 0, 0, 0, 0, 0, 0};
    int32_t wrong_labels[6] = {0, 0, 0, 0, 0, 3};
    const passing roots = {.input = {-1, 1, 1, 3}, .class_op = "Flatten", .first_op = "Sqrt"};
    pare_context *ctx = test_context();
    pare_model *classes = make_model(ctx, class_model), *masks = make_model(ctx, mask_model);
    pare_model *root = make_model(ctx, roots);
    pare_data images = three_classes(ctx), masked = two_masks(ctx);
    pare_scores s;

    (void)state;
    assert_int_equal(pare_evaluate(&s, classes, &masked), PARE_ERROR_SHAPE);
    assert_non_null(strstr(pare_context_message(ctx), "3x2x2"));
    images.labels = NULL;
    assert_int_equal(pare_evaluate(&s, classes, &images), PARE_ERROR_DATA);
    images.labels = wrong_labels;
    assert_int_equal(pare_evaluate(&s, classes, &images), PARE_ERROR_DATA);
    assert_non_null(strstr(pare_context_message(ctx), "image 5 has label 3"));
    masked.masks = wrong_mask;
    assert_int_equal(pare_evaluate(&s, masks, &masked), PARE_ERROR_DATA);
    assert_non_null(strstr(pare_context_message(ctx), "image 0 has class 3"));
    images.labels = three_labels;
    images.count = 0;
    assert_int_equal(pare_evaluate(&s, classes, &images), PARE_ERROR_DATA);
    images.count = 6;
    test_ok(ctx, pare_model_set_preprocess(root, "scale=1,mean=5"));
    assert_int_equal(pare_evaluate(&s, root, &images), PARE_ERROR_NUMERIC);
    assert_null(s.predicted);
    classes->graph->inputs[0]->dtype = PRI_U8; /* a float an image value would not fit its block */
    assert_int_equal(pare_evaluate(&s, classes, &images), PARE_ERROR_UNSUPPORTED);
    assert_non_null(strstr(pare_context_message(ctx), "takes uint8"));
    pare_model_free(root);
    pare_model_free(masks);
    pare_model_free(classes);
    pare_context_free(ctx);
}

static void every_allocation_may_fail(void **state)
{
    int32_t labels[2] = {1, 0};
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, two_heads);
    pare_data data = two_masks(ctx);
    pare_status status = PARE_ERROR_MEMORY;
    int64_t nth = 1;

    (void)state;
    data.labels = labels;
    for (; status == PARE_ERROR_MEMORY && nth < 1000; nth++) {
        pare_scores s;
        pri_fail_allocation(ctx, nth);
        status = pare_evaluate(&s, model, &data);
        pare_scores_clear(&s);
    }
    pri_fail_allocation(ctx, 0);
    assert_int_equal(status, PARE_OK);
    assert_true(nth > 10);
    pare_model_free(model);
    pare_context_free(ctx);
}

static void comparing_a_model_with_itself_finds_no_difference(void **state)
{
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, class_model);
    const pare_data data = three_classes(ctx);
    pare_comparison c;

    (void)state;
    test_ok(ctx, pare_compare(&c, model, model, &data, &(pare_compare_options){3, 2}));
    assert_near(c.p_class, 1);
    assert_near(c.p_mask, 1);
    assert_int_equal(c.batch, 2);
    for (int k = 0; k < 2; k++) {
        assert_true(c.latency_low[k] > 0 && c.latency_low[k] <= c.latency[k]);
        assert_true(c.latency[k] <= c.latency_high[k]);
    }
    assert_true(c.ratio_low > 0 && c.ratio_low <= c.ratio_high);
    assert_near(c.scores[0].accuracy, c.scores[1].accuracy);
    assert_int_equal(c.costs[0].bytes, c.costs[1].bytes);
    pare_comparison_clear(&c);
    assert_null(c.scores[0].predicted);
    test_ok(ctx, pare_compare(&c, model, model, &data, &(pare_compare_options){-1, 0}));
    assert_true(c.latency[0] == 0);
    pare_comparison_clear(&c);
    pare_model_free(model);
    pare_context_free(ctx);
}

/* x, from 0 to below 1 and so index 0, lies where the output of ones is written
 * later: a second turn on what the first one left would look for element 1. */
static void latency_fills_inputs_for_every_turn(void **state)
{
    static const int64_t dims[] = {1, 4};
    pare_context *ctx = test_context();
    pri_graph *graph = test_graph(ctx, 13);
    pri_value *x = test_input(graph, "x", 2, dims);
    pri_value *table = test_floats(graph, 1, (const float[]){3});
    pri_value *index = test_op(graph, "Cast", "to=7", TEST_LIST(x));
    pri_value *y = test_op(graph, "Gather", "", TEST_LIST(table, index));
    double seconds[2];

    (void)state;
    y = test_op(graph, "Add", "", TEST_LIST(y, test_floats(graph, 1, (const float[]){1000})));
    y = test_op(graph, "Transpose", "perm=[1,0]", TEST_LIST(y));
    test_output(graph, test_op(graph, "Softmax", "", TEST_LIST(y)));
    pare_model *model = test_model(graph);
    test_ok(ctx, pare_measure_latency(seconds, model, model, 1, 3));
    pare_model_free(model);
    pare_context_free(ctx);
}

static void latency_refuses_what_cannot_run(void **state)
{
    const passing fixed = {.input = {1, 1, 1, 3}, .class_op = "Reshape", .fixed_classes = 3};
    pare_context *ctx = test_context();
    pare_model *model = make_model(ctx, fixed);
    double seconds[2];

    (void)state;
    assert_int_equal(pare_measure_latency(seconds, model, model, 0, 3), PARE_ERROR_ARGUMENT);
    assert_int_equal(pare_measure_latency(seconds, model, model, 1, 0), PARE_ERROR_ARGUMENT);
    assert_int_equal(pare_measure_latency(seconds, model, model, 8, 3), PARE_ERROR_SHAPE);
    test_ok(ctx, pare_measure_latency(seconds, model, model, 1, 3));
    pare_model_free(model);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_scores_are_those_counted_by_hand),
        cmocka_unit_test(classes_that_do_not_occur_are_left_out_of_means),
        cmocka_unit_test(of_equal_outputs_the_first_is_said),
        cmocka_unit_test(probabilities_are_not_normalised_again),
        cmocka_unit_test(a_softmax_at_the_end_is_recognised),
        cmocka_unit_test(a_class_offset_moves_labels_behind_a_background_class),
        cmocka_unit_test(mask_scores_leave_ignored_pixels_out),
        cmocka_unit_test(channels_last_masks_are_scored_alike),
        cmocka_unit_test(one_model_may_have_both_heads),
        cmocka_unit_test(a_real_segmenter_scores_as_elsewhere),
        cmocka_unit_test(fixed_batches_and_open_sizes_run),
        cmocka_unit_test(what_cannot_be_scored_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(comparing_a_model_with_itself_finds_no_difference),
        cmocka_unit_test(latency_fills_inputs_for_every_turn),
        cmocka_unit_test(latency_refuses_what_cannot_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
