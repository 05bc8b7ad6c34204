/* Calls: arguments, built-in functions, macros, filters. */
#include "text/template_internal.h"

#include <string.h>

void arguments_add(struct limits *l, struct arguments *args, struct value v)
{
    if (args->n == args->cap) {
        size_t cap = args->cap ? 2 * args->cap : 4;
        struct value *items = arena_alloc(l, cap, sizeof *items);
        if (args->n)
            memcpy(items, args->items, args->n * sizeof *items);
        args->items = items;
        args->cap = cap;
    }
    args->items[args->n++] = v;
}

void arguments_add_keyword(struct limits *l, struct arguments *args, const struct str *name,
                           struct value v)
{
    if (args->n_keywords == args->keywords_cap) {
        size_t cap = args->keywords_cap ? 2 * args->keywords_cap : 4;
        struct keyword *keywords = arena_alloc(l, cap, sizeof *keywords);
        if (args->n_keywords)
            memcpy(keywords, args->keywords, args->n_keywords * sizeof *keywords);
        args->keywords = keywords;
        args->keywords_cap = cap;
    }
    for (size_t i = 0; i < args->n_keywords; i++)
        if (str_equal(args->keywords[i].name, name))
            template_fail(l, "keyword argument '%.*s' given twice", (int)name->len, name->p);
    args->keywords[args->n_keywords++] = (struct keyword){name, v};
}

void evaluate_arguments(struct render *r, const struct node *list, struct arguments *args)
{
    for (const struct node *n = list; n; n = n->next) {
        struct value v = evaluate(r, n->kind >= N_KEYWORD ? n->a : n);
        if (n->kind == N_KEYWORD) {
            arguments_add_keyword(&r->l, args, n->name, v);
        } else if (n->kind == N_SPLAT2) {
            if (v.type != V_DICT)
                template_fail(&r->l, "argument after ** must be a mapping, not %s", type_name(v));
            for (size_t i = 0; i < v.dict->n; i++) {
                if (v.dict->keys[i].type != V_STRING)
                    template_fail(&r->l, "keywords must be strings");
                arguments_add_keyword(&r->l, args, v.dict->keys[i].s, v.dict->values[i]);
            }
        } else if (n->kind == N_SPLAT) {
            const struct list *items = value_items(&r->l, v);
            for (size_t i = 0; i < items->n; i++)
                arguments_add(&r->l, args, items->items[i]);
        } else {
            arguments_add(&r->l, args, v);
        }
    }
}

/* The name of the next parameter in "a b? c": its length, and where the one after it starts. */
static size_t parameter_name(const char **at)
{
    while (**at == ' ')
        ++*at;
    size_t len = strcspn(*at, " ");
    return len;
}

/*
 * Puts positional and keyword arguments where the parameters of f say. `self` is the first one; it
 * is V_MISSING for global functions, whose parameters all come from the call.
 */
struct value call_builtin(struct render *r, const struct builtin *f, struct value self,
                          const struct arguments *args)
{
    struct value a[MAX_PARAMETERS];
    struct arguments rest = {0};
    size_t n = 0, used = 0, keywords_used = 0;
    bool optional = false, any = false;
    for (const char *p = f->parameters; *p;) {
        size_t len = parameter_name(&p);
        const char *name = p;
        p += len;
        if (len == 1 && *name == '?') {
            optional = true;
            continue;
        }
        if (len == 1 && *name == '*') {
            any = true;
            continue;
        }
        a[n] = (struct value){.type = V_MISSING};
        if (n == 0 && self.type != V_MISSING)
            a[n] = self;
        else if (used < args->n)
            a[n] = args->items[used++];
        else
            for (size_t k = 0; k < args->n_keywords; k++)
                if (args->keywords[k].name->len == len &&
                    !memcmp(args->keywords[k].name->p, name, len)) {
                    a[n] = args->keywords[k].value;
                    keywords_used++;
                }
        if (a[n].type == V_MISSING && !optional)
            template_fail(&r->l, "%s: argument '%.*s' is missing", f->name, (int)len, name);
        n++;
    }
    if (any) {
        rest = *args;
        rest.items = args->n ? args->items + used : NULL;
        rest.n -= used;
    } else if (used < args->n) {
        template_fail(&r->l, "%s: takes %zu arguments but %zu were given", f->name, n,
                      args->n + (self.type != V_MISSING));
    } else if (keywords_used < args->n_keywords) {
        template_fail(&r->l, "%s: has no such keyword argument, or it was given twice", f->name);
    }
    /* Whatever it does, it reads its strings; what it writes is paid for where it is written. */
    for (size_t i = 0; i < n; i++)
        if (a[i].type == V_STRING)
            spend(&r->l, a[i].s->len / 8);
    /* cppcheck-suppress returnDanglingLifetime ; values are copied */
    return f->call(r, a, &rest);
}

