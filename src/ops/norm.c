/* SPDX-License-Identifier: Apache-2.0 */
/*
 * norm.c - InstanceNormalization, GroupNormalization, LayerNormalization.
 *
 * All three normalise rows of consecutive elements (x - mean) / sqrt(variance + epsilon) and then
 * scale and shift; they differ in what a row is and which element uses which scale.
 */
#include <math.h>
#include <string.h>

#include "ops/op_support.h"

typedef struct norm_params {
    char kind; /* I, G or L */
    float epsilon;
    int64_t groups, axis;
} norm_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    norm_params *p = params;

    (void)opset;
    (void)arena;
    p->kind = node->op_type[0];
    p->epsilon = pri_node_attr_float(node, "epsilon", 1e-5f);
    p->groups = pri_node_attr_int(node, "num_groups", 0);
    p->axis = pri_node_attr_int(node, "axis", -1);
    if (p->kind == 'G' && p->groups < 1)
        return pri_parse_fail(ctx, node, "num_groups is %lld", (long long)p->groups);
    return PARE_OK;
}

/* Element i of row r uses parameter (r % cycle * per_row + i / block) % count. */
typedef struct rows {
    int64_t rows, length, cycle, per_row, block, count;
} rows;

static rows rows_of(const pri_call *call)
{
    const norm_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    rows r = {.count = pri_max_i64(1, pri_shape_count(&call->in[1].shape)), .block = 1};

    if (p->kind == 'L') {
        const int axis = pri_axis(p->axis, x->rank);
        r.rows = pri_shape_span(x, 0, axis);
        r.length = pri_shape_span(x, axis, x->rank);
        r.cycle = 1;
        return r;
    }
    const int64_t area = pri_shape_span(x, 2, x->rank);
    const int64_t parts = p->kind == 'G' ? p->groups : x->dims[1];
    r.rows = x->dims[0] * parts;
    r.length = x->dims[1] / pri_max_i64(1, parts) * area;
    r.cycle = parts;
    r.per_row = r.count / pri_max_i64(1, parts);
    r.block = pri_max_i64(1, r.length / pri_max_i64(1, r.per_row));
    return r;
}

static int64_t parameter_of(const rows *r, int64_t row, int64_t i)
{
    return (row % r->cycle * r->per_row + i / r->block) % r->count;
}

/* Scales of a layer are the normalised axes, or fewer of the last ones. */
static bool fits_layer(const pri_shape *x, int axis, const pri_shape *scale)
{
    for (int a = 0; a < scale->rank; a++) {
        const int b = x->rank - scale->rank + a;
        if (b < axis || scale->dims[a] != x->dims[b])
            return false;
    }
    return true;
}

static bool parameter_fits(const pri_call *call, int slot)
{
    const norm_params *p = call->params;
    const pri_shape *x = &call->in[0].shape, *scale = &call->in[slot].shape;

    if (p->kind == 'L')
        return fits_layer(x, pri_axis(p->axis, x->rank), scale) &&
               pri_shape_equal(scale, &call->in[1].shape);
    const int64_t wanted = p->kind == 'G' && call->opset < 21 ? p->groups : x->dims[1];
    return scale->rank == 1 && scale->dims[0] == wanted;
}

static pare_status infer(pri_call *call)
{
    const norm_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;

    PRI_TRY(pri_need_float(call, 7));
    if (p->kind == 'L' ? pri_axis(p->axis, x->rank) < 0 : x->rank < 3)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "cannot normalise an input of rank %d", x->rank);
    if (p->kind == 'G' && x->dims[1] % p->groups != 0)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "%lld channels do not make %lld groups",
                           (long long)x->dims[1], (long long)p->groups);
    for (int k = 1; k < call->n_in; k++) {
        if (call->in[k].present && !parameter_fits(call, k))
            return pri_op_fail(call, PARE_ERROR_SHAPE, "input %d does not fit the input", k);
    }
    for (int k = 1; k < call->n_out; k++) { /* mean and 1 / deviation of a layer */
        call->out[k].dtype = PRI_F32;
        call->out[k].shape = *x;
        for (int a = pri_axis(p->axis, x->rank); a < x->rank; a++)
            call->out[k].shape.dims[a] = 1;
    }
    return pri_infer_same(call);
}

