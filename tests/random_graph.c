/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random_graph.c - see random_graph.h.
 *
 * A network is a stem, blocks and one or two heads. Each block takes a feature map and gives
 * another one; together they cover the ways channels get coupled.
 */
#include "random_graph.h"

#include <stdio.h>
#include <string.h>

#include "random_draw.h"

/* --- Heads --- */

/* The batch read from the shape, as exporters write it. */
static pri_value *shape_of_rows(random_drawing *d, random_map x)
{
    const int64_t zero = 0, rest = x.c * x.h * x.w;
    pri_value *batch = test_op(d->graph, "Shape", "", TEST_LIST(x.value));

    batch = test_op(d->graph, "Gather", "axis=0", TEST_LIST(batch, random_ints(d, 1, &zero)));
    return random_concat(d, "axis=0", TEST_LIST(batch, random_ints(d, 1, &rest)));
}

static pri_value *class_head(random_drawing *d, random_map x)
{
    const int64_t classes = 2 + random_draw(d, 4), all = x.c * x.h * x.w;

    switch (random_draw(d, 6)) {
    case 0:
        return random_gemm(d, test_op(d->graph, "Flatten", "", TEST_LIST(random_pooled(d, x))), x.c,
                           classes);
    case 1:
        return random_gemm(d, random_mean(d, x.value, 2, (const int64_t[]){2, 3}, false), x.c,
                           classes);
    case 2:
        return random_gemm(d, test_op(d->graph, "Flatten", "", TEST_LIST(x.value)), all, classes);
    case 3: {
        const int64_t dims[2] = {d->is_open || random_flip(d) ? 0 : 1, random_flip(d) ? -1 : all};
        return random_matmul(d, random_reshape(d, x.value, 2, dims), all, classes);
    }
    case 4: {
        pri_value *y = test_op(d->graph, "Reshape", "", TEST_LIST(x.value, shape_of_rows(d, x)));
        return random_gemm(d, test_op(d->graph, "Relu", "", TEST_LIST(random_gemm(d, y, all, 8))),
                           8, classes);
    }
    default: {
        pri_value *y = random_pooled(d, random_conv(d, x, classes, 1, 1, 1));
        y = test_op(d->graph, "Flatten", "", TEST_LIST(y));
        return test_op(d->graph, "Softmax", "axis=1", TEST_LIST(y));
    }
    }
}

static pri_value *mask_head(random_drawing *d, random_map x)
{
    const int64_t classes = 2 + random_draw(d, 3);

    x = random_conv(d, x, classes, 1, 1, 1);
    if (random_flip(d))
        x = random_resize(d, x);
    return random_flip(d) ? test_op(d->graph, "Softmax", "axis=1", TEST_LIST(x.value)) : x.value;
}

static void add_word(char *text, size_t size, const char *word)
{
    const size_t used = strlen(text);

    if (used + 1 < size)
        snprintf(text + used, size - used, "%s%s", used > 0 ? " " : "", word);
}

/* Exporters state the shapes of outputs; a cut has to keep them true. */
static void declare_outputs(pare_model *model, bool is_open)
{
    pri_facts *facts = NULL;

    test_ok(model->ctx, pri_facts_infer(&facts, model, 1, false));
    for (int k = 0; k < model->graph->n_outputs; k++) {
        pri_value *value = model->graph->outputs[k];
        value->shape = facts->of[value->id].shape;
        value->has_shape = true;
        if (is_open)
            value->shape.dims[0] = PRI_DYNAMIC;
    }
    pri_facts_free(facts);
}

/* All blocks in one row. */
static random_block block_at(int64_t *count, int64_t index)
{
    static int (*const lists[])(const random_block **out) = {
        random_layer_blocks, random_move_blocks, random_gate_blocks, random_norm_blocks};
    random_block found = {NULL, NULL};

    *count = 0;
    for (size_t i = 0; i < PRI_COUNT(lists); i++) {
        const random_block *blocks;
        const int n = lists[i](&blocks);
        if (index >= *count && index < *count + n)
            found = blocks[index - *count];
        *count += n;
    }
    return found;
}

pare_model *test_random_model(pare_context *ctx, uint64_t seed, char *text, size_t text_size)
{
    static const int opsets[] = {11, 13, 18};
    random_drawing d = {.seed = seed};

    d.graph = test_graph(ctx, opsets[random_draw(&d, 3)]);
    d.is_open = random_flip(&d);
    const int64_t size = 4 + random_draw(&d, 8),
                  dims[4] = {d.is_open ? PRI_DYNAMIC : 1, 1 + random_draw(&d, 3), size,
                             size + random_draw(&d, 3)};
    random_map x = {test_input(d.graph, "input", 4, dims), dims[1], dims[2], dims[3]};
    text[0] = '\0';
    x = random_layer(&d, x, random_width(&d));
    const int64_t n = 2 + random_draw(&d, 5);
    for (int64_t i = 0; i < n; i++) {
        int64_t count;
        (void)block_at(&count, 0);
        const random_block block = block_at(&count, random_draw(&d, count));
        add_word(text, text_size, block.name);
        x = block.draw(&d, x);
        if (x.c > 40)
            x = random_layer(&d, x, random_width(&d));
    }
    const int64_t heads = random_draw(&d, 4);
    add_word(text, text_size, heads == 0 ? "| class, mask" : heads == 1 ? "| mask" : "| class");
    if (heads != 1)
        test_output(d.graph, class_head(&d, x));
    if (heads <= 1)
        test_output(d.graph, mask_head(&d, x));
    pare_model *model = test_model(d.graph);
    test_ok(ctx, pri_model_derive(model));
    declare_outputs(model, d.is_open);
    return model;
}
