/* ft-lint: what is wrong with documents, before they cost a training run. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/program.h"
#include "base/progress.h"
#include "formats/archive.h"
#include "text/chat.h"
#include "text/chat_args.h"
#include "text/language.h"
#include "text/lint.h"
#include "text/lint_print.h"
#include "text/tokenizer.h"

static struct {
    const char *model, *output, *language;
    size_t length, threads, most;
    double near;
    bool json, tsv, fix, strict;
    int progress;
    struct chat_args chat;
    struct string_list against, ignore, warn, error, drop, keep;
} opt = {.near = 0.6, .most = 10};

static const char *kind_names[N_LINT_KINDS + 1];

static const struct option_spec options[] = {
    {OPT_LIST, 0, "against", &opt.against, "FILE",
     "held-out documents that must not be in the others; repeatable", NULL, 0, 0},
    {OPT_FLAG, 0, "fix", &opt.fix, NULL, "write the documents without faults, the report elsewhere",
     NULL, 0, 0},
    {OPT_STRING, 'o', "output", &opt.output, "FILE",
     "write the report there, with --fix the documents [stdout]", NULL, 0, 0},
    {OPT_FLAG, 0, "strict", &opt.strict, NULL, "warnings make the exit status 1 too", NULL, 0, 0},
    {OPT_SIZE, 0, "threads", &opt.threads, "N", "threads [as many as processors]", NULL, 0, 1024},
    {OPT_CHOICE, 0, "progress", &opt.progress, NULL, "show progress [auto: on a terminal]",
     progress_choices, 0, 0},
    {OPT_HEADING, 0, "The report", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_FLAG, 0, "json", &opt.json, NULL, "one JSON object: findings and summary", NULL, 0, 0},
    {OPT_FLAG, 0, "tsv", &opt.tsv, NULL, "a table of the findings, columns divided by tabs", NULL,
     0, 0},
    {OPT_SIZE, 0, "most", &opt.most, "N", "show N findings of a kind as text, 0: all [10]", NULL, 0,
     1e12},
    {OPT_HEADING, 0, "With a model", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_STRING, 'm', "model", &opt.model, "MODEL",
     "count tokens and check what is learnt, with its tokenizer and template", NULL, 0, 0},
    {OPT_SIZE, 0, "length", &opt.length, "N", "most tokens that a document may have", NULL, 1, 1e9},
    CHAT_ARGS_LEARNT(opt.chat),
    {OPT_HEADING, 0, "What is a fault", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_LIST, 0, "ignore", &opt.ignore, "KIND,...", "don't look for it", kind_names, 0, 0},
    {OPT_LIST, 0, "warn", &opt.warn, "KIND,...", "make it a warning", kind_names, 0, 0},
    {OPT_LIST, 0, "error", &opt.error, "KIND,...", "make it an error", kind_names, 0, 0},
    {OPT_LIST, 0, "drop", &opt.drop, "KIND,...", "--fix leaves such documents out", kind_names, 0,
     0},
    {OPT_LIST, 0, "keep", &opt.keep, "KIND,...", "--fix doesn't", kind_names, 0, 0},
    {OPT_DOUBLE, 0, "near", &opt.near, "X",
     "share of common words from which documents are nearly the same [0.6]", NULL, 0.3, 1},
    {OPT_STRING, 0, "language", &opt.language, "CODE,...",
     "languages that are right [that of most documents]", NULL, 0, 0},
    {OPT_HEADING, 0, "What goes in", NULL, NULL, NULL, NULL, 0, 0},
    CHAT_ARGS_INPUT(opt.chat),
};

static const struct program program = {
    .name = "ft-lint",
    .synopsis = "[OPTION]... [FILE]...",
    .purpose = "Reports what is wrong with documents for training, and drops those on request.",
    .notes = "Examples:\n"
             "  ft-lint train.jsonl\n"
             "  ft-lint -m base --length 1024 --against held.jsonl train.jsonl\n"
             "  ft-text docs/ | ft-lint --fix | ft-tok -m base | ft-pack --length 1024 -o all.ft\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

static struct output *documents, *report; /* documents NULL: without --fix */
static bool report_on_stderr;
static struct buf text; /* of the report, waiting to be written */
static struct lint_printer printer;
static struct progress progress;
static uint64_t n_documents;

