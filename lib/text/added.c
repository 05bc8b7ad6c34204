#include "text/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

void added_init(struct added *a)
{
    memset(a, 0, sizeof *a);
}

void added_release(struct added *a)
{
    for (size_t i = 0; i < a->n; i++) {
        free(a->tokens[i].content);
        free(a->tokens[i].normal);
    }
    free(a->tokens);
    free(a->tries[0].nodes);
    free(a->tries[1].nodes);
    added_init(a);
}

void added_put(struct added *a, const struct added_token *token)
{
    struct added_token copy = *token;
    copy.content = xmemdup0(token->content, token->len);
    copy.normal = token->normal ? xmemdup0(token->normal, token->normal_len) : NULL;
    copy.hash = hash64(token->content, token->len, 0);
    bool newer = !a->n || token->id > a->highest; /* as in most files */
    a->highest = newer ? token->id : a->highest;
    for (size_t i = 0; i < a->n && !newer; i++) {
        if (a->tokens[i].id != token->id)
            continue;
        free(a->tokens[i].content);
        free(a->tokens[i].normal);
        a->tokens[i] = copy;
        return;
    }
    ARRAY_GROW(a->tokens, a->n, a->cap);
    a->tokens[a->n++] = copy;
}

static int by_id(const void *a, const void *b)
{
    const struct added_token *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static uint32_t new_node(struct added_trie *t, unsigned char byte, uint32_t sibling)
{
    ARRAY_GROW(t->nodes, t->n, t->cap);
    t->nodes[t->n] = (struct added_node){0, sibling, 0, byte};
    return (uint32_t)t->n++;
}

static uint32_t child(const struct added_trie *t, uint32_t node, unsigned char byte)
{
    uint32_t at = t->nodes[node].child;
    while (at && t->nodes[at].byte != byte)
        at = t->nodes[at].sibling;
    return at;
}

static void trie_add(struct added_trie *t, const char *p, size_t len, uint32_t token)
{
    uint32_t node = 0;
    if (!len)
        return;
    for (size_t i = 0; i < len; i++) {
        uint32_t next = child(t, node, (unsigned char)p[i]);
        if (!next) {
            next = new_node(t, (unsigned char)p[i], t->nodes[node].child);
            t->nodes[node].child = next;
        }
        node = next;
    }
    t->nodes[node].token = token + 1;
    t->first[(unsigned char)p[0]] = true;
}

void added_finish(struct added *a)
{
    if (a->n)
        qsort(a->tokens, a->n, sizeof *a->tokens, by_id);
    new_node(&a->tries[0], 0, 0);
    new_node(&a->tries[1], 0, 0);
    for (size_t i = 0; i < a->n; i++) {
        const struct added_token *token = &a->tokens[i];
        if (token->normalized && token->normal)
            trie_add(&a->tries[1], token->normal, token->normal_len, (uint32_t)i);
        else
            trie_add(&a->tries[token->normalized], token->content, token->len, (uint32_t)i);
    }
    for (size_t i = 0; i < 2; i++) {
        int n = 0;
        for (int byte = 0; byte < 256; byte++) {
            n += a->tries[i].first[byte];
            if (a->tries[i].first[byte])
                a->tries[i].only_first = byte;
        }
        if (n != 1)
            a->tries[i].only_first = -1;
    }
}

const struct added_token *added_by_id(const struct added *a, uint32_t id)
{
    struct added_token key = {.id = id};
    return a->n ? bsearch(&key, a->tokens, a->n, sizeof *a->tokens, by_id) : NULL;
}

const struct added_token *added_by_content(const struct added *a, const char *p, size_t len)
{
    uint64_t hash = hash64(p, len, 0);
    for (size_t i = 0; i < a->n; i++)
        if (a->tokens[i].hash == hash && a->tokens[i].len == len &&
            !memcmp(a->tokens[i].content, p, len))
            return &a->tokens[i];
    return NULL;
}

static uint32_t char_before(const struct text *t, size_t at, size_t *start)
{
    unsigned len;
    *start = utf8_before(t->p, at);
    return utf8_char((const unsigned char *)t->p + *start, &len);
}

static bool stands_alone(const struct text *t, size_t start, size_t end)
{
    unsigned len;
    size_t before;
    if (start && unicode_is_word(char_before(t, start, &before)))
        return false;
    return end == t->len || !unicode_is_word(utf8_char((const unsigned char *)t->p + end, &len));
}

static void strip(const struct added_rules *rules, const struct text *t, size_t pos,
                  struct added_match *m)
{
    size_t before;
    unsigned len;
    while (m->token->lstrip && m->start > pos &&
           unicode_class(rules->unicode, char_before(t, m->start, &before)) & UNICODE_SPACE)
        m->start = before;
    if (m->token->lstrip && m->start < pos)
        m->start = pos;
    while (m->token->rstrip && m->end < t->len &&
           unicode_class(rules->unicode, utf8_char((const unsigned char *)t->p + m->end, &len)) &
               UNICODE_SPACE)
        m->end += len;
}

/* Whether text that may hold no special token takes part in the match. */
static bool touches_plain(const struct added_rules *rules, const struct text *t, size_t start,
                          size_t end)
{
    size_t first = text_origin(t, start), last = text_origin(t, end - 1);
    size_t low = 0, high = rules->n_plain;
    while (low < high) { /* the first span that ends behind `first` */
        size_t middle = low + (high - low) / 2;
        if (rules->plain[middle].end <= first)
            low = middle + 1;
        else
            high = middle;
    }
    return low < rules->n_plain && rules->plain[low].start <= last;
}

static size_t find_first(const struct added_trie *trie, const struct text *t, size_t i)
{
    if (trie->only_first >= 0) {
        const char *found = memchr(t->p + i, trie->only_first, t->len - i);
        return found ? (size_t)(found - t->p) : t->len;
    }
    while (i < t->len && !trie->first[(unsigned char)t->p[i]])
        i++;
    return i;
}

/* The longest token that begins at `start`; 0 and nothing for none. */
static uint32_t longest_at(const struct added_trie *trie, const struct text *t, size_t start,
                           size_t *end)
{
    uint32_t found = 0, node = 0;
    for (size_t i = start; i < t->len && (node = child(trie, node, (unsigned char)t->p[i])); i++) {
        if (trie->nodes[node].token) {
            found = trie->nodes[node].token;
            *end = i + 1;
        }
    }
    return found;
}

bool added_next(const struct added *a, bool normalized, const struct added_rules *rules,
                const struct text *t, size_t pos, size_t *searched, struct added_match *m)
{
    const struct added_trie *trie = &a->tries[normalized];
    if (trie->n <= 1)
        return false;
    for (size_t i = find_first(trie, t, *searched); i < t->len;
         i = find_first(trie, t, *searched)) {
        size_t end = i + 1;
        uint32_t found = longest_at(trie, t, i, &end);
        *searched = end; /* also behind a match that doesn't count */
        if (!found)
            continue;
        *m = (struct added_match){&a->tokens[found - 1], i, end};
        if (m->token->special && (!rules->special || touches_plain(rules, t, i, end)))
            continue;
        if (m->token->single_word && !stands_alone(t, i, end))
            continue;
        strip(rules, t, pos, m);
        if (m->start < m->end)
            return true;
    }
    return false;
}
