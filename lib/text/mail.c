#include "text/mail.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "text/extract.h"
#include "text/mime.h"

enum { MAX_DEPTH = 32, WORTH = 4 };

/* A message on its way to text. */
struct mail {
    const struct mail_sink *sink;
    const char *otherwise;
    struct encoding *how;
    bool has_encoding;
    size_t n_files;
};

/* Text that was found in a part and the parts in it. */
struct found {
    struct prose_text text;
    bool html; /* some of it */
};

static size_t line_len(const char *p, size_t len)
{
    const char *newline = memchr(p, '\n', len);
    return newline ? (size_t)(newline - p) + 1 : len;
}

/* "Name: ...": the length of the name, 0 if it is none. */
static size_t field_name(const char *p, size_t len)
{
    size_t n = 0;
    while (n < len && p[n] > ' ' && p[n] < 0x7f && p[n] != ':')
        n++;
    return n < len && p[n] == ':' ? n : 0;
}

static bool is_usual_field(const char *p, size_t n)
{
    static const char *const names[] = {"From",         "To",       "Subject",     "Date",
                                        "Message-ID",   "Received", "Return-Path", "Delivered-To",
                                        "MIME-Version", "Sender",   "Reply-To",    "Content-Type"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (n == strlen(names[i]) && !strncasecmp(p, names[i], n))
            return true;
    return false;
}

bool mail_begins(const char *p, size_t len)
{
    size_t usual = 0, n;
    for (size_t at = 0; at < len; at += n) {
        n = line_len(p + at, len - at);
        if (p[at] == '\n' || p[at] == '\r')
            break;
        size_t name = field_name(p + at, n);
        if (!name && (!at || (p[at] != ' ' && p[at] != '\t')) && at + n < len)
            return false;
        usual += name && is_usual_field(p + at, name);
    }
    return usual >= 3;
}

/* A line "From somebody ..." with fields below it, where a message may begin. */
static bool is_from_line(const char *p, size_t len)
{
    size_t n = line_len(p, len);
    if (len < 5 || memcmp(p, "From ", 5) != 0 || n == len)
        return false;
    size_t next = line_len(p + n, len - n);
    return field_name(p + n, next) > 0 || (next > 6 && !memcmp(p + n, ">From ", 6));
}

bool mbox_begins(const char *p, size_t len)
{
    return is_from_line(p, len);
}

bool mbox_next(const char *p, size_t len, size_t *at, struct buf *message)
{
    bool blank = true;
    size_t n;
    buf_clear(message);
    if (*at >= len)
        return false;
    if (is_from_line(p + *at, len - *at))
        *at += line_len(p + *at, len - *at);
    for (; *at < len; *at += n) {
        const char *line = p + *at;
        n = line_len(line, len - *at);
        if (blank && is_from_line(line, len - *at))
            break;
        size_t quotes = 0;
        while (quotes < n && line[quotes] == '>')
            quotes++;
        size_t skip = quotes && n - quotes >= 5 && !memcmp(line + quotes, "From ", 5);
        buf_add(message, line + skip, n - skip);
        blank = *line == '\n' || (n == 2 && *line == '\r');
    }
    return true;
}

/* Adds a block below what is there. */
static void add_block(struct prose_text *t, const struct prose_text *block)
{
    struct prose_text trimmed = *block;
    while (trimmed.text.len && trimmed.text.p[trimmed.text.len - 1] == '\n')
        trimmed.text.len--;
    if (!trimmed.text.len)
        return;
    if (t->text.len)
        buf_addch(&t->text, '\n');
    prose_text_append(t, &trimmed);
    buf_addch(&t->text, '\n');
}

/* Remembers the encoding of the first text, or of the first that had to be guessed. */
static void note_encoding(struct mail *m, const struct encoding *encoding)
{
    if (!m->has_encoding || (encoding->guessed && !m->how->guessed))
        *m->how = *encoding;
    m->has_encoding = true;
}

static int give_file(struct mail *m, const struct mime_kind *kind, const struct buf *bytes,
                     struct err *err)
{
    struct buf name = BUF_INIT;
    m->n_files++;
    if (kind->name.len) {
        buf_addstr(&name, kind->name.p);
    } else { /* a suffix that says as much as the type: part-2.css */
        const char *type = kind->type.p, *subtype = strchr(type, '/') + 1;
        bool text = !strncmp(type, "text/", 5);
        buf_addf(&name, "part-%zu%s%s", m->n_files, text ? "." : "",
                 !strcmp(type, "message/rfc822")    ? ".eml"
                 : !strcmp(type, "text/javascript") ? "js"
                 : !strcmp(type, "text/plain")      ? "txt"
                 : text                             ? subtype
                                                    : "");
    }
    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] == '/' || name.p[i] == '\\')
            name.p[i] = '_';
    int status = m->sink->file(m->sink->arg, name.p, bytes->p, bytes->len, err);
    buf_release(&name);
    return status;
}

