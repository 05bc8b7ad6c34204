#include "text/harvest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "formats/archive.h"
#include "formats/json.h"
#include "text/document_id.h"
#include "text/encoding.h"
#include "text/markdown.h"

enum { MAX_NESTING = 8, READ_BLOCK = 64 << 10 };
#define EXPANSION_FLOOR ((uint64_t)64 << 20)

struct harvest {
    struct harvest_options options;
    struct harvest_sink sink;
    struct harvest_result result;
    struct id_set ids;
    /* Of the operand that is being read: */
    struct buf source;
    uint64_t packed;   /* its size, as far as it's known */
    uint64_t expanded; /* bytes that came out of archives */
    bool exhausted;    /* it expanded too far */
};

/* A file or member on its way: what it is called, and how deep in archives it lies. */
struct item {
    const char *id;
    bool operand; /* it is the operand itself */
    int nesting;
};

struct harvest *harvest_new(const struct harvest_options *options, const struct harvest_sink *sink)
{
    struct harvest *c = xcalloc(1, sizeof *c);
    c->options = *options;
    c->sink = *sink;
    buf_init(&c->source);
    return c;
}

void harvest_free(struct harvest *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->result.n_skipped; i++)
        free(c->result.skipped[i].what);
    free(c->result.skipped);
    id_set_release(&c->ids);
    buf_release(&c->source);
    free(c);
}

const struct harvest_result *harvest_result(const struct harvest *c)
{
    return &c->result;
}

void harvest_count(struct harvest *c, const char *reason)
{
    struct harvest_result *r = &c->result;
    for (size_t i = 0; i < r->n_skipped; i++)
        if (!strcmp(r->skipped[i].what, reason)) {
            r->skipped[i].n++;
            return;
        }
    ARRAY_GROW(r->skipped, r->n_skipped, r->skipped_cap);
    r->skipped[r->n_skipped++] = (struct harvest_count){xstrdup(reason), 1};
}

/* Something can't be read: the message in err is reported, or ends the walk if it has to. */
static int fail(struct harvest *c, const struct item *item, const char *reason, struct err *err)
{
    err_prefix(err, "%s", *item->id ? item->id : c->source.p);
    if (item->operand)
        c->result.operand_failed = true;
    c->result.unreadable++;
    harvest_count(c, reason);
    if (c->options.strict)
        return -1;
    c->sink.report(c->sink.arg, err->msg);
    return 0;
}

static int unsupported(struct harvest *c, const struct item *item, const char *type,
                       struct err *err)
{
    err_set(err, "%s is not supported", type);
    return fail(c, item, type, err);
}

static bool is_blank(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != ' ' && (p[i] < '\t' || p[i] > '\r'))
            return false;
    return true;
}

static int give(struct harvest *c, const struct harvest_document *document, struct err *err)
{
    c->result.documents++;
    return c->sink.document(c->sink.arg, document, err);
}

static int give_lines(struct harvest *c, const char *id, const struct prose_text *text,
                      struct err *err)
{
    struct prose_text line;
    struct buf line_id = BUF_INIT;
    size_t number = 0;
    int status = 0;
    prose_text_init(&line);
    for (size_t at = 0, n; at < text->text.len && !status; at += n + 1) {
        const char *p = text->text.p + at, *newline = memchr(p, '\n', text->text.len - at);
        n = newline ? (size_t)(newline - p) : text->text.len - at;
        number++;
        if (is_blank(p, n))
            continue;
        buf_clear(&line.text);
        buf_add(&line.text, p, n);
        buf_clear(&line_id);
        buf_addf(&line_id, "%s:%zu", id, number);
        struct harvest_document document = {line_id.p, c->source.p, &line, NULL};
        status = give(c, &document, err);
    }
    prose_text_release(&line);
    buf_release(&line_id);
    return status;
}

static int give_text(struct harvest *c, const struct item *item, const struct prose_text *text,
                     bool lines, struct err *err)
{
    if (is_blank(text->text.p, text->text.len)) {
        harvest_count(c, "empty");
        return 0;
    }
    struct buf id = BUF_INIT;
    buf_addstr(&id, item->id);
    id_set_claim(&c->ids, &id);
    struct harvest_document document = {id.p, c->source.p, text, NULL};
    int status = lines ? give_lines(c, id.p, text, err) : give(c, &document, err);
    buf_release(&id);
    return status;
}

