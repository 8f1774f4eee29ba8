/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_onnx.c - libFuzzer entry for everything that is done with a model before it runs: import,
 * shapes, folded constants, costs, groups, cutting, export. The unit tests run it over the corpus.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/base.h"
#include "groups/groups.h"
#include "onnx/onnx_io.h"
#include <pare/inspect.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What a file may ask for that it does not hold, and how much more than its size the rest may take
 * in one piece. */
enum { GROWTH_BYTES = 1 << 20, FACTOR = 64, BASE_BYTES = 4 << 20 };

static void require(bool holds)
{
    if (!holds)
        __builtin_trap();
}

/* What is written must be readable, and writing it again gives the same bytes. */
static void check_export(pare_context *ctx, const pare_model *model)
{
    unsigned char *first = NULL, *second = NULL;
    size_t n_first = 0, n_second = 0;
    pri_graph *graph = NULL;

    if (pri_onnx_export_bytes(&first, &n_first, model->graph) == PARE_OK) {
        require(pri_onnx_import_bytes(&graph, ctx, first, n_first, "export", NULL) == PARE_OK);
        require(pri_onnx_export_bytes(&second, &n_second, graph) == PARE_OK);
        require(n_first == n_second && memcmp(first, second, n_first) == 0);
    }
    pri_graph_free(graph);
    pri_free(first);
    pri_free(second);
}

/* Cuts the first free unit of every group. */
static void check_cut(pare_context *ctx, const pare_model *model)
{
    pri_groups *groups = NULL;
    pare_model *cut = NULL;

    if (pri_groups_new(&groups, model) != PARE_OK)
        return;
    bool *removed = pri_alloc(ctx, (size_t)groups->n_units, sizeof *removed);
    require(removed != NULL);
    bool any = false;
    for (int g = 0; g < groups->n_groups; g++) {
        const pri_group *group = &groups->groups[g];
        for (int i = 0; i < group->n_units; i++) {
            if (groups->units[group->units[i]].pin >= 0)
                continue;
            removed[group->units[i]] = any = true;
            break;
        }
    }
    if (any && pare_model_clone(&cut, model) == PARE_OK &&
        pri_groups_cut(groups, cut, removed) == PARE_OK)
        check_export(ctx, cut);
    pare_model_free(cut);
    pri_free(removed);
    pri_groups_free(groups);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    pare_context *ctx = NULL;
    pare_model *model = NULL;
    pare_inspection *inspection = NULL;
    pare_costs costs;

    if (pare_context_new(&ctx) != PARE_OK)
        return 0;
    pri_set_growth_limit(ctx, GROWTH_BYTES);
    if (pare_model_parse(&model, ctx, bytes, size) == PARE_OK) {
        check_export(ctx, model);
        (void)!pare_model_costs(model, &costs);
        (void)!pare_inspect(&inspection, model);
        check_cut(ctx, model);
    }
    require(pri_largest_allocation(ctx) <= GROWTH_BYTES + BASE_BYTES + FACTOR * size);
    pare_inspection_free(inspection);
    pare_model_free(model);
    pare_context_free(ctx);
    return 0;
}
