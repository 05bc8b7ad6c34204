/* Statements: the tags between {% and %}. */
#include "text/template_parse.h"

#include <string.h>

#include "base/mem.h"

static struct node *parse_body(struct parser *p, const char *const *ends);

/* The body of a block tag up to one of `ends`, whose name is taken; its "%}" is left. */
static struct node *parse_block_body(struct parser *p, const char *const *ends)
{
    skip(p, ":"); /* jinja2 lets it stand */
    expect_type(p, T_BLOCK_END, "'%}'");
    return parse_body(p, ends);
}

static void check_target(struct parser *p, const struct node *n, bool with_namespace)
{
    if (n->kind == N_TUPLE) {
        for (const struct node *item = n->a; item; item = item->next)
            check_target(p, item, false);
        return;
    }
    if (n->kind == N_GETATTR && with_namespace && n->a->kind == N_NAME)
        return;
    if (n->kind != N_NAME)
        template_fail(p->l, "can't assign to this");
    if (n->name == p->t->loop)
        template_fail(p->l, "can't assign to the variable loop");
}

static struct node *parse_target_item(struct parser *p)
{
    if (skip(p, "(")) {
        struct node *tuple = node_new(p, N_TUPLE, NULL), **tail = &tuple->a;
        depth_enter(p->l);
        while (!skip(p, ")")) {
            if (tuple->a)
                expect(p, ",");
            if (skip(p, ")"))
                break;
            tail = append(tail, parse_target_item(p));
        }
        depth_leave(p->l);
        return tuple;
    }
    struct node *n = node_new(p, N_NAME, NULL);
    n->name = expect_name(p);
    if (next_is(p, ".")) {
        take(p);
        n = node_new(p, N_GETATTR, n);
        n->name = expect_name(p);
    }
    return n;
}

/* A name, a namespace's attribute, or names with commas. */
static struct node *parse_target(struct parser *p, bool with_namespace)
{
    struct node *n = parse_target_item(p);
    if (next_is(p, ",")) {
        struct node *tuple = node_new(p, N_TUPLE, n), **tail = &n->next;
        while (skip(p, ",")) {
            if (p->at->type != T_NAME && !next_is(p, "("))
                break;
            if (next_is_name(p, "in"))
                break;
            tail = append(tail, parse_target_item(p));
        }
        n = tuple;
    }
    check_target(p, n, with_namespace);
    return n;
}

static struct node *parse_for(struct parser *p)
{
    static const char *const ends[] = {"endfor", "else", NULL}, *const last[] = {"endfor", NULL};
    struct node *n = node_new(p, N_FOR, NULL);
    n->target = parse_target(p, false);
    if (!skip_name(p, "in"))
        fail_expected(p, "'in'");
    n->a = parse_tuple(p, false, false, "recursive");
    if (skip_name(p, "if"))
        n->test = parse_expression(p, true);
    n->recursive = skip_name(p, "recursive");
    p->loops++;
    n->b = parse_block_body(p, ends);
    p->loops--;
    if (token_is(p->at - 1, T_NAME, "else"))
        n->c = parse_block_body(p, last);
    return n;
}

static struct node *parse_if(struct parser *p)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL}, *const last[] = {"endif",
                                                                                        NULL};
    struct node *first = NULL, **where = &first;
    for (;;) {
        struct node *n = node_new(p, N_IF, NULL);
        n->is_elif = first != NULL;
        n->a = parse_tuple(p, false, false, NULL);
        n->b = parse_block_body(p, ends);
        *where = n;
        where = &n->c;
        if (token_is(p->at - 1, T_NAME, "elif"))
            continue;
        if (token_is(p->at - 1, T_NAME, "else"))
            n->c = parse_block_body(p, last);
        return first;
    }
}

static struct node *parse_set(struct parser *p)
{
    static const char *const ends[] = {"endset", NULL};
    struct node *target = parse_target(p, true);
    struct node *n = node_new(p, N_SET, NULL);
    n->target = target;
    if (skip(p, "=")) {
        n->a = parse_tuple(p, true, false, NULL);
        return n;
    }
    n->kind = N_SET_BLOCK;
    n->a = parse_filter(p, NULL, false);
    n->b = parse_block_body(p, ends);
    return n;
}

