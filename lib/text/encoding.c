#include "text/encoding.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

#include "base/mem.h"

bool utf8_is_valid(const char *p, size_t len)
{
    size_t i = 0;
    while (i < len) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = 1;
        if ((unsigned char)p[i] >= 0x80)
            n = utf8proc_iterate((const utf8proc_uint8_t *)p + i, (utf8proc_ssize_t)(len - i), &c);
        if (n <= 0)
            return false;
        i += (size_t)n;
    }
    return true;
}

/* Byte order marks, the longer first: UTF-32LE begins like UTF-16LE. */
static const struct {
    const char *bytes;
    size_t len;
    const char *charset;
} marks[] = {
    {"\xff\xfe\0\0", 4, "UTF-32LE"}, {"\0\0\xfe\xff", 4, "UTF-32BE"}, {"\xef\xbb\xbf", 3, "UTF-8"},
    {"\xff\xfe", 2, "UTF-16LE"},     {"\xfe\xff", 2, "UTF-16BE"},
};

static const char *byte_order_mark(const char *p, size_t len, size_t *mark_len)
{
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
        if (len >= marks[i].len && !memcmp(p, marks[i].bytes, marks[i].len)) {
            *mark_len = marks[i].len;
            return marks[i].charset;
        }
    *mark_len = 0;
    return NULL;
}

/* UTF-16 in that order of bytes: only characters that are assigned, some of them ASCII. */
static bool is_utf16(const char *p, size_t len, bool big)
{
    size_t n = len / 2, ascii = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char first = (unsigned char)p[2 * i], second = (unsigned char)p[2 * i + 1];
        unsigned c = big ? first << 8 | second : second << 8 | first;
        bool control = (c < 0x20 && (c < '\t' || c > '\r')) || (c >= 0x7f && c < 0xa0);
        bool high = c >= 0xd800 && c < 0xdc00;
        if (control || (c & 0xfffe) == 0xfffe || (c >= 0xdc00 && c < 0xe000) ||
            (!high && utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_CN))
            return false;
        ascii += c < 0x80;
        if (high && i + 1 < n) {
            unsigned char low = (unsigned char)p[2 * i + 2 + !big];
            if (low < 0xdc || low > 0xdf)
                return false;
            i++;
        }
    }
    return n >= 4 && ascii >= 1 + n / 20;
}

/* Without a byte order mark: the zeros of its ASCII characters give it away. NULL if it isn't. */
static const char *bare_utf16(const char *p, size_t len)
{
    enum { ENOUGH = 8192 };
    size_t n = len < ENOUGH ? len : ENOUGH;
    if (!memchr(p, 0, n))
        return NULL;
    return is_utf16(p, n, false) ? "UTF-16LE" : is_utf16(p, n, true) ? "UTF-16BE" : NULL;
}

bool encoding_is_binary(const char *p, size_t len)
{
    size_t mark_len, controls = 0;
    const char *mark = byte_order_mark(p, len, &mark_len);
    if (mark && strcmp(mark, "UTF-8") != 0)
        return false;
    if (memchr(p, 0, len))
        return !bare_utf16(p, len);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        controls += (c < 0x20 && (c < '\b' || c > '\r') && c != 0x1b) || c == 0x7f;
    }
    return controls > 2 + len / 100;
}

/* Labels that pages use for what, by the WHATWG Encoding standard, is another encoding's superset.
 */
