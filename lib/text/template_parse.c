/* Expressions: a recursive descent parser with jinja2's precedence. */
#include "text/template_parse.h"

#include <string.h>

#include "base/mem.h"

const struct token *peek(const struct parser *p)
{
    return p->at;
}

const struct token *take(struct parser *p)
{
    const struct token *t = p->at;
    if (t->type != T_END)
        p->at++;
    p->l->line = p->at->line;
    return t;
}

bool token_is(const struct token *t, enum token_type type, const char *text)
{
    return t->type == type && t->len == strlen(text) && !memcmp(t->p, text, t->len);
}

bool next_is(const struct parser *p, const char *operator)
{
    return token_is(p->at, T_OPERATOR, operator);
}

bool next_is_name(const struct parser *p, const char *name)
{
    return token_is(p->at, T_NAME, name);
}

bool skip(struct parser *p, const char *operator)
{
    bool yes = next_is(p, operator);
    if (yes)
        take(p);
    return yes;
}

bool skip_name(struct parser *p, const char *name)
{
    bool yes = next_is_name(p, name);
    if (yes)
        take(p);
    return yes;
}

void fail_expected(struct parser *p, const char *what)
{
    const struct token *t = p->at;
    if (t->type == T_END)
        template_fail(p->l, "unexpected end of template, expected %s", what);
    if (t->type == T_BLOCK_END || t->type == T_VARIABLE_END)
        template_fail(p->l, "expected %s, got the end of the tag", what);
    template_fail(p->l, "expected %s, got '%.*s'", what, (int)(t->len < 60 ? t->len : 60), t->p);
}

void expect(struct parser *p, const char *operator)
{
    char what[8] = "'";
    if (next_is(p, operator)) {
        take(p);
        return;
    }
    strncat(what, operator, 4);
    strncat(what, "'", 2);
    fail_expected(p, what);
}

const struct token *expect_type(struct parser *p, enum token_type type, const char *what)
{
    if (p->at->type != type)
        fail_expected(p, what);
    return take(p);
}

struct node *node_new(struct parser *p, enum node_kind kind, struct node *a)
{
    struct node *n = arena_alloc(p->l, 1, sizeof *n);
    n->kind = kind;
    n->line = p->at->line;
    n->a = a;
    return n;
}

/* Appends to a list whose last `next` is at *tail; returns the new tail. */
struct node **append(struct node **tail, struct node *n)
{
    *tail = n;
    return &n->next;
}

const struct str *symbol(struct parser *p, const struct token *t)
{
    const struct str *known = template_symbol(p->t, t->p, t->len);
    if (known)
        return known;
    struct symbol *s = arena_alloc(p->l, 1, sizeof *s);
    s->name = str_new(p->l, t->p, t->len, 0);
    s->next = p->t->symbols;
    p->t->symbols = s;
    return s->name;
}

const struct str *expect_name(struct parser *p)
{
    return symbol(p, expect_type(p, T_NAME, "a name"));
}

static struct node *parse_or(struct parser *p);
static struct node *parse_unary(struct parser *p, bool with_filter);

struct node *parse_expression(struct parser *p, bool with_condition)
{
    depth_enter(p->l);
    struct node *n = parse_or(p);
    while (with_condition && skip_name(p, "if")) {
        n = node_new(p, N_CONDITION, n);
        n->b = parse_or(p);
        if (skip_name(p, "else"))
            n->c = parse_expression(p, true);
    }
    depth_leave(p->l);
    return n;
}

static struct node *parse_compare(struct parser *p)
{
    static const struct {
        const char *text;
        enum operator op;
    } ops[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<", OP_LT},
               {"<=", OP_LE}, {">", OP_GT},  {">=", OP_GE}};
    struct node *left = parse_sum(p), *n = NULL, **tail = NULL;
    for (;;) {
        enum operator op = OP_ADD; /* none */
        for (size_t i = 0; op == OP_ADD && i < ARRAY_SIZE(ops); i++)
            if (skip(p, ops[i].text))
                op = ops[i].op;
        if (op == OP_ADD && skip_name(p, "in"))
            op = OP_IN;
        if (op == OP_ADD && next_is_name(p, "not") && token_is(p->at + 1, T_NAME, "in")) {
            take(p);
            take(p);
            op = OP_NOT_IN;
        }
        if (op == OP_ADD)
            return n ? n : left;
        if (!n) {
            n = node_new(p, N_COMPARE, left);
            tail = &n->b;
        }
        struct node *operand = node_new(p, N_OPERAND, parse_sum(p));
        operand->op = op;
        tail = append(tail, operand);
    }
}

