/* Python's str.isdigit and the like. */
#include "text/template_internal.h"

#include <utf8proc.h>

#include "base/mem.h"

static bool is_letter(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

static bool has_case(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

/* Whether all characters pass and there is at least one. */
static struct value all_characters(const struct str *s, bool (*test)(uint32_t c))
{
    for (size_t at = 0; at < s->len;)
        if (!test(utf8_next(s->p, s->len, &at)))
            return value_bool(false);
    return value_bool(s->len != 0);
}

static bool is_decimal(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

static bool is_digit(uint32_t c)
{
    return is_decimal(c) || c == 0xb2 || c == 0xb3 || c == 0xb9 || (c >= 0x2070 && c <= 0x2089);
}

static bool is_numeric(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

static bool is_alphanumeric(uint32_t c)
{
    return is_letter(c) || is_numeric(c);
}

static bool is_ascii(uint32_t c)
{
    return c < 0x80;
}

static struct value string_isdigit(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)r, (void)rest;
    return all_characters(a[0].s, is_digit);
}

static struct value string_isdecimal(struct render *r, const struct value *a,
                                     const struct arguments *rest)
{
    (void)r, (void)rest;
    return all_characters(a[0].s, is_decimal);
}

static struct value string_isnumeric(struct render *r, const struct value *a,
                                     const struct arguments *rest)
{
    (void)r, (void)rest;
    return all_characters(a[0].s, is_numeric);
}

static struct value string_isalpha(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)r, (void)rest;
    return all_characters(a[0].s, is_letter);
}

static struct value string_isalnum(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)r, (void)rest;
    return all_characters(a[0].s, is_alphanumeric);
}

static struct value string_isspace(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)r, (void)rest;
    return all_characters(a[0].s, is_white_space);
}

static struct value string_isascii(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(!a[0].s->len || all_characters(a[0].s, is_ascii).b);
}

/* All letters that have case have this one, and there is at least one. */
static bool is_all_of(const struct str *s, utf8proc_category_t wanted)
{
    bool any = false;
    for (size_t at = 0; at < s->len;) {
        uint32_t c = utf8_next(s->p, s->len, &at);
        if (!has_case(c))
            continue;
        if (utf8proc_category((utf8proc_int32_t)c) != wanted)
            return false;
        any = true;
    }
    return any;
}

static struct value string_isupper(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(is_all_of(a[0].s, UTF8PROC_CATEGORY_LU));
}

static struct value string_islower(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(is_all_of(a[0].s, UTF8PROC_CATEGORY_LL));
}

/* Letters behind others are small, all others large, and there is at least one. */
static struct value string_istitle(struct render *r, const struct value *a,
                                   const struct arguments *rest)
{
    const struct str *s = a[0].s;
    bool any = false, inside = false;
    (void)r, (void)rest;
    for (size_t at = 0; at < s->len;) {
        uint32_t c = utf8_next(s->p, s->len, &at);
        bool small = utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LL;
        bool cased = has_case(c);
        if (cased && small != inside)
            return value_bool(false);
        any |= cased;
        inside = cased;
    }
    return value_bool(any);
}

static struct value string_isprintable(struct render *r, const struct value *a,
                                       const struct arguments *rest)
{
    (void)r, (void)rest;
    return value_bool(!a[0].s->len || all_characters(a[0].s, is_printable).b);
}

static const struct builtin predicates[] = {
    {"isdigit", "self", string_isdigit},         {"isdecimal", "self", string_isdecimal},
    {"isnumeric", "self", string_isnumeric},     {"isalpha", "self", string_isalpha},
    {"isalnum", "self", string_isalnum},         {"isspace", "self", string_isspace},
    {"isascii", "self", string_isascii},         {"isupper", "self", string_isupper},
    {"islower", "self", string_islower},         {"istitle", "self", string_istitle},
    {"isprintable", "self", string_isprintable},
};

const struct builtin *string_predicate_find(const struct str *name)
{
    return builtin_search(predicates, ARRAY_SIZE(predicates), name);
}
