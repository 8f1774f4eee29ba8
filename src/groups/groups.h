/* SPDX-License-Identifier: Apache-2.0 */
/*
 * groups.h - which channels stay or go together, exactly, and how to cut them.
 *
 * Elements are (value, axis, index). Operators declare ties between elements of
 * their operands; operators that only move data are run on integer labels to see where
 * each element lands. Union-find joins tied elements into units: a unit is the least that
 * can be cut. Units that touch the same axes form a group. What cannot be cut is
 * frozen with a reason a user can act on.
 *
 * Only axes that some layer's weights create are followed (output channels of Conv,
 * Gemm, MatMul, ConvTranspose), so spatial axes never get tied to channels by a Flatten.
 */
#ifndef PRI_GROUPS_H
#define PRI_GROUPS_H

#include <pare/prune.h>

#include "model/model.h"

/* One axis of one value that is followed. */
typedef struct pri_axis_use {
    const pri_value *value;
    int axis;
    int64_t size;
    int64_t first; /* its elements are first .. first + size - 1 */
    int next;      /* further record of the same value, or -1 */
} pri_axis_use;

typedef struct pri_unit {
    int group;
    int64_t n_elements;
    const int64_t *elements; /* ascending */
    int pin;                 /* index of the pin that freezes it, or -1 */
} pri_unit;

typedef struct pri_group {
    const char *name; /* first layer that creates its channels */
    int n_units;
    const int *units;
    int n_axes;
    const int *axes; /* indices of pri_groups.axes, ascending */
    int n_free;      /* units that are not frozen */
} pri_group;

typedef struct pri_pin {
    const pri_node *node; /* NULL: an input or output of the model */
    const pri_value *value;
    int axis;
    const char *reason;
} pri_pin;

/* A product that sums over a unit's channel: reading zero there removes the channel. */
typedef struct pri_consumer {
    pri_node *node;
    int slot, axis; /* the activation read, and its axis */
    int weight_slot, weight_axis;
} pri_consumer;

/* A weight; its size follows the units, the MACs of its readers scale with it. */
typedef struct pri_sized_weight {
    const pri_value *value;
    int axes[PRI_MAX_RANK]; /* index of pri_groups.axes, or -1 where fixed */
    int64_t macs;           /* of all nodes reading it, uncut, at the analysed shapes */
} pri_sized_weight;

/* A product without a weight (two activations); its MACs scale with its output. */
typedef struct pri_sized_product {
    const pri_value *value;
    int axes[PRI_MAX_RANK]; /* as above, of the output */
    int64_t macs;
} pri_sized_product;

typedef struct pri_groups {
    pare_context *ctx;
    const pare_model *model;
    pri_facts *facts;
    pri_arena *arena;
    pri_axis_use *axes;
    int n_axes, axes_capacity;
    int *axis_of_value; /* first axis record of a value id, or -1 */
    int64_t n_elements, elements_capacity;
    int64_t *parent; /* union-find while solving, then the unit of each element */
    int *axis_of;    /* axis record of each element */
    int *pin_of;     /* pin of each element while solving, or -1 */
    pri_unit *units;
    int n_units;
    pri_group *groups;
    int n_groups;
    pri_pin *pins;
    int n_pins, pins_capacity;
    pri_consumer *consumers;
    int n_consumers, consumers_capacity;
    pri_sized_weight *weights;
    int n_weights;
    pri_sized_product *products;
    int n_products;
} pri_groups;

/* Analyses a model at its declared input shape (batch 1 when open). The model must outlive the
 * result and stay as it is. */
pare_status pri_groups_new(pri_groups **out, const pare_model *model);
void pri_groups_free(pri_groups *groups); /* NULL is fine */

/* The axis record of (value, axis), or -1 when it is not followed. */
int pri_groups_axis(const pri_groups *groups, const pri_value *value, int axis);
/* The unit of an element of an axis record. */
static inline int pri_groups_unit(const pri_groups *groups, int axis, int64_t index)
{
    return (int)groups->parent[groups->axes[axis].first + index];
}

/* Elements kept of each axis (n_axes entries) when units are cut (removed: n_units flags). */
void pri_groups_count(const pri_groups *groups, const bool *removed, int64_t *kept);
/* Costs of what is kept. */
int64_t pri_groups_macs(const pri_groups *groups, const int64_t *kept);
int64_t pri_groups_parameters(const pri_groups *groups, const int64_t *kept);
/* Bytes of the weights' elements that are not kept, in the file's types. */
int64_t pri_groups_saved_bytes(const pri_groups *groups, const int64_t *kept);
/* MACs of one weight's readers when axes are cut to `kept`. */
int64_t pri_groups_weight_macs(const pri_groups *groups, int weight, const int64_t *kept);

/* What a pruning aims at. */
typedef struct pri_goal {
    pare_quantity quantity;
    double keep;              /* of the quantity, absolute */
    double whole;             /* the quantity before anything goes */
    double bytes, parameters; /* of the uncut model; bytes for PARE_BYTES */
    bool per_layer, ignore_cost;
    int64_t align;    /* >= 1; 0: chosen for each group */
    int channel_step; /* with align 0: the step of the machine, for wide groups; 1 to 16 */
} pri_goal;

/* The goal's quantity when `removed` units are gone (kept: from pri_groups_count). File bytes are
 * estimated from what is saved of the weights. */
double pri_goal_measure(const pri_goal *goal, const pri_groups *groups, const bool *removed,
                        const int64_t *kept);
/* What each unit still there would save of the quantity if it alone went next. */
void pri_goal_savings(double *saving, const pri_goal *goal, const pri_groups *groups,
                      const bool *removed, int64_t *kept);
/* Marks a unit removed and lowers kept[]; false, with nothing changed, when an axis would be left
 * empty. */
bool pri_groups_take(bool *removed, int64_t *kept, const pri_groups *groups, int unit);
void pri_groups_give_back(bool *removed, int64_t *kept, const pri_groups *groups, int unit);

/* Sets the weights that read removed units to zero in `model` (a clone of the analysed one, with
 * the same ids): the masked model of the oracle. */
pare_status pri_groups_mask_consumers(const pri_groups *groups, pare_model *model,
                                      const bool *removed);
/* Scales the weights that make the removed units (slabs of output axes, biases, norms) by
 * `factor`: 0 masks them, between 0 and 1 weakens. */
pare_status pri_groups_scale_producers(const pri_groups *groups, pare_model *model,
                                       const bool *removed, float factor);
/* Cuts the units out of `model` (a clone with the same ids): slices constants, repairs attributes,
 * shape constants and declared shapes, binds anew and checks every followed shape. */
pare_status pri_groups_cut(const pri_groups *groups, pare_model *model, const bool *removed);
/* The oracle: runs the masked and the cut model on random inputs; PARE_ERROR_VERIFY when an output
 * differs by more than `tolerance` of its range. The largest difference goes to *worst. Outputs
 * that are not float are compared as they are and by the float value they come from;
 * PARE_ERROR_VERIFY also when there was nothing to compare. */
pare_status pri_groups_verify(pare_model *masked, pare_model *cut, uint64_t seed, double tolerance,
                              double *worst);

/* A sentence why an element is frozen, in the arena of the groups. */
const char *pri_groups_reason(const pri_groups *groups, const pri_pin *pin);

#endif