/* The shapes that the stages behind this one read. */
static bool has_known_shape(const json_t *record)
{
    static const struct {
        const char *key;
        json_type type;
    } keys[] = {
        {"text", JSON_STRING},        {"messages", JSON_ARRAY}, {"conversations", JSON_ARRAY},
        {"instruction", JSON_STRING}, {"ids", JSON_ARRAY},
    };
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const json_t *value = json_object_get(record, keys[i].key);
        if (value && json_typeof(value) == keys[i].type)
            return true;
    }
    return json_object_get(record, "prompt") &&
           (json_object_get(record, "completion") ||
            (json_object_get(record, "chosen") && json_object_get(record, "rejected")));
}

/* Whether the first line is a document, for what comes without a name. */
static bool looks_like_jsonl(const char *p, size_t len)
{
    const char *newline = memchr(p, '\n', len);
    struct err ignored;
    if (*p != '{')
        return false;
    json_t *record = json_parse(p, newline ? (size_t)(newline - p) : len, &ignored);
    bool is = record && json_is_object(record) && has_known_shape(record);
    json_decref(record);
    return is;
}

static int give_record(struct harvest *c, const struct item *item, size_t line, json_t *record,
                       struct err *err)
{
    struct buf id = BUF_INIT;
    buf_addf(&id, "%s:%zu", item->id, line);
    if (!json_is_object(record) || !has_known_shape(record)) {
        struct item at = {id.p, item->operand, item->nesting};
        err_set(err, "no document: none of text, messages, conversations, instruction, prompt with "
                     "completion, ids");
        int status = fail(c, &at, "unreadable", err);
        buf_release(&id);
        return status;
    }
    if (!json_object_get(record, "id"))
        json_object_set_new(record, "id", json_stringn(id.p, id.len));
    if (!json_object_get(record, "source"))
        json_object_set_new(record, "source", json_stringn(c->source.p, c->source.len));
    buf_release(&id);
    struct harvest_document document = {NULL, c->source.p, NULL, record};
    return give(c, &document, err);
}

static int read_jsonl(struct harvest *c, const struct item *item, const char *p, size_t len,
                      struct err *err)
{
    struct input *in;
    struct buf line = BUF_INIT;
    json_t *record;
    int got, status = 0;
    if (input_open_memory(&in, item->id, p, len, err))
        return -1;
    while (!status && (got = json_next_line(in, &line, &record, err)) != 0) {
        if (got > 0) {
            status = give_record(c, item, input_line_number(in), record, err);
            json_decref(record);
            continue;
        }
        struct err why = *err; /* names file and line already */
        c->result.unreadable++;
        harvest_count(c, "unreadable");
        if (item->operand)
            c->result.operand_failed = true;
        if (c->options.strict)
            status = -1;
        else
            c->sink.report(c->sink.arg, why.msg);
    }
    buf_release(&line);
    input_close(in);
    return status;
}

static uint64_t allowance(const struct harvest *c)
{
    uint64_t allowed;
    if (__builtin_mul_overflow(c->packed, (uint64_t)c->options.max_ratio, &allowed) ||
        __builtin_add_overflow(allowed, EXPANSION_FLOOR, &allowed))
        return UINT64_MAX;
    return allowed;
}

static int count_expanded(struct harvest *c, uint64_t n, struct err *err)
{
    c->expanded += n;
    if (c->expanded <= allowance(c))
        return 0;
    c->exhausted = true;
    return err_set(err, "expands to more than %zu times its size; --max-ratio allows more",
                   c->options.max_ratio);
}

static int read_package(struct harvest *c, enum package_kind kind, struct prose_text *text,
                        const char *p, size_t len, struct err *err)
{
    struct package package;
    uint64_t left = allowance(c) - c->expanded, limit = c->options.max_size;
    if (package_read(&package, p, len, (size_t)(limit < left ? limit : left), err))
        return -1;
    c->expanded += package_size(&package);
    int status = kind == PACKAGE_DOCX   ? extract_docx(text, &package, err)
                 : kind == PACKAGE_PPTX ? extract_pptx(text, &package, err)
                                        : extract_odf(text, &package, err);
    package_release(&package);
    return status;
}

