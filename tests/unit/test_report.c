/* SPDX-License-Identifier: Apache-2.0 */
/* test_report.c - pages are whole, well formed and harmless whatever names come in. */
#include "support.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <pare/pare.h>

#include "base/file.h"
#include "data/data.h"
#include "report/markup.h"
#include "report/scale.h"

enum { LAYERS = 60, DEPTH = 64 };

/* --- A sample --- */

typedef struct sample {
    char names[LAYERS][32];
    pare_report_point points[3][4];
    pare_report_layer layers[LAYERS];
    pare_class_scores rows[3];
    pare_comparison comparison;
    pare_report_run runs[3];
    pare_report_condition conditions[2];
    pare_report report;
} sample;

static void fill_sample(sample *s)
{
    memset(s, 0, sizeof *s);
    for (int i = 0; i < LAYERS; i++) {
        snprintf(s->names[i], sizeof s->names[i], "block%d.conv", i);
        s->layers[i] = (pare_report_layer){s->names[i], 64, 64 - i};
    }
    for (int r = 0; r < 3; r++) {
        for (int k = 0; k < 4; k++)
            s->points[r][k] = (pare_report_point){.round = k,
                                                  .macs = 1 - 0.15 * k,
                                                  .parameters = 1 - 0.2 * k,
                                                  .accuracy = 0.9 - 0.01 * k * r,
                                                  .miou = (double)NAN,
                                                  .val_nll = (double)NAN};
    }
    for (int k = 0; k < 3; k++)
        s->rows[k] = (pare_class_scores){.support = k * 10, .f1 = 0.5, .iou = 0.25};
    for (int k = 0; k < 2; k++)
        s->comparison.scores[k] = (pare_scores){
            .count = 12345, .classes = 3, .accuracy = 0.9 - 0.02 * k, .per_class = s->rows};
    s->comparison.costs[0] = (pare_costs){271098, 40551040, 698, 1107942, 319488};
    s->comparison.costs[1] = (pare_costs){100000, 20000000, 400, 500000, 300000};
    s->comparison.p_class = 0.41;
    s->comparison.p_mask = 1;
    s->runs[0] = (pare_report_run){"ml", s->points[0], 4, s->layers, LAYERS, &s->comparison, 42};
    s->runs[1] = (pare_report_run){"magnitude", s->points[1], 4, s->layers, 3, NULL, 0};
    s->runs[2] = (pare_report_run){NULL, s->points[2], 1, NULL, 0, NULL, 0};
    s->conditions[0] = (pare_report_condition){"MACs: 49.3 % -> enough", "ml", true};
    s->conditions[1] = (pare_report_condition){"accuracy: -2.00 points", "ml", false};
    s->report = (pare_report){.title = "A title",
                              .summary = "What happened.",
                              .command = "pare run m.onnx --seed 7",
                              .runs = s->runs,
                              .n_runs = 3,
                              .conditions = s->conditions,
                              .n_conditions = 2};
}

/* Writes a report and reads it back; free with pri_bytes_clear. */
static pri_bytes page_of(pare_context *ctx, const pare_report *report, bool is_plot)
{
    const char *folder = test_folder();
    char path[600];
    pri_bytes bytes;

    snprintf(path, sizeof path, "%s/page", folder);
    test_ok(ctx, is_plot ? pare_report_plot(ctx, path, report, false)
                         : pare_report_write(ctx, path, report, false));
    test_ok(ctx, pri_file_read(&bytes, ctx, path));
    test_remove_folder(folder);
    return bytes;
}

/* --- Reading markup --- */

/* One attribute list up to '>' or '/'; fails the test where it is not NAME="VALUE" ... */
static const char *skip_attributes(const char *at)
{
    for (;;) {
        while (isspace((unsigned char)*at))
            at++;
        if (*at == '>' || *at == '/' || *at == '?')
            return at;
        const char *name = at;
        while (isalpha((unsigned char)*at) || *at == '-' || *at == ':')
            at++;
        if (at == name || at[0] != '=' || at[1] != '"')
            fail_msg("no attribute: %.40s", name);
        at = strchr(at + 2, '"');
        assert_non_null(at);
        at++;
    }
}

