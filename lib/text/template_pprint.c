#include "text/template_pprint.h"

#include <string.h>

enum { WIDTH = 80 };

/* Keys of several types are in the order of their types' names. */
static bool is_before(struct limits *l, struct value a, struct value b)
{
    bool comparable = (value_is_number(a) && value_is_number(b)) || a.type == b.type;
    return comparable ? value_compare(l, a, b, "<") < 0 : strcmp(type_name(a), type_name(b)) < 0;
}

/* The same with the keys of all mappings sorted. */
static struct value sorted(struct render *r, struct value v)
{
    if (v.type == V_LIST) {
        struct value out = value_list(&r->l, v.list->kind);
        depth_enter(&r->l);
        for (size_t i = 0; i < v.list->n; i++)
            list_add(&r->l, out.list, sorted(r, v.list->items[i]));
        depth_leave(&r->l);
        return out;
    }
    if (v.type != V_DICT)
        return v;
    struct value keys = value_list(&r->l, LIST_LIST), out = value_dict(&r->l);
    depth_enter(&r->l);
    for (size_t i = 0; i < v.dict->n; i++) {
        size_t at = keys.list->n;
        struct value key = v.dict->keys[i];
        list_add(&r->l, keys.list, key);
        for (; at > 0 && is_before(&r->l, key, keys.list->items[at - 1]); at--)
            keys.list->items[at] = keys.list->items[at - 1];
        keys.list->items[at] = key;
        spend(&r->l, 1 + i / 16);
    }
    for (size_t i = 0; i < keys.list->n; i++)
        dict_set(&r->l, out.dict, keys.list->items[i],
                 sorted(r, *dict_get(&r->l, v.dict, keys.list->items[i])));
    depth_leave(&r->l);
    return out;
}

/* Where a value goes: behind `indent` columns, with `allowance` left free behind its last line. */
struct place {
    size_t indent, allowance;
    bool outermost;
};

static const struct str *repr_of(struct limits *l, struct value v)
{
    struct builder b;
    builder_init(&b, l);
    builder_add_repr(&b, v);
    return builder_str(&b);
}

/* Columns from the indent to the edge, less what is to be left free. */
static size_t room(size_t indent, size_t allowance)
{
    return indent + allowance < WIDTH ? WIDTH - indent - allowance : 0;
}

static void new_line(struct limits *l, struct builder *out, size_t indent)
{
    spend(l, 1 + indent);
    builder_addz(out, "\n", 0);
    while (indent--)
        builder_addz(out, " ", 0);
}

/* ---- strings ---- */

/* A line's words, each with the spaces behind it, as many in a piece as fit. `last`: the line is
 * the string's last. */
static void cut_line(struct limits *l, const struct str *line, const struct place *at, bool last,
                     struct list *pieces)
{
    size_t start = 0, end = 0;
    while (end < line->len) {
        size_t word = end, next;
        for (next = word;
             word < line->len && !is_white_space(utf8_next(line->p, line->len, &next));)
            word = next;
        for (next = word; word < line->len && is_white_space(utf8_next(line->p, line->len, &next));)
            word = next;
        const struct str *candidate = repr_of(l, value_str(str_part(l, line, start, word)));
        size_t most = room(at->indent, last && word == line->len ? at->allowance : 0);
        spend(l, candidate->len);
        if (str_length(candidate) > most) {
            if (end > start)
                list_add(l, pieces, value_str(str_part(l, line, start, end)));
            start = end;
        }
        end = word;
    }
    if (end > start)
        list_add(l, pieces, value_str(str_part(l, line, start, end)));
}

/* Pieces that Python joins again: lines, and of those that are too long as many words as fit. */
static void add_string(struct limits *l, const struct str *s, struct place at, struct builder *out)
{
    const struct list *lines = str_splitlines(l, s, true).list;
    struct list *pieces = value_list(l, LIST_LIST).list;
    if (at.outermost) {
        at.indent++;
        at.allowance++;
    }
    for (size_t i = 0; i < lines->n; i++) {
        bool last = i + 1 == lines->n;
        const struct str *line = lines->items[i].s;
        if (str_length(repr_of(l, lines->items[i])) <= room(at.indent, last ? at.allowance : 0))
            list_add(l, pieces, lines->items[i]);
        else
            cut_line(l, line, &at, last, pieces);
    }
    bool framed = at.outermost && pieces->n > 1;
    if (framed)
        builder_addz(out, "(", 0);
    for (size_t i = 0; i < pieces->n; i++) {
        if (i)
            new_line(l, out, at.indent);
        builder_add_repr(out, pieces->items[i]);
    }
    if (framed)
        builder_addz(out, ")", 0);
}

/* ---- lists and mappings ---- */

static void add(struct limits *l, struct value v, struct place at, struct builder *out);

static void add_items(struct limits *l, const struct list *list, struct place at,
                      struct builder *out)
{
    bool tuple = list->kind == LIST_TUPLE;
    const char *end = !tuple ? "]" : list->n == 1 ? ",)" : ")";
    builder_addz(out, tuple ? "(" : "[", 0);
    for (size_t i = 0; i < list->n; i++) {
        if (i) {
            builder_addz(out, ",", 0);
            new_line(l, out, at.indent + 1);
        }
        size_t behind = i + 1 == list->n ? at.allowance + strlen(end) : 1;
        add(l, list->items[i], (struct place){at.indent + 1, behind, false}, out);
    }
    builder_addz(out, end, 0);
}

static void add_mapping(struct limits *l, const struct dict *d, struct place at,
                        struct builder *out)
{
    builder_addz(out, "{", 0);
    for (size_t i = 0; i < d->n; i++) {
        if (i) {
            builder_addz(out, ",", 0);
            new_line(l, out, at.indent + 1);
        }
        const struct str *key = repr_of(l, d->keys[i]);
        builder_add_str(out, key);
        builder_addz(out, ": ", 0);
        size_t behind = i + 1 == d->n ? at.allowance + 1 : 1;
        add(l, d->values[i], (struct place){at.indent + 1 + str_length(key) + 2, behind, false},
            out);
    }
    builder_addz(out, "}", 0);
}

static void add(struct limits *l, struct value v, struct place at, struct builder *out)
{
    const struct str *whole = repr_of(l, v);
    bool list = v.type == V_LIST && (v.list->kind == LIST_LIST || v.list->kind == LIST_TUPLE);
    spend(l, whole->len);
    depth_enter(l);
    if (str_length(whole) <= room(at.indent, at.allowance))
        builder_add_str(out, whole);
    else if (list)
        add_items(l, v.list, at, out);
    else if (v.type == V_DICT)
        add_mapping(l, v.dict, at, out);
    else if (v.type == V_STRING && !v.s->markup && v.s->len)
        add_string(l, v.s, at, out);
    else
        builder_add_str(out, whole);
    depth_leave(l);
}

const struct str *template_pprint(struct render *r, struct value v)
{
    struct builder b;
    builder_init(&b, &r->l);
    add(&r->l, sorted(r, v), (struct place){0, 0, true}, &b);
    return builder_str(&b);
}
