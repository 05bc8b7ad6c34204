/* Strings as Python changes them: case, stripping, replacing, splitting into lines. */
#include "text/template_internal.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum letter_case { UPPER, LOWER, TITLE, SAME };

static bool is_category(uint32_t c, utf8proc_category_t category)
{
    return utf8proc_category((utf8proc_int32_t)c) == category;
}

/* Upper case of one character; a few small letters (ß, ligatures) become several, which are the
 * capitals of their full case folding. */
static void add_upper(struct builder *b, uint32_t c, bool title, origin o)
{
    utf8proc_int32_t folded[8];
    uint32_t upper = (uint32_t)(title ? utf8proc_totitle((utf8proc_int32_t)c)
                                      : utf8proc_toupper((utf8proc_int32_t)c));
    utf8proc_ssize_t n = 0;
    if (c >= 0x80 && is_category(c, UTF8PROC_CATEGORY_LL)) {
        int boundary = 0;
        n = utf8proc_decompose_char((utf8proc_int32_t)c, folded, 8, UTF8PROC_CASEFOLD, &boundary);
    }
    if (n < 2) {
        builder_add_codepoint(b, upper, o);
        return;
    }
    bool capital = true; /* a title has one capital, its first letter with case */
    for (utf8proc_ssize_t i = 0; i < n && i < 8; i++) {
        uint32_t up = (uint32_t)utf8proc_toupper(folded[i]);
        builder_add_codepoint(b, capital ? up : (uint32_t)folded[i], o);
        capital = !title || (capital && up == (uint32_t)folded[i]);
    }
}

static bool is_cased(uint32_t c)
{
    return is_category(c, UTF8PROC_CATEGORY_LU) || is_category(c, UTF8PROC_CATEGORY_LL) ||
           is_category(c, UTF8PROC_CATEGORY_LT);
}

/* Whether the sigma that ends before `at` ends a word, where its small form is another one. */
static bool is_final_sigma(const struct str *s, size_t at, bool after_letter)
{
    while (at < s->len) {
        uint32_t c = utf8_next(s->p, s->len, &at);
        if (is_category(c, UTF8PROC_CATEGORY_MN) || c == '\'' || c == 0xad || c == 0x2019)
            continue;
        return after_letter && !is_cased(c);
    }
    return after_letter;
}

static void add_lower(struct builder *b, uint32_t c, bool final_sigma, origin o)
{
    if (c == 0x130) { /* the dotted capital I keeps its dot */
        builder_add_codepoint(b, 'i', o);
        builder_add_codepoint(b, 0x307, o);
    } else if (c == 0x3a3) {
        builder_add_codepoint(b, final_sigma ? 0x3c2 : 0x3c3, o);
    } else {
        builder_add_codepoint(b, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c), o);
    }
}

/* Where a word of Jinja's title filter begins: behind -, space, ( { [ or <. */
static bool separates_words(uint32_t c)
{
    return is_white_space(c) || (c && c < 0x80 && strchr("-({[<", (int)c));
}

/* What becomes of c; `first` of all, `cased`: the character before has case, `inside` a word. */
static enum letter_case wanted_case(enum recase rule, uint32_t c, bool first, bool cased,
                                    bool inside)
{
    switch (rule) {
    case RECASE_UPPER:
        return UPPER;
    case RECASE_LOWER:
        return LOWER;
    case RECASE_CAPITALIZE:
        return first ? TITLE : LOWER;
    case RECASE_TITLE:
        return cased ? LOWER : TITLE;
    case RECASE_WORDS:
        return inside ? LOWER : UPPER;
    default:
        return is_category(c, UTF8PROC_CATEGORY_LU)   ? LOWER
               : is_category(c, UTF8PROC_CATEGORY_LL) ? UPPER
                                                      : SAME;
    }
}

const struct str *str_recase(struct limits *l, const struct str *s, enum recase rule)
{
    struct builder b;
    bool cased = false, inside = false, after_letter = false;
    builder_init(&b, l);
    if (!s->len)
        return s;
    for (size_t at = 0; at < s->len;) {
        origin o = str_origin_at(s, at);
        size_t from = at;
        uint32_t c = utf8_next(s->p, s->len, &at);
        enum letter_case to = wanted_case(rule, c, from == 0, cased, inside);
        if (to == LOWER)
            add_lower(&b, c, c == 0x3a3 && is_final_sigma(s, at, after_letter), o);
        else if (to == SAME)
            builder_add_codepoint(&b, c, o);
        else
            add_upper(&b, c, to == TITLE, o);
        cased = is_cased(c);
        /* The filter makes a word's first letter large by itself, so it isn't before the others. */
        after_letter = cased && (rule != RECASE_WORDS || inside);
        inside = !separates_words(c);
    }
    return builder_str(&b);
}

