#include "text/unicode.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/unicode_versions.h"

static unsigned class_of_category(const char *category)
{
    switch (category[0]) {
    case 'L':
        if (category[1] == 'u' || category[1] == 't')
            return UNICODE_L | UNICODE_UPPER;
        return category[1] == 'l' ? UNICODE_L | UNICODE_LOWER
                                  : UNICODE_L | UNICODE_UPPER | UNICODE_LOWER;
    case 'M':
        return UNICODE_M | UNICODE_UPPER | UNICODE_LOWER;
    case 'N':
        return UNICODE_N;
    case 'P':
        return UNICODE_P;
    case 'S':
        return UNICODE_S;
    case 'Z':
        return UNICODE_SPACE;
    default:
        return 0;
    }
}

const char *unicode_category(uint32_t c)
{
    if (utf8proc_category((utf8proc_int32_t)c) != UTF8PROC_CATEGORY_CN)
        return utf8proc_category_string((utf8proc_int32_t)c);
    size_t from = unicode_addition_from(c);
    if (from < n_unicode_additions && unicode_additions[from].first <= c)
        return unicode_additions[from].category;
    return "Cn";
}

bool unicode_is_word(uint32_t c)
{
    const char *category = unicode_category(c);
    switch (category[0]) {
    case 'L':
    case 'M':
        return true;
    case 'N':
        return category[1] != 'o';
    case 'P':
        return category[1] == 'c';
    case 'S': /* the letters in circles and squares */
        return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
               (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
    default:
        return c == 0x200c || c == 0x200d;
    }
}

/* The class of each of utf8proc's categories, and the addition that the last c was before or in. */
struct classes {
    uint8_t of[UTF8PROC_CATEGORY_CO + 1];
    size_t next;
};

static unsigned class_of(uint32_t c, void *arg)
{
    struct classes *classes = arg;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    if ((c >= '\t' && c <= '\r') || c == 0x85)
        return UNICODE_SPACE;
    if (category != UTF8PROC_CATEGORY_CN)
        return classes->of[category];
    while (classes->next && unicode_additions[classes->next - 1].last >= c)
        classes->next--;
    while (classes->next < n_unicode_additions && unicode_additions[classes->next].last < c)
        classes->next++;
    if (classes->next == n_unicode_additions || unicode_additions[classes->next].first > c)
        return 0;
    return class_of_category(unicode_additions[classes->next].category);
}

static bool plane_is_empty(uint32_t block)
{
    uint32_t plane = block >> 8;
    return (plane >= 4 && plane <= 13) || plane >= 15;
}

/* Blocks in which one range of ideographs ends and, behind a gap, the next one begins. */
static bool block_has_gap(uint32_t block)
{
    return block == 0x2a6 || block == 0x2b7 || block == 0x2b8 || block == 0x2ce || block == 0x2eb ||
           block == 0x313;
}

bool unicode_block_is_uniform(uint32_t block)
{
    if (block_has_gap(block))
        return false;
    return (block >= 0x34 && block <= 0x9f) || (block >= 0xac && block <= 0xd6) ||
           (block >= 0xe0 && block <= 0xf8) || (block >= 0x200 && block < 0x2f8) ||
           (block >= 0x2fb && block <= 0x3ff) || (block >= 0xe02 && block <= 0xeff);
}

static void fill_block(uint8_t out[256], uint32_t block, unsigned (*value)(uint32_t, void *),
                       void *arg)
{
    if (unicode_block_is_uniform(block)) {
        unsigned first = value(block << 8, arg);
        if (first == value(block << 8 | 255, arg)) {
            memset(out, (int)first, 256);
            return;
        }
    }
    for (uint32_t i = 0; i < 256; i++)
        out[i] = (uint8_t)value(block << 8 | i, arg);
}

static size_t add_block(struct unicode *u, const uint8_t block[256])
{
    /* Neighbours are often alike (ideographs, Hangul), so looking at the last few is enough. */
    size_t first = u->n_blocks > 4 ? u->n_blocks - 4 : 0;
    for (size_t i = first; i < u->n_blocks; i++)
        if (!memcmp(u->blocks[i], block, 256))
            return i;
    ARRAY_GROW(u->blocks, u->n_blocks, u->cap);
    memcpy(u->blocks[u->n_blocks], block, 256);
    return u->n_blocks++;
}

void unicode_build(struct unicode *u, unsigned (*value)(uint32_t c, void *arg), void *arg)
{
    memset(u, 0, sizeof *u);
    for (uint32_t i = 0; i < ARRAY_SIZE(u->index); i++) {
        uint8_t block[256];
        if (plane_is_empty(i) && i & 255) {
            u->index[i] = u->index[i - 1];
            continue;
        }
        fill_block(block, i, value, arg);
        u->index[i] = (uint16_t)add_block(u, block);
    }
}

/* What utf8proc says never changes, and asking it of every character takes far longer than all else
 * that a small tokenizer needs: so it's asked once. */
static struct unicode shared;

static void make_shared(void)
{
    struct classes classes = {{0}, 0};
    for (uint32_t c = 0; c < 0x3000; c++) /* where each category has a character */
        classes.of[utf8proc_category((utf8proc_int32_t)c)] =
            (uint8_t)class_of_category(utf8proc_category_string((utf8proc_int32_t)c));
    unicode_build(&shared, class_of, &classes);
}

void unicode_init(struct unicode *u)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_shared);
    *u = shared;
    u->cap = 0; /* the blocks are not its own */
}

void unicode_release(struct unicode *u)
{
    if (u->cap)
        free(u->blocks);
    memset(u, 0, sizeof *u);
}
