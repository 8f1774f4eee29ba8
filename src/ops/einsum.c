/* SPDX-License-Identifier: Apache-2.0 */
/*
 * einsum.c - Einsum: products summed over the letters the result does not have.
 *
 * Letters of an ellipsis are numbers of their own, counted from the last, so that operands of
 * different rank meet as in broadcasting.
 */
#include "ops/einsum.h"

#include <ctype.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/product.h"

enum { TERM = 64 };

typedef struct reader {
    const pri_call *call;
    pri_einsum *e;
    char names[PRI_EINSUM_LETTERS]; /* letters; digits stand for axes of an ellipsis from the end */
    int counts[PRI_EINSUM_LETTERS]; /* how often a letter stands in the inputs */
} reader;

static int letter_of(reader *r, char name)
{
    for (int i = 0; i < r->e->n_letters; i++) {
        if (r->names[i] == name)
            return i;
    }
    if (r->e->n_letters == PRI_EINSUM_LETTERS)
        return -1;
    r->names[r->e->n_letters] = name;
    r->e->size[r->e->n_letters] = 1;
    return r->e->n_letters++;
}

/* One term as names of axes, its ellipsis (at most one) filled for `rank` axes; their number, -1
 * when it is wrong. */
static int expand(char out[TERM], const char *term, size_t length, int rank)
{
    bool has_ellipsis = false;
    int letters = 0, n = 0;

    for (size_t i = 0; i < length; i++)
        letters += isalpha((unsigned char)term[i]) != 0;
    for (size_t i = 0; i < length; i++) {
        if (isalpha((unsigned char)term[i]) && n < TERM) {
            out[n++] = term[i];
        } else if (!has_ellipsis && length - i >= 3 && memcmp(term + i, "...", 3) == 0 &&
                   rank - letters <= PRI_MAX_RANK && n + rank - letters <= TERM) {
            for (int k = rank - letters; k > 0; k--)
                out[n++] = (char)('0' + k);
            has_ellipsis = true;
            i += 2;
        } else {
            return -1;
        }
    }
    return n;
}

static bool read_input(reader *r, int k, const char *term, size_t length)
{
    const pri_shape *x = &r->call->in[k].shape;
    char names[TERM];
    const int n = expand(names, term, length, x->rank);

    if (n != x->rank)
        return false;
    for (int a = 0; a < n; a++) {
        const int letter = letter_of(r, names[a]);
        if (letter < 0)
            return false;
        int64_t *size = &r->e->size[letter];
        if (x->dims[a] != 1 && *size != 1 && *size != x->dims[a])
            return false;
        if (x->dims[a] != 1)
            *size = x->dims[a];
        r->e->of_in[k][a] = letter;
        r->counts[letter]++;
    }
    return true;
}

/* Without an arrow: the ellipsis, then letters that stand once, in the order of the alphabet. */
static size_t default_output(const reader *r, char out[TERM])
{
    size_t n = 0;

    for (int i = 0; i < r->e->n_letters; i++) {
        if (isdigit((unsigned char)r->names[i]) && n == 0) {
            memcpy(out, "...", 3);
            n = 3;
        }
    }
    for (int c = 'A'; c <= 'z'; c++) {
        for (int i = 0; i < r->e->n_letters; i++) {
            if (r->names[i] == c && r->counts[i] == 1)
                out[n++] = (char)c;
        }
    }
    return n;
}

static bool read_output(reader *r, const char *term, size_t length)
{
    char names[TERM];
    int rank = 0;

    for (size_t i = 0; i < length; i++)
        rank += isalpha((unsigned char)term[i]) != 0;
    for (int i = 0; i < r->e->n_letters; i++)
        rank += isdigit((unsigned char)r->names[i]) != 0;
    const int n = expand(names, term, length, rank);
    if (n < 0 || n > PRI_MAX_RANK)
        return false;
    r->e->rank_out = n;
    for (int a = 0; a < n; a++) {
        const int letters = r->e->n_letters, letter = letter_of(r, names[a]);
        bool is_new = letter >= 0 && letters == r->e->n_letters;
        for (int b = 0; b < a; b++)
            is_new = is_new && r->e->of_out[b] != letter;
        if (!is_new) /* unknown, or there twice */
            return false;
        r->e->of_out[a] = letter;
    }
    return true;
}

