#include "text/normal_form.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/unicode_versions.h"

static const utf8proc_option_t form_options[] = {
    UTF8PROC_STABLE | UTF8PROC_COMPOSE,
    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
    UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
};

/*
 * Which characters a normalisation form leaves alone.
 *
 * A boundary is a character whose decomposition begins with a starter that composes with nothing
 * before it: text may be normalised up to it and from it on. A character is inert if it's a
 * boundary and its own normal form; so runs of inert characters are copied as they are.
 */

enum { INERT = 1, BOUNDARY = 2 };

struct stability {
    unsigned forms;
    uint8_t *second; /* [0x110000 / 8] bit: composes with a character before it */
};

static bool is_second(const struct stability *x, uint32_t c)
{
    return x->second[c >> 3] >> (c & 7) & 1;
}

static size_t decompose(uint32_t c, utf8proc_option_t options, utf8proc_int32_t out[64])
{
    int boundclass = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)c, out, 64, options, &boundclass);
    return n < 0 || n > 64 ? 0 : (size_t)n;
}

static bool is_hangul_syllable(uint32_t c)
{
    return c >= 0xac00 && c <= 0xd7a3;
}

/* Every character behind the first of a canonical decomposition, and Hangul's vowels and tails. */
static void find_seconds(struct stability *x)
{
    for (uint32_t c = 0; c < 0x30000; c++) {
        utf8proc_int32_t parts[64];
        if (!(c & 255) && unicode_block_is_uniform(c >> 8)) { /* no decomposition but Hangul's */
            c += 255;
            continue;
        }
        const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)c);
        if (p->decomp_seqindex == UINT16_MAX || p->decomp_type)
            continue;
        size_t n = decompose(c, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, parts);
        for (size_t i = 1; i < n; i++)
            x->second[parts[i] >> 3] |= (uint8_t)(1 << (parts[i] & 7));
    }
    for (uint32_t c = 0x1161; c <= 0x11c2; c++)
        if (c <= 0x1175 || c >= 0x11a8)
            x->second[c >> 3] |= (uint8_t)(1 << (c & 7));
}

static unsigned stability_in(const struct stability *x, uint32_t c, enum normal_form form)
{
    utf8proc_int32_t parts[64];
    size_t n = decompose(c, form_options[form], parts);
    if (!n)
        return 0;
    const utf8proc_property_t *first = utf8proc_get_property(parts[0]);
    if (first->combining_class || is_second(x, (uint32_t)parts[0]))
        return 0;
    if (form_options[form] & UTF8PROC_COMPOSE) {
        utf8proc_ssize_t left =
            utf8proc_normalize_utf32(parts, (utf8proc_ssize_t)n, form_options[form]);
        n = left < 0 ? 0 : (size_t)left;
    }
    return n == 1 && (uint32_t)parts[0] == c ? INERT | BOUNDARY : BOUNDARY;
}

static unsigned stability(uint32_t c, void *arg)
{
    const struct stability *x = arg;
    const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)c);
    unsigned value = 0;
    if (p->decomp_seqindex == UINT16_MAX && !p->combining_class && !is_second(x, c) &&
        !is_hangul_syllable(c))
        return 0xff;
    if (unicode_is_news(NEWS_FORMS, c))
        return 0xff;
    for (unsigned form = 0; form < N_FORMS; form++)
        if (x->forms >> form & 1)
            value |= stability_in(x, c, (enum normal_form)form) << 2 * form;
    return value;
}

void normal_forms_init(struct normal_forms *n, unsigned forms)
{
    struct stability x = {forms, xcalloc(0x110000 / 8, 1)};
    find_seconds(&x);
    unicode_build(&n->stable, stability, &x);
    free(x.second);
}

void normal_forms_release(struct normal_forms *n)
{
    unicode_release(&n->stable);
}

void form_scratch_release(struct form_scratch *s)
{
    free(s->parts);
}

static void put_part(struct form_scratch *s, utf8proc_int32_t c, uint32_t origin)
{
    ARRAY_GROW(s->parts, s->n_parts, s->cap);
    s->parts[s->n_parts] = (struct part){
        (uint32_t)c, origin, utf8proc_get_property(c)->combining_class, (uint32_t)s->n_parts};
    s->n_parts++;
}

static void decompose_part(struct form_scratch *s, enum normal_form form, const struct text *in,
                           size_t start, size_t end)
{
    unsigned len;
    s->n_parts = 0;
    for (size_t i = start; i < end; i += len) {
        utf8proc_int32_t chars[64];
        uint32_t c = utf8_char((const unsigned char *)in->p + i, &len);
        size_t n = decompose(c, form_options[form], chars);
        for (size_t j = 0; j < n; j++)
            put_part(s, chars[j], text_origin(in, i));
    }
}

