/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.c - layers of a network under construction, and their first weights.
 *
 * Weights are normal with variance gain^2 / fan-in, where fan-in counts the inputs of one output
 * and gain^2 is 2 before a rectifier (He et al. 2015, eq. 10) and 1 before logits. Biases are 0,
 * normalisations start as the identity.
 */
#include "catalog/net.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/random.h"

static const pri_feature nothing = {0};

const char *pri_net_name(pri_net *net, const char *format, ...)
{
    char text[128];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *name = pri_arena_strdup(net->graph->arena, text);
    if (name == NULL)
        net->status = PARE_ERROR_MEMORY;
    return name != NULL ? name : "";
}

static void check(pri_net *net, pare_status status)
{
    if (net->status == PARE_OK)
        net->status = status;
}

/* --- Weights --- */

/* Adds NAME.SUFFIX full of `value`, or normal with standard deviation `spread` where that is
 * above 0. NULL once something failed. */
static pri_value *add_weight(pri_net *net, const char *name, const char *suffix,
                             const pri_shape *shape, double value, double spread)
{
    const char *full = pri_net_name(net, "%s.%s", name, suffix);
    pri_tensor *tensor = NULL;

    if (net->status != PARE_OK)
        return NULL;
    if (pri_shape_count(shape) < 0) {
        net->status = pri_fail(net->graph->ctx, PARE_ERROR_ARGUMENT,
                               "'%s' would have too many weights", full);
        return NULL;
    }
    check(net, pri_tensor_new(&tensor, net->graph->ctx, PRI_F32, shape));
    if (tensor == NULL)
        return NULL;
    const int64_t count = pri_tensor_count(tensor);
    float *data = tensor->data;
    if (spread > 0) {
        const uint64_t stream = PRI_STREAM_INIT + (net->n_random++ << 32);
        for (int64_t i = 0; i < count; i++)
            data[i] = (float)(spread * pri_random_normal(net->seed, stream, (uint64_t)i));
    } else {
        for (int64_t i = 0; i < count; i++)
            data[i] = (float)value;
    }
    pri_value *weight = pri_graph_add_constant(net->graph, full, tensor);
    check(net, weight != NULL ? PARE_OK : PARE_ERROR_MEMORY);
    return weight;
}

static pri_value *add_vector(pri_net *net, const char *name, const char *suffix, int64_t size,
                             double value)
{
    const pri_shape shape = pri_shape_of(1, &size);

    return add_weight(net, name, suffix, &shape, value, 0);
}

static double spread_of(int64_t fan_in, bool is_last)
{
    return sqrt((is_last ? 1.0 : 2.0) / (double)fan_in);
}

static pri_value *add_scalar(pri_net *net, const char *name, float number)
{
    const pri_shape scalar = {0};
    pri_tensor *tensor = NULL;

    check(net, pri_tensor_new(&tensor, net->graph->ctx, PRI_F32, &scalar));
    if (net->status != PARE_OK)
        return NULL;
    *(float *)tensor->data = number;
    pri_value *value = pri_graph_add_constant(net->graph, name, tensor);
    check(net, value != NULL ? PARE_OK : PARE_ERROR_MEMORY);
    return value;
}

/* --- Nodes --- */

/* Adds a node of one output; *made is what it gives, called as the node unless next_value says
 * otherwise. */
static pri_node *add_node(pri_net *net, const char *op_type, const char *name, int n_inputs,
                          pri_value *const *inputs, pri_value **made)
{
    pri_node *node = NULL;

    *made = NULL;
    if (net->status != PARE_OK)
        return NULL;
    *made = pri_graph_add_value(net->graph, net->next_value != NULL ? net->next_value : name);
    net->next_value = NULL;
    if (*made != NULL)
        node = pri_graph_add_node(net->graph, op_type, name, n_inputs, inputs, 1, made);
    check(net, node != NULL ? PARE_OK : PARE_ERROR_MEMORY);
    return node;
}

static void set_ints(pri_net *net, pri_node *node, const char *name, int64_t value, int count)
{
    const int64_t values[4] = {value, value, value, value};

    if (net->status == PARE_OK)
        check(net, pri_node_set_ints(net->graph, node, name, values, count));
}

