/*
 * The bfloat16 backend: products of bfloat16 operands, summed in float32.
 *
 * A product has two rounds of the pool. The first expands W from its stored type into panels
 * (compute/bf16_kernel.h) that all threads share, so a weight is expanded once in a product however
 * many rows there are; the second multiplies blocks of rows, which stay in the second-level cache,
 * by panel after panel. Long sums and wide results are done in parts, which bounds the panels.
 */
#include <string.h>

#include "base/mem.h"
#include "base/simd.h"
#include "compute/bf16_kernel.h"

#if defined(__x86_64__)

enum {
    SUM_PART = 2048,        /* steps of a sum in a part; a multiple of every type's block */
    PANELS_BYTES = 8 << 20, /* panels of a part */
    COLUMN_UNIT = 256,      /* columns in a part are a multiple: of every type's block again */
    PACK_ROWS = 32,         /* rows of W expanded at a time */
    ROW_BLOCK = 112,        /* rows of A in a task */
    MIN_TASKS = 32,         /* into which a part should be cut, for many processors */
};

/* One part of a product: c [m, columns] = or += A P + low Q, with panels of W and of its adapter.
 */
struct part {
    struct gemm *g;
    struct rows_view a, low;  /* low.pairs 0: no adapter */
    struct rows_view crowded; /* pairs not 0: a is a copy of these rows, still to be made */
    size_t m, columns, width;
    float *c;
    size_t ldc;
    bool add;
    uint32_t *panels;
    size_t panel_words;
    const struct matrix *w;
    size_t first, steps;  /* of the sum */
    size_t column;        /* the first */
    const float *adapter; /* B [N, r] on the way forward, A [r, K] on the way back */
    size_t r;
    struct cut row_blocks, panel_groups;
    void (*pack)(const struct part *p, size_t i, size_t thread);
};

/* Forward panel of a transposed W, whose stored rows are the steps of the sum. */
static void pack_turned(const struct part *p, size_t n0, size_t columns, uint32_t *panel,
                        float *floats)
{
    struct matrix stored = matrix_stored(p->w);
    for (size_t i = 0; i < p->steps; i += PACK_ROWS) {
        size_t rows = size_min(PACK_ROWS, p->steps - i);
        matrix_floats(&stored, p->first + i, rows, n0, columns, floats, columns);
        bf16_pack_floats(floats, rows, columns, columns, p->width, i / 2, 0, panel);
    }
}

/* Columns `col`.. of row n of W in bfloat16. */
static void expand_row(const struct matrix *w, size_t n, size_t col, size_t cols, float *floats,
                       uint16_t *out)
{
    if (w->dtype == DTYPE_BF16 && !w->nf4) {
        const uint8_t *row = w->data + matrix_stored_row(n, w->order) * w->row_bytes;
        memcpy(out, row + col * sizeof *out, cols * sizeof *out);
    } else {
        matrix_floats(w, n, 1, col, cols, floats, cols);
        floats_to_bf16(floats, out, cols);
    }
}

/*
 * Forward panel: rows n0.. of W [N, K] are the columns, so pairs lie side by side in a row of W
 * already and only have to be turned: panel[k/2][n] = words[n][k/2].
 */
static void pack_rows(const struct matrix *w, size_t n0, size_t columns, size_t col, size_t cols,
                      size_t width, uint32_t *panel, float *floats, uint16_t *halves)
{
    size_t pairs = bf16_pairs(cols), ld = pairs * 2, c = 0;
    for (; c < columns; c++) {
        expand_row(w, n0 + c, col, cols, floats, halves + c * ld);
        if (cols % 2)
            halves[c * ld + cols] = 0;
    }
    memset(halves + c * ld, 0, (width - c) * ld * sizeof *halves);
    const uint32_t *words = (const uint32_t *)(const void *)halves;
    size_t whole = pairs / BF16_VECTOR * BF16_VECTOR;
    bf16_turn(words, width, whole, pairs, panel, width);
    for (size_t i = whole; i < pairs; i++)
        for (size_t v = 0; v < width; v++)
            panel[i * width + v] = words[v * pairs + i];
}

