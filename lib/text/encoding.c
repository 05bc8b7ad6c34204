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

bool encoding_is_binary(const char *p, size_t len)
{
    size_t mark_len, controls = 0;
    const char *mark = byte_order_mark(p, len, &mark_len);
    if (mark && strcmp(mark, "UTF-8") != 0)
        return false;
    if (memchr(p, 0, len))
        return true;
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

static int convert(struct buf *out, const char *p, size_t len, const char *charset, struct err *err)
{
    /* iconv reads "//" as options, and an empty name as the locale's encoding. */
    if (!*charset || strchr(charset, '/'))
        return err_set(err, "unknown encoding \"%.40s\"", charset);
    iconv_t cd = iconv_open("UTF-8", charset);
    if (cd == (iconv_t)-1)
        return err_set(err, "unknown encoding \"%.40s\"", charset);
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
    return 0;
}

int encoding_decode(struct buf *out, const char *p, size_t len, const char *label,
                    const char **used, bool *guessed, struct err *err)
{
    size_t mark_len;
    const char *charset = byte_order_mark(p, len, &mark_len);
    *used = NULL;
    *guessed = false;
    if (!charset && label)
        charset = charset_for_label(label);
    p += mark_len;
    len -= mark_len;
    if ((!charset || !strcasecmp(charset, "UTF-8")) && utf8_is_valid(p, len)) {
        buf_add(out, p, len);
        return 0;
    }
    if (!charset || !strcasecmp(charset, "UTF-8")) {
        charset = "WINDOWS-1252";
        *guessed = true;
    }
    *used = charset;
    return convert(out, p, len, charset, err);
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