static struct node *parse_not(struct parser *p)
{
    if (!next_is_name(p, "not"))
        return parse_compare(p);
    take(p);
    depth_enter(p->l);
    struct node *n = node_new(p, N_NOT, parse_not(p));
    depth_leave(p->l);
    return n;
}

static struct node *parse_and(struct parser *p)
{
    struct node *n = parse_not(p);
    while (skip_name(p, "and")) {
        n = node_new(p, N_AND, n);
        n->b = parse_not(p);
    }
    return n;
}

static struct node *parse_or(struct parser *p)
{
    struct node *n = parse_and(p);
    while (skip_name(p, "or")) {
        n = node_new(p, N_OR, n);
        n->b = parse_and(p);
    }
    return n;
}

static struct node *binary_node(struct parser *p, enum operator op, struct node *a, struct node *b)
{
    struct node *n = node_new(p, N_BINARY, a);
    n->op = op;
    n->b = b;
    return n;
}

static struct node *parse_power(struct parser *p)
{
    struct node *n = parse_unary(p, true);
    while (skip(p, "**"))
        n = binary_node(p, OP_POW, n, parse_unary(p, true));
    return n;
}

static struct node *parse_product(struct parser *p)
{
    struct node *n = parse_power(p);
    for (;;) {
        enum operator op = next_is(p, "*") ? OP_MUL
        : next_is(p, "/")                  ? OP_DIV
        : next_is(p, "//")                 ? OP_FLOORDIV
        : next_is(p, "%")                  ? OP_MOD
                                           : OP_EQ;
        if (op == OP_EQ)
            return n;
        take(p);
        n = binary_node(p, op, n, parse_power(p));
    }
}

/* a ~ b ~ c binds tighter than + and looser than *. */
static struct node *parse_concat(struct parser *p)
{
    struct node *first = parse_product(p);
    if (!next_is(p, "~"))
        return first;
    struct node *n = node_new(p, N_CONCAT, first), **tail = &first->next;
    while (skip(p, "~"))
        tail = append(tail, parse_product(p));
    return n;
}

struct node *parse_sum(struct parser *p)
{
    struct node *n = parse_concat(p);
    for (;;) {
        if (skip(p, "+"))
            n = binary_node(p, OP_ADD, n, parse_concat(p));
        else if (skip(p, "-"))
            n = binary_node(p, OP_SUB, n, parse_concat(p));
        else
            return n;
    }
}

static struct node *parse_const(struct parser *p, struct value v)
{
    struct node *n = node_new(p, N_CONST, NULL);
    n->constant = v;
    return n;
}

static struct node *parse_list(struct parser *p)
{
    struct node *n = node_new(p, N_LIST, NULL), **tail = &n->a;
    while (!skip(p, "]")) {
        if (n->a)
            expect(p, ",");
        if (skip(p, "]"))
            break;
        tail = append(tail, parse_expression(p, true));
    }
    return n;
}

static struct node *parse_dict(struct parser *p)
{
    struct node *n = node_new(p, N_DICT, NULL), **tail = &n->a;
    while (!skip(p, "}")) {
        if (n->a)
            expect(p, ",");
        if (skip(p, "}"))
            break;
        tail = append(tail, parse_expression(p, true));
        expect(p, ":");
        tail = append(tail, parse_expression(p, true));
    }
    return n;
}

/* Strings beside each other are one string. */
static struct node *parse_string(struct parser *p)
{
    const struct str *s = take(p)->s;
    while (p->at->type == T_STRING)
        s = str_concat(p->l, s, take(p)->s);
    return parse_const(p, value_str(s));
}

