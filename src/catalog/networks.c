/* SPDX-License-Identifier: Apache-2.0 */
/* networks.c - the table of networks, and making one of them. */
#include "catalog/networks.h"

#include <string.h>

#include "base/text.h"
#include "model/model.h"

static const pri_network table[] = {
    {"lenet5", "LeNet-5 with 20 and 50 filters, for digits (LeCun et al. 1998)", 16, 1,
     pri_build_lenet5},
    {"lenet-300-100", "two hidden layers of 300 and 100 units (LeCun et al. 1998)", 2, 1,
     pri_build_lenet_300_100},
    {"vgg16-bn", "VGG-16 with batch normalisation and one dense layer (Simonyan, Zisserman 2015)",
     8, 1, pri_build_vgg16_bn},
    {"resnet20", "ResNet-20 for small images, projection shortcuts (He et al. 2016)", 8, 1,
     pri_build_resnet20},
    {"resnet56", "ResNet-56 for small images, projection shortcuts (He et al. 2016)", 8, 1,
     pri_build_resnet56},
    {"resnet18", "ResNet-18; a 3x3 stem below 128 pixels (He et al. 2016)", 16, 1,
     pri_build_resnet18},
    {"mobilenetv2", "MobileNetV2; fewer strides below 128 pixels (Sandler et al. 2018)", 16, 1,
     pri_build_mobilenetv2},
    {"unet", "U-Net of four levels from 16 channels, a mask (Ronneberger et al. 2015)", 16, 16,
     pri_build_unet},
    {"duo", "a small residual network with a class head and a mask head", 16, 16, pri_build_duo},
};

enum { MAX_CLASSES = 100000, MAX_CHANNELS = 1024, MAX_SIZE = 16384 };

const char *pare_architecture_name(int index)
{
    return index >= 0 && index < (int)PRI_COUNT(table) ? table[index].name : NULL;
}

const char *pare_architecture_summary(int index)
{
    return index >= 0 && index < (int)PRI_COUNT(table) ? table[index].summary : NULL;
}

static pare_status fail_unknown(pare_context *ctx, const char *name)
{
    pri_text names;
    pri_text_init(&names, ctx);
    for (size_t i = 0; i < PRI_COUNT(table); i++)
        pri_text_addf(&names, "%s%s", i > 0 ? ", " : "", table[i].name);
    const pare_status status =
        pri_fail(ctx, PARE_ERROR_ARGUMENT, "there is no architecture '%s'; known are %s", name,
                 pri_text_get(&names));

    pri_text_clear(&names);
    return status;
}

static pare_status check_range(pare_context *ctx, const char *what, int64_t value, int64_t least,
                               int64_t most)
{
    if (value >= least && value <= most)
        return PARE_OK;
    return pri_fail(ctx, PARE_ERROR_ARGUMENT, "%s: %lld is not in %lld .. %lld", what,
                    (long long)value, (long long)least, (long long)most);
}

static pare_status check_input(pare_context *ctx, const pri_network *network, int64_t height,
                               int64_t width)
{
    if (height < network->min_size || width < network->min_size)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                        "%s needs images of at least %lldx%lld pixels, not %lldx%lld",
                        network->name, (long long)network->min_size, (long long)network->min_size,
                        (long long)height, (long long)width);
    if (height % network->multiple != 0 || width % network->multiple != 0)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                        "%s halves and doubles the image: height and width must be multiples of "
                        "%lld, not %lldx%lld",
                        network->name, (long long)network->multiple, (long long)height,
                        (long long)width);
    return PARE_OK;
}

pare_status pare_model_new(pare_model **out, pare_context *ctx, const char *architecture,
                           int64_t classes, int64_t channels, int64_t height, int64_t width,
                           uint64_t seed)
{
    const pri_network *network = NULL;
    pri_net net = {
        .seed = seed, .classes = classes, .channels = channels, .height = height, .width = width};

    *out = NULL;
    for (size_t i = 0; i < PRI_COUNT(table) && network == NULL; i++) {
        if (strcmp(table[i].name, architecture) == 0)
            network = &table[i];
    }
    if (network == NULL)
        return fail_unknown(ctx, architecture);
    PRI_TRY(check_range(ctx, "number of classes", classes, 2, MAX_CLASSES));
    PRI_TRY(check_range(ctx, "input channels", channels, 1, MAX_CHANNELS));
    PRI_TRY(check_range(ctx, "input height", height, 1, MAX_SIZE));
    PRI_TRY(check_range(ctx, "input width", width, 1, MAX_SIZE));
    PRI_TRY(check_input(ctx, network, height, width));
    PRI_TRY(pri_graph_new(&net.graph, ctx));
    net.graph->name = network->name;
    net.graph->opset = 13;
    network->build(&net);
    if (net.status != PARE_OK) {
        pri_note(ctx, "while making '%s'", network->name);
        pri_graph_free(net.graph);
        return net.status;
    }
    return pri_model_from_graph(out, net.graph);
}
