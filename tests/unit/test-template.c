/*
 * Chat templates against what transformers rendered.
 *
 * Cases are JSON Lines: {"template": file or "source": text, "variables": {...}} or the fixtures'
 * {"template","messages","tools","add_generation_prompt","kwargs"}, with "rendered", or "error" and
 * "error_kind" ("raised": the message must agree). Add a line to tests/data/template/cases.jsonl
 * for whatever goes wrong.
 */
#include "tap.h"

#include <jansson.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "text/template.h"

struct cache {
    char *name;
    struct template *t;
};

static struct template *load(const char *folder, const char *file)
{
    static struct cache cache[64];
    static size_t n;
    char path[1024];
    struct err err;
    size_t len;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(cache[i].name, file))
            return cache[i].t;
    snprintf(path, sizeof path, "%s/templates/%s", folder, file);
    char *source = file_read(path, 1 << 20, &len, &err);
    struct template *t = NULL;
    if (!source || template_compile(&t, file, source, len, &err) < 0)
        printf("# %s\n", err.msg);
    free(source);
    if (n < ARRAY_SIZE(cache))
        cache[n++] = (struct cache){xstrdup(file), t};
    return t;
}

static json_t *shared_variables;

static json_t *case_variables(json_t *c)
{
    json_t *v = json_object_get(c, "variables");
    if (v)
        return json_incref(v);
    if (shared_variables && !json_object_get(c, "messages"))
        return json_incref(shared_variables);
    v = json_copy(json_object_get(c, "kwargs"));
    json_object_set(v, "messages", json_object_get(c, "messages"));
    if (json_object_get(c, "tools"))
        json_object_set(v, "tools", json_object_get(c, "tools"));
    json_object_set(v, "add_generation_prompt", json_object_get(c, "add_generation_prompt"));
    return v;
}

static bool generations_agree(const json_t *want, const struct template_rendering *r)
{
    if (!want)
        return true;
    if (json_array_size(want) != r->n_generations)
        return false;
    for (size_t i = 0; i < r->n_generations; i++) {
        json_t *pair = json_array_get(want, i);
        if ((size_t)json_integer_value(json_array_get(pair, 0)) != r->generations[i].start ||
            (size_t)json_integer_value(json_array_get(pair, 1)) != r->generations[i].end)
            return false;
    }
    return true;
}

/* The spans cover the text in order, and what they ascribe to a message's content is in it. */
static bool spans_agree(const json_t *variables, const struct template_rendering *r)
{
    size_t at = 0;
    json_t *messages = json_object_get(variables, "messages");
    for (size_t i = 0; i < r->n_spans; i++) {
        const struct template_span *s = &r->spans[i];
        if (s->start != at || s->end < s->start)
            return false;
        at = s->end;
        if (s->origin == TEMPLATE_LITERAL || s->message < 0)
            continue;
        if ((size_t)s->message >= json_array_size(messages))
            return false;
    }
    return at == r->text.len;
}

static void run_case(const char *folder, size_t line, json_t *c)
{
    struct template_rendering r;
    struct err err = {""};
    const char *file = json_string_value(json_object_get(c, "template"));
    const char *source = json_string_value(json_object_get(c, "source"));
    const char *want = json_string_value(json_object_get(c, "rendered"));
    const char *error = json_string_value(json_object_get(c, "error"));
    const char *kind = json_string_value(json_object_get(c, "error_kind"));
    error = error ? error : "";
    struct template *t = NULL;
    json_t *variables = case_variables(c);
    int rc = 0;
    template_rendering_init(&r);
    if (source)
        rc = template_compile(&t, "case", source, strlen(source), &err);
    else
        t = load(folder, file);
    if (t && rc == 0)
        rc = template_render(t, variables, &r, &err);
    char name[80];
    snprintf(name, sizeof name, "%s", file ? file : source ? source : "no template");
    for (char *p = name; *p; p++)
        if (*p == '\n' || *p == '\r' || *p == '#')
            *p = ' ';
    if (!t && !source) {
        tap_ok(false, "%zu %s: compiles", line, name);
    } else if (want) {
        bool same = rc == 0 && r.text.len == json_string_length(json_object_get(c, "rendered")) &&
                    !memcmp(r.text.p, want, r.text.len);
        if (!tap_ok(same, "%zu %s", line, name)) {
            char *w = json_dumps(json_object_get(c, "rendered"), JSON_ENCODE_ANY);
            json_t *g = json_stringn(r.text.p, r.text.len);
            char *got = g ? json_dumps(g, JSON_ENCODE_ANY) : NULL;
            printf("# want %s\n# got  %s\n", w, rc < 0 ? err.msg : got);
            free(w);
            free(got);
            json_decref(g);
        }
        if (!spans_agree(variables, &r))
            tap_ok(false, "%zu spans", line);
        if (!generations_agree(json_object_get(c, "assistant_spans_bytes"), &r))
            tap_ok(false, "%zu generation spans", line);
    } else {
        bool right = rc < 0;
        bool raised = kind && !strcmp(kind, "raised");
        if (raised)
            right = rc < 0 && r.raised && strstr(err.msg, error);
        if (kind && !strcmp(kind, "limit"))
            right = rc < 0 && strstr(err.msg, error);
        if (!tap_ok(right, "%zu %s fails", line, name))
            printf("# want %s\n# got  %s\n", error, rc < 0 ? err.msg : r.text.p);
    }
    template_rendering_release(&r);
    json_decref(variables);
    if (source)
        template_free(t);
}

static void run_file(const char *folder, const char *file)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *fp = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t len;
    if (!fp) {
        printf("# no %s\n", path);
        return;
    }
    while ((len = getline(&line, &cap, fp)) > 0) {
        json_error_t e;
        json_t *c = json_loadb(line, (size_t)len, JSON_ALLOW_NUL, &e);
        number++;
        if (!c)
            tap_ok(false, "%s:%zu: %s", file, number, e.text);
        else if (json_object_size(c) == 1 && json_object_get(c, "variables")) {
            json_decref(shared_variables);
            shared_variables = json_incref(json_object_get(c, "variables"));
        } else
            run_case(folder, number, c);
        json_decref(c);
    }
    free(line);
    fclose(fp);
}

int main(int argc, char **argv)
{
    const char *srcdir = getenv("SRCDIR");
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/tests/data/template", srcdir ? srcdir : ".");
    if (argc > 2) {
        run_file(argv[1], argv[2]);
    } else {
        run_file(folder, "cases.jsonl");
        run_file(folder, "language.jsonl");
        run_file(folder, "layout.jsonl");
        run_file(folder, "limits.jsonl");
    }
    json_decref(shared_variables);
    return tap_done();
}
