#include "text/mime_words.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "text/base64.h"
#include "text/encoding.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "XX" stands for; -1 for anything else. */
static int hex_byte(const char *p, size_t len)
{
    if (len < 2 || hex_digit(p[0]) < 0 || hex_digit(p[1]) < 0)
        return -1;
    return hex_digit(p[0]) * 16 + hex_digit(p[1]);
}

void mime_base64(struct buf *out, const char *p, size_t len)
{
    uint32_t bits = 0;
    int n_bits = 0;
    buf_reserve(out, len / 4 * 3 + 3);
    for (size_t i = 0; i < len; i++) {
        int digit = base64_digit(p[i]);
        if (p[i] == '=')
            n_bits = 0; /* the end, unless texts that were encoded apart follow each other */
        if (digit < 0)
            continue;
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            buf_addch(out, (char)(bits >> n_bits & 0xff));
        }
    }
}

void mime_quoted_printable(struct buf *out, const char *p, size_t len)
{
    size_t n;
    for (size_t start = 0; start < len; start += n) {
        const char *newline = memchr(p + start, '\n', len - start);
        n = newline ? (size_t)(newline - p) - start + 1 : len - start;
        size_t end = start + n;
        while (end > start && (p[end - 1] == ' ' || p[end - 1] == '\t' || p[end - 1] == '\r' ||
                               p[end - 1] == '\n'))
            end--; /* white space at a line's end was added on the way */
        bool soft = end > start && p[end - 1] == '=';
        end -= soft;
        for (size_t i = start; i < end; i++) {
            int byte = p[i] == '=' ? hex_byte(p + i + 1, end - i - 1) : -1;
            buf_addch(out, byte >= 0 ? (char)byte : p[i]);
            i += byte >= 0 ? 2 : 0;
        }
        if (!soft && newline)
            buf_addch(out, '\n');
    }
}

/* "=?charset?q?text?=" at p: its length, 0 if it is none. */
static size_t encoded_word(const char *p, size_t len, struct buf *charset, struct buf *bytes)
{
    enum { LONGEST = 4096 }; /* RFC 2047 says 75, and nobody obeys */
    const char *end = p + (len < LONGEST ? len : LONGEST);
    if (len < 8 || memcmp(p, "=?", 2) != 0)
        return 0;
    const char *label = p + 2, *mark = memchr(label, '?', (size_t)(end - label));
    if (!mark || mark == label || end - mark < 4 || mark[2] != '?')
        return 0;
    char how = (char)(mark[1] | 0x20);
    const char *text = mark + 3, *stop = memmem(text, (size_t)(end - text), "?=", 2);
    if ((how != 'q' && how != 'b') || !stop)
        return 0;
    const char *language = memchr(label, '*', (size_t)(mark - label)); /* RFC 2231, section 5 */
    buf_clear(charset);
    buf_add(charset, label, (size_t)((language ? language : mark) - label));
    buf_clear(bytes);
    if (how == 'b')
        mime_base64(bytes, text, (size_t)(stop - text));
    for (const char *c = text; how == 'q' && c < stop; c++) {
        int byte = *c == '=' ? hex_byte(c + 1, (size_t)(stop - c - 1)) : -1;
        buf_addch(bytes, byte >= 0 ? (char)byte : *c == '_' ? ' ' : *c);
        c += byte >= 0 ? 2 : 0;
    }
    return (size_t)(stop - p) + 2;
}

/* Bytes that are waiting to be converted together. */
static void flush(struct buf *out, struct buf *pending, const struct buf *charset)
{
    encoding_decode(out, pending->p, pending->len, charset->len ? charset->p : NULL, NULL, NULL);
    buf_clear(pending);
}

/* A value is one line; what would end it or steer a terminal is a blank. */
static void blank_controls(struct buf *out, size_t from)
{
    for (size_t i = from; i < out->len; i++)
        if ((unsigned char)out->p[i] < 0x20 || out->p[i] == 0x7f)
            out->p[i] = ' ';
}

