/* ft-gen: completions of prompts, by a model with adapters or without, or by both side by side. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/command.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/progress.h"
#include "formats/archive.h"
#include "model/conversation.h"
#include "model/respond.h"
#include "model/response_report.h"
#include "model/tuned.h"
#include "text/chat.h"
#include "text/chat_args.h"
#include "text/prompt.h"
#include "text/tokenizer.h"

static struct {
    const char *output, *format_check;
    double check_seconds;
    struct string_list adapters, stops;
    bool compare, text, lines, chat_asked, ids, keep_special;
    struct chat_options chat;
    struct chat_args args;
    struct generate_options generate;
    struct tuned_request base;
    size_t samples;
    int progress;
} opt = {.base = {.backend = BACKEND_FP32},
         .samples = 1,
         .check_seconds = 10,
         .generate = {
             .sampling = {.top_p = 1, .repetition_penalty = 1}, .max_tokens = 256, .slots = 32}};

static const struct option_spec options[] = {
    TUNED_MODEL_OPTIONS(opt.base, opt.adapters),
    {OPT_FLAG, 0, "compare", &opt.compare, NULL, "the model without the adapters, and with them",
     NULL, 0, 0},
    {OPT_STRING, 'o', "output", &opt.output, "FILE", "where to write [stdout]", NULL, 0, 0},
    {OPT_HEADING, 0, "Prompts", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_FLAG, 0, "lines", &opt.lines, NULL, "each line is a prompt, not JSON", NULL, 0, 0},
    {OPT_FLAG, 0, "text", &opt.text, NULL, "each file is a prompt", NULL, 0, 0},
    {OPT_FLAG, 0, "chat", &opt.chat_asked, NULL,
     "a conversation: each line is what is said next [on a terminal]", NULL, 0, 0},
    {OPT_LIST, 0, "field", &opt.args.fields, "FIELD=KEY",
     "take a field (prompt, ...) from this key", NULL, 0, 0},
    {OPT_CHOICE, 0, "style", &opt.args.style, NULL, "how a prompt that is one text is put [auto]",
     chat_style_choices, 0, 0},
    {OPT_STRING, 0, "template", &opt.args.template, "FILE", "chat template [the model's]", NULL, 0,
     0},
    {OPT_LIST, 0, "set", &opt.args.variables, "NAME=JSON", "set a variable of the template", NULL,
     0, 0},
    {OPT_FLAG, 0, "allow-special", &opt.chat.allow_special, NULL,
     "special tokens written in prompts are special tokens", NULL, 0, 0},
    {OPT_FLAG, 0, "no-specials", &opt.chat.no_specials, NULL, "no BOS before plain text", NULL, 0,
     0},
    {OPT_HEADING, 0, "Choosing tokens", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_DOUBLE, 0, "temperature", &opt.generate.sampling.temperature, "T",
     "0 takes the likeliest [0]", NULL, 0, 100},
    {OPT_SIZE, 0, "top-k", &opt.generate.sampling.top_k, "K", "of the K likeliest; 0: of all [0]",
     NULL, 0, 0},
    {OPT_DOUBLE, 0, "top-p", &opt.generate.sampling.top_p, "P",
     "of the likeliest that make up P [1]", NULL, 0, 1},
    {OPT_DOUBLE, 0, "min-p", &opt.generate.sampling.min_p, "P",
     "of those P times as likely as the likeliest [0]", NULL, 0, 1},
    {OPT_DOUBLE, 0, "repetition-penalty", &opt.generate.sampling.repetition_penalty, "X",
     "against tokens that were there before [1]", NULL, 0.01, 100},
    {OPT_U64, 0, "seed", &opt.generate.seed, "N", "of the random numbers [0]", NULL, 0, 0},
    {OPT_SIZE, 'n', "samples", &opt.samples, "N", "completions of each prompt [1]", NULL, 1, 65536},
    {OPT_HEADING, 0, "Where a completion ends", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_SIZE, 0, "max-tokens", &opt.generate.max_tokens, "N", "tokens at most [256]", NULL, 1,
     1 << 30},
    {OPT_LIST, 0, "stop", &opt.stops, "STRING", "where this would come; may be repeated", NULL, 0,
     0},
    {OPT_HEADING, 0, "Output", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_FLAG, 0, "ids", &opt.ids, NULL, "also the token ids of prompt and completion", NULL, 0, 0},
    {OPT_FLAG, 0, "logprobs", &opt.generate.logprobs, NULL, "also log p of each token", NULL, 0, 0},
    {OPT_SIZE, 0, "top-logprobs", &opt.generate.n_top, "N",
     "and at each place the N likeliest tokens with theirs [0]", NULL, 0, 1 << 20},
    {OPT_STRING, 0, "format-check", &opt.format_check, "COMMAND",
     "a shell command that reads a completion and fails if it is of no use", NULL, 0, 0},
    {OPT_DOUBLE, 0, "check-seconds", &opt.check_seconds, "S", "at most for each [10]", NULL, 0.001,
     1e6},
    {OPT_FLAG, 0, "keep-special", &opt.keep_special, NULL, "special tokens show in the text", NULL,
     0, 0},
    {OPT_HEADING, 0, "Computing", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_SIZE, 0, "batch", &opt.generate.slots, "N", "prompts that are worked on together [32]",
     NULL, 1, 4096},
    TUNED_COMPUTING_OPTIONS(opt.base),
    {OPT_CHOICE, 0, "progress", &opt.progress, NULL, "whether to show progress [auto]",
     progress_choices, 0, 0},
};

static const struct program program = {
    .name = "ft-gen",
    .synopsis = "-m MODEL [-a ADAPTER[:WEIGHT]]... [OPTION]... [FILE]...",
    .purpose = "Generates completions of prompts, JSON Lines in and out.",
    .notes = "Without a file, on a terminal, prompts are asked for.\n\n"
             "Examples:\n"
             "  ft-gen -m base -a adapter --max-tokens 200 prompts.jsonl\n"
             "  ft-gen -m base -a adapter --compare held.jsonl\n"
             "  ft-gen -m tuned.gguf --temperature 0.8 --top-p 0.95 --lines questions.txt\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

/* What is open while it works. */
struct session {
    struct tuned model;
    struct tokenizer *tokenizer; /* NULL: the model has none */
    struct chat *chat;           /* as well */
    struct prompt_reader *reader;
    struct output *out;
    struct progress progress;
    struct buf line;
    uint64_t n_responses, n_context; /* and of them, those that the model's context ended */
    uint64_t n_pass[RESPOND_MAX_SIDES], n_timeout; /* of --format-check */
    bool unflushed;
};

