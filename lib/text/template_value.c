/* Python's values as far as templates know them: lists, dicts, truth, order, membership. */
#include "text/template_internal.h"

#include <math.h>
#include <string.h>

struct value value_list(struct limits *l, enum list_kind kind)
{
    struct list *list = arena_alloc(l, 1, sizeof *list);
    list->kind = kind;
    return (struct value){.type = V_LIST, .list = list};
}

struct value value_dict(struct limits *l)
{
    return (struct value){.type = V_DICT, .dict = arena_alloc(l, 1, sizeof(struct dict))};
}

struct value value_undefined(struct limits *l, const char *hint)
{
    struct undefined *u = arena_alloc(l, 1, sizeof *u);
    u->hint = hint;
    return (struct value){.type = V_UNDEFINED, .undefined = u};
}

void list_add(struct limits *l, struct list *list, struct value v)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 4;
        struct value *items = arena_alloc(l, cap, sizeof *items);
        if (list->n)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->cap = cap;
    }
    spend(l, 1);
    list->items[list->n++] = v;
}

static bool is_hashable(struct value v)
{
    if (v.type == V_LIST && v.list->kind == LIST_TUPLE) {
        for (size_t i = 0; i < v.list->n; i++)
            if (!is_hashable(v.list->items[i]))
                return false;
        return true;
    }
    return (v.type != V_LIST || v.list->kind == LIST_RANGE) && v.type != V_DICT;
}

const struct value *dict_get(struct limits *l, const struct dict *d, struct value key)
{
    if (!is_hashable(key))
        template_fail(l, "unhashable type: '%s'", type_name(key));
    spend(l, 1 + d->n / 8);
    for (size_t i = 0; i < d->n; i++)
        if (d->keys[i].type == key.type || key.type != V_STRING)
            if (value_equal(l, d->keys[i], key))
                return &d->values[i];
    return NULL;
}

const struct value *dict_getz(const struct dict *d, const char *key)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->keys[i].type == V_STRING && str_equalz(d->keys[i].s, key))
            return &d->values[i];
    return NULL;
}

static void dict_append(struct limits *l, struct dict *d, struct value key, struct value v)
{
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 4;
        struct value *keys = arena_alloc(l, cap, sizeof *keys);
        struct value *values = arena_alloc(l, cap, sizeof *values);
        if (d->n) {
            memcpy(keys, d->keys, d->n * sizeof *keys);
            memcpy(values, d->values, d->n * sizeof *values);
        }
        d->keys = keys;
        d->values = values;
        d->cap = cap;
    }
    d->keys[d->n] = key;
    d->values[d->n++] = v;
}

void dict_set(struct limits *l, struct dict *d, struct value key, struct value v)
{
    const struct value *old = dict_get(l, d, key);
    if (old)
        d->values[old - d->values] = v;
    else
        dict_append(l, d, key, v);
}

