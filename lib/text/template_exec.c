/* Statements, and the provenance of what they write. */
#include "text/template_internal.h"

#include <string.h>

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

static enum flow execute(struct render *r, const struct node *list);

struct scope *scope_push(struct render *r)
{
    struct scope *outer = r->scope, *inner = arena_alloc(&r->l, 1, sizeof *inner);
    inner->parent = outer;
    r->scope = inner;
    return outer;
}

void scope_set(struct render *r, const struct str *name, struct value v)
{
    for (struct binding *b = r->scope->bindings; b; b = b->next)
        if (b->name == name) {
            b->value = v;
            return;
        }
    struct binding *b = arena_alloc(&r->l, 1, sizeof *b);
    *b = (struct binding){name, v, r->scope->bindings};
    r->scope->bindings = b;
}

void assign(struct render *r, const struct node *target, struct value v)
{
    if (target->kind == N_NAME) {
        scope_set(r, target->name, v);
        return;
    }
    if (target->kind == N_GETATTR) {
        struct value ns = evaluate(r, target->a);
        if (ns.type != V_NAMESPACE)
            template_fail(&r->l, "cannot assign attribute on non-namespace object");
        if (target->name->len && target->name->p[0] == '_')
            template_fail(&r->l, "a namespace's attribute may not begin with an underscore");
        dict_set(&r->l, ns.dict, value_str(target->name), v);
        return;
    }
    if (v.type == V_NONE || value_is_number(v))
        template_fail(&r->l, "cannot unpack non-iterable %s object", type_name(v));
    const struct list *items = value_items(&r->l, v);
    size_t i = 0;
    for (const struct node *t = target->a; t; t = t->next, i++) {
        if (i >= items->n)
            template_fail(&r->l, "not enough values to unpack (got %zu)", items->n);
        assign(r, t, items->items[i]);
    }
    if (i < items->n)
        template_fail(&r->l, "too many values to unpack (expected %zu)", i);
}

/* What has no origin yet is literal text of the turn that is being written. */
static origin stamp(const struct render *r, origin o)
{
    if (!o && r->turn)
        o = ORIGIN(TEMPLATE_LITERAL, r->turn - 1);
    if (r->generation && !ORIGIN_GENERATION(o))
        o |= (origin)r->generation << 32;
    return o;
}

void emit(struct render *r, const struct str *s)
{
    if (!s->n_runs) {
        builder_add(r->out, s->p, s->len, stamp(r, s->origin));
        return;
    }
    size_t start = 0;
    for (size_t i = 0; i < s->n_runs; i++) {
        builder_add(r->out, s->p + start, s->runs[i].end - start, stamp(r, s->runs[i].origin));
        start = s->runs[i].end;
    }
}

const struct str *capture(struct render *r, const struct node *body)
{
    struct builder b, *outer = r->out;
    builder_init(&b, &r->l);
    r->out = &b;
    execute(r, body);
    r->out = outer;
    return builder_str(&b);
}

static struct value apply_filters(struct render *r, const struct node *n, struct value v)
{
    if (!n)
        return v;
    return apply_filter(r, n, apply_filters(r, n->a, v));
}

/* The items that pass the loop's own test. */
static struct list *filtered(struct render *r, const struct node *n, struct list *items)
{
    if (!n->test)
        return items;
    struct list *out = value_list(&r->l, LIST_LIST).list;
    struct scope *outer = scope_push(r);
    for (size_t i = 0; i < items->n; i++) {
        assign(r, n->target, items->items[i]);
        if (value_truth(evaluate(r, n->test)))
            list_add(&r->l, out, items->items[i]);
    }
    r->scope = outer;
    return out;
}

/* Runs the loop's body for every item; the literal text of a round belongs to the message that the
 * round is about. */
static void run_loop(struct render *r, const struct node *n, struct list *items, size_t depth)
{
    struct scope *outer = r->scope;
    int turn = r->turn;
    struct loop *loop = arena_alloc(&r->l, 1, sizeof *loop);
    *loop = (struct loop){.list = filtered(r, n, items), .depth = depth, .node = n, .scope = outer};
    for (; loop->index < loop->list->n; loop->index++) {
        struct value item = loop->list->items[loop->index];
        scope_push(r);
        scope_set(r, r->t->loop, (struct value){.type = V_LOOP, .loop = loop});
        assign(r, n->target, item);
        if (item.type == V_DICT && item.dict->message)
            r->turn = item.dict->message;
        enum flow flow = execute(r, n->b);
        r->scope = outer;
        r->turn = turn;
        if (flow == FLOW_BREAK)
            break;
    }
    if (!loop->list->n && n->c) {
        scope_push(r);
        execute(r, n->c);
        r->scope = outer;
    }
}

