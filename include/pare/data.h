/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data.h - images with class labels, masks or both, and how an image becomes a network's input.
 *
 * A set is 8-bit pixels of one size, held in memory up to a budget. An image may carry a class
 * (classification), a class for each pixel (segmentation) or both.
 */
#ifndef PARE_DATA_H
#define PARE_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include <pare/context.h>
#include <pare/model.h>

typedef struct pare_data pare_data;

enum { PARE_IGNORE = 255 }; /* a mask value that no score and no loss counts */

/* How a set is opened. The zero value is a sensible default. */
typedef struct pare_data_options {
    const char *split; /* "train", "val", "test" or "all" (train and val together); NULL: "test" */
    int64_t channels;  /* 1 or 3; 0: as the files are (colour when any file is) */
    int64_t height, width; /* images and masks are resized to this; 0: as they are, then all files
                              must be of one size */
    int64_t crop;          /* percent of the shorter side a centre crop keeps before resizing, for
                              folders of photos; 0: the whole image is squeezed */
    double val_fraction;   /* of the training images that form "val" where the data has none of its
                              own; 0: none, so that "train" is whole */
    double test_fraction;  /* of a set without any split that forms "test"; 0: 0.2 */
    int ignore_class;      /* mask class that becomes PARE_IGNORE, counted from 1 (12 = class 11);
                              0: none */
    int64_t limit;         /* at most this many images, the first of the split; 0: all */
    uint64_t seed;         /* of the splits made here */
    int64_t memory;        /* bytes of pixels that are held; images of files beyond are decoded
                              each time they are used; 0: 1 GiB */
} pare_data_options;

/* Opens a set. `path` is a folder or a file (details in docs/data.md):
 *   manifest            FILE.csv, FILE.tsv, or a folder with manifest, labels, train, val,
 * test.csv: image, label and mask, columns by name; paths relative to the file arrays FILE.npz,
 * FILE.npy, or a folder of .npy: images, labels, masks lists               FILE.txt, or a folder
 * with SPLIT.txt: IMAGE and MASK or class number a line; Pascal VOC's folders drawn images
 * "synth:train=400,test=100,size=32" instead of a path CIFAR-10 binary     FILE.bin, or a folder of
 * data_batch_*.bin and test_batch.bin IDX, also gzip      a folder of *-images-idx3-ubyte[.gz] and
 * *-labels-idx1-ubyte[.gz] PNG strips          a folder of SPLIT_00.png, ... (square images one
 * below the other) and SPLIT_labels.u8 class folders [SPLIT/]CLASS/IMAGE.(jpg|png|webp|bmp|ppm|pgm)
 *   masks               [SPLIT/]images and [SPLIT/]masks, also SPLIT and SPLITannot, image and
 * label; masks are indexed or gray images whose values are classes, or colour images when
 * classes.txt states the colours labels.tsv          a folder with labels.tsv: IMAGE, class
 * number[, class name] a line, and optionally MASK as a fourth column; images relative to the
 * folder pare synth          what `pare synth` writes (labels.tsv with masks in each split folder)
 * What cannot be decoded is left out: one warning with the count, each file at debug level;
 * PARE_ERROR_DATA when nothing is left. *out is the caller's: pare_data_free. */
PARE_API PARE_NODISCARD pare_status pare_data_open(pare_data **out, pare_context *ctx,
                                                   const char *path,
                                                   const pare_data_options *options);
/* Opens image files (PNG, JPEG, WebP, BMP, PGM, PPM) as a set without labels, in the order given;
 * all must decode. Of the options only channels, height, width and crop count. */
PARE_API PARE_NODISCARD pare_status pare_data_open_images(pare_data **out, pare_context *ctx,
                                                          const char *const *paths, int64_t count,
                                                          const pare_data_options *options);
/* The images from .. from + count - 1 (clipped to what there is) as a set of its own. */
PARE_API PARE_NODISCARD pare_status pare_data_slice(pare_data **out, const pare_data *data,
                                                    int64_t from, int64_t count);
/* `count` images (all where there are fewer) drawn at random, without repetition, in random order.
 */
PARE_API PARE_NODISCARD pare_status pare_data_sample(pare_data **out, const pare_data *data,
                                                     int64_t count, uint64_t seed);
PARE_API void pare_data_free(pare_data *data); /* NULL is fine */

