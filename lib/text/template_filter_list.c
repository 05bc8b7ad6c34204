/* Filters on lists and dicts. */
#include "text/template_filters.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static struct value lower_case(struct render *r, struct value v)
{
    return v.type == V_STRING ? value_str(str_recase(&r->l, v.s, RECASE_LOWER)) : v;
}

/* item.a.b.0 for the path "a.b.0", looked up as item["a"]["b"][0]; `otherwise` replaces what isn't
 * there unless it is V_MISSING. */
static struct value follow(struct render *r, struct value item, struct value path,
                           struct value otherwise)
{
    if (path.type == V_MISSING || path.type == V_NONE)
        return item;
    if (path.type != V_STRING)
        return get_item(r, item, path);
    const struct str *s = path.s;
    for (size_t at = 0;;) {
        size_t end = at;
        bool digits = true;
        for (; end < s->len && s->p[end] != '.'; end++)
            digits &= isdigit((unsigned char)s->p[end]) != 0;
        const struct str *part = str_copy(&r->l, s->p + at, end - at, 0);
        struct value key = value_str(part);
        if (digits && part->len && part->len < 10)
            key = value_int(strtol(part->p, NULL, 10));
        item = get_item(r, item, key);
        if (item.type == V_UNDEFINED && otherwise.type != V_MISSING)
            item = otherwise;
        if (end == s->len)
            return item;
        at = end + 1;
    }
}

static const struct value nothing = {.type = V_MISSING};

/* ---- one of a list ---- */

static struct value filter_first(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    const struct list *items = value_items(&r->l, a[0]);
    (void)rest;
    return items->n ? items->items[0]
                    : value_undefined(&r->l, "No first item, sequence was empty.");
}

static struct value filter_last(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    (void)rest;
    if (a[0].type == V_LIST && a[0].list->kind == LIST_GENERATOR)
        template_fail(&r->l, "'generator' object is not reversible");
    const struct list *items = value_items(&r->l, a[0]);
    return items->n ? items->items[items->n - 1]
                    : value_undefined(&r->l, "No last item, sequence was empty.");
}

static struct value extreme(struct render *r, const struct value *a, int wanted)
{
    const struct list *items = value_items(&r->l, a[0]);
    bool exact = truth_or(a[1], false);
    if (!items->n)
        return value_undefined(&r->l, "No aggregated item, sequence was empty.");
    struct value best = items->items[0], best_key = follow(r, best, a[2], nothing);
    best_key = exact ? best_key : lower_case(r, best_key);
    for (size_t i = 1; i < items->n; i++) {
        struct value key = follow(r, items->items[i], a[2], nothing);
        key = exact ? key : lower_case(r, key);
        if (value_compare(&r->l, key, best_key, wanted < 0 ? "<" : ">") == wanted) {
            best = items->items[i];
            best_key = key;
        }
    }
    return best;
}

static struct value filter_min(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    (void)rest;
    return extreme(r, a, -1);
}

static struct value filter_max(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    (void)rest;
    return extreme(r, a, 1);
}

static struct value filter_length(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    (void)rest;
    return value_int((int64_t)value_length(&r->l, a[0]));
}

static struct value filter_sum(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    const struct list *items = value_items(&r->l, a[0]);
    struct value sum = a[2].type == V_MISSING ? value_int(0) : a[2];
    (void)rest;
    for (size_t i = 0; i < items->n; i++)
        sum = binary(r, OP_ADD, sum, follow(r, items->items[i], a[1], nothing));
    return sum;
}

static struct value filter_join(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    const struct list *items = value_items(&r->l, a[0]);
    const struct str *between =
        a[1].type == V_MISSING ? str_z(&r->l, "") : value_to_str(&r->l, a[1]);
    struct builder b;
    (void)rest;
    builder_init(&b, &r->l);
    for (size_t i = 0; i < items->n; i++) {
        const struct str *s = value_to_str(&r->l, follow(r, items->items[i], a[2], nothing));
        if (i)
            builder_add_str(&b, between);
        builder_add_str(&b, s);
    }
    return value_str(builder_str(&b));
}

/* ---- a list from a list ---- */

static struct value filter_list(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    const struct list *items = value_items(&r->l, a[0]);
    struct value out = value_list(&r->l, LIST_LIST);
    (void)rest;
    for (size_t i = 0; i < items->n; i++)
        list_add(&r->l, out.list, items->items[i]);
    return out;
}

