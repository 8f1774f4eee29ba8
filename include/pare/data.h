/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data.h - images and labels, and how an image becomes a network's input.
 */
#ifndef PARE_DATA_H
#define PARE_DATA_H

#include <stdint.h>

#include <pare/context.h>
#include <pare/model.h>

typedef struct pare_data pare_data;

/* Opens a set of labelled images. `path` is a folder or a file:
 *   CIFAR-10 binary     FILE.bin, or a folder of data_batch_*.bin and test_batch.bin
 *   IDX, also gzip      a folder of *-images-idx3-ubyte[.gz] and *-labels-idx1-ubyte[.gz]
 *   PNG strips          a folder of SPLIT_00.png, ... (square images one below the other) and
 *                       SPLIT_labels.u8
 * `split` is "train" or "test". *out is the caller's: pare_data_free. */
PARE_API PARE_NODISCARD pare_status pare_data_open(pare_data **out, pare_context *ctx,
                                                   const char *path, const char *split);
/* The images from .. from + count - 1 (clipped to what there is) as a set of its own. */
PARE_API PARE_NODISCARD pare_status pare_data_slice(pare_data **out, const pare_data *data,
                                                    int64_t from, int64_t count);
PARE_API void pare_data_free(pare_data *data); /* NULL is fine */

PARE_API int64_t pare_data_count(const pare_data *data);
PARE_API int64_t pare_data_classes(const pare_data *data); /* largest label + 1 */
PARE_API int64_t pare_data_channels(const pare_data *data);
PARE_API int64_t pare_data_height(const pare_data *data);
PARE_API int64_t pare_data_width(const pare_data *data);
PARE_API int64_t pare_data_label(const pare_data *data, int64_t index);

/* States how pixels become inputs: "cifar10" or "imagenet" (RGB / 255, mean .485 .456 .406, std .229
 * .224 .225), "none" (0 .. 255 as they are), "unit" (/ 255), or numbers such as
 * "scale=255,mean=0.5,std=0.25". Kept in the model's metadata. */
PARE_API PARE_NODISCARD pare_status pare_model_set_preprocess(pare_model *model,
                                                              const char *text);

#endif
