/* utf8: the fast way through valid text finds the same first wrong byte as a look at each
 * character. */
#include "tap.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"

static size_t plain_valid(const char *p, size_t len)
{
    size_t i = 0, part, n;
    while (i < len && (n = utf8_well_formed(p + i, len - i, &part)))
        i += n;
    return i;
}

/* Characters of each length, also the first and the last that have it, and those beside what is
 * none. */
static uint32_t random_char(struct rng *r)
{
    static const uint32_t edges[] = {0,      0x7f,   0x80,   0x7ff,   0x800,   0xfff,   0x1000,
                                     0xd7ff, 0xe000, 0xffff, 0x10000, 0x3ffff, 0x40000, 0x10ffff};
    uint64_t kind = rng_below(r, 6);
    if (kind == 0)
        return edges[rng_below(r, ARRAY_SIZE(edges))];
    if (kind <= 2)
        return (uint32_t)rng_below(r, 0x80);
    if (kind == 3)
        return 0x80 + (uint32_t)rng_below(r, 0x780);
    if (kind == 4)
        return 0x800 + (uint32_t)rng_below(r, 0xd000);
    return 0x10000 + (uint32_t)rng_below(r, 0x100000);
}

static size_t random_text(struct rng *r, char *p, size_t most)
{
    size_t len = 0;
    bool ascii = false;
    while (len + 4 <= most) {
        if (rng_below(r, 12) == 0)
            ascii = !ascii;
        len += utf8_put(ascii ? 'a' + (uint32_t)rng_below(r, 26) : random_char(r), p + len);
    }
    return len;
}

static void test_random(void)
{
    static const unsigned char wrong[] = {0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xe0, 0xed,
                                          0xef, 0xf0, 0xf4, 0xf5, 0xff, 0x20};
    struct rng r;
    size_t differ = 0, invalid = 0;
    char p[400];
    rng_init(&r, 1, 0);
    for (int i = 0; i < 20000; i++) {
        size_t len = random_text(&r, p, 4 + rng_below(&r, sizeof p - 4));
        if (i & 1 && len)
            len -= rng_below(&r, 3) % len; /* cut off inside a character */
        for (uint64_t n = rng_below(&r, 3); n && len; n--)
            p[rng_below(&r, len)] = (char)wrong[rng_below(&r, sizeof wrong)];
        size_t want = plain_valid(p, len);
        differ += utf8_valid(p, len) != want;
        invalid += want < len;
    }
    tap_ok(!differ, "random text: %zu of 20000 differ from the plain way", differ);
    tap_ok(invalid > 5000 && invalid < 18000, "of which %zu have something wrong", invalid);
}

/* Each pair of bytes at each place around the border of a block. */
static void test_pairs(void)
{
    size_t differ = 0;
    char p[100];
    for (unsigned pair = 0; pair < 65536; pair++) {
        for (size_t at = 29; at < 34; at++) {
            memset(p, 'x', sizeof p);
            p[at] = (char)(pair >> 8);
            p[at + 1] = (char)pair;
            p[at + 2] = p[at + 3] = (char)0x80;
            for (size_t tail = at + 2; tail <= at + 4; tail++) {
                differ += utf8_valid(p, sizeof p) != plain_valid(p, sizeof p);
                p[tail > at + 2 ? at + 2 : at + 3] = 'x';
            }
        }
    }
    tap_ok(!differ, "every two bytes at the border of a block: %zu differ", differ);
}

int main(void)
{
    test_random();
    test_pairs();
    return tap_done();
}
