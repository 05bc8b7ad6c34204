#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_BLOCKS 1
#include <immintrin.h>
#endif

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

/*
 * 32 bytes at once, after Keiser and Lemire, "Validating UTF-8 in less than one instruction per
 * byte" (2021): what two neighbouring bytes can be wrong in shows in the upper half of the first,
 * in its lower half and in the upper half of the second; a table for each of the three has a bit
 * for each error, and an error is what all of them have. What remains is that a third and a fourth
 * byte stand where the lead two and three bytes before asks for them, and only there.
 */
#ifdef HAVE_BLOCKS
enum {
    TOO_SHORT = 1,       /* a lead without its second byte */
    TOO_LONG = 2,        /* a second byte without a lead */
    OVERLONG_3 = 4,      /* e0 80..9f */
    TOO_LARGE = 8,       /* f4 90..bf, f5..ff */
    SURROGATE = 16,      /* ed a0..bf */
    OVERLONG_2 = 32,     /* c0, c1 */
    TOO_LARGE_1000 = 64, /* f5..ff 80..8f */
    OVERLONG_4 = 64,     /* f0 80..8f */
    TWO_CONTINUED = 128, /* a second byte behind another: maybe a third */
    ANY_LOW = TOO_SHORT | TOO_LONG | TWO_CONTINUED,
    LARGE_LOW = ANY_LOW | TOO_LARGE | TOO_LARGE_1000,
    SECOND_80 = TOO_LONG | OVERLONG_2 | TWO_CONTINUED | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4,
    SECOND_90 = TOO_LONG | OVERLONG_2 | TWO_CONTINUED | OVERLONG_3 | TOO_LARGE,
    SECOND_A0 = TOO_LONG | OVERLONG_2 | TWO_CONTINUED | SURROGATE | TOO_LARGE,
};

static const uint8_t first_high[16] = {
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TWO_CONTINUED,
    TWO_CONTINUED,
    TWO_CONTINUED,
    TWO_CONTINUED,
    TOO_SHORT | OVERLONG_2,
    TOO_SHORT,
    TOO_SHORT | OVERLONG_3 | SURROGATE,
    TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4,
};
static const uint8_t first_low[16] = {
    ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4,
    ANY_LOW | OVERLONG_2,
    ANY_LOW,
    ANY_LOW,
    ANY_LOW | TOO_LARGE,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW,
    LARGE_LOW | SURROGATE,
    LARGE_LOW,
    LARGE_LOW,
};
static const uint8_t second_high[16] = {
    TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
    SECOND_80, SECOND_90, SECOND_A0, SECOND_A0, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
};

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i look_up(const uint8_t table[16], __m256i index)
{
    __m128i half = _mm_loadu_si128((const __m128i *)table);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(half), index);
}

AVX2 static inline __m256i high_half(__m256i v)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}

/* Not 0 where something is wrong in `now`, which follows `before`. */
AVX2 static inline __m256i block_errors(__m256i before, __m256i now)
{
    __m256i across = _mm256_permute2x128_si256(before, now, 0x21);
    __m256i back1 = _mm256_alignr_epi8(now, across, 15);
    __m256i back2 = _mm256_alignr_epi8(now, across, 14);
    __m256i back3 = _mm256_alignr_epi8(now, across, 13);
    __m256i low = _mm256_and_si256(back1, _mm256_set1_epi8(15));
    __m256i errors = _mm256_and_si256(
        _mm256_and_si256(look_up(first_high, high_half(back1)), look_up(first_low, low)),
        look_up(second_high, high_half(now)));
    /* The highest bit: behind a lead of three bytes or more, or of four, which a TWO_CONTINUED
     * there cancels out. */
    __m256i third = _mm256_subs_epu8(back2, _mm256_set1_epi8(0xe0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(back3, _mm256_set1_epi8(0xf0 - 0x80));
    __m256i due = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(errors, due);
}

/* Bytes of the whole blocks from the front on that are right so far: a character may go on behind
 * the last of them. */
AVX2 static size_t valid_blocks(const unsigned char *p, size_t len)
{
    __m256i before = _mm256_setzero_si256();
    bool open = false; /* the last three bytes aren't all ASCII */
    size_t i = 0;
    for (; len - i >= 32; i += 32) {
        __m256i now = _mm256_loadu_si256((const __m256i *)(p + i));
        unsigned high = (unsigned)_mm256_movemask_epi8(now);
        if (high | open) {
            __m256i errors = block_errors(before, now);
            if (!_mm256_testz_si256(errors, errors))
                break;
        }
        open = high >> 29;
        before = now;
    }
    return i;
}

/* Where to go on by single bytes: no more than a character before the end of the blocks. */
static size_t skip_blocks(const unsigned char *p, size_t len)
{
    if (len < 64 || !__builtin_cpu_supports("avx2"))
        return 0;
    size_t i = valid_blocks(p, len);
    for (size_t back = 1; back <= 3 && back <= i; back++)
        if (p[i - back] >= 0xc0)
            return i - back;
    return i;
}
#else
static size_t skip_blocks(const unsigned char *p, size_t len)
{
    (void)p;
    (void)len;
    return 0;
}
#endif

size_t utf8_valid(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t i = skip_blocks(p, len);
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
            size_t part, n;
            if (p[i] < 0x80) {
                i++;
            } else if (p[i] >= 0xc2 && p[i] < 0xe0 && i + 1 < len && (p[i + 1] & 0xc0) == 0x80) {
                i += 2;
            } else {
                if (!(n = utf8_well_formed(text + i, len - i, &part)))
                    return i;
                i += n;
            }
        }
    }
    return len;
}