PARE_API int64_t pare_data_count(const pare_data *data);
PARE_API int64_t pare_data_classes(const pare_data *data); /* largest label + 1; 0: no labels */
PARE_API int64_t pare_data_mask_classes(const pare_data *data); /* the same of masks; 0: no masks */
PARE_API int64_t pare_data_channels(const pare_data *data);
PARE_API int64_t pare_data_height(const pare_data *data);
PARE_API int64_t pare_data_width(const pare_data *data);
PARE_API int64_t pare_data_label(const pare_data *data, int64_t index); /* -1: none */
/* Mask of an image, height x width bytes, borrowed; NULL when the set has none. */
PARE_API const uint8_t *pare_data_mask(const pare_data *data, int64_t index);
/* Name of a class (of labels, or of masks) where the data names it, NULL otherwise. */
PARE_API const char *pare_data_class_name(const pare_data *data, int64_t k);
PARE_API const char *pare_data_mask_class_name(const pare_data *data, int64_t k);

/* States how pixels become inputs: "cifar10" or "imagenet" (RGB / 255, mean .485 .456 .406, std
 * .229 .224 .225), "none" (0 .. 255 as they are), "unit" (/ 255), or a list such as
 * "scale=255,mean=0.5,std=0.25,order=bgr,layout=nhwc,size=224x224" in which mean and std may hold
 * one number a channel ("mean=0.4 0.5 0.6"). x = (pixel / scale - mean) / std. Kept in the model's
 * metadata. */
PARE_API PARE_NODISCARD pare_status pare_model_set_preprocess(pare_model *model, const char *text);
/* Fills channels, height and width of `options` (where they are 0) with what the model's input and
 * preprocessing want, so that the set opened with them fits the model. */
PARE_API PARE_NODISCARD pare_status pare_data_fit_options(pare_data_options *options,
                                                          const pare_model *model);

/* Writes a mask of height x width classes as an indexed PNG whose colours tell classes apart,
 * beside `path`, then renamed. */
PARE_API PARE_NODISCARD pare_status pare_mask_write(pare_context *ctx, const char *path,
                                                    const uint8_t *mask, int64_t height,
                                                    int64_t width, bool replace);

/* Random changes of training images; masks move with their image. What each image gets is a
 * function of seed, epoch and its number alone. Zero switches each off. Outside of a moved image,
 * and in holes, pixels are 0 and masks PARE_IGNORE. */
typedef struct pare_augment {
    bool flip;          /* left and right, one in two */
    int crop;           /* pixels of padding before a random crop of the original size */
    float brightness;   /* added, uniform in +- this share of the range */
    float contrast;     /* factor uniform in 1 +- this, round the image's mean */
    float noise;        /* normal, standard deviation as a share of the range */
    bool vflip;         /* top and bottom, one in two */
    float resized_crop; /* least share of the area that a random crop keeps, which is then resized;
                           its sides' ratio is within 3/4 to 4/3 of the image's */
    float rotate;       /* degrees, uniform in +- this, round the middle */
    float saturation;   /* factor of the distance from gray, uniform in 1 +- this */
    float hue;          /* turned by up to this share of half a circle, either way */
    float grayscale;    /* share of the images that lose their colour */
    float blur;         /* standard deviation in pixels, uniform in 0 .. this */
    float cutout;       /* side of a square hole, as a share of the shorter side */
    float mixup;        /* alpha: images are blended with another, labels (and masks) by the share,
                           which is Beta(alpha, alpha) (Zhang et al. 2018) */
    float cutmix;       /* alpha: a rectangle of another image is put in, labels by its area (Yun et
                           al. 2019); with mixup, one or the other in turn by chance */
    int policy_count;   /* changes drawn for each image from a list of 14 (RandAugment, Cubuk et al.
                           2020): geometry, colour, histogram */
    float policy_magnitude; /* of these, 0 .. 10 */
} pare_augment;

/* Reads "flip,crop=4,rotate=10,rand=2:5"; names as above, gray for grayscale, rand=COUNT:MAGNITUDE.
 * What is not named stays as it is; NULL changes nothing. PARE_ERROR_ARGUMENT names the nearest
 * known word for an unknown one, and the range of a value outside it. */
PARE_API PARE_NODISCARD pare_status pare_augment_parse(pare_augment *out, pare_context *ctx,
                                                       const char *text);
/* Row k of what pare_augment_parse knows: "crop=PIXELS" and a sentence; false past the end. */
PARE_API bool pare_augment_describe(int k, const char **word, const char **summary);

/* --- Looking at a set --- */

/* What can be wrong with a set. Those marked (note) may be as they should; the others are faults.
 */
