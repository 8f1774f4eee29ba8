/* SPDX-License-Identifier: Apache-2.0 */
/* synth_shapes.c - the ten shapes, as tests of a point. */
#include <math.h>

#include "data/synth.h"

typedef struct point {
    double x, y;
} point;

static bool in_polygon(const point *p, int n, double x, double y)
{
    bool inside = false;

    for (int i = 0, k = n - 1; i < n; k = i++) {
        if ((p[i].y > y) != (p[k].y > y) &&
            x < (p[k].x - p[i].x) * (y - p[i].y) / (p[k].y - p[i].y) + p[i].x)
            inside = !inside;
    }
    return inside;
}

static bool disc(double x, double y)
{
    return x * x + y * y <= 0.92 * 0.92;
}

static bool ring(double x, double y)
{
    const double r2 = x * x + y * y;

    return r2 <= 0.96 * 0.96 && r2 >= 0.55 * 0.55;
}

static bool square(double x, double y)
{
    return fabs(x) <= 0.8 && fabs(y) <= 0.8;
}

static bool triangle(double x, double y)
{
    static const point p[] = {{0, -1.1}, {0.953, 0.55}, {-0.953, 0.55}};

    return in_polygon(p, PRI_COUNT(p), x, y);
}

static bool cross(double x, double y)
{
    const double a = fabs(x), b = fabs(y);

    return (a <= 0.31 && b <= 0.98) || (b <= 0.31 && a <= 0.98);
}

static bool star(double x, double y)
{
    /* radius 1.08 at the tips, 0.45 between them */
    static const point p[] = {
        {0, -1.08}, {0.2645, -0.3641}, {1.0271, -0.3337}, {0.428, 0.1391},    {0.6348, 0.8737},
        {0, 0.45},  {-0.6348, 0.8737}, {-0.428, 0.1391},  {-1.0271, -0.3337}, {-0.2645, -0.3641}};

    return in_polygon(p, PRI_COUNT(p), x, y);
}

static bool hexagon(double x, double y)
{
    const double a = fabs(x), b = fabs(y);

    return a <= 0.866 && a * 0.5 + b * 0.866 <= 0.866;
}

static bool crescent(double x, double y)
{
    const double dx = x - 0.45;

    return x * x + y * y <= 0.98 * 0.98 && dx * dx + y * y >= 0.76 * 0.76;
}

static bool arrow(double x, double y)
{
    static const point p[] = {{1.05, 0},  {0.1, -0.8}, {0.1, -0.28}, {-1, -0.28},
                              {-1, 0.28}, {0.1, 0.28}, {0.1, 0.8}};

    return in_polygon(p, PRI_COUNT(p), x, y);
}

static bool bars(double x, double y)
{
    const double b = fabs(y);

    return fabs(x) <= 0.88 && (b <= 0.18 || (b >= 0.52 && b <= 0.88));
}

static bool bar(double x, double y)
{
    return fabs(x) <= 1 && fabs(y) <= 0.22;
}

/* Three lobes, like none of the ten. */
static bool blob(double x, double y)
{
    return sqrt(x * x + y * y) <= 0.7 + 0.25 * cos(3 * atan2(y, x));
}

static const struct {
    const char *name;
    bool (*is_inside)(double x, double y);
} shapes[] = {{"disc", disc},   {"ring", ring}, {"square", square},   {"triangle", triangle},
              {"cross", cross}, {"star", star}, {"hexagon", hexagon}, {"crescent", crescent},
              {"arrow", arrow}, {"bars", bars}, {"bar", bar},         {"blob", blob}};

const char *pri_synth_name(int kind)
{
    return shapes[kind].name;
}

bool pri_synth_is_inside(int kind, double x, double y)
{
    return shapes[kind].is_inside(x, y);
}
