/* ft-tok: documents to token ids, with the mask of what is learnt; and back. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/program.h"
#include "formats/archive.h"
#include "formats/document_source.h"
#include "formats/json.h"
#include "formats/stream.h"
#include "text/chat.h"
#include "text/chat_args.h"
#include "text/origin.h"
#include "text/token_text.h"
#include "text/tokenise.h"
#include "text/tokenizer.h"

static struct {
    const char *model, *output;
    bool ids, decode, render, count;
    bool text, lines;
    bool allow_special, no_specials;
    size_t threads;
    struct chat_args chat;
} opt;

static const struct option_spec options[] = {
    {OPT_STRING, 'm', "model", &opt.model, "MODEL",
     "folder with a tokenizer, or GGUF file (needed)", NULL, 0, 0},
    {OPT_STRING, 'o', "output", &opt.output, "FILE", "write there [stdout]", NULL, 0, 0},
    {OPT_SIZE, 0, "threads", &opt.threads, "N", "threads [as many as processors]", NULL, 0, 1024},
    {OPT_HEADING, 0, "What comes out, instead of a token stream", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_FLAG, 0, "ids", &opt.ids, NULL, "JSON Lines {\"id\",\"ids\",\"trained\"}", NULL, 0, 0},
    {OPT_FLAG, 0, "render", &opt.render, NULL, "the text, with what is learnt marked", NULL, 0, 0},
    {OPT_FLAG, 0, "count", &opt.count, NULL, "numbers of documents and tokens, lengths", NULL, 0,
     0},
    {OPT_FLAG, 0, "decode", &opt.decode, NULL, "from ids (JSON Lines or a stream) back to text",
     NULL, 0, 0},
    {OPT_HEADING, 0, "What goes in", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_FLAG, 0, "text", &opt.text, NULL, "each file is one document of plain text", NULL, 0, 0},
    {OPT_FLAG, 0, "lines", &opt.lines, NULL, "each line is a document of plain text", NULL, 0, 0},
    CHAT_ARGS_INPUT(opt.chat),
    {OPT_HEADING, 0, "How", NULL, NULL, NULL, NULL, 0, 0},
    CHAT_ARGS_LEARNT(opt.chat),
    {OPT_FLAG, 0, "allow-special", &opt.allow_special, NULL,
     "special tokens written in the documents are special", NULL, 0, 0},
    {OPT_FLAG, 0, "no-specials", &opt.no_specials, NULL, "no BOS and EOS around plain text", NULL,
     0, 0},
};

static const struct program program = {
    .name = "ft-tok",
    .synopsis = "-m MODEL [OPTION]... [FILE]...",
    .purpose = "Turns documents into a token stream, by the model's chat template and tokenizer.",
    .notes = "Examples:\n"
             "  ft-tok -m base chats.jsonl | ft-pack --length 1024 -o all.ft\n"
             "  ft-tok -m base --render chats.jsonl | less     # see what will be learnt\n"
             "  ft-tok -m base --text --ids README.md | ft-tok -m base --decode --text\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

/* What a run writes to, and what it counts. */
struct run {
    const struct tokenizer *tokenizer;
    const struct chat *chat;
    struct stream_writer *stream; /* NULL until the first document says what kind it is of */
    struct output *out;
    struct buf line;
    struct stream_record record;
    enum stream_kind kind; /* of all documents */
    uint64_t passed_over;  /* members of archives */
    uint64_t documents, untrained, unusable, tokens, trained, lost_calls, unusual_roles;
    char *unusual_role; /* the first one */
    uint64_t *lengths;  /* --count */
    size_t n_lengths, lengths_cap;
    bool colour;
};

/* ---- options ---- */

static bool writes_stream(void)
{
    return !opt.ids && !opt.render && !opt.count && !opt.decode;
}

static void check_options(void)
{
    struct err err;
    if (!opt.model)
        usage_error("-m MODEL is needed");
    if (opt.ids + opt.render + opt.count + opt.decode > 1)
        usage_error("only one of --ids, --render, --count and --decode");
    if (opt.text && opt.lines)
        usage_error("only one of --text and --lines");
    if ((opt.text || opt.lines) && (opt.chat.format || opt.chat.fields.n))
        usage_error("--text and --lines are for plain text: no --format, no --field");
    if (chat_args_parse(&opt.chat, &err))
        usage_error("%s", err.msg);
    if (writes_stream() && !opt.output && isatty(STDOUT_FILENO))
        usage_error("a token stream is not for terminals: give -o FILE, or a pipe; or --ids, "
                    "--render, --count");
}

/* ---- out ---- */

