/*
 * decoder_internal: what the decoder's files share. Private to lib/model/decoder*.c.
 */
#ifndef MODEL_DECODER_INTERNAL_H
#define MODEL_DECODER_INTERNAL_H

#include "compute/attention.h"
#include "compute/gemm.h"
#include "compute/matrix.h"
#include "compute/norm.h"
#include "compute/operand.h"
#include "compute/quantise.h"
#include "compute/route.h"
#include "compute/xent.h"
#include "model/decoder.h"

/* The matrices of a mixture of experts, frozen: router [E, H], gate, up [Fe, H] and down [H, Fe] of
 * each. */
struct experts {
    struct matrix router, *gate, *up, *down; /* [E]; NULL: the layer has no experts */
};

/* One layer's weights: matrices are views of the checkpoint, vectors are float copies. */
struct layer {
    struct matrix w[SLOT_WEIGHTS];   /* of linear layers */
    float *bias[SLOT_WEIGHTS];       /* by the matrix's slot: bias[SLOT_Q] is q's; NULL for none */
    struct norm norm[SLOT_WEIGHTS];  /* w NULL where the layer has no such norm */
    const struct rotation *rotation; /* NULL: queries and keys aren't rotated */
    size_t window;                   /* of attention; ATTENTION_ALL */
    struct experts experts;
};

/* Cosines and sines, times the attention factor, of positions and pairs: [n_positions, half]. */
struct rotation {
    const struct rope_config *rope; /* NULL: no layer uses it */
    size_t half;
    float *cos_[2], *sin_[2]; /* [1]: in documents beyond the original positions, or the same */
};

enum half { HALF_ATTENTION, HALF_MLP };

/* What one half of a layer keeps for the way back; NULL what it doesn't need. */
struct half_activations {
    struct operand x;   /* [T, H]: the residual stream before it */
    float *rstd;        /* [T]: of the norm before it */
    struct operand out; /* [T, H]: what it gave, where a norm follows */
    float *rstd_out;    /* [T] */
};

/* Which experts each token goes to; k of E. A pair is a token and one of its experts. */
struct routes {
    float *p;         /* [T, E]: the router's probabilities */
    uint32_t *expert; /* [T, k]: ascending */
    float *weight;    /* [T, k] */
    uint32_t *at;     /* [T, k]: the pair's place among all, sorted by expert */
    size_t *first;    /* [E + 1]: the first place of each expert, and the number of pairs */
};

/*
 * What one layer computed on the way forward and needs on the way back. T rows; sizes as in
 * model_config, Q = n_heads * D, K = n_kv_heads * D.
 */
struct activations {
    struct half_activations half[2];
    struct operand q, k,
        v;              /* [T, Q], [T, K]: rotated; q and k before their norms if they have some */
    struct operand out; /* [T, Q]: attention's output */
    float *lse;         /* [T, n_heads]; NULL: nothing is kept of this layer */
    struct operand gate, up; /* [T, F]; with experts [T k, Fe] */
    struct routes routes;
    float *h[SLOT_WEIGHTS];         /* [T, r]: scale * x A^T of each adapted matrix */
    struct operand u[SLOT_WEIGHTS]; /* [T, out]: of DoRA's, the product before the gain */
};

/* Buffers of a mixture of experts, a row a pair. */
struct pair_rows {
    struct operand x;            /* [T k, H]: inputs, or gradients of outputs */
    float *y;                    /* [T k, H]: outputs, or gradients of inputs */
    float *wide[2];              /* [T k, Fe] */
    struct operand act;          /* [T k, Fe] */
    struct operand d_gate, d_up; /* the same */
    float *d_weight;             /* [T k] */
    struct operand d_logits;     /* [T, E] */
};