static void check_entity(const char *at)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};

    for (size_t i = 0; i < PRI_COUNT(known); i++) {
        if (strncmp(at, known[i], strlen(known[i])) == 0)
            return;
    }
    fail_msg("a bare ampersand: %.40s", at);
}

/* Every element is closed in order, every attribute quoted, every character allowed. */
static void check_well_formed(const char *text)
{
    char open[DEPTH][16];
    int depth = 0;

    for (const char *at = text; *at != '\0'; at++) {
        assert_true((unsigned char)*at >= 0x20 || *at == '\n');
        if (*at == '&')
            check_entity(at);
        if (*at != '<' || strncmp(at, "<!DOCTYPE html>", 15) == 0)
            continue;
        const bool is_end = at[1] == '/', is_declaration = at[1] == '?';
        const char *name = at + (is_end || is_declaration ? 2 : 1);
        size_t length = 0;
        while (isalnum((unsigned char)name[length]))
            length++;
        if (length == 0 || length >= sizeof open[0])
            fail_msg("no tag: %.40s", at);
        at = skip_attributes(name + length);
        if (is_end) {
            if (depth == 0 || strlen(open[depth - 1]) != length ||
                strncmp(open[--depth], name, length) != 0)
                fail_msg("closes nothing: %.40s", name);
        } else if (*at == '>') {
            assert_true(depth < DEPTH);
            snprintf(open[depth++], sizeof open[0], "%.*s", (int)length, name);
        } else {
            at++; /* of "/>" or "?>" */
        }
        assert_int_equal(*at, '>');
    }
    if (depth != 0)
        fail_msg("<%s> stays open", open[depth - 1]);
}

static const char *text_of(const pri_bytes *bytes)
{
    return (const char *)bytes->data;
}

/* --- Tests --- */

static void a_page_is_well_formed_and_says_everything(void **state)
{
    static const char *const says[] = {"<title>A title</title>",
                                       "What happened.",
                                       "pare run m.onnx --seed 7",
                                       "1 of 2 requirements are met",
                                       "block59.conv",
                                       "12,345 test images",
                                       "not significant",
                                       "p = 0.410",
                                       "49.3 %",
                                       "run 3",
                                       "90.00",
                                       "\xe2\x88\x92\x32.00",
                                       "prefers-color-scheme:dark",
                                       "@media print",
                                       "<th scope=\"row\">",
                                       "Version"};
    pare_context *ctx = test_context();
    sample s;

    (void)state;
    fill_sample(&s);
    pri_bytes page = page_of(ctx, &s.report, false);
    check_well_formed(text_of(&page));
    for (size_t i = 0; i < PRI_COUNT(says); i++) {
        if (strstr(text_of(&page), says[i]) == NULL)
            fail_msg("'%s' is missing", says[i]);
    }
    assert_non_null(strstr(text_of(&page), pare_version()));
    assert_null(strstr(text_of(&page), "<script"));
    assert_null(strstr(text_of(&page), "nan"));
    assert_null(strstr(text_of(&page), "mIoU")); /* no run has one */
    pri_bytes_clear(&page);
    pri_bytes plot = page_of(ctx, &s.report, true);
    check_well_formed(text_of(&plot));
    assert_non_null(strstr(text_of(&plot), "<svg xmlns=\"http://www.w3.org/2000/svg\""));
    pri_bytes_clear(&plot);
    pare_context_free(ctx);
}

