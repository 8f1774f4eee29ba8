/* SPDX-License-Identifier: Apache-2.0 */
/* collect.c - from joined elements to units, groups and costs. */
#include <string.h>

#include "groups/rules.h"

static int64_t root_of(int64_t *parent, int64_t element)
{
    while (parent[element] != element) {
        parent[element] = parent[parent[element]];
        element = parent[element];
    }
    return element;
}

/* Numbers the classes in the order of their first element and lists their elements. */
static pare_status make_units(pri_groups *groups)
{
    const int64_t n = groups->n_elements;
    int64_t *unit_of = pri_arena_alloc(groups->arena, (size_t)n, sizeof *unit_of);
    int64_t *list = pri_arena_alloc(groups->arena, (size_t)n, sizeof *list);
    int64_t *start = NULL;

    if (unit_of == NULL || list == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t e = 0; e < n; e++) {
        const int64_t root = root_of(groups->parent, e); /* the smallest of its class */
        unit_of[e] = root == e ? groups->n_units++ : unit_of[root];
    }
    groups->units = pri_arena_alloc(groups->arena, (size_t)groups->n_units, sizeof *groups->units);
    start = pri_arena_alloc(groups->arena, (size_t)groups->n_units + 1, sizeof *start);
    if (groups->units == NULL || start == NULL)
        return PARE_ERROR_MEMORY;
    for (int u = 0; u < groups->n_units; u++)
        groups->units[u].pin = -1;
    for (int64_t e = 0; e < n; e++) {
        pri_unit *unit = &groups->units[unit_of[e]];
        unit->n_elements++;
        if (groups->pin_of[e] >= 0 && (unit->pin < 0 || groups->pin_of[e] < unit->pin))
            unit->pin = groups->pin_of[e];
        groups->parent[e] = unit_of[e];
    }
    for (int u = 0; u < groups->n_units; u++) {
        start[u + 1] = start[u] + groups->units[u].n_elements;
        groups->units[u].elements = list + start[u];
    }
    for (int64_t e = 0; e < n; e++)
        list[start[unit_of[e]]++] = e;
    return PARE_OK;
}

/* The distinct axes of a unit, ascending, into `axes`; returns their number. */
static int axes_of_unit(const pri_groups *groups, const pri_unit *unit, int *axes)
{
    int count = 0;

    for (int64_t i = 0; i < unit->n_elements; i++) {
        const int axis = groups->axis_of[unit->elements[i]];
        if (count == 0 || axes[count - 1] != axis)
            axes[count++] = axis;
    }
    return count;
}

static const char *name_group(const pri_groups *groups, const pri_group *group)
{
    for (int i = 0; i < group->n_axes; i++) {
        const pri_value *value = groups->axes[group->axes[i]].value;
        const pri_node *node = value->producer;
        if (node == NULL || node->op == NULL || node->op->cost == NULL)
            continue;
        return node->name[0] != '\0' ? node->name : value->name;
    }
    return groups->axes[group->axes[0]].value->name;
}

static int find_group(const pri_groups *groups, const int *axes, int n_axes)
{
    for (int g = groups->n_groups - 1; g >= 0; g--) {
        if (groups->groups[g].n_axes == n_axes &&
            memcmp(groups->groups[g].axes, axes, (size_t)n_axes * sizeof *axes) == 0)
            return g;
    }
    return -1;
}

static pare_status list_units(pri_groups *groups)
{
    int *list = pri_arena_alloc(groups->arena, (size_t)groups->n_units, sizeof *list);
    int *next = pri_arena_alloc(groups->arena, (size_t)groups->n_groups, sizeof *next);
    int start = 0;

    if (list == NULL || next == NULL)
        return PARE_ERROR_MEMORY;
    for (int g = 0; g < groups->n_groups; g++) {
        groups->groups[g].units = list + start;
        next[g] = start;
        start += groups->groups[g].n_units;
    }
    for (int u = 0; u < groups->n_units; u++)
        list[next[groups->units[u].group]++] = u;
    return PARE_OK;
}

