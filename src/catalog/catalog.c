/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.c - the tables of the library as lists for people. */
#include <stddef.h>

#include <pare/catalog.h>
#include <pare/model.h>
#include <pare/prune.h>

#include "ops/op.h"

/* --- Operators --- */

static pare_coupling coupling_of(const pri_op *op)
{
    if (op->max_in == 0 || op->reads_shapes_only)
        return PARE_COUPLING_NONE;
    if (op->is_movement)
        return PARE_COUPLING_MOVES;
    if (op->couple == NULL)
        return PARE_COUPLING_BARRIER;
    return op->cost != NULL ? PARE_COUPLING_LAYER : PARE_COUPLING_TIES;
}

bool pare_operator_at(pare_operator *out, int index)
{
    const pri_op *const *table = NULL;
    const int count = pri_op_list(&table);

    if (index < 0 || index >= count)
        return false;
    const pri_op *op = table[index];
    *out = (pare_operator){.name = op->name,
                           .domain = op->domain != NULL ? op->domain : "",
                           .summary = op->summary,
                           .min_opset = op->min_opset,
                           .max_opset = op->max_opset,
                           .has_gradient = op->backward != NULL,
                           .coupling = coupling_of(op)};
    return true;
}

static const pare_entry couplings[] = {
    [PARE_COUPLING_LAYER] = {"layer", "its weights make channels, which can be cut"},
    [PARE_COUPLING_TIES] = {"ties", "says which channels of its operands belong together"},
    [PARE_COUPLING_MOVES] = {"moves", "only moves data; channels are followed element by element"},
    [PARE_COUPLING_NONE] = {"none", "reads no channels"},
    [PARE_COUPLING_BARRIER] = {"barrier", "keeps the channels it reads as they are"},
};

const char *pare_coupling_name(pare_coupling coupling)
{
    return (size_t)coupling < PRI_COUNT(couplings) ? couplings[coupling].name : "unknown";
}

const char *pare_coupling_summary(pare_coupling coupling)
{
    return (size_t)coupling < PRI_COUNT(couplings) ? couplings[coupling].summary : "";
}

/* --- Lists --- */

static const pare_entry preprocessing[] = {
    {"unit", "pixel / 255"},
    {"none", "pixels 0 .. 255 as they are"},
    {"cifar10", "RGB / 255, mean .485 .456 .406, standard deviation .229 .224 .225"},
    {"imagenet", "the same as cifar10"},
    {"scale=..,mean=..,std=..", "x = (pixel / scale - mean) / std; also order=bgr, layout=nhwc, "
                                "size=HxW; mean and std one number a channel"},
};

static const pare_entry formats[] = {
    {"cifar10", "CIFAR-10 binary: a .bin file, or a folder of data_batch_*.bin and test_batch.bin"},
    {"idx", "a folder of *-images-idx3-ubyte[.gz] and *-labels-idx1-ubyte[.gz] (MNIST)"},
    {"strips", "a folder of SPLIT_00.png, ... (square images one below the other) and "
               "SPLIT_labels.u8"},
    {"manifest", "FILE.csv or .tsv, or a folder with manifest.csv, labels.csv or SPLIT.csv: image, "
                 "label, mask, split, columns by name"},
    {"lists", "FILE.txt or SPLIT.txt: image and mask, or image and class number, a line; also the "
              "folders of Pascal VOC"},
    {"arrays", "FILE.npz, FILE.npy, or a folder of .npy: images, labels, masks, x_train, y_train"},
    {"class folders", "[SPLIT/]CLASS/IMAGE.jpg, .png, .webp, .bmp, .ppm or .pgm"},
    {"masks",
     "[SPLIT/]images and [SPLIT/]masks, SPLIT and SPLITannot, or image and label; masks are "
     "indexed, gray, or coloured by a table in classes.txt"},
    {"labels.tsv", "a folder with labels.tsv: image, class, and optionally class name and mask"},
    {"synth", "what 'pare synth' writes: images, masks and labels.tsv in a folder a split; "
              "'synth:train=400,size=32' draws the same in memory"},
};

static bool strategy_at(pare_entry *out, int index)
{
    *out = (pare_entry){pare_strategy_name((pare_strategy)index),
                        pare_strategy_summary((pare_strategy)index)};
    return index >= 0 && out->name != NULL;
}

static bool architecture_at(pare_entry *out, int index)
{
    *out = (pare_entry){pare_architecture_name(index), pare_architecture_summary(index)};
    return out->name != NULL;
}

static bool entry_of(pare_entry *out, const pare_entry *entries, size_t count, int index)
{
    if (index < 0 || (size_t)index >= count)
        return false;
    *out = entries[index];
    return true;
}

bool pare_entry_at(pare_entry *out, pare_list list, int index)
{
    switch (list) {
    case PARE_LIST_ARCHITECTURES: return architecture_at(out, index);
    case PARE_LIST_STRATEGIES: return strategy_at(out, index);
    case PARE_LIST_PREPROCESSING:
        return entry_of(out, preprocessing, PRI_COUNT(preprocessing), index);
    case PARE_LIST_FORMATS: return entry_of(out, formats, PRI_COUNT(formats), index);
    }
    return false;
}
