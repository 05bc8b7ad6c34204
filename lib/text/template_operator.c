/* Operators on numbers, strings and lists. */
#include "text/template_internal.h"

#include <math.h>

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
    if (exponent < 0 && base == 0)
        template_fail(&r->l, "0 cannot be raised to a negative power");
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
        if (m == 0) /* Python's has the sign of b */
            return value_float(copysign(0, b));
        return value_float((m < 0) != (b < 0) ? m + b : m);
    }
    default:
        if (a == 0 && b < 0)
            template_fail(&r->l, "0 cannot be raised to a negative power");
        if (a < 0 && b != floor(b))
            template_fail(&r->l, "a power of a negative number that is complex");
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