/* (name, name=default, ...) */
static struct node *parse_signature(struct parser *p)
{
    struct node *list = NULL, **tail = &list;
    expect(p, "(");
    for (bool first = true; !skip(p, ")"); first = false) {
        if (!first)
            expect(p, ",");
        if (skip(p, ")"))
            break;
        struct node *n = node_new(p, N_NAME, NULL);
        n->name = expect_name(p);
        if (skip(p, "="))
            n->a = parse_expression(p, true);
        tail = append(tail, n);
    }
    return list;
}

/* Body of a macro or call block: a function of its own, so loops outside don't reach in. */
static void parse_macro_body(struct parser *p, struct node *macro, const char *const *ends)
{
    unsigned loops = p->loops;
    struct node *outer = p->macro;
    p->loops = 0;
    p->macro = macro;
    macro->b = parse_block_body(p, ends);
    p->loops = loops;
    p->macro = outer;
}

static struct node *parse_macro(struct parser *p)
{
    static const char *const ends[] = {"endmacro", NULL};
    struct node *n = node_new(p, N_MACRO, NULL);
    n->name = expect_name(p);
    n->arguments = parse_signature(p);
    parse_macro_body(p, n, ends);
    return n;
}

static struct node *parse_call_block(struct parser *p)
{
    static const char *const ends[] = {"endcall", NULL};
    struct node *n = node_new(p, N_CALL_BLOCK, NULL);
    struct node *macro = node_new(p, N_MACRO, NULL);
    macro->name = p->t->caller;
    if (next_is(p, "("))
        macro->arguments = parse_signature(p);
    n->a = parse_expression(p, true);
    if (n->a->kind != N_CALL)
        template_fail(p->l, "{%% call %%} needs a call");
    parse_macro_body(p, macro, ends);
    n->b = macro;
    return n;
}

static struct node *parse_filter_block(struct parser *p)
{
    static const char *const ends[] = {"endfilter", NULL};
    struct node *n = node_new(p, N_FILTER_BLOCK, NULL);
    n->a = parse_filter(p, NULL, true);
    n->b = parse_block_body(p, ends);
    return n;
}

static struct node *parse_with(struct parser *p)
{
    static const char *const ends[] = {"endwith", NULL};
    struct node *n = node_new(p, N_WITH, NULL), **tail = &n->a;
    while (p->at->type != T_BLOCK_END) {
        if (n->a)
            expect(p, ",");
        struct node *set = node_new(p, N_SET, NULL);
        set->target = parse_target_item(p);
        check_target(p, set->target, false);
        expect(p, "=");
        set->a = parse_expression(p, true);
        tail = append(tail, set);
    }
    n->b = parse_block_body(p, ends);
    return n;
}

static struct node *parse_generation(struct parser *p)
{
    static const char *const ends[] = {"endgeneration", NULL};
    struct node *n = node_new(p, N_GENERATION, NULL);
    unsigned loops = p->loops;
    p->t->has_generation = true;
    p->loops = 0; /* as in transformers, where it is a function of its own */
    n->b = parse_block_body(p, ends);
    p->loops = loops;
    return n;
}

static struct node *parse_loop_control(struct parser *p, enum node_kind kind)
{
    if (!p->loops)
        template_fail(p->l, "'%s' outside a loop", kind == N_BREAK ? "break" : "continue");
    return node_new(p, kind, NULL);
}

static struct node *parse_break(struct parser *p)
{
    return parse_loop_control(p, N_BREAK);
}

static struct node *parse_continue(struct parser *p)
{
    return parse_loop_control(p, N_CONTINUE);
}

static struct node *parse_print(struct parser *p)
{
    struct node *n = node_new(p, N_OUTPUT, NULL), **tail = &n->a;
    do
        tail = append(tail, parse_expression(p, true));
    while (skip(p, ","));
    return n;
}