static void sparse_reports_are_pages_too(void **state)
{
    pare_report_point lonely = {
        .macs = (double)NAN, .accuracy = (double)NAN, .miou = (double)NAN, .val_nll = (double)NAN};
    pare_context *ctx = test_context();
    sample s;

    (void)state;
    for (int variant = 0; variant < 5; variant++) {
        fill_sample(&s);
        if (variant == 0)
            s.report = (pare_report){0};
        if (variant == 1)
            s.report.n_runs = 1;
        if (variant == 2) {
            s.report.n_runs = 1;
            s.runs[0] = (pare_report_run){"x", &lonely, 1, NULL, 0, NULL, 0};
        }
        if (variant == 3) {
            s.points[0][1].accuracy = (double)INFINITY;
            s.points[0][2].miou = 0.5; /* one point of one run */
            s.runs[0].comparison = NULL;
        }
        if (variant == 4) {
            s.points[0][0].accuracy = 1e300;
            s.points[1][0].macs = -1e300;
            s.layers[0].before = 0;
            s.layers[1].after = INT64_MAX;
        }
        pri_bytes page = page_of(ctx, &s.report, false);
        check_well_formed(text_of(&page));
        assert_null(strstr(text_of(&page), "nan"));
        assert_null(strstr(text_of(&page), "inf "));
        pri_bytes_clear(&page);
    }
    assert_int_equal(pare_report_plot(ctx, "/nonexistent/plot.svg", &(pare_report){0}, true),
                     PARE_ERROR_ARGUMENT);
    pare_context_free(ctx);
}

static void hostile_names_are_escaped_everywhere(void **state)
{
    static const char evil[] = "<script>alert(\"&'1')</script>\x01\xff\xed\xa0\x80\n";
    static char *names[3];
    const pare_data data = {
        .count = 1, .height = 1, .width = 1, .classes = 3, .class_names = names};
    pare_context *ctx = test_context();
    char copy[sizeof evil];
    sample s;

    (void)state;
    memcpy(copy, evil, sizeof evil);
    names[0] = names[1] = names[2] = copy;
    fill_sample(&s);
    s.report.title = s.report.summary = s.report.command = evil;
    s.report.data = &data;
    for (int r = 0; r < 3; r++)
        s.runs[r].name = evil;
    for (int i = 0; i < LAYERS; i++)
        s.layers[i].name = evil;
    for (int i = 0; i < 2; i++)
        s.conditions[i] = (pare_report_condition){evil, evil, i == 0};
    for (int k = 0; k < 2; k++) {
        pri_bytes page = page_of(ctx, &s.report, k == 1);
        check_well_formed(text_of(&page));
        assert_null(strstr(text_of(&page), "<script"));
        assert_non_null(strstr(text_of(&page), "&lt;script&gt;"));
        assert_null(strchr(text_of(&page), 0xff));
        pri_bytes_clear(&page);
    }
    pare_context_free(ctx);
}

static void an_existing_file_is_kept_unless_told_otherwise(void **state)
{
    pare_context *ctx = test_context();
    const char *folder = test_folder();
    char path[600];
    sample s;

    (void)state;
    fill_sample(&s);
    snprintf(path, sizeof path, "%s/r.html", folder);
    test_ok(ctx, pare_report_write(ctx, path, &s.report, false));
    assert_int_equal(pare_report_write(ctx, path, &s.report, false), PARE_ERROR_EXISTS);
    assert_int_equal(pare_report_plot(ctx, path, &s.report, false), PARE_ERROR_EXISTS);
    test_ok(ctx, pare_report_write(ctx, path, &s.report, true));
    test_remove_folder(folder);
    pare_context_free(ctx);
}

static void reports_survive_short_memory(void **state)
{
    pare_context *ctx = test_context();
    const char *folder = test_folder();
    pare_status status = PARE_ERROR_MEMORY;
    char path[600];
    sample s;

    (void)state;
    fill_sample(&s);
    snprintf(path, sizeof path, "%s/r.html", folder);
    for (int64_t nth = 1; status == PARE_ERROR_MEMORY && nth < 100; nth++) {
        assert_false(pri_file_exists(path));
        pri_fail_allocation(ctx, nth);
        status = pare_report_write(ctx, path, &s.report, false);
    }
    pri_fail_allocation(ctx, 0);
    assert_int_equal(status, PARE_OK);
    test_remove_folder(folder);
    pare_context_free(ctx);
}

