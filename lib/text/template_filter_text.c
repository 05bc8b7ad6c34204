/* Filters that lay text out: words, lines, sizes, attributes. */
#include "text/template_internal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/template_filters.h"
#include "text/template_pprint.h"

/* ---- words ---- */

/* Python's \w. */
static bool is_word(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return c == '_' || (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) ||
           (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO);
}

static struct value filter_wordcount(struct render *r, const struct value *a,
                                     const struct arguments *rest)
{
    const struct str *s = value_to_str(&r->l, a[0]);
    int64_t n = 0;
    bool inside = false;
    (void)rest;
    for (size_t at = 0; at < s->len;) {
        bool word = is_word(utf8_next(s->p, s->len, &at));
        n += word && !inside;
        inside = word;
    }
    return value_int(n);
}

/* ---- lines: Python's textwrap ---- */

/* A line's characters, and where each begins; offsets[n] is its length. */
struct characters {
    uint32_t *c;
    size_t *offsets, n;
};

static struct characters characters_of(struct limits *l, const struct str *s)
{
    struct characters x = {.c = arena_alloc(l, s->len + 1, sizeof *x.c),
                           .offsets = arena_alloc(l, s->len + 1, sizeof *x.offsets)};
    for (size_t at = 0; at < s->len; x.n++) {
        x.offsets[x.n] = at;
        x.c[x.n] = utf8_next(s->p, s->len, &at);
    }
    x.offsets[x.n] = s->len;
    return x;
}

