#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/onig.h"
#include "text/unicode.h"

enum { JIT_STACK_START = 32 << 10, JIT_STACK_MOST = 16 << 20 };

struct regex {
    pcre2_code *code;
    char *pattern;
};

struct regex_scratch {
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static pcre2_code *compile(const char *pattern, size_t len, uint32_t options, struct err *err)
{
    int code;
    PCRE2_SIZE at;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern, len,
                                         PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | options,
                                         &code, &at, context);
    pcre2_compile_context_free(context);
    if (!compiled) {
        char message[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
        err_set(err, "%s", message);
    }
    return compiled;
}

/* Takes what was compiled, NULL on failure. */
static struct regex *finish(pcre2_code *compiled, const char *pattern, size_t len, struct err *err)
{
    if (!compiled) {
        err_prefix(err, "pattern \"%s\"", pattern);
        return NULL;
    }
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); /* slower, not wrong, where there is none */
    struct regex *re = xcalloc(1, sizeof *re);
    re->code = compiled;
    re->pattern = xmemdup0(pattern, len);
    return re;
}

struct regex *regex_new(const char *pattern, size_t len, struct err *err)
{
    struct buf translated = BUF_INIT;
    pcre2_code *compiled = NULL;
    if (!onig_to_pcre2(&translated, pattern, len, err))
        compiled = compile(translated.p, translated.len, PCRE2_MULTILINE, err);
    buf_release(&translated);
    return finish(compiled, pattern, len, err);
}

struct regex *regex_new_python(const char *pattern, size_t len, struct err *err)
{
    return finish(compile(pattern, len, 0, err), pattern, len, err);
}

void regex_free(struct regex *re)
{
    if (!re)
        return;
    pcre2_code_free(re->code);
    free(re->pattern);
    free(re);
}

struct regex_scratch *regex_scratch_new(void)
{
    struct regex_scratch *s = xcalloc(1, sizeof *s);
    s->match = pcre2_match_data_create(1 + REGEX_GROUPS, NULL);
    s->context = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MOST, NULL);
    pcre2_jit_stack_assign(s->context, NULL, s->stack);
    return s;
}

void regex_scratch_free(struct regex_scratch *s)
{
    if (!s)
        return;
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    free(s);
}

void regex_start(struct regex_cursor *c, const char *p, size_t len)
{
    *c = (struct regex_cursor){p, len, 0, 0, 0};
}

static int match(const struct regex *re, struct regex_scratch *s, const struct regex_cursor *c)
{
    int rc = pcre2_match(re->code, (PCRE2_SPTR)c->p, c->len, c->from, PCRE2_NO_UTF_CHECK, s->match,
                         s->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(re->code, (PCRE2_SPTR)c->p, c->len, c->from,
                         PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->match, s->context);
    return rc;
}

/* From `from` on, one character further; past the end at the end. */
static size_t step_over(const struct regex_cursor *c, size_t from)
{
    return from + (from < c->len ? utf8_length((unsigned char)c->p[from]) : 1);
}

int regex_next(const struct regex *re, struct regex_scratch *s, struct regex_cursor *c,
               size_t *start, size_t *end, struct err *err)
{
    while (c->from <= c->len) {
        int rc = match(re, s, c);
        if (rc == PCRE2_ERROR_NOMATCH)
            break;
        if (rc < 0) {
            char message[128];
            pcre2_get_error_message(rc, (PCRE2_UCHAR *)message, sizeof message);
            return err_set(err, "pattern \"%s\" on %zu bytes of text: %s", re->pattern, c->len,
                           message);
        }
        const PCRE2_SIZE *found = pcre2_get_ovector_pointer(s->match);
        *start = found[0];
        *end = found[1];
        c->from = *end > *start ? *end : step_over(c, *end);
        if (*start == *end && c->any && *end == c->last)
            continue;
        c->any = 1;
        c->last = *end;
        return 1;
    }
    c->from = c->len + 1;
    return 0;
}

size_t regex_groups(const struct regex *re)
{
    uint32_t n = 0;
    pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &n);
    return n < REGEX_GROUPS ? n : REGEX_GROUPS;
}

bool regex_group(const struct regex_scratch *s, size_t i, size_t *start, size_t *end)
{
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(s->match);
    *start = found[2 * i];
    *end = found[2 * i + 1];
    return *start != PCRE2_UNSET;
}
