#include "text/chat_args.h"

#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "formats/json.h"

/* The '=' of NAME=VALUE with a name before it; NULL if there is none. */
static const char *find_equals(const char *spec)
{
    const char *equals = strchr(spec, '=');
    return equals == spec ? NULL : equals;
}

static void free_fields(struct document_fields *f)
{
    for (size_t i = 0; i < f->n; i++)
        free((char *)(uintptr_t)f->items[i].field);
    free((struct document_field *)(uintptr_t)f->items);
    *f = (struct document_fields){NULL, 0};
}

/* FIELD=KEY, n times: the keys are views of specs. */
static int parse_fields(struct document_fields *f, const char *const *specs, size_t n,
                        struct err *err)
{
    struct document_field *items = xcalloc(n, sizeof *items);
    *f = (struct document_fields){items, 0};
    for (size_t i = 0; i < n; i++) {
        const char *equals = find_equals(specs[i]);
        if (!equals || !equals[1]) {
            free_fields(f);
            return err_set(err, "'%s' is not FIELD=KEY", specs[i]);
        }
        items[f->n++] = (struct document_field){
            xmemdup0(specs[i], (size_t)(equals - specs[i])),
            equals + 1,
        };
    }
    return 0;
}

/* NAME=JSON, n times, as one object; a value that is no JSON is a string. NULL on failure. */
static json_t *parse_variables(const char *const *specs, size_t n, struct err *err)
{
    json_t *out = json_object();
    struct err ignored;
    for (size_t i = 0; i < n; i++) {
        const char *equals = find_equals(specs[i]);
        if (!equals) {
            err_set(err, "'%s' is not NAME=JSON", specs[i]);
            json_decref(out);
            return NULL;
        }
        json_t *value = json_parse(equals + 1, strlen(equals + 1), &ignored);
        if (!value)
            value = json_string(equals + 1);
        if (json_object_setn_new(out, specs[i], (size_t)(equals - specs[i]), value)) {
            err_set(err, "'%s' is not UTF-8", specs[i]);
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

int chat_args_parse(struct chat_args *a, struct err *err)
{
    if (parse_fields(&a->parsed_fields, a->fields.items, a->fields.n, err))
        return err_prefix(err, "--field");
    a->parsed_variables = parse_variables(a->variables.items, a->variables.n, err);
    return a->parsed_variables ? 0 : err_prefix(err, "--set");
}

void chat_args_release(struct chat_args *a)
{
    free_fields(&a->parsed_fields);
    json_decref(a->parsed_variables);
    a->parsed_variables = NULL;
}

int chat_args_chat(struct chat **c, const struct chat_args *a, const struct tokenizer *t,
                   struct chat_options o, struct err *err)
{
    enum { TEMPLATE_LIMIT = 4 << 20 };
    char *source = NULL;
    if (a->template && !(source = file_read(a->template, TEMPLATE_LIMIT, &o.template_len, err)))
        return -1;
    o.train_on = (enum chat_train)a->train_on;
    o.style = (enum chat_style)a->style;
    o.template_text = source;
    o.template_name = a->template;
    o.variables = a->parsed_variables;
    int status = chat_new(c, t, &o, err);
    free(source);
    return status;
}
