/* SPDX-License-Identifier: Apache-2.0 */
/* precision.c - what convolutions multiply in. */
#include <string.h>

#include "engine/engine.h"
#include "kernels/dnn.h"

pare_status pri_precision_parse(bool *bf16, pare_context *ctx, const char *text)
{
    *bf16 = false;
    if (text == NULL || strcmp(text, "f32") == 0)
        return PARE_OK;
    if (strcmp(text, "auto") == 0) {
        *bf16 = pri_dnn_gains_by_bf16();
        return PARE_OK;
    }
    if (strcmp(text, "bf16") != 0)
        return pri_fail(ctx, PARE_ERROR_ARGUMENT,
                        "there is no precision '%s'; use f32, bf16 or auto", text);
    if (!pri_dnn_has_bf16())
        return pri_fail(ctx, PARE_ERROR_UNSUPPORTED,
                        "this processor does not multiply bfloat16 (AVX512_BF16 or AMX); use f32");
    *bf16 = true;
    return PARE_OK;
}
