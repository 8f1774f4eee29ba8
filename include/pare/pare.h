/* SPDX-License-Identifier: Apache-2.0 */
/* pare.h - everything. */
#ifndef PARE_PARE_H
#define PARE_PARE_H

#include <pare/catalog.h>
#include <pare/context.h>
#include <pare/data.h>
#include <pare/evaluate.h>
#include <pare/inspect.h>
#include <pare/model.h>
#include <pare/prune.h>
#include <pare/recipe.h>
#include <pare/report.h>
#include <pare/run.h>
#include <pare/status.h>
#include <pare/train.h>

#endif
