/* '%s-%d' % values and '{} {name:>8}'.format(values). */
#include "text/template_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WIDTH = 1000 };

/* One conversion: fill, alignment, width, precision and type. */
struct spec {
    uint32_t fill;
    char align; /* < > ^ =, 0: the type's own */
    char sign;  /* + - space */
    bool alternate, comma;
    int width, precision; /* -1: not given */
    char type;            /* 0: not given */
};

static void add_padded(struct builder *b, const struct str *s, const struct spec *spec, char align)
{
    int64_t pad = spec->width - (int64_t)str_length(s), left = 0;
    if (spec->align)
        align = spec->align;
    if (pad < 0)
        pad = 0;
    left = align == '>' ? pad : align == '^' ? pad / 2 : 0;
    size_t head = align == '=' && s->len && strchr("+- ", s->p[0]) ? 1 : 0;
    if (align == '=') {
        builder_add_part(b, s, 0, head);
        left = pad;
    }
    for (int64_t i = 0; i < left; i++)
        builder_add_codepoint(b, spec->fill, 0);
    builder_add_part(b, s, head, s->len);
    for (int64_t i = left; i < pad; i++)
        builder_add_codepoint(b, spec->fill, 0);
}

/* Digits of an integer or a float with C's printf, which agrees with Python on these types. */
static const struct str *number_text(struct render *r, struct value v, const struct spec *spec)
{
    char format[32], text[2048];
    char type = spec->type ? spec->type : v.type == V_FLOAT ? 'r' : 'd';
    const char *sign = spec->sign == '+' ? "+" : spec->sign == ' ' ? " " : "";
    const char *alternate = spec->alternate ? "#" : "";
    if (strchr("eEfFgG%", type)) {
        double f = value_number(v) * (type == '%' ? 100 : 1);
        snprintf(format, sizeof format, "%%%s%s.*%c%s", sign, alternate, type == '%' ? 'f' : type,
                 type == '%' ? "%%" : "");
        snprintf(text, sizeof text, format, spec->precision < 0 ? 6 : spec->precision, f);
        return str_copy(&r->l, text, strlen(text), v.origin);
    }
    if (type == 'r') {
        struct builder b;
        builder_init(&b, &r->l);
        if (*sign && v.f >= 0)
            builder_addz(&b, sign, v.origin);
        if (spec->precision < 0) {
            builder_add_float(&b, v.f, v.origin);
        } else {
            snprintf(text, sizeof text, "%.*g", spec->precision ? spec->precision : 1, v.f);
            builder_addz(&b, text, v.origin);
        }
        return builder_str(&b);
    }
    if (!strchr("diuxXo", type) || v.type == V_FLOAT)
        template_fail(&r->l, "unknown format code '%c' for object of type '%s'", type,
                      type_name(v));
    int64_t i = v.type == V_BOOL ? v.b : v.i;
    uint64_t digits = i < 0 ? -(uint64_t)i : (uint64_t)i;
    const char *prefix = !spec->alternate ? ""
                         : type == 'x'    ? "0x"
                         : type == 'X'    ? "0X"
                         : type == 'o'    ? "0o"
                                          : "";
    const char *number = type == 'x'   ? "%s%s%" PRIx64
                         : type == 'X' ? "%s%s%" PRIX64
                         : type == 'o' ? "%s%s%" PRIo64
                                       : "%s%s%" PRIu64;
    /* cppcheck-suppress wrongPrintfScanfArgNum ; PRIu64 and its like are of the C library */
    snprintf(text, sizeof text, number, i < 0 ? "-" : sign, prefix, digits);
    return str_copy(&r->l, text, strlen(text), v.origin);
}

/* 1234567 as 1,234,567 */
static const struct str *with_commas(struct render *r, const struct str *s)
{
    struct builder b;
    size_t from = s->len && !isdigit((unsigned char)s->p[0]), end = from;
    while (end < s->len && isdigit((unsigned char)s->p[end]))
        end++;
    builder_init(&b, &r->l);
    builder_add_part(&b, s, 0, from);
    for (size_t i = from; i < end; i++) {
        if (i > from && (end - i) % 3 == 0)
            builder_addz(&b, ",", str_origin_at(s, i));
        builder_add_part(&b, s, i, i + 1);
    }
    builder_add_part(&b, s, end, s->len);
    return builder_str(&b);
}

static int read_width(struct render *r, const char **p, const char *end)
{
    int n = -1;
    for (; *p < end && isdigit((unsigned char)**p); ++*p) {
        n = (n < 0 ? 0 : n) * 10 + (**p - '0');
        if (n > MAX_WIDTH)
            template_fail(&r->l, "a format's width is over %d", MAX_WIDTH);
    }
    return n;
}

/* ---- % ---- */

