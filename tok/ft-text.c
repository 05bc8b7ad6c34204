/* ft-text: documents of many formats to JSON Lines. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/program.h"
#include "base/progress.h"
#include "formats/archive.h"
#include "formats/json.h"
#include "text/document_lines.h"
#include "text/harvest.h"
#include "text/line_sample.h"
#include "text/repeated.h"
#include "text/spool.h"

static struct {
    struct harvest_options harvest;
    const char *output;
    struct lines_options lines;
    const char *log;
    bool quiet, show_repeated;
    double share; /* of --strip-repeated; 0: it isn't given */
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
    {OPT_FLAG, 0, "pairs", &options.lines.pairs, NULL,
     "a prompt (heading) and completion (text) for each section", NULL, 0, 0},
    {OPT_FLAG, 0, "parents", &options.lines.parents, NULL,
     "with --pairs: prompts name the headings above, too", NULL, 0, 0},
    {OPT_SIZE, 0, "chunk", &options.lines.chunk, "LENGTH",
     "parts of at most LENGTH characters, by headings, then paragraphs", NULL, 1, 1e12},
    {OPT_DOUBLE, 0, "strip-repeated", &options.share, "SHARE",
     "without paragraphs that SHARE of the documents have (0.1), and at least 3", NULL, 1e-9, 1},
    {OPT_FLAG, 0, "show-repeated", &options.show_repeated, NULL,
     "with --strip-repeated: write those paragraphs instead", NULL, 0, 0},
    {OPT_SIZE, 0, "sample", &options.sample, "N", "only N documents, chosen at random", NULL, 1,
     1e12},
    {OPT_U64, 0, "seed", &options.seed, "N", "for --sample [0]", NULL, 0, 0},
    {OPT_STRING, 0, "encoding", &options.harvest.encoding, "NAME",
     "of text that neither says it nor is UTF-8 [guessed]", NULL, 0, 0},
    {OPT_HEADING, 0, "Limits and messages", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_FLAG, 0, "strict", &options.harvest.strict, NULL,
     "end at the first file or member that can't be read", NULL, 0, 0},
    {OPT_SIZE, 0, "max-size", &options.harvest.max_size, "BYTES",
     "skip larger files and members [256M]", NULL, 1, 1e12},
    {OPT_SIZE, 0, "max-ratio", &options.harvest.max_ratio, "N",
     "give up archives that expand to more than N times their size [200]", NULL, 1, 1e9},
    {OPT_STRING, 0, "log", &options.log, "FILE",
     "write what became of each file to FILE, as JSON Lines", NULL, 0, 0},
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

struct writer {
    struct output *out, *log;
    struct progress progress;
    struct document_lines to_lines;
    struct line_sample sample;
    struct spool *spool; /* with --strip-repeated: what waits until everything has been seen */
    struct repeated *repeated;
    struct buf log_line;
    uint64_t lines, bytes; /* given, and the text in them */
    uint64_t reports;
    struct harvest *harvest;
};

static int on_line(void *arg, const struct buf *line, size_t text_bytes, struct err *err)
{
    struct writer *w = arg;
    w->lines++;
    w->bytes += text_bytes;
    if (!options.sample)
        return output_write(w->out, line->p, line->len, err);
    line_sample_add(&w->sample, line);
    return 0;
}

static int write_document(struct writer *w, const struct harvest_document *document,
                          struct err *err)
{
    ssize_t n = document_lines_write(&w->to_lines, document, err);
    if (n == 0)
        harvest_count(w->harvest, "without sections");
    return n < 0 ? -1 : 0;
}

