/* ft-pack: tokenised documents, shuffled, split and packed into rows for training. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/program.h"
#include "formats/archive.h"
#include "formats/corpus.h"
#include "formats/pack.h"
#include "formats/stream.h"
#include "text/origin.h"

static struct {
    const char *model, *output;
    size_t length;
    uint64_t seed;
    int overlong;
    bool shuffle, pack, dedup;
    struct string_list splits;
} opt = {.length = 512, .shuffle = true, .pack = true, .overlong = -1};

static const char *const overlong_choices[] = {"split", "truncate", "drop", "error", NULL};

static const struct option_spec options[] = {
    {OPT_STRING, 'm', "model", &opt.model, "MODEL", "model that JSON Lines of ids are for", NULL, 0,
     0},
    {OPT_STRING, 'o', "output", &opt.output, "FILE", "shard to write [stdout]", NULL, 0, 0},
    {OPT_SIZE, 0, "length", &opt.length, "N", "tokens in a row at most [512]", NULL, 2,
     PACK_MAX_LENGTH},
    {OPT_CHOICE, 0, "overlong", &opt.overlong, NULL,
     "what to do with longer documents [split; preferences: drop]", overlong_choices, 0, 0},
    {OPT_LIST, 0, "split", &opt.splits, "NAME=SHARE[:FILE]",
     "put a share of the documents into another shard", NULL, 0, 0},
    {OPT_FLAG, 0, "dedup", &opt.dedup, NULL, "keep only the first of documents with equal tokens",
     NULL, 0, 0},
    {OPT_U64, 0, "seed", &opt.seed, "N", "of the shuffle [0]", NULL, 0, 0},
    {OPT_NOFLAG, 0, "no-shuffle", &opt.shuffle, NULL, "keep the order of the input", NULL, 0, 0},
    {OPT_NOFLAG, 0, "no-pack", &opt.pack, NULL, "one document a row", NULL, 0, 0},
};

static const struct program program = {
    .name = "ft-pack",
    .synopsis = "[OPTION]... [FILE]...",
    .purpose = "Packs token streams, or JSON Lines of ids, into a shard for ft-train and ft-eval.",
    .notes = "Examples:\n"
             "  ft-tok -m base docs.jsonl | ft-pack --length 512 --seed 1 -o all.ft\n"
             "  ft-pack --split held=0.05 -o all.ft tokens.ft     # also all.held.ft\n"
             "  ft-pack -m base --length 128 ids.jsonl -o all.ft\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

/* One output: the documents whose split position is in [from, to). The last one gets the rest. */
struct side {
    char *name, *path; /* path NULL: stdout */
    double from, to;
    uint32_t *documents;
    size_t n, cap;
    struct pack_piece *pieces;
    size_t n_pieces;
    struct pack_counts counts;
    struct stream_writer *writer;
    struct stream_totals totals;
};

/* ---- sides ---- */

static bool to_stdout(const char *path)
{
    return !path || !strcmp(path, "-");
}

/* all.ft.zst and held: all.held.ft.zst. */
static char *name_beside(const char *path, const char *name)
{
    static const char *const compressions[] = {".gz", ".bz2", ".xz", ".zst", ".lz4"};
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *end = strchr(path, 0), *dot;
    for (size_t i = 0; i < ARRAY_SIZE(compressions); i++) {
        size_t len = strlen(compressions[i]);
        if ((size_t)(end - base) > len && !strcmp(end - len, compressions[i])) {
            end -= len;
            break;
        }
    }
    dot = memrchr(base, '.', (size_t)(end - base));
    if (!dot || dot == base)
        dot = end;
    struct buf b = BUF_INIT;
    buf_add(&b, path, (size_t)(dot - path));
    buf_addf(&b, ".%s%s", name, dot);
    return buf_detach(&b, NULL);
}

/* NAME=SHARE[:FILE] */
static struct side parse_split(const char *text)
{
    const char *equals = strchr(text, '='), *colon = equals ? strchr(equals, ':') : NULL;
    char *end = NULL;
    double share = equals ? strtod(equals + 1, &end) : 0;
    if (!equals || equals == text || end == equals + 1 || (*end && end != colon) ||
        !(share > 0 && share < 1) || (colon && !colon[1]))
        usage_error("--split: '%s' is not NAME=SHARE or NAME=SHARE:FILE with 0 < SHARE < 1", text);
    struct side side = {.name = xmemdup0(text, (size_t)(equals - text)), .to = share};
    if (strchr(side.name, '/'))
        usage_error("--split: the name '%s' has a slash", side.name);
    if (!colon && to_stdout(opt.output))
        usage_error("--split %s needs a file when the output is stdout: --split %s:FILE", text,
                    text);
    side.path = colon ? xstrdup(colon + 1) : name_beside(opt.output, side.name);
    return side;
}

