/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synth_draw.c - draws one made image.
 *
 * From back to front: a textured background, fragments of shapes and bars as clutter, the textured
 * shape, then occluders. Shapes are covered by 4 x 4 samples a pixel, so edges are anti-aliased. At
 * last the light falls off to one side, contrast is lowered and noise added. Difficulty moves all
 * of it: how alike colours of shape and background may be, how strong textures are, how much is
 * hidden.
 */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "data/synth.h"

enum { SAMPLES = 4, MAX_TRIES = 16, DRAWS_BITS = 20 };

static const double pi = 3.14159265358979323846;

/* Random numbers in the order they are asked for. */
typedef struct draws {
    uint64_t seed, stream, next;
} draws;

static double draw(draws *d, double low, double high)
{
    return low + (high - low) * pri_random_unit(d->seed, d->stream, d->next++);
}

static int draw_below(draws *d, int bound)
{
    return (int)pri_random_below(bound, d->seed, d->stream, d->next++);
}

/* --- Textures: two colours mixed by a pattern --- */

enum { FLAT, GRADIENT, STRIPES, CHECKER, CLOUDS, N_TEXTURES };

typedef struct texture {
    int kind;
    double a[3], b[3]; /* colours, 0 .. 1 */
    double frequency, angle, phase;
    uint64_t key; /* of clouds */
} texture;

static double lattice(uint64_t key, int64_t x, int64_t y)
{
    return pri_random_unit(key, PRI_STREAM_SYNTH, (uint64_t)(x * 65536 + y));
}

/* Smooth value noise. */
static double clouds(uint64_t key, double x, double y)
{
    const double fx = floor(x), fy = floor(y);
    const int64_t ix = (int64_t)fx, iy = (int64_t)fy;
    const double u = x - fx, v = y - fy;
    const double su = u * u * (3 - 2 * u), sv = v * v * (3 - 2 * v);
    const double top = lattice(key, ix, iy) * (1 - su) + lattice(key, ix + 1, iy) * su;
    const double bottom = lattice(key, ix, iy + 1) * (1 - su) + lattice(key, ix + 1, iy + 1) * su;

    return top * (1 - sv) + bottom * sv;
}

/* Share of colour b at a point; coordinates in images, 0 .. 1. */
static double pattern(const texture *t, double x, double y)
{
    const double along = x * cos(t->angle) + y * sin(t->angle);
    const double across = y * cos(t->angle) - x * sin(t->angle);

    switch (t->kind) {
    case GRADIENT: return fmin(1, fmax(0, 0.5 + 0.7 * (along - 0.35)));
    case STRIPES: return 0.5 + 0.5 * sin(2 * pi * t->frequency * along + t->phase);
    case CHECKER:
        return sin(2 * pi * t->frequency * along + t->phase) * sin(2 * pi * t->frequency * across) >
                       0
                   ? 1
                   : 0;
    case CLOUDS:
        return 0.65 * clouds(t->key, x * t->frequency + 64, y * t->frequency + 64) +
               0.35 * clouds(t->key + 1, 2.3 * x * t->frequency + 64, 2.3 * y * t->frequency + 64);
    default: return 0;
    }
}

static void draw_colour(draws *d, double colour[3])
{
    for (int c = 0; c < 3; c++)
        colour[c] = draw(d, 0.04, 0.96);
}

/* A texture round a random colour; `strength` is how far its second colour may be. */
static texture draw_texture(draws *d, double strength)
{
    texture t = {.kind = draw_below(d, N_TEXTURES)};

    draw_colour(d, t.a);
    for (int c = 0; c < 3; c++)
        t.b[c] = fmin(1, fmax(0, t.a[c] + draw(d, -strength, strength)));
    t.frequency = draw(d, 3, 9);
    t.angle = draw(d, 0, 2 * pi);
    t.phase = draw(d, 0, 2 * pi);
    t.key = pri_random_bits(d->seed, d->stream, d->next++);
    return t;
}

static double distance(const texture *s, const texture *t)
{
    double sum = 0;

    for (int c = 0; c < 3; c++) {
        const double difference = s->a[c] + s->b[c] - t->a[c] - t->b[c];
        sum += difference * difference / 4;
    }
    return sqrt(sum);
}

/* A texture whose mean colour is at least `apart` from another's, or the farthest of the tries. */
static texture draw_distinct(draws *d, double strength, const texture *from, double apart)
{
    texture best = draw_texture(d, strength);

    for (int i = 0; i < MAX_TRIES && distance(&best, from) < apart; i++) {
        const texture next = draw_texture(d, strength);
        if (distance(&next, from) > distance(&best, from))
            best = next;
    }
    return best;
}

