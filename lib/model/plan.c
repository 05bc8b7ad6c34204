#include "model/plan.h"

#include <math.h>

#include "base/mem.h"
#include "model/loss.h"
#include "model/names.h"

/* ---- operations ---- */

/* Multiplications and additions of one token's way forward and back: 2 each way through every
 * matrix, 2 more where it is learnt, attention over half the mean document on average. */
static double token_operations(const struct train_session *s)
{
    const struct model_config *c = train_session_config(s);
    const struct lora *l = train_session_lora(s);
    const struct rows_totals *t = train_session_rows(s);
    const size_t lowest = lora_first_layer(l, c->n_layers);
    double sum = 0, context = (double)t->tokens / (double)t->documents / 2;
    struct tensor_name name;
    for (size_t i = 0; i < names_count(c); i++) {
        names_at(c, i, &name);
        double size = (double)name.rows * (double)(name.n_dims == 2 ? name.cols : 0);
        bool head = name.slot == SLOT_HEAD || (c->tied && name.slot == SLOT_EMBED);
        if (head)
            sum += 4 * size * (double)t->targets / (double)t->tokens;
        else if (name.linear)
            sum += (name.layer >= lowest ? 4 : 2) * size;
    }
    for (size_t i = 0; i < l->n_pairs; i++)
        sum += 6 * (double)l->pairs[i].r * (double)(l->pairs[i].in + l->pairs[i].out);
    if (train_session_options(s)->full)
        sum += 2 * (double)l->n_params;
    return sum + (double)c->n_layers * 14 * context * (double)(c->n_heads * c->head_dim);
}

/* ---- one run ---- */

static double evaluations(const struct train_session *s, const struct plan *p)
{
    const struct train_options *o = train_session_options(s);
    const double steps = (double)p->steps, every = (double)o->eval_every;
    return o->eval_every ? ceil(steps / every) : ceil(p->epochs);
}

static void describe(struct plan *p, const struct train_session *s)
{
    const struct rows_totals *t = train_session_rows(s);
    const struct train_options *o = train_session_options(s);
    const double per_epoch = ceil((double)t->rows / (double)o->batch);
    const size_t arrays = 3u + (train_session_held(s) != NULL);
    *p = (struct plan){.rows = t->rows, .steps = train_session_progress(s)->steps};
    p->epochs = (double)p->steps / per_epoch;
    p->tokens = (uint64_t)(p->epochs * (double)t->tokens);
    p->trained = (double)t->targets / (double)t->tokens;
    p->parameters = train_session_lora(s)->n_params;
    p->backend = o->backend;
    p->memory = train_session_memory(s);
    p->disk = p->parameters * sizeof(float) * (1 + arrays);
    p->operations = token_operations(s) * (double)p->tokens;
    p->ranks = 1;
    p->passes = train_session_passes(s);
    p->seconds = p->low = p->high = NAN;
}

/* The standard error of what was measured, and what a machine's rate changes over hours. */
static void set_time(struct plan *p, double seconds, double relative_error)
{
    const double drift = 0.05, share = 2 * relative_error + drift;
    p->seconds = seconds;
    p->low = seconds * (1 - (share < 0.9 ? share : 0.9));
    p->high = seconds * (1 + share);
}

static int measure(struct plan *p, struct train_session *s, double seconds, struct err *err)
{
    struct trainer_rehearsal r;
    if (train_session_rehearse(s, seconds, &r, err))
        return -1;
    const struct rows_totals *held = train_session_held(s);
    double scoring = held ? (double)held->tokens * r.score_seconds * evaluations(s, p) : 0;
    /* The reference is computed once; a way forward is about a third of both. */
    if (loss_has_reference((enum loss_kind)train_session_options(s)->loss))
        scoring += r.token_seconds / 3 *
                   (double)(train_session_rows(s)->tokens + (held ? held->tokens : 0));
    size_t best = held ? p->parameters * sizeof(float) : 0; /* a copy that evaluation makes */
    p->shared = (double)p->tokens * r.token_seconds + scoring;
    set_time(p, p->shared + (double)p->steps * r.update_seconds, r.token_error / r.token_seconds);
    p->memory = mem_peak_rss() + best;
    p->measured = true;
    return 0;
}

static void estimate(struct plan *p, const struct machine *m)
{
    double rate = p->backend == BACKEND_BF16 ? m->rates[BACKEND_BF16] : m->rates[BACKEND_FP32];
    if (rate <= 0)
        return;
    p->shared = p->operations / rate;
    set_time(p, p->shared, 0.05);
}

/* ---- several ranks ---- */

/* Seconds a step: everyone's share of the vectors to everyone and of the total back, and about 6
 * times that all agree. */
static double exchange(const struct plan *p, size_t ranks, const struct network *n)
{
    const double others = (double)(ranks - 1), bytes = 4 * (double)p->parameters;
    return 2 * bytes / n->bandwidth * others / (double)ranks +
           (2 * others + 6 * log2((double)ranks)) * n->latency;
}

void plan_for_ranks(struct plan *p, size_t ranks, const struct network *network)
{
    const size_t busiest = (p->passes + ranks - 1) / ranks; /* passes of a step */
    const double share = (double)busiest / (double)p->passes;
    const double before = p->seconds, apart = before - p->shared;
    p->ranks = ranks;
    p->shared *= share;
    p->seconds = p->shared + apart;
    if (ranks > 1)
        p->seconds += (double)p->steps * exchange(p, ranks, network);
    p->low *= p->seconds / before;
    p->high *= p->seconds / before;
}

int plan_make(struct plan *p, const struct train_request *request,
              const struct plan_options *options, struct err *err)
{
    struct train_session *s;
    struct train_request q = *request;
    size_t have = options->machine ? options->machine->memory : machine_memory();
    q.plan = true;
    if (train_session_open(&s, &q, err))
        return -1;
    describe(p, s);
    p->fits = !have || p->memory <= have;
    int rc = 0;
    if (options->machine)
        estimate(p, options->machine);
    else if (p->fits)
        rc = measure(p, s, options->seconds, err);
    train_session_close(s, NULL);
    return rc;
}
