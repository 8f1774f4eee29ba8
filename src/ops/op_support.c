/* SPDX-License-Identifier: Apache-2.0 */
/* op_support.c - helpers of operator files, and running one operator alone. */
#include "ops/op_support.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const pri_operand *pri_in(const pri_call *call, int k)
{
    return k < call->n_in && call->in[k].present ? &call->in[k] : NULL;
}

pare_status pri_op_fail(const pri_call *call, pare_status status, const char *format, ...)
{
    char node[PRI_NODE_TEXT], text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return pri_fail(call->ctx, status, "%s: %s",
                    call->node != NULL ? pri_node_text(node, call->node) : call->op->name, text);
}

pare_status pri_parse_fail(pare_context *ctx, const pri_node *node, const char *format, ...)
{
    char name[PRI_NODE_TEXT], text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return pri_fail(ctx, PARE_ERROR_UNSUPPORTED, "%s: %s", pri_node_text(name, node), text);
}

pare_status pri_op_ints(const pri_call *call, int slot, int64_t *values, int max, int *count)
{
    const pri_operand *operand = pri_in(call, slot);

    *count = -1;
    if (operand == NULL)
        return PARE_OK;
    if (operand->constant == NULL)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                           "input %d must be constant; it is computed at run time", slot);
    const int64_t n = pri_tensor_count(operand->constant);
    if (n > max)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                           "input %d has %lld numbers, at most %d fit", slot, (long long)n, max);
    for (int64_t i = 0; i < n; i++)
        values[i] = pri_tensor_get_i64(operand->constant, i);
    *count = (int)n;
    return PARE_OK;
}

pare_status pri_op_numbers(const pri_call *call, const char *name, int slot,
                           int64_t values[PRI_MAX_RANK], int *count)
{
    const pri_attr *attr = pri_node_attr(call->node, name);

    *count = -1;
    if (attr == NULL)
        return pri_op_ints(call, slot, values, PRI_MAX_RANK, count);
    if (attr->count > PRI_MAX_RANK)
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "%s is too long", name);
    for (int k = 0; k < attr->count; k++)
        values[k] = attr->ints[k];
    *count = attr->count;
    return PARE_OK;
}

pare_status pri_op_restate(pri_graph *graph, pri_node *node, const char *name, int slot,
                           const int64_t *values, int count)
{
    const pri_shape shape = pri_shape_of(1, (const int64_t[]){count});
    pri_tensor *tensor = NULL;

    if (pri_node_attr(node, name) != NULL)
        return pri_node_set_ints(graph, node, name, values, count);
    PRI_TRY(pri_tensor_new(&tensor, graph->ctx, PRI_I64, &shape));
    memcpy(tensor->data, values, (size_t)count * sizeof *values);
    pri_value *value = pri_graph_add_constant(graph, "", tensor);
    if (value == NULL)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_graph_grow_inputs(graph, node, slot + 1));
    return pri_graph_set_input(graph, node, slot, value);
}

int64_t pri_count_kept(const bool *keep, int64_t from, int64_t to)
{
    int64_t count = 0;

    for (int64_t i = from; i < to; i++)
        count += keep == NULL || keep[i];
    return count;
}

/* Shape arithmetic is a short chain, so a bound on the depth suffices instead of marks. */
static bool depends_on_shape(const pri_value *value, int depth)
{
    if (value == NULL || value->constant != NULL || value->producer == NULL || depth == 0)
        return false;
    if (value->producer->op != NULL && value->producer->op->reads_shapes_only)
        return true;
    for (int k = 0; k < value->producer->n_inputs; k++) {
        if (depends_on_shape(value->producer->inputs[k], depth - 1))
            return true;
    }
    return false;
}

bool pri_follows_shapes(const pri_node *node, int slot)
{
    return slot < node->n_inputs && depends_on_shape(node->inputs[slot], 12);
}