/* Buffers for up to `rows` rows that every layer uses in turn. */
struct workspace {
    size_t rows, rank;
    float *x;                 /* [T, H]: the residual stream */
    float *dx;                /* [T, H]: its gradient */
    float *dn;                /* [T, H]: gradient of a norm's output */
    float *dv;                /* [T, K]: gradient of the values */
    float *branch, *d_branch; /* [T, H]: what a half gives, before it is added to x */
    struct operand q, k;      /* [T, Q], [T, K]: after norms and rotation, if there are norms */
    struct operand normed;    /* [T, H] */
    struct operand dropped;   /* [T, widest]: an adapter's input after dropout */
    float *wide[3];           /* [T, widest]: q, k, v or gate, up, or gradients */
    struct operand act;       /* [T, F]: the MLP's inner activation */
    struct pair_rows pairs;
    struct operand grad[3];      /* [T, widest]: gradients that are multiplied with */
    float *dh[3];                /* [T, rank] */
    float *low;                  /* [T, widest]: dx through dropout */
    float *product[3];           /* [T, widest], for DoRA: products before the gain */
    struct operand scaled[3];    /* the same: gradients times the gain */
    struct operand rest;         /* the same: an input less what dropout left of it */
    struct operand predict;      /* [T, H]: last norm's output where something is predicted */
    float *d_predict;            /* [T, H] */
    size_t *positions, *rows_of; /* [T]: position in the document; row of each prediction */
    uint8_t *beyond;             /* [T]: the document is longer than the original positions */
    uint32_t *targets;           /* [T] */
    float *weights;              /* [T]: of the targets */
    float *logprobs;             /* [T] */
    float *mean_logprobs;        /* [T]: over the vocabulary, for label smoothing */
    float **thread_rows;         /* [threads][4 * widest] */
    struct activations
        *saved; /* [n_saved]: [0] serves all layers below first_saved, then one each */
    size_t n_saved, first_saved;
    bool training, dropout, dora;
};

/* A place where the decoder keeps one of the base's tensors: a matrix or a vector. */
struct place {
    struct matrix *matrix;
    float **vector;
};

/* What a place had before an adapter's weight took it. */
struct displaced {
    struct place at;
    struct matrix matrix;
    float *vector;
    float *shifted; /* what is there now, where the file keeps a norm's w - 1; else NULL */
};

struct decoder {
    struct model_config config;
    const struct checkpoint *checkpoint;
    struct pool *pool;
    struct gemm *gemm;
    struct attention *attention;
    struct xent *xent;
    struct profile *profile; /* NULL: not asked for */
    enum backend backend;
    size_t pass_tokens;
    struct matrix embed, position_embed, head;
    struct norm norm;
    struct layer *layers;
    struct nf4 *quantised;        /* [n_layers * SLOT_COUNT], where the base isn't held as stored */
    struct rotation rotations[2]; /* of most layers; of those with LAYER_LOCAL_ROPE */
    struct displaced *displaced;  /* [n_displaced]: what an adapter's weights stand for */
    size_t n_displaced;
    float *d_head; /* gradient of the output matrix, where that is trained; else NULL */
    size_t n_positions;
    struct workspace ws;
};

/* One pass over packed rows. */
struct pass {
    struct decoder *d;
    const struct lora *lora;
    const struct batch *batch;
    bool training;
    uint64_t dropout_key;
    size_t lowest; /* first layer with an adapter: backward stops there */
    bool through;  /* but goes through that layer, to what is trained at its bottom or below */
    size_t layer;
    int (*attend)(struct pass *p); /* from ws.wide, what the projections gave, to the layer's out;
                                      NULL: documents attend to themselves */
    struct err *err;
};

static inline size_t query_width(const struct model_config *c)
{
    return c->n_heads * c->head_dim;
}

static inline size_t key_width(const struct model_config *c)
{
    return c->n_kv_heads * c->head_dim;
}

/* The widest row of H, Q, F and what fused matrices give. */
size_t decoder_widest(const struct model_config *c);
/* Whether what a half gives can't be added to x as it comes. */
bool decoder_has_branch(const struct model_config *c);