static pare_status prepare(pri_call *call)
{
    for (int k = 0; k < call->n_in; k++)
        call->in[k].layout = PRI_PLAIN;
    for (int k = 0; k < call->n_out; k++)
        call->out[k].layout = PRI_PLAIN;
    call->saved_bytes = (size_t)rows_of(call).rows * 2 * sizeof(float);
    return PARE_OK;
}

static void statistics(const float *x, int64_t length, float epsilon, float *mean, float *inverse)
{
    double sum = 0, squares = 0;

    for (int64_t i = 0; i < length; i++)
        sum += x[i];
    const double centre = sum / (double)length;
    for (int64_t i = 0; i < length; i++)
        squares += (x[i] - centre) * (x[i] - centre);
    *mean = (float)centre;
    *inverse = (float)(1 / sqrt(squares / (double)length + epsilon));
}

static pare_status forward(pri_call *call)
{
    const norm_params *p = call->params;
    const rows r = rows_of(call);
    const float *gamma = call->in[1].data;
    const float *beta = pri_in(call, 2) != NULL ? call->in[2].data : NULL;
    float *saved = call->saved;

#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < r.rows; row++) {
        const float *x = (const float *)call->in[0].data + row * r.length;
        float *y = (float *)call->out[0].data + row * r.length;
        float mean, inverse;
        statistics(x, r.length, p->epsilon, &mean, &inverse);
        if (saved != NULL) {
            saved[2 * row] = mean;
            saved[2 * row + 1] = inverse;
        }
        if (call->n_out > 1 && call->out[1].present)
            ((float *)call->out[1].data)[row] = mean;
        if (call->n_out > 2 && call->out[2].present)
            ((float *)call->out[2].data)[row] = inverse;
        for (int64_t i = 0; i < r.length; i++) {
            const int64_t k = parameter_of(&r, row, i);
            y[i] = (x[i] - mean) * inverse * gamma[k] + (beta != NULL ? beta[k] : 0);
        }
    }
    return PARE_OK;
}

static void parameter_gradients(const pri_call *call, const rows *r)
{
    const float *saved = call->saved, *g = call->grad_out[0], *x = call->in[0].data;
    float *d_gamma = call->grad_in[1], *d_beta = call->n_in > 2 ? call->grad_in[2] : NULL;

    for (int64_t row = 0; row < r->rows; row++) {
        for (int64_t i = 0; i < r->length; i++) {
            const int64_t at = row * r->length + i, k = parameter_of(r, row, i);
            if (d_gamma != NULL)
                d_gamma[k] += g[at] * (x[at] - saved[2 * row]) * saved[2 * row + 1];
            if (d_beta != NULL)
                d_beta[k] += g[at];
        }
    }
}

/* With h = g gamma and n the normalised x: d += (h - mean(h) - n mean(h n)) inverse */
static void input_gradient(const pri_call *call, const rows *r, int64_t row)
{
    const float *saved = call->saved, *gamma = call->in[1].data;
    const float mean = saved[2 * row], inverse = saved[2 * row + 1];
    const float *x = (const float *)call->in[0].data + row * r->length;
    const float *g = call->grad_out[0] + row * r->length;
    float *d = call->grad_in[0] + row * r->length;
    double sum = 0, product = 0;

    for (int64_t i = 0; i < r->length; i++) {
        const double h = (double)g[i] * gamma[parameter_of(r, row, i)];
        sum += h;
        product += h * (x[i] - mean) * inverse;
    }
    sum /= (double)r->length;
    product /= (double)r->length;
    for (int64_t i = 0; i < r->length; i++) {
        const double h = (double)g[i] * gamma[parameter_of(r, row, i)];
        d[i] += (float)((h - sum - (x[i] - mean) * inverse * product) * inverse);
    }
}