static bool read_equation(reader *r, const char *text)
{
    const char *arrow = strstr(text, "->"), *end = arrow != NULL ? arrow : text + strlen(text);
    char output[TERM];

    for (int k = 0; k < r->e->n_in; k++) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *stop = comma != NULL ? comma : end;
        if ((comma != NULL) != (k + 1 < r->e->n_in) ||
            !read_input(r, k, text, (size_t)(stop - text)))
            return false;
        text = stop + 1;
    }
    if (arrow != NULL)
        return strlen(arrow + 2) < TERM && read_output(r, arrow + 2, strlen(arrow + 2));
    const size_t length = default_output(r, output);
    return read_output(r, output, length);
}

pare_status pri_einsum_read(pri_einsum *e, const pri_call *call)
{
    const char *equation = pri_node_attr_string(call->node, "equation", "");
    char text[256];
    size_t n = 0;
    reader r = {.call = call, .e = e};

    memset(e, 0, sizeof *e);
    e->n_in = call->n_in;
    for (const char *at = equation; *at != '\0'; at++) {
        if (isspace((unsigned char)*at))
            continue;
        if (n + 1 == sizeof text)
            return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "the equation is longer than %zu",
                               sizeof text - 1);
        text[n++] = *at;
    }
    text[n] = '\0';
    bool fits = read_equation(&r, text);
    int64_t count = 1;
    for (int i = 0; i < e->n_letters; i++)
        fits = fits && pri_mul_i64(&count, count, e->size[i]);
    return fits ? PARE_OK
                : pri_op_fail(call, PARE_ERROR_SHAPE, "equation '%s' does not fit its inputs",
                              equation);
}

static int axis_with(const pri_einsum *e, const pri_call *call, int k, int letter)
{
    for (int a = 0; a < call->in[k].shape.rank; a++) {
        if (e->of_in[k][a] == letter)
            return a;
    }
    return -1;
}

bool pri_einsum_reads(const pri_einsum *e, const pri_call *call, int k, int letter)
{
    return axis_with(e, call, k, letter) >= 0;
}

bool pri_einsum_gives(const pri_einsum *e, int letter)
{
    for (int a = 0; a < e->rank_out; a++) {
        if (e->of_out[a] == letter)
            return true;
    }
    return false;
}

static pare_status infer(pri_call *call)
{
    pri_einsum e;

    for (int k = 0; k < call->n_in; k++) {
        if (!call->in[k].present || !pri_is_number(call->in[0].dtype) ||
            call->in[k].dtype != call->in[0].dtype)
            return pri_op_fail(call, PARE_ERROR_UNSUPPORTED, "its inputs are not of one type");
    }
    PRI_TRY(pri_einsum_read(&e, call));
    call->out[0].dtype = call->in[0].dtype;
    call->out[0].shape.rank = e.rank_out;
    for (int a = 0; a < e.rank_out; a++)
        call->out[0].shape.dims[a] = e.size[e.of_out[a]];
    return PARE_OK;
}

static void cost(const pri_call *call, pri_cost *out)
{
    pri_einsum e;

    if (call->n_in < 2 || pri_einsum_read(&e, call) != PARE_OK)
        return;
    out->macs = 1;
    for (int i = 0; i < e.n_letters; i++)
        out->macs *= e.size[i];
}

/* --- Channels --- */

/* The letter that a constant input sums over with another input: the largest, if there are several.
 */
static int summed_letter(const pri_einsum *e, const pri_call *call, int slot)
{
    int best = -1;

    for (int letter = 0; letter < e->n_letters && call->in[slot].constant != NULL; letter++) {
        bool meets = false;
        for (int k = 0; k < e->n_in; k++)
            meets = meets || (k != slot && pri_einsum_reads(e, call, k, letter));
        if (meets && pri_einsum_reads(e, call, slot, letter) && !pri_einsum_gives(e, letter) &&
            (best < 0 || e->size[letter] > e->size[best]))
            best = letter;
    }
    return best;
}

static int consumed_axis(const pri_call *call, int slot)
{
    pri_einsum e;

    if (pri_einsum_read(&e, call) != PARE_OK)
        return -1;
    const int letter = summed_letter(&e, call, slot);
    return letter >= 0 ? axis_with(&e, call, slot, letter) : -1;
}

/* A letter that is summed over may go where a weight can be made to read zero there. */
static bool can_go(const pri_einsum *e, const pri_call *call, int letter)
{
    if (pri_einsum_gives(e, letter))
        return true;
    for (int k = 0; k < e->n_in; k++) {
        if (summed_letter(e, call, k) == letter)
            return true;
    }
    return false;
}

