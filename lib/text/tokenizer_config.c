/* The files beside tokenizer.json: which tokens begin and end a text, and the chat templates. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "text/json_field.h"
#include "text/tokenizer_parts.h"

#define FILE_LIMIT ((size_t)64 << 20)

/* Integers come as reals: model_max_length is often 10^30, more than an integer of Jansson holds.
 */
static json_t *read_config(const char *path, struct err *err)
{
    size_t len;
    json_error_t what;
    char *text = file_read(path, FILE_LIMIT, &len, err);
    if (!text)
        return NULL;
    json_t *value = json_loadb(text, len, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &what);
    free(text);
    if (!value)
        err_set(err, "%s: line %d, column %d: %s", path, what.line, what.column, what.text);
    return value;
}

/* The file's value; NULL with *missing where there's no such file, NULL with a message if it
 * can't be read. */
static json_t *read_optional(const char *folder, const char *name, bool *missing, struct err *err)
{
    struct buf path = BUF_INIT;
    buf_addf(&path, "%s/%s", folder, name);
    *missing = !file_exists(path.p);
    json_t *value = *missing ? NULL : read_config(path.p, err);
    buf_release(&path);
    return value;
}

/* A token given as "text" or as {"content": "text", ...}; -1 for none. */
static int64_t token_named(const struct tokenizer *t, const json_t *v)
{
    const json_t *content = json_is_object(v) ? json_object_get(v, "content") : v;
    if (!json_is_string(content))
        return -1;
    return tokenizer_id(t, json_string_value(content), json_string_length(content));
}

/* The id of a token that there is; else -1. */
static int64_t id_given(const struct tokenizer *t, const json_t *v)
{
    double id = json_is_number(v) ? json_number_value(v) : -1;
    if (!(id >= 0 && id <= VOCAB_MAX_ID) || id != (uint32_t)id)
        return -1;
    return tokenizer_token(t, (uint32_t)id, NULL) ? (int64_t)id : -1;
}

/* An id, or a list of them; the first is returned, all are added to `all`. */
static int64_t ids_given(const struct tokenizer *t, const json_t *v, struct id_list *all)
{
    int64_t first = -1;
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    for (size_t i = 0; i < n; i++) {
        int64_t id = id_given(t, json_is_array(v) ? json_array_get(v, i) : v);
        if (id < 0)
            continue;
        id_list_add(all, (uint32_t)id);
        first = first < 0 ? id : first;
    }
    return first;
}

static void take_templates(struct tokenizer *t, const json_t *v)
{
    const json_t *one;
    size_t i;
    if (json_is_string(v))
        tokenizer_add_template(t, "default", json_string_value(v), json_string_length(v));
    json_array_foreach(v, i, one)
    {
        const json_t *text = json_object_get(one, "template");
        const char *name = json_field_string(one, "name", NULL);
        if (name && json_is_string(text))
            tokenizer_add_template(t, name, json_string_value(text), json_string_length(text));
    }
}

static int template_from_file(struct tokenizer *t, const char *name, const char *path,
                              struct err *err)
{
    size_t len;
    char *text = file_read(path, FILE_LIMIT, &len, err);
    if (!text)
        return -1;
    tokenizer_add_template(t, name, text, len);
    free(text);
    return 0;
}

/* chat_template.jinja and additional_chat_templates/NAME.jinja, which win over
 * tokenizer_config.json. */
static int templates_from_files(struct tokenizer *t, const char *folder, struct err *err)
{
    struct buf path = BUF_INIT;
    int rc = 0;
    buf_addf(&path, "%s/chat_template.jinja", folder);
    if (file_exists(path.p))
        rc = template_from_file(t, "default", path.p, err);
    buf_clear(&path);
    buf_addf(&path, "%s/additional_chat_templates", folder);
    DIR *dir = rc ? NULL : opendir(path.p);
    if (!rc && !dir && errno != ENOENT)
        rc = err_errno(err, "%s", path.p);
    size_t base = path.len;
    for (struct dirent *entry; !rc && dir && (errno = 0, entry = readdir(dir));) {
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || strcmp(dot, ".jinja"))
            continue;
        path.len = base;
        buf_addf(&path, "/%s", entry->d_name);
        char *name = xmemdup0(entry->d_name, (size_t)(dot - entry->d_name));
        rc = template_from_file(t, name, path.p, err);
        free(name);
    }
    if (!rc && dir && errno)
        rc = err_errno(err, "%s/additional_chat_templates", folder);
    if (dir)
        closedir(dir);
    buf_release(&path);
    return rc;
}

