/* SPDX-License-Identifier: Apache-2.0 */
/* check_rules.c - what single images, their sizes and the numbers of their classes must be like. */
#include "data/check.h"

/* --- Single images --- */

static pare_status check_mask(const pri_rules *c, const pri_look *look)
{
    const int64_t named = c->listing->mask_classes.count;

    if (look->unknown > 0)
        PRI_TRY(pri_finding_add(c->out, c->ctx, PARE_FAULT_MASK, look,
                                "%lld pixels of colours that are no class",
                                (long long)look->unknown));
    if (look->mask_most < 0)
        return pri_finding_add(c->out, c->ctx, PARE_FAULT_MASK, look, "all pixels are ignored");
    if (named > 0 && look->mask_most >= named)
        return pri_finding_add(c->out, c->ctx, PARE_FAULT_MASK, look,
                               "class %d, names are there for 0 to %lld", look->mask_most,
                               (long long)named - 1);
    return PARE_OK;
}

static pare_status check_label(const pri_rules *c, const pri_look *look, bool has_labels)
{
    const pri_names *names = &c->listing->classes;
    const int32_t label = look->item->label;

    if (has_labels && label < 0)
        return pri_finding_add(c->out, c->ctx, PARE_FAULT_LABEL, look, "no label");
    if (has_labels && names->count > 0 && (label >= names->count || names->of[label] == NULL))
        return pri_finding_add(c->out, c->ctx, PARE_FAULT_LABEL, look, "class %d has no name",
                               (int)label);
    return PARE_OK;
}

/* A two-valued mask holds 0 and 255, and 255 alone where everything belongs to the object; where
 * there is a table of colours, 255 stands for what is not in it. */
static bool are_masks_two_valued(const pri_rules *c)
{
    if (c->listing->colours.count > 0)
        return false;
    for (int64_t i = 0; i < c->count; i++) {
        if (c->looks[i].mask_most > 0)
            return false;
    }
    return true;
}

pare_status pri_check_each(const pri_rules *c)
{
    const bool two_valued = are_masks_two_valued(c);
    bool has_labels = false;

    for (int64_t i = 0; i < c->count; i++)
        has_labels = has_labels || c->looks[i].item->label >= 0;
    for (int64_t i = 0; i < c->count; i++) {
        const pri_look *look = &c->looks[i];
        const bool has_mask = look->item->mask != NULL || look->item->mask_pixels != NULL;
        PRI_TRY(check_label(c, look, has_labels));
        if (!look->is_readable)
            continue;
        if (look->is_constant)
            PRI_TRY(
                pri_finding_add(c->out, c->ctx, PARE_FAULT_CONSTANT, look, "all pixels are alike"));
        if (has_mask && !two_valued)
            PRI_TRY(check_mask(c, look));
    }
    return PARE_OK;
}

/* Sizes that nine of ten images share are the rule; others are then worth a note. */
pare_status pri_check_sizes(const pri_rules *c)
{
    pare_data_report *out = c->out;
    const pri_look *usual = NULL;
    int64_t readable = 0, votes = 0, same = 0;

    for (int64_t i = 0; i < c->count;
         i++) { /* the majority, where there is one (Boyer and Moore) */
        const pri_look *look = &c->looks[i];
        if (!look->is_readable)
            continue;
        if (votes == 0)
            usual = look;
        votes += look->height == usual->height && look->width == usual->width ? 1 : -1;
        const bool is_first = readable++ == 0;
        out->least_height = is_first ? look->height : pri_min_i64(out->least_height, look->height);
        out->least_width = is_first ? look->width : pri_min_i64(out->least_width, look->width);
        out->most_height = pri_max_i64(out->most_height, look->height);
        out->most_width = pri_max_i64(out->most_width, look->width);
    }
    for (int64_t i = 0; i < c->count && usual != NULL; i++)
        same += c->looks[i].height == usual->height && c->looks[i].width == usual->width;
    for (int64_t i = 0; i < c->count && 10 * same >= 9 * readable; i++) {
        const pri_look *look = &c->looks[i];
        if (look->is_readable && (look->height != usual->height || look->width != usual->width))
            PRI_TRY(pri_finding_add(out, c->ctx, PARE_FAULT_SIZE, look,
                                    "%lldx%lld, most are %lldx%lld", (long long)look->height,
                                    (long long)look->width, (long long)usual->height,
                                    (long long)usual->width));
    }
    return PARE_OK;
}

/* --- Classes --- */

static int64_t *split_count(pare_data_class_count *count, int part)
{
    switch (part) {
    case PRI_PART_TRAIN: return &count->train;
    case PRI_PART_VAL: return &count->val;
    case PRI_PART_TEST: return &count->test;
    default: return &count->other;
    }
}

static pare_status count_classes(const pri_rules *c)
{
    pare_data_report *out = c->out;
    const pri_names *names = &c->listing->classes;
    pare_data_class_count all = {0};
    int64_t classes = 0;

    for (int64_t i = 0; i < c->count; i++) {
        classes = pri_max_i64(classes, c->looks[i].item->label + 1);
        ++*split_count(&all, c->looks[i].item->part);
    }
    out->train = all.train;
    out->val = all.val;
    out->test = all.test;
    out->other = all.other;
    out->classes = pri_alloc(c->ctx, (size_t)classes, sizeof *out->classes);
    if (out->classes == NULL)
        return PARE_ERROR_MEMORY;
    out->n_classes = classes;
    for (int64_t k = 0; k < classes && k < names->count; k++) {
        if (names->of[k] == NULL)
            continue;
        out->classes[k].name = pri_strdup(c->ctx, names->of[k]);
        if (out->classes[k].name == NULL)
            return PARE_ERROR_MEMORY;
    }
    for (int64_t i = 0; i < c->count; i++) {
        if (c->looks[i].item->label >= 0)
            ++*split_count(&out->classes[c->looks[i].item->label], c->looks[i].item->part);
    }
    return PARE_OK;
}

pare_status pri_check_classes(const pri_rules *c)
{
    pare_data_report *out = c->out;
    int64_t least = -1, most = -1;

    PRI_TRY(count_classes(c));
    for (int64_t k = 0; k < out->n_classes; k++) {
        const pare_data_class_count *n = &out->classes[k];
        const int64_t trained = n->train + n->other;
        if (out->train > 0 && n->train == 0 && n->val + n->test > 0)
            PRI_TRY(pri_finding_add(out, c->ctx, PARE_FAULT_LABEL, NULL,
                                    "class %lld is in val or test and never in train",
                                    (long long)k));
        if (trained > 0 &&
            (least < 0 || trained < out->classes[least].train + out->classes[least].other))
            least = k;
        if (trained > 0 &&
            (most < 0 || trained > out->classes[most].train + out->classes[most].other))
            most = k;
    }
    if (least < 0)
        return PARE_OK;
    const int64_t few = out->classes[least].train + out->classes[least].other;
    const int64_t many = out->classes[most].train + out->classes[most].other;
    if (many <= 10 * few)
        return PARE_OK;
    return pri_finding_add(out, c->ctx, PARE_FAULT_IMBALANCE, NULL,
                           "class %lld has %lld images, class %lld has %lld", (long long)most,
                           (long long)many, (long long)least, (long long)few);
}