/* ---- responses ---- */

/* What the user's command says of a completion. */
static int check_format(struct session *s, const struct response *r, size_t side,
                        enum verdict *verdict, struct err *err)
{
    const struct buf *text = &r->sides[side].completion.text;
    if (!opt.format_check)
        return 0;
    if (command_judge(opt.format_check, text->p, text->len, opt.check_seconds, verdict, err))
        return err_prefix(err, "--format-check");
    s->n_pass[side] += *verdict == VERDICT_PASS;
    s->n_timeout += *verdict == VERDICT_TIMEOUT;
    return 0;
}

/* The share that passes, and its standard error. */
static void report_format(const struct session *s)
{
    static const char *const names[] = {"base", "tuned"};
    double n = (double)s->n_responses;
    for (size_t side = 0; side < 1u + opt.compare; side++) {
        double share = (double)s->n_pass[side] / n;
        warn("format%s%s: %" PRIu64 " of %" PRIu64 " completions pass, %.1f %% +- %.1f",
             opt.compare ? ", " : "", opt.compare ? names[side] : "", s->n_pass[side],
             s->n_responses, 100 * share, n > 1 ? 100 * sqrt(share * (1 - share) / (n - 1)) : 0);
    }
    if (s->n_timeout)
        warn("warning: %" PRIu64 " checks took longer than %g seconds", s->n_timeout,
             opt.check_seconds);
}

static int put_json(void *arg, const struct response *r, struct err *err)
{
    struct session *s = arg;
    const struct response_report how = {.tokenizer = s->tokenizer,
                                        .sampled = opt.samples > 1,
                                        .compare = opt.compare,
                                        .ids = opt.ids,
                                        .logprobs = opt.generate.logprobs,
                                        .checked = opt.format_check != NULL};
    enum verdict verdicts[RESPOND_MAX_SIDES] = {VERDICT_PASS};
    for (size_t i = 0; i < 1u + opt.compare; i++) {
        s->n_context += r->sides[i].finish == FINISH_CONTEXT;
        if (check_format(s, r, i, &verdicts[i], err))
            return -1;
    }
    s->n_responses++;
    s->unflushed = true;
    buf_clear(&s->line);
    response_report(&how, r, verdicts, &s->line);
    return output_write(s->out, s->line.p, s->line.len, err);
}

/* A reader at the other end of a pipe sees what is complete. */
static int after_step(void *arg, uint64_t tokens, struct err *err)
{
    struct session *s = arg;
    double seconds = clock_seconds() - s->progress.started;
    progress_draw(&s->progress, "%" PRIu64 " completions, %.1f tokens/s", s->n_responses,
                  (double)tokens / seconds);
    if (!s->unflushed)
        return 0;
    s->unflushed = false;
    return output_flush(s->out, err);
}

static int next_json(void *arg, struct prompt *p, struct err *err)
{
    struct session *s = arg;
    return prompt_read(s->reader, p, err);
}

/* ---- opening ---- */

static int open_tokenizer(struct session *s, struct err *err)
{
    int there = tokenizer_exists(opt.base.model, err);
    if (there <= 0)
        return there;
    return tokenizer_load(&s->tokenizer, opt.base.model, err) ||
                   chat_args_chat(&s->chat, &opt.args, s->tokenizer, opt.chat, err)
               ? -1
               : 0;
}

