#include "model/choice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "model/tuned.h"

const char *const choice_measure_names[] = {"acc", "acc_norm", "acc_bytes", NULL};

struct chooser {
    struct choice_options options;
    struct choices *result;
    struct tokenizer_scratch *scratch;
    struct token_list whole, context;
    int64_t bos;    /* put before every context; -1: none */
    int64_t prefix; /* stands for a context without tokens; -1: none */
    struct buf text;

    /* the batch that is being filled: a document for each choice */
    uint32_t *ids;
    uint8_t *trained;
    size_t n, cap;
    size_t *lengths;
    double *nll;
    size_t n_documents, documents_cap;
    size_t own;              /* tokens of documents that the one before doesn't begin with */
    size_t question, choice; /* the batch's first */
};

/* ---- tokens ---- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* c->whole: context and ending; returns how many of its tokens are the context's. */
static int encode(struct chooser *c, const struct buf *context, const struct buf *ending,
                  size_t *n_context, struct err *err)
{
    const struct tokenizer *t = c->options.tokenizer;
    size_t len = context->len;
    while (len && is_blank(context->p[len - 1]))
        len--;
    buf_clear(&c->text);
    buf_add(&c->text, context->p, context->len);
    buf_add(&c->text, ending->p, ending->len);
    c->whole.n = c->context.n = 0;
    if (tokenizer_encode(t, c->scratch, c->text.p, c->text.len, 0, &c->whole, err) ||
        tokenizer_encode(t, c->scratch, c->text.p, len, 0, &c->context, err))
        return -1;
    *n_context = c->context.n;
    if (c->whole.n <= *n_context)
        return err_set(err, "the choice \"%.40s\" has no token of its own", ending->p);
    return 0;
}

/* ---- batches ---- */

static struct choice *next_choice(struct chooser *c)
{
    struct choice_question *q = &c->result->questions[c->question];
    struct choice *choice = &q->choices[c->choice++];
    if (c->choice == q->n) {
        c->question++;
        c->choice = 0;
    }
    return choice;
}

static int score_batch(struct chooser *c, struct err *err)
{
    const struct choice_options *o = &c->options;
    struct batch batch = {.ids = c->ids,
                          .trained = c->trained,
                          .n = c->n,
                          .lengths = c->lengths,
                          .n_documents = c->n_documents};
    const size_t question = c->question, choice = c->choice;
    uint64_t rows;
    for (size_t side = 0; side < o->n_sides && c->n; side++) {
        c->question = question;
        c->choice = choice;
        if (decoder_score_shared(o->decoder, o->sides[side], &batch, c->nll, &rows, err))
            return -1;
        for (size_t i = 0; i < c->n_documents; i++) {
            if (!isfinite(c->nll[i]))
                return err_set(err, "the loss is not a finite number");
            next_choice(c)->loglikelihood[side] = -c->nll[i];
        }
        c->result->tokens += rows;
    }
    c->n = c->n_documents = c->own = 0;
    return 0;
}

static void put_token(struct chooser *c, uint32_t id, bool trained)
{
    c->ids[c->n] = id;
    c->trained[c->n++] = trained;
}

static void reserve(struct chooser *c, size_t n)
{
    if (c->n + n > c->cap) {
        c->cap = size_max(c->n + n, c->options.batch_tokens);
        c->ids = xreallocarray(c->ids, c->cap, sizeof *c->ids);
        c->trained = xreallocarray(c->trained, c->cap, sizeof *c->trained);
    }
    if (c->n_documents == c->documents_cap) {
        c->documents_cap = c->documents_cap ? 2 * c->documents_cap : 64;
        c->lengths = xreallocarray(c->lengths, c->documents_cap, sizeof *c->lengths);
        c->nll = xreallocarray(c->nll, c->documents_cap, sizeof *c->nll);
    }
}

/* How many tokens the batch's last document begins with that whole[from..] behind `first` (-1:
 * none) begins with, too. */
static size_t shared_tokens(const struct chooser *c, int64_t first, size_t from)
{
    if (!c->n_documents)
        return 0;
    size_t length = c->lengths[c->n_documents - 1], shift = first >= 0, n = 0;
    const uint32_t *last = c->ids + c->n - length;
    if (shift && last[n] != (uint32_t)first)
        return 0;
    for (n = shift; n + 1 < length && from + n - shift < c->whole.n; n++)
        if (last[n] != c->whole.ids[from + n - shift])
            break;
    return n;
}