static struct value filter_reverse(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)rest;
    if (a[0].type == V_STRING) {
        struct builder b;
        builder_init(&b, &r->l);
        for (size_t end = a[0].s->len; end;) {
            size_t from = end - 1;
            while (from && (a[0].s->p[from] & 0xc0) == 0x80)
                from--;
            builder_add_part(&b, a[0].s, from, end);
            end = from;
        }
        return value_str(builder_str(&b));
    }
    /* What can't be gone through backwards, as a generator, becomes a list first. */
    bool generator = a[0].type == V_LIST && a[0].list->kind == LIST_GENERATOR;
    const struct list *items = value_items(&r->l, a[0]);
    struct value out = value_list(&r->l, generator ? LIST_LIST : LIST_GENERATOR);
    for (size_t i = items->n; i-- > 0;)
        list_add(&r->l, out.list, items->items[i]);
    return out;
}

static struct value filter_unique(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    const struct list *items = value_items(&r->l, a[0]);
    struct value out = value_list(&r->l, LIST_GENERATOR), seen = value_dict(&r->l);
    (void)rest;
    for (size_t i = 0; i < items->n; i++) {
        struct value key = follow(r, items->items[i], a[2], nothing);
        key = truth_or(a[1], false) ? key : lower_case(r, key);
        if (dict_get(&r->l, seen.dict, key))
            continue;
        dict_set(&r->l, seen.dict, key, value_none());
        list_add(&r->l, out.list, items->items[i]);
    }
    return out;
}

struct keyed {
    struct value key, item;
};

/* A stable merge sort; qsort would hide a failure's way out and isn't stable. */
static void sort_keyed(struct render *r, struct keyed *v, struct keyed *spare, size_t n,
                       bool reverse)
{
    if (n < 2)
        return;
    size_t half = n / 2;
    sort_keyed(r, v, spare, half, reverse);
    sort_keyed(r, v + half, spare, n - half, reverse);
    memcpy(spare, v, half * sizeof *v);
    for (size_t i = 0, j = half, k = 0; i < half; k++) {
        bool take_right =
            j < n && (reverse ? value_compare(&r->l, spare[i].key, v[j].key, "<") < 0
                              : value_compare(&r->l, v[j].key, spare[i].key, "<") < 0);
        v[k] = take_right ? v[j++] : spare[i++];
    }
}

static struct value sorted(struct render *r, struct keyed *v, size_t n, bool reverse)
{
    struct value out = value_list(&r->l, LIST_LIST);
    struct keyed *spare = arena_alloc(&r->l, n, sizeof *spare);
    sort_keyed(r, v, spare, n, reverse);
    for (size_t i = 0; i < n; i++)
        list_add(&r->l, out.list, v[i].item);
    return out;
}

/* Keys of sort(attribute="a,b"): the values in turn. A list also of one, as in Jinja: lists of
 * equal items have an order even where the items have none. */
static struct value sort_key(struct render *r, struct value item, struct value path, bool exact)
{
    struct value out = value_list(&r->l, LIST_LIST);
    size_t at = 0, end = 0;
    do {
        struct value part = path;
        if (path.type == V_STRING) {
            const char *comma = memchr(path.s->p + at, ',', path.s->len - at);
            end = comma ? (size_t)(comma - path.s->p) : path.s->len;
            part = value_str(str_part(&r->l, path.s, at, end));
            at = end + 1;
        }
        struct value key = follow(r, item, part, nothing);
        list_add(&r->l, out.list, exact ? key : lower_case(r, key));
    } while (path.type == V_STRING && at <= path.s->len);
    return out;
}

static struct value filter_sort(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    const struct list *items = value_items(&r->l, a[0]);
    struct keyed *v = arena_alloc(&r->l, items->n, sizeof *v);
    (void)rest;
    for (size_t i = 0; i < items->n; i++)
        v[i] = (struct keyed){sort_key(r, items->items[i], a[3], truth_or(a[2], false)),
                              items->items[i]};
    return sorted(r, v, items->n, truth_or(a[1], false));
}

static struct value pair(struct render *r, struct value first, struct value second)
{
    struct value out = value_list(&r->l, LIST_TUPLE);
    list_add(&r->l, out.list, first);
    list_add(&r->l, out.list, second);
    return out;
}

