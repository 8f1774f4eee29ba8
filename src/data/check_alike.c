/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_alike.c - images with the same pixels, and images that look alike.
 *
 * Two hashes that differ in at most d bits agree in at least one of d + 1 bands of their bits. For
 * each band images are sorted by it, and only those with the same band are compared; a pair that
 * agrees in several is counted in the first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/check.h"

enum { HASH_BITS = 64 };

typedef struct entry {
    uint64_t key;
    int64_t at; /* in the looks */
} entry;

static int by_key(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* End of the run of equal keys that begins at `from`. */
static int64_t run_end(const entry *entries, int64_t from, int64_t count)
{
    int64_t to = from + 1;

    while (to < count && entries[to].key == entries[from].key)
        to++;
    return to;
}

/* --- The same pixels --- */

/* Findings are about images of the set itself, which come before those of the other. */
static void put_own_last(const pri_look **first, const pri_look **other)
{
    const pri_look *kept = *first;

    if (!(*other)->is_against)
        return;
    *first = *other;
    *other = kept;
}

static pare_status report_equal(pare_data_report *out, pare_context *ctx, const pri_look *first,
                                const pri_look *other)
{
    const bool is_leak = pri_look_group(first) != pri_look_group(other);
    char name[PRI_LOOK_NAME];

    put_own_last(&first, &other);
    pri_look_name(name, sizeof name, first);
    if (first->item->label != other->item->label && first->is_against == other->is_against)
        PRI_TRY(pri_finding_add(out, ctx, PARE_FAULT_CONTRADICTION, other,
                                "class %d here, class %d as %s", (int)other->item->label,
                                (int)first->item->label, name));
    return pri_finding_add(out, ctx, is_leak ? PARE_FAULT_LEAK : PARE_FAULT_DUPLICATE, other, "%s",
                           name);
}

static pare_status gather(entry **out, int64_t *n, pare_context *ctx, const pri_look *looks,
                          int64_t count)
{
    *n = 0;
    *out = pri_alloc(ctx, (size_t)count, sizeof **out);
    if (*out == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        if (looks[i].is_readable && !looks[i].is_constant)
            (*out)[(*n)++] = (entry){looks[i].pixels, i};
    }
    return PARE_OK;
}

pare_status pri_check_equal(pare_data_report *out, pare_context *ctx, const pri_look *looks,
                            int64_t count)
{
    entry *entries = NULL;
    int64_t n = 0;
    pare_status status = gather(&entries, &n, ctx, looks, count);

    if (n > 0)
        qsort(entries, (size_t)n, sizeof *entries, by_key);
    for (int64_t from = 0; from < n && status == PARE_OK;) {
        const int64_t to = run_end(entries, from, n);
        for (int64_t i = from + 1; i < to && status == PARE_OK; i++) {
            const pri_look *first = &looks[entries[from].at], *other = &looks[entries[i].at];
            if (!(first->is_against && other->is_against))
                status = report_equal(out, ctx, first, other);
        }
        from = to;
    }
    pri_free(entries);
    return status;
}

/* --- Likeness --- */

typedef struct search {
    pri_look *looks;
    entry *entries;
    int64_t count, comparisons;
    int distance, bands, band;
} search;

static uint64_t band_of(const search *s, uint64_t hash, int band)
{
    const int from = band * HASH_BITS / s->bands, to = (band + 1) * HASH_BITS / s->bands;

    return to - from == HASH_BITS ? hash : hash >> from & ((UINT64_C(1) << (to - from)) - 1);
}

static bool met_before(const search *s, uint64_t a, uint64_t b)
{
    for (int k = 0; k < s->band; k++) {
        if (band_of(s, a, k) == band_of(s, b, k))
            return true;
    }
    return false;
}

static int count_bits(uint64_t x)
{
    int n = 0;

    for (; x != 0; n++)
        x &= x - 1;
    return n;
}

/* `other` comes later in the set. */
static void compare(search *s, int64_t first, int64_t other)
{
    pri_look *a = &s->looks[first], *b = &s->looks[other];

    if (a->pixels == b->pixels || (a->is_against && b->is_against) ||
        met_before(s, a->likeness, b->likeness))
        return;
    s->comparisons++;
    if (count_bits(a->likeness ^ b->likeness) <= s->distance && (b->near < 0 || first < b->near))
        b->near = first;
}

static pare_status search_band(search *s, pare_context *ctx)
{
    for (int64_t i = 0; i < s->count; i++)
        s->entries[i].key = band_of(s, s->looks[s->entries[i].at].likeness, s->band);
    qsort(s->entries, (size_t)s->count, sizeof *s->entries, by_key);
    for (int64_t from = 0; from < s->count;) {
        const int64_t to = run_end(s->entries, from, s->count);
        for (int64_t i = from; i < to; i++) {
            PRI_TRY(pri_check_cancel(ctx, "comparing images"));
            for (int64_t k = i + 1; k < to; k++)
                compare(s, s->entries[i].at, s->entries[k].at);
        }
        from = to;
    }
    return PARE_OK;
}

static pare_status report_alike(pare_data_report *out, pare_context *ctx, const pri_look *looks,
                                int64_t count)
{
    char name[PRI_LOOK_NAME];

    for (int64_t i = 0; i < count; i++) {
        if (looks[i].near < 0)
            continue;
        const pri_look *first = &looks[looks[i].near], *other = &looks[i];
        const bool is_leak = pri_look_group(first) != pri_look_group(other);
        put_own_last(&first, &other);
        pri_look_name(name, sizeof name, first);
        PRI_TRY(pri_finding_add(out, ctx,
                                is_leak ? PARE_FAULT_NEAR_LEAK : PARE_FAULT_NEAR_DUPLICATE, other,
                                "%s", name));
    }
    return PARE_OK;
}

pare_status pri_check_alike(pare_data_report *out, pare_context *ctx, pri_look *looks,
                            int64_t count, int distance)
{
    search s = {.looks = looks, .distance = distance, .bands = distance + 1};
    pare_status status = gather(&s.entries, &s.count, ctx, looks, count);

    for (; s.band < s.bands && s.count > 0 && status == PARE_OK; s.band++)
        status = search_band(&s, ctx);
    pri_free(s.entries);
    out->comparisons = s.comparisons;
    return status == PARE_OK ? report_alike(out, ctx, looks, count) : status;
}