/* Points embed, head, norm and layers at the checkpoint's tensors, which names_check has found. */
int decoder_bind(struct decoder *d, struct err *err);
void decoder_unbind(struct decoder *d);

/* A vector of the file as floats, in Hugging Face's order; the caller frees it. */
float *decoder_stored_vector(const struct decoder *d, enum slot slot, size_t layer);
/* The file's tensor of that name, which names_check has found. */
const struct tensor *decoder_stored_tensor(const struct decoder *d, const struct tensor_name *name);

/* Holds the linear layers' matrices in that type from here on. */
int decoder_quantise(struct decoder *d, enum base_type type, struct err *err);
void decoder_release_quantised(struct decoder *d);

/* Makes the workspace fit; keeps what is large enough. */
int decoder_reserve(struct decoder *d, size_t rows, const struct lora *lora, bool training,
                    struct err *err);
void decoder_release_workspace(struct decoder *d);

/* Rotary tables for positions 0..n-1 of all rotations that layers asked for. */
int decoder_reserve_positions(struct decoder *d, size_t n, struct err *err);
void decoder_release_positions(struct decoder *d);
const struct rotation *decoder_rotation(struct decoder *d, uint8_t layer_flags);

struct angles {
    const float *cos_, *sin_; /* [half] */
};

static inline struct angles rotation_angles(const struct rotation *r, const struct workspace *ws,
                                            size_t row)
{
    size_t at = ws->positions[row] * r->half, table = ws->beyond[row];
    return (struct angles){r->cos_[table] + at, r->sin_[table] + at};
}

int decoder_check_ids(const struct decoder *d, const uint32_t *ids, size_t n, struct err *err);

int decoder_check_batch(const struct decoder *d, const struct batch *b, struct err *err);
int decoder_reserve_xent(struct decoder *d, struct err *err);
/* Finds the rows of a batch whose next token is a target (with `all` any token), and fills
 * positions, rows_of, targets and weights of them. Returns their number. */
size_t decoder_find_predictions(struct decoder *d, const struct batch *b, bool all);

/* Puts the last norm of rows ws.rows_of[0..n-1] into ws.predict; logits [n, vocab] of them. */
void decoder_predict(struct decoder *d, size_t n);
/* xent_run over the first n rows of ws.predict. */
void decoder_run_output(struct decoder *d, size_t n, const struct xent_rows *rows);
void decoder_predict_logits(struct decoder *d, size_t n, float *logits);

/* Runs fn over blocks of rows [r0, r1) of n. */
void decoder_rows(struct decoder *d, size_t n,
                  void (*fn)(void *arg, size_t r0, size_t r1, float *thread_rows), void *arg);

/* The weights and the activations of the pass's layer. */
static inline const struct layer *pass_layer(const struct pass *p)
{
    return &p->d->layers[p->layer];
}
struct activations *pass_activations(const struct pass *p);

/* The rows of x run through layers 0..n_layers-1; x holds embeddings before and the residual
 * stream after. */
int pass_embed(struct pass *p);
int pass_forward(struct pass *p);
int pass_backward(struct pass *p); /* from ws.dx, the gradient of x after the last layer */

/* Where a half's output goes: [T, H], added or put. */
struct half_output {
    float *y;
    bool add;
};

/*
 * The halves, from ws.normed; and back from d_out, the gradient of what they gave. `below`: the
 * gradient goes on from ws.dn through the norm before the half into ws.dx; else only adapters
 * want theirs.
 */
int attention_half(struct pass *p, struct half_output out);
int attention_half_backward(struct pass *p, float *d_out, bool below);
bool attention_is_adapted(const struct pass *p);
void mlp_half(struct pass *p, struct half_output out);
void mlp_half_backward(struct pass *p, float *d_out, bool below);

/* A mixture of experts in the place of the MLP; back it goes on below always. */
void experts_half(struct pass *p, struct half_output out);
void experts_half_backward(struct pass *p, float *d_out);

