/* Attributes, items and slices, where Jinja looks for them. */
#include "text/template_internal.h"

/* What a missing attribute or item is: usable in tests, an error in anything else. */
static struct value missing(struct render *r, struct value object, struct value name)
{
    static const char *const lists[] = {
        "list object",      "tuple object",       "range object",     "generator object",
        "dict_keys object", "dict_values object", "dict_items object"};
    static const char *const types[] = {[V_NONE] = "None",
                                        [V_BOOL] = "bool object",
                                        [V_INT] = "int object",
                                        [V_FLOAT] = "float object",
                                        [V_STRING] = "str object",
                                        [V_DICT] = "dict object",
                                        [V_NAMESPACE] = "Namespace object",
                                        [V_FUNCTION] = "function object",
                                        [V_LOOP] = "LoopContext object"};
    need_defined(&r->l, object);
    struct undefined *u = arena_alloc(&r->l, 1, sizeof *u);
    u->object = object.type == V_LIST ? lists[object.list->kind] : types[object.type];
    u->name = name;
    return (struct value){.type = V_UNDEFINED, .undefined = u};
}

static struct value method(struct render *r, const struct builtin *m, struct value self)
{
    struct function *f = arena_alloc(&r->l, 1, sizeof *f);
    f->builtin = m;
    f->self = self;
    return (struct value){.type = V_FUNCTION, .function = f};
}

static struct value refused(struct render *r, struct value object, const struct str *name)
{
    struct builder b;
    builder_init(&b, &r->l);
    builder_addz(&b, "access to attribute '", 0);
    builder_add_str(&b, name);
    builder_addz(&b, "' of '", 0);
    builder_addz(&b, type_name(object), 0);
    builder_addz(&b, "' object is unsafe.", 0);
    builder_add(&b, "", 1, 0);
    return value_undefined(&r->l, builder_str(&b)->p);
}

static struct value loop_item(struct render *r, const struct loop *loop, size_t i, const char *none)
{
    return i < loop->list->n ? loop->list->items[i] : value_undefined(&r->l, none);
}

static bool loop_attribute(struct render *r, struct loop *loop, const struct str *name,
                           struct value *v)
{
    size_t n = loop->list->n, i = loop->index;
    if (str_equalz(name, "index"))
        *v = value_int((int64_t)i + 1);
    else if (str_equalz(name, "index0"))
        *v = value_int((int64_t)i);
    else if (str_equalz(name, "revindex"))
        *v = value_int((int64_t)(n - i));
    else if (str_equalz(name, "revindex0"))
        *v = value_int((int64_t)(n - i) - 1);
    else if (str_equalz(name, "first"))
        *v = value_bool(i == 0);
    else if (str_equalz(name, "last"))
        *v = value_bool(i + 1 == n);
    else if (str_equalz(name, "length"))
        *v = value_int((int64_t)n);
    else if (str_equalz(name, "depth"))
        *v = value_int((int64_t)loop->depth + 1);
    else if (str_equalz(name, "depth0"))
        *v = value_int((int64_t)loop->depth);
    else if (str_equalz(name, "previtem"))
        *v = loop_item(r, loop, i - 1, "there is no previous item");
    else if (str_equalz(name, "nextitem"))
        *v = loop_item(r, loop, i + 1, "there is no next item");
    else
        return false;
    return true;
}

static bool macro_attribute(struct render *r, const struct node *macro, const struct str *name,
                            struct value *v)
{
    if (str_equalz(name, "name"))
        *v = value_str(macro->name);
    else if (str_equalz(name, "caller"))
        *v = value_bool(macro->uses_caller);
    else if (str_equalz(name, "catch_kwargs"))
        *v = value_bool(macro->uses_kwargs);
    else if (str_equalz(name, "catch_varargs"))
        *v = value_bool(macro->uses_varargs);
    else if (str_equalz(name, "arguments")) {
        *v = value_list(&r->l, LIST_TUPLE);
        for (const struct node *p = macro->arguments; p; p = p->next)
            list_add(&r->l, v->list, value_str(p->name));
    } else
        return false;
    return true;
}

static bool dict_item(struct render *r, struct value object, struct value key, struct value *v)
{
    const struct value *found = dict_get(&r->l, object.dict, key);
    if (found)
        *v = *found;
    return found != NULL;
}