static void ticks_are_nice_numbers_within_the_axis(void **state)
{
    static const struct {
        double low, high, step;
        int decimals;
    } rows[] = {{0, 100, 20, 0},       {90.1, 91.9, 0.5, 1}, {0, 1, 0.2, 1},
                {99.1, 99.2, 0.02, 2}, {40, 100, 10, 0},     {1, 0, 0.2, 1}};

    (void)state;
    for (size_t i = 0; i < PRI_COUNT(rows); i++) {
        const pri_scale s = pri_scale_of(rows[i].low, rows[i].high, 6);
        if (fabs(s.step - rows[i].step) > 1e-9 || s.decimals != rows[i].decimals)
            fail_msg("%g .. %g: step %g, %d decimals", rows[i].low, rows[i].high, s.step,
                     s.decimals);
        assert_true(s.first >= s.low - 1e-9);
        assert_true(s.first + (s.ticks - 1) * s.step <= s.high + 1e-9);
        assert_true(s.ticks >= 3 && s.ticks <= 8);
    }
    const pri_scale flat = pri_scale_of(91.8, 91.8, 6);
    assert_true(flat.low < 91.8 && flat.high > 91.8 && flat.ticks >= 2);
}

static void labels_are_kept_apart(void **state)
{
    double positions[] = {50, 10, 50, 52, 100};
    int order[5];

    (void)state;
    pri_spread(positions, order, 5, 12, 0, 100);
    for (int i = 0; i < 5; i++) {
        assert_true(positions[i] >= 0 && positions[i] <= 100);
        for (int k = 0; k < i; k++)
            assert_true(fabs(positions[i] - positions[k]) >= 12 - 1e-9);
    }
    assert_true(fabs(positions[1] - 10) < 1e-9); /* not moved without need */
    assert_true(positions[2] > positions[0]);    /* equal ones in the order given */
}

static void numbers_are_written_as_print_has_them(void **state)
{
    pare_context *ctx = test_context();
    pri_text t;

    (void)state;
    pri_text_init(&t, ctx);
    pri_markup_fixed(&t, 12.345, 1);
    pri_text_add(&t, "|");
    pri_markup_fixed(&t, -0.04, 1); /* no minus before what rounds to zero */
    pri_text_add(&t, "|");
    pri_markup_signed(&t, -1.5, 2);
    pri_text_add(&t, "|");
    pri_markup_signed(&t, 0.996, 2);
    pri_text_add(&t, "|");
    pri_markup_xy(&t, -3.25);
    pri_text_add(&t, "|");
    pri_markup_count(&t, 40551040);
    pri_text_add(&t, "|");
    pri_markup_count(&t, 1000007);
    pri_text_add(&t, "|");
    pri_markup_fixed(&t, (double)NAN, 2);
    pri_text_add(&t, "|");
    pri_markup_name(&t,
                    "\xc3\xa4"
                    "bcdef",
                    4);
    assert_string_equal(pri_text_get(&t), "12.3|0.0|\xe2\x88\x92"
                                          "1.50|+1.00|-3.3|40,551,040|"
                                          "1,000,007|\xe2\x80\x93|\xc3\xa4"
                                          "bc\xe2\x80\xa6");
    pri_text_clear(&t);
    pri_markup_si(&t, 40551040, "");
    pri_text_add(&t, "|");
    pri_markup_si(&t, 1107942, "B");
    pri_text_add(&t, "|");
    pri_markup_si(&t, 999.7, "");
    pri_text_add(&t, "|");
    pri_markup_si(&t, 12, "");
    assert_string_equal(pri_text_get(&t), "40.6\xe2\x80\xafM|1.11\xe2\x80\xafMB|1.00\xe2\x80\xafk|"
                                          "12");
    pri_text_clear(&t);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_well_formed_and_says_everything),
        cmocka_unit_test(sparse_reports_are_pages_too),
        cmocka_unit_test(hostile_names_are_escaped_everywhere),
        cmocka_unit_test(an_existing_file_is_kept_unless_told_otherwise),
        cmocka_unit_test(reports_survive_short_memory),
        cmocka_unit_test(ticks_are_nice_numbers_within_the_axis),
        cmocka_unit_test(labels_are_kept_apart),
        cmocka_unit_test(numbers_are_written_as_print_has_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