/* Strings stay views of the json_t, which outlives the rendering. */
struct value value_from_json(struct limits *l, const json_t *json, origin o)
{
    struct value v = {.type = V_NONE, .origin = o};
    depth_enter(l);
    switch (json_typeof(json)) {
    case JSON_OBJECT: {
        v = value_dict(l);
        const char *key;
        size_t len;
        json_t *item;
        json_object_keylen_foreach((json_t *)(uintptr_t)json, key, len, item)
            dict_append(l, v.dict, value_str(str_new(l, key, len, o)), value_from_json(l, item, o));
        break;
    }
    case JSON_ARRAY:
        v = value_list(l, LIST_LIST);
        for (size_t i = 0; i < json_array_size(json); i++)
            list_add(l, v.list, value_from_json(l, json_array_get(json, i), o));
        break;
    case JSON_STRING:
        v = value_str(str_new(l, json_string_value(json), json_string_length(json), o));
        break;
    case JSON_INTEGER:
        v = value_int(json_integer_value(json));
        break;
    case JSON_REAL:
        v = value_float(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        v = value_bool(json_is_true(json));
        break;
    case JSON_NULL:
        break;
    }
    depth_leave(l);
    v.origin = o;
    return v;
}

static enum template_origin field_origin(const char *key)
{
    static const struct {
        const char *key;
        enum template_origin origin;
    } fields[] = {
        {"role", TEMPLATE_LITERAL},
        {"content", TEMPLATE_CONTENT},
        {"reasoning_content", TEMPLATE_REASONING},
        {"reasoning", TEMPLATE_REASONING},
        {"thinking", TEMPLATE_REASONING},
        {"tool_calls", TEMPLATE_CALL},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!strcmp(key, fields[i].key))
            return fields[i].origin;
    return TEMPLATE_FIELD;
}

/* The list of messages: each string inside knows its message and what part of it it is. */
struct value messages_from_json(struct limits *l, const json_t *json)
{
    if (!json_is_array(json) || json_array_size(json) > 0xffffffe)
        return value_from_json(l, json, ORIGIN(TEMPLATE_DATA, -1));
    struct value list = value_list(l, LIST_LIST);
    for (size_t i = 0; i < json_array_size(json); i++) {
        const json_t *item = json_array_get(json, i);
        if (!json_is_object(item)) {
            list_add(l, list.list, value_from_json(l, item, ORIGIN(TEMPLATE_FIELD, (int)i)));
            continue;
        }
        struct value message = value_dict(l);
        message.dict->message = (int)i + 1;
        message.origin = ORIGIN(TEMPLATE_FIELD, (int)i);
        const char *key;
        size_t len;
        json_t *field;
        json_object_keylen_foreach((json_t *)(uintptr_t)item, key, len, field)
        {
            enum template_origin kind = field_origin(key);
            origin o = kind == TEMPLATE_LITERAL ? 0 : ORIGIN(kind, (int)i);
            dict_append(l, message.dict, value_str(str_new(l, key, len, 0)),
                        value_from_json(l, field, o));
        }
        list_add(l, list.list, message);
    }
    return list;
}

const char *type_name(struct value v)
{
    static const char *const lists[] = {"list",      "tuple",       "range",     "generator",
                                        "dict_keys", "dict_values", "dict_items"};
    switch (v.type) {
    case V_MISSING:
    case V_UNDEFINED:
        return "Undefined";
    case V_NONE:
        return "NoneType";
    case V_BOOL:
        return "bool";
    case V_INT:
        return "int";
    case V_FLOAT:
        return "float";
    case V_STRING:
        return v.s->markup ? "Markup" : "str";
    case V_LIST:
        return lists[v.list->kind];
    case V_DICT:
        return "dict";
    case V_NAMESPACE:
        return "Namespace";
    case V_FUNCTION:
        return v.function->kind == FUNCTION_MACRO ? "Macro" : "function";
    case V_LOOP:
        return "LoopContext";
    }
    return "object";
}

void fail_undefined(struct limits *l, struct value v)
{
    const struct undefined *u = v.undefined;
    if (u->hint)
        template_fail(l, "%s", u->hint);
    struct builder name;
    builder_init(&name, l);
    builder_add_repr(&name, u->name);
    const struct str *s = builder_str(&name);
    int len = s->len < 200 ? (int)s->len : 200;
    if (!u->object)
        template_fail(l, "%.*s is undefined", len, s->p);
    if (u->name.type == V_STRING)
        template_fail(l, "'%s' has no attribute %.*s", u->object, len, s->p);
    template_fail(l, "%s has no element %.*s", u->object, len, s->p);
}

void need_defined(struct limits *l, struct value v)
{
    if (v.type == V_UNDEFINED)
        fail_undefined(l, v);
}

bool value_truth(struct value v)
{
    switch (v.type) {
    case V_MISSING:
    case V_UNDEFINED:
    case V_NONE:
        return false;
    case V_BOOL:
        return v.b;
    case V_INT:
        return v.i != 0;
    case V_FLOAT:
        return v.f != 0;
    case V_STRING:
        return v.s->len != 0;
    case V_LIST:
        return v.list->kind == LIST_GENERATOR || v.list->n != 0;
    case V_DICT:
        return v.dict->n != 0;
    default:
        return true;
    }
}

bool value_is_number(struct value v)
{
    return v.type == V_BOOL || v.type == V_INT || v.type == V_FLOAT;
}

double value_number(struct value v)
{
    return v.type == V_FLOAT ? v.f : v.type == V_INT ? (double)v.i : v.b;
}

static int64_t whole(struct value v)
{
    return v.type == V_BOOL ? v.b : v.i;
}

/* <0, 0, >0; 2 when one is not a number. Exact also between an int and a float. */
static int number_compare(struct value a, struct value b)
{
    if (a.type != V_FLOAT && b.type != V_FLOAT)
        return whole(a) < whole(b) ? -1 : whole(a) > whole(b);
    long double x = a.type == V_FLOAT ? (long double)a.f : (long double)whole(a);
    long double y = b.type == V_FLOAT ? (long double)b.f : (long double)whole(b);
    return isnan(x) || isnan(y) ? 2 : x < y ? -1 : x > y;
}

static bool dict_equal(struct limits *l, const struct dict *a, const struct dict *b)
{
    if (a == b)
        return true;
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct value *v = dict_get(l, b, a->keys[i]);
        if (!v || !value_equal(l, a->values[i], *v))
            return false;
    }
    return true;
}

static bool list_equal(struct limits *l, const struct list *a, const struct list *b)
{
    if (a == b)
        return true;
    if (a->kind != b->kind || a->kind == LIST_GENERATOR || a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!value_equal(l, a->items[i], b->items[i]))
            return false;
    return true;
}