/* A tag's statement, its final "%}" left. */
static struct node *parse_statement(struct parser *p)
{
    static const struct {
        const char *name;
        struct node *(*parse)(struct parser *p);
    } tags[] = {
        {"for", parse_for},         {"if", parse_if},
        {"set", parse_set},         {"macro", parse_macro},
        {"call", parse_call_block}, {"filter", parse_filter_block},
        {"with", parse_with},       {"generation", parse_generation},
        {"break", parse_break},     {"continue", parse_continue},
        {"print", parse_print},
    };
    static const char *const others[] = {"include", "import", "from", "extends", "block"};
    const struct token *t = expect_type(p, T_NAME, "the name of a tag");
    for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
        if (token_is(t, T_NAME, tags[i].name)) {
            depth_enter(p->l);
            struct node *n = tags[i].parse(p);
            depth_leave(p->l);
            n->line = t->line;
            return n;
        }
    p->l->line = t->line;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (token_is(t, T_NAME, others[i]))
            template_fail(p->l,
                          "{%% %s %%} is for templates of several files, and a chat template "
                          "is one",
                          others[i]);
    if (token_is(t, T_NAME, "autoescape") || token_is(t, T_NAME, "do") ||
        token_is(t, T_NAME, "trans"))
        template_fail(p->l, "{%% %.*s %%} is not supported", (int)t->len, t->p);
    template_fail(p->l, "unknown tag '%.*s'", (int)(t->len < 60 ? t->len : 60), t->p);
}

/* Whether the tag that begins at p->at + 1 is one of `ends`. */
static bool at_end(const struct parser *p, const char *const *ends)
{
    for (; *ends; ends++)
        if (token_is(p->at + 1, T_NAME, *ends))
            return true;
    return false;
}

static struct node *parse_output(struct parser *p)
{
    struct node *n = node_new(p, N_OUTPUT, NULL);
    n->a = parse_tuple(p, true, false, NULL);
    expect_type(p, T_VARIABLE_END, "'}}'");
    return n;
}

/* Statements up to a tag in `ends` (taken up to its name), or to the end of the template if NULL.
 */
static struct node *parse_body(struct parser *p, const char *const *ends)
{
    struct node *first = NULL, **tail = &first;
    for (;;) {
        struct node *n;
        switch (p->at->type) {
        case T_DATA: {
            const struct token *t = take(p);
            n = node_new(p, N_DATA, NULL);
            n->constant = value_str(str_new(p->l, t->p, t->len, 0));
            break;
        }
        case T_VARIABLE_BEGIN:
            take(p);
            n = parse_output(p);
            break;
        case T_BLOCK_BEGIN:
            if (ends && at_end(p, ends)) {
                take(p);
                take(p);
                return first;
            }
            take(p);
            n = parse_statement(p);
            expect_type(p, T_BLOCK_END, "'%}'");
            break;
        default:
            if (!ends)
                return first;
            template_fail(p->l, "unexpected end of template, expected {%% %s %%}", ends[0]);
        }
        tail = append(tail, n);
    }
}

static const struct str *intern(struct parser *p, const char *name)
{
    struct token t = {.type = T_NAME, .p = name, .len = strlen(name)};
    return symbol(p, &t);
}

const struct str *template_symbol(const struct template *t, const char *p, size_t len)
{
    for (const struct symbol *s = t->symbols; s; s = s->next)
        if (s->name->len == len && !memcmp(s->name->p, p, len))
            return s->name;
    return NULL;
}

void template_parse(struct template *t, const struct token *tokens, size_t n_tokens)
{
    struct parser p = {.t = t, .l = &t->memory, .at = tokens};
    (void)n_tokens;
    t->loop = intern(&p, "loop");
    t->caller = intern(&p, "caller");
    t->varargs = intern(&p, "varargs");
    t->kwargs = intern(&p, "kwargs");
    t->memory.line = tokens->line;
    t->body = parse_body(&p, NULL);
}
