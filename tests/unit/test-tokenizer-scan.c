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

int main(void)
{
    struct unicode u;
    unicode_init(&u);
    for (size_t i = 0; i < n_scanners; i++)
        check_scanner(&u, &scanners[i]);
    unicode_release(&u);
    return tap_done();
}