/* The options that make a difference: the same input gives the same bytes. */
static char *provenance_line(void)
{
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s %s --train-on=%s --style=%s", program.name, TUNEUTILS_VERSION,
             chat_train_choices[opt.chat.train_on], chat_style_choices[opt.chat.style]);
    buf_addstr(&b, opt.text ? " --text" : opt.lines ? " --lines" : "");
    buf_addstr(&b, opt.allow_special ? " --allow-special" : "");
    buf_addstr(&b, opt.no_specials ? " --no-specials" : "");
    if (opt.chat.format)
        buf_addf(&b, " --format=%s", document_format_choices[opt.chat.format]);
    for (size_t i = 0; i < opt.chat.fields.n; i++)
        buf_addf(&b, " --field=%s", opt.chat.fields.items[i]);
    for (size_t i = 0; i < opt.chat.variables.n; i++)
        buf_addf(&b, " --set=%s", opt.chat.variables.items[i]);
    return buf_detach(&b, NULL);
}

static void open_output(struct run *r)
{
    struct err err;
    if (output_open(&r->out, opt.output, &err))
        die("%s", err.msg);
    r->colour = opt.render && !opt.output && isatty(STDOUT_FILENO);
}

static void open_stream(struct run *r, enum stream_kind kind)
{
    struct stream_header h;
    struct err err;
    stream_header_init(&h);
    if (origin_of_model(&h, opt.model, chat_tokenizer(r->chat), &err))
        die("%s", err.msg);
    h.kind = kind;
    chat_template_hash(r->chat, h.template_hash);
    char *line = provenance_line();
    stream_header_add_provenance(&h, line);
    free(line);
    if (stream_writer_open(&r->stream, opt.output, &h, &err))
        die("%s", err.msg);
    stream_header_release(&h);
}

static int write_line(struct run *r, struct err *err)
{
    int rc = output_write(r->out, r->line.p, r->line.len, err);
    buf_clear(&r->line);
    return rc;
}

static int write_record(struct run *r, const struct tokenised *d, struct err *err)
{
    if (!r->stream)
        open_stream(r, tokenised_kind(d));
    if (!tokenised_is_usable(d))
        return 0;
    return tokenised_record(d, &r->record, err) || stream_write(r->stream, &r->record, err) ? -1
                                                                                            : 0;
}

static int write_json(struct run *r, const struct tokenised *d, struct err *err)
{
    tokenised_json(d, &r->line);
    return write_line(r, err);
}

/* A preference's sides one after the other. */
static int write_rendering(struct run *r, const struct tokenised *d, struct err *err)
{
    for (size_t i = 0; i < tokenised_count(d); i++) {
        const struct chat_result *t = &d->results[i];
        buf_addstr(&r->line, "--- ");
        tokenised_id(d, &r->line);
        if (tokenised_count(d) > 1)
            buf_addstr(&r->line, i ? " rejected" : " chosen");
        if (d->document.shape == DOCUMENT_LABEL)
            buf_addstr(&r->line, d->document.label ? " labelled true" : " labelled false");
        buf_addf(&r->line, ": %zu tokens, %zu learnt\n", t->tokens.n, t->n_trained);
        if (token_text_marked(r->tokenizer, t, r->colour, &r->line, err))
            return -1;
        buf_addch(&r->line, '\n');
    }
    return write_line(r, err);
}

static void count_tokens(struct run *r, const struct tokenised *d)
{
    for (size_t i = 0; i < tokenised_count(d); i++) {
        r->tokens += d->results[i].tokens.n;
        r->lost_calls += d->results[i].lost_calls;
        if (!opt.count)
            continue;
        ARRAY_GROW(r->lengths, r->n_lengths, r->lengths_cap);
        r->lengths[r->n_lengths++] = d->results[i].tokens.n;
    }
}

/* A stream is of one kind, which the first document decides. */
static int check_kind(struct run *r, const struct tokenised *d, struct err *err)
{
    enum stream_kind kind = tokenised_kind(d);
    if (!r->documents)
        r->kind = kind;
    if (kind == r->kind)
        return 0;
    return err_set(err, "%s:%zu: would be of kind %s, but those before are of kind %s",
                   d->place.file, d->place.line, stream_kind_names[kind],
                   stream_kind_names[r->kind]);
}

static int take(void *arg, const struct tokenised *d, struct err *err)
{
    struct run *r = arg;
    if (check_kind(r, d, err))
        return -1;
    r->documents++;
    r->trained += tokenised_trained(d);
    if (!tokenised_is_usable(d))
        r->unusable++;
    else if (!tokenised_trained(d))
        r->untrained++;
    count_tokens(r, d);
    if (d->document.unusual_role) {
        r->unusual_roles++;
        if (!r->unusual_role)
            r->unusual_role = xstrdup(d->document.unusual_role);
    }
    if (opt.count)
        return 0;
    return opt.ids      ? write_json(r, d, err)
           : opt.render ? write_rendering(r, d, err)
                        : write_record(r, d, err);
}

/* ---- the end ---- */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void add_count(struct buf *b, const char *name, uint64_t n)
{
    buf_addf(b, "%-22s%" PRIu64 "\n", name, n);
}

