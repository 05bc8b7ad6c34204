#include "model/answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/respond.h"
#include "model/tuned.h"

struct asking {
    const struct answer_options *options;
    struct answers *result;
    size_t n_judged; /* of the result's questions: answers come in their order */
    struct exact *exact;
    struct tokenizer_scratch *scratch;
    struct token_list tokens;
    struct task_item item;
    int64_t bos;
};

/* ---- questions in ---- */

/* The context's tokens, of which the beginning is left out where an answer wouldn't fit behind. */
static int encode(struct asking *a, const struct buf *context, struct prompt *p, struct err *err)
{
    const struct answer_options *o = a->options;
    size_t most = decoder_config(o->decoder)->max_positions, shift = a->bos >= 0;
    a->tokens.n = 0;
    if (tokenizer_encode(o->tokenizer, a->scratch, context->p, context->len, 0, &a->tokens, err))
        return -1;
    if (o->max_tokens >= most)
        return err_set(err, "an answer of %zu tokens doesn't fit into the %zu that the model takes",
                       o->max_tokens, most);
    size_t n = a->tokens.n + shift, from = 0;
    if (n > most - o->max_tokens) {
        from = n - (most - o->max_tokens); /* BOS goes first */
        a->result->truncated++;
    }
    p->ids = xcalloc(n + 1, sizeof *p->ids);
    if (shift && !from)
        p->ids[p->n++] = (uint32_t)a->bos;
    for (size_t i = from > shift ? from - shift : 0; i < a->tokens.n; i++)
        p->ids[p->n++] = a->tokens.ids[i];
    return 0;
}

static int next_question(void *arg, struct prompt *p, struct err *err)
{
    struct asking *a = arg;
    struct answers *r = a->result;
    int status = a->options->next(a->options->arg, &a->item, err);
    if (status <= 0)
        return status;
    ARRAY_GROW(r->questions, r->n, r->cap);
    struct answer_question *q = &r->questions[r->n++];
    *q = (struct answer_question){.id = json_incref(a->item.id),
                                  .right = json_incref(a->item.choices)};
    for (size_t side = 0; side < ANSWER_MAX_SIDES; side++) {
        buf_init(&q->sides[side].text);
        for (size_t i = 0; i < EXACT_MAX_FILTERS; i++)
            buf_init(&q->sides[side].extracts[i]);
    }
    return encode(a, &a->item.contexts[0], p, err) ? -1 : 1;
}

/* ---- answers out ---- */

static int judge(void *arg, const struct response *response, struct err *err)
{
    struct asking *a = arg;
    struct answer_question *q = &a->result->questions[a->n_judged++];
    const struct exact_spec *spec = &a->options->task->exact;
    for (size_t side = 0; side < a->options->n_sides; side++) {
        const struct buf *text = &response->sides[side].completion.text;
        struct answer_side *to = &q->sides[side];
        buf_add(&to->text, text->p, text->len);
        for (size_t i = 0; i < spec->n_filters; i++) {
            if (exact_extract(a->exact, i, text, &to->extracts[i], err) ||
                exact_compare(a->exact, &to->extracts[i], q->right, &to->right[i], err))
                return -1;
        }
    }
    return 0;
}

static int after_step(void *arg, uint64_t tokens, struct err *err)
{
    struct asking *a = arg;
    (void)err;
    a->result->tokens = tokens;
    if (a->options->progress)
        a->options->progress(a->options->arg, a->n_judged, tokens);
    return 0;
}

/* ---- all ---- */

static int ask(struct asking *a, struct err *err)
{
    const struct answer_options *o = a->options;
    struct respond_options how = {
        .decoder = o->decoder,
        .sides = o->sides,
        .n_sides = o->n_sides,
        .samples = 1,
        .generate = {.max_tokens = o->max_tokens,
                     .slots = o->slots,
                     .end_ids = o->end_ids,
                     .n_end_ids = o->n_end_ids},
        .text = {.tokenizer = o->tokenizer, .stops = o->task->until, .n_stops = o->task->n_until},
        .next = next_question,
        .put = judge,
        .step = after_step,
        .arg = a,
    };
    sampling_init(&how.generate.sampling);
    a->bos = o->no_specials ? -1 : tuned_bos(o->tokenizer);
    return respond(&how, err);
}

int answers_ask(const struct answer_options *options, struct answers *result, struct err *err)
{
    struct asking a = {.options = options, .result = result};
    if (exact_new(&a.exact, &options->task->exact, err))
        return -1;
    a.scratch = tokenizer_scratch_new(options->tokenizer);
    task_item_init(&a.item);
    int status = ask(&a, err);
    exact_free(a.exact);
    tokenizer_scratch_free(a.scratch);
    token_list_release(&a.tokens);
    task_item_release(&a.item);
    return status;
}

void answers_release(struct answers *a)
{
    for (size_t i = 0; i < a->n; i++) {
        json_decref(a->questions[i].id);
        json_decref(a->questions[i].right);
        for (size_t side = 0; side < ANSWER_MAX_SIDES; side++) {
            buf_release(&a->questions[i].sides[side].text);
            for (size_t k = 0; k < EXACT_MAX_FILTERS; k++)
                buf_release(&a->questions[i].sides[side].extracts[k]);
        }
    }
    free(a->questions);
    *a = (struct answers){0};
}

/* Of the side's verdicts, less those of `less` if it isn't the same side. */
static struct accuracy summarise(const struct answers *a, size_t side, size_t less, size_t filter)
{
    double *v = xcalloc(a->n + 1, sizeof *v);
    for (size_t i = 0; i < a->n; i++) {
        const struct answer_side *sides = a->questions[i].sides;
        v[i] = (double)sides[side].right[filter];
        if (less != side)
            v[i] -= (double)sides[less].right[filter];
    }
    struct accuracy result = accuracy_of(v, a->n);
    free(v);
    return result;
}

struct accuracy answers_accuracy(const struct answers *a, size_t side, size_t filter)
{
    return summarise(a, side, side, filter);
}

struct accuracy answers_difference(const struct answers *a, size_t filter)
{
    return summarise(a, 1, 0, filter);
}
