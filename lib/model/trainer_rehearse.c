/* What a run would take, measured on some of its rows. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/progress.h"
#include "compute/rows.h"
#include "model/trainer_internal.h"

enum { FEWEST_PARTS = 2 };

static size_t common_divisor(size_t a, size_t b)
{
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The longest row first, for its memory; then rows from all over the data. */
static void choose_rows(struct trainer *t)
{
    const struct rows *rows = t->setup.rows;
    const size_t n = rows_totals(rows)->rows;
    size_t longest = 0, stride = n * 5 / 8 + 1, at = 0;
    while (common_divisor(stride, n) > 1)
        stride++;
    for (size_t i = 0; i < n; i++) {
        t->order[i] = at;
        at = (at + stride) % n;
        if (rows_tokens(rows, i) > rows_tokens(rows, longest))
            longest = i;
    }
    for (size_t i = 0; i < n; i++)
        if (t->order[i] == longest) {
            t->order[i] = t->order[0];
            t->order[0] = longest;
        }
    t->order_epoch = UINT64_MAX;
}

/* Rows that fill a pass. */
static size_t part_end(const struct trainer *t, size_t first)
{
    const size_t n = rows_totals(t->setup.rows)->rows, pass = decoder_pass_tokens(t->setup.decoder);
    size_t end = first, tokens = 0;
    while (end < n && tokens < pass)
        tokens += rows_tokens(t->setup.rows, t->order[end++]);
    return end;
}

/* Forward and backward of part after part; the first one, which touches memory for the first time,
 * counts only if there is no other. */
static int measure_steps(struct trainer *t, double seconds, struct trainer_rehearsal *r,
                         struct err *err)
{
    const size_t n = rows_totals(t->setup.rows)->rows;
    const double began = clock_seconds();
    double sum = 0, squares = 0, time = 0;
    size_t parts = 0;
    for (size_t first = 0, end; first < n; first = end) {
        struct trainer_sums sums;
        double start = clock_seconds();
        end = part_end(t, first);
        if (parts >= FEWEST_PARTS && start - began > seconds)
            break;
        int status = trainer_accumulate(t, first, end, &sums, err);
        if (status)
            return status;
        double took = clock_seconds() - start, each = took / (double)sums.tokens;
        if (parts++ == 1)
            sum = squares = time = 0, r->tokens = 0;
        r->tokens += sums.tokens;
        time += took;
        sum += each;
        squares += each * each;
    }
    const double counted = parts > 1 ? (double)parts - 1 : 1;
    const double variance = counted > 1 ? (squares - sum * sum / counted) / (counted - 1) : 0;
    r->token_seconds = time / (double)r->tokens;
    r->token_error = counted > 1 ? sqrt(fmax(variance, 0) / counted) : r->token_seconds / 10;
    return 0;
}

static void measure_update(struct trainer *t, struct trainer_rehearsal *r)
{
    const double began = clock_seconds();
    trainer_update(t, 0, 0);
    r->update_seconds = clock_seconds() - began;
}

static int measure_scoring(struct trainer *t, struct trainer_rehearsal *r, struct err *err)
{
    uint64_t tokens;
    if (!t->setup.held || t->setup.held_preference)
        return 0;
    const double began = clock_seconds();
    if (trainer_score_some(t, &tokens, err))
        return -1;
    r->score_seconds = (clock_seconds() - began) / (double)tokens;
    return 0;
}

int trainer_rehearse(struct trainer *t, double seconds, struct trainer_rehearsal *r,
                     struct err *err)
{
    static const struct trainer_watch nobody;
    *r = (struct trainer_rehearsal){0};
    t->watch = &nobody;
    t->started = t->mark = clock_seconds();
    choose_rows(t);
    if (trainer_reserve_sums(t, size_min(t->setup.options->batch, rows_totals(t->setup.rows)->rows),
                             err) ||
        measure_steps(t, seconds, r, err))
        return -1;
    measure_update(t, r);
    return measure_scoring(t, r, err);
}