static struct value percent_value(struct render *r, struct value args, size_t *used,
                                  const struct str *name)
{
    if (name) {
        const struct value *v =
            args.type == V_DICT ? dict_get(&r->l, args.dict, value_str(name)) : NULL;
        if (!v)
            template_fail(&r->l, "format has no value for '%.*s'", (int)name->len, name->p);
        return *v;
    }
    bool tuple = args.type == V_LIST && args.list->kind == LIST_TUPLE;
    if (*used >= (tuple ? args.list->n : 1))
        template_fail(&r->l, "not enough arguments for format string");
    ++*used;
    return tuple ? args.list->items[*used - 1] : args;
}

static void add_percent(struct render *r, struct builder *b, struct value v, struct spec *spec)
{
    if (spec->type == 's' || spec->type == 'r') {
        const struct str *s;
        if (spec->type == 's') {
            s = value_to_str(&r->l, v);
        } else {
            struct builder repr;
            builder_init(&repr, &r->l);
            builder_add_repr(&repr, v);
            s = builder_str(&repr);
        }
        if (spec->precision >= 0)
            s = str_part(&r->l, s, 0, str_offset(s, (size_t)spec->precision));
        spec->fill = ' ';
        if (spec->align == '=')
            spec->align = '>';
        add_padded(b, s, spec, '>');
        return;
    }
    need_defined(&r->l, v);
    if (spec->type == 'c' && v.type == V_STRING) {
        add_padded(b, v.s, spec, '>');
        return;
    }
    if (!value_is_number(v))
        template_fail(&r->l, "%%%c format: a number is required, not %s", spec->type, type_name(v));
    if (strchr("diu", spec->type) && v.type == V_FLOAT) {
        if (!(v.f > -9.2e18 && v.f < 9.2e18))
            template_fail(&r->l, "a number does not fit 64 bits");
        v = value_int((int64_t)v.f);
    }
    add_padded(b, number_text(r, v, spec), spec, '>');
}

struct value format_percent(struct render *r, const struct str *format, struct value args)
{
    struct builder b;
    size_t used = 0;
    bool named = false;
    const char *p = format->p, *end = p + format->len;
    builder_init(&b, &r->l);
    while (p < end) {
        const char *q = memchr(p, '%', (size_t)(end - p));
        q = q ? q : end;
        builder_add_part(&b, format, (size_t)(p - format->p), (size_t)(q - format->p));
        p = q + 1;
        if (q == end)
            break;
        struct spec spec = {.fill = ' ', .precision = -1, .width = 0};
        const struct str *name = NULL;
        if (p < end && *p == '(') {
            const char *close = memchr(p, ')', (size_t)(end - p));
            if (!close)
                template_fail(&r->l, "incomplete format key");
            name = str_new(&r->l, p + 1, (size_t)(close - p - 1), 0);
            named = true;
            p = close + 1;
        }
        for (; p < end && strchr("-+ #0", *p); p++) {
            spec.align = *p == '-' ? '<' : *p == '0' && spec.align != '<' ? '=' : spec.align;
            spec.fill = *p == '0' && spec.align == '=' ? '0' : spec.fill;
            spec.sign = *p == '+' || (*p == ' ' && spec.sign != '+') ? *p : spec.sign;
            spec.alternate |= *p == '#';
        }
        int width = read_width(r, &p, end);
        spec.width = width < 0 ? 0 : width;
        if (p < end && *p == '.') {
            p++;
            spec.precision = read_width(r, &p, end);
            if (spec.precision < 0)
                spec.precision = 0;
        }
        if (p == end)
            template_fail(&r->l, "incomplete format");
        spec.type = *p++;
        if (spec.type == '%')
            builder_addz(&b, "%", 0);
        else if (strchr("srdiuxXoeEfFgGc", spec.type))
            add_percent(r, &b, percent_value(r, args, &used, name), &spec);
        else
            template_fail(&r->l, "unsupported format character '%c'",
                          isprint((unsigned char)spec.type) ? spec.type : '?');
    }
    bool tuple = args.type == V_LIST && args.list->kind == LIST_TUPLE;
    /* Python takes it for a mapping. */
    bool indexed = args.type == V_DICT || args.type == V_LIST || args.type == V_UNDEFINED;
    if (!named && used < (tuple ? args.list->n : !indexed))
        template_fail(&r->l, "not all arguments converted during string formatting");
    return value_str(builder_str(&b));
}

/* ---- {} ---- */