pare_status pri_need_float(const pri_call *call, unsigned slots)
{
    for (int k = 0; k < call->n_in && k < 32; k++) {
        if ((slots >> k & 1) == 0 || !call->in[k].present || call->in[k].dtype == PRI_F32)
            continue;
        return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "input %d is %s; only float32 runs", k,
                           pri_dtype_name(call->in[k].dtype));
    }
    return PARE_OK;
}

pare_status pri_infer_same(pri_call *call)
{
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape = call->in[0].shape;
    return PARE_OK;
}

pare_status pri_couple_same(const pri_call *call, pri_rules *rules)
{
    for (int a = 0; a < call->in[0].shape.rank; a++)
        PRI_TRY(pri_rules_tie(rules, 0, a, 0, PRI_OUT(0), a, 0, call->in[0].shape.dims[a]));
    return PARE_OK;
}

pare_status pri_couple_broadcast(const pri_call *call, pri_rules *rules, int k)
{
    const pri_shape *x = &call->in[k].shape, *y = &call->out[0].shape;

    for (int a = 0; a < x->rank; a++) {
        const int b = a + y->rank - x->rank;
        if (x->dims[a] == y->dims[b])
            PRI_TRY(pri_rules_tie(rules, k, a, 0, PRI_OUT(0), b, 0, x->dims[a]));
    }
    return PARE_OK;
}

pare_status pri_couple_channels(const pri_call *call, pri_rules *rules)
{
    for (int a = 0; a < 2; a++)
        PRI_TRY(pri_rules_tie(rules, 0, a, 0, PRI_OUT(0), a, 0, call->in[0].shape.dims[a]));
    return PARE_OK;
}

pri_lines pri_lines_of(const pri_shape *shape, int axis)
{
    const int64_t inner = pri_shape_span(shape, axis + 1, shape->rank);

    return (pri_lines){.count = pri_shape_span(shape, 0, axis) * inner,
                       .size = axis < shape->rank ? shape->dims[axis] : 1,
                       .inner = pri_max_i64(1, inner)};
}

pare_status pri_axis_of(int *axis, const pri_call *call, const char *name, int64_t fallback,
                        int rank)
{
    const int64_t stated = pri_node_attr_int(call->node, name, fallback);

    *axis = pri_axis(stated, rank);
    return *axis >= 0 ? PARE_OK
                      : pri_op_fail(call, PARE_ERROR_SHAPE, "%s %lld is out of range for rank %d",
                                    name, (long long)stated, rank);
}

pare_status pri_couple_around(const pri_call *call, pri_rules *rules, int from, int to,
                              const char *reason)
{
    const pri_shape *x = &call->in[0].shape;

    for (int a = from; a < to; a++)
        PRI_TRY(pri_rules_pin(rules, 0, a, reason));
    for (int k = 0; k < call->n_out; k++) {
        const bool keeps = call->out[k].present && call->out[k].shape.rank == x->rank;
        for (int a = from; a < to && keeps; a++)
            PRI_TRY(pri_rules_pin(rules, PRI_OUT(k), a, reason));
        for (int a = 0; a < x->rank && call->out[k].present; a++) {
            if (a < from || a >= to)
                PRI_TRY(pri_rules_tie(rules, 0, a, 0, PRI_OUT(k),
                                      keeps || a < from ? a : a - (to - from), 0, x->dims[a]));
        }
    }
    return PARE_OK;
}

pare_status pri_couple_lines(const pri_call *call, pri_rules *rules, int axis, const char *reason)
{
    return pri_couple_around(call, rules, axis, axis + 1, reason);
}

/* --- Windows --- */

static pare_status read_sizes(const pri_node *node, const char *name, int64_t *out, int *count,
                              pare_context *ctx)
{
    const pri_attr *attr = pri_node_attr(node, name);

    if (attr == NULL || attr->count == 0)
        return PARE_OK;
    if (attr->count > 3 || (*count > 0 && attr->count != *count))
        return pri_parse_fail(ctx, node, "%s has %d numbers", name, attr->count);
    *count = attr->count;
    for (int k = 0; k < attr->count; k++) {
        if (attr->ints[k] < 1 || attr->ints[k] > 1 << 20)
            return pri_parse_fail(ctx, node, "%s holds %lld", name, (long long)attr->ints[k]);
        out[k] = attr->ints[k];
    }
    return PARE_OK;
}

