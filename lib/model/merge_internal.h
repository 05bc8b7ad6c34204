/*
 * merge_internal: one tensor on its way from the base to the output, for merge.c and merge_*.c.
 *
 * A job works on tiles of rows in the order and orientation in which they are written; "row" is a
 * row of the output, "canonical row" that of a Hugging Face tensor. Tiles depend on shapes alone.
 */
#ifndef MODEL_MERGE_INTERNAL_H
#define MODEL_MERGE_INTERNAL_H

#include "compute/matrix.h"
#include "formats/dtype_nf4.h"
#include "model/merge.h"

/* What one source changes in the tensor: a low-rank pair (perhaps DoRA's), or values that it has in
 * its place. */
struct merge_part {
    double weight;
    const struct adapter_pair *pair; /* or: */
    struct matrix values;
    const struct tensor *stored; /* what values are a view of, or: */
    float *owned;
    float shift; /* to be added to values */
    float *a;    /* [r, in] of the pair */
    float *b;    /* [out, r], where the output is transposed; else NULL */
    /* Set by merge_measure. */
    float least;     /* magnitudes below it aren't kept */
    float rescale;   /* of what is kept */
    uint64_t stream; /* of random numbers */
};

struct merge_job {
    const struct merge *m;
    const struct tensor_name *name;
    const struct tensor *stored; /* the base's */
    struct matrix base;          /* the same, oriented as the output */
    struct nf4 nf4;              /* what base is a view of, if its numbers go through NF4 */
    float base_shift;
    size_t rows, cols; /* of the output; of a vector, cols = 1 */
    size_t out_row_bytes;
    enum dtype type;
    bool out_gguf; /* whose order the rows have */
    bool turned;   /* the output's rows are the matrix's columns */
    bool copies;   /* the stored bytes are the result */
    struct merge_part *parts;
    size_t n_parts;
    double *weights;                  /* [n_parts]: theirs */
    size_t tile_rows, n_tiles, batch; /* a batch of tiles is made, then written */
    size_t stride;                    /* numbers between tiles in scratch memory */
    float slerp_base, slerp_other;    /* factors */
    struct merge_work *work;

    struct merge_rounding rounding; /* of the tiles so far */
    size_t first_tile;              /* of the batch */
    uint8_t *out;                   /* the batch's bytes */
};

/* Memory that tensors share, and the thread that writes. */
struct merge_work {
    struct writebehind *out;   /* NULL while nothing is written */
    float **scratch;           /* of each thread: a tile, one for each part, then what parts need */
    size_t n_scratch, numbers; /* threads, and numbers in each */
    struct err *errors;        /* [n_errors]: of each tile in a batch */
    struct merge_rounding *rounding; /* the same */
    size_t n_errors;
};

/* Whether Hugging Face folders of the model keep the matrix as [cols, rows], of whatever kind the
 * file is that config was read from. */
bool merge_folder_transposes(const struct model_config *c, const struct tensor_name *name);

/* Sets up the sizes, the base's view and the parts of a tensor, and what methods must know of whole
 * tensors. merge_job_release is to be called after a failure too. */
int merge_job_begin(struct merge_job *j, struct merge *m, const struct tensor_name *name,
                    enum dtype type, bool gguf_order, bool turned, struct err *err);
void merge_job_release(struct merge_job *j);

/* A task for the pool: tile i of the batch to j->out, or an error to the batch's errors[i]. */
void merge_make_tile(void *job, size_t i, size_t thread);

/* Which canonical row is at this place of the output. */
size_t merge_canonical_row(const struct merge_job *j, size_t at);
/* x [n, cols]: rows of a matrix in the output's order, plus shift. */
void merge_rows(const struct merge_job *j, const struct matrix *m, float shift, size_t first,
                size_t n, float *x);
/* The rows of a tile, and the tile's first row and how many it has. */
size_t merge_tile_rows(const struct merge_job *j, size_t tile, size_t *first);

/* change [n, cols]: what a part changes, unweighed; spare has merge_spare_numbers. */
void merge_part_change(const struct merge_job *j, const struct merge_part *p, size_t first,
                       size_t n, float *spare, float *change);
/* x += weight * change. */
void merge_part_add(const struct merge_job *j, const struct merge_part *p, size_t first, size_t n,
                    float *spare, float *x);
/* What is kept of a part's change, by the recipe. */
void merge_part_prune(const struct merge_job *j, const struct merge_part *p, size_t first, size_t n,
                      float *spare, float *change);
size_t merge_spare_numbers(const struct merge_job *j);

/* Thresholds, factors and sums over whole tensors that the recipe asks for. */
int merge_measure(struct merge *m, struct merge_job *j, struct err *err);

/* Whether the sources do change a tensor's values. */
int merge_changes_really(struct merge *m, const struct tensor_name *name, bool *changes,
                         struct err *err);

/* Runs a task on every tile, batch by batch, and lets go of the pages read. */
void merge_each_tile(struct merge *m, const struct merge_job *j,
                     void (*task)(void *arg, size_t tile, size_t thread), void *arg);
/* The pages of rows [first, first + n) of the base and of the parts aren't needed any more. */
void merge_drop_pages(const struct merge_job *j, size_t first, size_t n);

#endif
