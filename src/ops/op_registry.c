/* SPDX-License-Identifier: Apache-2.0 */
/* op_registry.c - the table of operators and how an entry is found. */
#include <stdlib.h>
#include <string.h>

#include "ops/op.h"

#define PRI_OP(entry) extern const pri_op entry;
#include "ops/op_list.def"
#undef PRI_OP

static const pri_op *const table[] = {
#define PRI_OP(entry) &entry,
#include "ops/op_list.def"
#undef PRI_OP
};

int pri_op_list(const pri_op *const **out)
{
    *out = table;
    return (int)PRI_COUNT(table);
}

static bool is_default(const char *domain)
{
    return domain == NULL || domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0;
}

const pri_op *pri_op_find(const char *domain, const char *op_type, int opset)
{
    for (size_t i = 0; i < PRI_COUNT(table); i++) {
        const pri_op *op = table[i];
        if (strcmp(op->name, op_type) != 0 || opset < op->min_opset || opset > op->max_opset)
            continue;
        if (is_default(op->domain) ? is_default(domain)
                                   : domain != NULL && strcmp(op->domain, domain) == 0)
            return op;
    }
    return NULL;
}
