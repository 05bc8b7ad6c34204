#include "text/onig.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"
#include "text/unicode_versions.h"

/* What stands for a shorthand inside a class. Both take white space and \w by other Unicode data.
 */
#define SPACE                                                                                      \
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"                 \
    "\\x{202f}\\x{205f}\\x{3000}"
#define NOT_SPACE                                                                                  \
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}"                          \
    "\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}"                 \
    "\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"
#define CIRCLED "\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
#define LATIN_NUMBERS "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define HEX "0-9a-fA-F"
#define NOT_HEX "\\x00-/:-@G-`g-\\x{10ffff}"

struct translation {
    struct buf *out;
    const char *p, *end;
    bool in_class;
    struct err *err;
};

static int refuse(struct translation *t, const char *what)
{
    return err_set(t->err, "%s is not supported", what);
}

/* Adds the characters of a general category, or a group of them, that PCRE2 may not know yet. */
static void add_news(struct buf *out, const char *category, size_t len)
{
    for (size_t i = 0; i < n_unicode_additions; i++) {
        const struct unicode_addition *a = &unicode_additions[i];
        if (!strncmp(a->category, category, len))
            buf_addf(out, "\\x{%x}-\\x{%x}", a->first, a->last);
    }
}

static void add_word(struct buf *out)
{
    buf_addstr(out, "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}" CIRCLED);
    add_news(out, "L", 1);
    add_news(out, "M", 1);
    add_news(out, "Nd", 2);
}

static void open_class(struct translation *t, bool negated)
{
    if (!t->in_class)
        buf_addstr(t->out, negated ? "[^" : "[");
}

static void close_class(struct translation *t)
{
    if (!t->in_class)
        buf_addch(t->out, ']');
}

/* \p{..} or \P{..}, at t->p behind the letter. */
static int translate_property(struct translation *t, bool negated)
{
    const char *close =
        t->p < t->end && *t->p == '{' ? memchr(t->p, '}', (size_t)(t->end - t->p)) : NULL;
    if (!close)
        return refuse(t, "\\p without {}");
    const char *name = t->p + 1;
    size_t len = (size_t)(close - name);
    t->p = close + 1;
    if (len && *name == '^') {
        negated = !negated;
        name++;
        len--;
    }
    bool category = len && len <= 2 && strchr("LMNPSZC", *name);
    if (!category || (negated && t->in_class)) {
        buf_addf(t->out, "\\%c{%.*s}", negated ? 'P' : 'p', (int)len, name);
        return 0;
    }
    open_class(t, negated);
    buf_addf(t->out, "\\p{%.*s}", (int)len, name);
    add_news(t->out, name, len);
    close_class(t);
    return 0;
}

static bool is_word(uint32_t c)
{
    return unicode_is_word(c) && c != 0x200c && c != 0x200d; /* Rust's has the joiners too */
}

static bool is_digit(uint32_t c)
{
    return !strcmp(unicode_category(c), "Nd");
}

/* All characters but those of a set. */
static void add_complement(struct buf *out, bool (*is_in)(uint32_t c))
{
    const uint32_t end = 0x110000;
    uint32_t first = 0;
    for (uint32_t c = 0; c <= end; c++) {
        if (c < end && !is_in(c))
            continue;
        if (c > first)
            buf_addf(out, "\\x{%x}-\\x{%x}", first, c - 1);
        first = c + 1;
    }
}

/* \w and \W. Latin-1's numbers are of a word, but not in a class. */
static void translate_word(struct translation *t, bool negated)
{
    open_class(t, negated);
    if (negated && t->in_class)
        add_complement(t->out, is_word);
    else
        add_word(t->out);
    if (!t->in_class)
        buf_addstr(t->out, LATIN_NUMBERS);
    close_class(t);
}

static void translate_digit(struct translation *t, bool negated)
{
    open_class(t, negated);
    if (negated && t->in_class) {
        add_complement(t->out, is_digit);
    } else {
        buf_addstr(t->out, "\\p{Nd}");
        add_news(t->out, "Nd", 2);
    }
    close_class(t);
}

/* Where a word begins or ends. */
static int translate_boundary(struct translation *t, bool negated)
{
    struct buf word = BUF_INIT;
    if (t->in_class) {
        buf_addstr(t->out, negated ? "B" : "\\x08");
        return 0;
    }
    add_word(&word);
    buf_addstr(&word, LATIN_NUMBERS);
    buf_addf(t->out,
             negated ? "(?:(?<=[%s])(?=[%s])|(?<![%s])(?![%s]))"
                     : "(?:(?<=[%s])(?![%s])|(?<![%s])(?=[%s]))",
             word.p, word.p, word.p, word.p);
    buf_release(&word);
    return 0;
}

static int translate_set(struct translation *t, const char *set, const char *complement,
                         bool negated)
{
    open_class(t, negated);
    buf_addstr(t->out, negated && t->in_class ? complement : set);
    close_class(t);
    return 0;
}