static bool is_included(const struct harvest *c, const char *id)
{
    return !c->options.include.n || id_matches(&c->options.include, id);
}

/* Reads a whole file of a kind that is one document. */
static int read_document(struct harvest *c, const struct item *item, enum file_kind kind,
                         enum package_kind package, const char *p, size_t len, struct err *err)
{
    struct prose_text text;
    const char *encoding = NULL;
    prose_text_init(&text);
    int status;
    if (kind == FILE_HTML)
        status = extract_html(&text, p, len, &encoding, err);
    else if (kind == FILE_ZIP)
        status = read_package(c, package, &text, p, len, err);
    else if (kind == FILE_ODT)
        status = extract_flat_odf(&text, p, len, err);
    else
        status = extract_plain(&text, p, len, &encoding, err);
    if (kind == FILE_MARKDOWN && !status)
        markdown_find_headings(&text);
    if (status) {
        status = fail(c, item, "unreadable", err);
    } else {
        if (encoding) {
            struct err note;
            c->result.guessed++;
            err_set(&note, "%s: not UTF-8; read as %s", item->id, encoding);
            c->sink.report(c->sink.arg, note.msg);
        }
        bool lines = c->options.each_line && (kind == FILE_PLAIN || kind == FILE_MARKDOWN);
        status = give_text(c, item, &text, lines, err);
    }
    prose_text_release(&text);
    return status;
}

static int read_members(struct harvest *c, const struct item *item, struct members *m,
                        struct err *err);

static int read_archive(struct harvest *c, const struct item *item, const char *p, size_t len,
                        struct err *err)
{
    struct members *m;
    if (item->nesting >= MAX_NESTING) {
        err_set(err, "archives are nested more than %d deep", MAX_NESTING);
        return fail(c, item, "nested too deep", err);
    }
    if (members_open_memory(&m, archive_sniff(p, len), p, len, err))
        return fail(c, item, "unreadable", err);
    int status = read_members(c, item, m, err);
    members_close(m);
    return status;
}

static int read_zip(struct harvest *c, const struct item *item, const char *p, size_t len,
                    struct err *err)
{
    static const char *const names[] = {[PACKAGE_XLSX] = "xlsx",
                                        [PACKAGE_ODS] = "ods",
                                        [PACKAGE_OTHER] = "this kind of OpenDocument"};
    enum package_kind kind;
    /* One that is damaged before its kind shows may still have members to give. */
    if (package_kind_of(p, len, &kind, err) || kind == PACKAGE_NONE)
        return read_archive(c, item, p, len, err);
    if (!is_included(c, item->id)) {
        harvest_count(c, "not included");
        return 0;
    }
    if (kind == PACKAGE_XLSX || kind == PACKAGE_ODS || kind == PACKAGE_OTHER)
        return unsupported(c, item, names[kind], err);
    return read_document(c, item, FILE_ZIP, kind, p, len, err);
}

/* What can be decided by the first bytes: 1 to read on, 0 when the file is done with, -1. */
static int consider(struct harvest *c, const struct item *item, const char *name, const char *head,
                    size_t len, enum file_kind *kind, struct err *err)
{
    const char *type;
    bool data;
    *kind = file_kind_of(name, head, len, &type, &data);
    if (*kind == FILE_ARCHIVE || *kind == FILE_ZIP)
        return 1;
    if (!is_included(c, item->id)) {
        harvest_count(c, "not included");
        return 0;
    }
    if (*kind == FILE_UNSUPPORTED)
        return unsupported(c, item, type, err);
    if (*kind == FILE_BINARY && !item->operand) {
        harvest_count(c, "binary");
        return 0;
    }
    if (*kind == FILE_BINARY) {
        err_set(err, "is %s, not text", type);
        return fail(c, item, "binary", err);
    }
    if (data && !item->operand && !c->options.include.n) {
        harvest_count(c, type);
        return 0;
    }
    return 1;
}

