/*
 * Markdown that is cut into parts and stripped of what repeats. The first byte is the length of the
 * parts; lines of "%%" divide the rest into documents.
 */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "check_text.h"
#include "text/chunks.h"
#include "text/markdown.h"
#include "text/repeated.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_chunks(const struct prose_text *t, size_t length)
{
    struct chunks chunks = {0};
    size_t at = 0;
    chunks_find(&chunks, t, length);
    for (size_t i = 0; i < chunks.n; i++) {
        struct chunk c = chunks.items[i];
        size_t characters = 0;
        if (c.start < at || c.end <= c.start || c.end > t->text.len)
            abort();
        for (; at < c.start; at++)
            if (!strchr(" \t\n\v\f\r", t->text.p[at]))
                abort();
        for (size_t k = c.start; k < c.end; k++)
            characters += ((unsigned char)t->text.p[k] & 0xc0) != 0x80;
        if (characters > length || !utf8_is_valid(t->text.p + c.start, c.end - c.start))
            abort();
        at = c.end;
    }
    chunks_release(&chunks);
}

/* The next document; false at the end. */
static bool next_document(struct prose_text *t, const char **p, const char *end)
{
    if (*p >= end)
        return false;
    const char *stop = memmem(*p, (size_t)(end - *p), "%%\n", 3);
    prose_text_clear(t);
    encoding_decode(&t->text, *p, (size_t)((stop ? stop : end) - *p), NULL, NULL, NULL);
    encoding_unix_lines(&t->text);
    markdown_find_headings(t);
    *p = stop ? stop + 3 : end;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prose_text t;
    struct repeated *r = repeated_new();
    if (!size)
        return repeated_free(r), 0;
    const char *start = (const char *)data + 1, *end = (const char *)data + size, *p = start;
    prose_text_init(&t);
    while (next_document(&t, &p, end)) {
        check_chunks(&t, 1 + data[0]);
        repeated_count(r, &t);
    }
    repeated_decide(r, 0.3);
    for (p = start; next_document(&t, &p, end);) {
        size_t before = t.text.len, headings = t.n_headings;
        repeated_strip(r, &t);
        check_text(&t);
        if (t.text.len > before || t.n_headings != headings)
            abort();
    }
    prose_text_release(&t);
    repeated_free(r);
    return 0;
}
