#include "text/mime.h"

#include <string.h>
#include <strings.h>

#include "text/mime_words.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The length of the line at p, its newline included. */
static size_t line_len(const char *p, const char *end)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    return newline ? (size_t)(newline - p) + 1 : (size_t)(end - p);
}

void mime_split(struct mime_part *part, const char *p, size_t len)
{
    const char *at = p, *end = p + len;
    size_t n;
    for (; at < end; at += n) {
        n = line_len(at, end);
        if (*at == '\n' || (n == 2 && *at == '\r'))
            break;
    }
    *part = (struct mime_part){p, at, (size_t)(at - p), 0};
    if (at < end)
        part->body += line_len(at, end);
    part->body_len = (size_t)(end - part->body);
}

/* The value of the first field of that name, with the lines that go on with it. */
static bool find_field(const struct mime_part *part, const char *name, const char **value,
                       size_t *len)
{
    const char *end = part->fields + part->fields_len;
    size_t name_len = strlen(name), n;
    for (const char *p = part->fields; p < end; p += n) {
        n = line_len(p, end);
        if (n <= name_len || strncasecmp(p, name, name_len) != 0)
            continue;
        const char *colon = p + name_len;
        while (colon < end && (*colon == ' ' || *colon == '\t'))
            colon++;
        if (colon == end || *colon != ':')
            continue;
        const char *stop = p + n;
        while (stop < end && (*stop == ' ' || *stop == '\t'))
            stop += line_len(stop, end);
        *value = colon + 1;
        *len = (size_t)(stop - *value);
        return true;
    }
    return false;
}

/* The field with its folding undone and white space collapsed, otherwise as it stands there. */
static bool raw_field(const struct mime_part *part, const char *name, struct buf *value)
{
    const char *p;
    size_t len;
    buf_clear(value);
    if (!find_field(part, name, &p, &len))
        return false;
    bool space = false;
    for (size_t i = 0; i < len; i++) {
        if (is_blank(p[i]) || !p[i]) {
            space = true;
            continue;
        }
        if (space && value->len)
            buf_addch(value, ' ');
        space = false;
        buf_addch(value, p[i]);
    }
    return value->len > 0;
}

bool mime_field(const struct mime_part *part, const char *name, struct buf *value)
{
    struct buf raw = BUF_INIT;
    buf_clear(value);
    if (raw_field(part, name, &raw))
        mime_words_decode(value, raw.p, raw.len);
    buf_release(&raw);
    return value->len > 0;
}

void mime_kind_init(struct mime_kind *k)
{
    *k = (struct mime_kind){
        .type = BUF_INIT, .charset = BUF_INIT, .boundary = BUF_INIT, .name = BUF_INIT};
}

void mime_kind_release(struct mime_kind *k)
{
    buf_release(&k->type);
    buf_release(&k->charset);
    buf_release(&k->boundary);
    buf_release(&k->name);
}

/* "Text/HTML ; ..." to "text/html"; what is no type at all is text, by RFC 2045, section 5.2. */
static void set_type(struct mime_kind *k, const char *value)
{
    size_t n = strcspn(value, "; \t(");
    const char *slash = memchr(value, '/', n);
    buf_clear(&k->type);
    if (!slash || slash == value || slash + 1 == value + n) {
        buf_addstr(&k->type, "text/plain");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char c = value[i] >= 'A' && value[i] <= 'Z' ? (char)(value[i] | 0x20) : value[i];
        bool usual = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("/.+-", c);
        buf_addch(&k->type, usual ? c : '_');
    }
}

static char transfer_of(const char *value)
{
    static const struct {
        const char *name;
        char transfer;
    } known[] = {
        {"base64", 'b'}, {"quoted-printable", 'q'}, {"7bit", 0}, {"8bit", 0}, {"binary", 0}};
    size_t n = strcspn(value, "; \t(");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (n == strlen(known[i].name) && !strncasecmp(value, known[i].name, n))
            return known[i].transfer;
    return n ? '?' : 0;
}

void mime_kind_read(struct mime_kind *k, const struct mime_part *part)
{
    struct buf value = BUF_INIT, word = BUF_INIT;
    raw_field(part, "Content-Type", &value);
    set_type(k, value.p);
    mime_parameter(&k->charset, value.p, "charset");
    mime_parameter(&k->boundary, value.p, "boundary");
    mime_parameter(&k->name, value.p, "name");
    mime_parameter(&word, value.p, "format");
    k->flowed = !strcasecmp(word.p, "flowed");
    mime_parameter(&word, value.p, "delsp");
    k->delsp = !strcasecmp(word.p, "yes");
    raw_field(part, "Content-Transfer-Encoding", &value);
    k->transfer = transfer_of(value.p);
    raw_field(part, "Content-Disposition", &value);
    k->attachment = !strncasecmp(value.p, "attachment", 10);
    mime_parameter(&word, value.p, "filename");
    if (word.len) {
        buf_clear(&k->name);
        buf_add(&k->name, word.p, word.len);
    }
    buf_release(&value);
    buf_release(&word);
}