static const char *charset_for_label(const char *label)
{
    static const char *const aliases[][2] = {
        {"utf8", "UTF-8"},
        {"utf-8", "UTF-8"},
        {"utf-16", "UTF-8"},
        {"utf-16le", "UTF-8"}, /* a page that can say so in ASCII isn't */
        {"utf-16be", "UTF-8"},
        {"unicode", "UTF-8"},
        {"ascii", "WINDOWS-1252"},
        {"us-ascii", "WINDOWS-1252"},
        {"latin1", "WINDOWS-1252"},
        {"iso-8859-1", "WINDOWS-1252"},
        {"iso8859-1", "WINDOWS-1252"},
        {"cp1252", "WINDOWS-1252"},
        {"iso-8859-9", "WINDOWS-1254"},
        {"iso-8859-11", "WINDOWS-874"},
        {"tis-620", "WINDOWS-874"},
        {"gb2312", "GB18030"},
        {"gbk", "GB18030"},
        {"x-gbk", "GB18030"},
        {"shift_jis", "CP932"},
        {"x-sjis", "CP932"},
        {"sjis", "CP932"},
        {"euc-kr", "CP949"},
        {"ks_c_5601-1987", "CP949"},
        {"big5", "BIG5-HKSCS"},
        {"x-cp1251", "WINDOWS-1251"},
        {"iso-8859-8-i", "ISO-8859-8"},
        {"macintosh", "MACINTOSH"},
        {"x-mac-roman", "MACINTOSH"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
        if (!strcasecmp(label, aliases[i][0]))
            return aliases[i][1];
    return label;
}

/* iconv reads "//" as options, and an empty name as the locale's encoding. */
static iconv_t open_charset(const char *charset)
{
    return *charset && !strchr(charset, '/') ? iconv_open("UTF-8", charset) : (iconv_t)-1;
}

bool encoding_is_known(const char *label)
{
    iconv_t cd = open_charset(charset_for_label(label));
    if (cd != (iconv_t)-1)
        iconv_close(cd);
    return cd != (iconv_t)-1;
}

bool encoding_convert(struct buf *out, const char *p, size_t len, const char *charset)
{
    iconv_t cd = open_charset(charset);
    if (cd == (iconv_t)-1)
        return false;
    /* A byte that is part of no character counts alone; UTF-16 and UTF-32 go on at the next unit.
     */
    size_t unit = !strncmp(charset, "UTF-16", 6) ? 2 : !strncmp(charset, "UTF-32", 6) ? 4 : 1;
    char *in = (char *)(uintptr_t)p;
    for (bool flushed = false; !flushed;) {
        buf_reserve(out, 4096);
        char *to = out->p + out->len;
        size_t room = out->cap - out->len - 1, before = room;
        flushed = len == 0; /* some encodings hold a character back for what may combine with it */
        size_t status = iconv(cd, flushed ? NULL : &in, flushed ? NULL : &len, &to, &room);
        out->len += before - room;
        out->p[out->len] = 0;
        if (status != (size_t)-1 || errno == E2BIG || flushed)
            continue;
        buf_addutf8(out, 0xfffd);
        size_t skip = len < unit || errno == EINVAL ? len : unit;
        in += skip;
        len -= skip;
    }
    iconv_close(cd);
    return true;
}

static void note(struct encoding *how, const char *name, bool guessed)
{
    size_t len = strlen(name);
    if (!how)
        return;
    len = len < ENCODING_NAME ? len : ENCODING_NAME - 1;
    memcpy(how->name, name, len);
    how->name[len] = 0;
    how->guessed = guessed;
}

/* Whether it is UTF-8 and shows no sign of an encoding that does with seven bits. */
static bool is_plain_utf8(const char *p, size_t len)
{
    return utf8_is_valid(p, len) && !memchr(p, 0, len) && !memchr(p, 0x1b, len);
}

void encoding_decode(struct buf *out, const char *p, size_t len, const char *declared,
                     const char *otherwise, struct encoding *how)
{
    size_t mark_len;
    const char *charset = byte_order_mark(p, len, &mark_len);
    p += mark_len;
    len -= mark_len;
    if (!charset && declared)
        charset = charset_for_label(declared);
    bool utf8 = charset && !strcasecmp(charset, "UTF-8");
    if (charset && !utf8 && encoding_convert(out, p, len, charset)) {
        note(how, charset, false);
        return;
    }
    charset = otherwise ? charset_for_label(otherwise) : NULL;
    bool plain = utf8 || !charset ? utf8_is_valid(p, len) : is_plain_utf8(p, len);
    const char *utf16 = bare_utf16(p, len);
    if (utf16 && encoding_convert(out, p, len, utf16)) {
        note(how, utf16, false);
    } else if (plain) {
        buf_add(out, p, len);
        note(how, "UTF-8", false);
    } else if (charset && encoding_convert(out, p, len, charset)) {
        note(how, charset, false);
    } else {
        charset = encoding_guess(p, len);
        encoding_convert(out, p, len, charset);
        note(how, charset, true);
    }
}

void encoding_unix_lines(struct buf *text)
{
    size_t to = 0;
    if (!memchr(text->p, '\r', text->len))
        return;
    for (size_t from = 0; from < text->len; from++) {
        char c = text->p[from];
        if (c == '\r') {
            c = '\n';
            if (from + 1 < text->len && text->p[from + 1] == '\n')
                from++;
        }
        text->p[to++] = c;
    }
    text->len = to;
    text->p[to] = 0;
}