typedef enum pare_data_fault {
    PARE_FAULT_UNREADABLE,     /* a file is absent, damaged, truncated or of no format pare reads */
    PARE_FAULT_NOT_FINITE,     /* an array's image holds NaN or infinity */
    PARE_FAULT_LABEL,          /* no label, a class without name where others have one, or a class
                                  that is tested but never trained */
    PARE_FAULT_MASK,           /* a value or colour that is no class, or nothing but PARE_IGNORE */
    PARE_FAULT_CONSTANT,       /* all pixels are alike */
    PARE_FAULT_DUPLICATE,      /* the pixels of another image of the same split */
    PARE_FAULT_CONTRADICTION,  /* the same pixels with another label */
    PARE_FAULT_LEAK,           /* the same pixels in another split, or in the other set */
    PARE_FAULT_SIZE,           /* (note) another size than at least nine of ten images */
    PARE_FAULT_NEAR_DUPLICATE, /* (note) looks like another image of the same split */
    PARE_FAULT_NEAR_LEAK,      /* (note) looks like an image of another split or set */
    PARE_FAULT_IMBALANCE,      /* (note) the largest class has over ten times the images of the
                                  smallest */
    PARE_FAULTS
} pare_data_fault;

PARE_API const char *pare_data_fault_name(pare_data_fault fault); /* "near-duplicate"; static */
PARE_API bool pare_data_fault_is_note(pare_data_fault fault);

typedef struct pare_data_finding {
    pare_data_fault fault;
    char *file;   /* path, or "train image 17" of files that hold many; "" when of the whole set */
    char *detail; /* a sentence, or the path of the other image */
} pare_data_finding;

typedef struct pare_data_class_count {
    char *name;                      /* NULL: none */
    int64_t train, val, test, other; /* images; other: of sets without splits */
} pare_data_class_count;

typedef struct pare_data_report {
    int64_t images;                  /* looked at, those that do not decode included */
    int64_t train, val, test, other; /* of these */
    int64_t compared;                /* images of the set given as `against` */
    int64_t counts[PARE_FAULTS];
    pare_data_finding *findings; /* n_findings, by fault, then by file */
    int64_t n_findings;
    pare_data_class_count *classes; /* n_classes; 0 without labels */
    int64_t n_classes;
    int64_t least_height, least_width, most_height, most_width;
    int64_t comparisons; /* pairs of perceptual hashes whose distance was counted */
} pare_data_report;

typedef struct pare_data_check_options {
    const char *against; /* another set that must not share images with this one; NULL: none */
    int near;            /* bits in which the perceptual hashes of images that look alike differ at
                            most: 0 .. 7; 0 stands for 3; negative: none are looked for */
} pare_data_check_options;

/* Decodes every image of all splits and looks for what is wrong. Images look alike by a difference
 * hash of 64 bits (brightness of neighbours on a 9x8 grid). *out is the caller's:
 * pare_data_report_clear. */
PARE_API PARE_NODISCARD pare_status pare_data_check(pare_data_report *out, pare_context *ctx,
                                                    const char *path,
                                                    const pare_data_check_options *options);
PARE_API void pare_data_report_clear(pare_data_report *report);

typedef struct pare_preview_options {
    int64_t count; /* images; 0: 48 */
    pare_augment augment;
    uint64_t seed; /* images and changes are those of the first epoch of a training with it */
} pare_preview_options;

/* Writes a contact sheet: `path` ends with .png (masks as colours beside their images) or .html
 * (also labels). An existing file is PARE_ERROR_EXISTS unless `replace`. */
PARE_API PARE_NODISCARD pare_status pare_data_preview(const pare_data *data, const char *path,
                                                      const pare_preview_options *options,
                                                      bool replace);

/* --- Made images --- */

typedef struct pare_synth_options {
    int64_t train, val, test; /* images of each split; 0: 4000, 500, 1000 */
    int64_t size;             /* height and width; 0: 48 */
    double difficulty;        /* 0 .. 1: noise, clutter, occlusion, contrast; 0 stands for 0.5 */
    uint64_t seed;
} pare_synth_options;

/* Writes a seeded set of small RGB images of drawn shapes to `directory`: ten classes with texture,
 * occlusion, noise and clutter; a class label and a mask (0 background, 1 .. 10 the shape) each, as
 * DIR/SPLIT/images/NNNNN.png, DIR/SPLIT/masks/NNNNN.png and DIR/SPLIT/labels.tsv. The same options
 * give the same bytes. An existing set is PARE_ERROR_EXISTS unless `replace`. */
PARE_API PARE_NODISCARD pare_status pare_synth(pare_context *ctx, const char *directory,
                                               const pare_synth_options *options, bool replace);

#endif