/* The half's input again in ws.normed, from what was kept; ws.dx += gradient from ws.dn. */
void half_renorm(struct pass *p, enum half half);
void half_unnorm(struct pass *p, enum half half);

/* One row of what the projections gave, as q [Q], k, v [K]; then norms and rotation, in place. */
void attention_gather(const struct pass *p, size_t row, float *q, float *k, float *v);
void attention_turn(const struct pass *p, size_t row, float *q, float *k);
/* Each document of the batch to itself, from ws.wide to the layer's out; and what was attended
 * with, after norms and rotation, values beside them in the layer's v. */
int attend_documents(struct pass *p);
const struct operand *attention_queries(const struct pass *p);
const struct operand *attention_keys(const struct pass *p);

/* float32 rows [T, n] as something to multiply with: in place, or rounded into ws.grad[k]. */
struct operand pass_operand(struct pass *p, float *rows, size_t n, size_t k);

/* The matrices that share an input, and the adapter's part of them. */
struct linear_group {
    enum slot slots[3];
    size_t n;
};

/* y_j = linear layer j of the group on x [T, K], adapter included; h of each is saved. */
void linear_forward(struct pass *p, const struct linear_group *group, const struct operand *x,
                    float *const y[], bool add);
/* The way back from dy_j, in this order: dh_j, the gradient of x A^T; the adapters' gradients,
 * where x is the group's input; dx [T, n], the gradient of x. */
void linear_backward_low(struct pass *p, const struct linear_group *group,
                         struct operand *const dy[]);
void linear_backward_adapters(struct pass *p, const struct linear_group *group,
                              const struct operand *x, struct operand *const dy[]);
void linear_backward_input(struct pass *p, const struct linear_group *group,
                           struct operand *const dy[], size_t n, float *dx);
bool group_is_adapted(const struct pass *p, const struct linear_group *group);

/*
 * Weights of the adapter in place of the base's, decoder_trained.c. decoder_wear makes the decoder
 * see the adapter's own weights (l may be NULL) until the next call; decoder_reserve does it.
 */
void decoder_wear(struct decoder *d, const struct lora *l);
bool pass_trains_weights(const struct pass *p); /* the adapter has weights, with gradients */
/* Gradients of the pass's layer's trained weights, added: of a matrix and its bias from dy and the
 * input x; of a norm of rows or of the heads in them, from scale * dn, the gradient of its output
 * [T, x's columns], and its input x. */
void trained_matrix_backward(struct pass *p, enum slot slot, const struct operand *x,
                             const struct operand *dy);
void trained_bias_backward(struct pass *p, enum slot slot, const struct operand *dy);
void trained_norm_backward(struct pass *p, enum slot slot, const struct operand *x, const float *dn,
                           double scale);
/* Of the last norm, from ws.d_predict of n predictions; of the embeddings, from ws.dx. */
void trained_last_norm_backward(struct pass *p, size_t n);
void trained_embedding_backward(struct pass *p);

/*
 * DoRA, decoder_dora.c: y_j = gain_j * (x (W + scale B A)_j^T) + bias_j, where gain = magnitude
 * over the row's norm, a constant on the way back.
 */
int decoder_refresh_gains(struct decoder *d, const struct lora *l, struct err *err);
/* linear_forward of a group whose matrices all have pairs or none, jobs as without DoRA; low is
 * the adapters' input, x after dropout. */
void dora_forward(struct pass *p, const struct linear_group *group, const struct operand *x,
                  const struct operand *low, const struct gemm_forward *jobs);
/* Gradients of magnitudes; leaves gain * dy_j in ws.scaled[j]. */
void dora_backward(struct pass *p, const struct linear_group *group, struct operand *const dy[]);
/* With dropout: ws.low += sum of (gain - 1) dy_j W_j over the jobs that have a pair. */
void dora_backward_dropped(struct pass *p, const struct linear_group *group,
                           struct operand *const dy[], const struct gemm_backward *jobs);

#endif
