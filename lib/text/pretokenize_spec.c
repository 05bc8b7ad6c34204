/* A pre-tokeniser from the pre_tokenizer of a tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/json_field.h"
#include "text/pretokenize_internal.h"

static const char *const behavior_names[] = {"Isolated",           "Removed",        "Contiguous",
                                             "MergedWithPrevious", "MergedWithNext", NULL};
static const char *const prepend_names[] = {"always", "first", "never", NULL};

static struct step *add_step(struct pretokenizer *p, enum step_kind kind, struct err *err)
{
    if (p->n_steps == MAX_STEPS) {
        err_set(err, "more than %d pre-tokenisers in a sequence", MAX_STEPS);
        return NULL;
    }
    struct step *step = &p->steps[p->n_steps++];
    memset(step, 0, sizeof *step);
    step->kind = kind;
    return step;
}

static int add_class(struct pretokenizer *p, unsigned classes, enum behavior behavior,
                     struct err *err)
{
    struct step *step = add_step(p, STEP_CLASS, err);
    if (!step)
        return -1;
    step->classes = classes;
    step->behavior = behavior;
    return 0;
}

static int add_punctuation(struct pretokenizer *p, enum behavior behavior, struct err *err)
{
    if (add_class(p, UNICODE_P, behavior, err))
        return -1;
    p->steps[p->n_steps - 1].punctuation = true;
    return 0;
}

static bool scanner_serves(const struct scanner *scanner, const struct step *step)
{
    if (!scanner)
        return false;
    if (step->behavior == ISOLATED)
        return true;
    return step->behavior == REMOVED && step->invert && !scanner->gaps;
}

static int add_regex(struct pretokenizer *p, const char *pattern, size_t len,
                     enum behavior behavior, bool invert, struct err *err)
{
    struct step *step = add_step(p, STEP_REGEX, err);
    if (!step)
        return -1;
    step->behavior = behavior;
    step->invert = invert;
    const struct scanner *scanner = strlen(pattern) == len ? scanner_find(pattern) : NULL;
    if (scanner_serves(scanner, step)) {
        step->kind = STEP_SCAN;
        step->scan = scanner->scan;
        return 0;
    }
    step->regex = regex_new(pattern, len, err);
    return step->regex ? 0 : -1;
}

static int parse_behavior(const json_t *spec, enum behavior fallback, enum behavior *out,
                          struct err *err)
{
    const char *name = json_field_string(spec, "behavior", NULL);
    *out = fallback;
    if (!name)
        return 0;
    for (size_t i = 0; behavior_names[i]; i++) {
        if (!strcmp(name, behavior_names[i])) {
            *out = (enum behavior)i;
            return 0;
        }
    }
    return err_set(err, "behavior \"%s\" is not known", name);
}

static int parse_split(struct pretokenizer *p, const json_t *spec, struct err *err)
{
    const json_t *pattern = json_object_get(spec, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *string = json_object_get(pattern, "String");
    bool invert = json_field_bool(spec, "invert", false);
    enum behavior behavior;
    if (parse_behavior(spec, ISOLATED, &behavior, err))
        return -1;
    if (json_is_string(regex))
        return add_regex(p, json_string_value(regex), json_string_length(regex), behavior, invert,
                         err);
    if (!json_is_string(string))
        return err_set(err, "pattern is neither Regex nor String");
    struct step *step = add_step(p, STEP_STRING, err);
    if (!step)
        return -1;
    step->behavior = behavior;
    step->invert = invert;
    step->string_len = json_string_length(string);
    step->string = xmemdup0(json_string_value(string), step->string_len);
    return 0;
}

static int parse_byte_level(struct pretokenizer *p, const json_t *spec, bool byte_model,
                            struct err *err)
{
    if (json_field_bool(spec, "add_prefix_space", true) && !add_step(p, STEP_PREFIX, err))
        return -1;
    if (json_field_bool(spec, "use_regex", true) &&
        add_regex(p, PATTERN_GPT2, strlen(PATTERN_GPT2), ISOLATED, false, err))
        return -1;
    return byte_model || add_step(p, STEP_BYTES, err) ? 0 : -1;
}

static int parse_metaspace(struct pretokenizer *p, const json_t *spec, struct err *err)
{
    const char *replacement = json_field_string(spec, "replacement", "\xe2\x96\x81");
    const char *scheme = json_field_string(spec, "prepend_scheme", "always");
    struct step *step = add_step(p, STEP_METASPACE, err);
    if (!step)
        return -1;
    step->string = xstrdup(replacement);
    step->string_len = strlen(replacement);
    size_t i = 0;
    while (prepend_names[i] && strcmp(prepend_names[i], scheme))
        i++;
    if (!prepend_names[i])
        return err_set(err, "prepend_scheme \"%s\" is not known", scheme);
    step->prepend =
        json_field_bool(spec, "add_prefix_space", true) ? (enum prepend)i : PREPEND_NEVER;
    if (!json_field_bool(spec, "split", true))
        return 0;
    struct step *split = add_step(p, STEP_STRING, err);
    if (!split)
        return -1;
    split->string = xstrdup(replacement);
    split->string_len = strlen(replacement);
    split->behavior = MERGED_WITH_NEXT;
    return 0;
}

static int parse(struct pretokenizer *p, const json_t *spec, bool byte_model, unsigned depth,
                 struct err *err);

static int parse_sequence(struct pretokenizer *p, const json_t *spec, bool byte_model,
                          unsigned depth, struct err *err)
{
    const json_t *list = json_object_get(spec, "pretokenizers"), *one;
    size_t i, n = json_array_size(list);
    json_array_foreach(list, i, one)
    {
        if (parse(p, one, byte_model && i + 1 == n, depth + 1, err))
            return -1;
    }
    return 0;
}

static int parse_type(struct pretokenizer *p, const char *type, const json_t *spec, bool byte_model,
                      struct err *err)
{
    enum behavior behavior;
    if (!strcmp(type, "ByteLevel"))
        return parse_byte_level(p, spec, byte_model, err);
    if (!strcmp(type, "Split"))
        return parse_split(p, spec, err);
    if (!strcmp(type, "Metaspace"))
        return parse_metaspace(p, spec, err);
    if (!strcmp(type, "Digits"))
        return add_class(p, UNICODE_N,
                         json_field_bool(spec, "individual_digits", false) ? ISOLATED : CONTIGUOUS,
                         err);
    if (!strcmp(type, "Punctuation"))
        return parse_behavior(spec, ISOLATED, &behavior, err) ? -1
                                                              : add_punctuation(p, behavior, err);
    if (!strcmp(type, "Whitespace"))
        return add_step(p, STEP_WORDS, err) ? 0 : -1;
    if (!strcmp(type, "WhitespaceSplit"))
        return add_class(p, UNICODE_SPACE, REMOVED, err);
    if (!strcmp(type, "BertPreTokenizer"))
        return add_class(p, UNICODE_SPACE, REMOVED, err) || add_punctuation(p, ISOLATED, err) ? -1
                                                                                              : 0;
    if (!strcmp(type, "CharDelimiterSplit")) {
        const char *delimiter = json_field_string(spec, "delimiter", NULL);
        struct step *step = delimiter ? add_step(p, STEP_STRING, err) : NULL;
        if (!step)
            return err_set(err, "no delimiter");
        step->string = xstrdup(delimiter);
        step->string_len = strlen(delimiter);
        step->behavior = REMOVED;
        return 0;
    }
    if (!strcmp(type, "FixedLength")) {
        json_int_t length = json_field_integer(spec, "length", 5);
        struct step *step = length > 0 ? add_step(p, STEP_LENGTH, err) : NULL;
        if (!step)
            return err_set(err, "length is not positive");
        step->length = (size_t)length;
        return 0;
    }
    return err_set(err, "not supported");
}

static int parse(struct pretokenizer *p, const json_t *spec, bool byte_model, unsigned depth,
                 struct err *err)
{
    if (!spec || json_is_null(spec))
        return 0;
    const char *type = json_field_string(spec, "type", NULL);
    if (!type || depth > 8)
        return err_set(err, type ? "nested too deeply" : "no type");
    if (!strcmp(type, "Sequence"))
        return parse_sequence(p, spec, byte_model, depth, err);
    if (parse_type(p, type, spec, byte_model, err))
        return err_prefix(err, "%s", type);
    return 0;
}

/* Steps that one scanner can do together. */
static void join_scanners(struct pretokenizer *p)
{
    enum { TOGETHER = 3 };
    for (size_t i = 0; i + TOGETHER <= p->n_steps; i++) {
        scan_function *scans[TOGETHER]; /* NULL of other steps */
        for (size_t j = 0; j < TOGETHER; j++)
            scans[j] = p->steps[i + j].scan;
        scan_function *one = scan_in_one(scans);
        if (!one)
            continue;
        p->steps[i].scan = one;
        p->n_steps -= TOGETHER - 1;
        memmove(&p->steps[i + 1], &p->steps[i + TOGETHER], (p->n_steps - i - 1) * sizeof *p->steps);
    }
}

