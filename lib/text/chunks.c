#include "text/chunks.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/blocks.h"

/* Blocks that aren't parted: headings with what follows them, or a single one. */
struct unit {
    size_t start, end;
    size_t before; /* characters of the text in front of it */
    size_t until;  /* and up to its end */
    int strength;  /* of the break before it: 6 before a heading of level 1, 0 before no heading */
};

struct cutter {
    const struct prose_text *t;
    size_t length;
    struct unit *units;
    size_t n, cap;
    struct chunks *chunks;
};

static void add_chunk(struct cutter *c, size_t start, size_t end)
{
    const char *p = c->t->text.p;
    while (end > start && (p[end - 1] == '\n' || p[end - 1] == ' '))
        end--;
    while (start < end && p[start] == '\n')
        start++;
    if (start == end)
        return;
    ARRAY_GROW(c->chunks->items, c->chunks->n, c->chunks->cap);
    c->chunks->items[c->chunks->n++] = (struct chunk){start, end};
}

static void find_units(struct cutter *c)
{
    const struct prose_text *t = c->t;
    struct block_cursor cursor = {0};
    struct block block;
    bool open = false; /* the last unit has only headings so far */
    size_t before = 0, until = 0, at = 0;
    while (block_next(t, &cursor, &block)) {
        before = until + utf8_count(t->text.p + at, block.start - at);
        until = before + utf8_count(t->text.p + block.start, block.end - block.start);
        at = block.end;
        bool heading = block.type == BLOCK_HEADING;
        if (open) {
            c->units[c->n - 1].end = block.end;
            c->units[c->n - 1].until = until;
        } else {
            ARRAY_GROW(c->units, c->n, c->cap);
            c->units[c->n++] =
                (struct unit){block.start, block.end, before, until, heading ? 7 - block.level : 0};
        }
        open = heading;
    }
}

/* Whether a sentence ends in front of p[at]. */
static bool ends_sentence(const char *p, size_t at)
{
    static const char *const wide[] = {"\xe3\x80\x82", "\xef\xbc\x81", "\xef\xbc\x9f"};
    if (at >= 3)
        for (size_t i = 0; i < ARRAY_SIZE(wide); i++)
            if (!memcmp(p + at - 3, wide[i], 3))
                return true;
    return at >= 2 && p[at - 1] == ' ' && strchr(".!?:;", p[at - 2]) != NULL;
}

/* How much of p[len], at most `length` characters, makes a part: to the last line or the last
 * sentence of its second half, or else to the last word. */
static size_t cut(const char *p, size_t len, size_t length)
{
    size_t most = 0, line = 0, sentence = 0, word = 0;
    for (size_t n = 0; most < len; most++) {
        n += ((unsigned char)p[most] & 0xc0) != 0x80;
        if (n > length)
            break;
    }
    if (most == len)
        return len;
    for (size_t i = 1; i <= most; i++) {
        if (((unsigned char)p[i] & 0xc0) == 0x80)
            continue;
        if (p[i - 1] == '\n')
            line = i;
        if (ends_sentence(p, i))
            sentence = i;
        if (p[i - 1] == ' ')
            word = i;
    }
    return line > most / 2       ? line
           : sentence > most / 2 ? sentence
           : line                ? line
           : word                ? word
                                 : most;
}

static void cut_unit(struct cutter *c, const struct unit *unit)
{
    for (size_t at = unit->start, n; at < unit->end; at += n) {
        n = cut(c->t->text.p + at, unit->end - at, c->length);
        add_chunk(c, at, at + n);
    }
}

static size_t characters_of(const struct cutter *c, size_t from, size_t to)
{
    return c->units[to - 1].until - c->units[from].before;
}

static void cut_units(struct cutter *c, size_t from, size_t to)
{
    int strongest = 0;
    if (characters_of(c, from, to) <= c->length) {
        add_chunk(c, c->units[from].start, c->units[to - 1].end);
        return;
    }
    if (to - from == 1) {
        cut_unit(c, &c->units[from]);
        return;
    }
    for (size_t i = from + 1; i < to; i++)
        if (c->units[i].strength > strongest)
            strongest = c->units[i].strength;
    for (size_t start = from, end; start < to; start = end) {
        /* As many pieces as fit, but at least one. */
        end = start;
        do {
            size_t next = end + 1;
            while (next < to && c->units[next].strength < strongest)
                next++;
            if (end > start && characters_of(c, start, next) > c->length)
                break;
            end = next;
        } while (end < to);
        cut_units(c, start, end);
    }
}

void chunks_find(struct chunks *chunks, const struct prose_text *t, size_t length)
{
    struct cutter c = {.t = t, .length = length, .chunks = chunks};
    chunks->n = 0;
    find_units(&c);
    if (c.n)
        cut_units(&c, 0, c.n);
    free(c.units);
}

void chunks_release(struct chunks *chunks)
{
    free(chunks->items);
    *chunks = (struct chunks){0};
}
