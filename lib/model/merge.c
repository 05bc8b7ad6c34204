#include "model/merge.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/merge_internal.h"

const struct tensor *merge_base_tensor(const struct merge *m, const struct tensor_name *name)
{
    return names_tensor(m->base, name);
}

const struct adapter_pair *merge_pair(const struct merge_adapter *a, const char *tensor)
{
    return a->gguf ? adapter_gguf_find(a->gguf, tensor) : adapter_find(a->adapter, tensor);
}

const struct adapter_whole *merge_whole(const struct merge_adapter *a, const char *tensor)
{
    return a->gguf ? NULL : adapter_find_whole(a->adapter, tensor);
}

bool merge_changes(const struct merge *m, const struct tensor_name *name)
{
    for (size_t i = 0; i < m->n_adapters; i++)
        if (merge_pair(&m->adapters[i], name->hf) || merge_whole(&m->adapters[i], name->hf))
            return true;
    return m->n_models > 0;
}

bool merge_changes_any(const struct merge *m)
{
    return m->n_adapters || m->n_models;
}

/* The same tensors with the same shapes. */
static int check_model(const struct merge *m, struct merge_model *other, struct err *err)
{
    const char *path = checkpoint_path(other->checkpoint);
    if (config_load(&other->config, other->checkpoint, err) ||
        names_check(&other->config, other->checkpoint, err))
        return -1;
    if (strcmp(other->config.architecture, m->config.architecture) != 0)
        return err_set(err, "%s: is a %s model, the base is a %s model", path,
                       other->config.architecture, m->config.architecture);
    for (size_t i = 0; i < names_count(&m->config); i++) {
        struct tensor_name mine, its;
        names_at(&m->config, i, &mine);
        if (!names_find_hf(&other->config, mine.hf, &its))
            return err_set(err, "%s: has no tensor %s, which the base has", path, mine.hf);
        if (its.rows != mine.rows || its.cols != mine.cols)
            return err_set(err,
                           "%s: tensor %s is [%" PRIu64 ", %" PRIu64 "], the base's is [%" PRIu64
                           ", %" PRIu64 "]%s",
                           path, mine.hf, its.rows, its.cols, mine.rows, mine.cols,
                           mine.slot == SLOT_EMBED ? ": their vocabularies differ" : "");
    }
    if (names_count(&other->config) != names_count(&m->config))
        return err_set(err, "%s: has %zu tensors, the base has %zu%s", path,
                       names_count(&other->config), names_count(&m->config),
                       other->config.tied == m->config.tied
                           ? ""
                           : ": only one of them has an output matrix of its own");
    return 0;
}

int merge_check(struct merge *m, struct err *err)
{
    static const struct merge_recipe sum = {METHOD_SUM, 1, 0, 1, 0};
    m->recipe = m->recipe ? m->recipe : &sum;
    if (config_load(&m->config, m->base, err) || names_check(&m->config, m->base, err))
        return -1;
    for (size_t i = 0; i < m->n_adapters; i++)
        if (m->adapters[i].adapter && adapter_check(m->adapters[i].adapter, &m->config, err))
            return -1;
    for (size_t i = 0; i < m->n_models; i++)
        if (check_model(m, &m->models[i], err))
            return -1;
    for (size_t i = 0; i < names_count(&m->config); i++) {
        struct tensor_name name;
        names_at(&m->config, i, &name);
        m->bytes_total += merge_base_tensor(m, &name)->bytes;
    }
    return 0;
}

enum dtype merge_base_type(const struct merge *m)
{
    size_t numbers[DTYPE_COUNT] = {0};
    enum dtype most = DTYPE_F32;
    for (size_t i = 0; i < names_count(&m->config); i++) {
        struct tensor_name name;
        names_at(&m->config, i, &name);
        if (name.linear)
            numbers[merge_base_tensor(m, &name)->dtype] += (size_t)(name.rows * name.cols);
    }
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (numbers[i] > numbers[most])
            most = (enum dtype)i;
    return most;
}