/* tokenizer_config.json, or special_tokens_map.json where the former lacks a token. */
static int take_names(struct tokenizer *t, const char *folder, const char *file, bool stated[2],
                      struct err *err)
{
    bool missing;
    json_t *config = read_optional(folder, file, &missing, err);
    if (!config)
        return missing ? 0 : -1;
    const json_t *bos = json_object_get(config, "bos_token");
    const json_t *eos = json_object_get(config, "eos_token");
    if (bos && !stated[0]) {
        t->bos = token_named(t, bos);
        stated[0] = true;
    }
    if (eos && !stated[1]) {
        t->eos = token_named(t, eos);
        stated[1] = true;
    }
    take_templates(t, json_object_get(config, "chat_template"));
    json_decref(config);
    return 0;
}

/* generation_config.json and config.json: every id that ends generation. */
static int take_ids(struct tokenizer *t, const char *folder, const char *file, bool stated[2],
                    struct err *err)
{
    bool missing;
    struct id_list unused = {NULL, 0, 0};
    json_t *config = read_optional(folder, file, &missing, err);
    if (!config)
        return missing ? 0 : -1;
    int64_t eos = ids_given(t, json_object_get(config, "eos_token_id"), &t->end_ids);
    int64_t bos = ids_given(t, json_object_get(config, "bos_token_id"), &unused);
    if (!stated[1] && t->eos < 0)
        t->eos = eos;
    if (!stated[0] && t->bos < 0)
        t->bos = bos;
    free(unused.v);
    json_decref(config);
    return 0;
}

int tokenizer_load_config(struct tokenizer *t, const char *folder, struct err *err)
{
    bool stated[2] = {false, false}; /* bos, eos: also a stated null counts */
    if (templates_from_files(t, folder, err) ||
        take_names(t, folder, "tokenizer_config.json", stated, err) ||
        take_names(t, folder, "special_tokens_map.json", stated, err) ||
        take_ids(t, folder, "generation_config.json", stated, err) ||
        take_ids(t, folder, "config.json", stated, err))
        return -1;
    return 0;
}

/* ---- beside files that aren't tokenizer.json ---- */

static int add_decoder_token(struct tokenizer *t, const char *key, const json_t *spec,
                             struct err *err)
{
    const json_t *content = json_object_get(spec, "content");
    char *end;
    unsigned long id = strtoul(key, &end, 10);
    if (end == key || *end || id > VOCAB_MAX_ID || !json_is_string(content))
        return err_set(err, "added_tokens_decoder: \"%.50s\" is no token", key);
    struct added_token token = {
        .content = (char *)(uintptr_t)json_string_value(content),
        .len = json_string_length(content),
        .id = (uint32_t)id,
        .special = json_field_bool(spec, "special", false),
        .single_word = json_field_bool(spec, "single_word", false),
        .lstrip = json_field_bool(spec, "lstrip", false),
        .rstrip = json_field_bool(spec, "rstrip", false),
    };
    return tokenizer_add_token(t, token, err);
}

/* add_bos_token and add_eos_token, where they are said. */
static void take_end(struct id_list *list, const json_t *stated, int64_t id)
{
    if (!json_is_boolean(stated))
        return;
    list->n = 0;
    if (json_is_true(stated) && id >= 0)
        id_list_add(list, (uint32_t)id);
}

int tokenizer_load_added(struct tokenizer *t, const char *folder, struct err *err)
{
    bool missing;
    json_t *config = read_optional(folder, "tokenizer_config.json", &missing, err), *one;
    const char *key;
    int rc = 0;
    if (!config)
        return missing ? 0 : -1;
    json_object_foreach(json_object_get(config, "added_tokens_decoder"), key, one)
    {
        if (!rc)
            rc = add_decoder_token(t, key, one, err);
    }
    const json_t *bos = json_object_get(config, "bos_token");
    const json_t *eos = json_object_get(config, "eos_token");
    take_end(&t->before, json_object_get(config, "add_bos_token"),
             bos ? token_named(t, bos) : t->bos);
    take_end(&t->after, json_object_get(config, "add_eos_token"),
             eos ? token_named(t, eos) : t->eos);
    json_decref(config);
    return rc ? err_prefix(err, "%s/tokenizer_config.json", folder) : 0;
}
