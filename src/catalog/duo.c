/* SPDX-License-Identifier: Apache-2.0 */
/*
 * duo.c - one residual trunk with two heads: class scores, and a mask with a class for each pixel
 * (class 0 is the background). Meant for images of about 48 pixels: 0.2 million
 * weights and 7.5 million multiply-accumulates there, so that it trains in minutes without a GPU.
 *
 * The trunk halves the image four times while its width doubles from 12 to 96, so every stage
 * costs the same. The mask is built up from the end of the trunk, which has seen the whole
 * image, and sharpened by one skip connection at half the image's size.
 */
#include "catalog/networks.h"

enum { STAGES = 4, WIDTH = 12 };

static void add_mask_head(pri_net *net, pri_feature x, pri_feature skip)
{
    const pri_conv_spec merge = {.outputs = WIDTH, .kernel = 3, .padding = 1};

    for (int k = STAGES - 2; k >= 0; k--) {
        x = pri_net_up(net, x, pri_net_name(net, "mask.up%d", k + 1), WIDTH << k, false);
        x = pri_net_norm(net, x, pri_net_name(net, "mask.up%d.bn", k + 1));
        x = pri_net_rectify(net, x, pri_net_name(net, "mask.up%d.relu", k + 1), PRI_RELU);
    }
    x = pri_net_concat(net, x, skip, "mask.concat");
    x = pri_net_conv_norm(net, x, "mask.merge", "mask.merge.bn", &merge, PRI_RELU);
    net->next_value = "mask";
    pri_net_output(net, pri_net_up(net, x, "mask.head", net->classes + 1, true));
}

void pri_build_duo(pri_net *net)
{
    const pri_conv_spec stem = {.outputs = WIDTH, .kernel = 3, .stride = 2, .padding = 1};
    pri_feature skip = {0};
    pri_feature x = pri_net_input(net);

    x = pri_net_conv_norm(net, x, "stem", "stem.bn", &stem, PRI_RELU);
    for (int s = 0; s < STAGES; s++) {
        x = pri_net_basic_block(net, x, pri_net_name(net, "trunk.%d", s), WIDTH << s,
                                s > 0 ? 2 : 1);
        if (s == 0)
            skip = x;
    }
    pri_net_class_head(net, x, "fc");
    add_mask_head(net, x, skip);
}