/* --- Stamps: a shape at a place --- */

typedef struct stamp {
    int kind;
    double x, y, radius, angle; /* pixels; radians */
    double stretch;             /* of the shape's own x axis */
    texture skin;
} stamp;

typedef struct canvas {
    int64_t size;
    float *colour;  /* size x size x 3 */
    float *shape;   /* size x size: what the shape covers, 0 .. 1 */
    float *hidden;  /* share of it behind occluders */
    float *attempt; /* what an occluder covers */
} canvas;

static double cover_pixel(const stamp *s, double px, double py)
{
    const double c = cos(s->angle) / s->radius, n = sin(s->angle) / s->radius;
    int inside = 0;

    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
        const double dx = px + (i % SAMPLES + 0.5) / SAMPLES - s->x;
        const double dy = py + (i / SAMPLES + 0.5) / SAMPLES - s->y;
        inside += pri_synth_is_inside(s->kind, (dx * c + dy * n) / s->stretch, dy * c - dx * n);
    }
    return (double)inside / (SAMPLES * SAMPLES);
}

/* Writes what a stamp covers; everything is 0 outside its bounding square. */
static void cover(float *out, int64_t size, const stamp *s)
{
    const double reach = 1.15 * s->radius * fmax(1, s->stretch) + 1;
    const int64_t x0 = pri_max_i64(0, (int64_t)floor(s->x - reach));
    const int64_t y0 = pri_max_i64(0, (int64_t)floor(s->y - reach));
    const int64_t x1 = pri_min_i64(size, (int64_t)ceil(s->x + reach));
    const int64_t y1 = pri_min_i64(size, (int64_t)ceil(s->y + reach));

    memset(out, 0, (size_t)(size * size) * sizeof *out);
    for (int64_t y = y0; y < y1; y++) {
        for (int64_t x = x0; x < x1; x++)
            out[y * size + x] = (float)cover_pixel(s, (double)x, (double)y);
    }
}

static void paint(canvas *to, const float *coverage, const texture *skin)
{
    for (int64_t i = 0; i < to->size * to->size; i++) {
        if (coverage[i] == 0)
            continue;
        const double x = (double)(i % to->size) / (double)to->size;
        const double y = (double)(i / to->size) / (double)to->size;
        const double share = pattern(skin, x, y);
        for (int c = 0; c < 3; c++) {
            const double colour = skin->a[c] + (skin->b[c] - skin->a[c]) * share;
            float *value = to->colour + 3 * i + c;
            *value += coverage[i] * ((float)colour - *value);
        }
    }
}

static void paint_background(canvas *to, const texture *skin)
{
    for (int64_t i = 0; i < to->size * to->size; i++)
        to->attempt[i] = 1;
    paint(to, to->attempt, skin);
}

/* --- What is drawn --- */

/* Small shapes, parts of shapes and bars in any place. */
static void paint_clutter(canvas *to, draws *d, int count, double strength)
{
    const double size = (double)to->size;

    for (int i = 0; i < count; i++) {
        const stamp s = {.kind = draw_below(d, PRI_SYNTH_BLOB + 1),
                         .x = draw(d, 0, size),
                         .y = draw(d, 0, size),
                         .radius = draw(d, 0.04, 0.11) * size,
                         .angle = draw(d, 0, 2 * pi),
                         .stretch = draw(d, 0.7, 1.6),
                         .skin = draw_texture(d, strength)};
        cover(to->attempt, to->size, &s);
        paint(to, to->attempt, &s.skin);
    }
}

/* How strong disturbances are, 0 .. 1. The curve was fitted by training: a network of 0.2 M weights
 * reaches about 95 % on 4000 images at difficulty 0.5. */
static double hardness(const pri_synth_job *job)
{
    return pow(job->difficulty, 4);
}

static stamp draw_shape(draws *d, const pri_synth_job *job, const texture *background)
{
    const double size = (double)job->size, hard = hardness(job);
    stamp s = {.kind = job->label};

    s.radius = size * draw(d, 0.32 - 0.14 * hard, 0.40);
    s.x = draw(d, 0.8 * s.radius, size - 0.8 * s.radius);
    s.y = draw(d, 0.8 * s.radius, size - 0.8 * s.radius);
    s.angle = draw(d, 0, 2 * pi);
    s.stretch = 1 + draw(d, -0.3, 0.3) * hard;
    s.skin = draw_distinct(d, 0.15 + 0.5 * hard, background, 0.6 - 0.4 * hard);
    return s;
}