static void write_counts(struct run *r)
{
    static const int shares[] = {50, 90, 95, 99};
    struct err err;
    struct buf *b = &r->line;
    add_count(b, "documents", r->documents);
    add_count(b, "tokens", r->tokens);
    add_count(b, "trained tokens", r->trained);
    add_count(b, "untrained documents", r->untrained + r->unusable);
    if (r->n_lengths) {
        qsort(r->lengths, r->n_lengths, sizeof *r->lengths, compare_u64);
        add_count(b, "mean length", r->tokens / r->n_lengths);
        for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
            char name[32];
            snprintf(name, sizeof name, "%d %% are at most", shares[i]);
            size_t rank = (r->n_lengths * (size_t)shares[i] + 99) / 100;
            add_count(b, name, r->lengths[rank - 1]);
        }
        add_count(b, "longest", r->lengths[r->n_lengths - 1]);
    }
    if (write_line(r, &err))
        die("%s", err.msg);
}

/* What may surprise who looks at the model later. */
static void say_warnings(const struct run *r)
{
    uint64_t untrained = r->untrained + r->unusable;
    const char *left = !r->stream || !r->unusable ? ""
                       : r->kind == STREAM_TOKENS ? "; those without tokens are left out"
                                                  : " in an answer; they are left out";
    if (untrained && !opt.count)
        warn("%" PRIu64 " of %" PRIu64 " documents have no trained token%s", untrained,
             r->documents, left);
    if (r->passed_over)
        warn("%" PRIu64 " members of archives are no documents: passed over", r->passed_over);
    if (r->unusual_roles)
        warn("%" PRIu64 " documents have a role that is not system, user, assistant or tool, "
             "\"%.60s\" for instance: what it says is not learnt",
             r->unusual_roles, r->unusual_role);
    if (r->lost_calls)
        warn("%" PRIu64
             " messages call tools, which the chat template does not write: they are not "
             "learnt",
             r->lost_calls);
}

static void finish(struct run *r)
{
    struct err err;
    if (!r->documents)
        die("no input holds a document");
    if (opt.count)
        write_counts(r);
    say_warnings(r);
    if (writes_stream() && !r->trained)
        die("nothing to learn in any document");
    if (r->stream ? stream_writer_finish(r->stream, &err) : output_commit(r->out, &err))
        die("%s", err.msg);
    buf_release(&r->line);
    stream_record_release(&r->record);
    free(r->lengths);
    free(r->unusual_role);
}

/* ---- the two ways ---- */

static void tokenise_inputs(struct run *r, const struct chat *chat, char **files, size_t n)
{
    struct err err;
    struct input *in;
    enum document_format format = opt.text    ? DOCUMENT_FILE
                                  : opt.lines ? DOCUMENT_LINES
                                              : (enum document_format)opt.chat.format;
    struct pool *pool = pool_new(opt.threads, &err);
    if (!pool)
        die("%s", err.msg);
    struct tokeniser *t = tokeniser_new(chat, &opt.chat.parsed_fields, format, pool);
    for (size_t i = 0; i < (n ? n : 1); i++)
        if (input_open(&in, n ? files[i] : NULL, &err) || tokenise(t, in, take, r, &err))
            die("%s", err.msg);
    r->passed_over = tokeniser_passed_over(t);
    tokeniser_free(t);
    pool_free(pool);
}

static int take_text(void *arg, const char *id, const char *text, size_t len, struct err *err)
{
    struct run *r = arg;
    r->documents++;
    if (!opt.text && !opt.lines) {
        buf_addf(&r->line, "{\"id\":%s,\"text\":", id);
        json_add_string(&r->line, text, len);
        buf_addstr(&r->line, "}\n");
    } else {
        buf_add(&r->line, text, len);
        if (opt.lines)
            buf_addch(&r->line, '\n');
    }
    return write_line(r, err);
}

static void decode_inputs(struct run *r, char **files, size_t n)
{
    struct err err;
    struct input *in;
    for (size_t i = 0; i < (n ? n : 1); i++)
        if (input_open(&in, n ? files[i] : NULL, &err) ||
            token_text_decode(r->tokenizer, in, opt.no_specials, take_text, r, &err))
            die("%s", err.msg);
}

int main(int argc, char **argv)
{
    int first = program_start(&program, argc, argv);
    struct tokenizer *tokenizer;
    struct run r = {.line = BUF_INIT};
    struct err err;
    check_options();
    program_sandbox(argv + first, false);
    if (tokenizer_load(&tokenizer, opt.model, &err))
        die("%s", err.msg);
    r.tokenizer = tokenizer;
    stream_record_init(&r.record);
    struct chat_options o = {.allow_special = opt.allow_special, .no_specials = opt.no_specials};
    struct chat *chat;
    if (chat_args_chat(&chat, &opt.chat, tokenizer, o, &err))
        die("%s", err.msg);
    r.chat = chat;
    if (!writes_stream())
        open_output(&r);
    if (opt.decode)
        decode_inputs(&r, argv + first, (size_t)(argc - first));
    else
        tokenise_inputs(&r, chat, argv + first, (size_t)(argc - first));
    finish(&r);
    chat_free(chat);
    chat_args_release(&opt.chat);
    tokenizer_free(tokenizer);
    return 0;
}