/* loop(items) inside a recursive loop: the same body for other items, as a string. */
struct value call_loop(struct render *r, const struct function *f, const struct arguments *args)
{
    if (!f->loop->node->recursive || args->n != 1)
        template_fail(&r->l, "loop(items) needs a recursive loop and one argument");
    struct builder b, *out = r->out;
    struct scope *scope = r->scope;
    builder_init(&b, &r->l);
    r->out = &b;
    r->scope = f->loop->scope;
    depth_enter(&r->l);
    run_loop(r, f->loop->node, value_items(&r->l, args->items[0]), f->loop->depth + 1);
    depth_leave(&r->l);
    r->scope = scope;
    r->out = out;
    return value_str(builder_str(&b));
}

static struct value macro_value(struct render *r, const struct node *macro)
{
    struct function *f = arena_alloc(&r->l, 1, sizeof *f);
    *f = (struct function){.kind = FUNCTION_MACRO, .macro = macro, .scope = r->scope};
    return (struct value){.type = V_FUNCTION, .function = f};
}

/* The call gets the block's body as its argument `caller`. */
static void execute_call_block(struct render *r, const struct node *n)
{
    struct arguments args = {0};
    struct value f = evaluate(r, n->a->a);
    evaluate_arguments(r, n->a->arguments, &args);
    arguments_add_keyword(&r->l, &args, r->t->caller, macro_value(r, n->b));
    emit(r, value_to_str(&r->l, call_function(r, f, &args)));
}

static void execute_generation(struct render *r, const struct node *n)
{
    uint32_t outer = r->generation;
    struct scope *scope = scope_push(r);
    r->generation = ++r->n_generations;
    builder_add(r->out, "", 0, stamp(r, 0)); /* marks the block even if nothing is written in it */
    execute(r, n->b);
    r->generation = outer;
    r->scope = scope;
}

static void execute_with(struct render *r, const struct node *n)
{
    struct scope *outer = r->scope, *inner;
    scope_push(r);
    inner = r->scope;
    for (const struct node *set = n->a; set; set = set->next) {
        r->scope = outer; /* values are evaluated outside */
        struct value v = evaluate(r, set->a);
        r->scope = inner;
        assign(r, set->target, v);
    }
    execute(r, n->b);
    r->scope = outer;
}

static void execute_set(struct render *r, const struct node *n)
{
    struct value v;
    if (n->kind == N_SET) {
        v = evaluate(r, n->a);
    } else {
        struct scope *outer = scope_push(r);
        v = value_str(capture(r, n->b));
        r->scope = outer;
        v = apply_filters(r, n->a, v);
    }
    assign(r, n->target, v);
    /* {% set message = messages[i] %} in a loop over numbers is a loop over messages too. */
    if (r->scope->parent && !r->turn && v.type == V_DICT && v.dict->message)
        r->turn = v.dict->message;
}

static enum flow execute_if(struct render *r, const struct node *n)
{
    do {
        if (value_truth(evaluate(r, n->a)))
            return execute(r, n->b);
        n = n->c;
    } while (n && n->is_elif);
    return execute(r, n);
}

static enum flow execute_one(struct render *r, const struct node *n)
{
    switch (n->kind) {
    case N_DATA:
        emit(r, n->constant.s);
        break;
    case N_OUTPUT:
        for (const struct node *e = n->a; e; e = e->next) {
            struct value v = evaluate(r, e);
            if (r->t->strict)
                need_defined(&r->l, v);
            emit(r, value_to_str(&r->l, v));
        }
        break;
    case N_IF:
        return execute_if(r, n);
    case N_FOR:
        run_loop(r, n, value_items(&r->l, evaluate(r, n->a)), 0);
        break;
    case N_SET:
    case N_SET_BLOCK:
        execute_set(r, n);
        break;
    case N_MACRO:
        scope_set(r, n->name, macro_value(r, n));
        break;
    case N_CALL_BLOCK:
        execute_call_block(r, n);
        break;
    case N_FILTER_BLOCK: {
        struct scope *outer = scope_push(r);
        struct value v = value_str(capture(r, n->b));
        r->scope = outer;
        emit(r, value_to_str(&r->l, apply_filters(r, n->a, v)));
        break;
    }
    case N_WITH:
        execute_with(r, n);
        break;
    case N_GENERATION:
        execute_generation(r, n);
        break;
    case N_BREAK:
        return FLOW_BREAK;
    case N_CONTINUE:
        return FLOW_CONTINUE;
    default:
        template_fail(&r->l, "not a statement");
    }
    return FLOW_ON;
}

static enum flow execute(struct render *r, const struct node *list)
{
    enum flow flow = FLOW_ON;
    depth_enter(&r->l);
    for (const struct node *n = list; n && flow == FLOW_ON; n = n->next) {
        r->l.line = n->line;
        spend(&r->l, 1);
        flow = execute_one(r, n);
    }
    depth_leave(&r->l);
    return flow;
}

void execute_body(struct render *r, const struct node *body)
{
    execute(r, body);
}
