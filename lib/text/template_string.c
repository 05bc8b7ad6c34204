/* Strings that know which message each of their characters came from. */
#include "text/template_internal.h"

#include <string.h>

#include "base/utf8.h"

uint32_t utf8_next(const char *p, size_t len, size_t *at)
{
    const unsigned char *s = (const unsigned char *)p + *at;
    size_t left = len - *at;
    size_t more = s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
    if (more >= left)
        more = left - 1;
    uint32_t c = more == 0 ? s[0] : s[0] & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++)
        c = c << 6 | (s[i] & 0x3f);
    *at += more + 1;
    return c;
}

void builder_init(struct builder *b, struct limits *l)
{
    *b = (struct builder){.l = l};
}

static void builder_reserve(struct builder *b, size_t extra)
{
    if (extra <= b->cap - b->len)
        return;
    if (extra > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
        template_fail(b->l, "needs more memory than a template is allowed");
    size_t cap = b->len + extra + b->len / 2 + 32;
    if (b->p && arena_extend(b->l, b->p + b->cap, cap - b->cap)) {
        b->cap = cap;
        return;
    }
    char *p = arena_bytes(b->l, cap);
    if (b->len)
        memcpy(p, b->p, b->len);
    b->p = p;
    b->cap = cap;
}

/* The bytes up to b->len that no run covers yet are of origin o. */
static void builder_end_run(struct builder *b, origin o)
{
    if (b->n_runs && b->runs[b->n_runs - 1].origin == o) {
        b->runs[b->n_runs - 1].end = b->len;
        return;
    }
    if (b->n_runs == b->runs_cap) {
        size_t cap = b->runs_cap ? 2 * b->runs_cap : 4;
        struct run *runs = arena_alloc(b->l, cap, sizeof *runs);
        if (b->n_runs)
            memcpy(runs, b->runs, b->n_runs * sizeof *runs);
        b->runs = runs;
        b->runs_cap = cap;
    }
    b->runs[b->n_runs++] = (struct run){b->len, o};
}

void builder_add(struct builder *b, const char *p, size_t len, origin o)
{
    if (!len && ORIGIN_KIND(o) == TEMPLATE_LITERAL && !ORIGIN_GENERATION(o))
        return;
    spend(b->l, 1 + len / 64);
    builder_reserve(b, len);
    if (len)
        memcpy(b->p + b->len, p, len);
    b->len += len;
    builder_end_run(b, o);
}

void builder_addz(struct builder *b, const char *s, origin o)
{
    builder_add(b, s, strlen(s), o);
}

void builder_add_codepoint(struct builder *b, uint32_t c, origin o)
{
    char s[4];
    size_t n;
    if (c < 0x80) {
        s[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        s[0] = (char)(0xc0 | c >> 6);
        s[1] = (char)(0x80 | (c & 0x3f));
        n = 2;
    } else if (c < 0x10000) {
        s[0] = (char)(0xe0 | c >> 12);
        s[1] = (char)(0x80 | (c >> 6 & 0x3f));
        s[2] = (char)(0x80 | (c & 0x3f));
        n = 3;
    } else {
        s[0] = (char)(0xf0 | c >> 18);
        s[1] = (char)(0x80 | (c >> 12 & 0x3f));
        s[2] = (char)(0x80 | (c >> 6 & 0x3f));
        s[3] = (char)(0x80 | (c & 0x3f));
        n = 4;
    }
    builder_add(b, s, n, o);
}

/* The first run that ends at `at` or behind. */
static size_t run_reaching(const struct str *s, size_t at)
{
    size_t low = 0, high = s->n_runs;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->runs[middle].end < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void builder_add_part(struct builder *b, const struct str *s, size_t from, size_t to)
{
    if (!s->n_runs) {
        builder_add(b, s->p + from, to - from, s->origin);
        return;
    }
    if (from == to) {
        builder_add(b, "", 0, str_origin_at(s, from));
        return;
    }
    size_t first = run_reaching(s, from), start = first ? s->runs[first - 1].end : 0;
    for (size_t i = first; i < s->n_runs && start <= to; i++) {
        size_t a = start > from ? start : from, z = s->runs[i].end < to ? s->runs[i].end : to;
        /* An empty run is carried along when it lies inside, or at an edge of the whole string. */
        if (a < z || (start == s->runs[i].end && start >= from && start <= to))
            builder_add(b, s->p + a, z - a, s->runs[i].origin);
        start = s->runs[i].end;
    }
}

void builder_add_str(struct builder *b, const struct str *s)
{
    builder_add_part(b, s, 0, s->len);
}

const struct str *builder_str(struct builder *b)
{
    struct str *s = arena_alloc(b->l, 1, sizeof *s);
    if (b->p)
        arena_give_back(b->l, b->p + b->cap, b->cap - b->len);
    s->p = b->p ? b->p : "";
    s->len = b->len;
    if (b->n_runs == 1) {
        s->origin = b->runs[0].origin;
    } else {
        s->runs = b->runs;
        s->n_runs = b->n_runs;
    }
    return s;
}

const struct str *str_new(struct limits *l, const char *p, size_t len, origin o)
{
    struct str *s = arena_alloc(l, 1, sizeof *s);
    *s = (struct str){.p = p, .len = len, .origin = o};
    return s;
}

const struct str *str_copy(struct limits *l, const char *p, size_t len, origin o)
{
    char *copy = arena_bytes(l, len);
    if (len)
        memcpy(copy, p, len);
    return str_new(l, copy, len, o);
}

const struct str *str_z(struct limits *l, const char *s)
{
    return str_new(l, s, strlen(s), 0);
}

origin str_origin_at(const struct str *s, size_t at)
{
    if (!s->n_runs)
        return s->origin;
    size_t i = run_reaching(s, at + 1);
    return s->runs[i < s->n_runs ? i : s->n_runs - 1].origin;
}

const struct str *str_part(struct limits *l, const struct str *s, size_t from, size_t to)
{
    if (from == 0 && to == s->len)
        return s;
    if (!s->n_runs && !s->markup)
        return str_new(l, s->p + from, to - from, s->origin);
    struct builder b;
    builder_init(&b, l);
    builder_add_part(&b, s, from, to);
    struct str *part = arena_alloc(l, 1, sizeof *part);
    *part = *builder_str(&b);
    part->markup = s->markup;
    return part;
}

/* Chains of a + b + c grow their first part in place instead of copying it each time. */
const struct str *str_concat(struct limits *l, const struct str *a, const struct str *b)
{
    struct builder out;
    builder_init(&out, l);
    if (a->len && arena_extend(l, a->p + a->len, b->len)) {
        out.p = (char *)(uintptr_t)a->p;
        out.cap = a->len + b->len;
        out.len = 0;
        size_t start = 0;
        for (size_t i = 0; i < a->n_runs; i++) {
            out.len = a->runs[i].end;
            builder_end_run(&out, a->runs[i].origin);
            start = out.len;
        }
        if (start < a->len) {
            out.len = a->len;
            builder_end_run(&out, a->origin);
        }
        builder_add_str(&out, b);
    } else {
        builder_add_str(&out, a);
        builder_add_str(&out, b);
    }
    return builder_str(&out);
}

bool str_equal(const struct str *a, const struct str *b)
{
    return a == b || (a->len == b->len && !memcmp(a->p, b->p, a->len));
}

bool str_equalz(const struct str *a, const char *z)
{
    return a->len == strlen(z) && !memcmp(a->p, z, a->len);
}

int str_compare(const struct str *a, const struct str *b)
{
    int d = memcmp(a->p, b->p, a->len < b->len ? a->len : b->len);
    return d ? d : a->len < b->len ? -1 : a->len > b->len;
}

size_t str_length(const struct str *s)
{
    return utf8_count(s->p, s->len);
}

size_t str_offset(const struct str *s, size_t codepoints)
{
    size_t at = 0;
    while (codepoints && at < s->len) {
        utf8_next(s->p, s->len, &at);
        codepoints--;
    }
    return at;
}

size_t str_find(const struct str *a, const struct str *b, size_t from)
{
    if (from > a->len || b->len > a->len - from)
        return SIZE_MAX;
    if (!b->len)
        return from;
    const char *p = memmem(a->p + from, a->len - from, b->p, b->len);
    return p ? (size_t)(p - a->p) : SIZE_MAX;
}
