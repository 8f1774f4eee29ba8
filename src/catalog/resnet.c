/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resnet.c - residual networks (He et al. 2016): 6n+2 layers in three stages of 16, 32 and 64
 * channels for small images (section 4.2), and ResNet-18 (table 1). Shortcuts whose shape changes
 * are 1x1 convolutions with normalisation (option B).
 */
#include "catalog/networks.h"

pri_feature pri_net_basic_block(pri_net *net, pri_feature x, const char *name, int64_t outputs,
                                int64_t stride)
{
    const pri_conv_spec first = {.outputs = outputs, .kernel = 3, .stride = stride, .padding = 1};
    const pri_conv_spec second = {.outputs = outputs, .kernel = 3, .padding = 1};
    const pri_conv_spec projection = {.outputs = outputs, .stride = stride};
    pri_feature shortcut = x;

    x = pri_net_conv_norm(net, x, pri_net_name(net, "%s.conv1", name),
                          pri_net_name(net, "%s.bn1", name), &first, PRI_RELU);
    x = pri_net_conv_norm(net, x, pri_net_name(net, "%s.conv2", name),
                          pri_net_name(net, "%s.bn2", name), &second, PRI_NO_RECTIFIER);
    if (stride != 1 || shortcut.channels != outputs)
        shortcut = pri_net_conv_norm(net, shortcut, pri_net_name(net, "%s.downsample.0", name),
                                     pri_net_name(net, "%s.downsample.1", name), &projection,
                                     PRI_NO_RECTIFIER);
    x = pri_net_add(net, x, shortcut, pri_net_name(net, "%s.add", name));
    return pri_net_rectify(net, x, pri_net_name(net, "%s.relu", name), PRI_RELU);
}

/* Stages whose width doubles and whose size halves, from the second on. */
static pri_feature add_stages(pri_net *net, pri_feature x, int stages, int blocks, int64_t width)
{
    for (int s = 0; s < stages; s++) {
        for (int k = 0; k < blocks; k++)
            x = pri_net_basic_block(net, x, pri_net_name(net, "layer%d.%d", s + 1, k), width << s,
                                    s > 0 && k == 0 ? 2 : 1);
    }
    return x;
}

static void build_small(pri_net *net, int depth)
{
    const pri_conv_spec stem = {.outputs = 16, .kernel = 3, .padding = 1};
    pri_feature x = pri_net_input(net);

    x = pri_net_conv_norm(net, x, "conv1", "bn1", &stem, PRI_RELU);
    x = add_stages(net, x, 3, (depth - 2) / 6, 16);
    pri_net_class_head(net, x, "fc");
}

void pri_build_resnet20(pri_net *net)
{
    build_small(net, 20);
}

void pri_build_resnet56(pri_net *net)
{
    build_small(net, 56);
}

void pri_build_resnet18(pri_net *net)
{
    const bool is_large = pri_min_i64(net->height, net->width) >= 128;
    const pri_conv_spec large = {.outputs = 64, .kernel = 7, .stride = 2, .padding = 3};
    const pri_conv_spec small = {.outputs = 64, .kernel = 3, .padding = 1};
    pri_feature x = pri_net_input(net);

    x = pri_net_conv_norm(net, x, "conv1", "bn1", is_large ? &large : &small, PRI_RELU);
    if (is_large)
        x = pri_net_max_pool(net, x, "maxpool", 3, 2, 1);
    x = add_stages(net, x, 4, 2, 64);
    pri_net_class_head(net, x, "fc");
}
