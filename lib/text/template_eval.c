/* Expressions. */
#include "text/template_internal.h"

#include <math.h>
#include <string.h>

static struct value lookup(struct render *r, const struct str *name)
{
    for (const struct scope *s = r->scope; s; s = s->parent)
        for (const struct binding *b = s->bindings; b; b = b->next)
            if (b->name == name)
                return b->value;
    const struct builtin *global = global_find(name);
    if (global) {
        struct function *f = arena_alloc(&r->l, 1, sizeof *f);
        f->builtin = global;
        f->self.type = V_MISSING;
        return (struct value){.type = V_FUNCTION, .function = f};
    }
    struct undefined *u = arena_alloc(&r->l, 1, sizeof *u);
    u->name = value_str(name);
    return (struct value){.type = V_UNDEFINED, .undefined = u};
}

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

struct slice {
    struct value start, stop, step;
};

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

static struct value get_slice(struct render *r, struct value object, const struct slice *slice)
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

static struct value evaluate_item(struct render *r, const struct node *n)
{
    struct value object = evaluate(r, n->a);
    if (n->b->kind != N_SLICE)
        return get_item(r, object, evaluate(r, n->b));
    struct slice slice = {n->b->a ? evaluate(r, n->b->a) : value_none(),
                          n->b->b ? evaluate(r, n->b->b) : value_none(),
                          n->b->c ? evaluate(r, n->b->c) : value_none()};
    return get_slice(r, object, &slice);
}

