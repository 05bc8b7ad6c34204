#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/encoding.h"

enum { SAMPLE = 16 << 10 }; /* bytes of lines that aren't ASCII */

enum script { NO_LETTER, LATIN, GREEK, CYRILLIC, KANA, HAN, HANGUL, OTHER };

/* In the order in which they are preferred where the text says nothing. `usual`: letters that
 * running text in it is full of; NULL: all of the script. */
static const struct {
    const char *name;
    enum script script;
    const char *usual;
} candidates[] = {
    {"WINDOWS-1252", LATIN, "äöüßéèàçñáíóúâêîôûãõåøæëïìòùœ"},
    {"WINDOWS-1250", LATIN, "äöüßéáíóúýąćęłńśźżčďěňřšťůžőűăâîşţđëç"},
    {"WINDOWS-1251", CYRILLIC, "оеаинтсрвлкмдпуяы"},
    {"KOI8-R", CYRILLIC, "оеаинтсрвлкмдпуяы"},
    {"IBM866", CYRILLIC, "оеаинтсрвлкмдпуяы"},
    {"WINDOWS-1253", GREEK, "αοιετσνηυρπκμλςόάίέή"},
    {"CP932", KANA, NULL},
    {"EUC-JP", KANA, NULL},
    {"GB18030", HAN, "的一是不了在有人我他这中大来上国个到说们为子和你地出道也时年"},
    {"BIG5-HKSCS", HAN, "的一是不了在有人我他這中大來上國個到說們為子和你地出道也時年"},
    {"EUC-KR", HANGUL, NULL}, /* CP949 adds syllables that hardly occur */
    {"CP949", HANGUL, "이다는을를에의가은도한고지로서사기"},
    {"CP850", LATIN, "äöüßéèàçñáíóúâêîôûåøæ"},
    {"MACINTOSH", LATIN, "äöüßéèàçñáíóúâêîôûåøæ"},
};

/* Lines with other characters than ASCII. */
static void take_sample(struct buf *sample, const char *p, size_t len)
{
    size_t n;
    for (size_t at = 0; at < len && sample->len < SAMPLE; at += n) {
        const char *newline = memchr(p + at, '\n', len - at);
        n = newline ? (size_t)(newline - p) - at + 1 : len - at;
        size_t i = at;
        while (i < at + n && (unsigned char)p[i] < 0x80)
            i++;
        if (i < at + n)
            buf_add(sample, p + at, n < SAMPLE ? n : SAMPLE);
    }
}

/* False if p[len] isn't that encoding throughout; a character cut off at the end may be. */
static bool convert_strictly(struct buf *out, struct buf *in, const char *charset)
{
    iconv_t cd = iconv_open("UTF-8", charset);
    char *p = in->p;
    size_t left = in->len, status = 0;
    buf_clear(out);
    if (cd == (iconv_t)-1)
        return false;
    do {
        buf_reserve(out, 4 * left + 64);
        char *to = out->p + out->len;
        size_t room = out->cap - out->len - 1, before = room;
        status = iconv(cd, &p, &left, &to, &room);
        out->len += before - room;
        out->p[out->len] = 0;
    } while (status == (size_t)-1 && errno == E2BIG);
    bool good = status != (size_t)-1 || (errno == EINVAL && in->len >= SAMPLE);
    iconv_close(cd);
    return good;
}

static enum script script_of(utf8proc_int32_t c, utf8proc_category_t category)
{
    if (category < UTF8PROC_CATEGORY_LU || category > UTF8PROC_CATEGORY_LO)
        return NO_LETTER;
    if (c < 0x250)
        return c == 0xaa || c == 0xba ? NO_LETTER : LATIN;
    if (c >= 0x370 && c < 0x400)
        return GREEK;
    if (c >= 0x400 && c < 0x530)
        return CYRILLIC;
    if (c >= 0x3040 && c < 0x3100)
        return KANA;
    if (c >= 0x4e00 && c < 0xa000)
        return HAN;
    return c >= 0xac00 && c < 0xd7a4 ? HANGUL : OTHER;
}

