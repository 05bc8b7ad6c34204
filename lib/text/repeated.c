#include "text/repeated.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "text/blocks.h"

/* A paragraph or line, by its hash; 0: the slot is free. */
struct slot {
    uint64_t hash;
    uint32_t documents, last; /* last: the number of the last document that has it */
    uint32_t text;            /* from 1, once it has been taken out */
};

struct repeated {
    struct slot *slots;
    size_t n, cap;
    uint32_t n_documents;
    uint32_t least;
    struct repeated_text *texts;
    size_t n_texts, texts_cap;
    struct buf key;
};

enum seed { PARAGRAPH, LINE };

struct repeated *repeated_new(void)
{
    struct repeated *r = xcalloc(1, sizeof *r);
    buf_init(&r->key);
    return r;
}

void repeated_free(struct repeated *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_texts; i++)
        buf_release(&r->texts[i].text);
    free(r->texts);
    free(r->slots);
    buf_release(&r->key);
    free(r);
}

uint64_t repeated_documents(const struct repeated *r)
{
    return r->n_documents;
}

/* With its white space collapsed; 0 for what has no letter. */
static uint64_t hash_of(struct repeated *r, const char *p, size_t len, enum seed seed)
{
    struct buf *key = &r->key;
    bool letter = false;
    char before = ' ';
    buf_clear(key);
    for (size_t i = 0; i < len; i++) {
        char c = p[i];
        if (c == ' ' || (c >= '\t' && c <= '\r'))
            c = ' ';
        else
            letter |= (c & 0x80) != 0 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (c != ' ' || before != ' ')
            buf_addch(key, c);
        before = c;
    }
    if (key->len && key->p[key->len - 1] == ' ')
        key->len--;
    return letter ? hash64(key->p, key->len, seed) | 1 : 0;
}

static struct slot *find(const struct repeated *r, uint64_t hash)
{
    size_t i = hash >> 1 & (r->cap - 1);
    while (r->slots[i].hash && r->slots[i].hash != hash)
        i = (i + 1) & (r->cap - 1);
    return &r->slots[i];
}

static void grow(struct repeated *r)
{
    struct repeated bigger = {.cap = r->cap ? 2 * r->cap : 1024};
    bigger.slots = xcalloc(bigger.cap, sizeof *bigger.slots);
    for (size_t i = 0; i < r->cap; i++)
        if (r->slots[i].hash)
            *find(&bigger, r->slots[i].hash) = r->slots[i];
    free(r->slots);
    r->slots = bigger.slots;
    r->cap = bigger.cap;
}

static void count(struct repeated *r, const char *p, size_t len, enum seed seed)
{
    uint64_t hash = hash_of(r, p, len, seed);
    if (!hash)
        return;
    if (r->n >= r->cap / 2)
        grow(r);
    struct slot *slot = find(r, hash);
    if (!slot->hash) {
        r->n++;
        slot->hash = hash;
    }
    slot->documents += slot->last != r->n_documents;
    slot->last = r->n_documents;
}

/* Whether it is to be taken out; NULL: no. */
static struct slot *doomed(struct repeated *r, const char *p, size_t len, enum seed seed)
{
    uint64_t hash = r->cap ? hash_of(r, p, len, seed) : 0;
    struct slot *slot = hash ? find(r, hash) : NULL;
    return slot && slot->hash && slot->documents >= r->least ? slot : NULL;
}

/* The first line of text[start, end). */
static size_t first_line(const char *p, size_t start, size_t end)
{
    const char *newline = memchr(p + start, '\n', end - start);
    return newline ? (size_t)(newline - p) : end;
}

static size_t last_line(const char *p, size_t start, size_t end)
{
    const char *newline = memrchr(p + start, '\n', end - start);
    return newline ? (size_t)(newline - p) + 1 : start;
}

static void count_lines(struct repeated *r, const char *p, const struct block *block)
{
    for (size_t at = block->start, end; at < block->end; at = end + 1) {
        end = first_line(p, at, block->end);
        count(r, p + at, end - at, LINE);
    }
}

void repeated_count(struct repeated *r, const struct prose_text *t)
{
    struct block_cursor cursor = {0};
    struct block block, first = {0}, last = {0};
    bool any = false;
    if (r->n_documents == UINT32_MAX)
        return;
    r->n_documents++;
    while (block_next(t, &cursor, &block)) {
        if (block.type == BLOCK_PARAGRAPH)
            count(r, t->text.p + block.start, block.end - block.start, PARAGRAPH);
        if (!any)
            first = block;
        last = block;
        any = true;
    }
    if (any && first.type == BLOCK_PARAGRAPH)
        count_lines(r, t->text.p, &first);
    if (any && last.type == BLOCK_PARAGRAPH && last.start != first.start)
        count_lines(r, t->text.p, &last);
}

