/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - running a network: inference, arrays in files, and where the time goes.
 *
 *     pare_session *session;
 *     pare_tensor x, y;
 *     pare_session_new(&session, model, NULL);
 *     pare_session_input(&x, session, 0);
 *     memcpy(x.data, pixels, x.size_bytes);
 *     pare_session_run(session);
 *     pare_session_output(&y, session, 0);
 */
#ifndef PARE_RUN_H
#define PARE_RUN_H

#include <pare/data.h>
#include <pare/model.h>

/* Element types, with the numbers ONNX gives them. */
typedef enum pare_type {
    PARE_FLOAT32 = 1,
    PARE_UINT8 = 2,
    PARE_INT8 = 3,
    PARE_UINT16 = 4,
    PARE_INT16 = 5,
    PARE_INT32 = 6,
    PARE_INT64 = 7,
    PARE_BOOL = 9,
    PARE_FLOAT16 = 10,
    PARE_FLOAT64 = 11,
    PARE_UINT32 = 12,
    PARE_UINT64 = 13,
    PARE_BFLOAT16 = 16
} pare_type;
PARE_API const char *pare_type_name(pare_type type); /* "float32", ...; never NULL, static */

/* An array: the last axis is contiguous. Who owns name and data is said where one is given. */
typedef struct pare_tensor {
    const char *name;
    pare_type type;
    int rank;
    int64_t dims[PARE_MAX_RANK];
    void *data;
    size_t size_bytes;
} pare_tensor;

/* --- Inference --- */

typedef struct pare_session pare_session;

typedef struct pare_session_options {
    int64_t batch;           /* first dimension of the inputs; 0: as declared, 1 where it is open. A
                                graph made for one batch keeps that */
    const pare_data *images; /* open height, width and channels become those of these images; NULL:
                                they must have been stated (pare_model_set_input_shape) */
} pare_session_options;

/* Plans a model at fixed shapes; running it then allocates nothing. The session shares weights with
 * `model`, which may be changed or freed afterwards. `options` may be NULL. Operators that pare
 * cannot run are refused here: PARE_ERROR_UNSUPPORTED names them. *out is the caller's:
 * pare_session_free. */
PARE_API PARE_NODISCARD pare_status pare_session_new(pare_session **out, const pare_model *model,
                                                     const pare_session_options *options);
PARE_API void pare_session_free(pare_session *session); /* NULL is fine */

/* Input or output `index` (0, 1, ...); false past the last. What the file declares as another
 * precision (float16, bfloat16, float64) is float32 here, which pare computes in. The data is the
 * session's: an input's is written before a run, and again before the next one, since running may
 * overwrite it; an output's holds the last run until the next one. */
PARE_API bool pare_session_input(pare_tensor *out, const pare_session *session, int index);
PARE_API bool pare_session_output(pare_tensor *out, const pare_session *session, int index);
/* Number of the input of this name; -1: there is none. */
PARE_API int pare_session_find_input(const pare_session *session, const char *name);
/* Writes images from, from + 1, ... of a set to the input (a network with one image input), as the
 * model's preprocessing says, one a row; rows past the last image repeat it. */
PARE_API PARE_NODISCARD pare_status pare_session_set_images(pare_session *session,
                                                            const pare_data *images, int64_t from);
PARE_API PARE_NODISCARD pare_status pare_session_run(pare_session *session);

/* --- Arrays in files --- */

/* Reads a NumPy file (.npy, little-endian numbers or truth values, C order). Name and data become
 * the caller's: pare_array_clear. */
PARE_API PARE_NODISCARD pare_status pare_array_read(pare_tensor *out, pare_context *ctx,
                                                    const char *path);
PARE_API void pare_array_clear(pare_tensor *array);
/* Writes the only array as .npy, or all of them under their names as .npz, as `path` ends. Beside
 * `path`, then renamed. */
PARE_API PARE_NODISCARD pare_status pare_arrays_write(pare_context *ctx, const char *path,
                                                      const pare_tensor *arrays, int n_arrays,
                                                      bool replace);

/* --- Where the time goes --- */

/* One step of the engine. */
typedef struct pare_profile_step {
    const char *name; /* of the node; "" for a change of layout */
    const char
        *op_type;    /* what it computes, fused operators joined by "+": "Conv+Relu"; "(layout)" */
    double forward;  /* seconds, median over the rounds */
    double backward; /* the same, with its second forward if it has one; 0 where none is computed */
    const char *algorithm; /* of a convolution: "direct", "winograd" or "bf16"; "" elsewhere.
                              Static */
    int64_t staged;        /* bytes a pass (training: both passes) reads and writes to bring
                              activations into the form its algorithm works on */
    int64_t macs;  /* multiply-accumulates of a pass (both), of convolutions and products, as
                      they are defined: Winograd's algorithm needs a quarter */
    int64_t bytes; /* of activations, weights and gradients that a pass (both) cannot but read
                      or write, each once */
    double limit;  /* seconds below which this machine cannot do that: the greater of macs and
                      bytes over its rates; 0 without `limits` */
} pare_profile_step;

typedef struct pare_profile {
    int64_t batch;
    int rounds;
    double forward, backward;         /* seconds of a whole pass, median */
    double forward_low, forward_high; /* quartiles */
    double backward_low, backward_high;
    int64_t activation_bytes; /* of activations and gradients */
    int n_steps;
    int n_layouts;               /* of these: changes of layout */
    int n_staged;                /* convolutions with staged > 0 */
    int64_t staged, macs, bytes; /* sums over the steps */
    double limit;
    double macs_per_second, bytes_per_second; /* this machine's at best; 0 without `limits` */
    pare_profile_step *steps;                 /* in running order, owned */
    char *text;                               /* names of the steps, owned */
} pare_profile;

typedef struct pare_profile_options {
    int64_t batch;  /* 0: as declared, 1 where it is open */
    int rounds;     /* 0: 20 */
    bool training;  /* a training step instead: forward with batch statistics, then backward for all
                       weights; without loss and optimiser */
    bool recompute; /* with training: as in pare_train_options */
    const char *precision; /* what convolutions multiply in, as in pare_train_options; NULL: f32 */
    bool limits; /* measures the machine too, half a second: its rate of multiplications by
                    dense convolutions in this precision, that of memory by sums of arrays
                    (the roofline model, Williams, Waterman, Patterson 2009) */
} pare_profile_options;

/* Times every step on random inputs: with one thread its processor time, otherwise by the clock. */
PARE_API PARE_NODISCARD pare_status pare_profile_model(pare_profile *out, const pare_model *model,
                                                       const pare_profile_options *options);
PARE_API void pare_profile_clear(pare_profile *profile);

#endif