/* Adds c->whole as a document. What doesn't fit into the model is left out at the beginning. */
static int add_document(struct chooser *c, size_t n_context, struct choice *choice, struct err *err)
{
    const size_t most = decoder_config(c->options.decoder)->max_positions;
    int64_t first = c->bos >= 0 ? c->bos : n_context ? -1 : c->prefix;
    size_t n = c->whole.n + (first >= 0), from = 0;
    choice->tokens = c->whole.n - n_context;
    if (first < 0 && !n_context)
        return err_set(err, "nothing stands before the choice, and the model has no BOS");
    if (choice->tokens >= most)
        return err_set(err, "a choice of %zu tokens doesn't fit into the %zu that the model takes",
                       choice->tokens, most);
    if (n > most) {
        from = n - most - (first >= 0); /* BOS goes first */
        first = -1;
        n = c->whole.n - from;
        c->result->truncated++;
    }
    size_t own = n - shared_tokens(c, first, from);
    if (c->n && c->own + own > c->options.batch_tokens) {
        if (score_batch(c, err))
            return -1;
        own = n;
    }
    reserve(c, n);
    if (first >= 0)
        put_token(c, (uint32_t)first, false);
    for (size_t i = from; i < c->whole.n; i++)
        put_token(c, c->whole.ids[i], i >= n_context);
    c->own += own;
    c->lengths[c->n_documents++] = n;
    return 0;
}

int chooser_add(struct chooser *c, const struct task_item *item, struct err *err)
{
    struct choices *r = c->result;
    ARRAY_GROW(r->questions, r->n, r->cap);
    struct choice_question *q = &r->questions[r->n++];
    *q = (struct choice_question){.id = json_incref(item->id), .n = item->n};
    q->choices = xcalloc(item->n, sizeof *q->choices);
    for (size_t i = 0; i < item->n; i++) {
        const json_t *text = json_array_get(item->choices, i);
        size_t n_context;
        q->choices[i].bytes = json_string_length(text);
        q->choices[i].characters = utf8_count(json_string_value(text), q->choices[i].bytes);
        q->choices[i].right = item->right[i];
        if (encode(c, &item->contexts[i], &item->endings[i], &n_context, err) ||
            add_document(c, n_context, &q->choices[i], err))
            return -1;
    }
    return 0;
}

int chooser_finish(struct chooser *c, struct err *err)
{
    return score_batch(c, err);
}

struct chooser *chooser_new(const struct choice_options *options, struct choices *result)
{
    struct chooser *c = xcalloc(1, sizeof *c);
    c->options = *options;
    c->result = result;
    c->scratch = tokenizer_scratch_new(options->tokenizer);
    buf_init(&c->text);
    c->bos = options->no_specials ? -1 : tuned_bos(options->tokenizer);
    c->prefix = tokenizer_bos(options->tokenizer);
    if (c->prefix < 0)
        c->prefix = tokenizer_eos(options->tokenizer);
    return c;
}

void chooser_free(struct chooser *c)
{
    if (!c)
        return;
    tokenizer_scratch_free(c->scratch);
    token_list_release(&c->whole);
    token_list_release(&c->context);
    buf_release(&c->text);
    free(c->ids);
    free(c->trained);
    free(c->lengths);
    free(c->nll);
    free(c);
}

void choices_release(struct choices *c)
{
    for (size_t i = 0; i < c->n; i++) {
        json_decref(c->questions[i].id);
        free(c->questions[i].choices);
    }
    free(c->questions);
    *c = (struct choices){0};
}

/* ---- results ---- */

static double measured(const struct choice *c, size_t side, enum choice_measure measure)
{
    double by = measure == CHOICE_CHARACTERS ? (double)c->characters
                : measure == CHOICE_BYTES    ? (double)c->bytes
                                             : 1;
    return c->loglikelihood[side] / by;
}

size_t choice_taken(const struct choice_question *q, size_t side, enum choice_measure measure)
{
    size_t best = 0;
    for (size_t i = 1; i < q->n; i++)
        if (measured(&q->choices[i], side, measure) > measured(&q->choices[best], side, measure))
            best = i;
    return best;
}

static double is_right(const struct choice_question *q, size_t side, enum choice_measure measure)
{
    return q->choices[choice_taken(q, side, measure)].right ? 1 : 0;
}

/* Of the side's right answers, less those of `less` if it isn't the same side. */
static struct accuracy summarise(const struct choices *c, size_t side, size_t less,
                                 enum choice_measure measure)
{
    double *v = xcalloc(c->n + 1, sizeof *v);
    for (size_t i = 0; i < c->n; i++) {
        v[i] = is_right(&c->questions[i], side, measure);
        if (less != side)
            v[i] -= is_right(&c->questions[i], less, measure);
    }
    struct accuracy result = accuracy_of(v, c->n);
    free(v);
    return result;
}

struct accuracy choices_accuracy(const struct choices *c, size_t side, enum choice_measure measure)
{
    return summarise(c, side, side, measure);
}

struct accuracy choices_difference(const struct choices *c, enum choice_measure measure)
{
    return summarise(c, 1, 0, measure);
}