static bool is_usual(size_t candidate, enum script script, const char *p, size_t n)
{
    const char *usual = candidates[candidate].usual;
    return usual ? memmem(usual, strlen(usual), p, n) != NULL
                 : script == candidates[candidate].script;
}

/* Scripts that stand in one word of a language. */
static bool go_together(enum script a, enum script b)
{
    return a == b || (a == KANA && b == HAN) || (a == HAN && b == KANA);
}

/* How odd the text would be if this were its encoding; below 0 if it looks like its language. */
static long oddness(const struct buf *text, size_t candidate)
{
    enum script own = candidates[candidate].script, before = NO_LETTER;
    bool lower_before = false, odd_before = false; /* a sign that isn't ASCII, behind a letter */
    int run = 0;                                   /* letters that aren't ASCII */
    long odd = 0;
    utf8proc_int32_t c;
    for (size_t i = 0; i < text->len;) {
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text->p + i,
                                              (utf8proc_ssize_t)(text->len - i), &c);
        if (n <= 0)
            return INT32_MAX;
        utf8proc_category_t category = utf8proc_category(c);
        enum script script = script_of(c, category);
        bool foreign = c >= 0x80, lower = category == UTF8PROC_CATEGORY_LL;
        if (foreign && (category == UTF8PROC_CATEGORY_CC || category >= UTF8PROC_CATEGORY_CO ||
                        category == UTF8PROC_CATEGORY_CN))
            odd += 8;
        if (script != NO_LETTER && before != NO_LETTER && !go_together(script, before))
            odd += 3;
        if (script != NO_LETTER && odd_before)
            odd += 3;
        if (foreign && category == UTF8PROC_CATEGORY_LU && lower_before)
            odd += 3;
        run = foreign && script == LATIN ? run + 1 : 0;
        odd += run > 2;
        if (foreign && script != NO_LETTER) {
            odd += !go_together(script, own);
            odd += own == LATIN && i > 0 && text->p[i - 1] >= '0' && text->p[i - 1] <= '9' ? 3 : 0;
            odd -= is_usual(candidate, script, text->p + i, (size_t)n);
        }
        /* An apostrophe, a hyphen, a dot may stand in a word. */
        bool joins = c == 0x2019 || c == 0xb7 || c == 0xad || c == 0x2013;
        odd_before = foreign && script == NO_LETTER && before != NO_LETTER && !joins;
        if (!(foreign && joins))
            before = script;
        lower_before = lower;
        i += (size_t)n;
    }
    return odd;
}

/* Whether it is UTF-8 but for a few bytes. */
static bool is_damaged_utf8(const char *p, size_t len)
{
    size_t good = 0, bad = 0, n;
    utf8proc_int32_t c;
    for (size_t i = 0; i < len; i += n) {
        n = 1;
        if ((unsigned char)p[i] < 0x80)
            continue;
        utf8proc_ssize_t got =
            utf8proc_iterate((const utf8proc_uint8_t *)p + i, (utf8proc_ssize_t)(len - i), &c);
        good += got > 0;
        bad += got <= 0;
        n = got > 0 ? (size_t)got : 1;
    }
    return good > 4 * bad;
}

const char *encoding_guess(const char *p, size_t len)
{
    struct buf sample = BUF_INIT, text = BUF_INIT;
    size_t best = 0;
    long least = INT32_MAX;
    if (is_damaged_utf8(p, len))
        return "UTF-8";
    take_sample(&sample, p, len);
    for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
        if (!convert_strictly(&text, &sample, candidates[i].name))
            continue;
        long odd = oddness(&text, i);
        if (odd < least) {
            least = odd;
            best = i;
        }
    }
    buf_release(&sample);
    buf_release(&text);
    return candidates[best].name;
}
