/* ft-text: documents of many formats to JSON Lines. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/progress.h"
#include "formats/archive.h"
#include "formats/json.h"
#include "text/harvest.h"
#include "text/markdown.h"
#include "text/sections.h"

static struct {
    struct harvest_options harvest;
    const char *output;
    bool pairs, parents, quiet;
    size_t sample;
    uint64_t seed;
    int each, progress;
} options = {.harvest = {.max_size = (size_t)256 << 20, .max_ratio = 200}};

static const char *const each_choices[] = {"file", "line", NULL};

static const struct option_spec specs[] = {
    {OPT_STRING, 'o', "output", &options.output, "FILE",
     "write to FILE, compressed by its suffix [stdout]", NULL, 0, 0},
    {OPT_LIST, 0, "include", &options.harvest.include, "GLOB",
     "only files whose path matches; repeatable", NULL, 0, 0},
    {OPT_LIST, 0, "exclude", &options.harvest.exclude, "GLOB",
     "no files, folders or archives whose path matches; repeatable", NULL, 0, 0},
    {OPT_CHOICE, 0, "each", &options.each, NULL, "what a document is in text files [file]",
     each_choices, 0, 0},
    {OPT_FLAG, 0, "pairs", &options.pairs, NULL,
     "a prompt (heading) and completion (text) for each section", NULL, 0, 0},
    {OPT_FLAG, 0, "parents", &options.parents, NULL,
     "with --pairs: prompts name the headings above, too", NULL, 0, 0},
    {OPT_SIZE, 0, "sample", &options.sample, "N", "only N documents, chosen at random", NULL, 1,
     1e12},
    {OPT_U64, 0, "seed", &options.seed, "N", "for --sample [0]", NULL, 0, 0},
    {OPT_HEADING, 0, "Limits and messages", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_FLAG, 0, "strict", &options.harvest.strict, NULL,
     "end at the first file or member that can't be read", NULL, 0, 0},
    {OPT_SIZE, 0, "max-size", &options.harvest.max_size, "BYTES",
     "skip larger files and members [256M]", NULL, 1, 1e12},
    {OPT_SIZE, 0, "max-ratio", &options.harvest.max_ratio, "N",
     "give up archives that expand to more than N times their size [200]", NULL, 1, 1e9},
    {OPT_FLAG, 'q', "quiet", &options.quiet, NULL, "no summary on stderr", NULL, 0, 0},
    {OPT_CHOICE, 0, "progress", &options.progress, NULL, "show progress [auto: on a terminal]",
     progress_choices, 0, 0},
};

static const struct program program = {
    .name = "ft-text",
    .synopsis = "[OPTION]... [PATH]...",
    .purpose = "Writes the text of files, folders and archives as JSON Lines, one document a line.",
    .notes =
        "Reads txt, md, html, pdf, docx, pptx, xlsx, odt, odp, ods, epub, rtf, mail, source code "
        "and JSON Lines\n"
        "of documents, also in zip, tar, 7z and other archives and compressed. Without PATH, or "
        "where it is -,\n"
        "reads standard input.\n",
    .options = specs,
    .n_options = ARRAY_SIZE(specs),
};

/* A line that --sample has chosen so far. */
struct chosen {
    uint64_t key;   /* the smallest stay */
    uint64_t index; /* its place in the output */
    struct buf line;
};

struct writer {
    struct output *out;
    struct progress progress;
    struct chosen *heap; /* the largest key on top */
    size_t n_heap, heap_cap;
    struct buf line;
    uint64_t lines, bytes; /* given, and the text in them */
    uint64_t reports;
    struct harvest *harvest;
};

static bool is_after(const struct chosen *a, const struct chosen *b)
{
    return a->key != b->key ? a->key > b->key : a->index > b->index;
}

static void swap(struct chosen *a, struct chosen *b)
{
    struct chosen c = *a;
    *a = *b;
    *b = c;
}

static void sift_down(struct chosen *heap, size_t n)
{
    for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_after(&heap[child + 1], &heap[child]))
            child++;
        if (!is_after(&heap[child], &heap[i]))
            break;
        swap(&heap[child], &heap[i]);
    }
}

/* The N lines with the smallest keyed hashes are a random sample that changes little when a
 * document comes or goes. */
