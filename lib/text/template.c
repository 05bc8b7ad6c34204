#include "text/template.h"

#include <string.h>

#include "base/mem.h"
#include "text/template_internal.h"

/*
 * What a template may use. A rendering reads its messages a few times over, so both limits grow
 * with the input; a template that loops or doubles strings on its own reaches them in a second or
 * two.
 */
#define COMPILE_BYTES ((size_t)64 << 20)
#define RENDER_BYTES ((size_t)128 << 20)
#define RENDER_BYTES_EACH 64 /* for every byte of input */
#define RENDER_STEPS ((uint64_t)20 * 1000 * 1000)
#define RENDER_STEPS_EACH 50
enum { MAX_SOURCE = 4 << 20 };

static int check_utf8(const char *name, const char *p, size_t len, struct err *err)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        size_t more = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 9;
        if (more >= len - i)
            return err_set(err, "%s: not UTF-8 at byte %zu", name, i);
        for (size_t k = 1; k <= more; k++)
            if ((p[i + k] & 0xc0) != 0x80)
                return err_set(err, "%s: not UTF-8 at byte %zu", name, i);
        i += more;
    }
    return 0;
}

/* Newlines become \n, and one at the end is dropped, as Jinja does. */
static char *normalise(const char *source, size_t len, size_t *out_len)
{
    char *out = xmalloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (source[i] == '\r' && i + 1 < len && source[i + 1] == '\n')
            continue;
        out[n++] = source[i] == '\r' ? '\n' : source[i];
    }
    n -= n && out[n - 1] == '\n';
    out[n] = 0;
    *out_len = n;
    return out;
}

int template_compile(struct template **out, const char *name, const char *source, size_t len,
                     struct err *err)
{
    *out = NULL;
    if (len > MAX_SOURCE)
        return err_set(err, "%s: a template of %zu bytes is too large", name, len);
    if (check_utf8(name, source, len, err) < 0)
        return -1;
    struct template *t = xcalloc(1, sizeof *t);
    size_t n;
    t->name = xstrdup(name);
    t->source = normalise(source, len, &n);
    t->memory.name = t->name;
    t->memory.err = err;
    t->memory.bytes_left = COMPILE_BYTES;
    t->memory.steps_left = RENDER_STEPS;
    if (setjmp(t->memory.on_failure)) {
        template_free(t);
        return -1;
    }
    size_t n_tokens;
    struct token *tokens = template_lex(&t->memory, t->source, n, &n_tokens);
    template_parse(t, tokens, n_tokens);
    t->memory.err = NULL;
    *out = t;
    return 0;
}

void template_free(struct template *t)
{
    if (!t)
        return;
    limits_release(&t->memory);
    free(t->name);
    free(t->source);
    free(t);
}

bool template_mentions(const struct template *t, const char *variable)
{
    return template_symbol(t, variable, strlen(variable)) != NULL;
}

void template_rendering_init(struct template_rendering *r)
{
    *r = (struct template_rendering){.text = BUF_INIT};
}

void template_rendering_release(struct template_rendering *r)
{
    buf_release(&r->text);
    free(r->spans);
    free(r->generations);
    template_rendering_init(r);
}

void template_rendering_clear(struct template_rendering *r)
{
    buf_clear(&r->text);
    r->n_spans = r->n_generations = 0;
    r->has_generation = r->raised = false;
}

/* Bytes of all strings and keys, and some for each value: what the limits grow with. */
static size_t json_size(const json_t *v)
{
    size_t n = 32, len;
    const char *key;
    json_t *item;
    if (json_is_string(v))
        n += json_string_length(v);
    for (size_t i = 0; i < json_array_size(v); i++)
        n += json_size(json_array_get(v, i));
    json_object_keylen_foreach((json_t *)(uintptr_t)v, key, len, item) n += len + json_size(item);
    return n;
}

/* Variables that the template never mentions are left out. */
static void bind_variables(struct render *r, const json_t *variables)
{
    const char *key;
    size_t len;
    json_t *item;
    scope_push(r);
    json_object_keylen_foreach((json_t *)(uintptr_t)variables, key, len, item)
    {
        const struct str *name = template_symbol(r->t, key, len);
        if (!name)
            continue;
        bool special = json_is_string(item) && len > 6 && !strcmp(key + len - 6, "_token");
        if (!strcmp(key, "messages"))
            scope_set(r, name, messages_from_json(&r->l, item));
        else
            scope_set(r, name,
                      value_from_json(&r->l, item, special ? 0 : ORIGIN(TEMPLATE_DATA, -1)));
    }
}

static void add_span(struct template_rendering *out, size_t start, size_t end, origin o)
{
    ARRAY_GROW(out->spans, out->n_spans, out->spans_cap);
    out->spans[out->n_spans++] =
        (struct template_span){start, end, ORIGIN_MESSAGE(o), ORIGIN_KIND(o)};
}

/* Consecutive runs that were written in the same block are one generation. */
static void add_generation(struct template_rendering *out, size_t start, size_t end, origin o,
                           uint32_t *last)
{
    uint32_t number = ORIGIN_GENERATION(o);
    if (number && number == *last) {
        out->generations[out->n_generations - 1].end = end;
    } else if (number) {
        ARRAY_GROW(out->generations, out->n_generations, out->generations_cap);
        out->generations[out->n_generations++] =
            (struct template_span){start, end, ORIGIN_MESSAGE(o), ORIGIN_KIND(o)};
    }
    *last = number;
}

static void hand_over(const struct str *s, struct template_rendering *out)
{
    struct run all = {s->len, s->origin};
    const struct run *runs = s->n_runs ? s->runs : &all;
    size_t n = s->n_runs ? s->n_runs : s->len != 0, start = 0;
    uint32_t generation = 0;
    buf_add(&out->text, s->p, s->len);
    for (size_t i = 0; i < n; i++) {
        origin o = runs[i].origin;
        struct template_span *last = out->n_spans ? &out->spans[out->n_spans - 1] : NULL;
        add_generation(out, start, runs[i].end, o, &generation);
        if (last && last->message == ORIGIN_MESSAGE(o) && last->origin == ORIGIN_KIND(o))
            last->end = runs[i].end;
        else if (start < runs[i].end || ORIGIN_KIND(o) != TEMPLATE_LITERAL)
            add_span(out, start, runs[i].end, o);
        start = runs[i].end;
    }
}

void template_set_strict(struct template *t)
{
    t->strict = true;
}

int template_render(const struct template *t, const json_t *variables,
                    struct template_rendering *out, struct err *err)
{
    struct render *r = xcalloc(1, sizeof *r);
    size_t size = json_size(variables);
    int rc = -1;
    template_rendering_clear(out);
    out->has_generation = t->has_generation;
    r->t = t;
    r->l.err = err;
    r->l.name = t->name;
    r->l.bytes_left = size < SIZE_MAX / 2 / RENDER_BYTES_EACH
                          ? RENDER_BYTES + RENDER_BYTES_EACH * size
                          : SIZE_MAX / 2;
    r->l.steps_left = RENDER_STEPS + RENDER_STEPS_EACH * (uint64_t)size;
    if (!setjmp(r->l.on_failure)) {
        struct builder b;
        builder_init(&b, &r->l);
        r->out = &b;
        bind_variables(r, variables);
        execute_body(r, t->body);
        hand_over(builder_str(&b), out);
        rc = 0;
    }
    out->raised = r->raised;
    limits_release(&r->l);
    free(r);
    return rc;
}