/* A macro takes further arguments, or a {% call %} block, only if it mentions their names. */
static void note_use(struct parser *p, const struct str *name)
{
    p->macro->uses_caller |= name == p->t->caller;
    p->macro->uses_varargs |= name == p->t->varargs;
    p->macro->uses_kwargs |= name == p->t->kwargs;
}

static struct node *parse_primary(struct parser *p)
{
    const struct token *t = peek(p);
    switch (t->type) {
    case T_NAME:
        take(p);
        if (token_is(t, T_NAME, "true") || token_is(t, T_NAME, "True"))
            return parse_const(p, value_bool(true));
        if (token_is(t, T_NAME, "false") || token_is(t, T_NAME, "False"))
            return parse_const(p, value_bool(false));
        if (token_is(t, T_NAME, "none") || token_is(t, T_NAME, "None"))
            return parse_const(p, value_none());
        struct node *n = node_new(p, N_NAME, NULL);
        n->line = t->line;
        n->name = symbol(p, t);
        if (p->macro)
            note_use(p, n->name);
        return n;
    case T_STRING:
        return parse_string(p);
    case T_INT:
        return parse_const(p, value_int(take(p)->i));
    case T_FLOAT:
        return parse_const(p, value_float(take(p)->f));
    case T_OPERATOR:
        if (skip(p, "(")) {
            struct node *inside = parse_tuple(p, true, true, NULL);
            expect(p, ")");
            return inside;
        }
        if (skip(p, "["))
            return parse_list(p);
        if (skip(p, "{"))
            return parse_dict(p);
        break;
    default:
        break;
    }
    fail_expected(p, "an expression");
}

static bool ends_tuple(const struct parser *p, const char *end_name)
{
    return p->at->type == T_VARIABLE_END || p->at->type == T_BLOCK_END || next_is(p, ")") ||
           (end_name && next_is_name(p, end_name));
}

struct node *parse_tuple(struct parser *p, bool with_condition, bool in_parentheses,
                         const char *end_name)
{
    struct node *n = node_new(p, N_TUPLE, NULL), **tail = &n->a;
    bool is_tuple = false;
    for (;;) {
        if (n->a)
            expect(p, ",");
        if (ends_tuple(p, end_name))
            break;
        tail = append(tail, parse_expression(p, with_condition));
        if (!next_is(p, ","))
            break;
        is_tuple = true;
    }
    if (is_tuple)
        return n;
    if (n->a)
        return n->a;
    if (!in_parentheses)
        fail_expected(p, "an expression");
    return n;
}

static struct node *parse_subscribed(struct parser *p)
{
    struct node *start = NULL;
    if (!next_is(p, ":")) {
        start = parse_expression(p, true);
        if (!next_is(p, ":"))
            return start;
    }
    expect(p, ":");
    struct node *n = node_new(p, N_SLICE, start);
    if (!next_is(p, ":") && !next_is(p, "]") && !next_is(p, ","))
        n->b = parse_expression(p, true);
    if (skip(p, ":") && !next_is(p, "]") && !next_is(p, ","))
        n->c = parse_expression(p, true);
    return n;
}

static struct node *parse_subscript(struct parser *p, struct node *object)
{
    struct node *n;
    if (skip(p, ".")) {
        const struct token *t = take(p);
        if (t->type == T_INT) {
            n = node_new(p, N_GETITEM, object);
            n->b = parse_const(p, value_int(t->i));
        } else if (t->type == T_NAME) {
            n = node_new(p, N_GETATTR, object);
            n->name = symbol(p, t);
        } else {
            p->at = t;
            fail_expected(p, "a name or number");
        }
        n->line = t->line;
        return n;
    }
    expect(p, "[");
    n = node_new(p, N_GETITEM, object);
    struct node **tail = &n->b;
    while (!skip(p, "]")) {
        if (n->b)
            expect(p, ",");
        tail = append(tail, parse_subscribed(p));
    }
    if (!n->b)
        fail_expected(p, "a subscript");
    if (n->b->next) {
        struct node *tuple = node_new(p, N_TUPLE, n->b);
        n->b = tuple;
    }
    return n;
}

