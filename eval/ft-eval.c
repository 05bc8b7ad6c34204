/* ft-eval: how well a model, with adapters or without, predicts the documents of streams. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/progress.h"
#include "formats/archive.h"
#include "formats/json.h"
#include "formats/stream.h"
#include "model/evaluate.h"
#include "model/tuned.h"
#include "model/vocabulary.h"

static struct {
    const char *output;
    struct string_list adapters;
    bool compare, by_source, per_document, per_token;
    struct tuned_request base;
    size_t window, stride, batch_tokens;
    int like, progress;
} opt = {.base = {.backend = BACKEND_FP32}, .batch_tokens = 2048};

enum { SIDES = 2 };

/* Whose way of cutting a text into windows. */
enum like { LIKE_NONE, LIKE_LLAMA_CPP, LIKE_HF };
static const char *const like_choices[] = {"none", "llama.cpp", "hf", NULL};

static const struct option_spec options[] = {
    TUNED_MODEL_OPTIONS(opt.base, opt.adapters),
    {OPT_FLAG, 0, "compare", &opt.compare, NULL, "the model without the adapters, and with them",
     NULL, 0, 0},
    {OPT_STRING, 'o', "output", &opt.output, "FILE", "where to write [stdout]", NULL, 0, 0},
    {OPT_FLAG, 0, "by-source", &opt.by_source, NULL, "a line of JSON for each source", NULL, 0, 0},
    {OPT_FLAG, 0, "per-document", &opt.per_document, NULL, "a line of JSON for each document", NULL,
     0, 0},
    {OPT_FLAG, 0, "per-token", &opt.per_token, NULL, "and in it log p of every token", NULL, 0, 0},
    {OPT_HEADING, 0, "Long documents", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_SIZE, 0, "window", &opt.window, "N",
     "cut documents into windows of N tokens, 0: don't [0]", NULL, 0, 1 << 24},
    {OPT_SIZE, 0, "stride", &opt.stride, "N", "a window begins every N tokens [the window's size]",
     NULL, 0, 1 << 24},
    {OPT_CHOICE, 0, "like", &opt.like, NULL, "windows as another program has them [none]",
     like_choices, 0, 0},
    {OPT_HEADING, 0, "Computing", NULL, NULL, NULL, NULL, 0, 0},
    TUNED_COMPUTING_OPTIONS(opt.base),
    {OPT_SIZE, 0, "batch-tokens", &opt.batch_tokens, "N",
     "score documents together up to that many tokens [2048]", NULL, 1, 1 << 24},
    {OPT_CHOICE, 0, "progress", &opt.progress, NULL, "whether to show progress [auto]",
     progress_choices, 0, 0},
};