static int add_html(struct mail *m, const struct mime_kind *kind, const struct buf *bytes,
                    struct found *out, struct err *err)
{
    struct html_source source = {kind->charset.p, m->otherwise, true};
    struct prose_text text;
    struct encoding encoding;
    prose_text_init(&text);
    int status = extract_html(&text, bytes->p, bytes->len, &source, &encoding, err);
    if (!status) {
        note_encoding(m, &encoding);
        add_block(&out->text, &text);
        out->html = true;
    }
    prose_text_release(&text);
    return status;
}

static void add_plain(struct mail *m, const struct mime_kind *kind, const struct buf *bytes,
                      struct found *out)
{
    struct prose_text text;
    struct encoding encoding;
    prose_text_init(&text);
    /* us-ascii is what programs write that don't know. */
    bool says = kind->charset.len && strcasecmp(kind->charset.p, "us-ascii") != 0;
    encoding_decode(&text.text, bytes->p, bytes->len, says ? kind->charset.p : NULL, m->otherwise,
                    &encoding);
    encoding_unix_lines(&text.text);
    if (kind->flowed)
        mime_unfold(&text.text, kind->delsp);
    size_t blank = 0; /* lines at the beginning */
    while (blank < text.text.len && text.text.p[blank] == '\n')
        blank++;
    if (blank)
        memmove(text.text.p, text.text.p + blank, (text.text.len -= blank) + 1);
    note_encoding(m, &encoding);
    add_block(&out->text, &text);
    prose_text_release(&text);
}

static bool is_any(const char *type, const char *const *types, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(type, types[i]))
            return true;
    return false;
}

static int add_leaf(struct mail *m, const struct mime_part *part, const struct mime_kind *kind,
                    struct found *out, struct err *err)
{
    static const char *const no_text[] = {"application/pgp-signature",
                                          "application/pkcs7-signature",
                                          "application/x-pkcs7-signature",
                                          "application/pgp-keys",
                                          "text/calendar",
                                          "text/x-amp-html",
                                          "text/rfc822-headers",
                                          "message/delivery-status",
                                          "message/disposition-notification"};
    static const char *const plain[] = {"text/plain", "text/markdown", "text/enriched"};
    struct buf bytes = BUF_INIT;
    if (is_any(kind->type.p, no_text, ARRAY_SIZE(no_text))) {
        m->sink->passed_over(m->sink->arg, kind->type.p);
        return 0;
    }
    int status = mime_decode(&bytes, part, kind, err);
    bool body = !kind->attachment && !kind->name.len;
    if (status)
        err_prefix(err, "part %s", kind->type.p);
    else if (body && !strcmp(kind->type.p, "text/html"))
        status = add_html(m, kind, &bytes, out, err);
    else if (body && is_any(kind->type.p, plain, ARRAY_SIZE(plain)) &&
             !encoding_is_binary(bytes.p, bytes.len))
        add_plain(m, kind, &bytes, out);
    else if (bytes.len)
        status = give_file(m, kind, &bytes, err);
    buf_release(&bytes);
    return status;
}

