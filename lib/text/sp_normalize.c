#include "text/sp_normalize.h"

#include <string.h>

#include "base/utf8.h"

static const char visible_space[] = "\xe2\x96\x81";

static bool begins_rule(const struct sp_rules *r, const char *p, size_t len)
{
    if (r->map.n_units && charsmap_begins(&r->map, p, len))
        return true;
    uint32_t node = TRIE_ROOT;
    size_t i = 0;
    while (r->users.n && i < len && (node = trie_step(&r->users, node, (unsigned char)p[i])))
        i++;
    return r->users.n && i == len;
}

void sp_rules_finish(struct sp_rules *r)
{
    for (int c = 0; c < 128; c++) {
        char pair[2] = {(char)c, 0};
        size_t used, len;
        r->plain[c] =
            c != ' ' && !(r->map.n_units && charsmap_find_longest(&r->map, pair, 1, &used, &len));
        for (int d = 1; d < 128 && r->plain[c]; d++) {
            pair[1] = (char)d;
            r->plain[c] = !begins_rule(r, pair, 2);
        }
    }
}

void sp_rules_release(struct sp_rules *r)
{
    charsmap_release(&r->map);
    trie_release(&r->users);
    memset(r, 0, sizeof *r);
}

/* The longest of the users' strings that p[len] begins with; 0 for none. */
static size_t match_user(const struct sp_rules *r, const char *p, size_t len)
{
    size_t found = 0;
    uint32_t node = TRIE_ROOT;
    for (size_t i = 0; i < len && (node = trie_step(&r->users, node, (unsigned char)p[i])); i++)
        if (r->users.nodes[node].value != TRIE_NONE)
            found = i + 1;
    return found;
}

/* What p[len] begins with becomes *to, *to_len; returns its length. */
static size_t next_part(const struct sp_rules *r, const char *p, size_t len, const char **to,
                        size_t *to_len)
{
    size_t used = r->users.n ? match_user(r, p, len) : 0;
    const char *found = NULL;
    if (!used && r->map.n_units)
        found = charsmap_find_longest(&r->map, p, len, &used, to_len);
    if (!found) {
        used = used ? used : utf8_length((unsigned char)*p);
        found = p;
        *to_len = used;
    }
    *to = found;
    return used;
}

static void add_space(const struct sp_rules *r, struct text_builder *out, uint32_t origin)
{
    if (r->escape)
        text_builder_add(out, visible_space, 3, origin);
    else
        text_builder_add(out, " ", 1, origin);
}

/* A part of the result; one that stands in the text itself keeps its characters' origins. */
static void add_part(const struct sp_rules *r, const struct text *in, size_t at, bool copied,
                     const char *p, size_t len, struct text_builder *out)
{
    for (size_t i = 0, n; i < len; i += n) {
        const char *space = memchr(p + i, ' ', len - i);
        n = space ? (size_t)(space - p) - i : len - i;
        if (copied)
            text_builder_copy(out, in, (size_t)(p - in->p) + i, (size_t)(p - in->p) + i + n);
        else
            text_builder_add(out, p + i, n, text_origin(in, at));
        if (space)
            add_space(r, out,
                      copied ? text_origin(in, (size_t)(space - in->p)) : text_origin(in, at));
        n += space != NULL;
    }
}

/* Where the text begins once spaces at its front are gone. */
static size_t skip_spaces(const struct sp_rules *r, const struct text *in)
{
    const char *to;
    size_t at = 0, len;
    while (r->remove_extra && at < in->len) {
        size_t used = next_part(r, in->p + at, in->len - at, &to, &len);
        if (len != 1 || *to != ' ')
            break;
        at += used;
    }
    return at;
}

/* The end of the run of plain characters at `at`, of which the last has an ASCII one behind it. */
static size_t plain_run(const struct sp_rules *r, const struct text *in, size_t at)
{
    const unsigned char *p = (const unsigned char *)in->p;
    while (at + 1 < in->len && p[at] < 0x80 && p[at + 1] < 0x80 && r->plain[p[at]])
        at++;
    return at;
}

static void trim_end(const struct sp_rules *r, struct text_builder *out, size_t start)
{
    size_t n = r->escape ? 3 : 1;
    while (out->text.len - start >= n &&
           !memcmp(out->text.p + out->text.len - n, r->escape ? visible_space : " ", n))
        out->text.len -= n;
    out->text.p[out->text.len] = 0;
}

void sp_normalize(const struct sp_rules *r, const struct text *in, struct text_builder *out)
{
    size_t at = skip_spaces(r, in), start = out->text.len;
    bool after_space = r->remove_extra;
    if (at == in->len)
        return;
    if (r->dummy_prefix && !r->dummy_suffix)
        add_space(r, out, text_origin(in, at));
    while (at < in->len) {
        const char *to;
        size_t len, plain = plain_run(r, in, at);
        if (plain > at) {
            text_builder_copy(out, in, at, plain);
            after_space = false;
            at = plain;
            continue;
        }
        size_t used = next_part(r, in->p + at, in->len - at, &to, &len);
        bool copied = to == in->p + at;
        while (after_space && len && *to == ' ') {
            to++;
            len--;
        }
        add_part(r, in, at, copied, to, len, out);
        if (len)
            after_space = r->remove_extra && to[len - 1] == ' ';
        at += used;
    }
    if (r->remove_extra)
        trim_end(r, out, start);
    if (r->dummy_prefix && r->dummy_suffix)
        add_space(r, out, text_origin(in, in->len - 1));
}
