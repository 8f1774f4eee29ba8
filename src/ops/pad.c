/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pad.c - Pad: more (or fewer) elements at both ends of axes.
 *
 * Every axis has a map from output to input positions, -1 where the fill value stands; what the
 * mode is, is in the map alone.
 */
#include <string.h>

#include "ops/elements.h"
#include "ops/op_support.h"

typedef enum pad_mode { CONSTANT, REFLECT, EDGE, WRAP } pad_mode;

typedef struct pad_params {
    pad_mode mode;
} pad_params;

static pare_status parse(const pri_node *node, int opset, void *params, pri_arena *arena,
                         pare_context *ctx)
{
    static const char *const words[] = {"constant", "reflect", "edge", "wrap"};
    const char *word = pri_node_attr_string(node, "mode", words[0]);

    (void)opset;
    (void)arena;
    for (int i = 0; i < (int)PRI_COUNT(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            ((pad_params *)params)->mode = (pad_mode)i;
            return PARE_OK;
        }
    }
    return pri_parse_fail(ctx, node, "mode '%s' is unknown", word);
}

typedef struct amounts {
    int count;                                      /* axes named */
    int axes[PRI_MAX_RANK];                         /* of the k-th number */
    int64_t begin[PRI_MAX_RANK], end[PRI_MAX_RANK]; /* by axis */
} amounts;

static pare_status read_axes(const pri_call *call, amounts *a)
{
    int64_t axes[PRI_MAX_RANK];
    int count;

    PRI_TRY(pri_op_ints(call, 3, axes, PRI_MAX_RANK, &count));
    a->count = count >= 0 ? count : call->in[0].shape.rank;
    for (int k = 0; k < a->count; k++) {
        a->axes[k] = count >= 0 ? pri_axis(axes[k], call->in[0].shape.rank) : k;
        if (a->axes[k] < 0)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "axis %lld is out of range",
                               (long long)axes[k]);
    }
    return PARE_OK;
}

static pare_status read_amounts(const pri_call *call, amounts *a)
{
    const pri_attr *attr = pri_node_attr(call->node, "pads");
    int64_t pads[2 * PRI_MAX_RANK] = {0};
    int count = -1;

    memset(a, 0, sizeof *a);
    PRI_TRY(read_axes(call, a));
    if (attr != NULL) {
        count = attr->count;
        for (int k = 0; k < count && k < 2 * PRI_MAX_RANK; k++)
            pads[k] = attr->ints[k];
    } else {
        PRI_TRY(pri_op_ints(call, 1, pads, 2 * PRI_MAX_RANK, &count));
    }
    if (count != 2 * a->count)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "pads has %d numbers for %d axes", count,
                           a->count);
    for (int k = 0; k < a->count; k++) {
        a->begin[a->axes[k]] = pads[k];
        a->end[a->axes[k]] = pads[k + a->count];
    }
    return PARE_OK;
}

static pare_status check_types(const pri_call *call)
{
    const pri_operand *x = &call->in[0], *value = pri_in(call, 2);

    if (pri_dtype_bytes(x->dtype) == 0)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "the input is %s",
                           pri_dtype_name(x->dtype));
    if (value == NULL || (value->dtype == x->dtype && pri_shape_count(&value->shape) == 1))
        return PARE_OK;
    return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "the value is %lld of %s, not one of %s",
                       (long long)pri_shape_count(&value->shape), pri_dtype_name(value->dtype),
                       pri_dtype_name(x->dtype));
}

static pare_status infer(pri_call *call)
{
    const pad_params *p = call->params;
    const pri_shape *x = &call->in[0].shape;
    const int64_t most = INT64_C(1) << 20;
    amounts a;

    PRI_TRY(check_types(call));
    PRI_TRY(read_amounts(call, &a));
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape = *x;
    for (int i = 0; i < x->rank; i++) {
        const int64_t begin = a.begin[i], end = a.end[i], size = x->dims[i];
        const bool grows = begin > 0 || end > 0;
        bool fits = begin <= most && end <= most && begin >= -size && end >= -size &&
                    size + begin + end >= 0;
        fits = fits && !(p->mode != CONSTANT && grows && size < 1);
        if (!fits)
            return pri_op_fail(call, PARE_ERROR_SHAPE, "pads do not fit axis %d", i);
        call->out[0].shape.dims[i] = size + begin + end;
    }
    return PARE_OK;
}

