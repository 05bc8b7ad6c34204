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
#include "compute/xent.h"
#include "model/decoder.h"

/* One layer's weights: matrices are views of the checkpoint, vectors are float copies. */
struct layer {
    struct matrix w[SLOT_COUNT]; /* SLOT_Q .. SLOT_DOWN */
    float *bias[SLOT_COUNT];     /* by the matrix's slot: bias[SLOT_Q] is q's; NULL for none */
    struct norm attn_norm, mlp_norm;
};

/*
 * What one layer computed on the way forward and needs on the way back. T rows; sizes as in
 * model_config, Q = n_heads * D, K = n_kv_heads * D.
 */
struct activations {
    struct operand x_in, x_mid; /* [T, H]: the residual stream before either half */
    float *rstd_in, *rstd_mid;  /* [T]: 1/rms of the same */
    struct operand q, k, v;     /* [T, Q], [T, K]: rotated */
    struct operand out;         /* [T, Q]: attention's output */
    float *lse;                 /* [T, n_heads] */
    struct operand gate, up;    /* [T, F] */
    float *h[SLOT_COUNT];       /* [T, r]: scale * x A^T of each adapted matrix */
};

/* Buffers for up to `rows` rows that every layer uses in turn. */
struct workspace {
    size_t rows, rank;
    float *x;                    /* [T, H]: the residual stream */
    float *dx;                   /* [T, H]: its gradient */
    float *dn;                   /* [T, H]: gradient of a norm's output */
    float *dv;                   /* [T, K]: gradient of the values */
    struct operand normed;       /* [T, H] */
    struct operand dropped;      /* [T, max(H, Q, F)]: an adapter's input after dropout */
    float *wide[3];              /* [T, max(F, Q)]: q, k, v or gate, up, or gradients */
    struct operand act;          /* [T, F]: the MLP's inner activation */
    struct operand grad[3];      /* [T, max(F, Q)]: gradients that are multiplied with */
    float *dh[3];                /* [T, rank] */
    float *low;                  /* [T, max(H, Q, F)]: dx through dropout */
    struct operand predict;      /* [T, H]: last norm's output where something is predicted */
    float *d_predict;            /* [T, H] */
    size_t *positions, *rows_of; /* [T]: position in the document; row of each prediction */
    uint32_t *targets;           /* [T] */
    float *weights;              /* [T]: of the targets */
    float *logprobs;             /* [T] */
    float *mean_logprobs;        /* [T]: over the vocabulary, for label smoothing */
    float **thread_rows;         /* [threads][4 * max(H, Q, F)] */
    struct activations
        *saved; /* [n_saved]: [0] serves all layers below first_saved, then one each */
    size_t n_saved, first_saved;
    bool training, dropout;
};

struct decoder {
    struct model_config config;
    const struct checkpoint *checkpoint;
    struct pool *pool;
    struct gemm *gemm;
    struct attention *attention;
    struct xent *xent;
    enum backend backend;
    size_t pass_tokens;
    struct matrix embed, head;
    struct norm norm;
    struct layer *layers;
    struct nf4 *quantised; /* [n_layers * SLOT_COUNT], where the base isn't held as stored */
    float *inv_freq;    /* [D/2] */
    float *cos_, *sin_; /* [n_positions, D/2] */
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
    size_t layer;
    struct err *err;
};

size_t decoder_widest(const struct model_config *c); /* max(H, Q, F) */

/* The file's tensor of that name, which names_check has found. */
const struct tensor *decoder_stored_tensor(const struct decoder *d, const struct tensor_name *name);

/* Holds the linear layers' matrices in that type from here on. */
int decoder_quantise(struct decoder *d, enum base_type type, struct err *err);
void decoder_release_quantised(struct decoder *d);

/* Makes the workspace fit; keeps what is large enough. */
int decoder_reserve(struct decoder *d, size_t rows, const struct lora *lora, bool training,
                    struct err *err);
void decoder_release_workspace(struct decoder *d);
int decoder_reserve_positions(struct decoder *d, size_t n, struct err *err);

int decoder_check_ids(const struct decoder *d, const uint32_t *ids, size_t n, struct err *err);

int decoder_check_batch(const struct decoder *d, const struct batch *b, struct err *err);
/* The documents [first, *last) of a batch, its tokens from `start` on, that fit into one pass;
 * `group` documents stay together. */
struct batch decoder_next_part(const struct decoder *d, const struct batch *b, size_t first,
                               size_t start, size_t group, size_t *last);
int decoder_reserve_xent(struct decoder *d, struct err *err);
/* Finds the rows of a batch whose next token is a target (with `all` any token), and fills
 * positions, rows_of, targets and weights of them. Returns their number. */
size_t decoder_find_predictions(struct decoder *d, const struct batch *b, bool all);

/* Puts the last norm of rows ws.rows_of[0..n-1] into ws.predict; logits [n, vocab] of them. */
void decoder_predict(struct decoder *d, size_t n);
void decoder_predict_logits(struct decoder *d, size_t n, float *logits);

/* Runs fn over blocks of rows [r0, r1) of n. */
void decoder_rows(struct decoder *d, size_t n,
                  void (*fn)(void *arg, size_t r0, size_t r1, float *thread_rows), void *arg);

/* The activations of the pass's layer. */
struct activations *pass_activations(const struct pass *p);

/* The rows of x run through layers 0..n_layers-1; x holds embeddings before and the residual
 * stream after. */
int pass_embed(struct pass *p);
int pass_forward(struct pass *p);
void pass_feed_forward(struct pass *p); /* the second half of the pass's layer */
int pass_backward(struct pass *p);      /* from ws.dx, the gradient of x after the last layer */

/* The matrices that share an input, and the adapter's part of them. */
struct linear_group {
    enum slot slots[3];
    size_t n;
};
extern const struct linear_group group_qkv, group_o, group_gate_up, group_down;

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

/* Normalises rows of x into ws.normed; keeps x and 1/rms where asked. */
void pass_norm(struct pass *p, const struct norm *norm, const struct operand *keep, float *rstd);

#endif
