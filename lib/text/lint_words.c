#include "text/lint_words.h"

#include <utf8proc.h>

#include "base/mem.h"

enum { IN_WORD = 64, ALONE = 128, SCRIPT_BITS = 63 };

/* Blocks of the Unicode standard, in order. */
static const struct {
    uint32_t first, last;
    enum script script;
} ranges[] = {
    {'A', 'Z', SCRIPT_LATIN},          {'a', 'z', SCRIPT_LATIN},
    {0xaa, 0xaa, SCRIPT_LATIN},        {0xba, 0xba, SCRIPT_LATIN},
    {0xc0, 0x24f, SCRIPT_LATIN},       {0x370, 0x3ff, SCRIPT_GREEK},
    {0x400, 0x52f, SCRIPT_CYRILLIC},   {0x530, 0x58f, SCRIPT_ARMENIAN},
    {0x590, 0x5ff, SCRIPT_HEBREW},     {0x600, 0x6ff, SCRIPT_ARABIC},
    {0x750, 0x77f, SCRIPT_ARABIC},     {0x8a0, 0x8ff, SCRIPT_ARABIC},
    {0x900, 0x97f, SCRIPT_DEVANAGARI}, {0x980, 0x9ff, SCRIPT_BENGALI},
    {0xa00, 0xa7f, SCRIPT_GURMUKHI},   {0xa80, 0xaff, SCRIPT_GUJARATI},
    {0xb80, 0xbff, SCRIPT_TAMIL},      {0xc00, 0xc7f, SCRIPT_TELUGU},
    {0xc80, 0xcff, SCRIPT_KANNADA},    {0xd00, 0xd7f, SCRIPT_MALAYALAM},
    {0xd80, 0xdff, SCRIPT_SINHALA},    {0xe00, 0xe7f, SCRIPT_THAI},
    {0xe80, 0xeff, SCRIPT_LAO},        {0x1000, 0x109f, SCRIPT_MYANMAR},
    {0x10a0, 0x10ff, SCRIPT_GEORGIAN}, {0x1100, 0x11ff, SCRIPT_HANGUL},
    {0x1200, 0x139f, SCRIPT_ETHIOPIC}, {0x1780, 0x17ff, SCRIPT_KHMER},
    {0x1c80, 0x1c8f, SCRIPT_CYRILLIC}, {0x1c90, 0x1cbf, SCRIPT_GEORGIAN},
    {0x1e00, 0x1eff, SCRIPT_LATIN},    {0x1f00, 0x1fff, SCRIPT_GREEK},
    {0x2c60, 0x2c7f, SCRIPT_LATIN},    {0x2de0, 0x2dff, SCRIPT_CYRILLIC},
    {0x3005, 0x3007, SCRIPT_HAN},      {0x3040, 0x30ff, SCRIPT_KANA},
    {0x3130, 0x318f, SCRIPT_HANGUL},   {0x31f0, 0x31ff, SCRIPT_KANA},
    {0x3400, 0x4dbf, SCRIPT_HAN},      {0x4e00, 0x9fff, SCRIPT_HAN},
    {0xa720, 0xa7ff, SCRIPT_LATIN},    {0xac00, 0xd7ff, SCRIPT_HANGUL},
    {0xf900, 0xfaff, SCRIPT_HAN},      {0xfb1d, 0xfb4f, SCRIPT_HEBREW},
    {0xfb50, 0xfdff, SCRIPT_ARABIC},   {0xfe70, 0xfeff, SCRIPT_ARABIC},
    {0xff21, 0xff5a, SCRIPT_LATIN},    {0xff66, 0xff9f, SCRIPT_KANA},
    {0x20000, 0x3ffff, SCRIPT_HAN},
};

static bool has_no_spaces(enum script s)
{
    return s == SCRIPT_HAN || s == SCRIPT_KANA || s == SCRIPT_THAI || s == SCRIPT_LAO ||
           s == SCRIPT_MYANMAR || s == SCRIPT_KHMER;
}

/* arg: the first range that doesn't end before the character asked for last. */
static unsigned value_of(uint32_t c, void *arg)
{
    size_t *at = arg;
    const char *category = unicode_category(c);
    while (*at && ranges[*at - 1].last >= c)
        --*at;
    while (*at < ARRAY_SIZE(ranges) && ranges[*at].last < c)
        ++*at;
    if (category[0] != 'L' && category[0] != 'M' && category[0] != 'N')
        return 0;
    enum script s = SCRIPT_NONE;
    if (category[0] != 'N' && *at < ARRAY_SIZE(ranges) && ranges[*at].first <= c)
        s = ranges[*at].script;
    return IN_WORD | (has_no_spaces(s) ? ALONE : 0u) | s;
}

void word_table_init(struct word_table *t)
{
    size_t at = 0;
    unicode_build(&t->characters, value_of, &at);
}

void word_table_release(struct word_table *t)
{
    unicode_release(&t->characters);
}

enum script word_script(const struct word_table *t, uint32_t character)
{
    return unicode_class(&t->characters, character) & SCRIPT_BITS;
}

void word_start(struct word_cursor *c, const struct word_table *t, const char *p, size_t len)
{
    c->table = t;
    c->p = (const unsigned char *)p;
    c->end = c->p + len;
}

static uint32_t lower(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
}

bool word_next(struct word_cursor *c, struct word *w)
{
    const unsigned char *p = c->p, *last = p; /* the end of the last character in the word */
    uint64_t hash = 0;
    *w = (struct word){.script = SCRIPT_NONE};
    while (p < c->end) {
        unsigned len;
        uint32_t character = utf8_char(p, &len);
        unsigned value = unicode_class(&c->table->characters, character);
        if ((!(value & IN_WORD) || (value & ALONE)) && w->letters)
            break;
        p += len;
        if (!(value & IN_WORD))
            continue;
        if (!w->letters)
            w->p = p - len;
        hash = (hash ^ lower(character)) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
        w->letters++;
        last = p;
        if (value & SCRIPT_BITS)
            w->script = value & SCRIPT_BITS;
        if (value & ALONE)
            break;
    }
    c->p = p;
    w->hash = hash;
    if (!w->letters)
        return false;
    w->bytes = (size_t)(last - w->p);
    return true;
}