static void pack_forward(const struct part *p, size_t q, size_t thread)
{
    size_t n = p->column + q * p->width, columns = size_min(p->width, p->column + p->columns - n);
    size_t most = p->steps > p->r ? p->steps : p->r;
    size_t n_floats = most > PACK_ROWS * BF16_PANEL ? most : PACK_ROWS * BF16_PANEL;
    struct arena arena = {(void *)gemm_scratch(
        &p->g->scratch[thread],
        arena_room(n_floats, 4) + arena_room(BF16_PANEL * 2 * bf16_pairs(n_floats), 2))};
    float *floats = arena_take(&arena, n_floats, 4);
    uint16_t *halves = (uint16_t *)(void *)arena.p;
    uint32_t *panel = p->panels + q * p->panel_words;
    if (p->w->transposed)
        pack_turned(p, n, columns, panel, floats);
    else
        pack_rows(p->w, n, columns, p->first, p->steps, p->width, panel, floats, halves);
    if (p->low.pairs) {
        struct matrix b = matrix_of_floats(p->adapter, p->w->rows, p->r);
        pack_rows(&b, n, columns, 0, p->r, p->width, panel + p->a.pairs * p->width, floats, halves);
    }
}

/* On the way back rows of W are the steps of the sum: some of them for all columns, then those of
 * the adapter. */
static void pack_backward(const struct part *p, size_t i, size_t thread)
{
    size_t rows = size_min(PACK_ROWS, p->steps - size_min(p->steps, i * PACK_ROWS));
    if (rows) {
        float *floats = gemm_scratch(&p->g->scratch[thread], rows * p->columns);
        matrix_floats(p->w, p->first + i * PACK_ROWS, rows, p->column, p->columns, floats,
                      p->columns);
        bf16_pack_floats(floats, rows, p->columns, p->columns, p->width, i * PACK_ROWS / 2,
                         p->panel_words, p->panels);
    } else {
        bf16_pack_floats(p->adapter + p->column, p->r, p->w->cols, p->columns, p->width, p->a.pairs,
                         p->panel_words, p->panels);
    }
}

static struct rows_view rows_from(const struct rows_view *v, size_t row)
{
    return v->pairs ? (struct rows_view){v->p + row * v->ld, v->ld, v->pairs} : *v;
}

static void multiply_task(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct part *p = arg;
    size_t m0 = i % p->row_blocks.n * p->row_blocks.size;
    size_t m = size_min(p->row_blocks.size, p->m - m0);
    size_t first = i / p->row_blocks.n * p->panel_groups.size * p->width;
    size_t last = size_min(p->columns, first + p->panel_groups.size * p->width);
    struct rows_view a = rows_from(&p->a, m0), low = rows_from(&p->low, m0);
    for (size_t n = first; n < last; n += p->width)
        bf16_multiply_panel(
            &a, p->low.pairs ? &low : NULL, m, p->panels + n / p->width * p->panel_words, p->width,
            p->c + m0 * p->ldc + n, p->ldc, size_min(p->width, p->columns - n), p->add);
}

/* Rows a multiple of a page apart take each other's places in the first-level cache. */
static bool is_crowded(size_t ld)
{
    enum { PAGE = 4096 };
    return ld * sizeof(uint16_t) % PAGE == 0;
}

static void copy_rows(const struct part *p, size_t i)
{
    size_t m0 = i * p->row_blocks.size, m1 = size_min(p->m, m0 + p->row_blocks.size);
    for (size_t m = m0; m < m1; m++)
        memcpy((uint16_t *)p->a.p + m * p->a.ld, p->crowded.p + m * p->crowded.ld,
               p->a.pairs * 2 * sizeof *p->a.p);
}

static void pack_task(void *arg, size_t i, size_t thread)
{
    const struct part *p = arg;
    size_t copies = p->crowded.pairs ? p->row_blocks.n : 0;
    if (i < copies)
        copy_rows(p, i);
    else
        p->pack(p, i - copies, thread);
}

