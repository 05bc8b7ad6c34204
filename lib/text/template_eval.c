/* Expressions. */
#include "text/template_internal.h"

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
    return binary(r, n->kind == N_NEGATE ? OP_SUB : OP_ADD, value_int(0), v);
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
