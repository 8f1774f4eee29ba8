/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_data.c - libFuzzer entry for files that hold or list images: .npy, .npz, and text as a
 * manifest (.csv, .tsv) and as a list (.txt). The unit tests run it over corpus_data and damage it.
 *
 * Sets are opened by path, so each input is written to a folder of its own, which stays empty but
 * for it: images that a text names are not there.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/archive.h"
#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What a file may take in one piece beyond its size: packed bytes grow by 1032, numbers by none. */
enum { BASE_BYTES = 4 << 20, FACTOR = 1100 };

static char folder[] = P_tmpdir "/pare-fuzz-XXXXXX"; /* mkdtemp names it */

static void remove_folder(void)
{
    (void)rmdir(folder);
}

static void require(bool holds)
{
    if (!holds)
        __builtin_trap();
}

/* Opens a set; every image, label and mask of it can be read. */
static void open_as(const char *ending, const uint8_t *bytes, size_t size, const char *split)
{
    pare_context *ctx = NULL;
    pare_data *data = NULL;
    char path[64];

    snprintf(path, sizeof path, "%s/x%s", folder, ending);
    FILE *file = fopen(path, "wb");
    require(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
    require(pare_context_new(&ctx) == PARE_OK);
    const pare_status status =
        pare_data_open(&data, ctx, path, &(pare_data_options){.split = split, .limit = 64});
    require((status == PARE_OK) == (data != NULL));
    if (data != NULL && data->count > 0) {
        const int64_t area = data->height * data->width;
        (void)pri_data_hash(0, data);
        require(data->pixels != NULL && data->count <= 64 && area > 0);
        for (int64_t i = 0; i < data->count; i++)
            require(data->labels == NULL || data->labels[i] < pare_data_classes(data));
    }
    require(pri_largest_allocation(ctx) <= BASE_BYTES + FACTOR * size);
    pare_data_free(data);
    pare_context_free(ctx);
    (void)unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static bool is_ready = false;
    const char *const texts[] = {".csv", ".tsv", ".txt"};

    if (!is_ready) {
        require(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
        is_ready = true;
    }
    if (size > 2 && memcmp(bytes, "PK", 2) == 0) {
        open_as(".npz", bytes, size, "all");
    } else if (size > 6 && memcmp(bytes, PRI_ARRAY_MAGIC, 6) == 0) {
        open_as(".npy", bytes, size, "all");
    } else {
        for (int k = 0; k < 3; k++)
            open_as(texts[k], bytes, size, "all");
    }
    return 0;
}