/* --- Running --- */

static int64_t source_of(pad_mode mode, int64_t i, int64_t size)
{
    if (i >= 0 && i < size)
        return i;
    if (mode == EDGE)
        return i < 0 ? 0 : size - 1;
    if (mode == WRAP)
        return ((i % size) + size) % size;
    if (mode == REFLECT && size > 1) { /* there and back, the ends once */
        const int64_t period = 2 * (size - 1), at = ((i % period) + period) % period;
        return at < size ? at : period - at;
    }
    return mode == REFLECT ? 0 : -1;
}

/* Scratch holds the maps of all axes one behind another. */
static pare_status prepare(pri_call *call)
{
    size_t count = 0;

    for (int a = 0; a < call->out[0].shape.rank; a++)
        count += (size_t)call->out[0].shape.dims[a];
    call->scratch_bytes = (count + 1) * sizeof(int64_t);
    return PARE_OK;
}

static pare_status fill_maps(const pri_call *call, int64_t *maps[PRI_MAX_RANK])
{
    const pad_params *p = call->params;
    const pri_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
    int64_t strides[PRI_MAX_RANK], *at = call->scratch;
    amounts a;

    PRI_TRY(read_amounts(call, &a));
    pri_shape_strides(strides, x);
    for (int i = 0; i < y->rank; i++) {
        maps[i] = at;
        for (int64_t o = 0; o < y->dims[i]; o++) {
            const int64_t source = source_of(p->mode, o - a.begin[i], x->dims[i]);
            *at++ = source < 0 ? -1 : source * strides[i];
        }
    }
    return PARE_OK;
}

/* The input offset of row `row` of the output without its last axis; -1 outside. */
static int64_t row_offset(const pri_shape *y, int64_t *const *maps, int64_t row)
{
    int64_t offset = 0;

    for (int a = y->rank - 2; a >= 0; a--) {
        const int64_t at = maps[a][row % y->dims[a]];
        row /= y->dims[a];
        if (at < 0)
            return -1;
        offset += at;
    }
    return offset;
}

static void write_row(const pri_call *call, const int64_t *map, int64_t length, int64_t to,
                      int64_t from, const char *fill)
{
    const size_t bytes = pri_dtype_bytes(call->out[0].dtype);
    const char *x = call->in[0].data;
    char *y = (char *)call->out[0].data + (size_t)to * bytes;

    for (int64_t i = 0; i < length;) {
        int64_t run = 1;
        if (from < 0 || map[i] < 0) {
            memcpy(y + (size_t)i * bytes, fill, bytes);
            i++;
            continue;
        }
        while (i + run < length && map[i + run] == map[i] + run)
            run++;
        memcpy(y + (size_t)i * bytes, x + (size_t)(from + map[i]) * bytes, (size_t)run * bytes);
        i += run;
    }
}

static pare_status forward(pri_call *call)
{
    const pri_shape *y = &call->out[0].shape;
    const pri_operand *value = pri_in(call, 2);
    int64_t *maps[PRI_MAX_RANK], number = 0;
    const pri_operand fill = {.dtype = call->out[0].dtype, .data = &number};

    PRI_TRY(fill_maps(call, maps));
    if (value != NULL)
        memcpy(&number, value->data, pri_dtype_bytes(fill.dtype));
    else if (pri_is_float(fill.dtype)) /* the attribute belongs to opsets that pad floats alone */
        pri_set_number(&fill, 0, pri_node_attr_float(call->node, "value", 0));
    if (y->rank == 0) {
        memcpy(call->out[0].data, call->in[0].data, pri_dtype_bytes(fill.dtype));
        return PARE_OK;
    }
    const int64_t length = y->dims[y->rank - 1], rows = pri_shape_span(y, 0, y->rank - 1);
#pragma omp parallel for schedule(static) if (rows * length > 32768)
    for (int64_t row = 0; row < rows; row++)
        write_row(call, maps[y->rank - 1], length, row * length, row_offset(y, maps, row),
                  (const char *)&number);
    return PARE_OK;
}

