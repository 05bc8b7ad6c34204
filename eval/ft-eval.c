/* ft-eval: how well a model, with adapters or without, predicts the documents of streams. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/progress.h"
#include "compute/backend.h"
#include "formats/archive.h"
#include "formats/checkpoint.h"
#include "formats/json.h"
#include "formats/stream.h"
#include "model/adapter_mix.h"
#include "model/decoder.h"
#include "model/evaluate.h"
#include "model/vocabulary.h"

static struct {
    const char *model, *output;
    struct string_list adapters;
    bool per_document, per_token;
    size_t batch_tokens, threads;
    int backend, base_type, progress;
} opt = {.batch_tokens = 2048, .backend = BACKEND_FP32};

static const struct option_spec options[] = {
    {OPT_STRING, 'm', "model", &opt.model, "MODEL", "Hugging Face folder or GGUF file", NULL, 0, 0},
    {OPT_LIST, 'a', "adapter", &opt.adapters, "ADAPTER[:WEIGHT]",
     "PEFT folder; several add up [WEIGHT 1]", NULL, 0, 0},
    {OPT_STRING, 'o', "output", &opt.output, "FILE", "where to write [stdout]", NULL, 0, 0},
    {OPT_FLAG, 0, "per-document", &opt.per_document, NULL, "a line of JSON for each document", NULL,
     0, 0},
    {OPT_FLAG, 0, "per-token", &opt.per_token, NULL, "and in it log p of every token", NULL, 0, 0},
    {OPT_HEADING, 0, "Computing", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_CHOICE, 0, "backend", &opt.backend, NULL, "arithmetic of matrix products [fp32]",
     backend_choices, 0, 0},
    {OPT_CHOICE, 0, "base-type", &opt.base_type, NULL,
     "what the base's linear layers are held as [stored]", base_type_choices, 0, 0},
    {OPT_SIZE, 0, "batch-tokens", &opt.batch_tokens, "N",
     "score documents together up to that many tokens [2048]", NULL, 1, 1 << 24},
    {OPT_SIZE, 0, "threads", &opt.threads, "N", "0: all processors [0]", NULL, 0, 4096},
    {OPT_CHOICE, 0, "progress", &opt.progress, NULL, "whether to show progress [auto]",
     progress_choices, 0, 0},
};

static const struct program program = {
    .name = "ft-eval",
    .synopsis = "-m MODEL [-a ADAPTER[:WEIGHT]]... [OPTION]... [FILE]...",
    .purpose = "Measures how well a model predicts the documents of token streams or shards.",
    .notes = "Examples:\n"
             "  ft-eval -m base held.ft\n"
             "  ft-eval -m base -a adapter held.ft\n"
             "  ft-eval -m base --per-token held.ft | jq .logprobs\n",
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

/* Scores the documents of one file; *index is the first one's place, and becomes the next file's.
 */
static int score_file(struct evaluator *ev, const char *path, const struct vocabulary *vocabulary,
                      uint64_t *index, struct err *err)
{
    struct stream_reader *r;
    struct stream_record record;
    uint64_t next = *index;
    if (stream_reader_open(&r, path, err))
        return -1;
    stream_record_init(&record);
    const struct stream_header *h = stream_reader_header(r);
    int status = vocabulary_check(vocabulary, h, err);
    if (!status && (h->kind == STREAM_PREFERENCE || h->kind == STREAM_LABEL))
        status = err_set(err, "is of kind %s: its rejected completions are no measure",
                         stream_kind_names[h->kind]);
    if (status)
        err_prefix(err, "%s", path ? path : "stdin");
    while (!status && (status = stream_read(r, &record, err)) > 0) {
        for (size_t i = 0; i < record.n_documents; i++)
            if (*index + record.documents[i].index >= next)
                next = *index + record.documents[i].index + 1;
        status = evaluator_add(ev, &record, *index, err);
        show_progress(ev);
    }
    *index = next;
    stream_record_release(&record);
    stream_reader_close(r);
    return status;
}

