/* What a recipe must know of whole tensors before it can work on tiles: passes over all of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/merge_internal.h"

/* A magnitude's bits without the sign, in two steps: 16 upper ones and 15 lower ones. */
enum { HIGH = 1 << 16, LOW_BITS = 15, LOW = 1 << LOW_BITS };

/* Sums of one tile, in double: added up in the order of the tiles. */
struct tile_sums {
    double whole, kept; /* of magnitudes */
};

struct slerp_sums {
    double xx, yy, xy;
};

struct measure {
    struct merge_job *j;
    bool second;             /* pass of the selection */
    size_t **counts;         /* [threads]: [n_parts, HIGH] */
    uint32_t *prefix;        /* [n_parts]: upper bits of the number that is sought */
    struct tile_sums *sums;  /* [n_tiles, n_parts] */
    struct slerp_sums *turn; /* [n_tiles] */
};

static uint32_t magnitude(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u & 0x7fffffff;
}

static void count_tile(void *arg, size_t tile, size_t thread)
{
    struct measure *s = arg;
    struct merge_job *j = s->j;
    size_t first, n = merge_tile_rows(j, tile, &first);
    float *change = j->work->scratch[thread], *spare = change + j->stride;
    for (size_t p = 0; p < j->n_parts; p++) {
        size_t *counts = s->counts[thread] + p * HIGH;
        merge_part_change(j, &j->parts[p], first, n, spare, change);
        for (size_t i = 0; i < n * j->cols; i++) {
            uint32_t bits = magnitude(change[i]);
            if (!s->second)
                counts[bits >> LOW_BITS]++;
            else if (bits >> LOW_BITS == s->prefix[p])
                counts[bits % LOW]++;
        }
    }
}

/* From the largest down: the bin that number `*want` of them falls into, and which one of the bin
 * it is. */
static uint32_t find_bin(const struct measure *s, size_t threads, size_t part, size_t bins,
                         size_t *want)
{
    for (size_t bin = bins; bin-- > 0;) {
        size_t here = 0;
        for (size_t t = 0; t < threads; t++)
            here += s->counts[t][part * HIGH + bin];
        if (here >= *want)
            return (uint32_t)bin;
        *want -= here;
    }
    return 0;
}

/* The magnitude of the k-th largest change of each part: exact, and without keeping the changes. */
static void find_least(struct merge *m, struct measure *s, size_t threads)
{
    struct merge_job *j = s->j;
    size_t *want = xcalloc(j->n_parts, sizeof *want);
    size_t k = (size_t)(m->recipe->density * (double)(j->rows * j->cols));
    for (size_t p = 0; p < j->n_parts; p++)
        want[p] = k ? k : 1;
    for (int pass = 0; pass < 2; pass++) {
        s->second = pass == 1;
        for (size_t t = 0; t < threads; t++)
            memset(s->counts[t], 0, j->n_parts * HIGH * sizeof **s->counts);
        merge_each_tile(m, j, count_tile, s);
        for (size_t p = 0; p < j->n_parts; p++) {
            uint32_t bin = find_bin(s, threads, p, pass ? LOW : HIGH, &want[p]);
            uint32_t bits = s->prefix[p] << LOW_BITS | bin;
            if (pass)
                memcpy(&j->parts[p].least, &bits, sizeof bits);
            else
                s->prefix[p] = bin;
        }
    }
    free(want);
}

static int select_largest(struct merge *m, struct merge_job *j, struct err *err)
{
    size_t threads = pool_threads(m->pool), n;
    struct measure s = {.j = j};
    int status = 0;
    s.counts = xcalloc(threads, sizeof *s.counts);
    s.prefix = xcalloc(j->n_parts, sizeof *s.prefix);
    for (size_t t = 0; t < threads && !status; t++) {
        s.counts[t] = size_mul(j->n_parts, HIGH, &n)
                          ? mem_array(n, sizeof **s.counts, "counts of magnitudes", err)
                          : NULL;
        status = s.counts[t] ? 0 : -1;
    }
    if (!status)
        find_least(m, &s, threads);
    for (size_t t = 0; t < threads; t++)
        free(s.counts[t]);
    free(s.counts);
    free(s.prefix);
    return status;
}