static void sample_line(struct writer *w)
{
    struct chosen line = {hash64(w->line.p, w->line.len, options.seed), w->lines, BUF_INIT};
    if (w->n_heap == options.sample) {
        if (!is_after(&w->heap[0], &line))
            return;
        buf_release(&w->heap[0].line);
        w->heap[0] = line;
        buf_add(&w->heap[0].line, w->line.p, w->line.len);
        sift_down(w->heap, w->n_heap);
        return;
    }
    ARRAY_GROW(w->heap, w->n_heap, w->heap_cap);
    size_t i = w->n_heap++;
    w->heap[i] = line;
    buf_add(&w->heap[i].line, w->line.p, w->line.len);
    for (; i && is_after(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&w->heap[i], &w->heap[(i - 1) / 2]);
}

static int write_line(struct writer *w, size_t text_bytes, struct err *err)
{
    buf_addch(&w->line, '\n');
    int status = 0;
    if (options.sample)
        sample_line(w);
    else
        status = output_write(w->out, w->line.p, w->line.len, err);
    w->lines++;
    w->bytes += text_bytes;
    return status;
}

static void begin_line(struct writer *w, const char *id, size_t part, const char *source)
{
    struct buf numbered = BUF_INIT;
    buf_addstr(&numbered, id);
    if (part)
        buf_addf(&numbered, ":%zu", part);
    buf_clear(&w->line);
    buf_addstr(&w->line, "{\"id\":");
    json_add_string(&w->line, numbered.p, numbered.len);
    buf_addstr(&w->line, ",\"source\":");
    json_add_string(&w->line, source, strlen(source));
    buf_release(&numbered);
}

static int write_pairs(struct writer *w, const char *id, const char *source,
                       const struct prose_text *text, struct err *err)
{
    struct section section = {.prompt = BUF_INIT};
    size_t at = 0, part = 0;
    int status = 0;
    while (!status && section_next(text, &at, options.parents, &section)) {
        begin_line(w, id, ++part, source);
        buf_addstr(&w->line, ",\"prompt\":");
        json_add_string(&w->line, section.prompt.p, section.prompt.len);
        buf_addstr(&w->line, ",\"completion\":");
        json_add_string(&w->line, section.completion, section.completion_len);
        buf_addch(&w->line, '}');
        status = write_line(w, section.prompt.len + section.completion_len, err);
    }
    buf_release(&section.prompt);
    if (!part)
        harvest_count(w->harvest, "without sections");
    return status;
}

static int write_text(struct writer *w, const char *id, const char *source,
                      const struct prose_text *text, struct err *err)
{
    begin_line(w, id, 0, source);
    buf_addstr(&w->line, ",\"text\":");
    json_add_string(&w->line, text->text.p, text->text.len);
    buf_addch(&w->line, '}');
    return write_line(w, text->text.len, err);
}

/* A document that was JSON before passes through; with --pairs its text counts as Markdown. */
static int write_record(struct writer *w, const struct harvest_document *document, struct err *err)
{
    const json_t *text = json_object_get(document->record, "text");
    const char *id = json_string_value(json_object_get(document->record, "id"));
    const char *source = json_string_value(json_object_get(document->record, "source"));
    size_t len = json_is_string(text) ? json_string_length(text) : 0;
    if (options.pairs && json_is_string(text)) {
        struct prose_text prose;
        prose_text_init(&prose);
        buf_add(&prose.text, json_string_value(text), len);
        markdown_find_headings(&prose);
        int status = write_pairs(w, id ? id : "", source ? source : document->source, &prose, err);
        prose_text_release(&prose);
        return status;
    }
    buf_clear(&w->line);
    json_add(&w->line, document->record);
    return write_line(w, len, err);
}

static int on_document(void *arg, const struct harvest_document *document, struct err *err)
{
    struct writer *w = arg;
    progress_draw(&w->progress, "%" PRIu64 " documents, %" PRIu64 " bytes", w->lines, w->bytes);
    if (document->record)
        return write_record(w, document, err);
    if (options.pairs)
        return write_pairs(w, document->id, document->source, document->text, err);
    return write_text(w, document->id, document->source, document->text, err);
}

static void on_report(void *arg, const char *message)
{
    enum { MOST = 100 };
    struct writer *w = arg;
    if (++w->reports > MOST + 1)
        return;
    progress_clear(&w->progress);
    if (w->reports <= MOST)
        warn("%s", message);
    else
        warn("more messages like these are left out; the summary counts them");
}

static int by_index(const void *a, const void *b)
{
    const struct chosen *x = a, *y = b;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int write_sample(struct writer *w, struct err *err)
{
    if (!w->n_heap)
        return 0;
    qsort(w->heap, w->n_heap, sizeof *w->heap, by_index);
    for (size_t i = 0; i < w->n_heap; i++)
        if (output_write(w->out, w->heap[i].line.p, w->heap[i].line.len, err))
            return -1;
    return 0;
}

static void summarize(const struct writer *w)
{
    const struct harvest_result *r = harvest_result(w->harvest);
    struct buf line = BUF_INIT;
    buf_addf(&line, "%" PRIu64 " %s, %" PRIu64 " bytes of text", w->lines,
             options.pairs   ? "pairs"
             : w->lines == 1 ? "document"
                             : "documents",
             w->bytes);
    if (options.sample)
        buf_addf(&line, ", %zu of them written", w->n_heap);
    if (r->guessed)
        buf_addf(&line, ", %" PRIu64 " not in UTF-8", r->guessed);
    for (size_t i = 0; i < r->n_skipped; i++)
        buf_addf(&line, "%s%" PRIu64 " %s", i ? ", " : "; skipped: ", r->skipped[i].n,
                 r->skipped[i].what);
    warn("%s", line.p);
    buf_release(&line);
}

/* A mistyped path ends it before anything is written. */
static void check_operands(char **paths, int n)
{
    struct stat st;
    for (int i = 0; i < n; i++)
        if (strcmp(paths[i], "-") != 0 && stat(paths[i], &st))
            die("%s: %s", paths[i], strerror(errno));
}

/* What is written, and what it will replace, may lie in a folder that is read. */
static void note_outputs(const struct output *out)
{
    struct harvest_options *h = &options.harvest;
    struct stat st;
    if (fstat(output_fd(out), &st) == 0)
        h->outputs[h->n_outputs++] = (struct harvest_file){st.st_dev, st.st_ino};
    if (options.output && stat(options.output, &st) == 0)
        h->outputs[h->n_outputs++] = (struct harvest_file){st.st_dev, st.st_ino};
}

static void text(char **paths, int n, struct writer *w)
{
    struct err err;
    for (int i = 0; i < n; i++)
        if (harvest_read(w->harvest, paths[i], &err)) {
            progress_clear(&w->progress);
            die("%s", err.msg);
        }
    progress_clear(&w->progress);
    if (write_sample(w, &err))
        die("%s", err.msg);
    if (!options.quiet || !w->lines)
        summarize(w);
}

int main(int argc, char **argv)
{
    static char *standard_input[] = {(char *)(uintptr_t) "-"};
    int first = program_start(&program, argc, argv);
    char **paths = first < argc ? argv + first : standard_input;
    int n = first < argc ? argc - first : 1;
    struct writer w = {.line = BUF_INIT};
    struct harvest_sink sink = {on_document, on_report, NULL, &w};
    struct err err;

    if (options.parents && !options.pairs)
        usage_error("--parents goes with --pairs");
    options.harvest.each_line = options.each == 1;
    check_operands(paths, n);
    if (output_open(&w.out, options.output, &err))
        die("%s", err.msg);
    note_outputs(w.out);
    progress_init(&w.progress, (enum progress_when)options.progress);
    w.harvest = harvest_new(&options.harvest, &sink);
    text(paths, n, &w);
    if (!w.lines)
        die("no documents found");
    if (harvest_result(w.harvest)->operand_failed)
        die("not all of the input could be read%s%s",
            options.output ? "; nothing is written to " : "", options.output ? options.output : "");
    if (output_commit(w.out, &err))
        die("%s", err.msg);
    harvest_free(w.harvest);
    for (size_t i = 0; i < w.n_heap; i++)
        buf_release(&w.heap[i].line);
    free(w.heap);
    buf_release(&w.line);
    return 0;
}