pare_status pri_window_parse(pri_window *window, const pri_node *node, pare_context *ctx)
{
    static const char *const modes[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    const char *mode = pri_node_attr_string(node, "auto_pad", "NOTSET");
    const pri_attr *pads = pri_node_attr(node, "pads");
    int count = 0;

    for (int k = 0; k < 3; k++)
        window->kernel[k] = window->stride[k] = window->dilation[k] = 1;
    PRI_TRY(read_sizes(node, "kernel_shape", window->kernel, &count, ctx));
    window->has_kernel = count > 0;
    PRI_TRY(read_sizes(node, "strides", window->stride, &count, ctx));
    PRI_TRY(read_sizes(node, "dilations", window->dilation, &count, ctx));
    window->spatial = count; /* 0: known from the input */
    window->ceil_mode = pri_node_attr_int(node, "ceil_mode", 0) != 0;
    window->auto_pad = -1;
    for (int i = 0; i < 4; i++) {
        if (strcmp(mode, modes[i]) == 0)
            window->auto_pad = i;
    }
    if (window->auto_pad < 0)
        return pri_parse_fail(ctx, node, "auto_pad '%s' is unknown", mode);
    if (pads == NULL || window->auto_pad != 0)
        return PARE_OK;
    if (pads->count % 2 != 0 || pads->count > 6 || (count > 0 && pads->count != 2 * count))
        return pri_parse_fail(ctx, node, "pads has %d numbers", pads->count);
    for (int k = 0; k < pads->count; k++) {
        if (pads->ints[k] < 0 || pads->ints[k] > 1 << 20)
            return pri_parse_fail(ctx, node, "pads holds %lld", (long long)pads->ints[k]);
        if (k < pads->count / 2)
            window->pad_begin[k] = pads->ints[k];
        else
            window->pad_end[k - pads->count / 2] = pads->ints[k];
    }
    return PARE_OK;
}

pare_status pri_window_apply(const pri_call *call, pri_window *window, const pri_shape *in,
                             int64_t out[3])
{
    if (in->rank < 3 || in->rank > 5)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "input has rank %d; images have 3 to 5",
                           in->rank);
    if (window->spatial > 0 && window->spatial != in->rank - 2)
        return pri_op_fail(call, PARE_ERROR_SHAPE, "window of %d axes on an input of rank %d",
                           window->spatial, in->rank);
    window->spatial = in->rank - 2;
    for (int k = 0; k < window->spatial; k++) {
        const int64_t size = in->dims[2 + k];
        const int64_t reach = (window->kernel[k] - 1) * window->dilation[k] + 1;
        if (window->auto_pad == 1 || window->auto_pad == 2) {
            const int64_t n = (size + window->stride[k] - 1) / window->stride[k];
            const int64_t pad = pri_max_i64(0, (n - 1) * window->stride[k] + reach - size);
            window->pad_begin[k] = window->auto_pad == 1 ? pad / 2 : pad - pad / 2;
            window->pad_end[k] = pad - window->pad_begin[k];
        }
        const int64_t room = size + window->pad_begin[k] + window->pad_end[k] - reach;
        if (room < 0)
            return pri_op_fail(call, PARE_ERROR_SHAPE,
                               "window of %lld does not fit an input of %lld along axis %d",
                               (long long)reach, (long long)size, 2 + k);
        out[k] = (window->ceil_mode ? (room + window->stride[k] - 1) / window->stride[k]
                                    : room / window->stride[k]) +
                 1;
        /* a window must start inside the input or its left padding */
        if (window->ceil_mode && (out[k] - 1) * window->stride[k] >= size + window->pad_begin[k])
            out[k]--;
    }
    return PARE_OK;
}