/* The splits in the order given, then what is left. */
static struct side *make_sides(size_t *n)
{
    struct side *sides = xcalloc(opt.splits.n + 1, sizeof *sides);
    double at = 0;
    for (size_t i = 0; i < opt.splits.n; i++) {
        sides[i] = parse_split(opt.splits.items[i]);
        sides[i].from = at;
        at = sides[i].to += at;
    }
    if (at >= 1)
        usage_error("--split: the shares add up to %g, nothing is left", at);
    *n = opt.splits.n + 1;
    sides[*n - 1] = (struct side){
        .path = to_stdout(opt.output) ? NULL : xstrdup(opt.output), .from = at, .to = 1};
    for (size_t i = 0; i < *n; i++)
        for (size_t j = 0; j < i; j++)
            if (to_stdout(sides[i].path)
                    ? to_stdout(sides[j].path)
                    : !to_stdout(sides[j].path) && !strcmp(sides[i].path, sides[j].path))
                usage_error("two outputs are %s", sides[i].path ? sides[i].path : "stdout");
    return sides;
}

/* ---- in ---- */

static void read_inputs(struct corpus *c, char **files, size_t n)
{
    struct err err;
    if (opt.model) {
        struct stream_header h;
        stream_header_init(&h);
        int status = origin_of_model(&h, opt.model, NULL, &err);
        if (status < 0)
            die("%s", err.msg);
        if (status > 0)
            warn("%s; the ids are taken to be the model's all the same", err.msg);
        corpus_expect(c, &h);
        stream_header_release(&h);
    }
    for (size_t i = 0; i < (n ? n : 1); i++) {
        struct input *in;
        if (input_open(&in, n ? files[i] : NULL, &err) || corpus_read(c, in, &err))
            die("%s", err.msg);
    }
    if (!c->known)
        die("no input holds a document");
}

/* Documents with something to learn, of preferences the chosen ones; repeated ones left out on
 * request. Says what is left out. */
static uint32_t *select_documents(const struct corpus *c, size_t *n)
{
    uint32_t *documents = xreallocarray(NULL, c->n_documents + 1, sizeof *documents);
    size_t group = stream_kind_group(c->header.kind);
    *n = 0;
    for (size_t i = 0; i < c->n_documents; i += group)
        if (c->documents[i].n_trained)
            documents[(*n)++] = (uint32_t)i;
    uint64_t all = c->empty + c->n_documents / group, untrained = all - *n;
    if (!*n)
        die("none of %" PRIu64 " documents has a trained token", untrained);
    if (untrained)
        warn("%" PRIu64 " of %" PRIu64 " documents without a trained token: left out", untrained,
             all);
    if (opt.dedup) {
        size_t kept = pack_drop_repeated(c, documents, *n);
        if (kept < *n)
            warn("%zu of %zu documents repeat another's tokens: left out", *n - kept, *n);
        *n = kept;
    }
    return documents;
}

/* ---- out ---- */

/* The options that make a difference and the input's hash: nothing of how they were given. */
static char *provenance_line(const struct corpus *c)
{
    struct buf b = BUF_INIT;
    char hex[HASH_HEX];
    hash_hex(c->hash, hex);
    buf_addf(&b, "%s %s --length=%zu --overlong=%s", program.name, TUNEUTILS_VERSION, opt.length,
             overlong_choices[opt.overlong]);
    if (opt.shuffle)
        buf_addf(&b, " --seed=%" PRIu64, opt.seed);
    else
        buf_addstr(&b, " --no-shuffle");
    if (!opt.pack)
        buf_addstr(&b, " --no-pack");
    if (opt.dedup)
        buf_addstr(&b, " --dedup");
    for (size_t i = 0; i < opt.splits.n; i++) {
        const char *text = opt.splits.items[i], *colon = strchr(strchr(text, '='), ':');
        buf_addf(&b, " --split=%.*s", colon ? (int)(colon - text) : (int)strlen(text), text);
    }
    buf_addf(&b, " input=%s", hex);
    return buf_detach(&b, NULL);
}

static void say_overlong(const struct pack_counts *k, size_t n_documents)
{
    struct buf b = BUF_INIT;
    if (!k->overlong)
        return;
    buf_addf(&b, "%" PRIu64 " of %zu documents longer than %zu tokens: ", k->overlong, n_documents,
             opt.length);
    if (opt.overlong == OVERLONG_SPLIT) {
        buf_addf(&b, "split into %" PRIu64 " parts", k->parts);
        if (k->lost)
            buf_addf(&b, ", %" PRIu64 " tokens in parts without a trained one left out", k->lost);
    } else {
        buf_addf(&b, "%s, %" PRIu64 " of their %" PRIu64 " tokens (%" PRIu64 " trained) left out",
                 opt.overlong == OVERLONG_DROP ? "dropped" : "truncated", k->lost,
                 k->overlong_tokens, k->lost_trained);
    }
    warn("%s", b.p);
    buf_release(&b);
}