/* object.name: what the object can do comes before what it holds. */
struct value get_attribute(struct render *r, struct value object, const struct str *name)
{
    struct value v;
    need_defined(&r->l, object);
    if (object.type == V_LOOP && loop_attribute(r, object.loop, name, &v))
        return v;
    if (object.type == V_FUNCTION && object.function->kind == FUNCTION_MACRO &&
        macro_attribute(r, object.function->macro, name, &v))
        return v;
    if (object.type == V_NAMESPACE)
        return dict_item(r, object, value_str(name), &v) ? v : missing(r, object, value_str(name));
    if (method_is_refused(object, name) ||
        (name->len >= 2 && name->p[0] == '_' && name->p[1] == '_'))
        return refused(r, object, name);
    const struct builtin *m = method_find(object, name);
    if (m)
        return method(r, m, object);
    if (object.type == V_DICT && dict_item(r, object, value_str(name), &v))
        return v;
    return missing(r, object, value_str(name));
}

static int64_t slice_bound(struct render *r, struct value v, int64_t n, int64_t step, bool is_start)
{
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    if (v.type == V_NONE)
        return (step > 0) == is_start ? low : high;
    if (v.type != V_INT && v.type != V_BOOL) {
        need_defined(&r->l, v);
        template_fail(&r->l, "slice indices must be integers or None");
    }
    int64_t i = v.type == V_BOOL ? v.b : v.i;
    if (i < 0)
        i = i < -n ? low : i + n;
    return i < low ? low : i > high ? high : i;
}

static struct value slice_str(struct render *r, const struct str *s, const struct slice *slice,
                              int64_t step)
{
    spend(&r->l, 1 + s->len / 16);
    int64_t n = (int64_t)str_length(s);
    int64_t from = slice_bound(r, slice->start, n, step, true);
    int64_t to = slice_bound(r, slice->stop, n, step, false);
    if (step == 1) {
        size_t a = str_offset(s, (size_t)from), z = from < to ? str_offset(s, (size_t)to) : a;
        return value_str(str_part(&r->l, s, a, z));
    }
    size_t *offsets = arena_alloc(&r->l, (size_t)n + 1, sizeof *offsets), at = 0;
    for (int64_t i = 0; i < n; i++) {
        offsets[i] = at;
        utf8_next(s->p, s->len, &at);
    }
    offsets[n] = s->len;
    struct builder b;
    builder_init(&b, &r->l);
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
        builder_add_part(&b, s, offsets[i], offsets[i + 1]);
    return value_str(builder_str(&b));
}

struct value get_slice(struct render *r, struct value object, const struct slice *slice)
{
    int64_t step = 1;
    need_defined(&r->l, object);
    if (slice->step.type == V_INT)
        step = slice->step.i;
    else if (slice->step.type != V_NONE)
        template_fail(&r->l, "slice indices must be integers or None");
    if (step == 0)
        template_fail(&r->l, "slice step cannot be zero");
    if (object.type == V_STRING)
        return slice_str(r, object.s, slice, step);
    if (object.type != V_LIST || object.list->kind > LIST_RANGE)
        template_fail(&r->l, "'%s' object can't be sliced", type_name(object));
    int64_t n = (int64_t)object.list->n;
    int64_t from = slice_bound(r, slice->start, n, step, true);
    int64_t to = slice_bound(r, slice->stop, n, step, false);
    struct value out = value_list(&r->l, object.list->kind);
    out.origin = object.origin;
    for (int64_t i = from; step > 0 ? i < to : i > to;) {
        list_add(&r->l, out.list, object.list->items[i]);
        if (__builtin_add_overflow(i, step, &i))
            break;
    }
    return out;
}

/* object[key]: what the object holds comes before what it can do. */
struct value get_item(struct render *r, struct value object, struct value key)
{
    struct value v;
    need_defined(&r->l, object);
    if (object.type == V_DICT && (key.type != V_LIST || key.list->kind == LIST_TUPLE) &&
        key.type != V_DICT && dict_item(r, object, key, &v))
        return v;
    if (key.type == V_INT || key.type == V_BOOL) {
        int64_t i = key.type == V_BOOL ? key.b : key.i;
        if (object.type == V_LIST && object.list->kind <= LIST_RANGE) {
            int64_t n = (int64_t)object.list->n;
            if (i < 0)
                i += n;
            if (i >= 0 && i < n)
                return object.list->items[i];
        } else if (object.type == V_STRING) {
            struct slice one = {value_int(i), i == -1 ? value_none() : value_int(i + 1),
                                value_none()};
            v = get_slice(r, object, &one);
            if (v.s->len)
                return v;
        }
    }
    if (key.type == V_STRING && object.type != V_DICT)
        return get_attribute(r, object, key.s);
    if (key.type == V_STRING) {
        const struct builtin *m = method_find(object, key.s);
        if (m)
            return method(r, m, object);
    }
    return missing(r, object, key);
}