void mime_words_decode(struct buf *out, const char *p, size_t len)
{
    struct buf pending = BUF_INIT, charset = BUF_INIT, label = BUF_INIT, bytes = BUF_INIT;
    size_t start = out->len;
    for (size_t i = 0; i < len;) {
        size_t n = encoded_word(p + i, len - i, &label, &bytes);
        if (n) {
            if (strcasecmp(label.p, charset.p) != 0) {
                flush(out, &pending, &charset);
                buf_clear(&charset);
                buf_addstr(&charset, label.p);
            }
            buf_add(&pending, bytes.p, bytes.len);
            i += n;
            size_t space = i;
            while (space < len && p[space] == ' ')
                space++;
            if (encoded_word(p + space, len - space, &label, &bytes))
                i = space; /* between two encoded words it is no text */
            continue;
        }
        if (charset.len) {
            flush(out, &pending, &charset);
            buf_clear(&charset);
        }
        buf_addch(&pending, p[i++]);
    }
    flush(out, &pending, &charset);
    blank_controls(out, start);
    buf_release(&pending);
    buf_release(&charset);
    buf_release(&label);
    buf_release(&bytes);
}

/* One "name=value" of a field: views but for the value, whose quotes are taken off. */
struct parameter {
    const char *name;
    size_t name_len;
    struct buf value;
};

/* Reads the parameter at *at, which is behind a ';'. False at the end. */
static bool next_parameter(const char **at, struct parameter *out)
{
    const char *p = *at + strspn(*at, " \t;");
    if (!*p)
        return false;
    out->name = p;
    p += strcspn(p, "=; \t");
    out->name_len = (size_t)(p - out->name);
    p += strspn(p, " \t");
    buf_clear(&out->value);
    if (*p == '=') {
        p++;
        p += strspn(p, " \t");
        if (*p == '"') {
            for (p++; *p && *p != '"'; p++) {
                if (*p == '\\' && p[1])
                    p++;
                buf_addch(&out->value, *p);
            }
        } else {
            size_t n = strcspn(p, ";");
            buf_add(&out->value, p, n);
            while (out->value.len && out->value.p[out->value.len - 1] == ' ')
                out->value.p[--out->value.len] = 0;
        }
    }
    p += strcspn(p, ";");
    *at = p;
    return true;
}

/* Appends "%C3%BC" or, where it isn't extended, text as it is. */
static void add_extended(struct buf *out, const char *p, bool extended)
{
    for (; *p; p++) {
        int byte = extended && *p == '%' ? hex_byte(p + 1, strlen(p + 1)) : -1;
        buf_addch(out, byte > 0 ? (char)byte : *p);
        p += byte > 0 ? 2 : 0;
    }
}

/* Takes "charset'language'" off the value of name*= or name*0*=. */
static const char *take_charset(const char *value, struct buf *charset)
{
    const char *first = strchr(value, '\''), *second = first ? strchr(first + 1, '\'') : NULL;
    if (!second)
        return value;
    buf_clear(charset);
    buf_add(charset, value, (size_t)(first - value));
    return second + 1;
}

/* name, name*, name*3 or name*3*: 0 is the whole value or its first piece; -1: another name. */
static int piece_of(const struct parameter *p, const char *name, bool *extended, bool *whole)
{
    size_t n = strlen(name);
    if (p->name_len < n || strncasecmp(p->name, name, n) != 0)
        return -1;
    const char *rest = p->name + n, *end = p->name + p->name_len;
    int piece = 0;
    *extended = end > rest && end[-1] == '*';
    *whole = rest == end || rest + 1 == end;
    if (rest == end)
        return 0;
    if (*rest++ != '*')
        return -1;
    for (; rest < end - *extended; rest++) {
        if (*rest < '0' || *rest > '9' || piece > 999)
            return -1;
        piece = piece * 10 + *rest - '0';
    }
    return piece;
}

void mime_parameter(struct buf *out, const char *field, const char *name)
{
    struct parameter p = {.value = BUF_INIT};
    struct buf bytes = BUF_INIT, charset = BUF_INIT, plain = BUF_INIT;
    const char *at = field + strcspn(field, ";");
    int expected = 0;
    bool extended, whole;
    buf_clear(out);
    while (next_parameter(&at, &p)) {
        int piece = piece_of(&p, name, &extended, &whole);
        if (piece < 0)
            continue;
        if (whole && !extended) {
            if (!plain.len)
                mime_words_decode(&plain, p.value.p,
                                  p.value.len); /* against the rules, but usual */
        } else if (piece == expected) {
            const char *value = extended && !piece ? take_charset(p.value.p, &charset) : p.value.p;
            add_extended(&bytes, value, extended);
            expected++;
        }
    }
    if (bytes.len)
        flush(out, &bytes, &charset);
    else
        buf_add(out, plain.p, plain.len);
    blank_controls(out, 0);
    buf_release(&p.value);
    buf_release(&bytes);
    buf_release(&charset);
    buf_release(&plain);
}