const struct str *str_casefold(struct limits *l, const struct str *s)
{
    struct builder b;
    builder_init(&b, l);
    if (!s->len)
        return s;
    for (size_t at = 0; at < s->len;) {
        utf8proc_int32_t folded[8];
        int boundary = 0;
        origin o = str_origin_at(s, at);
        uint32_t c = utf8_next(s->p, s->len, &at);
        utf8proc_ssize_t n =
            utf8proc_decompose_char((utf8proc_int32_t)c, folded, 8, UTF8PROC_CASEFOLD, &boundary);
        for (utf8proc_ssize_t i = 0; i < n && i < 8; i++)
            builder_add_codepoint(&b, (uint32_t)folded[i], o);
    }
    return builder_str(&b);
}

static bool is_stripped(uint32_t c, const struct str *chars)
{
    if (!chars)
        return is_white_space(c);
    for (size_t at = 0; at < chars->len;)
        if (utf8_next(chars->p, chars->len, &at) == c)
            return true;
    return false;
}

/* chars: V_MISSING or None for whitespace. */
const struct str *str_strip(struct limits *l, const struct str *s, struct value chars, bool left,
                            bool right)
{
    const struct str *set = chars.type == V_STRING ? chars.s : NULL;
    size_t from = 0, to = s->len;
    spend(l, 1 + (set ? set->len / 16 * s->len : 0));
    if (!set && chars.type != V_MISSING && chars.type != V_NONE)
        template_fail(l, "strip arg must be None or str");
    while (left && from < to) {
        size_t next = from;
        if (!is_stripped(utf8_next(s->p, s->len, &next), set))
            break;
        from = next;
    }
    while (right && to > from) {
        size_t start = to - 1;
        while (start > from && (s->p[start] & 0xc0) == 0x80)
            start--;
        size_t next = start;
        if (!is_stripped(utf8_next(s->p, s->len, &next), set))
            break;
        to = start;
    }
    spend(l, 1 + (s->len - (to - from)) / 16);
    return str_part(l, s, from, to);
}

/* count < 0: all. An empty `old` stands between all characters, as in Python. */
const struct str *str_replace(struct limits *l, const struct str *s, const struct str *old,
                              const struct str *new, int64_t count)
{
    struct builder b;
    size_t at = 0;
    builder_init(&b, l);
    spend(l, 1 + s->len / 16);
    for (; count != 0; count--) {
        size_t found = str_find(s, old, at);
        if (found == SIZE_MAX)
            break;
        if (old->len) {
            builder_add_part(&b, s, at, found);
            builder_add_str(&b, new);
            at = found + old->len;
            continue;
        }
        builder_add_str(&b, new);
        if (at == s->len)
            break;
        size_t next = at;
        utf8_next(s->p, s->len, &next);
        builder_add_part(&b, s, at, next);
        at = next;
    }
    if (!b.p && at == 0)
        return s;
    if (at < s->len)
        builder_add_part(&b, s, at, s->len);
    return builder_str(&b);
}

static bool is_line_end(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

struct value str_splitlines(struct limits *l, const struct str *s, bool keep_ends)
{
    struct value out = value_list(l, LIST_LIST);
    size_t line = 0;
    for (size_t at = 0; at < s->len;) {
        size_t end = at;
        uint32_t c = utf8_next(s->p, s->len, &at);
        if (!is_line_end(c))
            continue;
        if (c == '\r' && at < s->len && s->p[at] == '\n')
            at++;
        list_add(l, out.list, value_str(str_part(l, s, line, keep_ends ? at : end)));
        line = at;
    }
    if (line < s->len)
        list_add(l, out.list, value_str(str_part(l, s, line, s->len)));
    return out;
}

const struct str *str_escape(struct limits *l, const struct str *s)
{
    static const char special[] = "&<>'\"";
    static const char *const entity[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    struct builder b;
    size_t plain = 0;
    builder_init(&b, l);
    for (size_t i = 0; i < s->len; i++) {
        const char *c = s->p[i] ? strchr(special, s->p[i]) : NULL;
        if (!c)
            continue;
        if (plain < i)
            builder_add_part(&b, s, plain, i);
        builder_addz(&b, entity[c - special], str_origin_at(s, i));
        plain = i + 1;
    }
    if (plain < s->len)
        builder_add_part(&b, s, plain, s->len);
    else if (!s->len)
        builder_add_str(&b, s);
    struct str *out = arena_alloc(l, 1, sizeof *out);
    *out = *builder_str(&b);
    out->markup = true;
    return out;
}