struct value call_function(struct render *r, struct value v, const struct arguments *args)
{
    struct value result;
    need_defined(&r->l, v);
    if (v.type == V_LOOP) {
        struct function f = {.kind = FUNCTION_LOOP, .loop = v.loop};
        return call_loop(r, &f, args);
    }
    if (v.type != V_FUNCTION)
        template_fail(&r->l, "'%s' object is not callable", type_name(v));
    depth_enter(&r->l);
    if (v.function->kind == FUNCTION_MACRO)
        result = call_macro(r, v.function, args);
    else
        result = call_builtin(r, v.function->builtin, v.function->self, args);
    depth_leave(&r->l);
    return result;
}

struct value apply_filter(struct render *r, const struct node *n, struct value v)
{
    struct arguments args = {0};
    evaluate_arguments(r, n->arguments, &args);
    r->l.line = n->line;
    if (!n->builtin)
        template_fail(&r->l, "there is no filter named '%.*s'", (int)n->name->len, n->name->p);
    return call_builtin(r, n->builtin, v, &args);
}

static const struct value *find_keyword(const struct arguments *args, const struct str *name)
{
    for (size_t i = 0; i < args->n_keywords; i++)
        if (str_equal(args->keywords[i].name, name))
            return &args->keywords[i].value;
    return NULL;
}

/* Binds the parameters; what is not given gets its default, evaluated inside, or is undefined. */
static size_t bind_parameters(struct render *r, const struct node *macro,
                              const struct arguments *args)
{
    size_t used = 0;
    for (const struct node *p = macro->arguments; p; p = p->next) {
        const struct value *given =
            used < args->n ? &args->items[used] : find_keyword(args, p->name);
        if (used < args->n)
            used++;
        if (given)
            scope_set(r, p->name, *given);
        else
            scope_set(r, p->name,
                      p->a ? evaluate(r, p->a)
                           : value_undefined(&r->l, "a parameter was not provided"));
    }
    return used;
}

/* Keyword arguments that are no parameters: caller, and kwargs for a macro that uses them. */
static void bind_other_keywords(struct render *r, const struct node *macro,
                                const struct arguments *args)
{
    struct value kwargs = value_dict(&r->l);
    for (size_t i = 0; i < args->n_keywords; i++) {
        const struct keyword *k = &args->keywords[i];
        bool known = false;
        for (const struct node *p = macro->arguments; p && !known; p = p->next)
            known = str_equal(p->name, k->name);
        if (known)
            continue;
        if (str_equal(k->name, r->t->caller) && macro->uses_caller)
            scope_set(r, r->t->caller, k->value);
        else if (macro->uses_kwargs)
            dict_set(&r->l, kwargs.dict, value_str(k->name), k->value);
        else
            template_fail(&r->l, "macro '%.*s' takes no keyword argument '%.*s'",
                          (int)macro->name->len, macro->name->p, (int)k->name->len, k->name->p);
    }
    if (macro->uses_kwargs)
        scope_set(r, r->t->kwargs, kwargs);
}

struct value call_macro(struct render *r, const struct function *f, const struct arguments *args)
{
    struct scope *caller = r->scope;
    r->scope = f->scope;
    scope_push(r);
    size_t used = bind_parameters(r, f->macro, args);
    if (used < args->n && !f->macro->uses_varargs)
        template_fail(&r->l, "macro '%.*s' takes not more than %zu argument(s)",
                      (int)f->macro->name->len, f->macro->name->p, used);
    if (f->macro->uses_varargs) {
        struct value varargs = value_list(&r->l, LIST_TUPLE);
        for (size_t i = used; i < args->n; i++)
            list_add(&r->l, varargs.list, args->items[i]);
        scope_set(r, r->t->varargs, varargs);
    }
    bind_other_keywords(r, f->macro, args);
    struct value result = value_str(capture(r, f->macro->b));
    r->scope = caller;
    return result;
}
