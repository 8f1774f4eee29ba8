/* SPDX-License-Identifier: Apache-2.0 */
/* check.h - what is kept of each image while a set is checked. */
#ifndef PRI_CHECK_H
#define PRI_CHECK_H

#include "data/dataset.h"

enum { PRI_LOOK_NAME = 1024 }; /* bytes of a name */

typedef struct pri_look {
    const pri_item *item;
    int64_t number;  /* in its split */
    bool is_against; /* of the other set */
    bool is_readable, is_constant;
    int64_t height, width;
    uint64_t pixels;   /* hash of size and pixels */
    uint64_t likeness; /* perceptual hash */
    int64_t near;      /* the first image it looks like; -1 */
    int64_t unknown;   /* pixels of the mask whose colour is no class */
    int mask_most;     /* largest value but PARE_IGNORE; -1: none */
} pri_look;

/* Images of one group may be alike, those of two must not. */
int pri_look_group(const pri_look *look);
/* Adds a finding; texts are copied, the file is the look's (NULL: the whole set). */
pare_status pri_finding_add(pare_data_report *out, pare_context *ctx, pare_data_fault fault,
                            const pri_look *look, const char *format, ...) PARE_PRINTF(5, 6);
/* Name of an image in messages. */
void pri_look_name(char *out, size_t size, const pri_look *look);

/* A set whose images were looked at. */
typedef struct pri_rules {
    pare_context *ctx;
    pare_data_report *out;
    const pri_listing *listing;
    const pri_look *looks;
    int64_t count;
} pri_rules;

pare_status pri_check_each(const pri_rules *set);  /* labels, masks, constant images */
pare_status pri_check_sizes(const pri_rules *set); /* fills the sizes of the report too */
pare_status
pri_check_classes(const pri_rules *set); /* fills the counts of splits and classes too */

/* Equal pixels: duplicates, contradictions, leaks. */
pare_status pri_check_equal(pare_data_report *out, pare_context *ctx, const pri_look *looks,
                            int64_t count);
/* Hashes at most `distance` (0 .. 7) bits apart; counts comparisons. */
pare_status pri_check_alike(pare_data_report *out, pare_context *ctx, pri_look *looks,
                            int64_t count, int distance);

#endif
