/* Values as text: Python's str and repr, and json.dumps. */
#include "text/template_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* The fewest digits that read back the same, in fixed notation for 1e-4 <= |f| < 1e16. */
void builder_add_float(struct builder *b, double f, origin o)
{
    char digits[40], text[64];
    int exponent;
    if (!isfinite(f)) {
        builder_addz(b, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf", o);
        return;
    }
    for (int precision = 0; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, f);
        if (strtod(digits, NULL) == f)
            break;
    }
    exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
    int n_digits = (int)strcspn(digits + (digits[0] == '-'), "e") - 1;
    if (n_digits < 1)
        n_digits = 1;
    if (exponent < -4 || exponent >= 16) {
        *strchr(digits, 'e') = 0;
        snprintf(text, sizeof text, "%se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent));
    } else {
        int decimals = n_digits - 1 - exponent;
        snprintf(text, sizeof text, "%.*f", decimals > 1 ? decimals : 1, f);
    }
    builder_addz(b, text, o);
}

bool is_printable(uint32_t c)
{
    if (c < 0x7f)
        return c >= 0x20;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

static void add_repr_codepoint(struct builder *b, uint32_t c, char quote, origin o)
{
    char s[12];
    if (c == (unsigned char)quote || c == '\\')
        snprintf(s, sizeof s, "\\%c", (char)c);
    else if (c == '\n' || c == '\r' || c == '\t')
        snprintf(s, sizeof s, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    else if (is_printable(c)) {
        builder_add_codepoint(b, c, o);
        return;
    } else if (c < 0x100)
        snprintf(s, sizeof s, "\\x%02x", c);
    else if (c < 0x10000)
        snprintf(s, sizeof s, "\\u%04x", c);
    else
        snprintf(s, sizeof s, "\\U%08x", c);
    builder_addz(b, s, o);
}

static void add_str_repr(struct builder *b, const struct str *s)
{
    char quote = memchr(s->p, '\'', s->len) && !memchr(s->p, '"', s->len) ? '"' : '\'';
    if (s->markup)
        builder_addz(b, "Markup(", 0);
    builder_add(b, &quote, 1, str_origin_at(s, 0));
    for (size_t at = 0; at < s->len;) {
        origin o = str_origin_at(s, at);
        add_repr_codepoint(b, utf8_next(s->p, s->len, &at), quote, o);
    }
    builder_add(b, &quote, 1, str_origin_at(s, s->len));
    if (s->markup)
        builder_addz(b, ")", 0);
}

static void add_items(struct builder *b, const struct list *list, origin o)
{
    for (size_t i = 0; i < list->n; i++) {
        if (i)
            builder_addz(b, ", ", o);
        builder_add_repr(b, list->items[i]);
    }
}

static void add_list_repr(struct builder *b, const struct list *list, origin o)
{
    static const char *const open[] = {
        "[", "(", "[", "<generator of [", "dict_keys([", "dict_values([", "dict_items(["};
    static const char *const close[] = {"]", ")", "]", "]>", "])", "])", "])"};
    if (list->kind == LIST_RANGE) {
        char text[64];
        int64_t first = list->n ? list->items[0].i : 0;
        int64_t step = list->n > 1 ? list->items[1].i - first : 1;
        snprintf(text, sizeof text, "range(%" PRId64 ", %" PRId64 ")", first,
                 first + step * (int64_t)list->n);
        builder_addz(b, text, o);
        return;
    }
    builder_addz(b, open[list->kind], o);
    add_items(b, list, o);
    if (list->kind == LIST_TUPLE && list->n == 1)
        builder_addz(b, ",", o);
    builder_addz(b, close[list->kind], o);
}

static void add_dict_repr(struct builder *b, const struct dict *d, origin o)
{
    builder_addz(b, "{", o);
    for (size_t i = 0; i < d->n; i++) {
        if (i)
            builder_addz(b, ", ", o);
        builder_add_repr(b, d->keys[i]);
        builder_addz(b, ": ", o);
        builder_add_repr(b, d->values[i]);
    }
    builder_addz(b, "}", o);
}

void builder_add_repr(struct builder *b, struct value v)
{
    char text[32];
    depth_enter(b->l);
    switch (v.type) {
    case V_MISSING:
    case V_UNDEFINED:
        builder_addz(b, "Undefined", v.origin);
        break;
    case V_NONE:
        builder_addz(b, "None", v.origin);
        break;
    case V_BOOL:
        builder_addz(b, v.b ? "True" : "False", v.origin);
        break;
    case V_INT:
        snprintf(text, sizeof text, "%" PRId64, v.i);
        builder_addz(b, text, v.origin);
        break;
    case V_FLOAT:
        builder_add_float(b, v.f, v.origin);
        break;
    case V_STRING:
        add_str_repr(b, v.s);
        break;
    case V_LIST:
        add_list_repr(b, v.list, v.origin);
        break;
    case V_DICT:
        add_dict_repr(b, v.dict, v.origin);
        break;
    case V_NAMESPACE:
        builder_addz(b, "<Namespace ", 0);
        add_dict_repr(b, v.dict, 0);
        builder_addz(b, ">", 0);
        break;
    case V_FUNCTION:
        if (v.function->kind != FUNCTION_MACRO || !v.function->macro->name)
            template_fail(b->l, "a %s can't be printed", type_name(v));
        builder_addz(b, "<Macro '", 0);
        builder_add_str(b, v.function->macro->name);
        builder_addz(b, "'>", 0);
        break;
    case V_LOOP:
        template_fail(b->l, "a %s can't be printed", type_name(v));
    }
    depth_leave(b->l);
}

void builder_add_value(struct builder *b, struct value v)
{
    if (v.type == V_STRING)
        builder_add_str(b, v.s);
    else if (v.type != V_UNDEFINED && v.type != V_MISSING)
        builder_add_repr(b, v);
}

const struct str *value_to_str(struct limits *l, struct value v)
{
    if (v.type == V_STRING)
        return v.s;
    struct builder b;
    builder_init(&b, l);
    builder_add_value(&b, v);
    return builder_str(&b);
}

static void add_json_codepoint(struct builder *b, uint32_t c, bool ensure_ascii, origin o)
{
    static const char escapes[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *e = c ? strchr(escapes, (int)c < 0x80 ? (int)c : 0) : NULL;
    char s[16];
    if (e && *e)
        snprintf(s, sizeof s, "\\%c", letters[e - escapes]);
    else if (c < 0x20 || (ensure_ascii && c > 0x7e && c < 0x10000))
        snprintf(s, sizeof s, "\\u%04x", c);
    else if (ensure_ascii && c >= 0x10000)
        snprintf(s, sizeof s, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                 0xdc00 + ((c - 0x10000) & 0x3ff));
    else {
        builder_add_codepoint(b, c, o);
        return;
    }
    builder_addz(b, s, o);
}

static void add_json_string(struct builder *b, const struct str *s, bool ensure_ascii)
{
    builder_addz(b, "\"", str_origin_at(s, 0));
    size_t plain = 0; /* start of the bytes that need no escape */
    for (size_t at = 0; at < s->len;) {
        unsigned char c = (unsigned char)s->p[at];
        if (c >= 0x20 && c != '"' && c != '\\' && (!ensure_ascii || c < 0x7f)) {
            at++;
            continue;
        }
        if (plain < at)
            builder_add_part(b, s, plain, at);
        origin o = str_origin_at(s, at);
        add_json_codepoint(b, utf8_next(s->p, s->len, &at), ensure_ascii, o);
        plain = at;
    }
    if (plain < s->len)
        builder_add_part(b, s, plain, s->len);
    builder_addz(b, "\"", str_origin_at(s, s->len));
}

static void add_json(struct builder *b, struct value v, const struct json_style *style,
                     size_t level);

static void add_newline(struct builder *b, const struct json_style *style, size_t level, origin o)
{
    if (!style->indent)
        return;
    builder_addz(b, "\n", o);
    while (level--)
        builder_add(b, style->indent->p, style->indent->len, o);
}

static void add_separator(struct builder *b, const struct str *s, origin o)
{
    builder_add(b, s->p, s->len, o);
}

static void add_json_list(struct builder *b, struct value v, const struct json_style *style,
                          size_t level)
{
    builder_addz(b, "[", v.origin);
    for (size_t i = 0; i < v.list->n; i++) {
        if (i)
            add_separator(b, style->item_separator, v.origin);
        add_newline(b, style, level + 1, v.origin);
        add_json(b, v.list->items[i], style, level + 1);
    }
    if (v.list->n)
        add_newline(b, style, level, v.origin);
    builder_addz(b, "]", v.origin);
}

/* A key that is no string is written as a string; str(True) would be "True", JSON has "true". */
static const struct str *json_key(struct builder *b, struct value key)
{
    if (key.type == V_STRING)
        return key.s;
    if (key.type == V_NONE)
        return str_z(b->l, "null");
    if (key.type == V_BOOL)
        return str_z(b->l, key.b ? "true" : "false");
    if (!value_is_number(key))
        template_fail(b->l, "keys must be str, int, float, bool or None, not %s", type_name(key));
    return value_to_str(b->l, key);
}

/* Order of the members: as they are, or by key. */
static size_t *member_order(struct builder *b, const struct dict *d, bool sorted)
{
    size_t *order = arena_alloc(b->l, d->n, sizeof *order);
    for (size_t i = 0; i < d->n; i++) {
        size_t at = i;
        for (; sorted && at && value_compare(b->l, d->keys[i], d->keys[order[at - 1]], "<") < 0;
             at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return order;
}

static void add_json_dict(struct builder *b, struct value v, const struct json_style *style,
                          size_t level)
{
    const size_t *order = member_order(b, v.dict, style->sort_keys);
    builder_addz(b, "{", v.origin);
    for (size_t i = 0; i < v.dict->n; i++) {
        if (i)
            add_separator(b, style->item_separator, v.origin);
        add_newline(b, style, level + 1, v.origin);
        add_json_string(b, json_key(b, v.dict->keys[order[i]]), style->ensure_ascii);
        add_separator(b, style->key_separator, v.origin);
        add_json(b, v.dict->values[order[i]], style, level + 1);
    }
    if (v.dict->n)
        add_newline(b, style, level, v.origin);
    builder_addz(b, "}", v.origin);
}

static void add_json(struct builder *b, struct value v, const struct json_style *style,
                     size_t level)
{
    depth_enter(b->l);
    switch (v.type) {
    case V_NONE:
        builder_addz(b, "null", v.origin);
        break;
    case V_BOOL:
        builder_addz(b, v.b ? "true" : "false", v.origin);
        break;
    case V_INT:
        builder_add_repr(b, v);
        break;
    case V_FLOAT:
        if (isfinite(v.f))
            builder_add_float(b, v.f, v.origin);
        else
            builder_addz(b, isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity", v.origin);
        break;
    case V_STRING:
        add_json_string(b, v.s, style->ensure_ascii);
        break;
    case V_LIST:
        if (v.list->kind <= LIST_TUPLE) {
            add_json_list(b, v, style, level);
            break;
        }
        template_fail(b->l, "Object of type %s is not JSON serializable", type_name(v));
    case V_DICT:
        add_json_dict(b, v, style, level);
        break;
    default:
        template_fail(b->l, "Object of type %s is not JSON serializable", type_name(v));
    }
    depth_leave(b->l);
}

void builder_add_json(struct builder *b, struct value v, const struct json_style *style)
{
    add_json(b, v, style, 0);
}
