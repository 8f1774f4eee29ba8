/* SPDX-License-Identifier: Apache-2.0 */
/* augment.c - the value of --augment. */
#include <stdio.h>

#include "cli.h"

int cli_parse_augment(const cli_command *command, pare_augment *out, const char *text)
{
    pare_context *ctx;

    if (pare_context_new(&ctx) != PARE_OK) {
        fprintf(stderr, "pare: out of memory\n");
        return EXIT_FAILED;
    }
    const int code = pare_augment_parse(out, ctx, text) == PARE_OK
                         ? 0
                         : cli_usage(command, "--augment: %s", pare_context_message(ctx));
    pare_context_free(ctx);
    return code;
}