static int on_document(void *arg, const struct harvest_document *document, struct err *err)
{
    struct writer *w = arg;
    progress_draw(&w->progress, "%" PRIu64 " documents, %" PRIu64 " bytes", w->lines, w->bytes);
    if (!w->spool)
        return write_document(w, document, err);
    if (document->text)
        repeated_count(w->repeated, document->text);
    return spool_add(w->spool, document, err);
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

/* A line of JSON for each file, whatever became of it. */
static void on_log(void *arg, const struct harvest_log *entry)
{
    struct writer *w = arg;
    struct buf *line = &w->log_line;
    struct err err;
    const char *const fields[][2] = {{"{\"id\":", entry->id},
                                     {",\"type\":", entry->type},
                                     {",\"encoding\":", entry->encoding},
                                     {",\"skipped\":", entry->skipped},
                                     {",\"error\":", entry->error}};
    buf_clear(line);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i][1]) {
            buf_addstr(line, fields[i][0]);
            json_add_string(line, fields[i][1], strlen(fields[i][1]));
        }
    if (entry->guessed)
        buf_addstr(line, ",\"guessed\":true");
    buf_addstr(line, "}\n");
    if (output_write(w->log, line->p, line->len, &err))
        die("%s", err.msg);
}

static int write_sample(struct writer *w, struct err *err)
{
    line_sample_sort(&w->sample);
    for (size_t i = 0; i < w->sample.n; i++)
        if (output_write(w->out, w->sample.lines[i].line.p, w->sample.lines[i].line.len, err))
            return -1;
    return 0;
}

/* The second look: without what came back too often. */
static int write_stripped(struct writer *w, struct err *err)
{
    struct harvest_document document;
    struct prose_text *text;
    int got, status = 0;
    repeated_decide(w->repeated, options.share);
    if (spool_rewind(w->spool, err))
        return -1;
    while (!status && (got = spool_next(w->spool, &document, &text, err)) != 0) {
        if (got < 0)
            return -1;
        if (text)
            repeated_strip(w->repeated, text);
        if (text && !text->text.len)
            harvest_count(w->harvest, "nothing but repeated text");
        else if (!options.show_repeated)
            status = write_document(w, &document, err);
    }
    return status;
}

static int write_repeated(struct writer *w, struct err *err)
{
    size_t n;
    const struct repeated_text *texts = repeated_texts(w->repeated, &n);
    struct buf line = BUF_INIT;
    int status = 0;
    for (size_t i = 0; i < n && !status; i++) {
        buf_clear(&line);
        buf_addf(&line,
                 "{\"documents\":%" PRIu64 ",\"of\":%" PRIu64 ",\"times\":%" PRIu64 ",\"text\":",
                 texts[i].documents, repeated_documents(w->repeated), texts[i].times);
        json_add_string(&line, texts[i].text.p, texts[i].text.len);
        buf_addstr(&line, "}\n");
        status = output_write(w->out, line.p, line.len, err);
    }
    buf_release(&line);
    return status;
}

static void add_stripped(struct buf *line, const struct writer *w)
{
    size_t n;
    const struct repeated_text *texts = repeated_texts(w->repeated, &n);
    uint64_t times = 0, bytes = 0;
    for (size_t i = 0; i < n; i++) {
        times += texts[i].times;
        bytes += texts[i].bytes;
    }
    buf_addf(line, "; %s %zu repeated paragraph%s %" PRIu64 " times, %" PRIu64 " bytes",
             options.show_repeated ? "would strip" : "stripped", n, n == 1 ? "" : "s", times,
             bytes);
}

static void summarize(const struct writer *w)
{
    const struct harvest_result *r = harvest_result(w->harvest);
    struct buf line = BUF_INIT;
    const char *what = options.lines.pairs ? "pairs" : options.lines.chunk ? "parts" : "documents";
    if (options.show_repeated)
        buf_addf(&line, "%" PRIu64 " documents", r->documents);
    else
        buf_addf(&line, "%" PRIu64 " %.*s, %" PRIu64 " bytes of text", w->lines,
                 (int)strlen(what) - (w->lines == 1), what, w->bytes);
    if (options.sample)
        buf_addf(&line, ", %zu of them written", w->sample.n);
    if (r->guessed)
        buf_addf(&line, ", %" PRIu64 " not in UTF-8", r->guessed);
    for (size_t i = 0; i < r->n_skipped; i++)
        buf_addf(&line, "%s%" PRIu64 " %s", i ? ", " : "; skipped: ", r->skipped[i].n,
                 r->skipped[i].what);
    if (w->repeated)
        add_stripped(&line, w);
    warn("%s", line.p);
    buf_release(&line);
}