_Noreturn static void fail_operands(struct render *r, enum operator op, struct value a,
                                    struct value b)
{
    static const char *const names[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};
    need_defined(&r->l, a);
    need_defined(&r->l, b);
    if (op == OP_ADD && (a.type == V_STRING || a.type == V_LIST) && a.type != b.type) {
        const char *type = type_name(a);
        if (a.type == V_STRING)
            template_fail(&r->l, "can only concatenate %s (not \"%s\") to %s", type, type_name(b),
                          type);
    }
    template_fail(&r->l, "unsupported operand type(s) for %s: '%s' and '%s'", names[op],
                  type_name(a), type_name(b));
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static struct value int_power(struct render *r, int64_t base, int64_t exponent)
{
    int64_t result = 1;
    if (exponent < 0)
        return value_float(pow((double)base, (double)exponent));
    if (base >= -1 && base <= 1)
        return value_int(base == 0 ? exponent == 0 : base == 1 || exponent % 2 == 0 ? 1 : -1);
    while (exponent--)
        if (__builtin_mul_overflow(result, base, &result))
            template_fail(&r->l, "a number does not fit 64 bits");
    return value_int(result);
}

static struct value int_binary(struct render *r, enum operator op, int64_t a, int64_t b)
{
    int64_t v = 0;
    bool overflow = false;
    if (b == 0 && (op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD))
        template_fail(&r->l, "division by zero");
    switch (op) {
    case OP_ADD:
        overflow = __builtin_add_overflow(a, b, &v);
        break;
    case OP_SUB:
        overflow = __builtin_sub_overflow(a, b, &v);
        break;
    case OP_MUL:
        overflow = __builtin_mul_overflow(a, b, &v);
        break;
    case OP_DIV:
        return value_float((double)a / (double)b);
    case OP_FLOORDIV:
        overflow = a == INT64_MIN && b == -1;
        v = overflow ? 0 : floor_divide(a, b);
        break;
    case OP_MOD:
        v = b == -1 ? 0 : a - floor_divide(a, b) * b;
        break;
    default:
        return int_power(r, a, b);
    }
    if (overflow)
        template_fail(&r->l, "a number does not fit 64 bits");
    return value_int(v);
}

static struct value float_binary(struct render *r, enum operator op, double a, double b)
{
    if (b == 0 && (op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD))
        template_fail(&r->l, "division by zero");
    switch (op) {
    case OP_ADD:
        return value_float(a + b);
    case OP_SUB:
        return value_float(a - b);
    case OP_MUL:
        return value_float(a * b);
    case OP_DIV:
        return value_float(a / b);
    case OP_FLOORDIV:
        return value_float(floor(a / b));
    case OP_MOD: {
        double m = fmod(a, b);
        return value_float(m != 0 && (m < 0) != (b < 0) ? m + b : m);
    }
    default:
        return value_float(pow(a, b));
    }
}

static struct value repeat(struct render *r, struct value v, struct value times)
{
    int64_t n = times.type == V_BOOL ? times.b : times.i;
    if (v.type == V_STRING) {
        struct builder b;
        builder_init(&b, &r->l);
        for (; n > 0 && v.s->len; n--)
            builder_add_str(&b, v.s);
        return value_str(builder_str(&b));
    }
    struct value out = value_list(&r->l, v.list->kind);
    for (; n > 0 && v.list->n; n--)
        for (size_t i = 0; i < v.list->n; i++)
            list_add(&r->l, out.list, v.list->items[i]);
    return out;
}

static bool is_sequence(struct value v)
{
    return v.type == V_STRING || (v.type == V_LIST && v.list->kind <= LIST_TUPLE);
}

static struct value add_sequences(struct render *r, struct value a, struct value b)
{
    if (a.type == V_STRING) {
        bool markup = a.s->markup || b.s->markup;
        const struct str *x = markup && !a.s->markup ? str_escape(&r->l, a.s) : a.s;
        const struct str *y = markup && !b.s->markup ? str_escape(&r->l, b.s) : b.s;
        const struct str *sum = str_concat(&r->l, x, y);
        if (markup) {
            struct str *marked = arena_alloc(&r->l, 1, sizeof *marked);
            *marked = *sum;
            marked->markup = true;
            sum = marked;
        }
        return value_str(sum);
    }
    struct value out = value_list(&r->l, a.list->kind);
    for (size_t i = 0; i < a.list->n; i++)
        list_add(&r->l, out.list, a.list->items[i]);
    for (size_t i = 0; i < b.list->n; i++)
        list_add(&r->l, out.list, b.list->items[i]);
    return out;
}

struct value binary(struct render *r, enum operator op, struct value a, struct value b)
{
    if (value_is_number(a) && value_is_number(b)) {
        if (a.type == V_FLOAT || b.type == V_FLOAT)
            return float_binary(r, op, value_number(a), value_number(b));
        return int_binary(r, op, a.type == V_BOOL ? a.b : a.i, b.type == V_BOOL ? b.b : b.i);
    }
    if (op == OP_ADD && is_sequence(a) && a.type == b.type &&
        (a.type == V_STRING || a.list->kind == b.list->kind))
        return add_sequences(r, a, b);
    if (op == OP_MUL && is_sequence(a) && (b.type == V_INT || b.type == V_BOOL))
        return repeat(r, a, b);
    if (op == OP_MUL && is_sequence(b) && (a.type == V_INT || a.type == V_BOOL))
        return repeat(r, b, a);
    if (op == OP_MOD && a.type == V_STRING)
        return format_percent(r, a.s, b);
    fail_operands(r, op, a, b);
}

static bool compare(struct render *r, enum operator op, struct value a, struct value b)
{
    static const char *const names[] = {
        [OP_LT] = "<", [OP_LE] = "<=", [OP_GT] = ">", [OP_GE] = ">="};
    int d;
    switch (op) {
    case OP_EQ:
        return value_equal(&r->l, a, b);
    case OP_NE:
        return !value_equal(&r->l, a, b);
    case OP_IN:
        return value_contains(&r->l, b, a);
    case OP_NOT_IN:
        return !value_contains(&r->l, b, a);
    default:
        d = value_compare(&r->l, a, b, names[op]);
        return d != 2 && (op == OP_LT   ? d < 0
                          : op == OP_LE ? d <= 0
                          : op == OP_GT ? d > 0
                                        : d >= 0);
    }
}

static struct value evaluate_compare(struct render *r, const struct node *n)
{
    struct value left = evaluate(r, n->a);
    for (const struct node *o = n->b; o; o = o->next) {
        struct value right = evaluate(r, o->a);
        if (!compare(r, o->op, left, right))
            return value_bool(false);
        left = right;
    }
    return value_bool(true);
}

static struct value evaluate_concat(struct render *r, const struct node *n)
{
    struct builder b;
    builder_init(&b, &r->l);
    for (const struct node *part = n->a; part; part = part->next) {
        const struct str *s = value_to_str(&r->l, evaluate(r, part));
        builder_add_str(&b, s);
    }
    return value_str(builder_str(&b));
}

static struct value evaluate_items(struct render *r, const struct node *n)
{
    struct value out = value_list(&r->l, n->kind == N_TUPLE ? LIST_TUPLE : LIST_LIST);
    for (const struct node *item = n->a; item; item = item->next)
        list_add(&r->l, out.list, evaluate(r, item));
    return out;
}

static struct value evaluate_dict(struct render *r, const struct node *n)
{
    struct value out = value_dict(&r->l);
    for (const struct node *item = n->a; item; item = item->next->next) {
        struct value key = evaluate(r, item);
        dict_set(&r->l, out.dict, key, evaluate(r, item->next));
    }
    return out;
}

static struct value evaluate_sign(struct render *r, const struct node *n)
{
    struct value v = evaluate(r, n->a);
    need_defined(&r->l, v);
    if (!value_is_number(v))
        template_fail(&r->l, "bad operand type for unary %c: '%s'", n->kind == N_NEGATE ? '-' : '+',
                      type_name(v));
    if (v.type == V_FLOAT)
        return value_float(n->kind == N_NEGATE ? -v.f : v.f);
    return int_binary(r, n->kind == N_NEGATE ? OP_SUB : OP_ADD, 0, v.type == V_BOOL ? v.b : v.i);
}

static struct value evaluate_call(struct render *r, const struct node *n)
{
    struct arguments args = {0};
    struct value f = evaluate(r, n->a);
    evaluate_arguments(r, n->arguments, &args);
    r->l.line = n->line;
    return call_function(r, f, &args);
}

static struct value evaluate_test(struct render *r, const struct node *n)
{
    struct arguments args = {0};
    struct value v = evaluate(r, n->a);
    evaluate_arguments(r, n->arguments, &args);
    r->l.line = n->line;
    if (!n->builtin)
        template_fail(&r->l, "there is no test named '%.*s'", (int)n->name->len, n->name->p);
    return call_builtin(r, n->builtin, v, &args);
}

static struct value evaluate_condition(struct render *r, const struct node *n)
{
    if (value_truth(evaluate(r, n->b)))
        return evaluate(r, n->a);
    if (n->c)
        return evaluate(r, n->c);
    return value_undefined(&r->l, "the inline if-expression evaluated to false and no else section "
                                  "was defined.");
}

static struct value evaluate_inner(struct render *r, const struct node *n)
{
    struct value v;
    switch (n->kind) {
    case N_CONST:
        return n->constant;
    case N_NAME:
        return lookup(r, n->name);
    case N_LIST:
    case N_TUPLE:
        return evaluate_items(r, n);
    case N_DICT:
        return evaluate_dict(r, n);
    case N_GETATTR:
        return get_attribute(r, evaluate(r, n->a), n->name);
    case N_GETITEM:
        return evaluate_item(r, n);
    case N_CALL:
        return evaluate_call(r, n);
    case N_FILTER:
        return apply_filter(r, n, evaluate(r, n->a));
    case N_TEST:
        return evaluate_test(r, n);
    case N_NOT:
        return value_bool(!value_truth(evaluate(r, n->a)));
    case N_NEGATE:
    case N_POSITIVE:
        return evaluate_sign(r, n);
    case N_BINARY:
        v = evaluate(r, n->a);
        return binary(r, n->op, v, evaluate(r, n->b));
    case N_CONCAT:
        return evaluate_concat(r, n);
    case N_COMPARE:
        return evaluate_compare(r, n);
    case N_AND:
        v = evaluate(r, n->a);
        return value_truth(v) ? evaluate(r, n->b) : v;
    case N_OR:
        v = evaluate(r, n->a);
        return value_truth(v) ? v : evaluate(r, n->b);
    case N_CONDITION:
        return evaluate_condition(r, n);
    case N_SLICE:
        template_fail(&r->l, "a slice can't be combined with other subscripts");
    default:
        template_fail(&r->l, "not an expression");
    }
}

struct value evaluate(struct render *r, const struct node *n)
{
    r->l.line = n->line;
    spend(&r->l, 1);
    depth_enter(&r->l);
    struct value v = evaluate_inner(r, n);
    depth_leave(&r->l);
    return v;
}