static int score(struct decoder *d, const struct lora *lora, char **files, size_t n,
                 const struct vocabulary *vocabulary, struct evaluation *result, struct err *err)
{
    struct evaluator_options how = {opt.batch_tokens, opt.per_token};
    struct evaluator *ev = evaluator_new(d, lora, &how, result);
    uint64_t index = 0;
    int status = 0;
    for (size_t i = 0; i < (n ? n : 1) && !status; i++)
        status = score_file(ev, n ? files[i] : NULL, vocabulary, &index, err);
    if (!status)
        status = evaluator_finish(ev, err);
    evaluator_free(ev);
    if (!status)
        evaluation_join(result);
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

static void print_summary(const struct evaluation_summary *s, enum backend backend, struct buf *b)
{
    buf_addstr(b, "{\"nll\":");
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
    buf_addf(b, ",\"documents\":%zu,\"all_tokens\":%" PRIu64 ",\"backend\":\"%s\"}\n", s->documents,
             s->seen, backend_choices[backend]);
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

static void print_document(const struct scored_document *d, struct buf *b)
{
    buf_addstr(b, "{\"id\":");
    add_text(b, d->id);
    if (d->source) {
        buf_addstr(b, ",\"source\":");
        add_text(b, d->source);
    }
    if (d->part)
        buf_addf(b, ",\"part\":%" PRIu64, d->part);
    add_field(b, "nll", d->nll);
    buf_addf(b, ",\"tokens\":%zu", d->targets);
    if (d->logprob) {
        print_logprobs(d->logprob, d->n_tokens, b);
    } else {
        add_field(b, "mean_nll", d->nll / (double)d->targets);
        buf_addf(b, ",\"all_tokens\":%zu", d->n_tokens);
    }
    buf_addstr(b, "}\n");
}

static int print(const struct evaluation *e, const struct evaluation_summary *s,
                 enum backend backend, struct err *err)
{
    struct output *out;
    struct buf line = BUF_INIT;
    bool documents = opt.per_document || opt.per_token;
    if (output_open(&out, opt.output, err))
        return -1;
    int status = 0;
    for (size_t i = 0; i < (documents ? e->n : 1) && !status; i++) {
        buf_clear(&line);
        if (documents)
            print_document(&e->documents[i], &line);
        else
            print_summary(s, backend, &line);
        status = output_write(out, line.p, line.len, err);
    }
    buf_release(&line);
    if (!status)
        return output_commit(out, err);
    output_abandon(out);
    return -1;
}

static int check_result(const struct evaluation *e, const struct evaluation_summary *s,
                        const struct model_config *config, struct err *err)
{
    size_t too_long = 0;
    for (size_t i = 0; i < e->n; i++)
        too_long += e->documents[i].n_tokens > config->max_positions;
    if (too_long)
        warn("warning: %zu documents are longer than the %zu tokens that the model was made for",
             too_long, config->max_positions);
    if (s->tokens || opt.per_document || opt.per_token)
        return 0;
    return err_set(err, "no token of the %zu documents is trained: there is nothing to measure",
                   e->n);
}

static int evaluate(const struct checkpoint *c, char **files, size_t n, struct err *err)
{
    struct decoder *d = NULL;
    struct lora *lora = NULL;
    struct vocabulary vocabulary;
    struct evaluation result;
    struct evaluation_summary summary;
    struct decoder_options how = {.backend = (enum backend)opt.backend,
                                  .base_type = (enum base_type)opt.base_type,
                                  .threads = opt.threads};
    evaluation_init(&result);
    int status = decoder_open(&d, c, &how, err);
    if (!status)
        status =
            adapter_mix_load(&lora, opt.adapters.items, opt.adapters.n, decoder_config(d), err);
    if (!status)
        status = vocabulary_load(&vocabulary, opt.model, decoder_config(d)->vocab, err);
    if (!status)
        status = score(d, lora, files, n, &vocabulary, &result, err);
    progress_clear(&progress);
    if (!status) {
        evaluation_summarize(&result, &summary);
        status = check_result(&result, &summary, decoder_config(d), err);
    }
    if (!status)
        status = print(&result, &summary, decoder_backend(d), err);
    evaluation_release(&result);
    lora_free(lora);
    decoder_close(d);
    return status;
}

int main(int argc, char **argv)
{
    int first = program_start(&program, argc, argv);
    struct err err;
    struct checkpoint *c;
    if (!opt.model)
        usage_error("which model? (-m MODEL)");
    progress_init(&progress, (enum progress_when)opt.progress);
    if (checkpoint_open(&c, opt.model, &err) ||
        evaluate(c, argv + first, (size_t)(argc - first), &err))
        die("%s", err.msg);
    checkpoint_close(c);
    return 0;
}