bool value_equal(struct limits *l, struct value a, struct value b)
{
    bool equal = false;
    spend(l, 1);
    if (value_is_number(a) && value_is_number(b))
        return number_compare(a, b) == 0;
    if (a.type != b.type)
        return false;
    depth_enter(l);
    switch (a.type) {
    case V_MISSING:
    case V_UNDEFINED:
    case V_NONE:
        equal = true;
        break;
    case V_STRING:
        spend(l, (a.s->len < b.s->len ? a.s->len : b.s->len) / 64);
        equal = str_equal(a.s, b.s);
        break;
    case V_LIST:
        equal = list_equal(l, a.list, b.list);
        break;
    case V_DICT:
        equal = dict_equal(l, a.dict, b.dict);
        break;
    default:
        equal = value_same(a, b);
        break;
    }
    depth_leave(l);
    return equal;
}

bool value_same(struct value a, struct value b)
{
    if (a.type != b.type)
        return false;
    switch (a.type) {
    case V_BOOL:
        return a.b == b.b;
    case V_INT:
        return a.i == b.i;
    case V_FLOAT:
        return a.f == b.f;
    case V_STRING:
        return str_equal(a.s, b.s);
    case V_LIST:
        return a.list == b.list;
    case V_DICT:
    case V_NAMESPACE:
        return a.dict == b.dict;
    case V_FUNCTION:
        return a.function == b.function;
    case V_LOOP:
        return a.loop == b.loop;
    default:
        return true;
    }
}

/* Negative, 0, positive; 2 for unordered numbers (a NaN). */
int value_compare(struct limits *l, struct value a, struct value b, const char *op)
{
    spend(l, 1);
    need_defined(l, a);
    need_defined(l, b);
    if (value_is_number(a) && value_is_number(b))
        return number_compare(a, b);
    if (a.type == V_STRING && b.type == V_STRING) {
        spend(l, (a.s->len < b.s->len ? a.s->len : b.s->len) / 64);
        int d = str_compare(a.s, b.s);
        return d < 0 ? -1 : d > 0;
    }
    if (a.type != V_LIST || b.type != V_LIST || a.list->kind != b.list->kind ||
        a.list->kind > LIST_TUPLE)
        template_fail(l, "'%s' not supported between instances of '%s' and '%s'", op, type_name(a),
                      type_name(b));
    depth_enter(l);
    int d = 0;
    for (size_t i = 0; !d && i < a.list->n && i < b.list->n; i++)
        if (!value_equal(l, a.list->items[i], b.list->items[i]))
            d = value_compare(l, a.list->items[i], b.list->items[i], op);
    depth_leave(l);
    if (d)
        return d;
    return a.list->n < b.list->n ? -1 : a.list->n > b.list->n;
}

bool value_contains(struct limits *l, struct value container, struct value item)
{
    switch (container.type) {
    case V_UNDEFINED:
        return false;
    case V_STRING:
        need_defined(l, item);
        if (item.type != V_STRING)
            template_fail(l, "'in <string>' requires string as left operand, not %s",
                          type_name(item));
        spend(l, container.s->len / 16);
        return str_find(container.s, item.s, 0) != SIZE_MAX;
    case V_DICT:
        return dict_get(l, container.dict, item) != NULL;
    case V_LIST: {
        const struct list *list = value_items(l, container);
        for (size_t i = 0; i < list->n; i++)
            if (value_equal(l, list->items[i], item))
                return true;
        return false;
    }
    default:
        template_fail(l, "argument of type '%s' is not iterable", type_name(container));
    }
}

struct list *value_items(struct limits *l, struct value v)
{
    struct str *plain;
    struct list *out = value_list(l, LIST_LIST).list;
    switch (v.type) {
    case V_UNDEFINED:
        return out;
    case V_LIST:
        if (v.list->kind != LIST_GENERATOR)
            return v.list;
        *out = *v.list;
        v.list->n = v.list->cap = 0; /* once is all one gets */
        return out;
    case V_DICT:
        for (size_t i = 0; i < v.dict->n; i++)
            list_add(l, out, v.dict->keys[i]);
        return out;
    case V_STRING:
        plain =
            arena_alloc(l, 1, sizeof *plain); /* characters of what is escaped aren't marked so */
        *plain = *v.s;
        plain->markup = false;
        for (size_t at = 0; at < plain->len;) {
            size_t from = at;
            utf8_next(plain->p, plain->len, &at);
            list_add(l, out, value_str(str_part(l, plain, from, at)));
        }
        return out;
    case V_LOOP:
        return value_items(l, (struct value){.type = V_LIST, .list = v.loop->list});
    default:
        template_fail(l, "'%s' object is not iterable", type_name(v));
    }
}

size_t value_length(struct limits *l, struct value v)
{
    switch (v.type) {
    case V_UNDEFINED:
        return 0;
    case V_STRING:
        spend(l, v.s->len / 64);
        return str_length(v.s);
    case V_DICT:
        return v.dict->n;
    case V_LIST:
        if (v.list->kind != LIST_GENERATOR)
            return v.list->n;
        break;
    case V_LOOP:
        return v.loop->list->n;
    default:
        break;
    }
    template_fail(l, "object of type '%s' has no len()", type_name(v));
}
