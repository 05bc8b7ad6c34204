/* Filters on single values: text, numbers, JSON. The table of all filters is at the end. */
#include "text/template_internal.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/template_filters.h"

static const struct str *text(struct render *r, struct value v)
{
    return value_to_str(&r->l, v);
}

static struct value filter_upper(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    return value_str(str_recase(&r->l, text(r, a[0]), RECASE_UPPER));
}

static struct value filter_lower(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    return value_str(str_recase(&r->l, text(r, a[0]), RECASE_LOWER));
}

static struct value filter_capitalize(struct render *r, const struct value *a,
                                      const struct arguments *rest)
{
    (void)rest;
    return value_str(str_recase(&r->l, text(r, a[0]), RECASE_CAPITALIZE));
}

static struct value filter_title(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    return value_str(str_recase(&r->l, text(r, a[0]), RECASE_WORDS));
}

static struct value filter_trim(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    (void)rest;
    return value_str(str_strip(&r->l, text(r, a[0]), a[1], true, true));
}

static struct value filter_replace(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)rest;
    return value_str(str_replace(&r->l, text(r, a[0]), text(r, a[1]), text(r, a[2]),
                                 int_or(r, a[3], -1, "count")));
}

static struct value filter_string(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    (void)rest;
    return value_str(text(r, a[0]));
}

static struct value filter_safe(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    struct str *s = arena_alloc(&r->l, 1, sizeof *s);
    (void)rest;
    *s = *text(r, a[0]);
    s->markup = true;
    return value_str(s);
}

static struct value filter_escape(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    (void)rest;
    if (a[0].type == V_STRING && a[0].s->markup)
        return a[0];
    return value_str(str_escape(&r->l, text(r, a[0])));
}

static struct value filter_forceescape(struct render *r, const struct value *a,
                                       const struct arguments *rest)
{
    (void)rest;
    return value_str(str_escape(&r->l, text(r, a[0])));
}

/* The character reference at p, numeric or of what is escaped in HTML, and where it ends; false for
 * any other, which stays. */