/* The first axis that has the letter; the others are tied to it. */
static bool first_axis(const pri_einsum *e, const pri_call *call, int letter, int *slot, int *axis)
{
    for (int k = 0; k < e->n_in; k++) {
        for (int a = 0; a < call->in[k].shape.rank; a++) {
            if (e->of_in[k][a] == letter && call->in[k].shape.dims[a] == e->size[letter]) {
                *slot = k;
                *axis = a;
                return true;
            }
        }
    }
    return false;
}

static pare_status couple_letter(const pri_call *call, pri_rules *rules, const pri_einsum *e,
                                 int letter)
{
    const bool goes = can_go(e, call, letter);
    int slot, axis;

    if (!first_axis(e, call, letter, &slot, &axis))
        return PARE_OK;
    for (int k = 0; k < e->n_in; k++) {
        for (int a = 0; a < call->in[k].shape.rank; a++) {
            if (e->of_in[k][a] != letter || call->in[k].shape.dims[a] != e->size[letter])
                continue;
            if (!goes)
                PRI_TRY(pri_rules_pin(rules, k, a, "sums over these channels"));
            if (k != slot || a != axis)
                PRI_TRY(pri_rules_tie(rules, slot, axis, 0, k, a, 0, e->size[letter]));
        }
    }
    for (int a = 0; a < e->rank_out; a++) {
        for (int k = 0; k < e->n_in && e->of_out[a] == letter; k++) {
            const int from = axis_with(e, call, k, letter);
            if (from >= 0 && call->in[k].shape.dims[from] == e->size[letter])
                PRI_TRY(pri_rules_tie(rules, k, from, 0, PRI_OUT(0), a, 0, e->size[letter]));
        }
    }
    return PARE_OK;
}

static pare_status couple(const pri_call *call, pri_rules *rules)
{
    pri_einsum e;

    PRI_TRY(pri_einsum_read(&e, call));
    for (int letter = 0; letter < e.n_letters; letter++)
        PRI_TRY(couple_letter(call, rules, &e, letter));
    return PARE_OK;
}

/* "...k,kn->...n" or with nk: what a MatMul is. */
static bool product(const pri_call *call, pri_product *out)
{
    const pri_shape *x = &call->in[0].shape, *w = &call->in[1].shape;
    pri_einsum e;

    if (call->n_in != 2 || x->rank < 2 || w->rank != 2 || pri_einsum_read(&e, call) != PARE_OK ||
        e.rank_out != x->rank)
        return false;
    for (int a = 0; a < x->rank - 1; a++) {
        if (e.of_in[0][a] != e.of_out[a] || e.of_in[0][a] == e.of_in[0][x->rank - 1])
            return false;
    }
    const bool is_kn = e.of_in[1][0] == e.of_in[0][x->rank - 1];
    const int k = e.of_in[0][x->rank - 1], n = e.of_out[x->rank - 1];
    if (n == k || e.of_in[1][is_kn ? 0 : 1] != k || e.of_in[1][is_kn ? 1 : 0] != n ||
        x->dims[x->rank - 1] != e.size[k] || pri_einsum_reads(&e, call, 0, n))
        return false;
    *out = (pri_product){.groups = 1,
                         .rows = pri_shape_span(x, 0, x->rank - 1),
                         .positions = pri_shape_span(x, 1, x->rank - 1),
                         .columns = e.size[k],
                         .outputs = e.size[n],
                         .weight_slot = 1,
                         .column_stride = is_kn ? e.size[n] : 1,
                         .block_stride = is_kn ? e.size[n] : 1,
                         .output_stride = is_kn ? 1 : e.size[k],
                         .block = 1};
    return true;
}

const pri_op pri_op_einsum = {
    .name = "Einsum",
    .summary = "products summed over shared letters",
    .min_opset = 12,
    .max_opset = 21,
    .min_in = 1,
    .max_in = PRI_EINSUM_INPUTS,
    .n_out = 1,
    .backward_reads = PRI_READS_ALL_IN,
    .infer = infer,
    .prepare = pri_einsum_prepare,
    .forward = pri_einsum_forward,
    .backward = pri_einsum_backward,
    .couple = couple,
    .cost = cost,
    .consumed_axis = consumed_axis,
    .product = product,
    .columns = pri_product_columns,
};
