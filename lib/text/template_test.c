/* The tests of `x is ...`. */
#include "text/template_internal.h"

#include <string.h>

#include "base/mem.h"

static struct value test_defined(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type != V_UNDEFINED);
}

static struct value test_undefined(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_UNDEFINED);
}

static struct value test_none(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_NONE);
}

static struct value test_boolean(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_BOOL);
}

static struct value test_true(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_BOOL && a[0].b);
}

static struct value test_false(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_BOOL && !a[0].b);
}

static struct value test_integer(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_INT);
}

static struct value test_float(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_FLOAT);
}

static struct value test_number(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(value_is_number(a[0]));
}

static struct value test_string(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_STRING);
}

static struct value test_mapping(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_DICT);
}

static struct value test_sequence(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_STRING || a[0].type == V_DICT || a[0].type == V_UNDEFINED ||
                      (a[0].type == V_LIST && a[0].list->kind <= LIST_RANGE));
}

static struct value test_iterable(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_STRING || a[0].type == V_DICT || a[0].type == V_LIST ||
                      a[0].type == V_UNDEFINED || a[0].type == V_LOOP);
}

static struct value test_callable(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_FUNCTION || a[0].type == V_UNDEFINED);
}

static struct value test_sameas(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(value_same(a[0], a[1]));
}

static struct value test_escaped(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(a[0].type == V_STRING && a[0].s->markup);
}

static struct value test_lower(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    const struct builtin *islower = string_method_find(str_z(&r->l, "islower"));
    struct value s = value_str(value_to_str(&r->l, a[0]));
    /* cppcheck-suppress returnDanglingLifetime ; values are copied */
    return islower->call(r, &s, rest);
}

static struct value test_upper(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    const struct builtin *isupper = string_method_find(str_z(&r->l, "isupper"));
    struct value s = value_str(value_to_str(&r->l, a[0]));
    /* cppcheck-suppress returnDanglingLifetime ; values are copied */
    return isupper->call(r, &s, rest);
}

/* Names are looked up in a mapping, so what can't be a key is an error. */
static bool is_name(struct render *r, struct value v)
{
    if (v.type == V_DICT || (v.type == V_LIST && v.list->kind == LIST_LIST))
        template_fail(&r->l, "unhashable type: '%s'", type_name(v));
    return v.type == V_STRING;
}

static struct value test_filter(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    (void)rest;
    return value_bool(is_name(r, a[0]) && filter_find(a[0].s) != NULL);
}

static struct value test_test(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)rest;
    return value_bool(is_name(r, a[0]) && test_find(a[0].s) != NULL);
}

static bool remainder_is(struct render *r, struct value v, struct value by, int64_t wanted)
{
    struct value rest = binary(r, OP_MOD, v, by);
    return value_equal(&r->l, rest, value_int(wanted));
}

static struct value test_odd(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)rest;
    return value_bool(remainder_is(r, a[0], value_int(2), 1));
}

static struct value test_even(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)rest;
    return value_bool(remainder_is(r, a[0], value_int(2), 0));
}

static struct value test_divisibleby(struct render *r, const struct value *a,
                                     const struct arguments *rest)
{
    (void)rest;
    return value_bool(remainder_is(r, a[0], a[1], 0));
}

static struct value test_eq(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)rest;
    return value_bool(value_equal(&r->l, a[0], a[1]));
}

static struct value test_ne(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)rest;
    return value_bool(!value_equal(&r->l, a[0], a[1]));
}

static struct value test_lt(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)rest;
    return value_bool(value_compare(&r->l, a[0], a[1], "<") < 0);
}

static struct value test_le(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)rest;
    return value_bool(value_compare(&r->l, a[0], a[1], "<=") <= 0);
}

static struct value test_gt(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)rest;
    return value_bool(value_compare(&r->l, a[0], a[1], ">") == 1);
}

static struct value test_ge(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)rest;
    int d = value_compare(&r->l, a[0], a[1], ">=");
    return value_bool(d == 0 || d == 1);
}

static struct value test_in(struct render *r, const struct value *a, const struct arguments *rest)
{
    (void)rest;
    return value_bool(value_contains(&r->l, a[1], a[0]));
}

static const struct builtin tests[] = {
    {"odd", "value", test_odd},
    {"even", "value", test_even},
    {"divisibleby", "value num", test_divisibleby},
    {"defined", "value", test_defined},
    {"undefined", "value", test_undefined},
    {"filter", "value", test_filter},
    {"test", "value", test_test},
    {"none", "value", test_none},
    {"boolean", "value", test_boolean},
    {"false", "value", test_false},
    {"true", "value", test_true},
    {"integer", "value", test_integer},
    {"float", "value", test_float},
    {"lower", "value", test_lower},
    {"upper", "value", test_upper},
    {"string", "value", test_string},
    {"mapping", "value", test_mapping},
    {"number", "value", test_number},
    {"sequence", "value", test_sequence},
    {"iterable", "value", test_iterable},
    {"callable", "value", test_callable},
    {"sameas", "value other", test_sameas},
    {"escaped", "value", test_escaped},
    {"in", "value seq", test_in},
    {"==", "value other", test_eq},
    {"eq", "value other", test_eq},
    {"equalto", "value other", test_eq},
    {"!=", "value other", test_ne},
    {"ne", "value other", test_ne},
    {">", "value other", test_gt},
    {"gt", "value other", test_gt},
    {"greaterthan", "value other", test_gt},
    {"ge", "value other", test_ge},
    {">=", "value other", test_ge},
    {"<", "value other", test_lt},
    {"lt", "value other", test_lt},
    {"lessthan", "value other", test_lt},
    {"<=", "value other", test_le},
    {"le", "value other", test_le},
};

const struct builtin *test_find(const struct str *name)
{
    return builtin_search(tests, ARRAY_SIZE(tests), name);
}
