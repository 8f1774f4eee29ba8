/* SPDX-License-Identifier: Apache-2.0 */
/* conv_groups.c - which channels of a convolution in groups go together. */
#include "ops/conv.h"

/*
 * A grouped convolution loses either whole groups (inputs and outputs of a group are one unit), or
 * the same positions of every group. What leaves more units is chosen; a depthwise one has no
 * positions.
 */
bool pri_conv_loses_groups(const pri_call *call, int64_t groups)
{
    const int64_t inputs = call->in[0].shape.dims[1] / groups;
    const int64_t outputs = call->out[0].shape.dims[1] / groups;

    return groups > 1 && (inputs == 1 || groups >= inputs + outputs);
}

static pare_status tie_positions(pri_rules *rules, int slot, int64_t groups, int64_t size)
{
    for (int64_t g = 1; g < groups; g++)
        PRI_TRY(pri_rules_tie(rules, slot, 1, 0, slot, 1, g * size, size));
    return PARE_OK;
}

/* All inputs and outputs of a group to its first input. */
static pare_status tie_group(pri_rules *rules, int64_t group, int64_t inputs, int64_t outputs)
{
    for (int64_t i = 1; i < inputs; i++)
        PRI_TRY(pri_rules_tie(rules, 0, 1, group * inputs, 0, 1, group * inputs + i, 1));
    for (int64_t o = 0; o < outputs; o++)
        PRI_TRY(pri_rules_tie(rules, 0, 1, group * inputs, PRI_OUT(0), 1, group * outputs + o, 1));
    return PARE_OK;
}

pare_status pri_conv_couple_groups(const pri_call *call, pri_rules *rules, int64_t groups,
                                   int in_weight_axis, int out_weight_axis)
{
    const int64_t inputs = call->in[0].shape.dims[1];
    const int64_t outputs = call->out[0].shape.dims[1];
    const int64_t per_in = inputs / groups, per_out = outputs / groups;
    /* which weight axis runs over all groups: Conv: outputs (axis 0), ConvTranspose: inputs */
    const bool in_is_full = in_weight_axis == 0;

    PRI_TRY(pri_rules_tie(rules, 0, 0, 0, PRI_OUT(0), 0, 0, call->in[0].shape.dims[0]));
    PRI_TRY(pri_rules_tie(rules, 2, 0, 0, PRI_OUT(0), 1, 0, outputs));
    if (call->in[1].constant == NULL) /* nothing could make it read zero for a channel */
        PRI_TRY(pri_rules_pin(rules, 0, 1, "its weights are computed at run time"));
    if (groups == 1) {
        PRI_TRY(pri_rules_tie(rules, 1, in_weight_axis, 0, 0, 1, 0, inputs));
        return pri_rules_tie(rules, 1, out_weight_axis, 0, PRI_OUT(0), 1, 0, outputs);
    }
    PRI_TRY(pri_rules_tie(rules, 1, 0, 0, in_is_full ? 0 : PRI_OUT(0), 1, 0,
                          in_is_full ? inputs : outputs));
    if (pri_conv_loses_groups(call, groups)) {
        for (int64_t g = 0; g < groups; g++)
            PRI_TRY(tie_group(rules, g, per_in, per_out));
        return PARE_OK;
    }
    PRI_TRY(tie_positions(rules, 0, groups, per_in));
    PRI_TRY(tie_positions(rules, PRI_OUT(0), groups, per_out));
    return pri_rules_tie(rules, 1, 1, 0, in_is_full ? PRI_OUT(0) : 0, 1, 0,
                         in_is_full ? per_out : per_in);
}

pare_status pri_conv_resize(const pri_call *call, const pri_cut *cut, pri_graph *graph,
                            pri_node *node)
{
    const pri_conv_params *p = call->params;

    if (!pri_conv_loses_groups(call, p->group))
        return PARE_OK;
    const int64_t per_in = call->in[0].shape.dims[1] / p->group;
    return pri_node_set_int(graph, node, "group", pri_cut_dim(cut, 0, 1) / per_in);
}