static bool character_reference(const char *p, size_t len, uint32_t *c, size_t *end)
{
    static const struct {
        const char *name;
        uint32_t c;
    } names[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos;", '\''}};
    size_t at = 1;
    *c = 0;
    if (len > 2 && p[1] == '#') {
        bool hex = p[2] == 'x' || p[2] == 'X';
        size_t first = at = hex ? 3 : 2;
        for (; at < len && (hex ? isxdigit((unsigned char)p[at]) : isdigit((unsigned char)p[at]));
             at++) {
            int digit = p[at] <= '9' ? p[at] - '0' : (p[at] | 32) - 'a' + 10;
            *c = *c > 0x10ffff ? *c : *c * (hex ? 16 : 10) + (uint32_t)digit;
        }
        if (at == first)
            return false;
        if (!*c || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
            *c = 0xfffd;
    }
    for (size_t i = 0; !*c && i < ARRAY_SIZE(names); i++) {
        size_t n = strlen(names[i].name);
        if (len > n && !memcmp(p + 1, names[i].name, n)) {
            *c = names[i].c;
            at = n + 1;
        }
    }
    *end = at + (at < len && p[at] == ';');
    return *c != 0;
}

/* Tags and comments go, runs of whitespace become one space, and references characters. */
static struct value filter_striptags(struct render *r, const struct value *a,
                                     const struct arguments *rest)
{
    const struct str *s = text(r, a[0]);
    struct value none = {.type = V_MISSING};
    struct builder b;
    bool space = false;
    (void)rest;
    builder_init(&b, &r->l);
    s = str_strip(&r->l, s, none, true, true);
    for (size_t at = 0; at < s->len;) {
        const char *close = s->p[at] == '<' ? memchr(s->p + at, '>', s->len - at) : NULL;
        if (close) {
            at = (size_t)(close - s->p) + 1;
            continue;
        }
        size_t from = at;
        if (is_white_space(utf8_next(s->p, s->len, &at))) {
            space = true;
            continue;
        }
        if (space && b.len)
            builder_addz(&b, " ", str_origin_at(s, from));
        space = false;
        uint32_t c;
        size_t end;
        if (s->p[from] == '&' && character_reference(s->p + from, s->len - from, &c, &end)) {
            builder_add_codepoint(&b, c, str_origin_at(s, from));
            at = from + end;
        } else {
            builder_add_part(&b, s, from, at);
        }
    }
    return value_str(builder_str(&b));
}

static struct value filter_indent(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    struct value width = a[1].type == V_MISSING ? value_int(4) : a[1];
    bool first = truth_or(a[2], false), blank = truth_or(a[3], false);
    const struct str *unit =
        width.type == V_STRING ? width.s : binary(r, OP_MUL, value_str(str_z(&r->l, " ")), width).s;
    const struct str *s =
        str_concat(&r->l, want_str(r, a[0], "indent's value"), str_z(&r->l, "\n"));
    const struct list *lines = str_splitlines(&r->l, s, false).list;
    struct builder b;
    (void)rest;
    builder_init(&b, &r->l);
    for (size_t i = 0; i < lines->n; i++) {
        const struct str *line = lines->items[i].s;
        if (i)
            builder_addz(&b, "\n", 0);
        if (i ? blank || line->len : first)
            builder_add_str(&b, unit);
        builder_add_str(&b, line);
    }
    return value_str(builder_str(&b));
}

static struct value filter_center(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    const struct builtin *center = string_method_find(str_z(&r->l, "center"));
    struct value b[3] = {value_str(text(r, a[0])),
                         a[1].type == V_MISSING ? value_int(80) : a[1],
                         {.type = V_MISSING}};
    return center->call(r, b, rest);
}

static struct value filter_truncate(struct render *r, const struct value *a,
                                    const struct arguments *rest)
{
    const struct str *s = text(r, a[0]), *end = str_or(r, a[3], "...", "end");
    int64_t length = int_or(r, a[1], 255, "length"), leeway = int_or(r, a[4], 5, "leeway");
    int64_t n_end = (int64_t)str_length(end);
    (void)rest;
    if (a[0].type != V_STRING && (int64_t)value_length(&r->l, a[0]) - leeway <= length)
        return a[0];
    if (length < n_end || leeway < 0)
        template_fail(&r->l, "truncate: expected length >= %lld", (long long)n_end);
    if (a[0].type != V_STRING)
        template_fail(&r->l, "truncate of a %s", type_name(a[0]));
    if ((int64_t)str_length(s) - leeway <= length)
        return value_str(s);
    size_t cut = str_offset(s, (size_t)(length - n_end));
    if (!truth_or(a[2], false))
        for (size_t i = cut; i-- > 0;)
            if (s->p[i] == ' ') {
                cut = i;
                break;
            }
    return value_str(str_concat(&r->l, str_part(&r->l, s, 0, cut), end));
}

/* Percent encoding; in a query blanks are "+" and slashes are encoded too. */
static void add_encoded(struct builder *b, const struct str *s, bool in_query)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s->len; i++) {
        unsigned char c = (unsigned char)s->p[i];
        char code[3] = {'%', hex[c >> 4], hex[c & 15]};
        bool keep = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c && strchr("_.-~", c)) || (c == '/' && !in_query);
        bool plus = in_query && c == ' ';
        builder_add(b,
                    plus   ? "+"
                    : keep ? (const char *)&c
                           : code,
                    keep || plus ? 1 : 3, str_origin_at(s, i));
    }
}

/* A mapping, or a list of pairs, is a query. */
static struct value filter_urlencode(struct render *r, const struct value *a,
                                     const struct arguments *rest)
{
    struct builder b;
    (void)rest;
    builder_init(&b, &r->l);
    if (a[0].type != V_DICT && a[0].type != V_LIST) {
        add_encoded(&b, text(r, a[0]), false);
        return value_str(builder_str(&b));
    }
    const struct list *items = a[0].type == V_LIST ? value_items(&r->l, a[0]) : NULL;
    for (size_t i = 0; i < (items ? items->n : a[0].dict->n); i++) {
        const struct list *pair = items ? value_items(&r->l, items->items[i]) : NULL;
        if (pair && pair->n != 2)
            template_fail(&r->l, "urlencode of a list with items that are no pairs");
        if (i)
            builder_addz(&b, "&", 0);
        add_encoded(&b, text(r, pair ? pair->items[0] : a[0].dict->keys[i]), true);
        builder_addz(&b, "=", 0);
        add_encoded(&b, text(r, pair ? pair->items[1] : a[0].dict->values[i]), true);
    }
    return value_str(builder_str(&b));
}

static struct value filter_format(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    struct value values;
    if (rest->n && rest->n_keywords)
        template_fail(&r->l, "format: positional and keyword arguments at the same time");
    if (rest->n_keywords) {
        values = value_dict(&r->l);
        for (size_t i = 0; i < rest->n_keywords; i++)
            dict_set(&r->l, values.dict, value_str(rest->keywords[i].name),
                     rest->keywords[i].value);
    } else {
        values = value_list(&r->l, LIST_TUPLE);
        for (size_t i = 0; i < rest->n; i++)
            list_add(&r->l, values.list, rest->items[i]);
    }
    return format_percent(r, text(r, a[0]), values);
}

/* ---- numbers ---- */