/* \uHHHH */
static int translate_code_point(struct translation *t)
{
    if (t->end - t->p < 4)
        return refuse(t, "\\u without four digits");
    for (int i = 0; i < 4; i++)
        if (!isxdigit((unsigned char)t->p[i]))
            return refuse(t, "\\u without four digits");
    buf_addf(t->out, "\\x{%.4s}", t->p);
    t->p += 4;
    return 0;
}

static int translate_escape(struct translation *t)
{
    char name[] = "\\?", c;
    if (++t->p == t->end)
        return refuse(t, "a \\ at the end");
    switch (c = *t->p++) {
    case 's':
    case 'S':
        return translate_set(t, SPACE, NOT_SPACE, c == 'S');
    case 'd':
    case 'D':
        translate_digit(t, c == 'D');
        return 0;
    case 'w':
    case 'W':
        translate_word(t, c == 'W');
        return 0;
    case 'h':
    case 'H':
        return translate_set(t, HEX, NOT_HEX, c == 'H');
    case 'b':
    case 'B':
        return translate_boundary(t, c == 'B');
    case 'p':
    case 'P':
        return translate_property(t, c == 'P');
    case 'u':
        return translate_code_point(t);
    default:
        /* These two read differently, or PCRE2 alone has them. */
        name[1] = c;
        if (strchr("CEHKLNOQRUXgkMyYc", c))
            return refuse(t, name);
        buf_addch(t->out, '\\');
        buf_addch(t->out, c);
        return 0;
    }
}

/* An interval {n,m}; one without n begins at 0. A + behind it repeats it (in PCRE2 it would be
 * possessive), which comes to {n,} where n is at most 1. */
static int translate_interval(struct translation *t)
{
    const char *p = t->p + 1, *low = p;
    while (p < t->end && isdigit((unsigned char)*p))
        p++;
    size_t low_len = (size_t)(p - low);
    bool comma = p < t->end && *p == ',';
    const char *high = p += comma;
    while (p < t->end && isdigit((unsigned char)*p))
        p++;
    if (p == t->end || *p != '}' || (!low_len && p == high)) {
        buf_addstr(t->out, "\\{"); /* a brace like any other */
        t->p++;
        return 0;
    }
    bool repeated = p + 1 < t->end && p[1] == '+';
    if (repeated && low_len && (low_len > 1 || *low > '1'))
        return refuse(t, "{n,m}+ with n above 1");
    if (repeated && !comma)
        buf_addf(t->out, "%s", *low == '0' ? "{0}" : "+");
    else if (repeated)
        buf_addf(t->out, "{%c,}", low_len ? *low : '0');
    else
        buf_addf(t->out, "{%.*s%s%.*s}", low_len ? (int)low_len : 1, low_len ? low : "0",
                 comma ? "," : "", (int)(p - high), high);
    t->p = p + 1 + repeated;
    return 0;
}

/* (?imx-imx) and (?imx-imx:...): m means what s does in PCRE2. */
static int check_group(struct translation *t)
{
    const char *p = t->p + 2;
    if (p >= t->end || t->p[1] != '?')
        return 0;
    if (*p == '~' || *p == '@' || *p == '(')
        return refuse(t, "(?~, (?@ or (?(");
    while (p < t->end && (isalpha((unsigned char)*p) || *p == '-')) {
        if (*p != 'i' && *p != 'x' && *p != '-')
            return refuse(t, "an option but i and x");
        p++;
    }
    return 0;
}

static int translate_class_start(struct translation *t)
{
    t->in_class = true;
    buf_addch(t->out, *t->p++);
    if (t->p < t->end && *t->p == '^')
        buf_addch(t->out, *t->p++);
    if (t->p < t->end && *t->p == ']') {
        buf_addstr(t->out, "\\]");
        t->p++;
    }
    return 0;
}

static int translate_in_class(struct translation *t)
{
    if (*t->p == ']') {
        t->in_class = false;
    } else if (*t->p == '[') {
        return refuse(t, "[ in a class");
    } else if (*t->p == '&' && t->p + 1 < t->end && t->p[1] == '&') {
        return refuse(t, "&&");
    }
    buf_addch(t->out, *t->p++);
    return 0;
}

int onig_to_pcre2(struct buf *out, const char *pattern, size_t len, struct err *err)
{
    struct translation t = {out, pattern, pattern + len, false, err};
    while (t.p < t.end) {
        int rc = 0;
        if (*t.p == '\\')
            rc = translate_escape(&t);
        else if (t.in_class)
            rc = translate_in_class(&t);
        else if (*t.p == '[')
            rc = translate_class_start(&t);
        else if (*t.p == '{')
            rc = translate_interval(&t);
        else if (*t.p == '(' && check_group(&t))
            rc = -1;
        else
            buf_addch(out, *t.p++);
        if (rc)
            return -1;
    }
    return 0;
}