static void run_part(struct part *p, size_t n_packs)
{
    p->row_blocks = cut_evenly(p->m, ROW_BLOCK, 1);
    size_t n_panels = (p->columns + p->width - 1) / p->width;
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): of m > 0 rows there is a block */
    size_t groups = (MIN_TASKS + p->row_blocks.n - 1) / p->row_blocks.n;
    p->panel_groups = cut_evenly(n_panels, (n_panels + groups - 1) / groups, 1);
    size_t copies = p->crowded.pairs ? p->row_blocks.n : 0;
    pool_run(p->g->pool, copies + n_packs, pack_task, p);
    pool_run(p->g->pool, p->row_blocks.n * p->panel_groups.n, multiply_task, p);
}

/* Columns of a part whose sums have so many pairs. */
static size_t columns_of_part(size_t columns, size_t pairs)
{
    size_t most = PANELS_BYTES / sizeof(uint32_t) / pairs / COLUMN_UNIT * COLUMN_UNIT;
    return size_min(columns, most > COLUMN_UNIT ? most : COLUMN_UNIT);
}

/* Room for the panels of any part, the rounded rows of the adapter, x where its rows are no whole
 * number of pairs, and a part of it where they are crowded. */
struct shared {
    uint32_t *panels;
    uint16_t *low, *copy, *apart;
};

enum { APART = 32 }; /* numbers between rows that were crowded: a cache line */

static struct shared share(struct gemm *g, size_t columns, size_t steps, size_t r, size_t m)
{
    size_t apart = is_crowded(steps + steps % 2) ? size_min(steps, SUM_PART) + 1 + APART : 0;
    size_t pairs = bf16_pairs(size_min(steps, SUM_PART)) + bf16_pairs(r);
    size_t copy = steps % 2 ? steps + 1 : 0;
    /* Parts of fewer pairs have more columns, but never more words but for the last panel. */
    size_t most = size_max(PANELS_BYTES / sizeof(uint32_t), COLUMN_UNIT * pairs);
    size_t words = size_min(columns * pairs, most) + BF16_PANEL * pairs;
    struct arena arena = {
        (void *)gemm_scratch(&g->shared, arena_room(words, sizeof(uint32_t)) +
                                             arena_room(m * 2 * bf16_pairs(r), sizeof(uint16_t)) +
                                             arena_room(m * copy, sizeof(uint16_t)) +
                                             arena_room(m * apart, sizeof(uint16_t)))};
    struct shared s;
    s.panels = arena_take(&arena, words, sizeof *s.panels);
    s.low = arena_take(&arena, m * 2 * bf16_pairs(r), sizeof *s.low);
    s.copy = arena_take(&arena, m * copy, sizeof *s.copy);
    s.apart = (uint16_t *)(void *)arena.p;
    return s;
}

static struct rows_view view_rows(const struct operand *x, size_t m, uint16_t *copy)
{
    size_t n = x->cols, ld = n + n % 2;
    if (n == ld)
        return (struct rows_view){operand_bf16(x, 0), ld, ld / 2};
    for (size_t i = 0; i < m; i++) {
        memcpy(copy + i * ld, operand_bf16(x, i), n * sizeof *copy);
        copy[i * ld + n] = 0;
    }
    return (struct rows_view){copy, ld, ld / 2};
}

static struct rows_view steps_from(const struct rows_view *v, size_t first, size_t n)
{
    return (struct rows_view){v->p + first, v->ld, bf16_pairs(n)};
}

/*
 * whole.c [m, columns] = or += x W^T + h B^T on the way forward, x W + h A on the way back, in
 * parts of the sum and of the columns. x [m, steps], h [m, whole.r].
 */
