#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"

static unsigned class_of_category(utf8proc_category_t category)
{
    switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
        return UNICODE_L | UNICODE_UPPER;
    case UTF8PROC_CATEGORY_LL:
        return UNICODE_L | UNICODE_LOWER;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return UNICODE_L | UNICODE_UPPER | UNICODE_LOWER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return UNICODE_M | UNICODE_UPPER | UNICODE_LOWER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return UNICODE_N;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return UNICODE_P;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
        return UNICODE_S;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return UNICODE_SPACE;
    default:
        return 0;
    }
}

static unsigned class_of(uint32_t c, const void *arg)
{
    (void)arg;
    if ((c >= '\t' && c <= '\r') || c == 0x85)
        return UNICODE_SPACE;
    return class_of_category(utf8proc_category((utf8proc_int32_t)c));
}

static bool plane_is_empty(uint32_t block)
{
    uint32_t plane = block >> 8;
    return (plane >= 4 && plane <= 13) || plane >= 15;
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

void unicode_build(struct unicode *u, unsigned (*value)(uint32_t c, const void *arg),
                   const void *arg)
{
    memset(u, 0, sizeof *u);
    for (uint32_t i = 0; i < ARRAY_SIZE(u->index); i++) {
        uint8_t block[256];
        if (plane_is_empty(i) && i & 255) {
            u->index[i] = u->index[i - 1];
            continue;
        }
        for (uint32_t j = 0; j < 256; j++)
            block[j] = (uint8_t)value(i << 8 | j, arg);
        u->index[i] = (uint16_t)add_block(u, block);
    }
}

void unicode_init(struct unicode *u)
{
    unicode_build(u, class_of, NULL);
}

void unicode_release(struct unicode *u)
{
    free(u->blocks);
    memset(u, 0, sizeof *u);
}

unsigned utf8_put(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

size_t utf8_well_formed(const char *text, size_t left, size_t *part)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xbf;
    size_t n;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
        if (p[0] == 0xe0)
            low = 0xa0;
        else if (p[0] == 0xed)
            high = 0x9f;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        if (p[0] == 0xf0)
            low = 0x90;
        else if (p[0] == 0xf4)
            high = 0x8f;
    } else {
        *part = 1;
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if (i >= left || p[i] < low || p[i] > high) {
            *part = i;
            return 0;
        }
        low = 0x80;
        high = 0xbf;
    }
    return n;
}

size_t utf8_valid(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t i = 0;
    while (i < len) {
        uint64_t eight[2];
        while (len - i >= sizeof eight) {
            memcpy(eight, p + i, sizeof eight);
            if ((eight[0] | eight[1]) & 0x8080808080808080u)
                break;
            i += sizeof eight;
        }
        size_t stop = len - i < sizeof eight ? len : i + sizeof eight;
        while (i < stop) {
            size_t part, n = utf8_well_formed(text + i, len - i, &part);
            if (!n)
                return i;
            i += n;
        }
    }
    return len;
}