int pretokenizer_new(struct pretokenizer **out, const json_t *spec, bool byte_model,
                     const struct unicode *u, struct err *err)
{
    struct pretokenizer *p = xcalloc(1, sizeof *p);
    p->unicode = u;
    if (parse(p, spec, byte_model, 0, err)) {
        pretokenizer_free(p);
        return err_prefix(err, "pre_tokenizer");
    }
    join_scanners(p);
    *out = p;
    return 0;
}

void pretokenizer_free(struct pretokenizer *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_steps; i++) {
        free(p->steps[i].string);
        regex_free(p->steps[i].regex);
    }
    free(p);
}

int pretokenizer_add_cuts(struct pretokenizer *p, const struct cuts *cuts, struct err *err)
{
    struct step *step = add_step(p, STEP_CUTS, err);
    if (!step)
        return -1;
    step->cuts = cuts;
    return 0;
}

bool pretokenizer_ends_in_bytes(const json_t *spec)
{
    const char *type = json_field_string(spec, "type", "");
    if (!strcmp(type, "Sequence")) {
        const json_t *list = json_object_get(spec, "pretokenizers");
        size_t n = json_array_size(list);
        return n && pretokenizer_ends_in_bytes(json_array_get(list, n - 1));
    }
    return !strcmp(type, "ByteLevel");
}
