/*
 * attention: causal attention of packed documents, forward and backward, in tiles.
 *
 * Each document attends to itself only. Work is the sum of the squares of the documents' lengths;
 * the T x T weights are never in memory: tiles of scores with an online softmax (Milakov &
 * Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022, arXiv:2205.14135), recomputed in backward
 * from the saved logarithm of each row's sum.
 */
#ifndef COMPUTE_ATTENTION_H
#define COMPUTE_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "compute/operand.h"

struct attention_shape {
    size_t n_heads, n_kv_heads, head_dim; /* head h reads key head h / (n_heads / n_kv_heads) */
    float scale;                          /* of the scores: 1/sqrt(head_dim) */
    float softcap;                        /* c: a score s becomes c tanh(s/c); 0: none */
};

struct attention; /* scratch memory of each thread */

int attention_new(struct attention **a, const struct attention_shape *shape, struct pool *pool,
                  struct err *err);
void attention_free(struct attention *a);
struct attention_shape attention_shape_of(const struct attention *a);

/* A window that ends nowhere: every position sees all before it. */
#define ATTENTION_ALL SIZE_MAX

/*
 * Documents of lengths[n_documents] follow each other in rows [T]; position t of a document sees
 * positions t - window + 1 .. t (window >= 1).
 * q [T, n_heads D], k, v [T, n_kv_heads D] (rotated); out [T, n_heads D]; lse [T, n_heads] (NULL
 * when no backward follows): log of the sum of exp(score) of each row.
 */
int attention_forward(struct attention *a, const struct operand *q, const struct operand *k,
                      const struct operand *v, const size_t *lengths, size_t n_documents,
                      size_t window, const struct operand *out, float *lse, struct err *err);

/*
 * From d_out [T, n_heads D]: dq [T, n_heads D], dk, dv [T, n_kv_heads D], all float32 and
 * overwritten. With P = exp(S - lse), S = scale q k^T: dV = P^T dO, dP = dO V^T, dS = P (dP -
 * rowsum(dO O)), dQ = scale dS K, dK = scale dS^T Q. A soft cap multiplies dS by 1 - (S/c)^2.
 */
int attention_backward(struct attention *a, const struct operand *q, const struct operand *k,
                       const struct operand *v, const struct operand *out, const float *lse,
                       const size_t *lengths, size_t n_documents, size_t window, const float *d_out,
                       float *dq, float *dk, float *dv, struct err *err);

/*
 * One query row against the last `window` of n cached keys: q [n_heads D], keys and values
 * [n, n_kv_heads D] float32, out [n_heads D], scores [n] scratch. Of the heads only those that
 * read key head `kv_head`. On the calling thread.
 */
void attention_decode(const struct attention_shape *shape, size_t kv_head, const float *q,
                      const float *keys, const float *values, size_t n, size_t window, float *out,
                      float *scores);

#endif