/* name, number or nothing, then .attribute and [item] */
static struct value field_value(struct render *r, const char *p, const char *end,
                                const struct arguments *args, size_t *automatic)
{
    const char *q = p;
    while (q < end && *q != '.' && *q != '[')
        q++;
    struct value v = {.type = V_MISSING};
    bool number = true;
    for (const char *c = p; c < q; c++)
        number &= isdigit((unsigned char)*c) != 0;
    if (number) {
        if (q == p ? *automatic == SIZE_MAX : *automatic != SIZE_MAX && *automatic > 0)
            template_fail(&r->l, "cannot switch between manual and automatic field numbering");
        if (q > p)
            *automatic = SIZE_MAX;
        size_t i = q == p ? (*automatic)++ : q - p > 6 ? SIZE_MAX : (size_t)strtoul(p, NULL, 10);
        if (i < args->n)
            v = args->items[i];
    } else {
        for (size_t i = 0; i < args->n_keywords; i++)
            if (args->keywords[i].name->len == (size_t)(q - p) &&
                !memcmp(args->keywords[i].name->p, p, (size_t)(q - p)))
                v = args->keywords[i].value;
    }
    if (v.type == V_MISSING)
        template_fail(&r->l, "format: there is no argument '%.*s'", (int)(q - p), p);
    while (q < end) {
        bool attribute = *q++ == '.';
        const char *from = q;
        while (q < end && (attribute ? *q != '.' && *q != '[' : *q != ']'))
            q++;
        const struct str *name = str_new(&r->l, from, (size_t)(q - from), 0);
        if (attribute) {
            v = get_attribute(r, v, name);
            continue;
        }
        bool digits = name->len && name->len < 7;
        for (size_t i = 0; i < name->len; i++)
            digits &= isdigit((unsigned char)name->p[i]) != 0;
        v = get_item(r, v, digits ? value_int(strtol(from, NULL, 10)) : value_str(name));
        if (q < end)
            q++;
    }
    return v;
}

static struct spec read_spec(struct render *r, const char *p, const char *end)
{
    struct spec s = {.fill = ' ', .precision = -1};
    size_t at = 0;
    if (p < end) {
        uint32_t c = utf8_next(p, (size_t)(end - p), &at);
        if (p + at < end && strchr("<>^=", p[at])) {
            s.fill = c;
            s.align = p[at];
            p += at + 1;
        } else if (strchr("<>^=", *p)) {
            s.align = *p++;
        }
    }
    if (p < end && strchr("+- ", *p))
        s.sign = *p++;
    if (p < end && *p == '#') {
        s.alternate = true;
        p++;
    }
    if (p < end && *p == '0') {
        s.fill = s.align ? s.fill : '0';
        s.align = s.align ? s.align : '=';
        p++;
    }
    int width = read_width(r, &p, end);
    s.width = width < 0 ? 0 : width;
    if (p < end && *p == ',') {
        s.comma = true;
        p++;
    }
    if (p < end && *p == '.') {
        p++;
        s.precision = read_width(r, &p, end);
    }
    if (p < end)
        s.type = *p++;
    if (p < end)
        template_fail(&r->l, "invalid format specifier");
    return s;
}

static void add_field(struct render *r, struct builder *b, const char *p, const char *end,
                      const struct arguments *args, size_t *automatic)
{
    const char *colon = p;
    int brackets = 0;
    for (; colon < end && (brackets || (*colon != ':' && *colon != '!')); colon++)
        brackets += (*colon == '[') - (*colon == ']');
    struct value v = field_value(r, p, colon, args, automatic);
    bool repr = colon + 1 < end && *colon == '!' && colon[1] == 'r';
    if (colon < end && *colon == '!')
        colon += 2;
    if (repr) {
        struct builder text;
        builder_init(&text, &r->l);
        builder_add_repr(&text, v);
        v = value_str(builder_str(&text));
    }
    struct spec spec = {.fill = ' ', .precision = -1};
    if (colon < end)
        spec = read_spec(r, colon + 1, end);
    if (v.type == V_BOOL && !spec.type)
        v = value_str(value_to_str(&r->l, v));
    if (value_is_number(v)) {
        const struct str *text = number_text(r, v, &spec);
        add_padded(b, spec.comma ? with_commas(r, text) : text, &spec, '>');
        return;
    }
    if (spec.type && spec.type != 's')
        template_fail(&r->l, "unknown format code '%c' for object of type '%s'", spec.type,
                      type_name(v));
    const struct str *text = value_to_str(&r->l, v);
    if (spec.precision >= 0)
        text = str_part(&r->l, text, 0, str_offset(text, (size_t)spec.precision));
    add_padded(b, text, &spec, '<');
}

struct value format_braces(struct render *r, const struct str *format, const struct arguments *args)
{
    struct builder b;
    size_t automatic = 0;
    const char *p = format->p, *end = p + format->len;
    builder_init(&b, &r->l);
    while (p < end) {
        const char *q = p;
        while (q < end && *q != '{' && *q != '}')
            q++;
        builder_add_part(&b, format, (size_t)(p - format->p), (size_t)(q - format->p));
        p = q;
        if (p == end)
            break;
        if (p + 1 < end && p[1] == *p) {
            builder_add_part(&b, format, (size_t)(p - format->p), (size_t)(p - format->p) + 1);
            p += 2;
            continue;
        }
        const char *close = *p == '{' ? memchr(p, '}', (size_t)(end - p)) : NULL;
        if (!close)
            template_fail(&r->l, "single '%c' in a format string", *p);
        add_field(r, &b, p + 1, close, args, &automatic);
        p = close + 1;
    }
    return value_str(builder_str(&b));
}
