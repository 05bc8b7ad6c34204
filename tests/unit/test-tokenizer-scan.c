/* Each hand-written scanner against its pattern run by PCRE2. */
#include "tap.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "text/regex.h"
#include "text/scan.h"

/* What patterns tell apart, in small alphabets so that all neighbourhoods come up. */
static const char *const bits[] = {
    " ",
    " ",
    "  ",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\xc2\xa0",
    "\xe3\x80\x80",
    "\xc2\x85",
    "'",
    "'s",
    "'S",
    "'\xc5\xbf",
    "'ll",
    "'RE",
    "'d",
    "a",
    "B",
    "xyz",
    "Ab",
    "\xc3\xa9",
    "\xc3\x89",
    "\xc7\x85",
    "\xca\xb0",
    "\xe4\xb8\xad",
    "\xe3\x81\x82",
    "\xe9\xbe\xa6",
    "\xd7\x90",
    "\xcc\x81",
    "\xe0\xa4\xbe",
    "\xe2\x83\x9d",
    "1",
    "22",
    "333",
    "4444",
    "\xd9\xa3",
    "\xe2\x85\xa7",
    "\xc2\xbd",
    "!",
    "?!",
    ".",
    "/",
    "//",
    "_",
    "<",
    "|",
    "\xe2\x82\xac",
    "\xe2\x80\x94",
    "\xf0\x9f\x91\xa9",
    "\xe2\x80\x8d",
    "\xe2\x96\x81",
    "\xe2\x96\x81\xe2\x96\x81",
    "\x01",
    "\xee\x80\x80",
    "\xe3\x83\xbb", /* KATAKANA MIDDLE DOT, punctuation amid DeepSeek's range */
    "\xe3\x82\x99", /* and a mark */
    "\xe3\x80\x87", /* a number beside it */
    "abcdefghijk",
    "ABCDEFGHIJ",
    "zZ@[`{aA",
};

static void random_text(struct rng *rng, struct buf *text)
{
    size_t n = 1 + rng_below(rng, 24), some = 2 + rng_below(rng, ARRAY_SIZE(bits) - 2);
    size_t first = rng_below(rng, ARRAY_SIZE(bits));
    buf_clear(text);
    for (size_t i = 0; i < n; i++) {
        buf_addstr(text, bits[(first + rng_below(rng, some)) % ARRAY_SIZE(bits)]);
        if (!rng_below(rng, 40))
            buf_addch(text, 0);
    }
}

/* The matches and the gaps between them, as the scanner gives them. */
static size_t cut_by_regex(const struct regex *re, struct regex_scratch *s, const struct buf *text,
                           struct piece *out)
{
    struct regex_cursor cursor;
    size_t n = 0, done = 0, start, end;
    struct err err;
    regex_start(&cursor, text->p, text->len);
    while (regex_next(re, s, &cursor, &start, &end, &err) > 0) {
        if (start > done)
            out[n++] = (struct piece){(uint32_t)done, (uint32_t)start};
        out[n++] = (struct piece){(uint32_t)start, (uint32_t)end};
        done = end;
    }
    if (done < text->len)
        out[n++] = (struct piece){(uint32_t)done, (uint32_t)text->len};
    return n;
}

static void check_scanner(const struct unicode *u, const struct scanner *scanner)
{
    enum { TEXTS = 20000, MOST = 512 };
    static struct piece want[MOST], got[MOST];
    struct rng rng;
    struct buf text = BUF_INIT;
    struct err err;
    struct regex *re = regex_new(scanner->pattern, strlen(scanner->pattern), &err);
    struct regex_scratch *s = regex_scratch_new();
    int wrong = 0;
    rng_init(&rng, 5, 0);
    for (int i = 0; re && i < TEXTS && !wrong; i++) {
        random_text(&rng, &text);
        size_t n = cut_by_regex(re, s, &text, want), m = 0, pos = 0;
        /* In steps of a few pieces, as a long text is cut. */
        while (pos < text.len)
            m += scanner->scan(u, text.p, &pos, text.len, got + m, 1 + rng_below(&rng, 5));
        wrong = n != m || memcmp(want, got, n * sizeof *want);
        if (wrong)
            printf("# cut differently: \"%s\"\n", text.p);
    }
    tap_ok(re && !wrong, "scanner %zu cuts as PCRE2 does", (size_t)(scanner - scanners));
    regex_scratch_free(s);
    regex_free(re);
    buf_release(&text);
}

static size_t scan_all(scan_function *scan, const struct unicode *u, const char *text,
                       struct piece part, size_t most, struct piece *out)
{
    size_t n = 0, pos = part.start;
    while (pos < part.end)
        n += scan(u, text, &pos, part.end, out + n, most);
    return n;
}

/* Three scanners in one against the three one after the other, with words so long that where a
 * section ends isn't known at once. */
static void check_in_one(const struct unicode *u)
{
    enum { TEXTS = 20000, MOST = 8192 };
    static const char *const patterns[] = {PATTERN_DIGITS, PATTERN_CJK, PATTERN_DEEPSEEK};
    static struct piece pieces[4][MOST];
    scan_function *steps[3];
    struct rng rng;
    struct buf text = BUF_INIT, part = BUF_INIT;
    int wrong = 0;
    for (size_t i = 0; i < 3; i++)
        steps[i] = scanner_find(patterns[i])->scan;
    rng_init(&rng, 8, 0);
    for (int i = 0; i < TEXTS && !wrong; i++) {
        size_t n[4] = {1, 0, 0, 0};
        buf_clear(&text);
        for (size_t j = 1 + rng_below(&rng, 4); j; j--) {
            random_text(&rng, &part);
            buf_add(&text, part.p, part.len);
            for (size_t k = rng_below(&rng, 8) ? rng_below(&rng, 12) : rng_below(&rng, 700); k; k--)
                buf_addch(&text, j % 2 ? 'x' : ' ');
        }
        pieces[0][0] = (struct piece){0, (uint32_t)text.len};
        for (size_t step = 0; step < 3; step++)
            for (size_t j = 0; j < n[step]; j++)
                n[step + 1] += scan_all(steps[step], u, text.p, pieces[step][j], 4,
                                        pieces[step + 1] + n[step + 1]);
        size_t got = scan_all(scan_in_one(steps), u, text.p, pieces[0][0], 1 + rng_below(&rng, 40),
                              pieces[0]);
        wrong = got != n[3] || memcmp(pieces[0], pieces[3], got * sizeof **pieces);
        if (wrong)
            printf("# cut differently: \"%s\"\n", text.p);
    }
    tap_ok(!wrong, "three scanners in one cut as one after the other");
    buf_release(&text);
    buf_release(&part);
}

int main(void)
{
    struct unicode u;
    unicode_init(&u);
    for (size_t i = 0; i < n_scanners; i++)
        check_scanner(&u, &scanners[i]);
    check_in_one(&u);
    unicode_release(&u);
    return tap_done();
}
