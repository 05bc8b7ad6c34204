#include "formats/json_strings.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { LONG = 64 }; /* bytes between the quotes */

/* What stands for a long string begins with U+0000, which no other string of the text may. */
#define MARK "\\u0000"
#define MARK_LEN (sizeof MARK - 1)

void json_strings_init(struct json_strings *s)
{
    *s = (struct json_strings){.n = 0};
    buf_init(&s->text);
    buf_init(&s->bytes);
}

void json_strings_release(struct json_strings *s)
{
    buf_release(&s->text);
    buf_release(&s->bytes);
    free(s->spans);
    json_strings_init(s);
}

/* The quote that ends the string whose first byte is p[i]; NULL if there is none. */
static const char *closing_quote(const char *p, const char *end)
{
    for (const char *quote = p; (quote = memchr(quote, '"', (size_t)(end - quote))); quote++) {
        const char *before = quote;
        while (before > p && before[-1] == '\\')
            before--;
        if ((quote - before) % 2 == 0)
            return quote;
    }
    return NULL;
}

static bool has_control(const char *p, size_t len)
{
    uint64_t eight, found = 0;
    size_t i = 0;
    for (; len - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, p + i, sizeof eight);
        found |= (eight - 0x2020202020202020u) & ~eight & 0x8080808080808080u;
    }
    for (; i < len; i++)
        found |= (unsigned char)p[i] < 0x20;
    return found;
}

/* Four hexadecimal digits; UINT32_MAX if they aren't. */
static uint32_t hex4(const char *p, const char *end)
{
    uint32_t value = 0;
    if (end - p < 4)
        return UINT32_MAX;
    for (size_t i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i], letter = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if (letter >= 'a' && letter <= 'f')
            value = value << 4 | (letter - 'a' + 10u);
        else
            return UINT32_MAX;
    }
    return value;
}

/* The character of the \u at p (behind the u), or two of them for one of a higher plane; NULL for
 * half of a pair and what is no number. */
static const char *unescape_unicode(const char *p, const char *end, struct buf *out)
{
    char utf8[4];
    uint32_t c = hex4(p, end);
    if (c >= 0xdc00 && (c <= 0xdfff || c == UINT32_MAX))
        return NULL;
    p += 4;
    if (c >= 0xd800 && c <= 0xdbff) {
        if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
            return NULL;
        uint32_t low = hex4(p + 2, end);
        if (low < 0xdc00 || low > 0xdfff)
            return NULL;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    buf_add(out, utf8, utf8_put(c, utf8));
    return p;
}

/* The escape at p, behind its backslash; NULL where there is none. */
static const char *unescape(const char *p, const char *end, struct buf *out)
{
    static const char letters[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    for (size_t i = 0; p < end && i + 1 < sizeof letters; i += 2)
        if (letters[i] == *p) {
            buf_addch(out, letters[i + 1]);
            return p + 1;
        }
    return p < end && *p == 'u' ? unescape_unicode(p + 1, end, out) : NULL;
}

/* Appends what stands between the quotes. */
static bool decode(struct buf *out, const char *p, const char *end)
{
    if (has_control(p, (size_t)(end - p)) || utf8_valid(p, (size_t)(end - p)) < (size_t)(end - p))
        return false;
    buf_reserve(out, (size_t)(end - p));
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        buf_add(out, p, (size_t)((escape ? escape : end) - p));
        if (!escape)
            break;
        if (!(p = unescape(escape + 1, end, out)))
            return false;
    }
    return true;
}

static bool is_key(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p < end && *p == ':';
}

static bool take_string(struct json_strings *s, const char *p, const char *quote)
{
    size_t start = s->bytes.len;
    if (!decode(&s->bytes, p, quote))
        return false;
    ARRAY_GROW(s->spans, s->n, s->cap);
    s->spans[s->n] = (struct json_span){start, s->bytes.len - start};
    buf_addstr(&s->text, MARK);
    buf_addu(&s->text, s->n++);
    return true;
}

bool json_strings_take(struct json_strings *s, const char *p, size_t len)
{
    const char *end = p + len, *copied = p, *quote;
    if (len < LONG)
        return false;
    while ((quote = memchr(p, '"', (size_t)(end - p)))) {
        const char *first = quote + 1, *last = closing_quote(first, end);
        if (!last)
            return false;
        p = last + 1;
        if (last - first < LONG || is_key(p, end)) {
            if ((size_t)(last - first) >= MARK_LEN && !memcmp(first, MARK, MARK_LEN))
                return false;
            continue;
        }
        buf_add(&s->text, copied, (size_t)(first - copied));
        if (!take_string(s, first, last))
            return false;
        copied = last;
    }
    buf_add(&s->text, copied, (size_t)(end - copied));
    return s->n;
}

void json_strings_give(const struct json_strings *s, json_t *value)
{
    const char *key, *mark;
    json_t *part;
    size_t i;
    if (json_is_object(value)) {
        json_object_foreach(value, key, part) json_strings_give(s, part);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, part) json_strings_give(s, part);
    } else if (json_is_string(value) && json_string_length(value) && !*json_string_value(value)) {
        mark = json_string_value(value) + 1;
        const struct json_span *span = &s->spans[strtoul(mark, NULL, 10)];
        json_string_setn_nocheck(value, s->bytes.p + span->start, span->len);
    }
}