static const struct program program = {
    .name = "ft-eval",
    .synopsis = "-m MODEL [-a ADAPTER[:WEIGHT]]... [OPTION]... [FILE]...",
    .purpose = "Measures how well a model predicts the documents of token streams or shards.",
    .notes = "Examples:\n"
             "  ft-eval -m base held.ft\n"
             "  ft-eval -m base -a adapter --compare held.ft\n"
             "  ft-eval -m base --like llama.cpp --window 512 book.ft\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

/* ---- scoring ---- */

static struct progress progress;

static void show_progress(const struct evaluator *ev)
{
    double seconds = clock_seconds() - progress.started;
    double tokens = (double)evaluator_tokens(ev);
    if (tokens > 0)
        progress_draw(&progress, "%.0f tokens, %.0f tokens/s, perplexity %.4g", tokens,
                      tokens / seconds, exp(evaluator_mean_nll(ev)));
}

/* What is measured: the model with the adapters and, to compare, without them before. */
struct session {
    struct tuned model;
    struct vocabulary vocabulary;
    size_t n_sides;
    struct evaluator *evaluators[SIDES];
    struct evaluation results[SIDES];
};

static int add_record(struct session *s, const struct stream_record *record, uint64_t index,
                      struct err *err)
{
    for (size_t side = 0; side < s->n_sides; side++)
        if (evaluator_add(s->evaluators[side], record, index, err))
            return -1;
    show_progress(s->evaluators[s->n_sides - 1]);
    return 0;
}

/* Scores the documents of one file; *index is the first one's place, and becomes the next file's.
 */
static int score_file(struct session *s, const char *path, uint64_t *index, struct err *err)
{
    struct stream_reader *r;
    struct stream_record record;
    uint64_t next = *index;
    if (stream_reader_open(&r, path, err))
        return -1;
    stream_record_init(&record);
    const struct stream_header *h = stream_reader_header(r);
    int status = vocabulary_check(&s->vocabulary, h, err);
    if (!status && (h->kind == STREAM_PREFERENCE || h->kind == STREAM_LABEL))
        status = err_set(err, "is of kind %s: its rejected completions are no measure",
                         stream_kind_names[h->kind]);
    if (status)
        err_prefix(err, "%s", path ? path : "stdin");
    while (!status && (status = stream_read(r, &record, err)) > 0) {
        for (size_t i = 0; i < record.n_documents; i++)
            if (*index + record.documents[i].index >= next)
                next = *index + record.documents[i].index + 1;
        status = add_record(s, &record, *index, err);
    }
    *index = next;
    stream_record_release(&record);
    stream_reader_close(r);
    return status;
}

static struct window window_of(const struct model_config *config)
{
    struct window w = {.size = opt.window, .bos = -1};
    if (opt.like == LIKE_LLAMA_CPP) {
        w.size = w.size ? w.size : 512; /* its default context */
        w.skip = w.size / 2 + 1;
        w.whole = true;
        w.bos = config->bos;
    } else if (opt.like == LIKE_HF) {
        w.size = w.size ? w.size : config->max_positions;
        w.stride = 512; /* that of its documentation */
    }
    w.stride = opt.stride ? opt.stride : w.stride ? size_min(w.stride, w.size) : w.size;
    return w;
}

static int score(struct session *s, char **files, size_t n, struct err *err)
{
    const struct evaluator_options how = {.batch_tokens = opt.batch_tokens,
                                          .logprobs = opt.per_token,
                                          .window = window_of(decoder_config(s->model.decoder))};
    uint64_t index = 0;
    int status = 0;
    if (how.window.stride > how.window.size)
        return err_set(err, "a stride of %zu would skip tokens between windows of %zu",
                       how.window.stride, how.window.size);
    for (size_t side = 0; side < s->n_sides; side++)
        s->evaluators[side] =
            evaluator_new(s->model.decoder, side + 1 < s->n_sides ? NULL : s->model.adapter, &how,
                          &s->results[side]);
    for (size_t i = 0; i < (n ? n : 1) && !status; i++)
        status = score_file(s, n ? files[i] : NULL, &index, err);
    for (size_t side = 0; side < s->n_sides && !status; side++) {
        status = evaluator_finish(s->evaluators[side], err);
        evaluation_join(&s->results[side]);
    }
    return status;
}

/* ---- what it prints ---- */

static void add_field(struct buf *b, const char *name, double value)
{
    buf_addf(b, ",\"%s\":", name);
    json_add_real(b, value);
}

static void add_text(struct buf *b, const char *s)
{
    if (s)
        json_add_string(b, s, strlen(s));
    else
        buf_addstr(b, "null");
}

/* The fields of a summary, without braces. */
static void add_summary(struct buf *b, const struct evaluation_summary *s)
{
    buf_addstr(b, "\"nll\":");
    json_add_real(b, s->nll);
    buf_addf(b, ",\"tokens\":%" PRIu64, s->tokens);
    add_field(b, "mean_nll", s->mean_nll);
    add_field(b, "stderr", s->stderr_mean);
    add_field(b, "ppl", s->ppl);
    add_field(b, "bits_per_byte", s->bits_per_byte);
    if (s->text_bytes)
        buf_addf(b, ",\"text_bytes\":%" PRIu64, s->text_bytes);
    else
        buf_addstr(b, ",\"text_bytes\":null");
    buf_addf(b, ",\"documents\":%zu,\"all_tokens\":%" PRIu64, s->documents, s->seen);
    if (s->left_out)
        buf_addf(b, ",\"left_out\":%" PRIu64, s->left_out);
}

static void add_difference(struct buf *b, const struct evaluation_difference *d)
{
    buf_addstr(b, "\"mean_nll\":");
    json_add_real(b, d->mean_nll);
    add_field(b, "stderr", d->stderr_mean);
    add_field(b, "low", d->low);
    add_field(b, "high", d->high);
    add_field(b, "ppl_ratio", exp(d->mean_nll));
}

/* The line of one source, or of all documents with NULL. */
static void print_source(const struct session *s, const char *source, struct buf *b)
{
    struct evaluation views[SIDES];
    struct evaluation_summary summary;
    struct evaluation_difference difference;
    static const char *const names[] = {"base", "tuned"};
    buf_addch(b, '{');
    if (opt.by_source) {
        buf_addstr(b, "\"source\":");
        add_text(b, source);
        buf_addch(b, ',');
    }
    for (size_t side = 0; side < s->n_sides; side++) {
        evaluation_of_source(&s->results[side], source, &views[side]);
        evaluation_summarize(&views[side], &summary);
        if (opt.compare)
            buf_addf(b, "%s\"%s\":{", side ? "," : "", names[side]);
        add_summary(b, &summary);
        if (opt.compare)
            buf_addch(b, '}');
    }
    if (opt.compare) {
        evaluation_compare(&views[0], &views[1], &difference);
        buf_addstr(b, ",\"difference\":{");
        add_difference(b, &difference);
        buf_addch(b, '}');
    }
    for (size_t side = 0; side < s->n_sides; side++)
        evaluation_release_view(&views[side]);
    buf_addf(b, ",\"backend\":\"%s\"}\n", backend_choices[decoder_backend(s->model.decoder)]);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A line for each source in order of name; documents without one aren't in any. */
static void print_sources(const struct session *s, struct buf *b)
{
    const struct evaluation *e = &s->results[0];
    const char **names = xcalloc(e->n + 1, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < e->n; i++)
        if (e->documents[i].source)
            names[n++] = e->documents[i].source;
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 0; i < n; i++)
        if (!i || strcmp(names[i], names[i - 1]))
            print_source(s, names[i], b);
    free(names);
}

static void print_logprobs(const float *logprob, size_t n, struct buf *b)
{
    buf_addstr(b, ",\"logprobs\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addch(b, ',');
        json_add_real(b, (double)logprob[i]);
    }
    buf_addch(b, ']');
}

static void print_document(const struct session *s, size_t i, struct buf *b)
{
    const struct scored_document *d = &s->results[s->n_sides - 1].documents[i];
    buf_addstr(b, "{\"id\":");
    add_text(b, d->id);
    if (d->source) {
        buf_addstr(b, ",\"source\":");
        add_text(b, d->source);
    }
    if (d->part)
        buf_addf(b, ",\"part\":%" PRIu64, d->part);
    if (opt.compare)
        add_field(b, "base_nll", s->results[0].documents[i].nll);
    add_field(b, opt.compare ? "tuned_nll" : "nll", d->nll);
    buf_addf(b, ",\"tokens\":%zu", d->targets);
    if (d->logprob) {
        print_logprobs(d->logprob, d->n_tokens, b);
    } else {
        if (!opt.compare)
            add_field(b, "mean_nll", d->nll / (double)d->targets);
        buf_addf(b, ",\"all_tokens\":%zu", d->n_tokens);
    }
    buf_addstr(b, "}\n");
}

static int print(const struct session *s, struct err *err)
{
    struct output *out;
    struct buf b = BUF_INIT;
    bool documents = opt.per_document || opt.per_token;
    if (output_open(&out, opt.output, err))
        return -1;
    int status = 0;
    for (size_t i = 0; i < (documents ? s->results[0].n : 1) && !status; i++) {
        buf_clear(&b);
        if (documents)
            print_document(s, i, &b);
        else if (opt.by_source)
            print_sources(s, &b);
        else
            print_source(s, NULL, &b);
        status = output_write(out, b.p, b.len, err);
    }
    buf_release(&b);
    if (!status)
        return output_commit(out, err);
    output_abandon(out);
    return -1;
}

static int check_result(const struct session *s, struct err *err)
{
    const struct evaluation *e = &s->results[0];
    const size_t most = decoder_config(s->model.decoder)->max_positions;
    struct evaluation_summary summary;
    size_t too_long = 0, without_source = 0;
    evaluation_summarize(e, &summary);
    for (size_t i = 0; i < e->n; i++) {
        too_long += e->documents[i].n_tokens > most;
        without_source += !e->documents[i].source;
    }
    if (too_long && (!opt.window && !opt.like))
        warn("warning: %zu documents are longer than the %zu tokens that the model was made for",
             too_long, most);
    if (opt.by_source && without_source)
        warn("warning: %zu documents have no source", without_source);
    if (summary.left_out && summary.tokens)
        warn("%" PRIu64 " trained tokens are left out by the windows", summary.left_out);
    if (summary.tokens || opt.per_document || opt.per_token)
        return 0;
    return err_set(err,
                   summary.left_out ? "no window has a token to measure: the documents are "
                                      "shorter than one"
                                    : "no token of the %zu documents is trained: there is "
                                      "nothing to measure",
                   e->n);
}

/* ---- the program ---- */

static int open_model(struct session *s, struct err *err)
{
    opt.base.adapters = opt.adapters.items;
    opt.base.n_adapters = opt.adapters.n;
    if (tuned_open(&s->model, &opt.base, err))
        return -1;
    return vocabulary_load(&s->vocabulary, opt.base.model, decoder_config(s->model.decoder)->vocab,
                           err);
}

static int evaluate(struct session *s, char **files, size_t n, struct err *err)
{
    if (open_model(s, err) || score(s, files, n, err))
        return -1;
    progress_clear(&progress);
    return check_result(s, err) || print(s, err) ? -1 : 0;
}

static void session_release(struct session *s)
{
    for (size_t side = 0; side < s->n_sides; side++) {
        evaluator_free(s->evaluators[side]);
        evaluation_release(&s->results[side]);
    }
    tuned_close(&s->model);
}

static void check_options(void)
{
    if (!opt.base.model)
        usage_error("which model? (-m MODEL)");
    if (opt.compare && !opt.adapters.n)
        usage_error("--compare needs an adapter (-a ADAPTER)");
    if (opt.stride && !opt.window && !opt.like)
        usage_error("--stride is of --window N");
    if (opt.per_token && (opt.compare || opt.window || opt.like))
        usage_error("--per-token goes with neither --compare nor windows");
    if (opt.by_source && (opt.per_token || opt.per_document))
        usage_error("--by-source and --per-%s are two answers; ask for one",
                    opt.per_token ? "token" : "document");
}

int main(int argc, char **argv)
{
    int first = program_start(&program, argc, argv);
    struct session s = {0};
    struct err err;
    check_options();
    s.n_sides = opt.compare ? SIDES : 1;
    for (size_t side = 0; side < s.n_sides; side++)
        evaluation_init(&s.results[side]);
    progress_init(&progress, (enum progress_when)opt.progress);
    int status = evaluate(&s, argv + first, (size_t)(argc - first), &err);
    progress_clear(&progress);
    session_release(&s);
    if (status)
        die("%s", err.msg);
    return 0;
}
