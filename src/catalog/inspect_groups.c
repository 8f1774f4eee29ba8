/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_groups.c - groups as rows, the reasons why channels stay, and the totals. */
#include <stdlib.h>
#include <string.h>

#include "catalog/inspect_rows.h"

/* --- What cutting saves --- */

/* Flags all free units of a group but the last, or all where others of it must stay. */
static void cut_to_least(bool *removed, const pri_groups *groups, const pri_group *group)
{
    int spared = group->n_free == group->n_units ? 1 : 0;

    for (int i = group->n_units - 1; i >= 0; i--) {
        const int unit = group->units[i];
        if (groups->units[unit].pin >= 0)
            continue;
        removed[unit] = spared == 0;
        spared -= spared > 0;
    }
}

typedef struct savings {
    bool *removed;
    int64_t *kept;
    int64_t parameters, macs; /* of the whole network, what the groups know of it */
} savings;

static void measure_cut(savings *s, const pri_groups *groups, int64_t *parameters, int64_t *macs)
{
    pri_groups_count(groups, s->removed, s->kept);
    *parameters = s->parameters - pri_groups_parameters(groups, s->kept);
    *macs = s->macs - pri_groups_macs(groups, s->kept);
}

static pare_status measure_groups(pri_inspection *in)
{
    const pri_groups *groups = in->groups;
    savings s = {.removed = pri_alloc(groups->ctx, (size_t)groups->n_units, sizeof(bool)),
                 .kept = pri_alloc(groups->ctx, (size_t)groups->n_axes, sizeof(int64_t))};
    const bool is_complete = s.removed != NULL && s.kept != NULL;

    if (is_complete) {
        pri_groups_count(groups, s.removed, s.kept);
        s.parameters = pri_groups_parameters(groups, s.kept);
        s.macs = pri_groups_macs(groups, s.kept);
        for (int g = 0; g < groups->n_groups; g++) {
            memset(s.removed, 0, (size_t)groups->n_units * sizeof *s.removed);
            cut_to_least(s.removed, groups, &groups->groups[g]);
            measure_cut(&s, groups, &in->group_rows[g].parameters, &in->group_rows[g].macs);
        }
        for (int g = 0; g < groups->n_groups; g++)
            cut_to_least(s.removed, groups, &groups->groups[g]);
        measure_cut(&s, groups, &in->rows.prunable_parameters, &in->rows.prunable_macs);
    }
    pri_free(s.removed);
    pri_free(s.kept);
    return is_complete ? PARE_OK : PARE_ERROR_MEMORY;
}

/* --- Layers of a group --- */

static bool has_group(const pare_layer *layer, int group)
{
    for (int i = 0; i < layer->n_groups; i++) {
        if (layer->groups[i] == group)
            return true;
    }
    return false;
}

static pare_status list_makers(pri_inspection *in, int g)
{
    int *list = pri_arena_alloc(in->arena, (size_t)in->rows.n_layers, sizeof *list);
    int n = 0;

    if (list == NULL)
        return PARE_ERROR_MEMORY;
    for (int i = 0; i < in->rows.n_layers; i++) {
        if (in->layers[i].makes_channels && has_group(&in->layers[i], g))
            list[n++] = i;
    }
    in->group_rows[g].makers = list;
    in->group_rows[g].n_makers = n;
    return PARE_OK;
}

static bool reads_group(const pri_groups *groups, const pri_consumer *consumer, int g)
{
    const pri_value *value = consumer->node->inputs[consumer->slot];
    const int record = value != NULL ? pri_groups_axis(groups, value, consumer->axis) : -1;

    for (int64_t i = 0; record >= 0 && i < groups->axes[record].size; i++) {
        if (groups->units[pri_groups_unit(groups, record, i)].group == g)
            return true;
    }
    return false;
}

static pare_status list_readers(pri_inspection *in, int g)
{
    const pri_groups *groups = in->groups;
    int *list = pri_arena_alloc(in->arena, (size_t)groups->n_consumers, sizeof *list);
    int n = 0;

    if (list == NULL)
        return PARE_ERROR_MEMORY;
    for (int i = 0; i < groups->n_consumers; i++) {
        const int row = in->row_of[groups->consumers[i].node->id];
        if (row >= 0 && (n == 0 || list[n - 1] != row) &&
            reads_group(groups, &groups->consumers[i], g))
            list[n++] = row;
    }
    in->group_rows[g].readers = list;
    in->group_rows[g].n_readers = n;
    return PARE_OK;
}