/* (a, b, name=c, *d, **e) */
struct node *parse_arguments(struct parser *p)
{
    struct node *list = NULL, **tail = &list;
    expect(p, "(");
    for (bool first = true; !skip(p, ")"); first = false) {
        if (!first)
            expect(p, ",");
        if (skip(p, ")"))
            break;
        struct node *n;
        if (skip(p, "**")) {
            n = node_new(p, N_SPLAT2, NULL);
        } else if (skip(p, "*")) {
            n = node_new(p, N_SPLAT, NULL);
        } else if (p->at->type == T_NAME && token_is(p->at + 1, T_OPERATOR, "=")) {
            n = node_new(p, N_KEYWORD, NULL);
            n->name = expect_name(p);
            expect(p, "=");
        } else {
            tail = append(tail, parse_expression(p, true));
            continue;
        }
        n->a = parse_expression(p, true);
        tail = append(tail, n);
    }
    return list;
}

static struct node *parse_call(struct parser *p, struct node *function)
{
    struct node *n = node_new(p, N_CALL, function);
    n->arguments = parse_arguments(p);
    return n;
}

static struct node *parse_postfix(struct parser *p, struct node *n)
{
    for (;;) {
        if (next_is(p, ".") || next_is(p, "["))
            n = parse_subscript(p, n);
        else if (next_is(p, "("))
            n = parse_call(p, n);
        else
            return n;
    }
}

/* A filter's or test's name, which may have dots. */
static const struct str *dotted_name(struct parser *p)
{
    const struct str *name = expect_name(p);
    while (skip(p, ".")) {
        name = str_concat(p->l, name, str_z(p->l, "."));
        name = str_concat(p->l, name, expect_name(p));
    }
    return name;
}

struct node *parse_filter(struct parser *p, struct node *input, bool begun)
{
    while (begun || skip(p, "|")) {
        begun = false;
        struct node *n = node_new(p, N_FILTER, input);
        n->name = dotted_name(p);
        n->builtin = filter_find(n->name);
        if (next_is(p, "("))
            n->arguments = parse_arguments(p);
        input = n;
    }
    return input;
}

static bool starts_argument(const struct parser *p)
{
    switch (p->at->type) {
    case T_NAME:
        return !next_is_name(p, "else") && !next_is_name(p, "or") && !next_is_name(p, "and");
    case T_STRING:
    case T_INT:
    case T_FLOAT:
        return true;
    default:
        return next_is(p, "(") || next_is(p, "[") || next_is(p, "{");
    }
}

static struct node *parse_test(struct parser *p, struct node *input)
{
    bool negated = skip_name(p, "not");
    struct node *n = node_new(p, N_TEST, input);
    n->name = dotted_name(p);
    n->builtin = test_find(n->name);
    if (next_is(p, "(")) {
        n->arguments = parse_arguments(p);
    } else if (starts_argument(p)) {
        if (next_is_name(p, "is"))
            template_fail(p->l, "tests can't be chained with 'is'");
        n->arguments = parse_postfix(p, parse_primary(p));
    }
    return negated ? node_new(p, N_NOT, n) : n;
}

static struct node *parse_filters_and_tests(struct parser *p, struct node *n)
{
    for (;;) {
        if (next_is(p, "|"))
            n = parse_filter(p, n, false);
        else if (skip_name(p, "is"))
            n = parse_test(p, n);
        else if (next_is(p, "("))
            n = parse_call(p, n);
        else
            return n;
    }
}

static struct node *parse_unary(struct parser *p, bool with_filter)
{
    struct node *n;
    depth_enter(p->l);
    if (skip(p, "-"))
        n = node_new(p, N_NEGATE, parse_unary(p, false));
    else if (skip(p, "+"))
        n = node_new(p, N_POSITIVE, parse_unary(p, false));
    else
        n = parse_primary(p);
    n = parse_postfix(p, n);
    if (with_filter)
        n = parse_filters_and_tests(p, n);
    depth_leave(p->l);
    return n;
}
