/* chunks, blocks: parts are no longer than they may be, and nothing is lost between them. */
#include <string.h>

#include "tap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "text/blocks.h"
#include "text/chunks.h"
#include "text/encoding.h"
#include "text/markdown.h"

static void set(struct prose_text *t, const char *text)
{
    prose_text_clear(t);
    buf_addstr(&t->text, text);
    markdown_find_headings(t);
}

/* The parts, with a '|' between them. */
static void cuts(const char *name, const char *text, size_t length, const char *want)
{
    struct prose_text t;
    struct chunks chunks = {0};
    struct buf got = BUF_INIT;
    prose_text_init(&t);
    set(&t, text);
    chunks_find(&chunks, &t, length);
    for (size_t i = 0; i < chunks.n; i++) {
        if (i)
            buf_addch(&got, '|');
        buf_add(&got, t.text.p + chunks.items[i].start,
                chunks.items[i].end - chunks.items[i].start);
    }
    tap_is_str(name, got.p, want);
    buf_release(&got);
    chunks_release(&chunks);
    prose_text_release(&t);
}

static void test_cuts(void)
{
    cuts("short enough", "a\n\nb\n", 100, "a\n\nb");
    cuts("between paragraphs", "one\n\ntwo\n\nthree\n", 9, "one\n\ntwo|three");
    cuts("at the highest headings first", "# A\n\nx\n\n## B\n\ny\n\n# C\n\nz\n", 20,
         "# A\n\nx\n\n## B\n\ny|# C\n\nz");
    cuts("then at lower ones", "# A\n\nx\n\n## B\n\ny\n\n## C\n\nz\n\n# D\n", 14,
         "# A\n\nx|## B\n\ny|## C\n\nz|# D");
    cuts("neighbours that fit stay together", "# A\n\nx\n\n# B\n\ny\n\n# C\n\nz\n", 18,
         "# A\n\nx\n\n# B\n\ny|# C\n\nz");
    cuts("a heading stays with its text", "p\n\n## A\n\n### B\n\nlong enough\n\nq\n", 26,
         "p|## A\n\n### B\n\nlong enough|q");
    cuts("a heading right above its text", "# A\nx\n\ny\n", 6, "# A\nx|y");
    cuts("a paragraph at a sentence", "One is. Two is. Three is.", 16, "One is. Two is.|Three is.");
    cuts("at a word", "one two three four", 9, "one two|three|four");
    cuts("anywhere", "aaaaaaaaaa", 4, "aaaa|aaaa|aa");
    cuts("never in a character", "ääää", 3, "äää|ä");
    cuts("a table at a row", "| a |\n| b |\n| c |\n", 13,
         "| a |\n| b |"
         "|"
         "| c |");
    cuts("a listing stays whole", "```\na\n\nb\n```\n\nc\n", 14, "```\na\n\nb\n```|c");
    cuts("nothing", "\n \n", 5, "");
}

static void test_blocks(void)
{
    static const char text[] =
        "p\nq\n\n# H\nr\n- a\n\n  b\n\n1. c\n\n| t |\n| u |\n\n~~~\n\n~~\n~~~~\nz\n";
    static const enum block_type want[] = {BLOCK_PARAGRAPH, BLOCK_HEADING,  BLOCK_PARAGRAPH,
                                           BLOCK_LIST,      BLOCK_LIST,     BLOCK_TABLE,
                                           BLOCK_CODE,      BLOCK_PARAGRAPH};
    struct prose_text t;
    struct block_cursor cursor = {0};
    struct block b;
    size_t n = 0, wrong = 0;
    prose_text_init(&t);
    set(&t, text);
    while (block_next(&t, &cursor, &b)) {
        wrong += n >= ARRAY_SIZE(want) || b.type != want[n];
        n++;
    }
    tap_ok(n == ARRAY_SIZE(want) && !wrong, "blocks: %zu, %zu wrong", n, wrong);
    prose_text_release(&t);
}

static size_t characters(const char *p, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)p[i] & 0xc0) != 0x80;
    return n;
}

/* Random Markdown: all that isn't white space comes out, in order, in valid parts. */
static void test_any(void)
{
    static const char *const pieces[] = {"# ",   "## ", "a",     "ä",  "日", " ",     "\n",
                                         "\n\n", "- ",  "```\n", "| ", ". ", "word ", "---\n"};
    struct rng rng;
    struct prose_text t;
    struct chunks chunks = {0};
    size_t lost = 0, long_ones = 0, invalid = 0;
    prose_text_init(&t);
    rng_init(&rng, 7, 0);
    for (int round = 0; round < 3000; round++) {
        struct buf text = BUF_INIT;
        size_t n = rng_below(&rng, 60), length = 1 + rng_below(&rng, 30), at = 0;
        for (size_t i = 0; i < n; i++)
            buf_addstr(&text, pieces[rng_below(&rng, ARRAY_SIZE(pieces))]);
        set(&t, text.p);
        chunks_find(&chunks, &t, length);
        for (size_t i = 0; i < chunks.n; i++) {
            struct chunk c = chunks.items[i];
            for (; at < c.start; at++)
                lost += !strchr(" \n", t.text.p[at]);
            long_ones += characters(t.text.p + c.start, c.end - c.start) > length;
            invalid += c.start >= c.end || !utf8_is_valid(t.text.p + c.start, c.end - c.start);
            at = c.end;
        }
        for (; at < t.text.len; at++)
            lost += !strchr(" \n", t.text.p[at]);
        buf_release(&text);
    }
    tap_ok(!lost && !long_ones && !invalid, "any text: %zu lost, %zu too long, %zu invalid", lost,
           long_ones, invalid);
    chunks_release(&chunks);
    prose_text_release(&t);
}

int main(void)
{
    test_blocks();
    test_cuts();
    test_any();
    return tap_done();
}
