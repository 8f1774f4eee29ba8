/* SPDX-License-Identifier: Apache-2.0 */
/* axes.c - see axes.h. Union-find with path halving; the root of a set is its smallest element. */
#include "groups/axes.h"

int pri_groups_axis(const pri_groups *groups, const pri_value *value, int axis)
{
    int record = value->id < groups->facts->n_values ? groups->axis_of_value[value->id] : -1;

    while (record >= 0 && groups->axes[record].axis != axis)
        record = groups->axes[record].next;
    return record;
}

int64_t pri_axes_root(pri_groups *groups, int64_t element)
{
    int64_t *parent = groups->parent;

    while (parent[element] != element) {
        parent[element] = parent[parent[element]];
        element = parent[element];
    }
    return element;
}

void pri_axes_join(pri_groups *groups, int64_t a, int64_t b)
{
    const int64_t root_a = pri_axes_root(groups, a), root_b = pri_axes_root(groups, b);

    if (root_a < root_b)
        groups->parent[root_b] = root_a;
    else
        groups->parent[root_a] = root_b;
}

static pare_status reserve_elements(pri_groups *groups, int64_t more)
{
    const int64_t needed = groups->n_elements + more;

    if (needed <= groups->elements_capacity)
        return PARE_OK;
    const size_t capacity = (size_t)pri_max_i64(needed, 2 * groups->elements_capacity);
    int64_t *parent = pri_realloc(groups->ctx, groups->parent, capacity, sizeof *parent);
    if (parent == NULL)
        return PARE_ERROR_MEMORY;
    groups->parent = parent;
    int *axis_of = pri_realloc(groups->ctx, groups->axis_of, capacity, sizeof *axis_of);
    if (axis_of == NULL)
        return PARE_ERROR_MEMORY;
    groups->axis_of = axis_of;
    int *pin_of = pri_realloc(groups->ctx, groups->pin_of, capacity, sizeof *pin_of);
    if (pin_of == NULL)
        return PARE_ERROR_MEMORY;
    groups->pin_of = pin_of;
    groups->elements_capacity = (int64_t)capacity;
    return PARE_OK;
}

/* Whether following `size` more elements would take more memory than a model may ask for. */
static bool is_too_long(const pri_groups *groups, int64_t size)
{
    enum { BYTES_AN_ELEMENT = 64 };

    return size > pri_growth_limit(groups->ctx) / BYTES_AN_ELEMENT - groups->n_elements;
}

pare_status pri_axes_follow(int *record, pri_groups *groups, const pri_value *value, int axis)
{
    const pri_fact *fact = &groups->facts->of[value->id];

    *record = -1;
    if (!fact->known || axis < 0 || axis >= fact->shape.rank || fact->shape.dims[axis] < 2)
        return PARE_OK;
    *record = pri_groups_axis(groups, value, axis);
    if (*record >= 0)
        return PARE_OK;
    const int64_t size = fact->shape.dims[axis];
    if (is_too_long(groups, size))
        return PARE_OK;
    PRI_TRY(reserve_elements(groups, size));
    if (groups->n_axes == groups->axes_capacity) {
        const int capacity = groups->axes_capacity > 0 ? 2 * groups->axes_capacity : 128;
        pri_axis_use *grown =
            pri_realloc(groups->ctx, groups->axes, (size_t)capacity, sizeof *grown);
        if (grown == NULL)
            return PARE_ERROR_MEMORY;
        groups->axes = grown;
        groups->axes_capacity = capacity;
    }
    *record = groups->n_axes++;
    groups->axes[*record] = (pri_axis_use){.value = value,
                                           .axis = axis,
                                           .size = size,
                                           .first = groups->n_elements,
                                           .next = groups->axis_of_value[value->id]};
    groups->axis_of_value[value->id] = *record;
    for (int64_t i = 0; i < size; i++) {
        groups->parent[groups->n_elements + i] = groups->n_elements + i;
        groups->axis_of[groups->n_elements + i] = *record;
        groups->pin_of[groups->n_elements + i] = -1;
    }
    groups->n_elements += size;
    return PARE_OK;
}

pare_status pri_axes_pin_range(pri_groups *groups, int record, int64_t first, int64_t count,
                               const pri_node *node, const char *reason)
{
    const pri_axis_use *use = &groups->axes[record];

    if (groups->n_pins == groups->pins_capacity) {
        const int capacity = groups->pins_capacity > 0 ? 2 * groups->pins_capacity : 32;
        pri_pin *grown = pri_realloc(groups->ctx, groups->pins, (size_t)capacity, sizeof *grown);
        if (grown == NULL)
            return PARE_ERROR_MEMORY;
        groups->pins = grown;
        groups->pins_capacity = capacity;
    }
    groups->pins[groups->n_pins] =
        (pri_pin){.node = node, .value = use->value, .axis = use->axis, .reason = reason};
    for (int64_t i = first; i < first + count; i++) {
        if (groups->pin_of[use->first + i] < 0)
            groups->pin_of[use->first + i] = groups->n_pins;
    }
    groups->n_pins++;
    return PARE_OK;
}

pare_status pri_axes_pin(pri_groups *groups, int record, const pri_node *node, const char *reason)
{
    return pri_axes_pin_range(groups, record, 0, groups->axes[record].size, node, reason);
}