static void say_totals(const struct side *s, enum stream_kind kind)
{
    const struct stream_totals *t = &s->totals;
    double rows = (double)t->records * (double)opt.length;
    if (kind != STREAM_TOKENS) {
        warn("%s%s%" PRIu64 " %s%s, %" PRIu64 " tokens, %" PRIu64 " of them in completions",
             s->name ? s->name : "", s->name ? ": " : "", t->records,
             kind == STREAM_LABEL ? "labelled completion" : "preference",
             t->records == 1 ? "" : "s", t->tokens, t->trained);
        return;
    }
    warn("%s%s%" PRIu64 " document%s, %" PRIu64 " tokens, %.1f%% trained, in %" PRIu64
         " row%s of %zu, %.1f%% full",
         s->name ? s->name : "", s->name ? ": " : "", t->documents, t->documents == 1 ? "" : "s",
         t->tokens, t->tokens ? 100 * (double)t->trained / (double)t->tokens : 0, t->records,
         t->records == 1 ? "" : "s", opt.length, rows > 0 ? 100 * (double)t->tokens / rows : 0);
}

static void write_side(struct side *s, const struct corpus *c, const struct stream_header *h,
                       const struct pack_options *how)
{
    struct err err;
    if (stream_writer_open(&s->writer, s->path, h, &err) ||
        pack_write(c, s->pieces, s->n_pieces, how, s->writer, &err))
        die("%s", err.msg);
    s->totals = stream_writer_totals(s->writer);
}

/* Which side each document is on, and its pieces; everything that can be refused is refused here.
 */
static void cut_sides(struct side *sides, size_t n_sides, const struct corpus *c,
                      const struct pack_options *how)
{
    size_t n, n_pieces = 0;
    struct pack_counts sum = {0};
    struct err err;
    uint32_t *documents = select_documents(c, &n);
    for (size_t i = 0; i < n; i++) {
        double at = pack_split_position(c, documents[i]);
        struct side *s = sides;
        while (at >= s->to && s < sides + n_sides - 1)
            s++;
        ARRAY_GROW(s->documents, s->n, s->cap);
        s->documents[s->n++] = documents[i];
    }
    free(documents);
    for (struct side *s = sides; s < sides + n_sides; s++) {
        if (pack_cut(c, s->documents, s->n, how, &s->pieces, &s->n_pieces, &s->counts, &err))
            die("%s", err.msg);
        n_pieces += s->n_pieces;
        sum.overlong += s->counts.overlong;
        sum.overlong_tokens += s->counts.overlong_tokens;
        sum.parts += s->counts.parts;
        sum.lost += s->counts.lost;
        sum.lost_trained += s->counts.lost_trained;
    }
    say_overlong(&sum, n * stream_kind_group(c->header.kind));
    if (!n_pieces)
        die("no document with a trained token is left");
}

static void pack(struct corpus *c, struct side *sides, size_t n_sides)
{
    bool whole = c->header.kind != STREAM_TOKENS; /* what preferences are learnt from */
    if (whole && opt.overlong == OVERLONG_SPLIT)
        usage_error("--overlong split is for documents: preferences and labelled completions are "
                    "compared as a whole");
    if (opt.overlong < 0)
        opt.overlong = whole ? OVERLONG_DROP : OVERLONG_SPLIT;
    struct pack_options how = {.length = (uint32_t)opt.length,
                               .seed = opt.seed,
                               .shuffle = opt.shuffle,
                               .one_per_row = !opt.pack,
                               .overlong = (enum pack_overlong)opt.overlong};
    struct stream_header h;
    cut_sides(sides, n_sides, c, &how);
    stream_header_copy(&h, &c->header);
    h.kind = whole ? c->header.kind : STREAM_SHARD;
    h.length = how.length;
    char *line = provenance_line(c);
    stream_header_add_provenance(&h, line);
    free(line);
    for (size_t i = 0; i < n_sides; i++)
        write_side(&sides[i], c, &h, &how);
    stream_header_release(&h);
}

static void finish(struct side *sides, size_t n_sides, enum stream_kind kind)
{
    struct err err;
    for (size_t i = 0; i < n_sides; i++) {
        if (stream_writer_finish(sides[i].writer, &err))
            die("%s", err.msg);
        say_totals(&sides[i], kind);
        if (!sides[i].n_pieces)
            warn("%s has no documents", sides[i].path ? sides[i].path : "stdout");
        free(sides[i].name);
        free(sides[i].path);
        free(sides[i].documents);
        free(sides[i].pieces);
    }
    free(sides);
}

int main(int argc, char **argv)
{
    int first = program_start(&program, argc, argv);
    struct corpus corpus;
    size_t n_sides;
    if (to_stdout(opt.output) && isatty(STDOUT_FILENO))
        usage_error("a shard is nothing to read on a terminal; give -o FILE or a pipe");
    program_sandbox(argv + first, false);
    struct side *sides = make_sides(&n_sides);
    corpus_init(&corpus);
    read_inputs(&corpus, argv + first, (size_t)(argc - first));
    pack(&corpus, sides, n_sides);
    finish(sides, n_sides, corpus.header.kind);
    corpus_release(&corpus);
    return 0;
}
