/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset.h - a format of image sets is one const struct: it recognises a folder and lists its
 * images.
 *
 * A reader decodes no more than it must: it lists images with label, mask and split, and the loader
 * decodes those that were asked for, at the size that was asked for. Formats that hold many images
 * in one file hand over blocks of pixels instead of paths. A new format is one file and one line in
 * dataset_list.def; the first that recognises a folder reads it.
 */
#ifndef PRI_DATASET_H
#define PRI_DATASET_H

#include "base/file.h"
#include "data/data.h"
#include "data/image.h"

/* The split an image belongs to (bits, for sets of splits). */
enum { PRI_PART_NONE = 1, PRI_PART_TRAIN = 2, PRI_PART_VAL = 4, PRI_PART_TEST = 8 };
enum { PRI_MAX_LABEL = 65535 };

typedef struct pri_item {
    char *image;                /* path, owned; NULL: `pixels` is the image */
    char *mask;                 /* path, owned, or NULL */
    const uint8_t *pixels;      /* in a block of the listing */
    const uint8_t *mask_pixels; /* the same, a byte a pixel; NULL: none */
    int32_t label;              /* -1: none */
    int part;                   /* PRI_PART_NONE: the set has no splits */
    int64_t rank;               /* among the images of its class */
} pri_item;

typedef struct pri_names {
    char **of; /* owned; NULL where there is no name */
    int64_t count;
} pri_names;

typedef struct pri_listing {
    pare_context *ctx;
    pri_item *items;
    int64_t count, capacity;
    int64_t height, width; /* of images in blocks */
    int channels;
    bool is_planar;         /* images in blocks are channel by channel */
    unsigned char **blocks; /* owned */
    int64_t n_blocks;
    pri_names classes, mask_classes;
    pri_colours colours;  /* of colour masks; count 0: none */
    pri_names problems;   /* why each file (or image of a file) was left out, a sentence each */
    pare_status *reasons; /* of the same */
} pri_listing;

/* What is to be opened. */
typedef struct pri_source {
    pare_context *ctx;
    char *path; /* owned */
    bool is_file;
    char **names; /* what is in the folder, sorted; none for a file */
    int64_t count;
    int wants; /* parts that are needed; readers may leave out others */
} pri_source;

typedef struct pri_dataset {
    const char *name;
    const char *layout; /* for messages and help */
    bool (*recognises)(const pri_source *source);
    pare_status (*list)(pri_listing *out, const pri_source *source);
} pri_dataset;

/* The table; returns its length. */
int pri_dataset_list(const pri_dataset *const **out);
const pri_dataset *pri_dataset_find(const pri_source *source); /* NULL: nobody knows it */

/* --- Listing --- */

void pri_listing_clear(pri_listing *listing);
/* Adds an image; takes over the paths, also on failure. */
pare_status pri_listing_add(pri_listing *listing, const pri_item *item);
/* Takes over memory items point into, also on failure. */
pare_status pri_listing_keep(pri_listing *listing, unsigned char *block);
/* Names class k, once. */
pare_status pri_names_set(pri_names *names, pare_context *ctx, int64_t k, const char *name);
/* One name a line from a file of the folder; nothing when there is no such file. */
pare_status pri_names_read(pri_names *names, const pri_source *source, const char *file);
void pri_names_clear(pri_names *names);
/* The same for masks, whose lines may also state a colour, "R G B NAME" or "NAME R G B" separated
 * by spaces, tabs or commas: then all must, and the colours are those of the classes in order. */
pare_status pri_mask_names_read(pri_listing *listing, const pri_source *source, const char *file);
/* Adds files of `folder`: an image with a mask (or NULL) and a label (or -1). PARE_ERROR_FORMAT
 * when one lies outside the folder: lists may come from anywhere. */
pare_status pri_listing_add_files(pri_listing *listing, const char *folder, const char *image,
                                  const char *mask, int32_t label, int part);
/* Logs (debug) with the context's message that a file is left out and keeps the sentence; passes on
 * what is no fault of the file (memory, cancel). */
pare_status pri_leave_out(pri_listing *listing, pare_status why);

/* --- Folders --- */

/* Opens a folder (or file); clear it also after a failure. */
pare_status pri_source_open(pri_source *out, pare_context *ctx, const char *path, int wants);
/* Opens a folder inside another. */
pare_status pri_source_enter(pri_source *out, const pri_source *source, const char *name);
void pri_source_clear(pri_source *source);
bool pri_source_has(const pri_source *source, const char *name);
bool pri_source_has_folder(const pri_source *source, const char *name);
/* Name of the folder of one part ("train", "training"; "val", ...), NULL when there is none. */
const char *pri_part_folder(const pri_source *source, int part);
bool pri_has_parts(const pri_source *source);
/* The part a file name speaks of in one of its words ("x_train.npy", "val2017"), whatever their
 * case; PRI_PART_NONE when of none, or of several. */
int pri_part_of_name(const char *name);
/* The part a word is the name of, whatever its case; 0: of none. */
int pri_part_of_word(const char *word);
const char *pri_part_name(int part);
bool pri_is_image_name(const char *path);
bool pri_starts_with(const char *text, const char *start);
bool pri_ends_with(const char *text, const char *end);
/* Reads a whole text file of at most `max_bytes`, without zero bytes. */
pare_status pri_text_file_read(pri_bytes *out, pare_context *ctx, const char *path,
                               int64_t max_bytes);

/* --- Steps of pare_data_open --- */

/* Finds the format and lists the images of the parts the source wants, with names of classes. */
pare_status pri_source_list(pri_listing *out, const pri_source *source);
/* Gives every item its final part (seeded where the data has no split) and fills chosen (count
 * items) with those of the asked split, in their order; returns their number. */
pare_status pri_choose(int64_t *chosen, int64_t *n_chosen, pri_listing *listing, int wanted,
                       const pare_data_options *options);
/* Decodes one item, with its mask if it has one; pixels of colours without a class are added to
 * *unknown. Clear both also after a failure. `ctx` may be another thread's than the listing's. */
pare_status pri_item_decode(pri_image *image, pri_image *mask, int64_t *unknown, pare_context *ctx,
                            const pri_listing *listing, const pri_item *item);
/* Decodes the chosen items into an empty set. */
pare_status pri_load(pare_data *data, pri_listing *listing, const int64_t *chosen, int64_t n_chosen,
                     const pare_data_options *options);

#endif
