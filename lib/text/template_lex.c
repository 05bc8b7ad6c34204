/*
 * The lexer, after jinja2's: text is data until a tag opens; whitespace beside tags goes or stays
 * by trim_blocks, lstrip_blocks and the signs - and +.
 */
#include "text/template_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_BRACKETS = 256 };

struct lexer {
    struct limits *l;
    const char *p, *end; /* the source that is left */
    const char *start;
    struct token *tokens;
    size_t n, cap;
    char brackets[MAX_BRACKETS]; /* closing ones that are waited for */
    size_t n_brackets;
};

static struct token *add_token(struct lexer *x, enum token_type type, const char *p, size_t len)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? 2 * x->cap : 64;
        struct token *tokens = arena_alloc(x->l, cap, sizeof *tokens);
        if (x->n)
            memcpy(tokens, x->tokens, x->n * sizeof *tokens);
        x->tokens = tokens;
        x->cap = cap;
    }
    x->tokens[x->n] = (struct token){.type = type, .line = x->l->line, .p = p, .len = len};
    return &x->tokens[x->n++];
}

/* Moves on to `to`, counting lines. */
static void advance(struct lexer *x, const char *to)
{
    for (; x->p < to; x->p++)
        x->l->line += *x->p == '\n';
}

static bool at(const struct lexer *x, const char *p, const char *what)
{
    size_t len = strlen(what);
    return (size_t)(x->end - p) >= len && !memcmp(p, what, len);
}

static const char *skip_space(const struct lexer *x, const char *p)
{
    while (p < x->end) {
        size_t moved = 0;
        if (!is_white_space(utf8_next(p, (size_t)(x->end - p), &moved)))
            break;
        p += moved;
    }
    return p;
}

/* The end of a tag that closes here by `close` ("%}", "#}" or "}}"): where the text goes on; NULL
 * if it doesn't close here. */
static const char *tag_end(const struct lexer *x, const char *p, const char *close)
{
    bool variable = *close == '}';
    if (p < x->end && *p == '-' && at(x, p + 1, close))
        return skip_space(x, p + 3);
    if (!variable && p < x->end && *p == '+' && at(x, p + 1, close))
        return p + 3;
    if (!at(x, p, close))
        return NULL;
    p += 2;
    return !variable && p < x->end && *p == '\n' ? p + 1 : p;
}

/* The text before a tag, without the whitespace that the tag takes away on its left. */
static void add_data(struct lexer *x, const char *from, const char *to, char sign, bool variable)
{
    const char *keep = to;
    if (sign == '-') {
        keep = from; /* the end of the last character that is no space */
        for (const char *p = from; p < to;) {
            size_t moved = 0;
            bool space = is_white_space(utf8_next(p, (size_t)(to - p), &moved));
            p += moved;
            if (!space)
                keep = p;
        }
    } else if (sign != '+' && !variable) {
        const char *line = to;
        while (line > from && line[-1] != '\n')
            line--;
        if (line > from || from == x->start || from[-1] == '\n') {
            const char *p = line;
            while (p < to) {
                size_t moved = 0;
                if (!is_white_space(utf8_next(p, (size_t)(to - p), &moved)))
                    break;
                p += moved;
            }
            if (p == to)
                keep = line;
        }
    }
    if (keep > from)
        add_token(x, T_DATA, from, (size_t)(keep - from));
}

static void lex_comment(struct lexer *x, const char *p)
{
    for (const char *q = p; q < x->end; q++) {
        const char *after = *q == '-' || *q == '+' || *q == '#' ? tag_end(x, q, "#}") : NULL;
        if (after) {
            advance(x, after);
            return;
        }
    }
    template_fail(x->l, "missing end of comment tag");
}

/* The text up to {% endraw %}. */
static void lex_raw(struct lexer *x)
{
    const char *from = x->p;
    for (const char *q = from; q < x->end; q++) {
        if (!at(x, q, "{%"))
            continue;
        const char *p = q + 2;
        char sign = p < x->end && (*p == '-' || *p == '+') ? *p++ : 0;
        p = skip_space(x, p);
        if (!at(x, p, "endraw"))
            continue;
        p = tag_end(x, skip_space(x, p + 6), "%}");
        if (!p)
            continue;
        add_data(x, from, q, sign, false);
        advance(x, p);
        return;
    }
    template_fail(x->l, "missing end of raw directive");
}

/* After "{%" and its sign: where the text begins if this is {% raw %}; NULL if it isn't. */
static const char *raw_begin(const struct lexer *x, const char *p)
{
    p = skip_space(x, p);
    if (!at(x, p, "raw"))
        return NULL;
    p = skip_space(x, p + 3);
    if (at(x, p, "-%}"))
        return skip_space(x, p + 3);
    return at(x, p, "%}") ? p + 2 : NULL;
}