/* Share of the shape that is hidden when `more` lies over what hides it already. */
static double hidden_share(const canvas *c, const float *more)
{
    double all = 0, hidden = 0;

    for (int64_t i = 0; i < c->size * c->size; i++) {
        const double over = 1 - (1 - (double)c->hidden[i]) * (1 - (double)more[i]);
        all += (double)c->shape[i];
        hidden += (double)c->shape[i] * over;
    }
    return all > 0 ? hidden / all : 0;
}

/* An occluder near the rim of the shape that leaves at least 1 - `most` of it to be seen. */
static void paint_occluder(canvas *to, draws *d, const stamp *shape, double most, double strength)
{
    for (int i = 0; i < MAX_TRIES; i++) {
        const double angle = draw(d, 0, 2 * pi), away = draw(d, 0.3, 1.1) * shape->radius;
        const stamp s = {.kind = draw_below(d, 3) == 0 ? PRI_SYNTH_BLOB : PRI_SYNTH_BAR,
                         .x = shape->x + away * cos(angle),
                         .y = shape->y + away * sin(angle),
                         .radius = draw(d, 0.3, 0.9) * shape->radius,
                         .angle = draw(d, 0, 2 * pi),
                         .stretch = draw(d, 0.8, 2.2),
                         .skin = draw_texture(d, strength)};
        cover(to->attempt, to->size, &s);
        if (hidden_share(to, to->attempt) > most)
            continue;
        paint(to, to->attempt, &s.skin);
        for (int64_t k = 0; k < to->size * to->size; k++)
            to->hidden[k] = 1 - (1 - to->hidden[k]) * (1 - to->attempt[k]);
        return;
    }
}

/* Light, contrast and noise, and 8 bits. */
static void develop(uint8_t *pixels, const canvas *from, draws *d, double hard)
{
    const double direction = draw(d, 0, 2 * pi), fall = draw(d, 0, 0.6) * hard;
    const double contrast = 1 - draw(d, 0, 0.7) * hard, level = 0.5 + draw(d, -0.3, 0.3) * hard;
    const double sd = (0.01 + 0.16 * hard) * draw(d, 0.4, 1);
    const int64_t size = from->size;

    for (int64_t i = 0; i < size * size * 3; i++) {
        const double x = (double)(i / 3 % size) / (double)size - 0.5;
        const double y = (double)(i / 3 / size) / (double)size - 0.5;
        const double light = 1 + fall * (x * cos(direction) + y * sin(direction));
        double value = level + ((double)from->colour[i] * light - 0.5) * contrast;
        value += sd * pri_random_normal(d->seed, d->stream + 1, d->next + (uint64_t)i);
        pixels[i] = (uint8_t)(fmin(1, fmax(0, value)) * 255 + 0.5);
    }
}

int64_t pri_synth_work(int64_t size)
{
    return size * size * 6;
}

void pri_synth_draw(uint8_t *pixels, uint8_t *mask, float *work, const pri_synth_job *job)
{
    const int64_t area = job->size * job->size;
    const double hard = hardness(job), strength = 0.2 + 0.6 * hard;
    canvas to = {.size = job->size,
                 .colour = work,
                 .shape = work + 3 * area,
                 .hidden = work + 4 * area,
                 .attempt = work + 5 * area};
    draws d = {.seed = job->seed,
               .stream = PRI_STREAM_SYNTH + ((uint64_t)(2 * job->split + 1) << 32),
               .next = (uint64_t)job->number << DRAWS_BITS};

    memset(work, 0, (size_t)pri_synth_work(job->size) * sizeof *work);
    const texture background = draw_texture(&d, strength);
    paint_background(&to, &background);
    paint_clutter(&to, &d, draw_below(&d, 2 + (int)(18 * hard)), strength);
    const stamp shape = draw_shape(&d, job, &background);
    cover(to.shape, to.size, &shape);
    paint(&to, to.shape, &shape.skin);
    for (int i = 0; i < 3; i++) {
        if (draw(&d, 0, 1) < 0.9 * hard)
            paint_occluder(&to, &d, &shape, 0.05 + 0.45 * hard, strength);
    }
    for (int64_t i = 0; i < area; i++)
        mask[i] = to.shape[i] * (1 - to.hidden[i]) >= 0.5f ? (uint8_t)(1 + job->label) : 0;
    develop(pixels, &to, &d, hard);
}