/* --- One operator alone --- */

typedef struct alone {
    pri_call call;
    pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
} alone;

pare_status pri_call_run(pri_call *call, pri_tensor **out)
{
    pare_status status = PARE_OK;

    for (int k = 0; k < call->n_out; k++)
        out[k] = NULL;
    for (int k = 0; k < call->n_in; k++)
        call->in[k].layout = PRI_PLAIN;
    if (call->op->prepare != NULL)
        status = call->op->prepare(call);
    for (int k = 0; k < call->n_out && status == PARE_OK; k++) {
        if (!call->out[k].present)
            continue;
        status = pri_tensor_new(&out[k], call->ctx, call->out[k].dtype, &call->out[k].shape);
        call->out[k].data = status == PARE_OK ? out[k]->data : NULL;
    }
    if (status == PARE_OK && call->scratch_bytes > 0) {
        call->scratch = pri_alloc_aligned(call->ctx, call->scratch_bytes);
        status = call->scratch == NULL ? PARE_ERROR_MEMORY : PARE_OK;
    }
    if (status == PARE_OK)
        status = call->op->forward(call);
    pri_free(call->scratch);
    if (call->op->release != NULL)
        call->op->release(call);
    for (int k = 0; k < call->n_out && status != PARE_OK; k++) {
        pri_tensor_free(out[k]);
        out[k] = NULL;
    }
    return status;
}

pare_status pri_call_take(const pri_call *call, int64_t *used)
{
    const int64_t limit = pri_growth_limit(call->ctx);
    int64_t room = limit - *used;

    for (int k = 0; k < call->n_out; k++) {
        const pri_operand *out = &call->out[k];
        const int64_t size = (int64_t)pri_dtype_bytes(out->dtype);
        if (!out->present || size == 0)
            continue;
        if (!pri_shape_is_sane(&out->shape) || pri_shape_count(&out->shape) > room / size)
            return pri_op_fail(call, PARE_ERROR_UNSUPPORTED,
                               "computes constants from the model's; all of them together may take "
                               "%lld MB, which these exceed",
                               (long long)(limit >> 20));
        room -= pri_shape_count(&out->shape) * size;
    }
    *used = limit - room;
    return PARE_OK;
}

pare_status pri_op_run(pare_context *ctx, const pri_op *op, const pri_node *node,
                       const void *params, int opset, int n_in, pri_tensor *const *in, int n_out,
                       pri_tensor **out, int64_t *used)
{
    int64_t none = 0;
    alone *a = pri_alloc(ctx, 1, sizeof *a);

    if (a == NULL)
        return PARE_ERROR_MEMORY;
    a->call = (pri_call){.ctx = ctx,
                         .op = op,
                         .node = node,
                         .params = params,
                         .opset = opset,
                         .n_in = n_in,
                         .n_out = n_out,
                         .in = a->in,
                         .out = a->out,
                         .weights_version = 1};
    for (int k = 0; k < n_in; k++) {
        if (in[k] != NULL)
            a->in[k] = (pri_operand){.present = true,
                                     .dtype = in[k]->dtype,
                                     .shape = in[k]->shape,
                                     .data = in[k]->data,
                                     .constant = in[k]};
    }
    for (int k = 0; k < n_out; k++) {
        a->out[k].present = node == NULL || (k < node->n_outputs && node->outputs[k] != NULL);
        out[k] = NULL;
    }
    pare_status status = op->infer(&a->call);
    if (status == PARE_OK && op->forward == NULL)
        status = pri_op_fail(&a->call, PARE_ERROR_UNSUPPORTED, "cannot be run by pare");
    if (status == PARE_OK)
        status = pri_call_take(&a->call, used != NULL ? used : &none);
    if (status == PARE_OK)
        status = pri_call_run(&a->call, out);
    pri_free(a);
    return status;
}
