/* Global functions: range, namespace, dict, raise_exception, strftime_now ... */
#include "text/template_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

enum { MAX_RANGE = 100000 }; /* as Jinja's sandbox */

static struct value global_range(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    int64_t start = 0, stop = want_int(r, a[0], "range() argument"),
            step = int_or(r, a[2], 1, "step");
    (void)rest;
    if (a[1].type != V_MISSING) {
        start = stop;
        stop = want_int(r, a[1], "range() argument");
    }
    if (step == 0)
        template_fail(&r->l, "range() arg 3 must not be zero");
    struct value out = value_list(&r->l, LIST_RANGE);
    for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
        if (out.list->n == MAX_RANGE)
            template_fail(&r->l, "range too big, more than %d", MAX_RANGE);
        list_add(&r->l, out.list, value_int(i));
        if (__builtin_add_overflow(i, step, &i))
            break;
    }
    return out;
}

/* dict(mapping or pairs, name=value ...) */
static struct value make_dict(struct render *r, const struct arguments *args)
{
    struct value out = value_dict(&r->l);
    if (args->n > 1)
        template_fail(&r->l, "dict expected at most 1 argument, got %zu", args->n);
    if (args->n && args->items[0].type == V_DICT) {
        const struct dict *d = args->items[0].dict;
        for (size_t i = 0; i < d->n; i++)
            dict_set(&r->l, out.dict, d->keys[i], d->values[i]);
    } else if (args->n) {
        const struct list *items = value_items(&r->l, args->items[0]);
        for (size_t i = 0; i < items->n; i++) {
            const struct list *pair = value_items(&r->l, items->items[i]);
            if (pair->n != 2)
                template_fail(&r->l, "dict: element %zu is no pair", i);
            dict_set(&r->l, out.dict, pair->items[0], pair->items[1]);
        }
    }
    for (size_t i = 0; i < args->n_keywords; i++)
        dict_set(&r->l, out.dict, value_str(args->keywords[i].name), args->keywords[i].value);
    return out;
}

static struct value global_dict(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    (void)a;
    return make_dict(r, rest);
}

static struct value global_namespace(struct render *r, const struct value *a,
                                     const struct arguments *rest)
{
    (void)a;
    struct value out = make_dict(r, rest);
    for (size_t i = 0; i < out.dict->n; i++)
        if (out.dict->keys[i].type == V_STRING && out.dict->keys[i].s->len &&
            out.dict->keys[i].s->p[0] == '_')
            template_fail(&r->l, "a namespace's attribute may not begin with an underscore");
    out.type = V_NAMESPACE;
    return out;
}

static struct value global_raise(struct render *r, const struct value *a,
                                 const struct arguments *rest)
{
    (void)rest;
    const struct str *message = value_to_str(&r->l, a[0]);
    r->raised = true;
    template_fail(&r->l, "%.*s", (int)(message->len < 400 ? message->len : 400), message->p);
}

/* The present day, or the one that SOURCE_DATE_EPOCH names, so that a build can be repeated. */
static struct value global_strftime_now(struct render *r, const struct value *a,
                                        const struct arguments *rest)
{
    const struct str *format = want_str(r, a[0], "strftime_now() argument");
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm tm;
    char f[256], out[1024];
    (void)rest;
    if (format->len >= sizeof f || memchr(format->p, 0, format->len))
        template_fail(&r->l, "strftime_now: the format is too long");
    memcpy(f, format->p, format->len);
    f[format->len] = 0;
    if (!(epoch ? gmtime_r(&now, &tm) : localtime_r(&now, &tm)))
        template_fail(&r->l, "strftime_now: the time is out of range");
    size_t n = strftime(out, sizeof out, f, &tm);
    return value_str(str_copy(&r->l, out, n, 0));
}

static struct value cycler_next(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    struct list *list = a[0].list; /* items, and how far it is behind them */
    struct value *at = &list->items[list->n - 1];
    (void)r, (void)rest;
    struct value v = list->items[at->i];
    at->i = (at->i + 1) % (int64_t)(list->n - 1);
    return v;
}

static const struct builtin cycler_method = {"next", "self", cycler_next};

/* {% set c = cycler('a', 'b') %}{{ c.next() }}: an object whose `next` hands out the items in turn.
 */
static struct value global_cycler(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    struct value list = value_list(&r->l, LIST_LIST), out = value_dict(&r->l);
    (void)a;
    if (!rest->n)
        template_fail(&r->l, "at least one item has to be provided");
    for (size_t i = 0; i < rest->n; i++)
        list_add(&r->l, list.list, rest->items[i]);
    list_add(&r->l, list.list, value_int(0));
    struct function *next = arena_alloc(&r->l, 1, sizeof *next);
    next->builtin = &cycler_method;
    next->self = list;
    dict_set(&r->l, out.dict, value_str(str_z(&r->l, "next")),
             (struct value){.type = V_FUNCTION, .function = next});
    out.type = V_NAMESPACE;
    return out;
}

static struct value joiner_call(struct render *r, const struct value *a,
                                const struct arguments *rest)
{
    struct list *state = a[0].list; /* the separator, and whether it was called before */
    struct value v = state->items[1].b ? state->items[0] : value_str(str_z(&r->l, ""));
    (void)rest;
    state->items[1].b = true;
    return v;
}

static const struct builtin joiner_function = {"joiner", "self", joiner_call};

static struct value global_joiner(struct render *r, const struct value *a,
                                  const struct arguments *rest)
{
    struct value state = value_list(&r->l, LIST_LIST);
    (void)rest;
    list_add(&r->l, state.list, value_str(str_or(r, a[0], ", ", "separator")));
    list_add(&r->l, state.list, value_bool(false));
    struct function *f = arena_alloc(&r->l, 1, sizeof *f);
    f->builtin = &joiner_function;
    f->self = state;
    return (struct value){.type = V_FUNCTION, .function = f};
}

static const struct builtin globals[] = {
    {"range", "start ? stop step", global_range},
    {"dict", "*", global_dict},
    {"namespace", "*", global_namespace},
    {"raise_exception", "message", global_raise},
    {"strftime_now", "format", global_strftime_now},
    {"cycler", "*", global_cycler},
    {"joiner", "? sep", global_joiner},
};

const struct builtin *global_find(const struct str *name)
{
    return builtin_search(globals, ARRAY_SIZE(globals), name);
}