static pare_status backward(pri_call *call)
{
    const rows r = rows_of(call);

    if (call->grad_out[0] == NULL)
        return PARE_OK;
    parameter_gradients(call, &r);
    if (call->grad_in[0] == NULL)
        return PARE_OK;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < r.rows; row++)
        input_gradient(call, &r, row);
    return PARE_OK;
}

/* Channels normalised together go together: whole groups. */
static pare_status couple_groups(const pri_call *call, pri_rules *rules)
{
    const norm_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    const int64_t per = x->dims[1] / p->groups;

    for (int64_t g = 0; g < p->groups; g++) {
        PRI_TRY(pri_rules_tie(rules, 0, 1, g * per, 0, 1, g * per + 1, per - 1));
        for (int k = 1; k < call->n_in && call->in[k].shape.dims[0] != x->dims[1]; k++)
            PRI_TRY(pri_rules_tie(rules, 0, 1, g * per, k, 0, g, 1));
    }
    for (int k = 1; k < call->n_in && call->in[k].shape.dims[0] == x->dims[1]; k++)
        PRI_TRY(pri_rules_tie(rules, 0, 1, 0, k, 0, 0, x->dims[1]));
    return pri_couple_channels(call, rules);
}

/* As many groups as are left. */
static pare_status resize_groups(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                                 pri_node *node)
{
    const norm_params *p = call->params;
    const int64_t per = call->in[0].shape.dims[1] / pri_max_i64(1, p->groups);

    if (p->kind != 'G' || pri_cut_keep(cut, 0, 1) == NULL)
        return PARE_OK;
    return pri_node_set_int(graph, node, "num_groups", pri_cut_dim(cut, 0, 1) / per);
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    const norm_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    const int axis = p->kind == 'L' ? pri_axis(p->axis, x->rank) : 2;

    if (p->kind == 'G')
        return couple_groups(call, rules);
    for (int a = 0; a < x->rank; a++) {
        if (a < axis) {
            PRI_TRY(pri_rules_tie(rules, 0, a, 0, PRI_OUT(0), a, 0, x->dims[a]));
            continue;
        }
        PRI_TRY(pri_rules_pin(rules, 0, a, "normalises over these channels"));
        PRI_TRY(pri_rules_pin(rules, PRI_OUT(0), a, "normalises over these channels"));
    }
    for (int k = 1; k < call->n_in && p->kind == 'I'; k++)
        PRI_TRY(pri_rules_tie(rules, 0, 1, 0, k, 0, 0, x->dims[1]));
    return PARE_OK;
}

#define NORM(symbol, text, words, first, least, outputs)                                           \
    const pri_op symbol = {.name = text,                                                           \
                           .summary = words,                                                       \
                           .min_opset = first,                                                     \
                           .max_opset = 21,                                                        \
                           .min_in = least,                                                        \
                           .max_in = 3,                                                            \
                           .n_out = outputs,                                                       \
                           .params_size = sizeof(norm_params),                                     \
                           .layouts = PRI_LAYOUTS_PREPARE,                                         \
                           .backward_reads = PRI_READS_IN0 | PRI_READS_IN1,                        \
                           .parse = parse,                                                         \
                           .infer = infer,                                                         \
                           .prepare = prepare,                                                     \
                           .forward = forward,                                                     \
                           .backward = backward,                                                   \
                           .couple = couple,                                                       \
                           .resize = resize_groups}

NORM(pri_op_instance_norm, "InstanceNormalization", "normalisation of each channel of each sample",
     6, 3, 1);
NORM(pri_op_group_norm, "GroupNormalization", "normalisation of groups of channels", 18, 3, 1);
NORM(pri_op_layer_norm, "LayerNormalization", "normalisation over the last axes", 17, 2, 3);