static int open_model(struct session *s, struct err *err)
{
    opt.base.adapters = opt.adapters.items;
    opt.base.n_adapters = opt.adapters.n;
    if (tuned_open(&s->model, &opt.base, err))
        return -1;
    return open_tokenizer(s, err);
}

static void session_release(struct session *s)
{
    prompt_reader_free(s->reader);
    chat_args_release(&opt.args);
    chat_free(s->chat);
    tokenizer_free(s->tokenizer);
    tuned_close(&s->model);
    buf_release(&s->line);
}

static int converse(const struct session *s, const struct respond_options *how, struct err *err)
{
    const struct conversation_options with = {
        .respond = *how,
        .reader = s->reader,
        .apart = opt.compare || !chat_has_template(s->chat) || opt.args.style == CHAT_STYLE_PLAIN,
        .in = STDIN_FILENO,
        .out = s->out,
        .talk = stderr,
    };
    return conversation_hold(&with, err);
}

static int generate(struct session *s, struct err *err)
{
    opt.generate.n_top = size_min(opt.generate.n_top, decoder_config(s->model.decoder)->vocab);
    opt.generate.logprobs |= opt.generate.n_top > 0;
    struct lora *sides[] = {opt.compare ? NULL : s->model.adapter, s->model.adapter};
    struct respond_options how = {
        .decoder = s->model.decoder,
        .sides = sides,
        .n_sides = 1u + opt.compare,
        .samples = opt.samples,
        .generate = opt.generate,
        .text = {s->tokenizer, opt.keep_special, opt.stops.items, opt.stops.n, opt.generate.n_top},
        .next = next_json,
        .put = put_json,
        .step = after_step,
        .arg = s,
    };
    uint32_t *ends = tuned_end_ids(&s->model, s->tokenizer, &how.generate.n_end_ids);
    how.generate.end_ids = ends;
    int status = opt.chat_asked ? converse(s, &how, err) : respond(&how, err);
    free(ends);
    progress_clear(&s->progress);
    if (!status && !opt.chat_asked && !s->n_responses)
        status = err_set(err, "there are no prompts");
    return status;
}

static void open_prompts(struct session *s, char **files, size_t n)
{
    struct prompt_reader_options from = {
        .files = files,
        .n_files = n,
        .form = opt.text    ? PROMPT_FILES
                : opt.lines ? PROMPT_LINES
                            : PROMPT_JSON,
        .chat = s->chat,
        .tokenizer = s->tokenizer,
        .fields = opt.args.parsed_fields,
    };
    s->reader = prompt_reader_new(&from);
}

static int run(struct session *s, char **files, size_t n, struct err *err)
{
    if (open_model(s, err))
        return -1;
    open_prompts(s, files, n);
    if (opt.format_check && !s->tokenizer)
        return err_set(err, "%s has no tokenizer: --format-check has no text", opt.base.model);
    if (opt.chat_asked && !s->tokenizer)
        return err_set(err, "%s has no tokenizer: there is nothing to talk in", opt.base.model);
    if (output_open(&s->out, opt.output, err))
        return -1;
    if (generate(s, err)) {
        output_abandon(s->out);
        return -1;
    }
    if (opt.format_check)
        report_format(s);
    if (s->n_context)
        warn("warning: %" PRIu64 " completions end where the model's context of %zu tokens does",
             s->n_context, decoder_config(s->model.decoder)->max_positions);
    return output_commit(s->out, err);
}

static void check_options(size_t n_files)
{
    if (!opt.base.model)
        usage_error("which model? (-m MODEL)");
    if (opt.text + opt.lines + opt.chat_asked > 1)
        usage_error("only one of --text, --lines and --chat");
    if (opt.compare && !opt.adapters.n)
        usage_error("--compare needs an adapter to compare with the base (-a ADAPTER)");
    for (size_t i = 0; i < opt.stops.n; i++)
        if (!*opt.stops.items[i])
            usage_error("--stop: an empty text stands everywhere");
    if (opt.chat_asked && n_files)
        usage_error("--chat reads the standard input, no files");
    if (!n_files && !opt.lines && !opt.text && isatty(STDIN_FILENO))
        opt.chat_asked = true;
    if (opt.chat_asked && (opt.samples > 1 || opt.ids || opt.generate.logprobs ||
                           opt.generate.n_top || opt.format_check))
        usage_error("a conversation has no --samples, --ids, --logprobs, --top-logprobs and "
                    "--format-check; "
                    "give a file of prompts");
}

int main(int argc, char **argv)
{
    int first = program_start(&program, argc, argv);
    struct session s = {0};
    struct err err;
    check_options((size_t)(argc - first));
    if (chat_args_parse(&opt.args, &err))
        usage_error("%s", err.msg);
    /* The user's own command may read and run what it likes, and it inherits what holds here. */
    if (!opt.format_check)
        program_sandbox(argv + first, false);
    buf_init(&s.line);
    progress_init(&s.progress, (enum progress_when)opt.progress);
    if (run(&s, argv + first, (size_t)(argc - first), &err))
        die("%s", err.msg);
    session_release(&s);
    return 0;
}
