/* ft-eval: how well a model, with adapters or without, predicts the documents of streams. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/progress.h"
#include "formats/archive.h"
#include "formats/logits.h"
#include "formats/stream.h"
#include "model/calibration.h"
#include "model/evaluate.h"
#include "model/evaluation_report.h"
#include "model/tuned.h"
#include "model/vocabulary.h"
#include "text/tokenizer.h"

static struct {
    const char *output, *save_logits, *base_logits;
    struct string_list adapters;
    bool compare, kl, calibration, by_source, per_document, per_token;
    struct tuned_request base;
    size_t window, stride, batch_tokens, bins;
    int like, bos, progress;
} opt = {.base = {.backend = BACKEND_FP32}, .batch_tokens = 2048, .bins = 10};

enum { SIDES = 2 };

/* Whose way of cutting a text into windows. */
enum like { LIKE_NONE, LIKE_LLAMA_CPP, LIKE_HF, LIKE_LM_EVAL };
static const char *const like_choices[] = {"none", "llama.cpp", "hf", "lm-eval", NULL};

/* What comes before documents. */
enum bos { BOS_STREAM, BOS_ADD };
static const char *const bos_choices[] = {"stream", "add", NULL};

static const struct option_spec options[] = {
    TUNED_MODEL_OPTIONS(opt.base, opt.adapters),
    {OPT_FLAG, 0, "compare", &opt.compare, NULL, "the model without the adapters, and with them",
     NULL, 0, 0},
    {OPT_STRING, 'o', "output", &opt.output, "FILE", "where to write [stdout]", NULL, 0, 0},
    {OPT_FLAG, 0, "by-source", &opt.by_source, NULL, "a line of JSON for each source", NULL, 0, 0},
    {OPT_FLAG, 0, "per-document", &opt.per_document, NULL, "a line of JSON for each document", NULL,
     0, 0},
    {OPT_FLAG, 0, "per-token", &opt.per_token, NULL, "and in it log p of every token", NULL, 0, 0},
    {OPT_HEADING, 0, "Whole distributions", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_FLAG, 0, "kl", &opt.kl, NULL, "compare, and how far it is from the model without adapters",
     NULL, 0, 0},
    {OPT_STRING, 0, "save-logits", &opt.save_logits, "FILE",
     "write distributions for --base-logits; vocabulary x 2 bytes a token", NULL, 0, 0},
    {OPT_STRING, 0, "base-logits", &opt.base_logits, "FILE",
     "as --kl, from the model that wrote them", NULL, 0, 0},
    {OPT_FLAG, 0, "calibration", &opt.calibration, NULL,
     "whether the model is right as often as it is sure", NULL, 0, 0},
    {OPT_SIZE, 0, "bins", &opt.bins, "N", "of the calibration [10]", NULL, 1, CALIBRATION_MAX_BINS},
    {OPT_CHOICE, 0, "bos", &opt.bos, NULL,
     "documents as they are in the stream, or with BOS before each [stream]", bos_choices, 0, 0},
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
             "  ft-eval -m base --save-logits base.logits held.ft\n"
             "  ft-eval -m small.gguf --base-logits base.logits held.ft\n"
             "  ft-eval -m base --like llama.cpp --window 512 book.ft\n"
             "  ft-eval -m base --like lm-eval book.ft\n",
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

/* What is measured: the model with the adapters and, to compare, another before. */
struct session {
    struct tuned model;
    struct vocabulary vocabulary;
    struct tokenizer *tokenizer; /* NULL: the model has none */
    struct evaluator *evaluator;
    size_t n_sides; /* of results */
    struct evaluation results[SIDES];
    struct logits_writer *save;
    struct logits_reader *other;
};

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
        status = evaluator_add(s->evaluator, &record, *index, err);
        show_progress(s->evaluator);
    }
    *index = next;
    stream_record_release(&record);
    stream_reader_close(r);
    return status;
}

static bool begins(void)
{
    return opt.bos == BOS_ADD || opt.like == LIKE_LM_EVAL;
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
    } else if (opt.like == LIKE_LM_EVAL) {
        /* It counts what goes in, and a window's last token doesn't. */
        w.size = (w.size ? w.size : config->max_positions) + 1;
        w.stride = opt.stride ? opt.stride : w.size - 1;
        w.full_last = true;
        return w;
    }
    w.stride = opt.stride ? opt.stride : w.stride ? size_min(w.stride, w.size) : w.size;
    return w;
}

/* BOS or, if there is none, EOS, as lm-evaluation-harness has it; -1 for neither. */
static int64_t beginning(const struct session *s)
{
    const struct model_config *config = decoder_config(s->model.decoder);
    int64_t bos = s->tokenizer ? tokenizer_bos(s->tokenizer) : config->bos;
    int64_t eos = s->tokenizer ? tokenizer_eos(s->tokenizer) : config->eos;
    return bos >= 0 ? bos : eos;
}