static void set_int(pri_net *net, pri_node *node, const char *name, int64_t value)
{
    if (net->status == PARE_OK)
        check(net, pri_node_set_int(net->graph, node, name, value));
}

static int64_t size_after(int64_t size, int64_t kernel, int64_t stride, int64_t padding)
{
    return (size + 2 * padding - kernel) / stride + 1;
}

pri_feature pri_net_input(pri_net *net)
{
    const int64_t dims[4] = {PRI_DYNAMIC, net->channels, net->height, net->width};
    const pri_shape shape = pri_shape_of(4, dims);
    pri_value *value = pri_graph_add_value(net->graph, "image");

    if (value == NULL) {
        net->status = PARE_ERROR_MEMORY;
        return nothing;
    }
    check(net, pri_graph_add_input(net->graph, value, PRI_F32, &shape));
    return (pri_feature){value, net->channels, net->height, net->width, false};
}

pri_feature pri_net_conv(pri_net *net, pri_feature x, const char *name, const pri_conv_spec *spec)
{
    const int64_t kernel = pri_max_i64(spec->kernel, 1), stride = pri_max_i64(spec->stride, 1);
    const int64_t groups = pri_max_i64(spec->groups, 1);
    const int64_t dims[4] = {spec->outputs, x.channels / groups, kernel, kernel};
    const pri_shape shape = pri_shape_of(4, dims);
    pri_value *inputs[3] = {x.value, NULL, NULL}, *made;

    if (net->status != PARE_OK)
        return nothing;
    inputs[1] = add_weight(net, name, "weight", &shape, 0,
                           spread_of(dims[1] * kernel * kernel, spec->is_last));
    if (spec->has_bias)
        inputs[2] = add_vector(net, name, "bias", spec->outputs, 0);
    pri_node *node = add_node(net, "Conv", name, spec->has_bias ? 3 : 2, inputs, &made);
    set_ints(net, node, "kernel_shape", kernel, 2);
    set_ints(net, node, "strides", stride, 2);
    set_ints(net, node, "pads", spec->padding, 4);
    set_int(net, node, "group", groups);
    return (pri_feature){made, spec->outputs, size_after(x.height, kernel, stride, spec->padding),
                         size_after(x.width, kernel, stride, spec->padding), false};
}

pri_feature pri_net_up(pri_net *net, pri_feature x, const char *name, int64_t outputs, bool is_last)
{
    const int64_t dims[4] = {x.channels, outputs, 2, 2};
    const pri_shape shape = pri_shape_of(4, dims);
    pri_value *inputs[3] = {x.value, NULL, NULL}, *made;

    if (net->status != PARE_OK)
        return nothing;
    /* stride equals kernel: every output sees each input channel once */
    inputs[1] = add_weight(net, name, "weight", &shape, 0, spread_of(x.channels, is_last));
    inputs[2] = add_vector(net, name, "bias", outputs, 0);
    pri_node *node = add_node(net, "ConvTranspose", name, 3, inputs, &made);
    set_ints(net, node, "kernel_shape", 2, 2);
    set_ints(net, node, "strides", 2, 2);
    return (pri_feature){made, outputs, 2 * x.height, 2 * x.width, false};
}

pri_feature pri_net_norm(pri_net *net, pri_feature x, const char *name)
{
    pri_value *inputs[5] = {x.value, NULL, NULL, NULL, NULL};

    if (net->status != PARE_OK)
        return nothing;
    inputs[1] = add_vector(net, name, "weight", x.channels, 1);
    inputs[2] = add_vector(net, name, "bias", x.channels, 0);
    inputs[3] = add_vector(net, name, "running_mean", x.channels, 0);
    inputs[4] = add_vector(net, name, "running_var", x.channels, 1);
    (void)add_node(net, "BatchNormalization", name, 5, inputs, &x.value);
    return x;
}

