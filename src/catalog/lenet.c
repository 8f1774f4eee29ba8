/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lenet.c - LeNet-5 and LeNet-300-100, the two networks the pruning literature starts from
 * (LeCun et al. 1998; widths as in Han et al. 2015, table 1).
 */
#include "catalog/networks.h"

static void finish(pri_net *net, pri_feature x, const char *name)
{
    net->next_value = "scores";
    pri_net_output(net, pri_net_dense(net, x, name, net->classes, true));
}

void pri_build_lenet5(pri_net *net)
{
    pri_feature x = pri_net_input(net);

    x = pri_net_conv(net, x, "conv1",
                     &(pri_conv_spec){.outputs = 20, .kernel = 5, .has_bias = true});
    x = pri_net_rectify(net, x, "relu1", PRI_RELU);
    x = pri_net_max_pool(net, x, "pool1", 2, 2, 0);
    x = pri_net_conv(net, x, "conv2",
                     &(pri_conv_spec){.outputs = 50, .kernel = 5, .has_bias = true});
    x = pri_net_rectify(net, x, "relu2", PRI_RELU);
    x = pri_net_max_pool(net, x, "pool2", 2, 2, 0);
    x = pri_net_flatten(net, x, "flatten");
    x = pri_net_dense(net, x, "fc1", 500, false);
    x = pri_net_rectify(net, x, "relu3", PRI_RELU);
    finish(net, x, "fc2");
}

void pri_build_lenet_300_100(pri_net *net)
{
    pri_feature x = pri_net_flatten(net, pri_net_input(net), "flatten");

    x = pri_net_dense(net, x, "fc1", 300, false);
    x = pri_net_rectify(net, x, "relu1", PRI_RELU);
    x = pri_net_dense(net, x, "fc2", 100, false);
    x = pri_net_rectify(net, x, "relu2", PRI_RELU);
    finish(net, x, "fc3");
}