enum { FLUSH_AT = 1 << 16 };

/* ---- options ---- */

static void for_each_name(const char *option, const char *list,
                          void (*take)(const char *option, const char *name, size_t len, void *arg),
                          void *arg)
{
    while (*list) {
        size_t len = strcspn(list, ",");
        if (len)
            take(option, list, len, arg);
        list += len + (list[len] == ',');
    }
}

struct kind_change {
    struct lint_options *options;
    int severity; /* -1: stays */
    bool drops;   /* where it stays */
};

static void change_kind(const char *option, const char *name, size_t len, void *arg)
{
    const struct kind_change *change = arg;
    int kind = lint_kind_of_name(name, len);
    if (kind < 0)
        usage_error("--%s: '%.*s' is no kind of finding; they are listed in ft-lint(1)", option,
                    (int)len, name);
    if (change->severity >= 0)
        lint_options_set(change->options, (enum lint_kind)kind,
                         (enum lint_severity)change->severity);
    else
        change->options->drops[kind] = change->drops;
}

static void change_kinds(struct lint_options *o, const char *option, const struct string_list *list,
                         int severity, bool drops)
{
    struct kind_change change = {o, severity, drops};
    for (size_t i = 0; i < list->n; i++)
        for_each_name(option, list->items[i], change_kind, &change);
}

static void add_language(const char *option, const char *name, size_t len, void *arg)
{
    uint64_t *languages = arg;
    unsigned language = language_of_code(name, len);
    if (language == LANGUAGE_UNKNOWN)
        usage_error("--%s: '%.*s' is no language that can be told", option, (int)len, name);
    *languages |= (uint64_t)1 << language;
}

static void check_options(void)
{
    struct err err;
    if (opt.json && opt.tsv)
        usage_error("only one of --json and --tsv");
    if (opt.length && !opt.model)
        usage_error("--length counts tokens: give the model with -m");
    const struct chat_args *a = &opt.chat;
    if ((a->template || a->variables.n || a->train_on || a->style) && !opt.model)
        usage_error("--template, --set, --train-on and --style need the model: give it with -m");
    if ((opt.drop.n || opt.keep.n) && !opt.fix)
        usage_error("--drop and --keep go with --fix");
    if (opt.fix && !opt.output && isatty(STDOUT_FILENO))
        usage_error("--fix writes documents: give -o FILE, or a pipe");
    if (chat_args_parse(&opt.chat, &err))
        usage_error("%s", err.msg);
}

static struct lint_options lint_options_of(void)
{
    struct lint_options o;
    lint_options_init(&o);
    o.fields = &opt.chat.parsed_fields;
    o.format = (enum document_format)opt.chat.format;
    o.resemblance = opt.near;
    o.length = opt.length;
    o.train_on = (enum chat_train)opt.chat.train_on;
    change_kinds(&o, "error", &opt.error, LINT_ERROR, false);
    change_kinds(&o, "warn", &opt.warn, LINT_WARNING, false);
    change_kinds(&o, "ignore", &opt.ignore, LINT_IGNORED, false);
    change_kinds(&o, "drop", &opt.drop, -1, true);
    change_kinds(&o, "keep", &opt.keep, -1, false);
    if (opt.language)
        for_each_name("language", opt.language, add_language, &o.expected_languages);
    if (opt.fix && o.drops[LINT_LANGUAGE] && !o.expected_languages)
        usage_error("dropping other languages needs to be told which is right: give --language");
    return o;
}

/* ---- out ---- */

/* With --fix and no -o the documents have stdout, and the report is talk. */
static void open_outputs(void)
{
    struct err err;
    bool to_stdout = !opt.output || !strcmp(opt.output, "-");
    report_on_stderr = opt.fix && to_stdout;
    if (opt.fix && output_open(&documents, opt.output, &err))
        die("%s", err.msg);
    if (!report_on_stderr && output_open(&report, opt.fix ? NULL : opt.output, &err))
        die("%s", err.msg);
}

static int flush_report(struct err *err)
{
    int status = 0;
    if (report_on_stderr)
        fwrite(text.p, 1, text.len, stderr);
    else
        status = output_write(report, text.p, text.len, err);
    buf_clear(&text);
    return status;
}