static pare_status make_groups(pri_groups *groups)
{
    int *axes = pri_arena_alloc(groups->arena, (size_t)groups->n_axes, sizeof *axes);

    groups->groups =
        pri_arena_alloc(groups->arena, (size_t)groups->n_units, sizeof *groups->groups);
    if (axes == NULL || groups->groups == NULL)
        return PARE_ERROR_MEMORY;
    for (int u = 0; u < groups->n_units; u++) {
        pri_unit *unit = &groups->units[u];
        const int n_axes = axes_of_unit(groups, unit, axes);
        int g = find_group(groups, axes, n_axes);
        if (g < 0) {
            int *copy = pri_arena_alloc(groups->arena, (size_t)n_axes, sizeof *copy);
            if (copy == NULL)
                return PARE_ERROR_MEMORY;
            memcpy(copy, axes, (size_t)n_axes * sizeof *axes);
            g = groups->n_groups++;
            groups->groups[g] = (pri_group){.axes = copy, .n_axes = n_axes};
            groups->groups[g].name = name_group(groups, &groups->groups[g]);
        }
        unit->group = g;
        groups->groups[g].n_units++;
        groups->groups[g].n_free += unit->pin < 0;
    }
    return list_units(groups);
}

pare_status pri_groups_collect(pri_groups *groups)
{
    PRI_TRY(make_units(groups));
    return make_groups(groups);
}

/* --- Costs --- */

void pri_groups_count(const pri_groups *groups, const bool *removed, int64_t *kept)
{
    memset(kept, 0, (size_t)groups->n_axes * sizeof *kept);
    for (int64_t e = 0; e < groups->n_elements; e++)
        kept[groups->axis_of[e]] += !removed[groups->parent[e]];
}

static int64_t kept_elements(const pri_shape *shape, const int *axes, const int64_t *kept)
{
    int64_t count = 1;

    for (int a = 0; a < shape->rank; a++)
        count *= axes[a] >= 0 ? kept[axes[a]] : shape->dims[a];
    return count;
}

static int64_t kept_of_weight(const pri_sized_weight *weight, const int64_t *kept)
{
    return kept_elements(&weight->value->constant->shape, weight->axes, kept);
}

/* MACs are a whole number of times the elements they scale with. */
static int64_t scale_macs(int64_t macs, int64_t whole, int64_t part)
{
    return whole == 0 ? 0 : macs / whole * part + macs % whole * part / whole;
}

int64_t pri_groups_weight_macs(const pri_groups *groups, int weight, const int64_t *kept)
{
    const pri_sized_weight *w = &groups->weights[weight];

    return scale_macs(w->macs, pri_tensor_count(w->value->constant), kept_of_weight(w, kept));
}

int64_t pri_groups_macs(const pri_groups *groups, const int64_t *kept)
{
    int64_t macs = 0;

    for (int w = 0; w < groups->n_weights; w++)
        macs += pri_groups_weight_macs(groups, w, kept);
    for (int p = 0; p < groups->n_products; p++) {
        const pri_sized_product *product = &groups->products[p];
        const pri_shape *shape = &groups->facts->of[product->value->id].shape;
        macs += scale_macs(product->macs, pri_shape_count(shape),
                           kept_elements(shape, product->axes, kept));
    }
    return macs;
}

int64_t pri_groups_parameters(const pri_groups *groups, const int64_t *kept)
{
    int64_t count = 0;

    for (int w = 0; w < groups->n_weights; w++)
        count += kept_of_weight(&groups->weights[w], kept);
    return count;
}

int64_t pri_groups_saved_bytes(const pri_groups *groups, const int64_t *kept)
{
    int64_t bytes = 0;

    for (int w = 0; w < groups->n_weights; w++) {
        const pri_value *value = groups->weights[w].value;
        const pri_dtype dtype =
            value->dtype != PRI_UNDEFINED ? value->dtype : value->constant->dtype;
        bytes += (int64_t)pri_dtype_bytes(dtype) *
                 (pri_tensor_count(value->constant) - kept_of_weight(&groups->weights[w], kept));
    }
    return bytes;
}

const char *pri_groups_reason(const pri_groups *groups, const pri_pin *pin)
{
    char text[PRI_NODE_TEXT];

    if (pin->node == NULL)
        return pri_arena_printf(groups->arena, "%s '%s'", pin->reason, pin->value->name);
    return pri_arena_printf(groups->arena, "%s: %s", pri_node_text(text, pin->node), pin->reason);
}
