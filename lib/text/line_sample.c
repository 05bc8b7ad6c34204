#include "text/line_sample.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

void line_sample_init(struct line_sample *s, size_t most, uint64_t seed)
{
    *s = (struct line_sample){.most = most, .seed = seed};
}

void line_sample_release(struct line_sample *s)
{
    for (size_t i = 0; i < s->n; i++)
        buf_release(&s->lines[i].line);
    free(s->lines);
    line_sample_init(s, s->most, s->seed);
}

static bool is_after(const struct sampled_line *a, const struct sampled_line *b)
{
    return a->key != b->key ? a->key > b->key : a->index > b->index;
}

static void swap(struct sampled_line *a, struct sampled_line *b)
{
    struct sampled_line c = *a;
    *a = *b;
    *b = c;
}

static void sift_down(struct sampled_line *heap, size_t n)
{
    for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_after(&heap[child + 1], &heap[child]))
            child++;
        if (!is_after(&heap[child], &heap[i]))
            break;
        swap(&heap[child], &heap[i]);
    }
}

static void sift_up(struct sampled_line *heap, size_t i)
{
    for (; i && is_after(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&heap[i], &heap[(i - 1) / 2]);
}

void line_sample_add(struct line_sample *s, const struct buf *text)
{
    struct sampled_line line = {hash64(text->p, text->len, s->seed), s->seen++, BUF_INIT};
    bool full = s->n == s->most;
    if (full && !is_after(&s->lines[0], &line))
        return;
    if (!full)
        ARRAY_GROW(s->lines, s->n, s->cap);
    size_t i = full ? 0 : s->n++;
    if (full)
        buf_release(&s->lines[0].line);
    s->lines[i] = line;
    buf_add(&s->lines[i].line, text->p, text->len);
    if (full)
        sift_down(s->lines, s->n);
    else
        sift_up(s->lines, i);
}

static int by_index(const void *a, const void *b)
{
    const struct sampled_line *x = a, *y = b;
    return x->index < y->index ? -1 : x->index > y->index;
}

void line_sample_sort(struct line_sample *s)
{
    if (s->n)
        qsort(s->lines, s->n, sizeof *s->lines, by_index);
}