static bool is_name(unsigned char c)
{
    return isalnum(c) || c == '_' || c >= 0x80;
}

static int64_t parse_integer(struct lexer *x, const char *p, const char *end)
{
    char digits[72];
    size_t n = 0;
    for (; p < end; p++)
        if (*p != '_' && n < sizeof digits - 1)
            digits[n++] = *p;
    digits[n] = 0;
    const char *d = digits;
    int base = 10;
    if (d[0] == '0' && d[1]) {
        base = tolower(d[1]) == 'x' ? 16 : tolower(d[1]) == 'o' ? 8 : tolower(d[1]) == 'b' ? 2 : 10;
        d += base == 10 ? 0 : 2;
    }
    char *stop;
    errno = 0;
    long long v = strtoll(d, &stop, base);
    if (errno || *stop || n == sizeof digits - 1)
        template_fail(x->l, "number %s is too large or malformed", digits);
    return v;
}

static const char *skip_digits(const struct lexer *x, const char *p, bool hexadecimal)
{
    while (p < x->end && (hexadecimal ? isxdigit((unsigned char)*p) : isdigit((unsigned char)*p)))
        p++;
    while (p + 1 < x->end && *p == '_' && isalnum((unsigned char)p[1])) {
        p++;
        while (p < x->end &&
               (hexadecimal ? isxdigit((unsigned char)*p) : isdigit((unsigned char)*p)))
            p++;
    }
    return p;
}

/* After the whole part: the end of a fraction and exponent, or p if there is neither. */
static const char *fraction_end(const struct lexer *x, const char *p)
{
    const char *q = p;
    if (q + 1 < x->end && *q == '.' && isdigit((unsigned char)q[1]))
        q = skip_digits(x, q + 1, false);
    if (q < x->end && (*q == 'e' || *q == 'E')) {
        const char *e = q + 1;
        if (e < x->end && (*e == '+' || *e == '-'))
            e++;
        if (e < x->end && isdigit((unsigned char)*e))
            q = skip_digits(x, e, false);
    }
    return q;
}

static const char *lex_number(struct lexer *x, const char *p)
{
    bool prefixed = *p == '0' && p + 1 < x->end && strchr("xXoObB", p[1]);
    const char *whole = prefixed ? skip_digits(x, p + 2, true) : skip_digits(x, p, false);
    const char *end = prefixed ? whole : fraction_end(x, whole);
    bool after_dot = p > x->start && p[-1] == '.'; /* a.0.1 is no float */
    if (end == whole || after_dot) {
        add_token(x, T_INT, p, (size_t)(whole - p))->i = parse_integer(x, p, whole);
        return whole;
    }
    char digits[128];
    size_t n = 0;
    for (const char *q = p; q < end; q++)
        if (*q != '_' && n < sizeof digits - 1)
            digits[n++] = *q;
    digits[n] = 0;
    add_token(x, T_FLOAT, p, (size_t)(end - p))->f = strtod(digits, NULL);
    return end;
}

static uint32_t hex(struct lexer *x, const char *p, const char *end, size_t n)
{
    uint32_t v = 0;
    if ((size_t)(end - p) < n)
        template_fail(x->l, "truncated escape in a string");
    for (size_t i = 0; i < n; i++) {
        if (!isxdigit((unsigned char)p[i]))
            template_fail(x->l, "truncated escape in a string");
        v = v * 16 +
            (uint32_t)(isdigit((unsigned char)p[i]) ? p[i] - '0' : tolower(p[i]) - 'a' + 10);
    }
    if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        template_fail(x->l, "a string has an escape that is no character");
    return v;
}