static struct value filter_dictsort(struct render *r, const struct value *a,
                                    const struct arguments *rest)
{
    const struct str *by = str_or(r, a[2], "key", "by");
    (void)rest;
    need_defined(&r->l, a[0]);
    if (!str_equalz(by, "key") && !str_equalz(by, "value"))
        template_fail(&r->l, "You can only sort by either \"key\" or \"value\"");
    if (a[0].type != V_DICT)
        template_fail(&r->l, "'%s' object has no attribute 'items'", type_name(a[0]));
    const struct dict *d = a[0].dict;
    struct keyed *v = arena_alloc(&r->l, d->n, sizeof *v);
    for (size_t i = 0; i < d->n; i++) {
        struct value key = str_equalz(by, "key") ? d->keys[i] : d->values[i];
        v[i] = (struct keyed){truth_or(a[1], false) ? key : lower_case(r, key),
                              pair(r, d->keys[i], d->values[i])};
    }
    return sorted(r, v, d->n, truth_or(a[3], false));
}

static struct value filter_items(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    struct value out = value_list(&r->l, LIST_GENERATOR);
    (void)rest;
    if (a[0].type == V_UNDEFINED)
        return out;
    if (a[0].type != V_DICT)
        template_fail(&r->l, "Can only get item pairs from a mapping.");
    for (size_t i = 0; i < a[0].dict->n; i++)
        list_add(&r->l, out.list, pair(r, a[0].dict->keys[i], a[0].dict->values[i]));
    return out;
}

static struct value filter_groupby(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    const struct list *items = value_items(&r->l, a[0]);
    bool exact = truth_or(a[3], false);
    struct keyed *v = arena_alloc(&r->l, items->n, sizeof *v);
    struct value out = value_list(&r->l, LIST_LIST), none = {.type = V_MISSING};
    (void)rest;
    for (size_t i = 0; i < items->n; i++) {
        struct value key = follow(r, items->items[i], a[1], a[2]);
        v[i] = (struct keyed){exact ? key : lower_case(r, key), items->items[i]};
    }
    struct keyed *spare = arena_alloc(&r->l, items->n, sizeof *spare);
    sort_keyed(r, v, spare, items->n, false);
    for (size_t i = 0, from = 0; i < items->n; i++) {
        if (i + 1 < items->n && value_equal(&r->l, v[i].key, v[i + 1].key))
            continue;
        struct value group = value_list(&r->l, LIST_LIST);
        for (; from <= i; from++)
            list_add(&r->l, group.list, v[from].item);
        struct value key = follow(r, group.list->items[0], a[1], a[2]);
        (void)none;
        list_add(&r->l, out.list, pair(r, key, group));
    }
    return out;
}

static struct value filter_batch(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    const struct list *items = value_items(&r->l, a[0]);
    int64_t size = want_int(r, a[1], "linecount");
    struct value out = value_list(&r->l, LIST_GENERATOR), row = {.type = V_MISSING};
    (void)rest;
    if (size < 1)
        template_fail(&r->l, "batch: the number must be positive");
    for (size_t i = 0; i < items->n; i++) {
        if (i % (uint64_t)size == 0) {
            row = value_list(&r->l, LIST_LIST);
            list_add(&r->l, out.list, row);
        }
        list_add(&r->l, row.list, items->items[i]);
    }
    if (a[2].type != V_MISSING && a[2].type != V_NONE && items->n)
        while (row.list->n < (uint64_t)size)
            list_add(&r->l, row.list, a[2]);
    return out;
}

static struct value filter_slice(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    const struct list *items = value_items(&r->l, a[0]);
    int64_t n = want_int(r, a[1], "slices");
    struct value out = value_list(&r->l, LIST_GENERATOR);
    size_t at = 0;
    (void)rest;
    if (n < 1)
        template_fail(&r->l, "slice: the number must be positive");
    size_t each = items->n / (uint64_t)n, extra = items->n % (uint64_t)n;
    for (int64_t i = 0; i < n; i++) {
        struct value column = value_list(&r->l, LIST_LIST);
        size_t size = each + ((uint64_t)i < extra);
        for (size_t k = 0; k < size; k++)
            list_add(&r->l, column.list, items->items[at++]);
        if ((uint64_t)i >= extra && a[2].type != V_MISSING && a[2].type != V_NONE)
            list_add(&r->l, column.list, a[2]);
        list_add(&r->l, out.list, column);
    }
    return out;
}

/* ---- map, select, reject ---- */

/* The arguments after the first `skipped`. */
static struct arguments without(const struct arguments *args, size_t skipped)
{
    struct arguments out = *args;
    out.n -= skipped;
    out.items = out.n ? out.items + skipped : NULL;
    return out;
}

