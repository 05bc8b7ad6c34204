#include "text/harvest_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/encoding.h"
#include "text/markdown.h"

enum { MAX_NESTING = 8, READ_BLOCK = 64 << 10 };
#define EXPANSION_FLOOR ((uint64_t)64 << 20)

static int unsupported(struct harvest *c, const struct harvest_item *item, const char *type,
                       struct err *err)
{
    err_set(err, "%s is not supported", type);
    return harvest_fail(c, item, type, err);
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
    uint64_t allowed = allowance(c), limit = c->options.max_size;
    uint64_t left = c->expanded < allowed ? allowed - c->expanded : 0;
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

static int extract(struct harvest *c, enum file_kind kind, enum package_kind package,
                   struct prose_text *text, const char *p, size_t len, const char **encoding,
                   struct err *err)
{
    if (kind == FILE_HTML)
        return extract_html(text, p, len, encoding, err);
    if (kind == FILE_ZIP)
        return read_package(c, package, text, p, len, err);
    if (kind == FILE_PDF)
        return extract_pdf(text, p, len, c->options.max_size, err);
    if (kind == FILE_ODT)
        return extract_flat_odf(text, p, len, err);
    if (extract_plain(text, p, len, encoding, err))
        return -1;
    if (kind == FILE_MARKDOWN)
        markdown_find_headings(text);
    return 0;
}

/* Reads a whole file of a kind that is one document. */
static int read_document(struct harvest *c, const struct harvest_item *item, enum file_kind kind,
                         enum package_kind package, const char *p, size_t len, struct err *err)
{
    struct prose_text text;
    const char *encoding = NULL;
    prose_text_init(&text);
    int status = extract(c, kind, package, &text, p, len, &encoding, err);
    if (status) {
        status = harvest_fail(c, item, kind == FILE_PDF ? "pdf" : "unreadable", err);
    } else {
        if (encoding) {
            struct err note;
            c->result.guessed++;
            err_set(&note, "%s: not UTF-8; read as %s", item->id, encoding);
            c->sink.report(c->sink.arg, note.msg);
        }
        bool lines = c->options.each_line && (kind == FILE_PLAIN || kind == FILE_MARKDOWN);
        status = harvest_text(c, item, &text, lines, err);
    }
    prose_text_release(&text);
    return status;
}

static int read_archive(struct harvest *c, const struct harvest_item *item, const char *p,
                        size_t len, struct err *err)
{
    struct members *m;
    if (item->nesting >= MAX_NESTING) {
        err_set(err, "archives are nested more than %d deep", MAX_NESTING);
        return harvest_fail(c, item, "nested too deep", err);
    }
    if (members_open_memory(&m, archive_sniff(p, len), p, len, err))
        return harvest_fail(c, item, "unreadable", err);
    int status = harvest_members(c, item, m, err);
    members_close(m);
    return status;
}

static int read_zip(struct harvest *c, const struct harvest_item *item, const char *p, size_t len,
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
static int consider(struct harvest *c, const struct harvest_item *item, const char *name,
                    const char *head, size_t len, enum file_kind *kind, struct err *err)
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
        return harvest_fail(c, item, "binary", err);
    }
    if (data && !item->operand && !c->options.include.n) {
        harvest_count(c, type);
        return 0;
    }
    return 1;
}

/* A whole file or member. */
int harvest_bytes(struct harvest *c, const struct harvest_item *item, const char *name,
                  const char *p, size_t len, struct err *err)
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
        return harvest_fail(c, item, "too large", err);
    }
    if (kind != FILE_PDF && encoding_is_binary(p, len)) {
        harvest_count(c, "binary");
        return 0;
    }
    if (kind == FILE_JSONL || (kind == FILE_PLAIN && harvest_looks_like_jsonl(c, p, len)))
        return harvest_jsonl(c, item, p, len, err);
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
static int read_one_member(struct harvest *c, const struct harvest_item *item, const char *name,
                           struct members *m, struct buf *data, struct err *err)
{
    bool ended;
    enum file_kind kind;
    buf_clear(data);
    if (read_member(c, m, data, FILE_SNIFF, &ended, err))
        return harvest_fail(c, item, "unreadable", err);
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
            return harvest_fail(c, item, "unreadable", err);
        if (data->len > c->options.max_size) {
            err_set(err, "more than %zu bytes; --max-size allows more", c->options.max_size);
            return harvest_fail(c, item, "too large", err);
        }
    }
    return harvest_bytes(c, item, name, data->p, data->len, err);
}

int harvest_members(struct harvest *c, const struct harvest_item *item, struct members *m,
                    struct err *err)
{
    struct buf id = BUF_INIT, data = BUF_INIT;
    int got = 0, status = 0;
    while (!status && !c->exhausted && (got = members_next(m, err)) > 0) {
        const char *name = members_name(m);
        struct harvest_item inside = {.operand = item->operand && !*name,
                                      .nesting = item->nesting + 1};
        char *file_name = *name ? NULL : name_inside(item->id);
        buf_clear(&id);
        buf_addstr(&id, item->id);
        document_id_add(&id, name, true);
        inside.id = id.p;
        if (count_expanded(c, 512, err)) /* an archive of a billion empty files is a bomb too */
            status = harvest_fail(c, item, "unreadable", err);
        else if (path_is_hidden(name))
            harvest_count(c, "hidden");
        else if (id_matches(&c->options.exclude, id.p))
            harvest_count(c, "excluded");
        else
            status = read_one_member(c, &inside, file_name ? file_name : name, m, &data, err);
        free(file_name);
    }
    if (!status && got < 0)
        status = harvest_fail(c, item, "unreadable", err);
    if (c->exhausted && item->operand)
        c->result.operand_failed = true;
    buf_release(&id);
    buf_release(&data);
    return status;
}