static pare_status list_group_reasons(pri_inspection *in, int g, bool *is_listed)
{
    const pri_groups *groups = in->groups;
    const pri_group *group = &groups->groups[g];
    int n = 0;

    memset(is_listed, 0, (size_t)groups->n_pins * sizeof *is_listed);
    for (int i = 0; i < group->n_units; i++) {
        const int pin = groups->units[group->units[i]].pin;
        if (pin < 0)
            continue;
        n += !is_listed[pin];
        is_listed[pin] = true;
    }
    const char **list = pri_arena_alloc(in->arena, (size_t)n, sizeof *list);
    if (list == NULL)
        return PARE_ERROR_MEMORY;
    in->group_rows[g].reasons = list;
    in->group_rows[g].n_reasons = n;
    for (int p = 0, k = 0; p < groups->n_pins; p++) {
        if (!is_listed[p])
            continue;
        list[k] = pri_arena_strdup(in->arena, pri_groups_reason(groups, &groups->pins[p]));
        if (list[k++] == NULL)
            return PARE_ERROR_MEMORY;
    }
    return PARE_OK;
}

static pare_status fill_groups(pri_inspection *in)
{
    const pri_groups *groups = in->groups;
    bool *is_listed = pri_alloc(groups->ctx, (size_t)groups->n_pins, sizeof *is_listed);
    pare_status status = is_listed != NULL ? PARE_OK : PARE_ERROR_MEMORY;

    for (int g = 0; g < groups->n_groups && status == PARE_OK; g++) {
        pare_group *row = &in->group_rows[g];
        row->units = groups->groups[g].n_units;
        row->prunable = groups->groups[g].n_free;
        row->name = pri_arena_strdup(in->arena, groups->groups[g].name);
        status = row->name != NULL ? list_makers(in, g) : PARE_ERROR_MEMORY;
        if (status == PARE_OK)
            status = list_readers(in, g);
        if (status == PARE_OK)
            status = list_group_reasons(in, g, is_listed);
    }
    pri_free(is_listed);
    return status;
}

/* --- Reasons of the whole network --- */

static int by_units(const void *a, const void *b)
{
    const pare_reason *x = a, *y = b;

    if (x->units != y->units)
        return x->units > y->units ? -1 : 1;
    return strcmp(x->text, y->text);
}

static pare_status add_reason(pri_inspection *in, pare_reason *list, const pri_pin *pin,
                              bool is_new)
{
    int k = 0;

    while (k < in->rows.n_reasons && strcmp(list[k].text, pin->reason) != 0)
        k++;
    list[k].units++;
    list[k].places += is_new;
    if (k < in->rows.n_reasons)
        return PARE_OK;
    in->rows.n_reasons++;
    list[k].text = pri_arena_strdup(in->arena, pin->reason);
    list[k].example = pri_arena_strdup(in->arena, pri_groups_reason(in->groups, pin));
    return list[k].text != NULL && list[k].example != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status sum_reasons(pri_inspection *in)
{
    const pri_groups *groups = in->groups;
    pare_reason *list = pri_arena_alloc(in->arena, (size_t)groups->n_pins, sizeof *list);
    bool *is_seen = pri_arena_alloc(in->arena, (size_t)groups->n_pins, sizeof *is_seen);

    if (list == NULL || is_seen == NULL)
        return PARE_ERROR_MEMORY;
    for (int u = 0; u < groups->n_units; u++) {
        const int pin = groups->units[u].pin;
        if (pin < 0)
            continue;
        PRI_TRY(add_reason(in, list, &groups->pins[pin], !is_seen[pin]));
        is_seen[pin] = true;
    }
    qsort(list, (size_t)in->rows.n_reasons, sizeof *list, by_units);
    in->rows.reasons = list;
    return PARE_OK;
}

static void sum_layers(pri_inspection *in)
{
    for (int i = 0; i < in->rows.n_layers; i++) {
        const pare_layer *layer = &in->layers[i];
        in->rows.parameters += layer->parameters;
        in->rows.macs += pri_max_i64(layer->macs, 0);
        in->rows.n_unknown += layer->macs < 0;
        if (!layer->makes_channels)
            continue;
        in->rows.channels += layer->channels;
        in->rows.prunable_channels += layer->prunable;
    }
}

pare_status pri_inspect_groups(pri_inspection *in)
{
    const pri_groups *groups = in->groups;

    in->group_rows = pri_arena_alloc(in->arena, (size_t)groups->n_groups, sizeof *in->group_rows);
    if (in->group_rows == NULL)
        return PARE_ERROR_MEMORY;
    in->rows.n_groups = groups->n_groups;
    in->rows.groups = in->group_rows;
    PRI_TRY(measure_groups(in));
    PRI_TRY(fill_groups(in));
    PRI_TRY(sum_reasons(in));
    sum_layers(in);
    return PARE_OK;
}
