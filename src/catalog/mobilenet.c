/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mobilenet.c - MobileNetV2 (Sandler et al. 2018, table 2). Its five halvings are meant for
 * 224 pixels: below 128 the stem keeps the size, below 64 also the second stage.
 */
#include "catalog/networks.h"

/* Expansion 1x1, depthwise 3x3, linear projection 1x1; a shortcut where the shape stays. */
static pri_feature add_block(pri_net *net, pri_feature x, const char *name, int64_t expansion,
                             int64_t outputs, int64_t stride)
{
    const pri_feature shortcut = x;
    const int64_t hidden = expansion * x.channels;
    const pri_conv_spec expand = {.outputs = hidden};
    const pri_conv_spec depthwise = {
        .outputs = hidden, .kernel = 3, .stride = stride, .padding = 1, .groups = hidden};
    const pri_conv_spec project = {.outputs = outputs, .is_last = true};

    if (expansion > 1)
        x = pri_net_conv_norm(net, x, pri_net_name(net, "%s.expand", name),
                              pri_net_name(net, "%s.expand.bn", name), &expand, PRI_RELU6);
    x = pri_net_conv_norm(net, x, pri_net_name(net, "%s.depthwise", name),
                          pri_net_name(net, "%s.depthwise.bn", name), &depthwise, PRI_RELU6);
    x = pri_net_conv_norm(net, x, pri_net_name(net, "%s.project", name),
                          pri_net_name(net, "%s.project.bn", name), &project, PRI_NO_RECTIFIER);
    if (stride != 1 || shortcut.channels != outputs)
        return x;
    return pri_net_add(net, x, shortcut, pri_net_name(net, "%s.add", name));
}

void pri_build_mobilenetv2(pri_net *net)
{
    static const struct {
        int64_t expansion, outputs;
        int blocks;
        int64_t stride;
    } stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                  {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    const int64_t size = pri_min_i64(net->height, net->width);
    const pri_conv_spec stem = {
        .outputs = 32, .kernel = 3, .stride = size < 128 ? 1 : 2, .padding = 1};
    const pri_conv_spec last = {.outputs = 1280};
    pri_feature x = pri_net_input(net);

    x = pri_net_conv_norm(net, x, "stem", "stem.bn", &stem, PRI_RELU6);
    for (int s = 0; s < (int)PRI_COUNT(stages); s++) {
        for (int k = 0; k < stages[s].blocks; k++) {
            const bool keeps_size = k > 0 || (s == 1 && size < 64);
            x = add_block(net, x, pri_net_name(net, "stage%d.%d", s + 1, k), stages[s].expansion,
                          stages[s].outputs, keeps_size ? 1 : stages[s].stride);
        }
    }
    x = pri_net_conv_norm(net, x, "last", "last.bn", &last, PRI_RELU6);
    pri_net_class_head(net, x, "classifier");
}