static const struct value *keyword(const struct arguments *args, const char *name)
{
    for (size_t i = 0; i < args->n_keywords; i++)
        if (str_equalz(args->keywords[i].name, name))
            return &args->keywords[i].value;
    return NULL;
}

/* map(attribute="a") or map("filter", arguments ...) */
static struct value filter_map(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    struct value out = value_list(&r->l, LIST_GENERATOR);
    if (!value_truth(a[0])) /* of whatever type */
        return out;
    const struct list *items = value_items(&r->l, a[0]);
    const struct value *attribute = rest->n ? NULL : keyword(rest, "attribute");
    const struct value *otherwise = keyword(rest, "default");
    if (!items->n)
        return out;
    if (attribute) {
        for (size_t i = 0; i < items->n; i++)
            list_add(&r->l, out.list,
                     follow(r, items->items[i], *attribute, otherwise ? *otherwise : nothing));
        return out;
    }
    if (!rest->n)
        template_fail(&r->l, "map requires a filter argument");
    const struct str *name = want_str(r, rest->items[0], "map's filter");
    const struct builtin *f = filter_find(name);
    if (!f)
        template_fail(&r->l, "there is no filter named '%.*s'", (int)name->len, name->p);
    struct arguments args = without(rest, 1);
    for (size_t i = 0; i < items->n; i++)
        list_add(&r->l, out.list, call_builtin(r, f, items->items[i], &args));
    return out;
}

static struct value choose(struct render *r, struct value v, const struct arguments *rest,
                           bool by_attribute, bool wanted)
{
    struct value out = value_list(&r->l, LIST_GENERATOR);
    if (!value_truth(v)) /* of whatever type */
        return out;
    const struct list *items = value_items(&r->l, v);
    const struct builtin *test = NULL;
    size_t skipped = by_attribute;
    if (!items->n)
        return out;
    if (rest->n < skipped)
        template_fail(&r->l, "missing parameter for attribute name");
    if (rest->n > skipped) {
        const struct str *name = want_str(r, rest->items[skipped], "the test's name");
        test = test_find(name);
        if (!test)
            template_fail(&r->l, "there is no test named '%.*s'", (int)name->len, name->p);
        skipped++;
    }
    struct arguments args = without(rest, skipped);
    for (size_t i = 0; i < items->n; i++) {
        struct value x = items->items[i];
        if (by_attribute)
            x = follow(r, x, rest->items[0], nothing);
        if (test)
            x = call_builtin(r, test, x, &args);
        if (value_truth(x) == wanted)
            list_add(&r->l, out.list, items->items[i]);
    }
    return out;
}

static struct value filter_select(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    return choose(r, a[0], rest, false, true);
}

static struct value filter_reject(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    return choose(r, a[0], rest, false, false);
}

static struct value filter_selectattr(struct render *r, const struct value *a,
                                      const struct arguments *rest)
{
    return choose(r, a[0], rest, true, true);
}

static struct value filter_rejectattr(struct render *r, const struct value *a,
                                      const struct arguments *rest)
{
    return choose(r, a[0], rest, true, false);
}

static const struct builtin list_filters[] = {
    {"batch", "value linecount ? fill_with", filter_batch},
    {"count", "obj", filter_length},
    {"dictsort", "value ? case_sensitive by reverse", filter_dictsort},
    {"first", "seq", filter_first},
    {"groupby", "value attribute ? default case_sensitive", filter_groupby},
    {"items", "value", filter_items},
    {"join", "value ? d attribute", filter_join},
    {"last", "seq", filter_last},
    {"length", "obj", filter_length},
    {"list", "value", filter_list},
    {"map", "value *", filter_map},
    {"max", "value ? case_sensitive attribute", filter_max},
    {"min", "value ? case_sensitive attribute", filter_min},
    {"reject", "value *", filter_reject},
    {"rejectattr", "value *", filter_rejectattr},
    {"reverse", "value", filter_reverse},
    {"select", "value *", filter_select},
    {"selectattr", "value *", filter_selectattr},
    {"slice", "value slices ? fill_with", filter_slice},
    {"sort", "value ? reverse case_sensitive attribute", filter_sort},
    {"sum", "iterable ? attribute start", filter_sum},
    {"unique", "value ? case_sensitive attribute", filter_unique},
};

const struct builtin *list_filter_find(const struct str *name)
{
    return builtin_search(list_filters, ARRAY_SIZE(list_filters), name);
}
