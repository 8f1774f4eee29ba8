/* SPDX-License-Identifier: Apache-2.0 */
/* noise.c - see noise.h. */
#include "train/noise.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/text.h"

pare_status pri_noise_open(pri_noise *out, const pri_view *view, const pare_data *data)
{
    bool has_classes = false;

    *out = (pri_noise){.count = data->count, .labels = data->labels};
    for (int k = 0; k < view->n_heads; k++) {
        if (view->heads[k].is_mask || view->heads[k].classes < 2)
            continue;
        has_classes = true;
        out->offset = view->heads[k].offset;
    }
    if (data->labels == NULL || !has_classes)
        return pri_fail(data->ctx, PARE_ERROR_DATA,
                        "doubtful labels are looked for where images have class labels and the "
                        "model has a head of several classes for them");
    out->samples = pri_alloc(data->ctx, (size_t)data->count, sizeof *out->samples);
    return out->samples != NULL ? PARE_OK : PARE_ERROR_MEMORY;
}

void pri_noise_close(pri_noise *noise)
{
    pri_free(noise->samples);
    *noise = (pri_noise){0};
}

void pri_noise_note(pri_noise *noise, const float *logits, int64_t classes, const int32_t *labels,
                    const int64_t *order, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float *z = logits + i * classes;
        const int64_t label = labels[i] < 0 ? -1 : labels[i] + noise->offset;
        double other = -INFINITY, sum = 0;
        int64_t said = 0;
        if (label < 0 || label >= classes)
            continue;
        for (int64_t k = 0; k < classes; k++) {
            said = z[k] > z[said] ? k : said;
            other = k != label ? fmax(other, z[k]) : other;
        }
        for (int64_t k = 0; k < classes; k++)
            sum += exp((double)z[k] - z[said]);
        pri_sample *sample = &noise->samples[order[i]];
        sample->margin += classes > 1 ? z[label] - other : 0;
        sample->loss[sample->seen % PRI_NOISE_LAST] = (float)(log(sum) + z[said] - z[label]);
        sample->said = (int32_t)(said - noise->offset);
        sample->seen++;
    }
}

static double mean_margin(const pri_sample *sample)
{
    return sample->seen > 0 ? sample->margin / sample->seen : INFINITY;
}

static double mean_loss(const pri_sample *sample)
{
    const int n = sample->seen < PRI_NOISE_LAST ? sample->seen : PRI_NOISE_LAST;
    double sum = 0;

    for (int k = 0; k < n; k++)
        sum += sample->loss[k];
    return n > 0 ? sum / n : 0;
}

typedef struct rank {
    double margin;
    int64_t image;
} rank;

static bool is_doubtful(const pri_noise *noise, const rank *ranked)
{
    return ranked->margin < 0 && noise->samples[ranked->image].said != noise->labels[ranked->image];
}

static int compare_ranks(const void *a, const void *b)
{
    const rank *x = a, *y = b;

    if (x->margin != y->margin)
        return x->margin < y->margin ? -1 : 1;
    return x->image < y->image ? -1 : x->image > y->image;
}

/* All images by their mean margin, smallest first (pri_free); NULL when memory is short. */
static rank *rank_all(const pri_noise *noise, pare_context *ctx)
{
    rank *ranks = pri_alloc(ctx, (size_t)noise->count, sizeof *ranks);

    for (int64_t i = 0; i < noise->count && ranks != NULL; i++)
        ranks[i] = (rank){mean_margin(&noise->samples[i]), i};
    if (ranks != NULL)
        qsort(ranks, (size_t)noise->count, sizeof *ranks, compare_ranks);
    return ranks;
}

pare_status pri_noise_trim(pri_noise *noise, pare_context *ctx, double share)
{
    const int64_t most = (int64_t)(share * (double)noise->count);
    rank *ranks = rank_all(noise, ctx);

    if (ranks == NULL)
        return PARE_ERROR_MEMORY;
    for (int64_t i = 0; i < noise->count && noise->dropped < most; i++) {
        if (!is_doubtful(noise, &ranks[i]))
            continue;
        noise->samples[ranks[i].image].is_dropped = 1;
        noise->dropped++;
    }
    pri_free(ranks);
    pri_log(ctx, PARE_LOG_INFO, "%lld of %lld images are left out from now on",
            (long long)noise->dropped, (long long)noise->count);
    return PARE_OK;
}

int64_t pri_noise_filter(const pri_noise *noise, int64_t *order, int64_t count)
{
    int64_t kept = 0;

    for (int64_t i = 0; i < count; i++) {
        if (!noise->samples[order[i]].is_dropped)
            order[kept++] = order[i];
    }
    return kept;
}

pare_status pri_noise_write(const pri_noise *noise, const pare_data *data, const char *path)
{
    rank *ranks = rank_all(noise, data->ctx);
    pri_text text;

    if (ranks == NULL)
        return PARE_ERROR_MEMORY;
    pri_text_init(&text, data->ctx);
    pri_text_add(&text,
                 "image\tlabel\tnetwork_says\tmean_margin\tmean_loss\ttimes_seen\tleft_out\n");
    for (int64_t i = 0; i < noise->count; i++) {
        const pri_sample *sample = &noise->samples[ranks[i].image];
        if (!is_doubtful(noise, &ranks[i]) && !sample->is_dropped)
            continue;
        pri_text_addf(&text, "%lld\t%d\t%d\t%.4f\t%.4f\t%d\t%s\n", (long long)ranks[i].image,
                      (int)data->labels[ranks[i].image], (int)sample->said, ranks[i].margin,
                      mean_loss(sample), (int)sample->seen, sample->is_dropped ? "yes" : "no");
    }
    pri_free(ranks);
    pare_status status = pri_text_status(&text);
    if (status == PARE_OK)
        status = pri_file_write(data->ctx, path, pri_text_get(&text), text.length, true);
    pri_text_clear(&text);
    return status;
}