static pare_status backward(pri_call *call)
{
    const pri_shape *y = &call->out[0].shape;
    int64_t *maps[PRI_MAX_RANK];

    if (call->grad_in[0] == NULL || call->grad_out[0] == NULL)
        return PARE_OK;
    PRI_TRY(fill_maps(call, maps));
    const int64_t length = y->rank > 0 ? y->dims[y->rank - 1] : 0;
    if (y->rank == 0)
        call->grad_in[0][0] += call->grad_out[0][0];
    for (int64_t row = 0; row < pri_shape_span(y, 0, y->rank - 1) && length > 0; row++) {
        const int64_t from = row_offset(y, maps, row), *map = maps[y->rank - 1];
        for (int64_t i = 0; i < length && from >= 0; i++) {
            if (map[i] >= 0)
                call->grad_in[0][from + map[i]] += call->grad_out[0][row * length + i];
        }
    }
    return PARE_OK;
}

/* --- Channels --- */

/* Repeated channels cannot be restated once some are gone. */
static pare_status couple(const pri_call *call, pri_rules *rules)
{
    static const char reason[] = "repeats some of these channels as padding";
    const pad_params *p = call->params;
    amounts a;

    PRI_TRY(read_amounts(call, &a));
    for (int i = 0; i < call->in[0].shape.rank && p->mode != CONSTANT; i++) {
        if (a.begin[i] == 0 && a.end[i] == 0)
            continue;
        PRI_TRY(pri_rules_pin(rules, 0, i, reason));
        PRI_TRY(pri_rules_pin(rules, PRI_OUT(0), i, reason));
    }
    return PARE_OK;
}

/* `amount` at one end: padding elements are channels too, as many stay as the readers keep; of a
 * crop, as many as are still there. */
static int64_t restated(int64_t amount, const bool *keep_in, int64_t size_in, const bool *keep_out,
                        int64_t size_out, bool is_end)
{
    const bool *keep = amount < 0 ? keep_in : keep_out;
    const int64_t size = amount < 0 ? size_in : size_out, count = amount < 0 ? -amount : amount;
    const int64_t kept =
        is_end ? pri_count_kept(keep, size - count, size) : pri_count_kept(keep, 0, count);

    return amount < 0 ? -kept : kept;
}

static pare_status resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                          pri_node *node)
{
    const pri_shape *x = &call->in[0].shape, *y = &call->out[0].shape;
    int64_t pads[2 * PRI_MAX_RANK] = {0};
    amounts a;

    PRI_TRY(read_amounts(call, &a));
    for (int k = 0; k < a.count; k++) {
        const int i = a.axes[k];
        const bool *keep_in = pri_cut_keep(cut, 0, i), *keep_out = pri_cut_keep(cut, PRI_OUT(0), i);
        pads[k] = restated(a.begin[i], keep_in, x->dims[i], keep_out, y->dims[i], false);
        pads[k + a.count] = restated(a.end[i], keep_in, x->dims[i], keep_out, y->dims[i], true);
    }
    return pri_op_restate(graph, node, "pads", 1, pads, 2 * a.count);
}

const pri_op pri_op_pad = {
    .name = "Pad",
    .summary = "padding: constant, reflected, edge or wrapped",
    .min_opset = 2, /* the first called its attribute paddings */
    .max_opset = 21,
    .min_in = 1,
    .max_in = 4,
    .n_out = 1,
    .params_size = sizeof(pad_params),
    .is_movement = true,
    .fill_slot = 2,
    .parse = parse,
    .infer = infer,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .couple = couple,
    .resize = resize,
};
