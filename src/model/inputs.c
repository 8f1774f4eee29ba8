/* SPDX-License-Identifier: Apache-2.0 */
/* inputs.c - the sizes a model's inputs have: declared, open, stated by the user. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "model/model.h"

/* --- What the inputs are for one run --- */

/* "1x3x<height>x<width>": what has to be stated of an input. */
static const char *wanted_shape(char text[256], const pri_value *input)
{
    size_t used = 0;

    text[0] = '\0';
    for (int k = 0; k < input->shape.rank && used < 200; k++) {
        const int64_t dim = input->shape.dims[k];
        const char *separator = k > 0 ? "x" : "";
        if (dim >= 0 || k == 0)
            used += (size_t)snprintf(text + used, 256 - used, "%s%lld", separator,
                                     dim >= 0 ? (long long)dim : 1LL);
        else if (input->symbols[k] != NULL)
            used += (size_t)snprintf(text + used, 256 - used, "%s<%.24s>", separator,
                                     input->symbols[k]);
        else
            used += (size_t)snprintf(text + used, 256 - used, "%s<size %d>", separator, k);
    }
    return text;
}

static bool is_same_name(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

void pri_note_open_sizes(const pare_model *model)
{
    for (int i = 0; i < model->graph->n_inputs; i++) {
        const pri_value *input = model->graph->inputs[i];
        for (int k = 1; k < input->shape.rank; k++) {
            if (input->shape.dims[k] < 0) {
                pri_note(model->ctx,
                         "the size of input '%s' is open, which hides how channels are coupled; "
                         "state it with --input",
                         input->name);
                return;
            }
        }
    }
}

/* The batch goes to dimensions that are the first input's batch: its first one, what is named as
 * that or is open or equal at the first place of other inputs. */
static pare_status set_input(pri_facts *facts, const pri_value *input, const pri_value *first,
                             int64_t batch)
{
    const pri_shape *lead = &first->shape;
    pri_fact *fact = &facts->of[input->id];
    char text[256];

    if (!input->has_shape)
        return pri_fail(facts->ctx, PARE_ERROR_SHAPE,
                        "input '%s' has no shape; give it one with --input", input->name);
    fact->dtype = pri_dtype_run(input->dtype);
    fact->shape = input->shape;
    for (int k = 0; k < fact->shape.rank; k++) {
        int64_t *dim = &fact->shape.dims[k];
        const bool is_equal = first->has_shape && lead->rank > 0 && *dim == lead->dims[0];
        const bool is_named = is_equal && is_same_name(input->symbols[k], first->symbols[0]);
        if ((is_named || (k == 0 && (is_equal || *dim < 0))) && (batch > 0 || *dim < 0))
            *dim = batch > 0 ? batch : 1;
        if (*dim < 0)
            return pri_fail(facts->ctx, PARE_ERROR_SHAPE,
                            "the size of input '%s' is open; state it with --input '%s:%s' (your "
                            "numbers)",
                            input->name, input->name, wanted_shape(text, input));
    }
    if (!pri_shape_is_sane(&fact->shape))
        return pri_fail(facts->ctx, PARE_ERROR_SHAPE, "input '%s' is impossibly large",
                        input->name);
    fact->known = true;
    return PARE_OK;
}

/* The axis of an input that has this name; -1 when there is none. */
static int axis_named(const pri_value *input, const char *name)
{
    for (int k = 0; k < input->shape.rank; k++) {
        if (is_same_name(input->symbols[k], name))
            return k;
    }
    return -1;
}

/* Dimensions of one name are one size. */
static pare_status check_names(const pri_facts *facts, pri_map *first_of, pri_value *input)
{
    for (int k = 0; k < input->shape.rank; k++) {
        const char *name = input->symbols[k];
        if (name == NULL)
            continue;
        const pri_value *first = pri_map_get(first_of, name);
        if (first == NULL) {
            PRI_TRY(pri_map_set(first_of, name, input));
            continue;
        }
        const int64_t a = facts->of[first->id].shape.dims[axis_named(first, name)];
        const int64_t b = facts->of[input->id].shape.dims[k];
        if (a != b)
            return pri_fail(facts->ctx, PARE_ERROR_SHAPE,
                            "'%s' is %lld in input '%s' and %lld in input '%s'", name, (long long)a,
                            first->name, (long long)b, input->name);
    }
    return PARE_OK;
}

pare_status pri_facts_set_inputs(pri_facts *facts, const pri_graph *graph, int64_t batch)
{
    pare_status status = PARE_OK;
    pri_map first_of;

    pri_map_init(&first_of, facts->ctx);
    for (int i = 0; i < graph->n_inputs && status == PARE_OK; i++) {
        status = set_input(facts, graph->inputs[i], graph->inputs[0], batch);
        if (status == PARE_OK)
            status = check_names(facts, &first_of, graph->inputs[i]);
    }
    pri_map_clear(&first_of);
    return status;
}

/* --- Stating sizes --- */

static void state_dims(pri_value *input, const pri_shape *shape)
{
    input->is_changed =
        input->is_changed || !input->has_shape || !pri_shape_equal(&input->shape, shape);
    input->has_shape = true;
    input->shape = *shape;
}

/* What has the same name elsewhere gets the same size. */
static void carry_over(pri_graph *graph, const pri_value *input)
{
    for (int i = 0; i < graph->n_inputs; i++) {
        pri_value *other = graph->inputs[i];
        pri_shape shape = other->shape;
        for (int k = 0; k < shape.rank && other != input; k++) {
            const int axis = other->symbols[k] != NULL ? axis_named(input, other->symbols[k]) : -1;
            if (axis >= 0)
                shape.dims[k] = input->shape.dims[axis];
        }
        if (other->has_shape)
            state_dims(other, &shape);
    }
}

pare_status pare_model_set_input_shape(pare_model *model, int index, int rank, const int64_t *dims)
{
    if (index < 0 || index >= model->graph->n_inputs || rank < 0 || rank > PRI_MAX_RANK)
        return pri_fail(model->ctx, PARE_ERROR_ARGUMENT, "the model has no input %d", index);
    pri_value *input = model->graph->inputs[index];
    if (input->has_shape && input->shape.rank != rank)
        return pri_fail(model->ctx, PARE_ERROR_SHAPE, "input '%s' has %d dimensions, not %d",
                        input->name, input->shape.rank, rank);
    const pri_shape shape = pri_shape_of(rank, dims);
    state_dims(input, &shape);
    carry_over(model->graph, input);
    return PARE_OK;
}

static bool parse_dims(pri_shape *shape, const char *text, size_t length)
{
    const char *end = text + length;

    for (shape->rank = 0; shape->rank < PRI_MAX_RANK; text++) {
        char *after;
        if (text >= end || *text < '0' || *text > '9')
            return false;
        const long long dim = strtoll(text, &after, 10);
        if (dim > INT32_MAX)
            return false;
        shape->dims[shape->rank++] = dim;
        text = after;
        if (text == end)
            return true;
        if (*text != 'x')
            return false;
    }
    return false;
}

static int find_input(const pri_graph *graph, const char *name, size_t length)
{
    for (int k = 0; k < graph->n_inputs; k++) {
        const char *known = graph->inputs[k]->name;
        if (strlen(known) == length && strncmp(known, name, length) == 0)
            return k;
    }
    return -1;
}

static pare_status parse_entry(int *index, pri_shape *shape, const pare_model *model,
                               const char *text, size_t length)
{
    const pri_graph *graph = model->graph;
    const char *dims = text;

    for (const char *c = text; c < text + length; c++)
        dims = *c == ':' ? c + 1 : dims; /* names may hold colons: the last one counts */
    *index = dims > text ? find_input(graph, text, (size_t)(dims - text) - 1)
                         : (graph->n_inputs > 0 ? 0 : -1);
    if (*index < 0)
        return pri_fail(model->ctx, PARE_ERROR_SHAPE,
                        "the model has no input '%.*s'; it has '%s'%s",
                        dims > text ? (int)(dims - text) - 1 : 0, text,
                        graph->n_inputs > 0 ? graph->inputs[0]->name : "",
                        graph->n_inputs > 1 ? " and others" : "");
    if (!parse_dims(shape, dims, length - (size_t)(dims - text)))
        return pri_fail(model->ctx, PARE_ERROR_ARGUMENT,
                        "'%.*s' is no shape; --input wants [NAME:]1x3x224x224", (int)length, text);
    return PARE_OK;
}

/* The first two stated inputs that name a dimension alike and size it differently. */
static pare_status check_stated(const pare_model *model, const pri_shape *stated,
                                const bool *is_stated)
{
    for (int i = 0; i < model->graph->n_inputs; i++) {
        const pri_value *input = model->graph->inputs[i];
        for (int k = 0; k < input->shape.rank && is_stated[i]; k++) {
            if (input->shape.dims[k] != stated[i].dims[k])
                return pri_fail(model->ctx, PARE_ERROR_SHAPE,
                                "'%s' has to be one size: %lld in input '%s', %lld in another",
                                input->symbols[k] != NULL ? input->symbols[k] : "",
                                (long long)stated[i].dims[k], input->name,
                                (long long)input->shape.dims[k]);
        }
    }
    return PARE_OK;
}

static pare_status set_entries(pare_model *model, const char *text, pri_shape *stated,
                               bool *is_stated)
{
    while (*text != '\0') {
        const size_t length = strcspn(text, ",");
        pri_shape shape = {0};
        int index = 0;
        PRI_TRY(parse_entry(&index, &shape, model, text, length));
        PRI_TRY(pare_model_set_input_shape(model, index, shape.rank, shape.dims));
        stated[index] = shape;
        is_stated[index] = true;
        text += length + (text[length] == ',');
    }
    return check_stated(model, stated, is_stated);
}

pare_status pare_model_set_inputs(pare_model *model, const char *text)
{
    const size_t n = (size_t)model->graph->n_inputs;
    pri_shape *stated = pri_alloc(model->ctx, n, sizeof *stated);
    bool *is_stated = pri_alloc(model->ctx, n, sizeof *is_stated);
    pare_status status = PARE_ERROR_MEMORY;

    if (stated != NULL && is_stated != NULL)
        status = set_entries(model, text, stated, is_stated);
    pri_free(stated);
    pri_free(is_stated);
    return status;
}

const char *pare_model_input_symbol(const pare_model *model, int index, int axis)
{
    if (index < 0 || index >= model->graph->n_inputs || axis < 0 || axis >= PRI_MAX_RANK)
        return NULL;
    return model->graph->inputs[index]->symbols[axis];
}
