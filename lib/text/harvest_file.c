#include "text/harvest_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/encoding.h"
#include "text/markdown.h"

enum { READ_BLOCK = 64 << 10 };
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

/* A file that is one document, and what was found out about it. */
struct file {
    enum file_kind kind;
    enum package_kind package; /* of a zip */
    const char *type;
    const char *p;
    size_t len;
    struct encoding encoding;
    bool has_encoding;
};

static int extract_package(struct harvest *c, struct file *f, const struct package *package,
                           struct prose_text *text, struct err *err)
{
    size_t limit = c->options.max_size;
    switch (f->package) {
    case PACKAGE_DOCX:
        return extract_docx(text, package, err);
    case PACKAGE_PPTX:
        return extract_pptx(text, package, err);
    case PACKAGE_XLSX:
        return extract_xlsx(text, package, limit, err);
    case PACKAGE_ODS:
        return extract_ods(text, package, limit, err);
    case PACKAGE_EPUB:
        f->has_encoding = true;
        return extract_epub(text, package, c->options.encoding, &f->encoding, err);
    default:
        return extract_odf(text, package, err);
    }
}

static int read_package(struct harvest *c, struct file *f, struct prose_text *text, struct err *err)
{
    struct package package;
    uint64_t allowed = allowance(c), limit = c->options.max_size;
    uint64_t left = c->expanded < allowed ? allowed - c->expanded : 0;
    if (package_read(&package, f->package, f->p, f->len, (size_t)(limit < left ? limit : left),
                     err))
        return -1;
    c->expanded += package_size(&package);
    int status = extract_package(c, f, &package, text, err);
    package_release(&package);
    return status;
}

static int extract(struct harvest *c, struct file *f, struct prose_text *text, struct err *err)
{
    struct html_source source = {.otherwise = c->options.encoding};
    switch (f->kind) {
    case FILE_HTML:
        f->has_encoding = true;
        return extract_html(text, f->p, f->len, &source, &f->encoding, err);
    case FILE_ZIP:
        return read_package(c, f, text, err);
    case FILE_PDF:
        return extract_pdf(text, f->p, f->len, c->options.max_size, err);
    case FILE_FLAT_ODT:
        return extract_flat_odf(text, f->p, f->len, err);
    case FILE_FLAT_ODS:
        return extract_flat_ods(text, f->p, f->len, c->options.max_size, err);
    case FILE_RTF:
        return extract_rtf(text, f->p, f->len, err);
    default:
        f->has_encoding = true;
        extract_plain(text, f->p, f->len, c->options.encoding, &f->encoding);
        if (f->kind == FILE_MARKDOWN)
            markdown_find_headings(text);
        return 0;
    }
}

void harvest_note_encoding(struct harvest *c, const char *id, const char *type,
                           const struct encoding *how)
{
    struct err note;
    harvest_log(c, id, type, how);
    if (!how || !how->guessed)
        return;
    c->result.guessed++;
    if (!strcmp(how->name, "UTF-8"))
        err_set(&note, "%s: damaged UTF-8; what is no character is U+FFFD", id);
    else
        err_set(&note, "%s: not UTF-8; read as %s", id, how->name);
    c->sink.report(c->sink.arg, note.msg);
}

static int read_document(struct harvest *c, const struct harvest_item *item, struct file *f,
                         struct err *err)
{
    struct prose_text text;
    prose_text_init(&text);
    int status = extract(c, f, &text, err);
    if (status) {
        status = harvest_fail(c, item, f->kind == FILE_PDF ? "pdf" : "unreadable", err);
    } else {
        harvest_note_encoding(c, item->id, f->type, f->has_encoding ? &f->encoding : NULL);
        bool lines = c->options.each_line && (f->kind == FILE_PLAIN || f->kind == FILE_MARKDOWN);
        status = harvest_text(c, item, &text, lines, err);
    }
    prose_text_release(&text);
    return status;
}

