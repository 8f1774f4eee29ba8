/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgg.c - VGG-16 with batch normalisation (Simonyan, Zisserman 2015, configuration D). Global
 * pooling and one dense layer replace the three dense layers, as usual for small images, so any
 * size fits; an image that has shrunk to one pixel is no longer pooled.
 */
#include "catalog/networks.h"

void pri_build_vgg16_bn(pri_net *net)
{
    static const struct {
        int64_t outputs;
        int layers;
    } stages[] = {{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}};
    pri_feature x = pri_net_input(net);

    for (int s = 0; s < (int)PRI_COUNT(stages); s++) {
        for (int k = 0; k < stages[s].layers; k++)
            x = pri_net_conv_norm(
                net, x, pri_net_name(net, "stage%d.%d.conv", s + 1, k),
                pri_net_name(net, "stage%d.%d.bn", s + 1, k),
                &(pri_conv_spec){.outputs = stages[s].outputs, .kernel = 3, .padding = 1},
                PRI_RELU);
        if (x.height > 1 && x.width > 1)
            x = pri_net_max_pool(net, x, pri_net_name(net, "stage%d.pool", s + 1), 2, 2, 0);
    }
    pri_net_class_head(net, x, "classifier");
}
