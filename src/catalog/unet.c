/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unet.c - U-Net (Ronneberger et al. 2015) with padding and normalisation: four levels of 16, 32,
 * 64 and 128 channels, 256 at the bottom; the output has the size of the image.
 */
#include "catalog/networks.h"

enum { LEVELS = 4, WIDTH = 16 };

static pri_feature add_pair(pri_net *net, pri_feature x, const char *name, int64_t outputs)
{
    const pri_conv_spec spec = {.outputs = outputs, .kernel = 3, .padding = 1};

    x = pri_net_conv_norm(net, x, pri_net_name(net, "%s.conv1", name),
                          pri_net_name(net, "%s.bn1", name), &spec, PRI_RELU);
    return pri_net_conv_norm(net, x, pri_net_name(net, "%s.conv2", name),
                             pri_net_name(net, "%s.bn2", name), &spec, PRI_RELU);
}

void pri_build_unet(pri_net *net)
{
    pri_feature skips[LEVELS];
    pri_feature x = pri_net_input(net);

    for (int k = 0; k < LEVELS; k++) {
        skips[k] = add_pair(net, x, pri_net_name(net, "down%d", k + 1), WIDTH << k);
        x = pri_net_max_pool(net, skips[k], pri_net_name(net, "down%d.pool", k + 1), 2, 2, 0);
    }
    x = add_pair(net, x, "bottom", WIDTH << LEVELS);
    for (int k = LEVELS - 1; k >= 0; k--) {
        x = pri_net_up(net, x, pri_net_name(net, "up%d.up", k + 1), WIDTH << k, true);
        x = pri_net_concat(net, skips[k], x, pri_net_name(net, "up%d.concat", k + 1));
        x = add_pair(net, x, pri_net_name(net, "up%d", k + 1), WIDTH << k);
    }
    net->next_value = "mask";
    x = pri_net_conv(net, x, "head",
                     &(pri_conv_spec){.outputs = net->classes, .has_bias = true, .is_last = true});
    pri_net_output(net, x);
}
