/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_registry.c - the table of formats. */
#include "data/dataset.h"

#define PRI_DATASET(entry) extern const pri_dataset entry;
#include "data/dataset_list.def"
#undef PRI_DATASET

static const pri_dataset *const table[] = {
#define PRI_DATASET(entry) &entry,
#include "data/dataset_list.def"
#undef PRI_DATASET
};

int pri_dataset_list(const pri_dataset *const **out)
{
    *out = table;
    return (int)PRI_COUNT(table);
}

const pri_dataset *pri_dataset_find(const pri_source *source)
{
    for (size_t i = 0; i < PRI_COUNT(table); i++) {
        if (table[i]->recognises(source))
            return table[i];
    }
    return NULL;
}