static double sum_of_magnitudes(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fabs((double)x[i]);
    return sum;
}

static void sum_tile(void *arg, size_t tile, size_t thread)
{
    struct measure *s = arg;
    struct merge_job *j = s->j;
    size_t first, n = merge_tile_rows(j, tile, &first);
    float *change = j->work->scratch[thread], *spare = change + j->stride;
    for (size_t p = 0; p < j->n_parts; p++) {
        struct tile_sums *sums = &s->sums[tile * j->n_parts + p];
        merge_part_change(j, &j->parts[p], first, n, spare, change);
        sums->whole = sum_of_magnitudes(change, n * j->cols);
        merge_part_prune(j, &j->parts[p], first, n, spare, change);
        sums->kept = sum_of_magnitudes(change, n * j->cols);
    }
}

/* What is kept is made larger so that the sum of magnitudes stays. */
static void find_rescale(struct merge *m, struct merge_job *j)
{
    const double nothing = 1e-7;
    struct measure s = {.j = j};
    s.sums = xcalloc(j->n_tiles * j->n_parts, sizeof *s.sums);
    merge_each_tile(m, j, sum_tile, &s);
    for (size_t p = 0; p < j->n_parts; p++) {
        double whole = 0, kept = 0;
        for (size_t t = 0; t < j->n_tiles; t++) {
            whole += s.sums[t * j->n_parts + p].whole;
            kept += s.sums[t * j->n_parts + p].kept;
        }
        j->parts[p].rescale = whole < nothing || kept < nothing ? 1 : (float)(whole / kept);
    }
    free(s.sums);
}

static void turn_tile(void *arg, size_t tile, size_t thread)
{
    struct measure *s = arg;
    struct merge_job *j = s->j;
    size_t first, n = merge_tile_rows(j, tile, &first);
    float *x = j->work->scratch[thread], *y = x + j->stride;
    struct slerp_sums sums = {0};
    merge_rows(j, &j->base, j->base_shift, first, n, x);
    merge_rows(j, &j->parts[0].values, j->parts[0].shift, first, n, y);
    for (size_t i = 0; i < n * j->cols; i++) {
        sums.xx += (double)x[i] * (double)x[i];
        sums.yy += (double)y[i] * (double)y[i];
        sums.xy += (double)x[i] * (double)y[i];
    }
    s->turn[tile] = sums;
}

/* Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985; a straight line where the
 * angle is next to nothing or next to a half turn. */
static void find_turn(struct merge *m, struct merge_job *j)
{
    const double straight = 0.9995, nothing = 1e-8, t = j->parts[0].weight;
    struct measure s = {.j = j};
    struct slerp_sums sums = {0};
    s.turn = xcalloc(j->n_tiles, sizeof *s.turn);
    merge_each_tile(m, j, turn_tile, &s);
    for (size_t i = 0; i < j->n_tiles; i++) {
        sums.xx += s.turn[i].xx;
        sums.yy += s.turn[i].yy;
        sums.xy += s.turn[i].xy;
    }
    free(s.turn);
    double nx = sqrt(sums.xx) > nothing ? sqrt(sums.xx) : 1;
    double ny = sqrt(sums.yy) > nothing ? sqrt(sums.yy) : 1;
    double cosine = fmin(fmax(sums.xy / nx / ny, -1), 1), angle = acos(cosine);
    bool line = fabs(cosine) > straight;
    j->slerp_base = (float)(line ? 1 - t : sin((1 - t) * angle) / sin(angle));
    j->slerp_other = (float)(line ? t : sin(t * angle) / sin(angle));
}

int merge_measure(struct merge *m, struct merge_job *j, struct err *err)
{
    enum keep keep = recipe_keep(m->recipe);
    for (size_t p = 0; p < j->n_parts; p++)
        j->parts[p].rescale = 1;
    if (!j->n_parts)
        return 0;
    if (m->recipe->method == METHOD_SLERP)
        find_turn(m, j);
    else if (keep == KEEP_LARGEST)
        return select_largest(m, j, err);
    else if (keep != KEEP_ALL)
        find_rescale(m, j);
    return 0;
}