/* A string as Python's float() reads it: whitespace around, underscores between digits. */
static bool parse_float(const struct str *s, double *f)
{
    char digits[400];
    size_t n = 0, from = 0, to = s->len;
    while (from < to && is_white_space((unsigned char)s->p[from]))
        from++;
    while (to > from && is_white_space((unsigned char)s->p[to - 1]))
        to--;
    for (size_t i = from; i < to; i++) {
        if (s->p[i] == '_' && i > from && i + 1 < to && s->p[i + 1] != '_')
            continue;
        if (n == sizeof digits - 1 || !s->p[i] || strchr("xXpP(", s->p[i]))
            return false;
        digits[n++] = s->p[i];
    }
    digits[n] = 0;
    char *end;
    *f = strtod(digits, &end);
    return n && !*end;
}

static bool parse_int(const struct str *s, int base, int64_t *i)
{
    char digits[80];
    size_t n = 0, from = 0, to = s->len;
    while (from < to && is_white_space((unsigned char)s->p[from]))
        from++;
    while (to > from && is_white_space((unsigned char)s->p[to - 1]))
        to--;
    for (size_t k = from; k < to; k++) {
        if (s->p[k] == '_' && k > from && k + 1 < to && s->p[k + 1] != '_')
            continue;
        if (n == sizeof digits - 1 || !s->p[k] || is_white_space((unsigned char)s->p[k]))
            return false;
        digits[n++] = s->p[k];
    }
    digits[n] = 0;
    char *p = digits, *end;
    size_t sign = *p == '-' || *p == '+';
    if (p[sign] == '0' &&
        ((base == 8 && (p[sign + 1] | 32) == 'o') || (base == 2 && (p[sign + 1] | 32) == 'b')))
        memmove(p + sign, p + sign + 2, strlen(p + sign + 2) + 1);
    errno = 0;
    *i = strtoll(digits, &end, base);
    return n && !*end && !errno;
}

static bool float_to_int(double f, int64_t *i)
{
    if (!(f > -9.2e18 && f < 9.2e18))
        return false;
    *i = (int64_t)f;
    return true;
}

static struct value filter_int(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    struct value otherwise = a[1].type == V_MISSING ? value_int(0) : a[1], out = value_int(0);
    int64_t base = int_or(r, a[2], 10, "base");
    double f;
    (void)rest;
    need_defined(&r->l, a[0]);
    out.origin = a[0].origin;
    if (base < 2 || base > 36)
        template_fail(&r->l, "int() base must be >= 2 and <= 36");
    if (a[0].type == V_STRING) {
        out.origin = str_origin_at(a[0].s, 0);
        if (parse_int(a[0].s, (int)base, &out.i) ||
            (parse_float(a[0].s, &f) && float_to_int(f, &out.i)))
            return out;
    } else if (value_is_number(a[0])) {
        if (a[0].type != V_FLOAT)
            out.i = a[0].type == V_BOOL ? a[0].b : a[0].i;
        if (a[0].type != V_FLOAT || float_to_int(a[0].f, &out.i))
            return out;
    }
    return otherwise;
}

static struct value filter_float(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    struct value otherwise = a[1].type == V_MISSING ? value_float(0) : a[1], out = value_float(0);
    (void)rest;
    need_defined(&r->l, a[0]);
    out.origin = a[0].type == V_STRING ? str_origin_at(a[0].s, 0) : a[0].origin;
    if (a[0].type == V_STRING && parse_float(a[0].s, &out.f))
        return out;
    if (value_is_number(a[0])) {
        out.f = value_number(a[0]);
        return out;
    }
    return otherwise;
}

static struct value filter_abs(struct render *r, const struct value *a,
                               const struct arguments *rest)
{
    (void)rest;
    need_defined(&r->l, a[0]);
    if (!value_is_number(a[0]))
        template_fail(&r->l, "bad operand type for abs(): '%s'", type_name(a[0]));
    if (a[0].type == V_FLOAT)
        return value_float(fabs(a[0].f));
    int64_t i = a[0].type == V_BOOL ? a[0].b : a[0].i;
    return i < 0 ? binary(r, OP_SUB, value_int(0), value_int(i)) : value_int(i);
}

static double scaled(double f, int precision, double (*direction)(double))
{
    double scale = pow(10, precision);
    return direction(f * scale) / scale;
}