static int on_report(void *arg, const struct lint_report *r, struct err *err)
{
    (void)arg;
    lint_print_finding(&printer, r, &text);
    if (text.len < FLUSH_AT)
        return 0;
    progress_clear(&progress);
    return flush_report(err);
}

static int on_kept(void *arg, const char *line, size_t len, struct err *err)
{
    (void)arg;
    n_documents++;
    return output_write(documents, line, len, err) || output_write(documents, "\n", 1, err) ? -1
                                                                                            : 0;
}

static void on_batch(void *arg, const struct lint_summary *s)
{
    (void)arg;
    progress_draw(&progress, "%" PRIu64 " documents, %" PRIu64 " errors, %" PRIu64 " warnings",
                  s->documents, s->errors, s->warnings);
}

/* ---- in ---- */

static void fail(const struct err *err)
{
    progress_clear(&progress);
    die("%s", err->msg);
}

static void lint(struct lint *l, char **files, size_t n)
{
    struct err err;
    struct input *in;
    for (size_t i = 0; i < opt.against.n; i++)
        if (input_open(&in, opt.against.items[i], &err) || lint_hold_out(l, in, &err))
            fail(&err);
    for (size_t i = 0; i < (n ? n : 1); i++)
        if (input_open(&in, n ? files[i] : NULL, &err) || lint_read(l, in, &err))
            fail(&err);
    if (lint_finish(l, &err))
        fail(&err);
    progress_clear(&progress);
}

/* Writes what is left to write; returns the exit status. With --fix only what was kept counts. */
static int finish(const struct lint_summary *s)
{
    struct err err;
    uint64_t errors = opt.fix ? s->kept_errors : s->errors;
    uint64_t warnings = opt.fix ? s->kept_warnings : s->warnings;
    if (!s->documents)
        die("no input holds a document");
    lint_print_end(&printer, s, &text);
    if (flush_report(&err) || (report && output_commit(report, &err)))
        die("%s", err.msg);
    if (opt.fix && !n_documents)
        die("no document is without a fault");
    if (opt.fix && output_commit(documents, &err))
        die("%s", err.msg);
    if (s->passed_over)
        warn("%" PRIu64 " members of archives are no documents: passed over", s->passed_over);
    if (opt.fix)
        warn("%" PRIu64 " of %" PRIu64 " documents kept", n_documents, s->documents);
    if (!errors && !(opt.strict && warnings))
        return 0;
    warn("%" PRIu64 " error%s, %" PRIu64 " warning%s in %" PRIu64 " document%s", errors,
         errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s", s->documents,
         s->documents == 1 ? "" : "s");
    return 1;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < N_LINT_KINDS; i++)
        kind_names[i] = lint_kinds[i].name;
    int first = program_start(&program, argc, argv);
    struct tokenizer *tokenizer = NULL;
    struct chat *chat = NULL;
    struct lint_sink sink = {on_report, opt.fix ? on_kept : NULL, on_batch, NULL};
    struct lint *l;
    struct err err;

    check_options();
    program_sandbox(argv + first, false);
    struct lint_options o = lint_options_of();
    if (opt.model && (tokenizer_load(&tokenizer, opt.model, &err) ||
                      chat_args_chat(&chat, &opt.chat, tokenizer, (struct chat_options){0}, &err)))
        die("%s", err.msg);
    o.chat = chat;
    struct pool *pool = pool_new(opt.threads, &err);
    if (!pool || lint_new(&l, &o, pool, &sink, &err))
        die("%s", err.msg);
    buf_init(&text);
    open_outputs();
    progress_init(&progress, (enum progress_when)opt.progress);
    printer = (struct lint_printer){.most = opt.most,
                                    .format = opt.json  ? LINT_JSON_OBJECT
                                              : opt.tsv ? LINT_TSV
                                                        : LINT_TEXT};
    lint_print_begin(&printer, &text);
    lint(l, argv + first, (size_t)(argc - first));
    int status = finish(lint_get_summary(l));
    lint_free(l);
    pool_free(pool);
    chat_free(chat);
    tokenizer_free(tokenizer);
    chat_args_release(&opt.chat);
    buf_release(&text);
    return status;
}
