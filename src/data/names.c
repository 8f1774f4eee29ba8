/* SPDX-License-Identifier: Apache-2.0 */
/* names.c - names of classes, where a set has them. */
#include "data/data.h"

const char *pare_data_class_name(const pare_data *data, int64_t k)
{
    return data->class_names != NULL && k >= 0 && k < data->classes ? data->class_names[k] : NULL;
}

const char *pare_data_mask_class_name(const pare_data *data, int64_t k)
{
    return data->mask_class_names != NULL && k >= 0 && k < data->mask_classes
               ? data->mask_class_names[k]
               : NULL;
}
