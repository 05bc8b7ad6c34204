/*
 * template_internal: what the parts of the Jinja interpreter share. Not for anybody else.
 *
 * Memory: everything of one compilation or one rendering lives in a pair of arenas that go away
 * together, so a failure may jump out from any depth (longjmp) without leaking; nothing here calls
 * malloc for itself and keeps it across a call that can fail.
 */
#ifndef TEXT_TEMPLATE_INTERNAL_H
#define TEXT_TEMPLATE_INTERNAL_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/template.h"
#include "text/white_space.h"

/* ---- arenas (template_memory.c) ---- */

struct arena_chunk;

struct arena {
    struct arena_chunk *head;
    char *tip, *end; /* free part of the head chunk */
};

/* Where a failure goes and what may still be used. */
struct limits {
    jmp_buf on_failure;
    struct err *err;
    const char *name;  /* of the template */
    int line;          /* being compiled or evaluated; 0 unknown */
    size_t bytes_left; /* of both arenas */
    uint64_t steps_left;
    unsigned depth;
    struct arena objects, bytes;
};

/* Sets the error "name:line: message" and leaves by longjmp. */
_Noreturn void template_fail(struct limits *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void limits_release(struct limits *l);
void *arena_alloc(struct limits *l, size_t n, size_t size); /* n objects, zeroed */
char *arena_bytes(struct limits *l, size_t len);            /* not zeroed, not aligned */
/* Makes the bytes that end at `end` longer in place, if they are the newest ones. */
bool arena_extend(struct limits *l, const char *end, size_t extra);
/* Of the newest bytes, which end at `end`, the last ones are not needed. */
void arena_give_back(struct limits *l, const char *end, size_t unused);
void spend(struct limits *l, uint64_t steps); /* fails when there are none left */
void depth_enter(struct limits *l);
void depth_leave(struct limits *l);

/* ---- strings with provenance (template_string.c) ---- */

/* Where a character comes from: kind in bits 0-3, message + 1 in 4-31, the number of the
 * {% generation %} block it was written in, from 1, in 32-63. 0: text of the template. */
typedef uint64_t origin;

#define ORIGIN(kind, message) ((origin)(kind) | (origin)((message) + 1) << 4)
#define ORIGIN_KIND(o) ((enum template_origin)((o)&15))
#define ORIGIN_MESSAGE(o) ((int)((o) >> 4 & 0xfffffff) - 1)
#define ORIGIN_GENERATION(o) ((uint32_t)((o) >> 32))

/* A run of characters of one origin that ends before `end`. An empty run (its end is the one
 * before) marks an empty string of a message. */
struct run {
    size_t end;
    origin origin;
};

/* Immutable UTF-8; may hold NULs. */
struct str {
    const char *p;
    size_t len;
    origin origin; /* of all of it, when n_runs is 0 */
    size_t n_runs;
    const struct run *runs;
    bool markup; /* came out of |e or |safe: `+` escapes what is added */
};

struct builder {
    struct limits *l;
    char *p;
    size_t len, cap;
    struct run *runs;
    size_t n_runs, runs_cap;
};

void builder_init(struct builder *b, struct limits *l);
void builder_add(struct builder *b, const char *p, size_t len, origin o);
void builder_addz(struct builder *b, const char *s, origin o);
void builder_add_str(struct builder *b, const struct str *s);
/* Bytes [from, to) of s with their origins. */
void builder_add_part(struct builder *b, const struct str *s, size_t from, size_t to);
void builder_add_codepoint(struct builder *b, uint32_t c, origin o);
const struct str *builder_str(struct builder *b); /* the builder is done with */

const struct str *str_new(struct limits *l, const char *p, size_t len, origin o); /* views p */
const struct str *str_copy(struct limits *l, const char *p, size_t len, origin o);
const struct str *str_z(struct limits *l, const char *s); /* views a string constant */
const struct str *str_part(struct limits *l, const struct str *s, size_t from, size_t to);
const struct str *str_concat(struct limits *l, const struct str *a, const struct str *b);
origin str_origin_at(const struct str *s, size_t at); /* of the byte; of the whole when empty */
bool str_equal(const struct str *a, const struct str *b);
bool str_equalz(const struct str *a, const char *z);
int str_compare(const struct str *a, const struct str *b); /* by code points */
size_t str_length(const struct str *s);                    /* in code points */
size_t str_offset(const struct str *s, size_t codepoints); /* in bytes, at most len */
/* First place of b at or after `from`; SIZE_MAX if there is none. */
size_t str_find(const struct str *a, const struct str *b, size_t from);
uint32_t utf8_next(const char *p, size_t len, size_t *at); /* decodes and moves on */
bool is_printable(uint32_t c);                             /* as its str.isprintable */

/* ---- values (template_value.c) ---- */

enum value_type {
    V_MISSING, /* an argument that was not given */
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STRING,
    V_LIST,
    V_DICT,
    V_NAMESPACE,
    V_FUNCTION,
    V_LOOP,
};

struct value {
    enum value_type type;
    origin origin; /* of the text it turns into; strings keep their own */
    union {
        bool b;
        int64_t i;
        double f;
        const struct str *s;
        struct list *list;
        struct dict *dict; /* also of a namespace */
        const struct function *function;
        struct loop *loop;
        const struct undefined *undefined;
    };
};

enum list_kind {
    LIST_LIST,
    LIST_TUPLE,
    LIST_RANGE,
    LIST_GENERATOR,
    LIST_KEYS,
    LIST_VALUES,
    LIST_ITEMS
};

struct list {
    enum list_kind kind;
    struct value *items;
    size_t n, cap;
};

struct dict {
    struct value *keys, *values;
    size_t n, cap;
    int message; /* messages[message - 1] itself; 0: no message */
};

/* Why a value is undefined, for the message when it is used all the same. */
struct undefined {
    const char *hint;   /* the whole message, or NULL */
    const char *object; /* type of what was looked into ("dict object"); NULL: a variable */
    struct value name;
};

struct node;
struct scope;
struct render;

struct keyword {
    const struct str *name;
    struct value value;
};

struct arguments {
    struct value *items;
    size_t n, cap;
    struct keyword *keywords;
    size_t n_keywords, keywords_cap;
};

/*
 * A function, filter, test or method. `parameters` are names separated by spaces, the first one the
 * value it is applied to; the ones after "?" are optional and arrive as V_MISSING; "*" takes any
 * further arguments, which the function finds in `rest`.
 */
enum { MAX_PARAMETERS = 8 };
struct builtin {
    const char *name, *parameters;
    struct value (*call)(struct render *r, const struct value *a, const struct arguments *rest);
};

enum function_kind { FUNCTION_BUILTIN, FUNCTION_MACRO, FUNCTION_LOOP };

struct function {
    enum function_kind kind;
    const struct builtin *builtin; /* a method has its object in self */
    struct value self;
    const struct node *macro; /* or the body of a {% call %} block */
    struct scope *scope;      /* where it was defined */
    struct loop *loop;        /* FUNCTION_LOOP: a call renders the loop's body for another list */
};

struct loop {
    struct list *list;
    size_t index; /* from 0 */
    size_t depth; /* from 0 */
    const struct node *node;
    struct scope *scope;
    struct value last_changed; /* loop.changed() */
};

struct scope {
    struct scope *parent;
    struct binding *bindings;
};

struct render {
    struct limits l; /* first: helpers take &r->l */
    const struct template *t;
    struct scope *scope;
    struct builder *out;
    int turn;            /* message + 1 that the innermost loop over messages is at */
    uint32_t generation; /* number of the {% generation %} block being written, 0 outside */
    uint32_t n_generations;
    size_t loop_depth; /* of recursive loops */
    bool raised;
};

static inline struct value value_none(void)
{
    return (struct value){.type = V_NONE};
}
static inline struct value value_bool(bool b)
{
    return (struct value){.type = V_BOOL, .b = b};
}
static inline struct value value_int(int64_t i)
{
    return (struct value){.type = V_INT, .i = i};
}
static inline struct value value_float(double f)
{
    return (struct value){.type = V_FLOAT, .f = f};
}
static inline struct value value_str(const struct str *s)
{
    return (struct value){.type = V_STRING, .s = s};
}
struct value value_list(struct limits *l, enum list_kind kind);
struct value value_dict(struct limits *l);
struct value value_undefined(struct limits *l, const char *hint);
struct value value_from_json(struct limits *l, const json_t *json, origin o);
struct value messages_from_json(struct limits *l, const json_t *json);

void list_add(struct limits *l, struct list *list, struct value v);
/* The items to go over: strings give characters, dicts keys; a generator is used up. Fails for what
 * can't be iterated over. */
struct list *value_items(struct limits *l, struct value v);
/* NULL if the key is absent. */
const struct value *dict_get(struct limits *l, const struct dict *d, struct value key);
const struct value *dict_getz(const struct dict *d, const char *key);
void dict_set(struct limits *l, struct dict *d, struct value key, struct value v);

const char *type_name(struct value v);                           /* Python's: "str", "NoneType" */
_Noreturn void fail_undefined(struct limits *l, struct value v); /* as Jinja's UndefinedError */
void need_defined(struct limits *l, struct value v);
bool value_truth(struct value v);
bool value_equal(struct limits *l, struct value a, struct value b);
int value_compare(struct limits *l, struct value a, struct value b, const char *op); /* <0 0 >0 */
bool value_contains(struct limits *l, struct value container, struct value item);
bool value_is_number(struct value v);
double value_number(struct value v); /* of a bool, int or float */
size_t value_length(struct limits *l, struct value v);
bool value_same(struct value a, struct value b); /* Python's `is` */

/* str(v), as it is printed by {{ v }}. */
const struct str *value_to_str(struct limits *l, struct value v);
void builder_add_value(struct builder *b, struct value v);
void builder_add_repr(struct builder *b, struct value v);
void builder_add_float(struct builder *b, double f, origin o); /* Python's repr */

struct json_style {
    bool ensure_ascii, sort_keys;
    const struct str *indent; /* NULL: all on one line */
    const struct str *item_separator, *key_separator;
};
void builder_add_json(struct builder *b, struct value v, const struct json_style *style);

/* ---- built-in functions ---- */

const struct builtin *filter_find(const struct str *name); /* template_filter*.c */
const struct builtin *test_find(const struct str *name);   /* template_test.c */
const struct builtin *method_find(struct value self,
                                  const struct str *name);           /* template_method.c */
const struct builtin *global_find(const struct str *name);           /* template_global.c */
const struct builtin *string_method_find(const struct str *name);    /* template_strings.c */
const struct builtin *string_predicate_find(const struct str *name); /* template_predicates.c */
const struct builtin *builtin_search(const struct builtin *table, size_t n, const struct str *name);
/* A method that changes its object, which the sandbox refuses. */
bool method_is_refused(struct value self, const struct str *name);
struct value format_percent(struct render *r, const struct str *format, struct value arguments);
struct value format_braces(struct render *r, const struct str *format,
                           const struct arguments *args);
enum recase {
    RECASE_UPPER,
    RECASE_LOWER,
    RECASE_CAPITALIZE,
    RECASE_TITLE, /* str.title: a letter behind a character without case is a capital */
    RECASE_WORDS, /* Jinja's title */
    RECASE_SWAP,
};
const struct str *str_recase(struct limits *l, const struct str *s, enum recase rule);
const struct str *str_casefold(struct limits *l, const struct str *s);
const struct str *str_strip(struct limits *l, const struct str *s, struct value chars, bool left,
                            bool right);
const struct str *str_replace(struct limits *l, const struct str *s, const struct str *old,
                              const struct str *new, int64_t count);
struct value str_splitlines(struct limits *l, const struct str *s, bool keep_ends);
const struct str *str_escape(struct limits *l, const struct str *s); /* HTML, as markupsafe */

/* Arguments of built-in functions. */
const struct str *want_str(struct render *r, struct value v, const char *what);
int64_t want_int(struct render *r, struct value v, const char *what);
/* The same with a value for V_MISSING (and None). */
const struct str *str_or(struct render *r, struct value v, const char *otherwise, const char *what);
int64_t int_or(struct render *r, struct value v, int64_t otherwise, const char *what);
bool truth_or(struct value v, bool otherwise);

/* ---- syntax (template_lex.c, template_parse.c) ---- */

enum token_type {
    T_END,
    T_DATA,
    T_VARIABLE_BEGIN,
    T_VARIABLE_END,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_NAME,
    T_STRING,
    T_INT,
    T_FLOAT,
    T_OPERATOR,
};

struct token {
    enum token_type type;
    int line;
    const char *p; /* data, name, operator: in the source */
    size_t len;
    const struct str *s; /* of a string, unescaped */
    int64_t i;
    double f;
};

/* source is normalised (newlines) and lives as long as the tokens. */
struct token *template_lex(struct limits *l, const char *source, size_t len, size_t *n);

enum node_kind {
    /* statements */
    N_DATA,
    N_OUTPUT,
    N_IF,         /* a test, b body, c else */
    N_FOR,        /* target, a list, b body, c else, test */
    N_SET,        /* target, a value */
    N_SET_BLOCK,  /* target, b body, a filters */
    N_MACRO,      /* name, parameters, b body */
    N_CALL_BLOCK, /* a call, macro */
    N_FILTER_BLOCK,
    N_WITH,
    N_GENERATION,
    N_BREAK,
    N_CONTINUE,
    /* expressions */
    N_CONST,
    N_NAME,
    N_LIST,
    N_TUPLE,
    N_DICT,    /* a: keys and values in turn */
    N_GETATTR, /* a . name */
    N_GETITEM, /* a [ b ] */
    N_SLICE,   /* a : b : c */
    N_CALL,    /* a ( arguments ) */
    N_FILTER,  /* a | name ( arguments ); a is NULL in a filter block */
    N_TEST,    /* a is name ( arguments ) */
    N_NOT,
    N_NEGATE,
    N_POSITIVE,
    N_BINARY,  /* a op b */
    N_CONCAT,  /* a: the parts */
    N_COMPARE, /* a, then N_OPERAND in b */
    N_OPERAND, /* op a */
    N_AND,
    N_OR,
    N_CONDITION, /* a if b else c */
    /* arguments */
    N_KEYWORD, /* name = a */
    N_SPLAT,   /* *a */
    N_SPLAT2,  /* **a */
};

enum operator{
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN,
};

/* Names of variables are interned: equal names are one struct str. */
struct node {
    enum node_kind kind;
    int line;
    struct node *next; /* in a list of statements, expressions, arguments or parameters */
    struct node *a, *b, *c;
    struct node *target;    /* N_NAME, N_TUPLE of them, or N_GETATTR of a namespace */
    struct node *arguments; /* of a call; of a macro its parameters, N_NAME with the default in a */
    struct node *test;      /* of a loop */
    const struct str *name;
    const struct builtin *builtin; /* filter or test; NULL: there is none of that name */
    struct value constant;
    enum operator op;
    bool recursive;                              /* a loop */
    bool is_elif;                                /* an N_IF that is the c of another */
    bool uses_caller, uses_varargs, uses_kwargs; /* a macro */
};

struct symbol {
    const struct str *name;
    struct symbol *next;
};

struct template
{
    char *name, *source;
    struct limits memory;
    struct node *body;
    struct symbol *symbols;
    bool has_generation, strict;
    /* names with a meaning of their own */
    const struct str *loop, *caller, *varargs, *kwargs;
};

void template_parse(struct template *t, const struct token *tokens, size_t n_tokens);
const struct str *template_symbol(const struct template *t, const char *p,
                                  size_t len); /* or NULL */

/* ---- evaluation (template_eval, _exec, _call, _lookup, _operator) ---- */

struct binding {
    const struct str *name; /* interned */
    struct value value;
    struct binding *next;
};

struct value evaluate(struct render *r, const struct node *n);
void scope_set(struct render *r, const struct str *name, struct value v);
struct scope *scope_push(struct render *r); /* returns the one to go back to */
void execute_body(struct render *r, const struct node *body);
void assign(struct render *r, const struct node *target, struct value v);
void emit(struct render *r, const struct str *s);

struct value get_attribute(struct render *r, struct value object, const struct str *name);
struct value get_item(struct render *r, struct value object, struct value key);

struct slice {
    struct value start, stop, step;
};

/* object[start:stop:step], V_NONE where a part is missing. */
struct value get_slice(struct render *r, struct value object, const struct slice *slice);
struct value binary(struct render *r, enum operator op, struct value a, struct value b);
struct value call_function(struct render *r, struct value f, const struct arguments *args);
struct value call_macro(struct render *r, const struct function *f, const struct arguments *args);
struct value call_loop(struct render *r, const struct function *f, const struct arguments *args);
struct value call_builtin(struct render *r, const struct builtin *f, struct value self,
                          const struct arguments *args);
struct value apply_filter(struct render *r, const struct node *n, struct value v);
/* Evaluates the arguments of a call, filter or test. */
void evaluate_arguments(struct render *r, const struct node *list, struct arguments *args);
void arguments_add(struct limits *l, struct arguments *args, struct value v);
void arguments_add_keyword(struct limits *l, struct arguments *args, const struct str *name,
                           struct value v);
/* Renders a body into a string. */
const struct str *capture(struct render *r, const struct node *body);

#endif