static int score(struct session *s, char **files, size_t n, struct err *err)
{
    const struct evaluator_options how = {.batch_tokens = opt.batch_tokens,
                                          .logprobs = opt.per_token,
                                          .measure = opt.kl || opt.calibration,
                                          .save = s->save,
                                          .other = s->other,
                                          .window = window_of(decoder_config(s->model.decoder)),
                                          .tokenizer = s->tokenizer,
                                          .begin = begins() ? beginning(s) : -1};
    uint64_t index = 0;
    int status = 0;
    if (begins() && how.begin < 0)
        return err_set(err, "%s has neither BOS nor EOS to put before documents", opt.base.model);
    if (how.window.stride > how.window.size)
        return err_set(err, "a stride of %zu would skip tokens between windows of %zu",
                       how.window.stride, how.window.size);
    const struct lora *loras[] = {NULL, s->model.adapter};
    bool both = opt.compare || opt.kl;
    s->evaluator = evaluator_new(s->model.decoder, loras + !both, 1u + both, &how, s->results);
    for (size_t i = 0; i < (n ? n : 1) && !status; i++)
        status = score_file(s, n ? files[i] : NULL, &index, err);
    if (!status)
        status = evaluator_finish(s->evaluator, err);
    for (size_t side = 0; side < s->n_sides && !status; side++)
        evaluation_join(&s->results[side]);
    return status;
}

/* ---- what it prints ---- */

static int print(const struct session *s, struct err *err)
{
    const struct evaluation_report report = {
        .sides = s->results,
        .n_sides = s->n_sides,
        .divergence = opt.kl || opt.base_logits,
        .bins = opt.calibration ? opt.bins : 0,
        .by_source = opt.by_source,
        .backend = backend_choices[decoder_backend(s->model.decoder)],
    };
    struct output *out;
    struct buf b = BUF_INIT;
    bool documents = opt.per_document || opt.per_token;
    if (output_open(&out, opt.output, err))
        return -1;
    int status = 0;
    for (size_t i = 0; i < (documents ? s->results[0].n : 1) && !status; i++) {
        buf_clear(&b);
        if (documents)
            evaluation_report_document(&report, i, &b);
        else if (opt.by_source)
            evaluation_report_sources(&report, &b);
        else
            evaluation_report_all(&report, &b);
        status = output_write(out, b.p, b.len, err);
    }
    buf_release(&b);
    return output_end(out, status, err);
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
                           &s->tokenizer, err);
}

/* Distributions that another run wrote must be of this vocabulary. */
static int check_logits(const struct session *s, struct err *err)
{
    const struct logits_header *h = logits_reader_header(s->other);
    struct stream_header stream = {.vocab_size = (uint32_t)s->vocabulary.size};
    if (h->vocab != s->vocabulary.size)
        return err_set(err, "%s: is of a vocabulary of %zu, the model has %zu", opt.base_logits,
                       h->vocab, s->vocabulary.size);
    memcpy(stream.tokenizer, h->tokenizer, sizeof h->tokenizer);
    return vocabulary_check(&s->vocabulary, &stream, err) ? err_prefix(err, "%s", opt.base_logits)
                                                          : 0;
}

static int open_logits(struct session *s, struct err *err)
{
    struct logits_header h = {.vocab = s->vocabulary.size};
    memcpy(h.tokenizer, s->vocabulary.tokenizer, sizeof h.tokenizer);
    if (opt.save_logits && logits_writer_open(&s->save, opt.save_logits, &h, err))
        return -1;
    if (!opt.base_logits)
        return 0;
    return logits_reader_open(&s->other, opt.base_logits, err) || check_logits(s, err) ? -1 : 0;
}

static int evaluate(struct session *s, char **files, size_t n, struct err *err)
{
    if (open_model(s, err) || open_logits(s, err) || score(s, files, n, err))
        return -1;
    progress_clear(&progress);
    if (check_result(s, err))
        return -1;
    if (s->save) {
        struct logits_writer *save = s->save;
        s->save = NULL;
        if (logits_writer_commit(save, err))
            return -1;
    }
    return print(s, err);
}

static void session_release(struct session *s)
{
    evaluator_free(s->evaluator);
    for (size_t side = 0; side < s->n_sides; side++)
        evaluation_release(&s->results[side]);
    logits_writer_abandon(s->save);
    logits_reader_close(s->other);
    tokenizer_free(s->tokenizer);
    tuned_close(&s->model);
}

static bool is_stdout(const char *path)
{
    return !path || !strcmp(path, "-");
}

static void check_options(void)
{
    bool whole = opt.kl || opt.save_logits || opt.base_logits || opt.calibration;
    if (!opt.base.model)
        usage_error("which model? (-m MODEL)");
    if ((opt.compare || opt.kl) && !opt.adapters.n)
        usage_error("--%s needs an adapter (-a ADAPTER)", opt.kl ? "kl" : "compare");
    if (opt.base_logits && (opt.compare || opt.kl))
        usage_error("--base-logits and --%s are two bases; give one", opt.kl ? "kl" : "compare");
    if (opt.save_logits && (opt.compare || opt.kl || opt.base_logits))
        usage_error("--save-logits is of one model: no --compare, --kl or --base-logits with it");
    if (is_stdout(opt.save_logits) && opt.save_logits && is_stdout(opt.output))
        usage_error("--save-logits to stdout needs -o FILE for the result");
    if (opt.stride && !opt.window && !opt.like)
        usage_error("--stride is of --window N");
    if (opt.per_token && (opt.compare || opt.window || opt.like || whole))
        usage_error("--per-token goes with neither windows nor a comparison nor a calibration");
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
    program_sandbox(argv + first, false);
    s.n_sides = opt.compare || opt.kl || opt.base_logits ? SIDES : 1;
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
