/* SPDX-License-Identifier: Apache-2.0 */
/* networks.h - the table of networks that pare_model_new can make. */
#ifndef PRI_NETWORKS_H
#define PRI_NETWORKS_H

#include "catalog/net.h"

typedef struct pri_network {
    const char *name;
    const char *summary;         /* one line for `pare list architectures` */
    int64_t min_size;            /* of the shorter side of an image */
    int64_t multiple;            /* height and width must be multiples of it */
    void (*build)(pri_net *net); /* failures stay in net->status */
} pri_network;

void pri_build_lenet5(pri_net *net);
void pri_build_lenet_300_100(pri_net *net);
void pri_build_vgg16_bn(pri_net *net);
void pri_build_resnet20(pri_net *net);
void pri_build_resnet56(pri_net *net);
void pri_build_resnet18(pri_net *net);
void pri_build_mobilenetv2(pri_net *net);
void pri_build_unet(pri_net *net);
void pri_build_duo(pri_net *net);

/* conv3x3 - norm - relu - conv3x3 - norm, plus the input or its projection, relu; the layers are
 * called "NAME.conv1", "NAME.bn1", ... (He et al. 2016, fig. 2). */
pri_feature pri_net_basic_block(pri_net *net, pri_feature x, const char *name, int64_t outputs,
                                int64_t stride);

#endif
