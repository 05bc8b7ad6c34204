/* The parser's two halves: expressions (template_parse.c) and statements (template_statement.c). */
#ifndef TEXT_TEMPLATE_PARSE_H
#define TEXT_TEMPLATE_PARSE_H

#include "text/template_internal.h"

struct parser {
    struct template *t;
    struct limits *l;
    const struct token *at;
    unsigned loops;     /* how many loops are open, for break and continue */
    struct node *macro; /* being parsed; NULL outside */
};

const struct token *peek(const struct parser *p);
const struct token *take(struct parser *p);
bool token_is(const struct token *t, enum token_type type, const char *text);
bool next_is(const struct parser *p, const char *operator);
bool next_is_name(const struct parser *p, const char *name);
bool skip(struct parser *p, const char *operator);
bool skip_name(struct parser *p, const char *name);
void expect(struct parser *p, const char *operator);
const struct token *expect_type(struct parser *p, enum token_type type, const char *what);
const struct str *expect_name(struct parser *p); /* interned */
const struct str *symbol(struct parser *p, const struct token *t);
_Noreturn void fail_expected(struct parser *p, const char *what);

struct node *node_new(struct parser *p, enum node_kind kind, struct node *a);
struct node **append(struct node **tail, struct node *n);

struct node *parse_expression(struct parser *p, bool with_condition);
struct node *parse_sum(struct parser *p);
/* One expression, or several with commas, which are a tuple. end_name, a name that ends it, may be
 * NULL. */
struct node *parse_tuple(struct parser *p, bool with_condition, bool in_parentheses,
                         const char *end_name);
struct node *parse_arguments(struct parser *p);
/* | name (arguments) ...; begun: the first name comes without its bar. */
struct node *parse_filter(struct parser *p, struct node *input, bool begun);

#endif
