/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_json.c - a model for programs: JSON and Graphviz. */
#include <jansson.h>
#include <stdio.h>

#include "inspect_view.h"

/* --- JSON --- */

static json_t *shape_json(int rank, const int64_t *dims)
{
    json_t *list = rank >= 0 ? json_array() : json_null();

    for (int a = 0; a < rank; a++)
        json_array_append_new(list, dims[a] < 0 ? json_null() : json_integer(dims[a]));
    return list;
}

static json_t *ints_json(const int *values, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(values[i]));
    return list;
}

/* A name from a file may hold bytes that are no UTF-8; these become '?'. */
static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);
    char copy[256];
    size_t n = 0;

    if (value != NULL)
        return value;
    for (; text[n] != '\0' && n + 1 < sizeof copy; n++)
        copy[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
    copy[n] = '\0';
    return json_string(copy);
}

static json_t *layer_json(const pare_layer *layer)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:b, s:b, s:I, s:I, s:o, s:o, s:o, s:b}",
                     "name", text_json(layer->name), "op_type", text_json(layer->op_type), "domain",
                     text_json(layer->domain), "shape", shape_json(layer->rank, layer->dims),
                     "parameters", (json_int_t)layer->parameters, "macs",
                     layer->macs < 0 ? json_null() : json_integer(layer->macs), "makes_channels",
                     layer->makes_channels, "folded", layer->is_folded, "channels",
                     (json_int_t)layer->channels, "prunable", (json_int_t)layer->prunable, "groups",
                     ints_json(layer->groups, layer->n_groups), "reason", text_json(layer->reason),
                     "problem", text_json(layer->problem), "downstream", layer->is_downstream);
}

static json_t *group_json(const pare_group *group)
{
    json_t *reasons = json_array();

    for (int i = 0; i < group->n_reasons; i++)
        json_array_append_new(reasons, text_json(group->reasons[i]));
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "name", text_json(group->name),
                     "units", (json_int_t)group->units, "prunable", (json_int_t)group->prunable,
                     "parameters", (json_int_t)group->parameters, "macs", (json_int_t)group->macs,
                     "makers", ints_json(group->makers, group->n_makers), "readers",
                     ints_json(group->readers, group->n_readers), "reasons", reasons);
}

/* Names of the sizes an input leaves open, "" for one without a name. */
static json_t *open_json(const pare_model *model, int input, int rank, const int64_t *dims)
{
    json_t *list = json_array();

    for (int a = 0; a < rank; a++) {
        const char *name = pare_model_input_symbol(model, input, a);
        if (dims[a] < 0)
            json_array_append_new(list, text_json(name != NULL ? name : ""));
    }
    return list;
}

static json_t *ports_json(const pare_model *model, bool inputs)
{
    const char *(*name)(const pare_model *, int) =
        inputs ? pare_model_input_name : pare_model_output_name;
    int (*shape)(const pare_model *, int, int64_t *) =
        inputs ? pare_model_input_shape : pare_model_output_shape;
    json_t *list = json_array();
    int64_t dims[PARE_MAX_RANK];

    for (int k = 0; name(model, k) != NULL; k++) {
        const int rank = shape(model, k, dims);
        json_t *port = json_pack("{s:o, s:o}", "name", text_json(name(model, k)), "shape",
                                 shape_json(rank, dims));
        if (inputs)
            json_object_set_new(port, "open", open_json(model, k, rank, dims));
        json_array_append_new(list, port);
    }
    return list;
}

json_t *inspect_json(const pare_model *model, const pare_inspection *in, const pare_costs *costs)
{
    json_t *layers = json_array(), *groups = json_array(), *reasons = json_array();

    for (int i = 0; i < in->n_layers; i++)
        json_array_append_new(layers, layer_json(&in->layers[i]));
    for (int i = 0; i < in->n_groups; i++)
        json_array_append_new(groups, group_json(&in->groups[i]));
    for (int i = 0; i < in->n_reasons; i++)
        json_array_append_new(
            reasons, json_pack("{s:o, s:o, s:I, s:i}", "text", text_json(in->reasons[i].text),
                               "example", text_json(in->reasons[i].example), "units",
                               (json_int_t)in->reasons[i].units, "places", in->reasons[i].places));
    return json_pack("{s:s, s:o, s:o, s:o, s:{s:I, s:I, s:I}, s:i, s:o, s:o, s:o, s:o}", "schema",
                     "pare.inspect/1", "costs", cli_costs_json(costs), "inputs",
                     ports_json(model, true), "outputs", ports_json(model, false), "prunable",
                     "parameters", (json_int_t)in->prunable_parameters, "macs",
                     (json_int_t)in->prunable_macs, "channels", (json_int_t)in->prunable_channels,
                     "unknown_layers", in->n_unknown, "problem", text_json(in->problem), "layers",
                     layers, "groups", groups, "reasons", reasons);
}

/* --- Graphviz --- */

static void print_quoted(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar((unsigned char)*text < ' ' ? ' ' : *text);
    }
}

/* Neighbouring group numbers get hues far apart (steps of the golden ratio). */
static void print_colour(const pare_layer *layer)
{
    const double hue = layer->n_groups > 0 ? layer->groups[0] * 0.618034 : 0;

    if (layer->problem[0] != '\0')
        printf(", color=red, fillcolor=white");
    else if (layer->prunable == 0)
        printf(", fillcolor=gray90");
    else
        printf(", fillcolor=\"%.3f 0.35 1.0\"", hue - (double)(int64_t)hue);
}

void inspect_print_dot(const pare_inspection *in)
{
    printf("digraph model {\n  node [shape=box, style=filled, fontname=\"sans-serif\"];\n"
           "  input [shape=ellipse, fillcolor=white];\n"
           "  output [shape=ellipse, fillcolor=white];\n");
    for (int i = 0; i < in->n_layers; i++) {
        const pare_layer *layer = &in->layers[i];
        char shape[INSPECT_SHAPE_TEXT];
        if (layer->is_folded)
            continue;
        printf("  n%d [label=\"", i);
        print_quoted(layer->name);
        printf("\\n");
        print_quoted(layer->op_type);
        printf(" %s", inspect_shape(shape, layer->rank, layer->dims));
        if (layer->n_groups > 0)
            printf("\\ngroup %d", layer->groups[0]);
        printf("\"");
        print_colour(layer);
        printf("];\n");
    }
    for (int i = 0; i < in->n_edges; i++) {
        const pare_edge *edge = &in->edges[i];
        char from[16] = "input", to[16] = "output";
        if ((edge->from >= 0 && in->layers[edge->from].is_folded) ||
            (edge->to >= 0 && in->layers[edge->to].is_folded))
            continue;
        if (edge->from >= 0)
            snprintf(from, sizeof from, "n%d", edge->from);
        if (edge->to >= 0)
            snprintf(to, sizeof to, "n%d", edge->to);
        printf("  %s -> %s;\n", from, to);
    }
    printf("}\n");
}