/* One escape after its backslash, as Python's unicode-escape. Returns where the string goes on. */
static const char *unescape(struct lexer *x, struct builder *b, const char *p, const char *end)
{
    static const char letters[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
    const char *found = *p ? strchr(letters, *p) : NULL;
    if (found) {
        builder_add(b, &values[found - letters], 1, 0);
        return p + 1;
    }
    size_t digits = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
    if (digits) {
        builder_add_codepoint(b, hex(x, p + 1, end, digits), 0);
        return p + 1 + digits;
    }
    if (*p >= '0' && *p <= '7') {
        uint32_t v = 0;
        for (int i = 0; i < 3 && p < end && *p >= '0' && *p <= '7'; i++)
            v = v * 8 + (uint32_t)(*p++ - '0');
        builder_add_codepoint(b, v, 0);
        return p;
    }
    if (*p == 'N')
        template_fail(x->l, "\\N{} in a string is not supported");
    if (*p == '\n')
        return p + 1;
    builder_add(b, "\\", 1, 0);
    return p;
}

static const char *lex_string(struct lexer *x, const char *p)
{
    const char *end = p + 1;
    while (end < x->end && *end != *p)
        end += *end == '\\' && end + 1 < x->end ? 2 : 1;
    if (end >= x->end)
        template_fail(x->l, "a string has no end");
    struct builder b;
    builder_init(&b, x->l);
    for (const char *q = p + 1; q < end;) {
        const char *stop = memchr(q, '\\', (size_t)(end - q));
        stop = stop ? stop : end;
        builder_add(&b, q, (size_t)(stop - q), 0);
        q = stop < end ? unescape(x, &b, stop + 1, end) : end;
    }
    struct token *t = add_token(x, T_STRING, p, (size_t)(end + 1 - p));
    t->s = builder_str(&b);
    return end + 1;
}

static const char *lex_operator(struct lexer *x, const char *p)
{
    static const char *const two[] = {"//", "**", "==", "!=", ">=", "<="};
    static const char opening[] = "([{", closing[] = ")]}";
    for (size_t i = 0; i < ARRAY_SIZE(two); i++)
        if (at(x, p, two[i])) {
            add_token(x, T_OPERATOR, p, 2);
            return p + 2;
        }
    if (!*p || !strchr("+-/*%~[](){}><=.:|,;", *p))
        template_fail(x->l, "unexpected character '%c'", isprint((unsigned char)*p) ? *p : '?');
    const char *open = strchr(opening, *p);
    if (open) {
        if (x->n_brackets == MAX_BRACKETS)
            template_fail(x->l, "brackets nested more than %d deep", MAX_BRACKETS);
        x->brackets[x->n_brackets++] = closing[open - opening];
    } else if (strchr(closing, *p)) {
        if (!x->n_brackets)
            template_fail(x->l, "unexpected '%c'", *p);
        if (x->brackets[--x->n_brackets] != *p)
            template_fail(x->l, "unexpected '%c', expected '%c'", *p, x->brackets[x->n_brackets]);
    }
    add_token(x, T_OPERATOR, p, 1);
    return p + 1;
}

/* The inside of {% %} or {{ }}. */
static void lex_tag(struct lexer *x, const char *close, enum token_type end_type)
{
    x->n_brackets = 0;
    for (;;) {
        advance(x, skip_space(x, x->p));
        if (x->p >= x->end)
            template_fail(x->l, "unexpected end of template, expected '%s'", close);
        const char *after = x->n_brackets ? NULL : tag_end(x, x->p, close);
        if (after) {
            add_token(x, end_type, x->p, 2);
            advance(x, after);
            return;
        }
        const char *p = x->p;
        if (isdigit((unsigned char)*p)) {
            p = lex_number(x, p);
        } else if (is_name((unsigned char)*p)) {
            while (p < x->end && is_name((unsigned char)*p))
                p++;
            add_token(x, T_NAME, x->p, (size_t)(p - x->p));
        } else if (*p == '"' || *p == '\'') {
            p = lex_string(x, p);
        } else {
            p = lex_operator(x, p);
        }
        advance(x, p);
    }
}

/* Data up to the next tag, and the tag. */
static void lex_next(struct lexer *x)
{
    const char *from = x->p, *open = from;
    while (open < x->end && !(*open == '{' && open + 1 < x->end && strchr("{%#", open[1])))
        open++;
    if (open == x->end) {
        add_token(x, T_DATA, from, (size_t)(open - from));
        x->p = open;
        return;
    }
    char kind = open[1], sign = 0;
    const char *p = open + 2;
    if (p < x->end && (*p == '-' || *p == '+'))
        sign = *p++;
    add_data(x, from, open, sign, kind == '{');
    if (kind == '#') {
        advance(x, open);
        lex_comment(x, p);
        return;
    }
    const char *raw = kind == '%' ? raw_begin(x, p) : NULL;
    advance(x, open);
    if (raw) {
        advance(x, raw);
        lex_raw(x);
        return;
    }
    add_token(x, kind == '%' ? T_BLOCK_BEGIN : T_VARIABLE_BEGIN, open, 2);
    advance(x, p);
    lex_tag(x, kind == '%' ? "%}" : "}}", kind == '%' ? T_BLOCK_END : T_VARIABLE_END);
}

struct token *template_lex(struct limits *l, const char *source, size_t len, size_t *n)
{
    struct lexer x = {.l = l, .p = source, .end = source + len, .start = source};
    l->line = 1;
    while (x.p < x.end)
        lex_next(&x);
    add_token(&x, T_END, x.end, 0);
    *n = x.n;
    return x.tokens;
}