/* A whole file or member. */
static int read_bytes(struct harvest *c, const struct item *item, const char *name, const char *p,
                      size_t len, struct err *err)
{
    enum file_kind kind;
    if (!len) {
        harvest_count(c, "empty");
        return 0;
    }
    int go_on = consider(c, item, name, p, len < FILE_SNIFF ? len : FILE_SNIFF, &kind, err);
    if (go_on <= 0)
        return go_on;
    if (kind == FILE_ARCHIVE)
        return read_archive(c, item, p, len, err);
    if (kind == FILE_ZIP)
        return read_zip(c, item, p, len, err);
    if (len > c->options.max_size) {
        err_set(err, "more than %zu bytes; --max-size allows more", c->options.max_size);
        return fail(c, item, "too large", err);
    }
    if (encoding_is_binary(p, len)) {
        harvest_count(c, "binary");
        return 0;
    }
    if (kind == FILE_JSONL || (kind == FILE_PLAIN && looks_like_jsonl(p, len)))
        return read_jsonl(c, item, p, len, err);
    return read_document(c, item, kind, PACKAGE_NONE, p, len, err);
}

/* Appends to data until `want` bytes are there or the member ends; *ended says which. */
static int read_member(struct harvest *c, struct members *m, struct buf *data, size_t want,
                       bool *ended, struct err *err)
{
    *ended = false;
    while (data->len < want) {
        size_t n = want - data->len < READ_BLOCK ? want - data->len : READ_BLOCK;
        buf_reserve(data, n);
        ssize_t got = members_read(m, data->p + data->len, n, err);
        if (got < 0)
            return -1;
        if (got == 0) {
            *ended = true;
            break;
        }
        data->len += (size_t)got;
        data->p[data->len] = 0;
        if (!c->packed || c->packed < members_consumed(m))
            c->packed = members_consumed(m); /* a stream's size grows as it comes */
        if (count_expanded(c, (uint64_t)got, err))
            return -1;
    }
    return 0;
}

/* "notes.txt" for "dir/notes.txt.gz": the name that the one file in it had. */
static char *name_inside(const char *name)
{
    static const char *const suffixes[] = {".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma"};
    size_t len = strlen(name);
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        size_t n = strlen(suffixes[i]);
        if (len > n && !strcmp(name + len - n, suffixes[i]))
            return xmemdup0(name, len - n);
    }
    return xstrdup(name);
}

/* Reads a member's first bytes, and the rest if they promise something. */
static int read_one_member(struct harvest *c, const struct item *item, const char *name,
                           struct members *m, struct buf *data, struct err *err)
{
    bool ended;
    enum file_kind kind;
    buf_clear(data);
    if (read_member(c, m, data, FILE_SNIFF, &ended, err))
        return fail(c, item, "unreadable", err);
    if (!ended) {
        const char *type;
        bool is_data;
        kind = file_kind_of(name, data->p, data->len, &type, &is_data);
        bool container = kind == FILE_ARCHIVE || kind == FILE_ZIP;
        if (!container) {
            int go_on = consider(c, item, name, data->p, data->len, &kind, err);
            if (go_on <= 0)
                return go_on;
        }
        if (read_member(c, m, data, c->options.max_size + 1, &ended, err))
            return fail(c, item, "unreadable", err);
        if (data->len > c->options.max_size) {
            err_set(err, "more than %zu bytes; --max-size allows more", c->options.max_size);
            return fail(c, item, "too large", err);
        }
    }
    return read_bytes(c, item, name, data->p, data->len, err);
}

static int read_members(struct harvest *c, const struct item *item, struct members *m,
                        struct err *err)
{
    struct buf id = BUF_INIT, data = BUF_INIT;
    int got = 0, status = 0;
    while (!status && !c->exhausted && (got = members_next(m, err)) > 0) {
        const char *name = members_name(m);
        struct item inside = {.operand = item->operand && !*name, .nesting = item->nesting + 1};
        char *file_name = *name ? NULL : name_inside(item->id);
        buf_clear(&id);
        buf_addstr(&id, item->id);
        document_id_add(&id, name, true);
        inside.id = id.p;
        if (count_expanded(c, 512, err)) /* an archive of a billion empty files is a bomb too */
            status = fail(c, item, "unreadable", err);
        else if (path_is_hidden(name))
            harvest_count(c, "hidden");
        else if (id_matches(&c->options.exclude, id.p))
            harvest_count(c, "excluded");
        else
            status = read_one_member(c, &inside, file_name ? file_name : name, m, &data, err);
        free(file_name);
    }
    if (!status && got < 0)
        status = fail(c, item, "unreadable", err);
    if (c->exhausted && item->operand)
        c->result.operand_failed = true;
    buf_release(&id);
    buf_release(&data);
    return status;
}