static bool is_zero(const struct tensor *t)
{
    enum { PIECE = 4096 };
    const struct dtype_info *type = &dtypes[t->dtype];
    size_t n = t->bytes / type->block_bytes * type->block;
    float x[PIECE];
    for (size_t at = 0; at < n; at += PIECE) {
        size_t count = n - at < PIECE ? n - at : PIECE;
        type->to_float((const uint8_t *)t->data + at / type->block * type->block_bytes, x, count);
        for (size_t i = 0; i < count; i++)
            if (x[i] != 0)
                return false;
    }
    return true;
}

bool merge_is_no_op(const struct merge_adapter *a)
{
    size_t n = a->gguf ? adapter_gguf_count(a->gguf) : adapter_count(a->adapter);
    if (a->weight == 0)
        return true;
    bool nothing = a->gguf || !adapter_whole_count(a->adapter);
    for (size_t i = 0; i < n && nothing; i++) {
        const struct adapter_pair *p =
            a->gguf ? adapter_gguf_at(a->gguf, i) : adapter_at(a->adapter, i);
        nothing = !p->magnitude && is_zero(p->b);
    }
    return nothing;
}

/* Writing */

int merge_begin(struct merge *m, writebehind_fn *write, void *arg, struct err *err)
{
    struct merge_work *work = xcalloc(1, sizeof *work);
    if (write && writebehind_new(&work->out, write, arg, err)) {
        free(work);
        return -1;
    }
    work->n_scratch = pool_threads(m->pool);
    work->scratch = xcalloc(work->n_scratch, sizeof *work->scratch);
    m->work = work;
    return 0;
}

/* Tiles [first_tile, first_tile + n) of the tensor. */
static int run_batch(struct merge *m, struct merge_job *j, size_t n, struct err *err)
{
    size_t first = j->first_tile * j->tile_rows;
    size_t rows = size_min(j->rows - first, n * j->tile_rows);
    j->out = writebehind_buffer(j->work->out, n * j->tile_rows * j->out_row_bytes, err);
    if (!j->out)
        return -1;
    pool_run(m->pool, n, merge_make_tile, j);
    for (size_t i = 0; i < n; i++)
        if (j->work->errors[i].msg[0])
            return err_set(err, "%s", j->work->errors[i].msg);
    for (size_t i = 0; i < n && m->measures_rounding; i++) {
        j->rounding.lost += j->work->rounding[i].lost;
        j->rounding.all += j->work->rounding[i].all;
    }
    writebehind_submit(j->work->out, rows * j->out_row_bytes);
    merge_drop_pages(j, first, rows);
    m->bytes_done += (size_t)((double)j->stored->bytes * (double)rows / (double)j->rows);
    if (m->progress)
        m->progress(m->progress_arg, j->name->hf, m->bytes_done, m->bytes_total);
    return 0;
}

static double share_lost(const struct merge_rounding *r)
{
    return r->all > 0 ? r->lost / r->all : 0;
}

static void count_rounding(struct merge *m, const struct merge_job *j)
{
    m->rounding.lost += j->rounding.lost;
    m->rounding.all += j->rounding.all;
    if (share_lost(&j->rounding) <= share_lost(&m->worst))
        return;
    m->worst = j->rounding;
    snprintf(m->worst_tensor, NAME_SIZE, "%s", j->name->hf);
}

int merge_tensor(struct merge *m, const struct tensor_name *name, enum dtype type, bool gguf_order,
                 struct err *err)
{
    struct merge_job j;
    int status = merge_job_begin(&j, m, name, type, gguf_order,
                                 !gguf_order && merge_folder_transposes(&m->config, name), err);
    m->n_changed += j.n_parts > 0;
    for (; !status && j.first_tile < j.n_tiles; j.first_tile += j.batch)
        status = run_batch(m, &j, size_min(j.n_tiles - j.first_tile, j.batch), err);
    count_rounding(m, &j);
    merge_job_release(&j);
    return status;
}

int merge_end(struct merge *m, struct err *err)
{
    struct merge_work *work = m->work;
    int status = work->out ? writebehind_finish(work->out, err) : 0;
    for (size_t t = 0; t < work->n_scratch; t++)
        free(work->scratch[t]);
    free(work->scratch);
    free(work->errors);
    free(work->rounding);
    free(work);
    m->work = NULL;
    return status;
}
