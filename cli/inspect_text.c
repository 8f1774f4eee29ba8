/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_text.c - a model for people: layers, groups, one node. */
#include <stdio.h>
#include <string.h>

#include "inspect_view.h"

char *inspect_shape(char text[INSPECT_SHAPE_TEXT], int rank, const int64_t *dims)
{
    size_t length = 0;

    snprintf(text, INSPECT_SHAPE_TEXT, "%s", rank < 0 ? "?" : "scalar");
    for (int a = 0; a < rank; a++) {
        const char *separator = a > 0 ? "x" : "";
        length += (size_t)(dims[a] < 0 ? snprintf(text + length, INSPECT_SHAPE_TEXT - length, "%s?",
                                                  separator)
                                       : snprintf(text + length, INSPECT_SHAPE_TEXT - length,
                                                  "%s%lld", separator, (long long)dims[a]));
    }
    return text;
}

static double percent(int64_t part, int64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static void number_or_dash(char text[24], int64_t number)
{
    if (number < 0)
        snprintf(text, 24, "?");
    else
        snprintf(text, 24, "%lld", (long long)number);
}

/* --- Layers --- */

static bool is_shown(const pare_layer *layer, bool all)
{
    return all || layer->makes_channels || (layer->problem[0] != '\0' && !layer->is_downstream);
}

static void print_groups_of(const pare_layer *layer)
{
    char text[16] = "-";
    size_t length = 0;

    for (int i = 0; i < layer->n_groups && length < 8; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%d", i > 0 ? "," : "",
                                   layer->groups[i]);
    if (layer->n_groups > 0 && length >= 8)
        snprintf(text + 6, sizeof text - 6, "..");
    printf(" %8s", text);
}

static void print_prunable(const pare_layer *layer)
{
    if (layer->problem[0] != '\0')
        printf("  not run: %s\n", layer->problem);
    else if (layer->channels > 0 && layer->prunable == layer->channels)
        printf("  yes\n");
    else if (layer->prunable > 0)
        printf("  %lld of %lld: %s\n", (long long)layer->prunable, (long long)layer->channels,
               layer->reason);
    else if (layer->reason[0] != '\0')
        printf("  no: %s\n", layer->reason);
    else
        printf("  -\n");
}

static void print_table(const pare_inspection *in, bool all)
{
    int width = 5;

    for (int i = 0; i < in->n_layers; i++) {
        const int length = (int)strlen(in->layers[i].name);
        if (is_shown(&in->layers[i], all) && length > width)
            width = length < 48 ? length : 48;
    }
    printf("%-*s %-20s %-18s %10s %12s %6s %8s %8s  %s\n", width, "layer", "operator", "output",
           "parameters", "MACs", "share", "channels", "group", "prunable");
    for (int i = 0; i < in->n_layers; i++) {
        const pare_layer *layer = &in->layers[i];
        char shape[INSPECT_SHAPE_TEXT], macs[24];
        if (!is_shown(layer, all))
            continue;
        number_or_dash(macs, layer->macs);
        printf("%-*s %-20s %-18s %10lld %12s %5.1f%% %8lld", width, layer->name, layer->op_type,
               inspect_shape(shape, layer->rank, layer->dims), (long long)layer->parameters, macs,
               layer->macs > 0 ? percent(layer->macs, in->macs) : 0, (long long)layer->channels);
        print_groups_of(layer);
        print_prunable(layer);
    }
}

static void print_totals(const pare_inspection *in, const pare_costs *costs)
{
    printf("\nparameters       %12lld  %.1f %% can be pruned\n", (long long)in->parameters,
           percent(in->prunable_parameters, in->parameters));
    printf("MACs             %12lld  %.1f %% can be pruned%s\n", (long long)in->macs,
           percent(in->prunable_macs, in->macs),
           in->n_unknown > 0 ? "; some layers are unknown" : "");
    printf("channels         %12lld  %.1f %% can be pruned, in %d groups\n",
           (long long)in->channels, percent(in->prunable_channels, in->channels), in->n_groups);
    printf("file bytes       %12lld\n", (long long)costs->bytes);
    if (costs->activation_bytes > 0)
        printf("activation bytes %12lld\n", (long long)costs->activation_bytes);
    else
        printf("activation bytes            ?  pare cannot run this model\n");
    if (in->problem[0] != '\0')
        printf("\nnot everything is known: %s\n", in->problem);
    if (in->n_reasons > 0)
        printf("\nunits of channels that must stay, and why:\n");
    for (int i = 0; i < in->n_reasons; i++) {
        const pare_reason *reason = &in->reasons[i];
        if (reason->places == 1)
            printf("%8lld  %s\n", (long long)reason->units, reason->example);
        else
            printf("%8lld  %s (%d places; the first: %s)\n", (long long)reason->units, reason->text,
                   reason->places, reason->example);
    }
}

/* "  open: batch, height" of the sizes the file leaves open. */
static void print_open_sizes(const pare_model *model, int input, int rank, const int64_t *dims)
{
    const char *separator = "  open: ";

    for (int a = 0; a < rank; a++) {
        const char *name = pare_model_input_symbol(model, input, a);
        if (dims[a] >= 0)
            continue;
        if (name != NULL)
            printf("%s%s", separator, name);
        else
            printf("%sdimension %d", separator, a);
        separator = ", ";
    }
}

void inspect_print_layers(const pare_model *model, const pare_inspection *in,
                          const pare_costs *costs, bool all)
{
    int64_t dims[PARE_MAX_RANK];
    char shape[INSPECT_SHAPE_TEXT];

    for (int k = 0; pare_model_input_name(model, k) != NULL; k++) {
        const int rank = pare_model_input_shape(model, k, dims);
        printf("input   %s  %s", pare_model_input_name(model, k), inspect_shape(shape, rank, dims));
        print_open_sizes(model, k, rank, dims);
        putchar('\n');
    }
    for (int k = 0; pare_model_output_name(model, k) != NULL; k++)
        printf("output  %s  %s\n", pare_model_output_name(model, k),
               inspect_shape(shape, pare_model_output_shape(model, k, dims), dims));
    putchar('\n');
    print_table(in, all);
    print_totals(in, costs);
}

/* --- Groups --- */

static void print_members(const pare_inspection *in, const char *title, const int *list, int n)
{
    if (n == 0)
        return;
    printf("    %s", title);
    for (int i = 0; i < n; i++)
        printf("%s%s", i > 0 ? ", " : " ", in->layers[list[i]].name);
    putchar('\n');
}

static void print_group(const pare_inspection *in, int g)
{
    const pare_group *group = &in->groups[g];

    printf("group %d '%s': %lld of %lld units can be cut, worth %.1f %% of the MACs and %.1f %% of "
           "the parameters\n",
           g, group->name, (long long)group->prunable, (long long)group->units,
           percent(group->macs, in->macs), percent(group->parameters, in->parameters));
    print_members(in, "made by", group->makers, group->n_makers);
    print_members(in, "read by", group->readers, group->n_readers);
    for (int i = 0; i < group->n_reasons; i++)
        printf("    must stay: %s\n", group->reasons[i]);
}

void inspect_print_groups(const pare_inspection *in)
{
    for (int g = 0; g < in->n_groups; g++)
        print_group(in, g);
}

/* --- One node --- */

static const pare_layer *find_layer(const pare_inspection *in, const char *name)
{
    for (int i = 0; i < in->n_layers; i++) {
        if (strcmp(in->layers[i].name, name) == 0)
            return &in->layers[i];
    }
    return NULL;
}

bool inspect_print_why(const pare_inspection *in, const char *name)
{
    const pare_layer *layer = find_layer(in, name);
    char shape[INSPECT_SHAPE_TEXT];

    if (layer == NULL)
        return false;
    printf("%s: %s%s%s that gives %s\n", layer->name, layer->domain,
           layer->domain[0] != '\0' ? "." : "", layer->op_type,
           inspect_shape(shape, layer->rank, layer->dims));
    if (layer->problem[0] != '\0')
        printf("pare cannot run it: %s\n", layer->problem);
    else if (layer->channels == 0)
        printf("%s\n", layer->reason[0] != '\0' ? layer->reason
                                                : "no channels that weights make pass through it");
    else
        printf("%lld of its %lld channels can be cut%s%s\n", (long long)layer->prunable,
               (long long)layer->channels, layer->reason[0] != '\0' ? "; " : "", layer->reason);
    for (int i = 0; i < layer->n_groups; i++)
        print_group(in, layer->groups[i]);
    return true;
}