/* Streams: stdin, pipes, devices. */
struct stream {
    int fd;
    const struct buf *head; /* read before */
    size_t head_used;
};

static ssize_t read_some(int fd, void *p, size_t n, struct err *err)
{
    ssize_t got;
    do
        got = read(fd, p, n);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        err_errno(err, "reading");
    return got;
}

static ssize_t read_stream(void *arg, void *p, size_t n, struct err *err)
{
    struct stream *s = arg;
    size_t left = s->head->len - s->head_used;
    if (!left)
        return read_some(s->fd, p, n, err);
    n = n < left ? n : left;
    memcpy(p, s->head->p + s->head_used, n);
    s->head_used += n;
    return (ssize_t)n;
}

/* Copies what comes to an unlinked temporary file: a zip has its table at the end. */
static int spool(struct stream *s, struct err *err)
{
    const char *dir = getenv("TMPDIR");
    struct buf path = BUF_INIT;
    char block[READ_BLOCK];
    buf_addf(&path, "%s/ft-text.XXXXXX", dir && *dir ? dir : "/tmp");
    int fd = mkostemp(path.p, O_CLOEXEC);
    if (fd < 0) {
        err_errno(err, "%s", path.p);
        buf_release(&path);
        return -1;
    }
    unlink(path.p);
    ssize_t n;
    while ((n = read_stream(s, block, sizeof block, err)) > 0)
        for (ssize_t done = 0, put; done < n; done += put)
            if ((put = write(fd, block + done, (size_t)(n - done))) < 0) {
                n = err_errno(err, "%s: writing", path.p);
                break;
            }
    buf_release(&path);
    if (n < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int read_spooled(struct harvest *c, const struct item *item, struct stream *s,
                        struct err *err)
{
    struct mapfile map;
    struct buf path = BUF_INIT;
    int fd = spool(s, err);
    if (fd < 0)
        return fail(c, item, "unreadable", err);
    buf_addf(&path, "/proc/self/fd/%d", fd);
    int status = mapfile_open(&map, path.p, err);
    if (status) {
        status = fail(c, item, "unreadable", err);
    } else {
        c->packed = map.size;
        status = read_bytes(c, item, item->id, (const char *)map.p, map.size, err);
        mapfile_close(&map);
    }
    close(fd);
    buf_release(&path);
    return status;
}

/* Reads until data has `want` bytes or the end. */
static int read_up_to(int fd, struct buf *data, size_t want, struct err *err)
{
    while (data->len < want) {
        size_t n = want - data->len < READ_BLOCK ? want - data->len : READ_BLOCK;
        buf_reserve(data, n);
        ssize_t got = read_some(fd, data->p + data->len, n, err);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        data->len += (size_t)got;
        data->p[data->len] = 0;
    }
    return 0;
}

/* A tar ends before its padding does: whoever writes it must not see a broken pipe. */
static void drain(int fd)
{
    char block[READ_BLOCK];
    struct err ignored;
    while (read_some(fd, block, sizeof block, &ignored) > 0)
        ;
}

static int read_fd(struct harvest *c, const struct item *item, int fd, struct err *err)
{
    struct buf data = BUF_INIT;
    struct stream s = {fd, &data, 0};
    struct members *m;
    int status;
    if (read_up_to(fd, &data, FILE_SNIFF, err)) {
        status = fail(c, item, "unreadable", err);
        buf_release(&data);
        return status;
    }
    enum archive_kind kind = archive_sniff(data.p, data.len);
    if (archive_kind_seeks(kind)) {
        status = read_spooled(c, item, &s, err);
    } else if (kind != ARCHIVE_NONE) {
        if (members_open_stream(&m, kind, read_stream, &s, err)) {
            status = fail(c, item, "unreadable", err);
        } else {
            status = read_members(c, item, m, err);
            members_close(m);
            drain(fd);
        }
    } else if (read_up_to(fd, &data, c->options.max_size + 1, err)) {
        status = fail(c, item, "unreadable", err);
    } else {
        status = read_bytes(c, item, item->id, data.p, data.len, err);
    }
    buf_release(&data);
    return status;
}

static int read_path(struct harvest *c, const char *path, const struct item *item, struct err *err);

static int not_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_entry(struct harvest *c, const char *path, const char *name,
                      const struct item *folder, struct err *err)
{
    struct buf full = BUF_INIT, id = BUF_INIT;
    struct stat st;
    int status = 0;
    buf_addf(&full, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", name);
    buf_addstr(&id, folder->id);
    document_id_add(&id, name, true);
    struct item item = {.id = id.p};
    if (*name == '.') {
        harvest_count(c, "hidden");
    } else if (id_matches(&c->options.exclude, id.p)) {
        harvest_count(c, "excluded");
    } else if (lstat(full.p, &st)) {
        err_set(err, "%s", strerror(errno));
        status = fail(c, &item, "unreadable", err);
    } else if (S_ISLNK(st.st_mode)) {
        harvest_count(c, "symbolic link");
    } else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        harvest_count(c, "no file");
    } else {
        status = read_path(c, full.p, &item, err);
    }
    buf_release(&full);
    buf_release(&id);
    return status;
}

static int read_folder(struct harvest *c, const char *path, const struct item *item,
                       struct err *err)
{
    struct dirent **entries;
    int status = 0, n = scandir(path, &entries, not_dots, by_bytes);
    if (n < 0) {
        err_set(err, "%s", strerror(errno));
        return fail(c, item, "unreadable", err);
    }
    for (int i = 0; i < n; i++) {
        if (!status)
            status = read_entry(c, path, entries[i]->d_name, item, err);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* A budget for each file on its own: how a folder is divided doesn't matter. */
static void new_budget(struct harvest *c, uint64_t packed)
{
    c->packed = packed;
    c->expanded = 0;
    c->exhausted = false;
}

/* "path: why" to "why": fail says where in its own way. */
static void drop_prefix(struct err *err, const char *path)
{
    size_t n = strlen(path);
    if (!strncmp(err->msg, path, n) && !strncmp(err->msg + n, ": ", 2))
        memmove(err->msg, err->msg + n + 2, strlen(err->msg + n + 2) + 1);
}

static int read_path(struct harvest *c, const char *path, const struct item *item, struct err *err)
{
    struct stat st;
    struct mapfile map;
    int status, fd;
    if (stat(path, &st)) {
        err_set(err, "%s", strerror(errno));
        return fail(c, item, "unreadable", err);
    }
    if (S_ISDIR(st.st_mode))
        return read_folder(c, path, item, err);
    new_budget(c, (uint64_t)st.st_size);
    if (S_ISREG(st.st_mode) && st.st_size) {
        if (mapfile_open(&map, path, err)) {
            drop_prefix(err, path);
            return fail(c, item, "unreadable", err);
        }
        status = read_bytes(c, item, path, (const char *)map.p, map.size, err);
        mapfile_close(&map);
        return status;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC); /* a pipe; or a file of /proc, whose size is told as 0 */
    if (fd < 0) {
        err_set(err, "%s", strerror(errno));
        return fail(c, item, "unreadable", err);
    }
    status = read_fd(c, item, fd, err);
    close(fd);
    return status;
}

int harvest_read(struct harvest *c, const char *operand, struct err *err)
{
    struct buf id = BUF_INIT;
    bool is_stdin = !strcmp(operand, "-");
    document_id_add(&id, is_stdin ? "stdin" : operand, false);
    buf_clear(&c->source);
    buf_addstr(&c->source, id.len ? id.p : ".");
    struct item item = {.id = id.p, .operand = true};
    int status = 0;
    new_budget(c, 0);
    if (is_stdin)
        status = read_fd(c, &item, STDIN_FILENO, err);
    else if (id_matches(&c->options.exclude, id.p))
        harvest_count(c, "excluded");
    else
        status = read_path(c, operand, &item, err);
    buf_release(&id);
    return status;
}
