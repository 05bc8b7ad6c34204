#include "text/cuts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"

#define CUTS_BITS ((size_t)1 << 20)

void cuts_init(struct cuts *c)
{
    memset(c, 0, sizeof *c);
    c->others = xcalloc(CUTS_BITS / 64, sizeof *c->others);
}

void cuts_release(struct cuts *c)
{
    if (!c->borrowed)
        free(c->others);
    memset(c, 0, sizeof *c);
}

void cuts_put(const struct cuts *c, struct image_writer *w)
{
    image_put(w, "cuts.ascii", c->ascii, 1, sizeof c->ascii);
    image_put(w, "cuts.others", c->others, CUTS_BITS / 64, sizeof *c->others);
}

bool cuts_restore(struct cuts *c, const struct image *image)
{
    size_t n_ascii = 0, n_others = 0;
    const void *ascii = image_array(image, "cuts.ascii", sizeof c->ascii, &n_ascii);
    const void *others = image_array(image, "cuts.others", sizeof *c->others, &n_others);
    memset(c, 0, sizeof *c);
    if (!ascii || n_ascii != 1 || !others || n_others != CUTS_BITS / 64)
        return false;
    memcpy(c->ascii, ascii, sizeof c->ascii);
    c->others = (void *)(uintptr_t)others; /* never written through */
    c->borrowed = true;
    return true;
}

static inline size_t hash_pair(uint32_t x, uint32_t y)
{
    uint64_t h = ((uint64_t)x << 21 | y) * 0x9e3779b97f4a7c15u;
    return (size_t)(h >> 44) & (CUTS_BITS - 1);
}

static inline bool may_cut(const struct cuts *c, uint32_t x, uint32_t y)
{
    if (x < 0x80 && y < 0x80)
        return !(c->ascii[x][y >> 6] >> (y & 63) & 1);
    size_t bit = hash_pair(x, y);
    return !(c->others[bit >> 6] >> (bit & 63) & 1);
}

static void forbid(struct cuts *c, uint32_t x, uint32_t y)
{
    size_t bit = hash_pair(x, y);
    if (x < 0x80 && y < 0x80)
        c->ascii[x][y >> 6] |= (uint64_t)1 << (y & 63);
    else
        c->others[bit >> 6] |= (uint64_t)1 << (bit & 63);
}

void cuts_forbid(struct cuts *c, const char *token, size_t len)
{
    unsigned n;
    uint32_t last = 0;
    for (size_t i = 0; i < len; i += n) {
        uint32_t next = utf8_char((const unsigned char *)token + i, &n);
        if (i)
            forbid(c, last, next);
        last = next;
    }
}

size_t cuts_scan(const struct cuts *c, const char *text, size_t *pos, size_t end, struct piece *out,
                 size_t max)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = 0, start = *pos;
    unsigned len;
    uint32_t last = start < end ? utf8_char(p + start, &len) : 0;
    while (n < max && start < end) {
        size_t at = start + len;
        while (at < end) {
            uint32_t next = utf8_char(p + at, &len);
            bool cut = may_cut(c, last, next);
            last = next;
            if (cut)
                break;
            at += len;
        }
        out[n++] = (struct piece){(uint32_t)start, (uint32_t)at};
        start = at;
    }
    *pos = start;
    return n;
}
