/*
 * decoder: a base model, bound to its weights, that scores, trains adapters and generates.
 *
 * Sequences are packed: a batch is one row of tokens made of whole documents; each document has
 * positions from 0 and attends to itself only, so a packed row gives the losses of its documents
 * apart. The base's weights stay in the file's mapping in the type they have there.
 */
#ifndef MODEL_DECODER_H
#define MODEL_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "compute/backend.h"
#include "compute/quantise.h"
#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/lora.h"
#include "model/profile.h"

struct decoder;

struct decoder_options {
    enum backend backend;
    size_t threads;           /* 0: all processors */
    size_t pass_tokens;       /* most tokens in one pass through the layers while training; a longer
                                 document goes alone. 0: a default. Decides the memory for activations */
    enum base_type base_type; /* of the linear layers; the output matrix stays as it is stored */
};

/* The checkpoint must outlive the decoder. Checks every tensor's name, shape and type. */
int decoder_open(struct decoder **d, const struct checkpoint *c,
                 const struct decoder_options *options, struct err *err);
void decoder_close(struct decoder *d); /* NULL is allowed */
const struct model_config *decoder_config(const struct decoder *d);
enum backend decoder_backend(const struct decoder *d); /* what auto became */
/* Adds where the time goes to *p from now on; NULL ends it. */
void decoder_set_profile(struct decoder *d, struct profile *p);
size_t decoder_pass_tokens(const struct decoder *d);
void decoder_set_pass_tokens(struct decoder *d, size_t pass_tokens); /* 0: the default */
/* Bytes of the base: its file, or what is held in the place of parts of it. */
size_t decoder_base_bytes(const struct decoder *d);
/* Bytes that training needs beside the base and the optimiser, for passes of that many tokens
 * (estimate). */
size_t decoder_training_bytes(const struct decoder *d, const struct lora *lora, size_t pass_tokens);

/* The base's values of a tensor that the model has (names_has), in Hugging Face's order. */
void decoder_base_values(struct decoder *d, enum slot slot, size_t layer, float *out);
/* Sets the magnitudes of a DoRA adapter so that they change nothing yet: the rows' norms. */
int decoder_init_magnitudes(struct decoder *d, struct lora *l, struct err *err);

/* Packed documents. ids [n] < vocab; trained [n] (NULL: all); lengths [n_documents] add up to n;
 * weights [n], of each token as a target (NULL: all 1), multiply its -log p. */
struct batch {
    const uint32_t *ids;
    const uint8_t *trained;
    size_t n;
    const size_t *lengths;
    size_t n_documents;
    const float *weights;
};

/* Number of targets: tokens that are trained and not the first of their document. */
size_t batch_targets(const struct batch *b);

/*
 * Negative log-likelihoods, natural logarithm, without gradients. nll [n_documents]: each
 * document's sum over its targets, weighted. logprob [n] or NULL: log p of every token given those
 * before it, trained or not; NaN at the first of a document (with logprob NULL only targets cost an
 * output row).
 */
int decoder_score(struct decoder *d, const struct lora *lora, const struct batch *b, double *nll,
                  float *logprob, struct err *err);

/* How decoder_accumulate learns; all zero: from -log p of every target, without noise. */
struct learning {
    uint64_t key;   /* picks the random numbers of dropout and noise: the same key, the same ones */
    double neftune; /* alpha: adds alpha / sqrt(L H) times noise from (-1, 1) to the embeddings of a
                       document of L tokens (Jain et al. 2023, arXiv:2310.05914) */
    double label_smoothing; /* as in compute/xent.h, of every target; only without weigh */

    /*
     * A loss that is a function of whole documents' log-likelihoods. Documents come in groups of
     * `group` (0: 1) which stay in one pass; between its forward and its backward weigh is told
     * logp [n], the sum of log p over the targets of documents [first, first + n) of the batch, and
     * says coefficient [n], the derivative of the loss by each document's -logp, and *loss, which
     * adds up over passes.
     */
    size_t group;
    int (*weigh)(void *arg, size_t first, size_t n, const double *logp, double *coefficient,
                 double *loss, struct err *err);
    void *arg;
};

/*
 * Forward and backward: adds the gradient of the SUM of the loss over the batch's targets (or, with
 * weigh, groups) to the adapter's gradients, and sets *loss to that sum. The caller divides by the
 * weight of its step's targets (its groups). A NaN or infinity in the loss is an error.
 */
int decoder_accumulate(struct decoder *d, struct lora *lora, const struct batch *b,
                       const struct learning *how, double *loss, struct err *err);

/* The documents [first, *last) of a batch, its tokens from `start` on, that go through in one pass
 * while training; `group` documents stay together. */
struct batch decoder_next_part(const struct decoder *d, const struct batch *b, size_t first,
                               size_t start, size_t group, size_t *last);

/* The same for documents of which many begin as the one before does: what two share goes through
 * the layers once. trained isn't NULL; *rows: how many tokens did go through them. */
int decoder_score_shared(struct decoder *d, const struct lora *lora, const struct batch *b,
                         double *nll, uint64_t *rows, struct err *err);

/* logits [n, vocab] of every position: for tests on small models. */
int decoder_logits(struct decoder *d, const struct lora *lora, const struct batch *b, float *logits,
                   struct err *err);

/*
 * Whole distributions, by one model or by two at the same places.
 */
enum { PREDICT_MAX_SIDES = 2 };

struct prediction {
    size_t row;   /* in its chunk */
    size_t token; /* which of the batch is predicted */
    uint32_t target;
    float *logits[PREDICT_MAX_SIDES]; /* [vocab] each; may be overwritten */
};

/* Predictions come in chunks, in the order of the batch. */
struct prediction_watcher {
    int (*before)(void *arg, size_t n, struct err *err); /* a chunk of n begins; may be NULL */
    void (*look)(void *arg, const struct prediction *p, size_t thread); /* from several threads */
    int (*after)(void *arg, size_t n, struct err *err); /* all n were looked at; may be NULL */
    void *arg;
};

/* Shows the watcher the logits at every target. loras [n_sides], n_sides 1 to PREDICT_MAX_SIDES. */
int decoder_watch(struct decoder *d, const struct lora *const *loras, size_t n_sides,
                  const struct batch *b, const struct prediction_watcher *watcher, struct err *err);
size_t decoder_threads(const struct decoder *d);

/*
 * Generation: a cache holds the keys and values of n_slots independent sequences of up to
 * max_tokens each.
 */
struct kv_cache;
int kv_cache_new(struct kv_cache **cache, const struct decoder *d, size_t n_slots,
                 size_t max_tokens, struct err *err);
void kv_cache_free(struct kv_cache *cache);
void kv_cache_clear(struct kv_cache *cache, size_t slot); /* the slot's sequence becomes empty */
/* The slot's sequence becomes the beginning that it shares with ids [n]; returns its length. */
size_t kv_cache_keep(struct kv_cache *cache, size_t slot, const uint32_t *ids, size_t n);
size_t kv_cache_length(const struct kv_cache *cache, size_t slot);

/*
 * Appends tokens to sequences and computes the logits after the last token of each. The batch has
 * n parts; part i appends counts[i] >= 1 of ids (concatenated in order) to slots[i]; slots differ.
 * logits [n, vocab].
 */
int decoder_extend(struct decoder *d, const struct lora *lora, struct kv_cache *cache,
                   const size_t *slots, const size_t *counts, size_t n, const uint32_t *ids,
                   float *logits, struct err *err);

#endif
