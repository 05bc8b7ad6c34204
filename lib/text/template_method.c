/* Methods of dicts, lists and loops; arguments of built-in functions. */
#include "text/template_internal.h"

#include <string.h>

#include "base/mem.h"

const struct str *want_str(struct render *r, struct value v, const char *what)
{
    need_defined(&r->l, v);
    if (v.type != V_STRING)
        template_fail(&r->l, "%s must be str, not %s", what, type_name(v));
    return v.s;
}

int64_t want_int(struct render *r, struct value v, const char *what)
{
    need_defined(&r->l, v);
    if (v.type == V_BOOL)
        return v.b;
    if (v.type != V_INT)
        template_fail(&r->l, "%s must be an integer, not %s", what, type_name(v));
    return v.i;
}

const struct str *str_or(struct render *r, struct value v, const char *otherwise, const char *what)
{
    return v.type == V_MISSING || v.type == V_NONE ? str_z(&r->l, otherwise) : want_str(r, v, what);
}

int64_t int_or(struct render *r, struct value v, int64_t otherwise, const char *what)
{
    return v.type == V_MISSING || v.type == V_NONE ? otherwise : want_int(r, v, what);
}

bool truth_or(struct value v, bool otherwise)
{
    return v.type == V_MISSING ? otherwise : value_truth(v);
}

static struct value view(struct render *r, struct value self, enum list_kind kind)
{
    struct value out = value_list(&r->l, kind);
    out.origin = self.origin;
    for (size_t i = 0; i < self.dict->n; i++) {
        if (kind != LIST_ITEMS) {
            list_add(&r->l, out.list,
                     kind == LIST_KEYS ? self.dict->keys[i] : self.dict->values[i]);
            continue;
        }
        struct value pair = value_list(&r->l, LIST_TUPLE);
        list_add(&r->l, pair.list, self.dict->keys[i]);
        list_add(&r->l, pair.list, self.dict->values[i]);
        list_add(&r->l, out.list, pair);
    }
    return out;
}

static struct value dict_items(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    (void)rest;
    return view(r, a[0], LIST_ITEMS);
}

static struct value dict_keys(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)rest;
    return view(r, a[0], LIST_KEYS);
}

static struct value dict_values(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    (void)rest;
    return view(r, a[0], LIST_VALUES);
}

static struct value dict_get_or(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    const struct value *v = dict_get(&r->l, a[0].dict, a[1]);
    (void)rest;
    return v ? *v : a[2].type == V_MISSING ? value_none() : a[2];
}

static struct value dict_copy(struct render *r, const struct value *a, const struct arguments *rest)
{
    struct value out = value_dict(&r->l);
    (void)rest;
    out.origin = a[0].origin;
    for (size_t i = 0; i < a[0].dict->n; i++)
        dict_set(&r->l, out.dict, a[0].dict->keys[i], a[0].dict->values[i]);
    return out;
}

static const struct builtin dict_methods[] = {
    {"items", "self", dict_items},   {"keys", "self", dict_keys},
    {"values", "self", dict_values}, {"get", "self key ? default", dict_get_or},
    {"copy", "self", dict_copy},
};

static struct value list_count(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    int64_t n = 0;
    (void)rest;
    for (size_t i = 0; i < a[0].list->n; i++)
        n += value_equal(&r->l, a[0].list->items[i], a[1]);
    return value_int(n);
}

static struct value list_index(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    (void)rest;
    for (size_t i = 0; i < a[0].list->n; i++)
        if (value_equal(&r->l, a[0].list->items[i], a[1]))
            return value_int((int64_t)i);
    template_fail(&r->l, "value is not in list");
}

static struct value list_copy(struct render *r, const struct value *a, const struct arguments *rest)
{
    struct value out = value_list(&r->l, a[0].list->kind);
    (void)rest;
    for (size_t i = 0; i < a[0].list->n; i++)
        list_add(&r->l, out.list, a[0].list->items[i]);
    return out;
}

static const struct builtin list_methods[] = {
    {"count", "self value", list_count},
    {"index", "self value", list_index},
    {"copy", "self", list_copy}, /* the last: see method_find */
};

static struct value loop_cycle(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    if (!rest->n)
        template_fail(&r->l, "no items for cycling given");
    return rest->items[a[0].loop->index % rest->n];
}

static struct value loop_changed(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    struct value now = value_list(&r->l, LIST_TUPLE);
    for (size_t i = 0; i < rest->n; i++)
        list_add(&r->l, now.list, rest->items[i]);
    if (a[0].loop->last_changed.type != V_MISSING &&
        value_equal(&r->l, a[0].loop->last_changed, now))
        return value_bool(false);
    a[0].loop->last_changed = now;
    return value_bool(true);
}

static const struct builtin loop_methods[] = {
    {"cycle", "self *", loop_cycle},
    {"changed", "self *", loop_changed},
};

const struct builtin *builtin_search(const struct builtin *table, size_t n, const struct str *name)
{
    for (size_t i = 0; i < n; i++)
        if (str_equalz(name, table[i].name))
            return &table[i];
    return NULL;
}

const struct builtin *method_find(struct value self, const struct str *name)
{
    if (self.type == V_STRING)
        return string_method_find(name);
    if (self.type == V_DICT)
        return builtin_search(dict_methods, ARRAY_SIZE(dict_methods), name);
    if (self.type == V_LIST && self.list->kind <= LIST_RANGE) {
        bool is_list = self.list->kind == LIST_LIST; /* tuples and ranges can't be copied */
        return builtin_search(list_methods, ARRAY_SIZE(list_methods) - !is_list, name);
    }
    if (self.type == V_LOOP)
        return builtin_search(loop_methods, ARRAY_SIZE(loop_methods), name);
    return NULL;
}

bool method_is_refused(struct value self, const struct str *name)
{
    static const char *const of_lists[] = {"append", "clear", "pop",    "reverse",
                                           "insert", "sort",  "extend", "remove"};
    static const char *const of_dicts[] = {"clear", "pop", "popitem", "setdefault", "update"};
    if (self.type == V_LIST && self.list->kind == LIST_LIST)
        for (size_t i = 0; i < ARRAY_SIZE(of_lists); i++)
            if (str_equalz(name, of_lists[i]))
                return true;
    if (self.type == V_DICT)
        for (size_t i = 0; i < ARRAY_SIZE(of_dicts); i++)
            if (str_equalz(name, of_dicts[i]))
                return true;
    return false;
}