static int by_class(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    if (x->combining_class != y->combining_class)
        return x->combining_class < y->combining_class ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* Marks between two starters go by their class (the Unicode standard, D109). */
static void order_marks(struct part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t first = i;
        while (i < n && parts[i].combining_class)
            i++;
        if (i - first > 1)
            qsort(parts + first, i - first, sizeof *parts, by_class);
    }
}

/* The one character that the two compose to, 0 if there is none. */
static uint32_t compose_pair(uint32_t a, uint32_t b)
{
    utf8proc_int32_t pair[2] = {(utf8proc_int32_t)a, (utf8proc_int32_t)b};
    return utf8proc_normalize_utf32(pair, 2, UTF8PROC_STABLE | UTF8PROC_COMPOSE) == 1
               ? (uint32_t)pair[0]
               : 0;
}

/* The canonical composition algorithm (D117): a mark composes with the last starter unless one of
 * the same class or a starter stands between. */
static size_t compose_parts(struct part *parts, size_t n)
{
    size_t kept = 0, starter = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        bool adjacent = starter != SIZE_MAX && starter + 1 == kept;
        bool open = starter != SIZE_MAX &&
                    (adjacent || parts[kept - 1].combining_class < parts[i].combining_class);
        uint32_t composed = open ? compose_pair(parts[starter].c, parts[i].c) : 0;
        if (composed) {
            parts[starter].c = composed;
            continue;
        }
        if (!parts[i].combining_class)
            starter = kept;
        parts[kept++] = parts[i];
    }
    return kept;
}

static void normalize_part(struct form_scratch *s, enum normal_form form, const struct text *in,
                           size_t start, size_t end, struct text_builder *out)
{
    decompose_part(s, form, in, start, end);
    order_marks(s->parts, s->n_parts);
    if (form_options[form] & UTF8PROC_COMPOSE)
        s->n_parts = compose_parts(s->parts, s->n_parts);
    uint32_t origin = 0; /* never falls, though marks may have changed places */
    for (size_t i = 0; i < s->n_parts; i++) {
        char c[4];
        origin = s->parts[i].origin > origin ? s->parts[i].origin : origin;
        text_builder_add(out, c, utf8_put(s->parts[i].c, c), origin);
    }
}

/* The first character from i on that isn't inert. */
static size_t skip_inert(const struct normal_forms *n, enum normal_form form, const struct text *in,
                         size_t i)
{
    const unsigned char *p = (const unsigned char *)in->p;
    unsigned len;
    while (i < in->len) {
        if (p[i] < 0x80) { /* ASCII is inert in every form */
            i++;
            continue;
        }
        if (!(unicode_class(&n->stable, utf8_char(p + i, &len)) >> 2 * form & INERT))
            break;
        i += len;
    }
    return i;
}

static size_t next_boundary(const struct normal_forms *n, enum normal_form form,
                            const struct text *in, size_t i)
{
    const unsigned char *p = (const unsigned char *)in->p;
    while (i < in->len) {
        unsigned len;
        if (unicode_class(&n->stable, utf8_char(p + i, &len)) >> 2 * form & BOUNDARY)
            break;
        i += len;
    }
    return i;
}

/* The inert character before `at`, that a mark at `at` goes with; `at` itself where that one is
 * too new for the form to know what may follow it. */
static size_t base_before(const struct text *in, size_t at)
{
    unsigned len;
    size_t before = utf8_before(in->p, at);
    uint32_t c = utf8_char((const unsigned char *)in->p + before, &len);
    return unicode_is_news(NEWS_FORMS, c) ? at : before;
}

bool normal_form(const struct normal_forms *n, struct form_scratch *s, enum normal_form form,
                 const struct text *in, struct text_builder *out)
{
    size_t done = 0, at = skip_inert(n, form, in, 0);
    if (at == in->len)
        return false;
    while (at < in->len) {
        unsigned len = utf8_length((unsigned char)in->p[at]);
        bool boundary = next_boundary(n, form, in, at) == at;
        size_t start = boundary || at == done ? at : base_before(in, at);
        size_t end = next_boundary(n, form, in, at + len);
        text_builder_copy(out, in, done, start);
        normalize_part(s, form, in, start, end, out);
        done = end;
        at = skip_inert(n, form, in, end);
    }
    text_builder_copy(out, in, done, in->len);
    return true;
}