int mime_decode(struct buf *out, const struct mime_part *part, const struct mime_kind *kind,
                struct err *err)
{
    switch (kind->transfer) {
    case 'b':
        mime_base64(out, part->body, part->body_len);
        return 0;
    case 'q':
        mime_quoted_printable(out, part->body, part->body_len);
        return 0;
    case 0:
        buf_add(out, part->body, part->body_len);
        return 0;
    default:
        return err_set(err, "its Content-Transfer-Encoding is none of base64, quoted-printable, "
                            "7bit, 8bit, binary");
    }
}

void mime_parts_init(struct mime_parts *parts, const struct mime_part *multipart,
                     const struct mime_kind *kind, bool inner)
{
    *parts = (struct mime_parts){multipart->body, multipart->body + multipart->body_len,
                                 &kind->boundary, false, inner};
}

/* Finds the next line "--boundary" or "--boundary--" from p on, where a line begins. */
static const char *find_delimiter(const struct mime_parts *parts, const char *p, size_t *len,
                                  bool *last)
{
    size_t want = parts->boundary->len + 2, n;
    for (; p < parts->end; p += n) {
        const char *dash = p;
        n = line_len(p, parts->end);
        if (n < want || memcmp(dash, "--", 2) != 0 ||
            memcmp(dash + 2, parts->boundary->p, parts->boundary->len) != 0)
            continue;
        size_t at = want;
        *last = n - at >= 2 && !memcmp(dash + at, "--", 2);
        at += *last ? 2 : 0;
        while (at < n && is_blank(dash[at]))
            at++;
        if (at == n || *last) { /* some write the epilogue right behind the end */
            *len = n;
            return p;
        }
    }
    return NULL;
}

int mime_parts_next(struct mime_parts *parts, struct mime_part *part, struct err *err)
{
    size_t len;
    bool last = false;
    if (!parts->boundary->len)
        return err_set(err, "a multipart without a boundary");
    if (!parts->begun) {
        const char *first = find_delimiter(parts, parts->p, &len, &last);
        if (!first)
            return parts->inner ? 0 : err_set(err, "a multipart in which no part begins");
        parts->begun = true;
        parts->p = last ? NULL : first + len;
    }
    if (!parts->p)
        return 0;
    const char *start = parts->p, *end = find_delimiter(parts, start, &len, &last);
    if (!end && !parts->inner)
        return err_set(err, "cut off: its last part has no end");
    parts->p = !end || last ? NULL : end + len;
    if (!end)
        end = parts->end;
    /* The newline before a delimiter belongs to the delimiter. */
    if (end > start && end[-1] == '\n')
        end--;
    if (end > start && end[-1] == '\r')
        end--;
    mime_split(part, start, (size_t)(end - start));
    return 1;
}

/* RFC 3676, section 4: a line that ends in a blank goes on in the next of the same depth of quotes;
 * "-- " above a signature does not. */
void mime_unfold(struct buf *text, bool delsp)
{
    struct buf out = BUF_INIT;
    const char *end = text->p + text->len;
    size_t n, depth_before = 0;
    bool goes_on = false;
    for (const char *p = text->p; p < end; p += n) {
        n = line_len(p, end);
        size_t len = n - (p[n - 1] == '\n'), depth = 0;
        while (depth < len && p[depth] == '>')
            depth++;
        size_t at = depth + (depth < len && p[depth] == ' '); /* space-stuffed */
        bool signature = len - at == 3 && !memcmp(p + at, "-- ", 3);
        if (out.len && !(goes_on && depth == depth_before && !signature)) {
            if (goes_on && out.p[out.len - 1] == ' ')
                out.len--;
            buf_addch(&out, '\n');
            goes_on = false;
        }
        if (!goes_on)
            buf_add(&out, p, depth + (depth > 0 && at > depth));
        goes_on = len > at && p[len - 1] == ' ' && !signature;
        buf_add(&out, p + at, len - at - (goes_on && delsp));
        depth_before = depth;
    }
    if (text->len && text->p[text->len - 1] == '\n')
        buf_addch(&out, '\n');
    buf_release(text);
    *text = out;
}
