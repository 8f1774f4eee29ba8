/* SPDX-License-Identifier: Apache-2.0 */
/* test_products.c - the products that criteria and re-fits rely on are what operators compute. */
#include "one_op.h"

#include <math.h>
#include <stdlib.h>

#include "criteria/gram.h"
#include "ops/op_support.h"

static const one_op_case cases[] = {
#include "gradient_cases.def"
};

/* What the columns of a product times its weights (and the bias) give must be what the operator
 * gives; criteria and re-fits rely on it. */
static void check_product_row(const pri_call *call, const pri_product *p, int group, int64_t row,
                              const float *columns)
{
    const pri_operand *out = &call->out[0];
    const float *weights = call->in[p->weight_slot].data;
    const int bias_slot = call->op->bias_slot;
    const float *bias =
        bias_slot > 0 && pri_in(call, bias_slot) != NULL ? pri_in(call, bias_slot)->data : NULL;
    const bool is_image = p->is_image;
    const pri_channels ch =
        is_image
            ? pri_channels_of(&out->shape, out->layout)
            : (pri_channels){.channels = p->outputs * p->groups, .inner = 1, .channel_stride = 1};

    for (int64_t o = 0; o < p->outputs; o++) {
        const int64_t channel = group * p->outputs + o;
        double sum = bias != NULL ? bias[channel] : 0;
        for (int64_t k = 0; k < p->columns; k++)
            sum += (double)columns[k] * weights[pri_product_weight(p, group, o, k)];
        const float got =
            ((const float *)
                 out->data)[row / ch.inner * ch.channels * ch.inner +
                            row % ch.inner * ch.inner_stride + channel * ch.channel_stride];
        assert_true(fabs(sum - got) < 1e-4 * (1 + fabs(sum)));
    }
}

static int check_products(one_op *p)
{
    int checked = 0;

    test_ok(p->ctx, pri_engine_forward(p->engine));
    for (int s = 0; s < pri_engine_steps(p->engine); s++) {
        const pri_node *node = pri_engine_step_node(p->engine, s);
        pri_operand in[PRI_MAX_OPERANDS], out[PRI_MAX_OPERANDS];
        pri_product product;
        pri_call call;
        test_ok(p->ctx, pri_engine_run(p->engine, s, s + 1));
        if (node == NULL || node->op->product == NULL)
            continue;
        test_ok(p->ctx, pri_step_call(&call, in, out, p->engine, p->model, s));
        if (!node->op->product(&call, &product) || in[product.weight_slot].constant == NULL)
            continue;
        float *rows = malloc((size_t)(product.rows * product.columns + 1) * sizeof *rows);
        assert_non_null(rows);
        for (int g = 0; g < product.groups; g++) {
            node->op->columns(&call, g, 0, product.rows, rows);
            for (int64_t r = 0; r < product.rows; r++)
                check_product_row(&call, &product, g, r, rows + r * product.columns);
        }
        free(rows);
        checked++;
    }
    return checked;
}

static void products_are_what_operators_compute(void **state)
{
    int checked = 0;

    (void)state;
    pare_context *ctx = test_context();
    for (size_t i = 0; i < PRI_COUNT(cases); i++) {
        for (int wraps = 0; wraps < 2; wraps++) {
            one_op p = {.ctx = ctx, .it = &cases[i], .wraps = wraps != 0};
            if (p.wraps && one_op_has(&p, 'p'))
                continue;
            one_op_start(&p, !p.wraps);
            checked += check_products(&p);
            pri_engine_free(p.engine);
            pare_model_free(p.model);
        }
    }
    assert_true(checked >= 30);
    pare_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_what_operators_compute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
