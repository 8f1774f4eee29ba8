/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiting.c - how threads wait for one another.
 *
 * By default libgomp's threads spin for 300 000 pauses, some ten milliseconds, at the end of every
 * loop before they sleep. Beside another busy program that uses up the share of the processor that
 * the scheduler gives a thread, which then comes late to the next loop, for which the others spin
 * in their turn: a training step on two processors takes up to seventeen times as long, where
 * half of the machine would allow for twice (docs/training.md). After PAUSES the wait is still
 * longer than the gaps between loops of a step.
 *
 * libgomp reads its settings when it is loaded, and has no call that changes them.
 */
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"

static const char PAUSES[] = "3000";

void cli_shorten_waits(void)
{
    if (getenv("GOMP_SPINCOUNT") != NULL || getenv("OMP_WAIT_POLICY") != NULL ||
        setenv("GOMP_SPINCOUNT", PAUSES, 0) != 0)
        return;
    execv("/proc/self/exe", cli_common.program);
    /* Where that fails the threads wait as they did. */
}