static bool is_blank(uint32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(uint32_t c)
{
    return is_word(c) && utf8proc_category((utf8proc_int32_t)c) != UTF8PROC_CATEGORY_ND;
}

static bool is_word_or_mark(uint32_t c)
{
    return is_word(c) || (c && c < 0x80 && strchr("!\"'&.,?", (int)c));
}

/* Where a dash of two or more hyphens at i, between words, ends; 0 if there is none. */
static size_t dash_end(const struct characters *x, size_t i)
{
    size_t end = i;
    while (end < x->n && x->c[end] == '-')
        end++;
    bool between = i && is_word_or_mark(x->c[i - 1]) && end < x->n && is_word(x->c[end]);
    return between && end - i >= 2 ? end : 0;
}

/* Whether the hyphen at i is one of a word that may be broken behind it. */
static bool breaks_at(const struct characters *x, size_t i)
{
    const uint32_t *c = x->c;
    bool before = (i >= 2 && is_letter(c[i - 2]) && is_letter(c[i - 1])) ||
                  (i >= 3 && is_letter(c[i - 3]) && c[i - 2] == '-' && is_word_or_mark(c[i - 1]));
    size_t next = i + 1;
    if (c[i] != '-' || !before || next >= x->n || !is_letter(c[next]))
        return false;
    next += next + 1 < x->n && c[next + 1] == '-' ? 2 : 1;
    return next < x->n && is_letter(c[next]);
}

/* Where the chunk that begins at i ends: blanks, a dash, or a word or a part of one. */
static size_t chunk_end(const struct characters *x, size_t i, bool on_hyphens)
{
    size_t end = i;
    while (end < x->n && is_blank(x->c[end]))
        end++;
    if (end > i)
        return end;
    if (on_hyphens && dash_end(x, i))
        return dash_end(x, i);
    for (end = i + 1; end < x->n && !is_blank(x->c[end]); end++) {
        if (on_hyphens && breaks_at(x, end))
            return end + 1;
        if (on_hyphens && dash_end(x, end))
            return end;
    }
    return end;
}

struct wrap {
    struct builder *out;
    const struct str *line, *between;
    struct characters x;
    size_t width;
    bool long_words, on_hyphens, any; /* any: a line has been written */
};

/* Characters [from, to) as a line, without blanks at its end. */
static void put_line(struct wrap *w, size_t from, size_t to)
{
    if (w->any)
        builder_add_str(w->out, w->between);
    builder_add_part(w->out, w->line, w->x.offsets[from], w->x.offsets[to]);
    w->any = true;
}

/* Behind what fits of a word that is longer than a line. */
static size_t long_end(const struct wrap *w, size_t from, size_t at, size_t end)
{
    size_t room = w->width - (at - from), cut = at + room;
    if (!w->long_words)
        return at == from ? end : at;
    for (size_t i = cut; w->on_hyphens && i-- > at;)
        if (w->x.c[i] == '-') {
            for (size_t k = at; k < i; k++)
                if (w->x.c[k] != '-')
                    return i + 1;
            break;
        }
    return cut;
}

static bool are_blanks(const struct wrap *w, size_t from, size_t to)
{
    while (from < to && is_white_space(w->x.c[from]))
        from++;
    return from == to;
}

static void wrap_line(struct wrap *w)
{
    size_t at = 0, end = 0; /* the chunk at hand, or what is left of it */
    bool first = true;
    while (at < w->x.n) {
        if (at == end)
            end = chunk_end(&w->x, at, w->on_hyphens);
        if (!first && are_blanks(w, at, end)) {
            at = end;
            continue;
        }
        size_t from = at, last = at; /* the last chunk of the line begins at `last` */
        while (at < w->x.n && end - from <= w->width) {
            last = at;
            at = end;
            if (at < w->x.n)
                end = chunk_end(&w->x, at, w->on_hyphens);
        }
        if (at < w->x.n && end - at > w->width) {
            size_t cut = long_end(w, from, at, end);
            last = w->long_words || cut > at ? at : last; /* an empty piece too, as in Python */
            at = cut;
        }
        size_t to = last < at && are_blanks(w, last, at) ? last : at;
        spend(w->out->l, 1 + (at - from) / 16);
        if (to > from) {
            put_line(w, from, to);
            first = false;
        }
    }
}

static struct value filter_wordwrap(struct render *r, const struct value *a,
                                    const struct arguments *rest)
{
    const struct str *s = want_str(r, a[0], "wordwrap's value");
    const struct list *lines = str_splitlines(&r->l, s, false).list;
    int64_t width = int_or(r, a[1], 79, "width");
    struct builder b;
    struct wrap w = {.out = &b,
                     .between = str_or(r, a[3], "\n", "wrapstring"),
                     .width = (size_t)width,
                     .long_words = truth_or(a[2], true),
                     .on_hyphens = truth_or(a[4], true)};
    (void)rest;
    if (width <= 0)
        template_fail(&r->l, "invalid width %lld (must be > 0)", (long long)width);
    builder_init(&b, &r->l);
    for (size_t i = 0; i < lines->n; i++) {
        if (i)
            builder_add_str(&b, w.between);
        w.line = lines->items[i].s;
        w.x = characters_of(&r->l, w.line);
        w.any = false;
        wrap_line(&w);
    }
    return value_str(builder_str(&b));
}

/* ---- sizes ---- */

static struct value filter_filesizeformat(struct render *r, const struct value *a,
                                          const struct arguments *rest)
{
    static const char *const units[][2] = {{"kB", "KiB"}, {"MB", "MiB"}, {"GB", "GiB"},
                                           {"TB", "TiB"}, {"PB", "PiB"}, {"EB", "EiB"},
                                           {"ZB", "ZiB"}, {"YB", "YiB"}};
    bool binary = truth_or(a[1], false);
    const struct value arguments[2] = {a[0], value_none()};
    double base = binary ? 1024 : 1000, unit = base;
    char text[400];
    (void)rest;
    const struct str name = {.p = "float", .len = 5};
    struct value number = filter_find(&name)->call(r, arguments, NULL);
    double bytes = number.type == V_FLOAT ? number.f : NAN;
    if (!isfinite(bytes))
        template_fail(&r->l, "filesizeformat of a %s that is no finite number", type_name(a[0]));
    if (bytes == 1)
        return value_str(str_z(&r->l, "1 Byte"));
    if (bytes < base) {
        snprintf(text, sizeof text, "%.0f Bytes", trunc(bytes) + 0.0);
    } else {
        size_t i = 0;
        while (unit *= base, bytes >= unit && i + 1 < ARRAY_SIZE(units))
            i++;
        snprintf(text, sizeof text, "%.1f %s", base * bytes / unit, units[i][binary]);
    }
    return value_str(str_copy(&r->l, text, strlen(text), a[0].origin));
}

/* ---- attributes of XML ---- */

static struct value filter_xmlattr(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    struct builder b;
    (void)rest;
    if (a[0].type != V_DICT)
        template_fail(&r->l, "xmlattr of a %s", type_name(a[0]));
    builder_init(&b, &r->l);
    for (size_t i = 0; i < a[0].dict->n; i++) {
        struct value v = a[0].dict->values[i];
        const struct str *key = want_str(r, a[0].dict->keys[i], "an attribute's name");
        for (size_t k = 0; k < key->len; k++)
            if (strchr(" \t\n\v\f\r/>=", key->p[k]) && key->p[k])
                template_fail(&r->l, "invalid character in attribute name: %.60s", key->p);
        if (v.type == V_NONE || v.type == V_UNDEFINED)
            continue;
        if (b.len || truth_or(a[1], true))
            builder_addz(&b, " ", 0);
        builder_add_str(&b, str_escape(&r->l, key));
        builder_addz(&b, "=\"", 0);
        builder_add_str(&b, str_escape(&r->l, value_to_str(&r->l, v)));
        builder_addz(&b, "\"", 0);
    }
    return value_str(builder_str(&b));
}

static struct value filter_pprint(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    (void)rest;
    return value_str(template_pprint(r, a[0]));
}

static const struct builtin filters[] = {
    {"filesizeformat", "value ? binary", filter_filesizeformat},
    {"pprint", "value", filter_pprint},
    {"wordcount", "s", filter_wordcount},
    {"wordwrap", "s ? width break_long_words wrapstring break_on_hyphens", filter_wordwrap},
    {"xmlattr", "d ? autospace", filter_xmlattr},
};

const struct builtin *text_filter_find(const struct str *name)
{
    return builtin_search(filters, ARRAY_SIZE(filters), name);
}
