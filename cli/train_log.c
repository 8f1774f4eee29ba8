/* SPDX-License-Identifier: Apache-2.0 */
/* train_log.c - see train_log.h. */
#include "train_log.h"

#include <jansson.h>
#include <math.h>

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *epoch_json(const pare_epoch *e)
{
    return json_pack("{s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "kind",
                     "epoch", "epoch", e->epoch, "epochs", e->epochs, "loss", number(e->loss),
                     "val_loss", number(e->val_loss), "val_nll", number(e->val_nll), "val_accuracy",
                     number(e->val_accuracy), "val_miou", number(e->val_miou), "learning_rate",
                     number(e->learning_rate), "images_per_second", number(e->images_per_second),
                     "seconds", number(e->seconds), "best", e->is_best, "data_wait",
                     number(e->data_wait));
}

static json_t *steps_json(const pare_steps *s)
{
    return json_pack("{s:s, s:i, s:i, s:I, s:I, s:o, s:o, s:o}", "kind", "steps", "epoch", s->epoch,
                     "epochs", s->epochs, "step", (json_int_t)s->step, "steps",
                     (json_int_t)s->steps, "loss", number(s->loss), "learning_rate",
                     number(s->learning_rate), "images_per_second", number(s->images_per_second));
}

static void write_line(train_log *log, json_t *line)
{
    log->failed = log->failed || line == NULL || json_dumpf(line, log->file, JSON_COMPACT) != 0 ||
                  fputc('\n', log->file) == EOF || fflush(log->file) != 0;
    json_decref(line);
}

int train_log_open(train_log *out, const char *path, bool append)
{
    *out = (train_log){.path = path};
    if (path == NULL || (out->file = fopen(path, append ? "a" : "w")) != NULL)
        return 0;
    fprintf(stderr, "pare: cannot write '%s'\n", path);
    return EXIT_FAILED;
}

void train_log_steps(void *log, const pare_steps *steps)
{
    train_log *l = log;

    if (l->file != NULL)
        write_line(l, steps_json(steps));
}

void train_log_epoch(void *log, const pare_epoch *epoch)
{
    train_log *l = log;

    if (l->file != NULL)
        write_line(l, epoch_json(epoch));
    cli_print_epoch(epoch);
}

int train_log_close(train_log *log)
{
    if (log->file == NULL || (fclose(log->file) == 0 && !log->failed))
        return 0;
    fprintf(stderr, "pare: '%s' is not complete\n", log->path);
    return EXIT_FAILED;
}

void cli_print_epoch(const pare_epoch *e)
{
    if (cli_common.quiet)
        return;
    cli_end_progress();
    fprintf(stderr, "epoch %d/%d loss %.4f", e->epoch, e->epochs, e->loss);
    if (isfinite(e->val_nll))
        fprintf(stderr, " val nll %.4f", e->val_nll);
    if (isfinite(e->val_loss) && e->val_loss != e->val_nll)
        fprintf(stderr, " val loss %.4f", e->val_loss);
    if (isfinite(e->val_accuracy))
        fprintf(stderr, " accuracy %.2f %%", 100 * e->val_accuracy);
    if (isfinite(e->val_miou))
        fprintf(stderr, " mIoU %.2f %%", 100 * e->val_miou);
    fprintf(stderr, " lr %.3g %.0f img/s data wait %.0f %% %.1f s%s\n", e->learning_rate,
            e->images_per_second, 100 * e->data_wait, e->seconds, e->is_best ? " *" : "");
}
