/* Methods of strings, under Python's names. */
#include "text/template_internal.h"

#include <string.h>

#include "base/mem.h"

static struct value string_upper(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    return value_str(str_recase(&r->l, a[0].s, RECASE_UPPER));
}

static struct value string_lower(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    return value_str(str_recase(&r->l, a[0].s, RECASE_LOWER));
}

static struct value string_casefold(struct render *r, const struct value *a,
                                    const struct arguments *rest)
{
    (void)rest;
    return value_str(str_casefold(&r->l, a[0].s));
}

static struct value string_capitalize(struct render *r, const struct value *a,
                                      const struct arguments *rest)
{
    (void)rest;
    return value_str(str_recase(&r->l, a[0].s, RECASE_CAPITALIZE));
}

static struct value string_title(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    return value_str(str_recase(&r->l, a[0].s, RECASE_TITLE));
}

static struct value string_swapcase(struct render *r, const struct value *a,
                                    const struct arguments *rest)
{
    (void)rest;
    return value_str(str_recase(&r->l, a[0].s, RECASE_SWAP));
}

static struct value string_strip(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    return value_str(str_strip(&r->l, a[0].s, a[1], true, true));
}

static struct value string_lstrip(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    (void)rest;
    return value_str(str_strip(&r->l, a[0].s, a[1], true, false));
}

static struct value string_rstrip(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    (void)rest;
    return value_str(str_strip(&r->l, a[0].s, a[1], false, true));
}

static bool starts_at(const struct str *s, const struct str *prefix, size_t from, size_t to)
{
    return from <= to && prefix->len <= to - from && !memcmp(s->p + from, prefix->p, prefix->len);
}

/* Byte bounds of the optional arguments start and stop, which count characters. */
static void bounds(struct render *r, const struct str *s, struct value start, struct value stop,
                   size_t *from, size_t *to)
{
    int64_t n = (int64_t)str_length(s);
    int64_t a = int_or(r, start, 0, "start"), z = int_or(r, stop, n, "end");
    a = a < 0 ? (a + n < 0 ? 0 : a + n) : a;
    z = z < 0 ? (z + n < 0 ? 0 : z + n) : z > n ? n : z;
    *to = str_offset(s, (size_t)z);
    *from = a > n ? SIZE_MAX : str_offset(s, (size_t)a);
}

static bool matches_edge(struct render *r, const struct value *a, bool at_end, const char *what)
{
    const struct str *s = a[0].s;
    struct list one = {.items = (struct value *)(uintptr_t)&a[1], .n = 1};
    bool many = a[1].type == V_LIST && a[1].list->kind == LIST_TUPLE;
    const struct list *list = many ? a[1].list : &one;
    size_t from, to;
    bounds(r, s, a[2], a[3], &from, &to);
    for (size_t i = 0; i < list->n; i++) {
        const struct str *edge = want_str(r, list->items[i], what);
        if (from > to || edge->len > to - from)
            continue;
        if (starts_at(s, edge, at_end ? to - edge->len : from, to))
            return true;
    }
    return false;
}

static struct value string_startswith(struct render *r, const struct value *a,
                                      const struct arguments *rest)
{
    (void)rest;
    return value_bool(matches_edge(r, a, false, "startswith first arg"));
}

static struct value string_endswith(struct render *r, const struct value *a,
                                    const struct arguments *rest)
{
    (void)rest;
    return value_bool(matches_edge(r, a, true, "endswith first arg"));
}

static struct value string_removeprefix(struct render *r, const struct value *a,
                                        const struct arguments *rest)
{
    const struct str *s = a[0].s, *prefix = want_str(r, a[1], "removeprefix() argument");
    (void)rest;
    bool yes = starts_at(s, prefix, 0, s->len);
    return value_str(str_part(&r->l, s, yes ? prefix->len : 0, s->len));
}

static struct value string_removesuffix(struct render *r, const struct value *a,
                                        const struct arguments *rest)
{
    const struct str *s = a[0].s, *suffix = want_str(r, a[1], "removesuffix() argument");
    (void)rest;
    bool yes = suffix->len <= s->len && starts_at(s, suffix, s->len - suffix->len, s->len);
    return value_str(str_part(&r->l, s, 0, yes ? s->len - suffix->len : s->len));
}

