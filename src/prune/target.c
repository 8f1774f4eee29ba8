/* SPDX-License-Identifier: Apache-2.0 */
/* target.c - names of strategies, and targets as text. */
#include <pare/prune.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static const struct {
    const char *name, *summary;
} strategies[] = {
    [PARE_RANDOM] = {"random", "a uniformly random order, by seed; the control"},
    [PARE_MAGNITUDE] = {"magnitude",
                        "L2 norm of a channel's weights, relative to its group's mean"},
    [PARE_BN_SCALE] = {"bn-scale", "mean absolute scale of a channel's normalisations"},
    [PARE_TAYLOR] = {"taylor", "first-order change of the labels' log-likelihood"},
    [PARE_FISHER] = {"fisher", "Fisher information of a mask on each channel (group Fisher)"},
    [PARE_ML] = {"ml", "maximum likelihood: what the network's outputs lose when all other weights "
                       "of a layer adapt"},
    [PARE_LOCAL_ML] = {"local-ml",
                       "local maximum likelihood: the same for each layer's own outputs"}};

bool pare_strategy_parse(pare_strategy *out, const char *name)
{
    for (size_t i = 0; i < PRI_COUNT(strategies); i++) {
        if (strcmp(strategies[i].name, name) == 0) {
            *out = (pare_strategy)i;
            return true;
        }
    }
    return false;
}

const char *pare_strategy_name(pare_strategy strategy)
{
    return (size_t)strategy < PRI_COUNT(strategies) ? strategies[strategy].name : NULL;
}

const char *pare_strategy_summary(pare_strategy strategy)
{
    return (size_t)strategy < PRI_COUNT(strategies) ? strategies[strategy].summary : NULL;
}

static bool read_value(pare_target *out, const char *text)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}};
    char *end;

    out->value = strtod(text, &end);
    if (end == text || !isfinite(out->value) || out->value <= 0)
        return false;
    out->is_share = strcmp(end, "%") == 0 || (*end == '\0' && out->value <= 1);
    if (strcmp(end, "%") == 0) {
        out->value /= 100;
        return true;
    }
    for (size_t i = 0; i < PRI_COUNT(units); i++) {
        if (strcmp(end, units[i].suffix) == 0) {
            out->value *= units[i].factor;
            return true;
        }
    }
    return false;
}

pare_status pare_target_parse(pare_target *out, pare_context *ctx, const char *text)
{
    static const char *const names[] = {[PARE_MACS] = "macs",
                                        [PARE_PARAMETERS] = "params",
                                        [PARE_BYTES] = "bytes",
                                        [PARE_CHANNELS] = "channels"};

    for (size_t i = 0; i < PRI_COUNT(names); i++) {
        const size_t length = strlen(names[i]);
        if (strncmp(text, names[i], length) != 0 || text[length] != '=')
            continue;
        out->quantity = (pare_quantity)i;
        if (read_value(out, text + length + 1) && !(out->is_share && out->value >= 1))
            return PARE_OK;
        return pri_fail(
            ctx, PARE_ERROR_ARGUMENT,
            "cannot read the target '%s'; keep a share such as %s=50%% (below 100 %%) or "
            "a number such as %s=60M",
            text, names[i], names[i]);
    }
    return pri_fail(
        ctx, PARE_ERROR_ARGUMENT,
        "there is no target '%s'; use macs=50%%, params=30%%, bytes=500k or channels=60%%", text);
}