static int walk(struct mail *m, const struct mime_part *part, int depth, struct found *out,
                struct err *err);

static void add_found(struct found *out, const struct found *from)
{
    add_block(&out->text, &from->text);
    out->html |= from->html;
}

/* The best of several forms of the same text. Files may lie in any of them. */
static int choose(struct mail *m, struct mime_parts *parts, int depth, struct found *out,
                  struct err *err)
{
    struct found plain = {.html = false}, rich = {.html = false}, one = {.html = false};
    struct mime_part part;
    int got = 0;
    prose_text_init(&plain.text);
    prose_text_init(&rich.text);
    prose_text_init(&one.text);
    while ((got = mime_parts_next(parts, &part, err)) > 0) {
        prose_text_clear(&one.text);
        one.html = false;
        if (walk(m, &part, depth + 1, &one, err)) {
            got = -1;
            break;
        }
        struct found *place = one.html ? &rich : &plain; /* the last is the best of its kind */
        if (one.text.text.len) {
            prose_text_clear(&place->text);
            add_found(place, &one);
        }
    }
    size_t n_plain = plain.text.text.len, n_rich = rich.text.text.len;
    add_found(out, n_plain * WORTH < n_rich || !n_plain ? &rich : &plain);
    prose_text_release(&plain.text);
    prose_text_release(&rich.text);
    prose_text_release(&one.text);
    return got;
}

static int walk_parts(struct mail *m, const struct mime_part *multipart,
                      const struct mime_kind *kind, int depth, struct found *out, struct err *err)
{
    struct mime_parts parts;
    struct mime_part part;
    int got;
    if (!strcmp(kind->type.p, "multipart/encrypted"))
        return err_set(err, "the message is encrypted");
    if (depth >= MAX_DEPTH)
        return err_set(err, "parts are nested more than %d deep", MAX_DEPTH);
    mime_parts_init(&parts, multipart, kind, depth > 0);
    if (!strcmp(kind->type.p, "multipart/alternative"))
        return choose(m, &parts, depth, out, err);
    while ((got = mime_parts_next(&parts, &part, err)) > 0)
        if (walk(m, &part, depth + 1, out, err))
            return -1;
    return got;
}

static int walk(struct mail *m, const struct mime_part *part, int depth, struct found *out,
                struct err *err)
{
    struct mime_kind kind;
    mime_kind_init(&kind);
    mime_kind_read(&kind, part);
    int status = !strncmp(kind.type.p, "multipart/", 10)
                     ? walk_parts(m, part, &kind, depth, out, err)
                     : add_leaf(m, part, &kind, out, err);
    mime_kind_release(&kind);
    return status;
}

static void add_subject(struct prose_text *t, const struct mime_part *message)
{
    struct buf subject = BUF_INIT;
    if (mime_field(message, "Subject", &subject)) {
        struct prose_heading h = {.start = t->text.len, .title = t->text.len + 2, .level = 1};
        buf_addf(&t->text, "# %s", subject.p);
        h.title_end = h.end = t->text.len;
        prose_text_add_heading(t, h);
        buf_addch(&t->text, '\n');
    }
    buf_release(&subject);
}

int extract_mail(struct prose_text *t, const char *p, size_t len, const char *otherwise,
                 struct encoding *how, const struct mail_sink *sink, struct err *err)
{
    struct mail m = {.sink = sink, .otherwise = otherwise, .how = how};
    struct mime_part message;
    struct found found = {.html = false};
    *how = (struct encoding){"UTF-8", false};
    prose_text_init(&found.text);
    mime_split(&message, p, len);
    int status = walk(&m, &message, 0, &found, err);
    if (!status && found.text.text.len) {
        add_subject(t, &message);
        add_block(t, &found.text);
    }
    prose_text_release(&found.text);
    return status;
}