static struct value string_replace(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)rest;
    const struct str *old = want_str(r, a[1], "replace() argument 1");
    const struct str *new = want_str(r, a[2], "replace() argument 2");
    return value_str(str_replace(&r->l, a[0].s, old, new, int_or(r, a[3], -1, "count")));
}

/* split() without a separator: words between whitespace. */
static struct value split_words(struct render *r, const struct str *s, int64_t most)
{
    struct value out = value_list(&r->l, LIST_LIST);
    size_t at = 0;
    for (;;) {
        size_t from = at, next = at;
        while (from < s->len && is_white_space(utf8_next(s->p, s->len, &next)))
            from = next;
        if (from == s->len)
            return out;
        if (most-- == 0) {
            list_add(&r->l, out.list, value_str(str_part(&r->l, s, from, s->len)));
            return out;
        }
        at = next = from;
        while (at < s->len && !is_white_space(utf8_next(s->p, s->len, &next)))
            at = next;
        list_add(&r->l, out.list, value_str(str_part(&r->l, s, from, at)));
    }
}

static struct value string_split(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    const struct str *s = a[0].s;
    int64_t most = int_or(r, a[2], -1, "maxsplit");
    (void)rest;
    spend(&r->l, 1 + s->len / 16);
    if (a[1].type == V_MISSING || a[1].type == V_NONE)
        return split_words(r, s, most);
    const struct str *separator = want_str(r, a[1], "separator");
    if (!separator->len)
        template_fail(&r->l, "empty separator");
    struct value out = value_list(&r->l, LIST_LIST);
    size_t at = 0;
    for (; most != 0; most--) {
        size_t found = str_find(s, separator, at);
        if (found == SIZE_MAX)
            break;
        list_add(&r->l, out.list, value_str(str_part(&r->l, s, at, found)));
        at = found + separator->len;
    }
    list_add(&r->l, out.list, value_str(str_part(&r->l, s, at, s->len)));
    return out;
}

/* Last place of b that ends at or before `to`; SIZE_MAX if there is none. */
static size_t find_last(const struct str *a, const struct str *b, size_t from, size_t to)
{
    if (b->len > to)
        return SIZE_MAX;
    for (size_t i = to - b->len + 1; i-- > from;)
        if (!memcmp(a->p + i, b->p, b->len))
            return i;
    return SIZE_MAX;
}

static void reverse(struct list *list)
{
    for (size_t i = 0; i < list->n / 2; i++) {
        struct value v = list->items[i];
        list->items[i] = list->items[list->n - 1 - i];
        list->items[list->n - 1 - i] = v;
    }
}

static struct value rsplit_words(struct render *r, const struct str *s, int64_t most)
{
    struct value all = split_words(r, s, -1), out = value_list(&r->l, LIST_LIST);
    if (most < 0 || all.list->n <= (uint64_t)most)
        return all;
    size_t end = s->len;
    for (int64_t i = 0; i < most; i++) {
        struct value word = all.list->items[all.list->n - 1 - (size_t)i];
        end = find_last(s, word.s, 0, end);
        list_add(&r->l, out.list, word);
    }
    struct value none = {.type = V_MISSING};
    list_add(&r->l, out.list,
             value_str(str_strip(&r->l, str_part(&r->l, s, 0, end), none, false, true)));
    reverse(out.list);
    return out;
}

static struct value string_rsplit(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    const struct str *s = a[0].s;
    int64_t most = int_or(r, a[2], -1, "maxsplit");
    (void)rest;
    spend(&r->l, 1 + s->len / 4);
    if (a[1].type == V_MISSING || a[1].type == V_NONE)
        return rsplit_words(r, s, most);
    const struct str *separator = want_str(r, a[1], "separator");
    if (!separator->len)
        template_fail(&r->l, "empty separator");
    struct value out = value_list(&r->l, LIST_LIST);
    size_t end = s->len;
    for (; most != 0; most--) {
        size_t found = find_last(s, separator, 0, end);
        if (found == SIZE_MAX)
            break;
        list_add(&r->l, out.list, value_str(str_part(&r->l, s, found + separator->len, end)));
        end = found;
    }
    list_add(&r->l, out.list, value_str(str_part(&r->l, s, 0, end)));
    reverse(out.list);
    return out;
}