pri_feature pri_net_rectify(pri_net *net, pri_feature x, const char *name, pri_rectifier kind)
{
    pri_value *inputs[3] = {x.value, NULL, NULL};

    if (net->status != PARE_OK || kind == PRI_NO_RECTIFIER)
        return x;
    if (kind == PRI_RELU) {
        (void)add_node(net, "Relu", name, 1, inputs, &x.value);
        return x;
    }
    if (net->zero == NULL)
        net->zero = add_scalar(net, "relu6.min", 0.0f);
    if (net->six == NULL)
        net->six = add_scalar(net, "relu6.max", 6.0f);
    inputs[1] = net->zero;
    inputs[2] = net->six;
    (void)add_node(net, "Clip", name, 3, inputs, &x.value);
    return x;
}

pri_feature pri_net_conv_norm(pri_net *net, pri_feature x, const char *conv, const char *norm,
                              const pri_conv_spec *spec, pri_rectifier kind)
{
    x = pri_net_norm(net, pri_net_conv(net, x, conv, spec), norm);
    return pri_net_rectify(net, x, pri_net_name(net, "%s.act", norm), kind);
}

pri_feature pri_net_add(pri_net *net, pri_feature a, pri_feature b, const char *name)
{
    pri_value *const inputs[2] = {a.value, b.value};

    (void)add_node(net, "Add", name, 2, inputs, &a.value);
    return a;
}

pri_feature pri_net_concat(pri_net *net, pri_feature a, pri_feature b, const char *name)
{
    pri_value *const inputs[2] = {a.value, b.value};
    pri_node *node = add_node(net, "Concat", name, 2, inputs, &a.value);

    set_int(net, node, "axis", 1);
    a.channels += b.channels;
    return a;
}

pri_feature pri_net_max_pool(pri_net *net, pri_feature x, const char *name, int64_t kernel,
                             int64_t stride, int64_t padding)
{
    pri_value *const inputs[1] = {x.value};
    pri_node *node = add_node(net, "MaxPool", name, 1, inputs, &x.value);

    set_ints(net, node, "kernel_shape", kernel, 2);
    set_ints(net, node, "strides", stride, 2);
    set_ints(net, node, "pads", padding, 4);
    x.height = size_after(x.height, kernel, stride, padding);
    x.width = size_after(x.width, kernel, stride, padding);
    return x;
}

pri_feature pri_net_global_pool(pri_net *net, pri_feature x, const char *name)
{
    pri_value *const inputs[1] = {x.value};

    (void)add_node(net, "GlobalAveragePool", name, 1, inputs, &x.value);
    x.height = x.width = 1;
    return x;
}

pri_feature pri_net_flatten(pri_net *net, pri_feature x, const char *name)
{
    pri_value *const inputs[1] = {x.value};
    pri_node *node = add_node(net, "Flatten", name, 1, inputs, &x.value);

    set_int(net, node, "axis", 1);
    return (pri_feature){x.value, x.channels * x.height * x.width, 1, 1, true};
}

pri_feature pri_net_dense(pri_net *net, pri_feature x, const char *name, int64_t outputs,
                          bool is_last)
{
    const int64_t dims[2] = {outputs, x.channels};
    const pri_shape shape = pri_shape_of(2, dims);
    pri_value *inputs[3] = {x.value, NULL, NULL};

    if (net->status != PARE_OK)
        return nothing;
    inputs[1] = add_weight(net, name, "weight", &shape, 0, spread_of(x.channels, is_last));
    inputs[2] = add_vector(net, name, "bias", outputs, 0);
    pri_node *node = add_node(net, "Gemm", name, 3, inputs, &x.value);
    set_int(net, node, "transB", 1);
    x.channels = outputs;
    return x;
}

void pri_net_class_head(pri_net *net, pri_feature x, const char *name)
{
    x = pri_net_global_pool(net, x, "pool");
    x = pri_net_flatten(net, x, "flatten");
    net->next_value = "scores";
    pri_net_output(net, pri_net_dense(net, x, name, net->classes, true));
}

void pri_net_output(pri_net *net, pri_feature x)
{
    const int64_t dims[4] = {PRI_DYNAMIC, x.channels, x.height, x.width};
    const pri_shape shape = pri_shape_of(x.is_flat ? 2 : 4, dims);

    if (net->status == PARE_OK)
        check(net, pri_graph_add_output(net->graph, x.value, PRI_F32, &shape));
}