static int read_archive(struct harvest *c, const struct harvest_item *item, const char *p,
                        size_t len, struct err *err)
{
    struct members *m;
    if (item->nesting >= HARVEST_NESTING) {
        err_set(err, "archives and messages are nested more than %d deep", HARVEST_NESTING);
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
    static const char *const names[] = {[PACKAGE_DOCX] = "docx",
                                        [PACKAGE_PPTX] = "pptx",
                                        [PACKAGE_XLSX] = "xlsx",
                                        [PACKAGE_ODT] = "odt",
                                        [PACKAGE_ODP] = "odp",
                                        [PACKAGE_ODS] = "ods",
                                        [PACKAGE_EPUB] = "epub",
                                        [PACKAGE_XLSB] = "xlsb",
                                        [PACKAGE_OTHER] = "this kind of OpenDocument"};
    struct file f = {.kind = FILE_ZIP, .p = p, .len = len};
    /* One that is damaged before its kind shows may still have members to give. */
    if (package_kind_of(p, len, &f.package, err) || f.package == PACKAGE_NONE)
        return read_archive(c, item, p, len, err);
    f.type = names[f.package];
    if (!harvest_is_included(c, item->id)) {
        harvest_skip(c, item->id, "not included");
        return 0;
    }
    if (f.package == PACKAGE_XLSB || f.package == PACKAGE_OTHER)
        return unsupported(c, item, f.type, err);
    return read_document(c, item, &f, err);
}

/* Kinds that are searched whatever --include says of them: something in them may be. */
static bool is_container(enum file_kind kind)
{
    return kind == FILE_ARCHIVE || kind == FILE_ZIP || kind == FILE_MAIL || kind == FILE_MBOX;
}

/* What can be decided by the first bytes: 1 to read on, 0 when the file is done with, -1. */
static int consider(struct harvest *c, const struct harvest_item *item,
                    const struct file_type *type, struct err *err)
{
    if (is_container(type->kind))
        return 1;
    if (!harvest_is_included(c, item->id)) {
        harvest_skip(c, item->id, "not included");
        return 0;
    }
    if (type->kind == FILE_UNSUPPORTED)
        return unsupported(c, item, type->name, err);
    if (type->kind == FILE_BINARY && !item->operand) {
        harvest_skip(c, item->id, "binary");
        return 0;
    }
    if (type->kind == FILE_BINARY) {
        err_set(err, "is %s, not text", type->name);
        return harvest_fail(c, item, "binary", err);
    }
    if (!type->is_data || c->options.include.n)
        return 1;
    if (!item->operand) {
        harvest_skip(c, item->id, type->name);
        return 0;
    }
    if (!type->hint)
        return 1;
    err_set(err, "%s is no prose: %s; --include '*.%s' takes it as text", type->name, type->hint,
            type->name);
    return harvest_fail(c, item, type->name, err);
}

/* A whole file or member of a kind that is no container of other files. */
static int read_single(struct harvest *c, const struct harvest_item *item,
                       const struct file_type *type, const char *p, size_t len, struct err *err)
{
    bool text = type->kind != FILE_PDF && type->kind != FILE_RTF;
    if (text && encoding_is_binary(p, len)) {
        harvest_skip(c, item->id, "binary");
        return 0;
    }
    if (type->kind == FILE_JSONL ||
        (type->kind == FILE_PLAIN && harvest_looks_like_jsonl(c, p, len))) {
        harvest_log(c, item->id, "jsonl", NULL);
        return harvest_jsonl(c, item, p, len, err);
    }
    struct file f = {.kind = type->kind, .type = type->name, .p = p, .len = len};
    return read_document(c, item, &f, err);
}

/* A whole file or member. */
int harvest_bytes(struct harvest *c, const struct harvest_item *item, const char *name,
                  const char *p, size_t len, struct err *err)
{
    if (!len) {
        harvest_skip(c, item->id, "empty");
        return 0;
    }
    struct file_type type = file_type_of(name, p, len < FILE_SNIFF ? len : FILE_SNIFF);
    int go_on = consider(c, item, &type, err);
    if (go_on <= 0)
        return go_on;
    if (type.kind == FILE_ARCHIVE)
        return read_archive(c, item, p, len, err);
    if (type.kind == FILE_ZIP)
        return read_zip(c, item, p, len, err);
    if (type.kind == FILE_MBOX)
        return harvest_mbox(c, item, p, len, err);
    if (len > c->options.max_size)
        return harvest_too_large(c, item, err);
    if (type.kind == FILE_MAIL)
        return harvest_mail(c, item, p, len, err);
    return read_single(c, item, &type, p, len, err);
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
    buf_clear(data);
    if (read_member(c, m, data, FILE_SNIFF, &ended, err))
        return harvest_fail(c, item, "unreadable", err);
    if (!ended) {
        struct file_type type = file_type_of(name, data->p, data->len);
        int go_on = consider(c, item, &type, err);
        if (go_on <= 0)
            return go_on;
        if (read_member(c, m, data, c->options.max_size + 1, &ended, err))
            return harvest_fail(c, item, "unreadable", err);
        if (data->len > c->options.max_size)
            return harvest_too_large(c, item, err);
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
            harvest_skip(c, id.p, "hidden");
        else if (id_matches(&c->options.exclude, id.p))
            harvest_skip(c, id.p, "excluded");
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