/* round(), to the nearest, halves to even. */
static struct value round_common(struct render *r, struct value v, int precision)
{
    char digits[512];
    if (v.type != V_FLOAT) {
        int64_t i = v.type == V_BOOL ? v.b : v.i, unit = 1;
        for (; precision < 0 && unit <= INT64_MAX / 100; precision++)
            unit *= 10;
        if (precision < 0)
            return value_int(0);
        int64_t down = i / unit * unit - (i % unit < 0 ? unit : 0), over = i - down;
        bool up = over > unit / 2 || (unit > 1 && over == unit / 2 && down / unit % 2 != 0);
        return binary(r, OP_ADD, value_int(down), value_int(up ? unit : 0));
    }
    if (precision < 0)
        return value_float(scaled(v.f, precision, nearbyint));
    snprintf(digits, sizeof digits, "%.*f", precision, v.f); /* rounds the exact value */
    return value_float(strtod(digits, NULL));
}

static struct value filter_round(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    int64_t precision = int_or(r, a[1], 0, "precision");
    const struct str *method = str_or(r, a[2], "common", "method");
    (void)rest;
    need_defined(&r->l, a[0]);
    if (!value_is_number(a[0]))
        template_fail(&r->l, "type %s doesn't define __round__ method", type_name(a[0]));
    precision = precision < -100 ? -100 : precision > 100 ? 100 : precision;
    if (str_equalz(method, "common"))
        return round_common(r, a[0], (int)precision);
    if (str_equalz(method, "ceil"))
        return value_float(scaled(value_number(a[0]), (int)precision, ceil) + 0.0);
    if (str_equalz(method, "floor"))
        return value_float(scaled(value_number(a[0]), (int)precision, floor) + 0.0);
    template_fail(&r->l, "method must be common, ceil or floor");
}

/* ---- the rest ---- */

static struct value filter_default(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)rest;
    if (a[0].type == V_UNDEFINED || (truth_or(a[2], false) && !value_truth(a[0])))
        return a[1].type == V_MISSING ? value_str(str_z(&r->l, "")) : a[1];
    return a[0];
}

static struct value filter_attr(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    const struct str *name = want_str(r, a[1], "attr's name");
    (void)rest;
    need_defined(&r->l, a[0]);
    if (a[0].type == V_DICT && !method_find(a[0], name) && !method_is_refused(a[0], name)) {
        struct value empty = value_dict(&r->l);
        return get_attribute(r, empty, name);
    }
    return get_attribute(r, a[0], name);
}

static struct value filter_tojson(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    struct json_style style = {.ensure_ascii = truth_or(a[1], false),
                               .sort_keys = truth_or(a[4], false)};
    struct builder b;
    (void)rest;
    if (a[2].type == V_STRING)
        style.indent = a[2].s;
    else if (a[2].type != V_MISSING && a[2].type != V_NONE)
        style.indent =
            binary(r, OP_MUL, value_str(str_z(&r->l, " ")), value_int(want_int(r, a[2], "indent")))
                .s;
    style.item_separator = str_z(&r->l, style.indent ? "," : ", ");
    style.key_separator = str_z(&r->l, ": ");
    if (a[3].type != V_MISSING && a[3].type != V_NONE) {
        const struct list *pair = value_items(&r->l, a[3]);
        if (pair->n != 2)
            template_fail(&r->l, "separators must be a pair of strings");
        style.item_separator = want_str(r, pair->items[0], "a separator");
        style.key_separator = want_str(r, pair->items[1], "a separator");
    }
    builder_init(&b, &r->l);
    builder_add_json(&b, a[0], &style);
    return value_str(builder_str(&b));
}

static const struct builtin filters[] = {
    {"abs", "value", filter_abs},
    {"attr", "obj name", filter_attr},
    {"capitalize", "s", filter_capitalize},
    {"center", "value ? width", filter_center},
    {"d", "value ? default_value boolean", filter_default},
    {"default", "value ? default_value boolean", filter_default},
    {"e", "s", filter_escape},
    {"escape", "s", filter_escape},
    {"float", "value ? default", filter_float},
    {"forceescape", "value", filter_forceescape},
    {"format", "value *", filter_format},
    {"indent", "s ? width first blank", filter_indent},
    {"int", "value ? default base", filter_int},
    {"lower", "s", filter_lower},
    {"replace", "s old new ? count", filter_replace},
    {"round", "value ? precision method", filter_round},
    {"safe", "value", filter_safe},
    {"string", "object", filter_string},
    {"striptags", "value", filter_striptags},
    {"title", "s", filter_title},
    {"tojson", "x ? ensure_ascii indent separators sort_keys", filter_tojson},
    {"trim", "value ? chars", filter_trim},
    {"truncate", "s ? length killwords end leeway", filter_truncate},
    {"upper", "s", filter_upper},
    {"urlencode", "value", filter_urlencode},
};

const struct builtin *filter_find(const struct str *name)
{
    const struct builtin *f = builtin_search(filters, ARRAY_SIZE(filters), name);
    if (!f)
        f = list_filter_find(name);
    return f ? f : text_filter_find(name);
}
