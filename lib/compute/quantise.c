#include "compute/quantise.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"

const char *const base_type_choices[] = {"stored", "nf4", "nf4-double", NULL};

/* Rows of a task: of any width, they are whole blocks. */
enum { TASK_ROWS = NF4_BLOCK };

struct quantise_run {
    const struct matrix *m;
    struct nf4 *out;
    float *scratch; /* [threads][TASK_ROWS * cols] */
    atomic_bool failed;
};

static void quantise_task(void *arg, size_t i, size_t thread)
{
    struct quantise_run *run = arg;
    const struct matrix *m = run->m;
    size_t row = i * TASK_ROWS, n = m->rows - row < TASK_ROWS ? m->rows - row : TASK_ROWS;
    float *rows = run->scratch + thread * TASK_ROWS * m->cols;
    matrix_floats(m, row, n, 0, m->cols, rows, m->cols);
    if (!nf4_quantise(run->out, row * m->cols / NF4_BLOCK, rows, n * m->cols))
        atomic_store(&run->failed, true);
}

int matrix_to_nf4(const struct matrix *m, bool doubled, struct pool *pool, struct nf4 *out,
                  struct err *err)
{
    struct quantise_run run = {.m = m, .out = out};
    size_t scratch;
    if (matrix_block(m) > 1 || m->nf4)
        return err_set(err, "is quantised (%s) already; another time would lose more",
                       dtypes[m->dtype].name);
    if (!size_mul(pool_threads(pool) * TASK_ROWS, m->cols, &scratch) ||
        nf4_new(out, m->rows * m->cols, err))
        return -1;
    run.scratch = mem_array(scratch, sizeof *run.scratch, "rows to quantise", err);
    int rc = run.scratch ? 0 : -1;
    if (!rc)
        pool_run(pool, (m->rows + TASK_ROWS - 1) / TASK_ROWS, quantise_task, &run);
    free(run.scratch);
    if (!rc && atomic_load(&run.failed))
        rc = err_set(err, "has a number that is not finite");
    if (!rc && doubled)
        rc = nf4_quantise_scales(out, err);
    if (rc)
        nf4_release(out);
    return rc;
}