static struct value string_splitlines(struct render *r, const struct value *a,
                                      const struct arguments *rest)
{
    (void)rest;
    return str_splitlines(&r->l, a[0].s, truth_or(a[1], false));
}

static struct value partition(struct render *r, const struct value *a, bool last)
{
    const struct str *s = a[0].s, *separator = want_str(r, a[1], "separator");
    if (!separator->len)
        template_fail(&r->l, "empty separator");
    size_t at = last ? find_last(s, separator, 0, s->len) : str_find(s, separator, 0);
    struct value out = value_list(&r->l, LIST_TUPLE), none = value_str(str_z(&r->l, ""));
    if (at == SIZE_MAX) {
        list_add(&r->l, out.list, last ? none : a[0]);
        list_add(&r->l, out.list, none);
        list_add(&r->l, out.list, last ? a[0] : none);
        return out;
    }
    size_t after = at + separator->len;
    list_add(&r->l, out.list, value_str(str_part(&r->l, s, 0, at)));
    list_add(&r->l, out.list, value_str(str_part(&r->l, s, at, after)));
    list_add(&r->l, out.list, value_str(str_part(&r->l, s, after, s->len)));
    return out;
}

static struct value string_partition(struct render *r, const struct value *a,
                                     const struct arguments *rest)
{
    (void)rest;
    return partition(r, a, false);
}

static struct value string_rpartition(struct render *r, const struct value *a,
                                      const struct arguments *rest)
{
    (void)rest;
    return partition(r, a, true);
}

static int64_t codepoints_before(const struct str *s, size_t at)
{
    struct str head = {.p = s->p, .len = at};
    return (int64_t)str_length(&head);
}

static int64_t find(struct render *r, const struct value *a, bool last)
{
    size_t from, to, at;
    const struct str *what = want_str(r, a[1], "argument 1");
    bounds(r, a[0].s, a[2], a[3], &from, &to);
    spend(&r->l, 1 + a[0].s->len / 4);
    if (from > to)
        return -1;
    at = last ? find_last(a[0].s, what, from, to) : str_find(a[0].s, what, from);
    if (at == SIZE_MAX || what->len > to - at)
        return -1;
    return codepoints_before(a[0].s, at);
}

static struct value string_find(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    (void)rest;
    return value_int(find(r, a, false));
}

static struct value string_rfind(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    return value_int(find(r, a, true));
}

static struct value string_index(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    int64_t at = find(r, a, false);
    if (at < 0)
        template_fail(&r->l, "substring not found");
    return value_int(at);
}

static struct value string_rindex(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    (void)rest;
    int64_t at = find(r, a, true);
    if (at < 0)
        template_fail(&r->l, "substring not found");
    return value_int(at);
}

static struct value string_count(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    size_t from, to, n = 0;
    const struct str *what = want_str(r, a[1], "argument 1");
    (void)rest;
    bounds(r, a[0].s, a[2], a[3], &from, &to);
    spend(&r->l, 1 + a[0].s->len / 8);
    if (from > to)
        return value_int(0);
    if (!what->len)
        return value_int(codepoints_before(a[0].s, to) - codepoints_before(a[0].s, from) + 1);
    for (size_t at = from; (at = str_find(a[0].s, what, at)) != SIZE_MAX; at += what->len) {
        if (what->len > to - at)
            break;
        n++;
    }
    return value_int((int64_t)n);
}

static struct value string_expandtabs(struct render *r, const struct value *a,
                                      const struct arguments *rest)
{
    const struct str *s = a[0].s;
    int64_t size = int_or(r, a[1], 8, "tabsize"), column = 0;
    struct builder b;
    (void)rest;
    builder_init(&b, &r->l);
    for (size_t at = 0; at < s->len;) {
        size_t from = at;
        uint32_t c = utf8_next(s->p, s->len, &at);
        if (c != '\t') {
            builder_add_part(&b, s, from, at);
            column = c == '\n' || c == '\r' ? 0 : column + 1;
            continue;
        }
        int64_t n = size > 0 ? size - column % size : 0;
        column += n;
        spend(&r->l, 1 + (uint64_t)n / 16);
        for (; n > 0; n--)
            builder_addz(&b, " ", str_origin_at(s, from));
    }
    return value_str(builder_str(&b));
}