static void check_options(void)
{
    if (options.lines.parents && !options.lines.pairs)
        usage_error("--parents goes with --pairs");
    if (options.lines.chunk && options.lines.pairs)
        usage_error("--chunk and --pairs are two ways to cut documents: take one");
    if (options.show_repeated && options.share == 0)
        usage_error("--show-repeated goes with --strip-repeated");
    if (options.show_repeated && (options.lines.pairs || options.lines.chunk || options.sample))
        usage_error("--show-repeated writes no documents: it doesn't go with --pairs, --chunk or "
                    "--sample");
    if (options.harvest.encoding && !encoding_is_known(options.harvest.encoding))
        usage_error("--encoding: '%s' is none that iconv knows", options.harvest.encoding);
    options.harvest.each_line = options.each == 1;
    if (options.harvest.each_line && options.share != 0)
        usage_error("--strip-repeated looks at whole documents: it doesn't go with --each=line");
}

/* A mistyped path ends it before anything is written. */
static void check_operands(char **paths, int n)
{
    struct stat st;
    for (int i = 0; i < n; i++)
        if (strcmp(paths[i], "-") != 0 && stat(paths[i], &st))
            die("%s: %s", paths[i], strerror(errno));
}

static void note_file(const struct output *out, const char *path)
{
    struct harvest_options *h = &options.harvest;
    struct stat st;
    if (fstat(output_fd(out), &st) == 0)
        h->outputs[h->n_outputs++] = (struct harvest_file){st.st_dev, st.st_ino};
    if (path && stat(path, &st) == 0)
        h->outputs[h->n_outputs++] = (struct harvest_file){st.st_dev, st.st_ino};
}

static void open_outputs(struct writer *w)
{
    struct err err;
    if (output_open(&w->out, options.output, &err))
        die("%s", err.msg);
    if (options.log && output_open(&w->log, options.log, &err))
        die("%s", err.msg);
    if (options.share != 0) {
        w->repeated = repeated_new();
        if (spool_new(&w->spool, &err))
            die("%s", err.msg);
    }
    /* What is written, and what it will replace, may lie in a folder that is read. */
    note_file(w->out, options.output);
    if (w->log)
        note_file(w->log, options.log);
}

static int write_rest(struct writer *w, struct err *err)
{
    if (w->spool && write_stripped(w, err))
        return -1;
    if (options.show_repeated && write_repeated(w, err))
        return -1;
    return options.sample ? write_sample(w, err) : 0;
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
    if (write_rest(w, &err))
        die("%s", err.msg);
    if (!options.quiet || !w->lines)
        summarize(w);
}

static void release(struct writer *w)
{
    harvest_free(w->harvest);
    document_lines_release(&w->to_lines);
    line_sample_release(&w->sample);
    spool_free(w->spool);
    repeated_free(w->repeated);
    buf_release(&w->log_line);
}

int main(int argc, char **argv)
{
    static char *standard_input[] = {(char *)(uintptr_t) "-"};
    int first = program_start(&program, argc, argv);
    char **paths = first < argc ? argv + first : standard_input;
    int n = first < argc ? argc - first : 1;
    struct writer w = {.log_line = BUF_INIT};
    struct harvest_sink sink = {on_document, on_report, options.log ? on_log : NULL, &w};
    struct err err;

    check_options();
    program_sandbox(argv + first, true); /* pdftotext */
    check_operands(paths, n);
    open_outputs(&w);
    document_lines_init(&w.to_lines, &options.lines, on_line, &w);
    line_sample_init(&w.sample, options.sample, options.seed);
    progress_init(&w.progress, (enum progress_when)options.progress);
    w.harvest = harvest_new(&options.harvest, &sink);
    text(paths, n, &w);
    if (w.log && output_commit(w.log, &err))
        die("%s", err.msg);
    if (!(options.show_repeated ? harvest_result(w.harvest)->documents : w.lines))
        die("no documents found");
    if (harvest_result(w.harvest)->operand_failed)
        die("not all of the input could be read%s%s",
            options.output ? "; nothing is written to " : "", options.output ? options.output : "");
    if (output_commit(w.out, &err))
        die("%s", err.msg);
    release(&w);
    return 0;
}
