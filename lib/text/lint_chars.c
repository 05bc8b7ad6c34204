#include "text/lint_chars.h"

#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"

/* What Windows-1252 has at 0x80 to 0x9f; 0 for the five bytes without a meaning, which decoders
 * pass on as they are. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};

/* The byte that such a decoder made the character from; 0: none. */
static unsigned byte_of(uint32_t c)
{
    if (c >= 0x80 && c <= 0xff)
        return c;
    for (unsigned i = 0; i < ARRAY_SIZE(windows_1252); i++)
        if (windows_1252[i] == c)
            return 0x80 + i;
    return 0;
}

/*
 * UTF-8 that was read as Latin-1 or Windows-1252: p begins a run of characters whose bytes are one
 * well-formed sequence. Two-byte sequences count by their commonest first bytes only, those of
 * Western letters, since the others (capital letters before a mark: "É»") are found in good text.
 * Returns the run's bytes in the text, 0 if it is none.
 */
static size_t mojibake_at(const char *p, size_t left)
{
    char bytes[4];
    size_t n = 0, used = 0, need = 0, part;
    while (used < left && n < sizeof bytes) {
        unsigned len, byte;
        uint32_t c = utf8_char((const unsigned char *)p + used, &len);
        if (c < 0x80 || !(byte = byte_of(c)))
            break;
        if (!n) {
            need = byte == 0xc2 || byte == 0xc3   ? 2
                   : byte >= 0xe0 && byte <= 0xef ? 3
                   : byte >= 0xf0 && byte <= 0xf4 ? 4
                                                  : 0;
            if (!need)
                return 0;
        }
        bytes[n++] = (char)byte;
        used += len;
        if (n == need)
            return utf8_well_formed(bytes, n, &part) == need ? used : 0;
    }
    return 0;
}

struct seen {
    size_t mojibake, replaced, first_mojibake, mojibake_len;
    size_t control, bidi, invisible, private_use;
    uint32_t first_control, first_bidi, first_invisible, first_private;
};

static void see(size_t *n, uint32_t *first, uint32_t c)
{
    if (!(*n)++)
        *first = c;
}

static void look(struct seen *s, uint32_t c)
{
    if (c == 0xfffd)
        s->replaced++;
    else if (c == '\n' || c == '\t' || c == '\r')
        return;
    else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
        see(&s->control, &s->first_control, c);
    else if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
        see(&s->bidi, &s->first_bidi, c);
    else if (c == 0x200b || c == 0x2060 || c == 0xfeff || c == 0xad || c == 0x2028 || c == 0x2029 ||
             (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f))
        see(&s->invisible, &s->first_invisible, c);
    else if ((c >= 0xe000 && c <= 0xf8ff) || c >= 0xf0000 || (c & 0xfffe) == 0xfffe)
        see(&s->private_use, &s->first_private, c);
}

static void report_control(struct lint_findings *f, const char *where, const struct seen *s)
{
    const struct {
        size_t n;
        uint32_t first;
        const char *what;
    } kinds[] = {
        {s->control, s->first_control, "control"},
        {s->bidi, s->first_bidi, "text direction"},
        {s->invisible, s->first_invisible, "invisible"},
        {s->private_use, s->first_private, "private use"},
    };
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (kinds[i].n)
            buf_addf(&b, "%s%zu %s character%s (U+%04X)", b.len ? ", " : "", kinds[i].n,
                     kinds[i].what, kinds[i].n == 1 ? "" : "s", (unsigned)kinds[i].first);
    if (b.len)
        lint_found(f, LINT_CONTROL, where, "%s", b.p);
    buf_release(&b);
}

static void report_mojibake(struct lint_findings *f, const char *where, const struct seen *s,
                            const char *p)
{
    if (s->mojibake)
        lint_found(f, LINT_MOJIBAKE, where,
                   "UTF-8 that was read as Latin-1 or Windows-1252, %zu time%s (\"%.*s\")",
                   s->mojibake, s->mojibake == 1 ? "" : "s", (int)s->mojibake_len,
                   p + s->first_mojibake);
    else if (s->replaced)
        lint_found(f, LINT_MOJIBAKE, where,
                   "%zu replacement character%s U+FFFD: what was there is lost", s->replaced,
                   s->replaced == 1 ? "" : "s");
}

void lint_chars(struct lint_findings *f, const char *where, const char *p, size_t len)
{
    struct seen s = {0};
    for (size_t i = 0; i < len;) {
        unsigned char first = (unsigned char)p[i];
        unsigned n = 1;
        size_t run = 0;
        if (first >= 0x20 && first < 0x7f) {
            i++;
            continue;
        }
        if (first == 0xc3) /* U+00C0 to U+00FF, which a sequence begins with */
            run = mojibake_at(p + i, len - i);
        if (run) {
            if (!s.mojibake++) {
                s.first_mojibake = i;
                s.mojibake_len = run;
            }
            i += run;
            continue;
        }
        look(&s, utf8_char((const unsigned char *)p + i, &n));
        i += n;
    }
    report_mojibake(f, where, &s, p);
    report_control(f, where, &s);
}