static struct value string_join(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    struct builder b;
    const struct list *items = value_items(&r->l, a[1]);
    (void)rest;
    builder_init(&b, &r->l);
    for (size_t i = 0; i < items->n; i++) {
        if (items->items[i].type != V_STRING)
            template_fail(&r->l, "sequence item %zu: expected str instance, %s found", i,
                          type_name(items->items[i]));
        if (i)
            builder_add_str(&b, a[0].s);
        builder_add_str(&b, items->items[i].s);
    }
    return value_str(builder_str(&b));
}

static struct value string_format(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    return format_braces(r, a[0].s, rest);
}

/* s with `left` and `right` fill characters beside it. */
static struct value padded(struct render *r, const struct str *s, struct value fill, int64_t left,
                           int64_t right)
{
    struct builder b;
    const struct str *c = str_or(r, fill, " ", "the fill character");
    if (str_length(c) != 1)
        template_fail(&r->l, "the fill character must be exactly one character long");
    builder_init(&b, &r->l);
    for (; left > 0; left--)
        builder_add_str(&b, c);
    builder_add_str(&b, s);
    for (; right > 0; right--)
        builder_add_str(&b, c);
    return value_str(builder_str(&b));
}

static int64_t missing_width(struct render *r, const struct value *a)
{
    int64_t width = want_int(r, a[1], "width"), n = (int64_t)str_length(a[0].s);
    return width > n ? width - n : 0;
}

static struct value string_ljust(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    return padded(r, a[0].s, a[2], 0, missing_width(r, a));
}

static struct value string_rjust(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    return padded(r, a[0].s, a[2], missing_width(r, a), 0);
}

static struct value string_center(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    (void)rest;
    int64_t pad = missing_width(r, a), width = want_int(r, a[1], "width");
    int64_t left = pad / 2 + (pad & width & 1);
    return padded(r, a[0].s, a[2], left, pad - left);
}

static struct value string_zfill(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    struct builder b;
    const struct str *s = a[0].s;
    int64_t pad = missing_width(r, a);
    size_t sign = s->len && (s->p[0] == '-' || s->p[0] == '+');
    (void)rest;
    builder_init(&b, &r->l);
    builder_add_part(&b, s, 0, sign);
    for (; pad > 0; pad--)
        builder_addz(&b, "0", 0);
    builder_add_part(&b, s, sign, s->len);
    return value_str(builder_str(&b));
}

static const struct builtin string_methods[] = {
    {"upper", "self", string_upper},
    {"lower", "self", string_lower},
    {"casefold", "self", string_casefold},
    {"capitalize", "self", string_capitalize},
    {"title", "self", string_title},
    {"swapcase", "self", string_swapcase},
    {"strip", "self ? chars", string_strip},
    {"lstrip", "self ? chars", string_lstrip},
    {"rstrip", "self ? chars", string_rstrip},
    {"startswith", "self prefix ? start end", string_startswith},
    {"endswith", "self suffix ? start end", string_endswith},
    {"removeprefix", "self prefix", string_removeprefix},
    {"removesuffix", "self suffix", string_removesuffix},
    {"replace", "self old new ? count", string_replace},
    {"split", "self ? sep maxsplit", string_split},
    {"rsplit", "self ? sep maxsplit", string_rsplit},
    {"splitlines", "self ? keepends", string_splitlines},
    {"partition", "self sep", string_partition},
    {"rpartition", "self sep", string_rpartition},
    {"find", "self sub ? start end", string_find},
    {"rfind", "self sub ? start end", string_rfind},
    {"index", "self sub ? start end", string_index},
    {"rindex", "self sub ? start end", string_rindex},
    {"expandtabs", "self ? tabsize", string_expandtabs},
    {"count", "self sub ? start end", string_count},
    {"join", "self iterable", string_join},
    {"format", "self *", string_format},
    {"ljust", "self width ? fillchar", string_ljust},
    {"rjust", "self width ? fillchar", string_rjust},
    {"center", "self width ? fillchar", string_center},
    {"zfill", "self width", string_zfill},
};

const struct builtin *string_method_find(const struct str *name)
{
    const struct builtin *m = builtin_search(string_methods, ARRAY_SIZE(string_methods), name);
    return m ? m : string_predicate_find(name);
}