static void multiply(const struct part *whole, const struct operand *x, const float *h,
                     size_t steps, size_t columns, bool back)
{
    struct part p = *whole;
    struct shared shared = share(p.g, columns, steps, whole->r, p.m);
    struct rows_view rows = view_rows(x, p.m, shared.copy), low = {0};
    if (whole->r)
        low = bf16_round_rows(h, p.m, whole->r, shared.low);
    p.panels = shared.panels;
    p.width = bf16_panel_width(columns);
    p.ldc = columns;
    p.pack = back ? pack_backward : pack_forward;
    for (p.first = 0; p.first < steps; p.first += p.steps) {
        p.steps = size_min(SUM_PART, steps - p.first);
        bool last = p.first + p.steps == steps;
        p.a = steps_from(&rows, p.first, p.steps);
        p.crowded = (struct rows_view){0};
        if (is_crowded(rows.ld)) {
            p.crowded = p.a;
            p.a = (struct rows_view){shared.apart, 2 * p.a.pairs + APART, p.a.pairs};
        }
        p.low = last ? low : (struct rows_view){0};
        p.r = last ? whole->r : 0;
        p.add = whole->add || p.first;
        p.panel_words = (p.a.pairs + p.low.pairs) * p.width;
        size_t wide = columns_of_part(columns, p.a.pairs + p.low.pairs);
        for (p.column = 0; p.column < columns; p.column += wide) {
            p.columns = size_min(wide, columns - p.column);
            p.c = whole->c + p.column;
            run_part(&p, back ? (p.steps + PACK_ROWS - 1) / PACK_ROWS + (p.r > 0)
                              : (p.columns + p.width - 1) / p.width);
            p.crowded.pairs = 0; /* the other columns find the copy */
        }
    }
}

static void forward(struct gemm *g, const struct operand *x, size_t m,
                    const struct gemm_forward *job)
{
    struct part whole = {.g = g,
                         .m = m,
                         .c = job->y,
                         .add = job->add || job->bias,
                         .w = job->w,
                         .adapter = job->lora.b,
                         .r = job->lora.r};
    if (job->bias)
        gemm_start_tile(job, 0, m, 0, job->w->rows);
    multiply(&whole, x, job->lora.h, job->w->cols, job->w->rows, false);
}

static void backward(struct gemm *g, float *dx, size_t m, bool add,
                     const struct gemm_backward *jobs, size_t n_jobs)
{
    for (size_t j = 0; j < n_jobs; j++) {
        const struct gemm_backward *job = &jobs[j];
        struct part whole = {.g = g,
                             .m = m,
                             .c = dx,
                             .add = add || j,
                             .w = job->w,
                             .adapter = job->a,
                             .r = job->a ? job->r : 0};
        multiply(&whole, job->dy, job->dh, job->w->rows, job->w->cols, true);
    }
}

/* c [r, wide] += thin^T v, or its transpose: the sum runs over the m rows of both. */
static void grad_tile(struct gemm_scratch *s, const struct operand *v, size_t m, const float *thin,
                      size_t r, size_t w0, size_t w1, bool thin_first, float *c)
{
    size_t wide = w1 - w0, pairs = bf16_pairs(m), width = bf16_panel_width(wide);
    size_t panels_wide = (wide + width - 1) / width * width;
    struct arena arena = {(void *)gemm_scratch(s, arena_room(pairs * panels_wide, 4) +
                                                      arena_room(r * 2 * pairs, 2) +
                                                      arena_room(r * wide, 4))};
    uint32_t *panels = arena_take(&arena, pairs * panels_wide, 4);
    uint16_t *turned =
        arena_take(&arena, r * 2 * pairs, 2); /* thin^T, rows padded to whole pairs */
    float *sums = arena_take(&arena, r * wide, 4);
    for (size_t i = 0; i < r; i++) {
        for (size_t t = 0; t < m; t++)
            turned[i * 2 * pairs + t] = float_to_bf16(thin[t * r + i]);
        if (m % 2)
            turned[i * 2 * pairs + m] = 0;
    }
    struct rows_view a = {turned, 2 * pairs, pairs};
    bf16_pack_columns(operand_bf16(v, 0) + w0, m, v->cols, wide, width, 0, pairs * width, panels);
    for (size_t q = 0; q < wide; q += width) {
        size_t columns = q + width < wide ? width : wide - q;
        float *to = thin_first ? c + w0 + q : sums + q;
        bf16_multiply_panel(&a, NULL, r, panels + q * pairs, width, to, thin_first ? v->cols : wide,
                            columns, thin_first);
    }
    for (size_t q = 0; !thin_first && q < wide; q++)
        for (size_t i = 0; i < r; i++)
            c[(w0 + q) * r + i] += sums[i * wide + q];
}

const struct gemm_ops gemm_bf16_ops = {
    .bf16 = true,
    .forward = forward,
    .backward = backward,
    .grad_tile = grad_tile,
};

#else

/* backend_available says no on other processors, so nothing here is ever called. */
const struct gemm_ops gemm_bf16_ops = {.bf16 = true};

#endif