void repeated_decide(struct repeated *r, double share)
{
    double least = ceil(share * r->n_documents);
    r->least = least < REPEATED_LEAST ? REPEATED_LEAST : (uint32_t)least;
}

static void note(struct repeated *r, struct slot *slot, const char *p, size_t len)
{
    if (!slot->text) {
        ARRAY_GROW(r->texts, r->n_texts, r->texts_cap);
        r->texts[r->n_texts] = (struct repeated_text){.text = BUF_INIT};
        buf_add(&r->texts[r->n_texts].text, p, len);
        r->texts[r->n_texts].documents = slot->documents;
        slot->text = (uint32_t)++r->n_texts;
    }
    r->texts[slot->text - 1].times++;
    r->texts[slot->text - 1].bytes += len;
}

/* Shortens the first or the last block of a document by its outer lines. */
static void strip_lines(struct repeated *r, const char *p, struct block *block, bool first)
{
    while (block->start < block->end) {
        size_t from = first ? block->start : last_line(p, block->start, block->end);
        size_t to = first ? first_line(p, block->start, block->end) : block->end;
        struct slot *slot = doomed(r, p + from, to - from, LINE);
        if (!slot)
            break;
        note(r, slot, p + from, to - from);
        if (first)
            block->start = to < block->end ? to + 1 : to;
        else
            block->end = from > block->start ? from - 1 : from;
    }
}

/* Adds a block to what is kept, so many newlines behind the one before. `h`: it is a heading. */
static void keep(struct prose_text *out, const struct prose_text *t, const struct block *block,
                 const struct prose_heading *h, size_t gap)
{
    if (out->text.len)
        for (size_t i = 0; i < gap; i++)
            buf_addch(&out->text, '\n');
    size_t at = out->text.len;
    buf_add(&out->text, t->text.p + block->start, block->end - block->start);
    if (h)
        prose_text_add_heading(out, (struct prose_heading){at, h->title - block->start + at,
                                                           h->title_end - block->start + at,
                                                           out->text.len, h->level});
}

void repeated_strip(struct repeated *r, struct prose_text *t)
{
    struct prose_text out;
    struct block_cursor cursor = {0}, ahead;
    struct block block, next;
    const char *p = t->text.p;
    size_t before = 0;
    bool first = true, changed = false;
    prose_text_init(&out);
    while (block_next(t, &cursor, &block)) {
        struct block whole = block;
        struct slot *slot = block.type == BLOCK_PARAGRAPH
                                ? doomed(r, p + block.start, block.end - block.start, PARAGRAPH)
                                : NULL;
        ahead = cursor;
        bool last = !block_next(t, &ahead, &next);
        if (slot) {
            note(r, slot, p + block.start, block.end - block.start);
            block.end = block.start;
        } else if (block.type == BLOCK_PARAGRAPH && (first || last)) {
            if (first)
                strip_lines(r, p, &block, true);
            if (last)
                strip_lines(r, p, &block, false);
        }
        changed |= block.start != whole.start || block.end != whole.end;
        /* A heading with its text right below has one newline between them, else it is two. */
        size_t newlines = 0;
        for (size_t i = before; i < whole.start; i++)
            newlines += p[i] == '\n';
        if (block.end > block.start)
            keep(&out, t, &block, whole.type == BLOCK_HEADING ? &t->headings[cursor.heading] : NULL,
                 newlines == 1  ? 1
                 : newlines > 2 ? newlines
                                : 2);
        before = whole.end;
        first = false;
    }
    if (changed && out.text.len)
        buf_addch(&out.text, '\n');
    if (changed) {
        prose_text_release(t);
        *t = out;
    } else {
        prose_text_release(&out);
    }
}

static int more_frequent(const void *pa, const void *pb)
{
    const struct repeated_text *a = pa, *b = pb;
    if (a->documents != b->documents)
        return a->documents > b->documents ? -1 : 1;
    size_t n = a->text.len < b->text.len ? a->text.len : b->text.len;
    int order = memcmp(a->text.p, b->text.p, n);
    return order ? order : a->text.len < b->text.len ? -1 : a->text.len > b->text.len;
}

const struct repeated_text *repeated_texts(struct repeated *r, size_t *n)
{
    if (r->n_texts)
        qsort(r->texts, r->n_texts, sizeof *r->texts, more_frequent);
    *n = r->n_texts;
    return r->texts;
}
