#include "text/charsmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "text/unicode.h"

int charsmap_init(struct charsmap *m, const uint8_t *p, size_t len, struct err *err)
{
    struct cursor c;
    memset(m, 0, sizeof *m);
    cursor_init(&c, p, len);
    uint32_t bytes = cursor_u32(&c);
    const uint8_t *units = cursor_bytes(&c, bytes);
    if (!units || bytes < sizeof *m->units || bytes % sizeof *m->units)
        return err_set(err, "precompiled_charsmap is cut off");
    m->n_units = bytes / sizeof *m->units;
    m->units = mem_array(m->n_units, sizeof *m->units, "precompiled_charsmap", err);
    if (!m->units)
        return -1;
    cursor_init(&c, units, bytes);
    for (size_t i = 0; i < m->n_units; i++)
        m->units[i] = cursor_u32(&c);
    m->n_texts = len - sizeof bytes - bytes;
    m->texts = xmemdup0(units + bytes, m->n_texts);
    if (utf8_valid(m->texts, m->n_texts) == m->n_texts)
        return 0;
    charsmap_release(m);
    return err_set(err, "precompiled_charsmap: a replacement is not UTF-8");
}

void charsmap_release(struct charsmap *m)
{
    free(m->units);
    free(m->texts);
    memset(m, 0, sizeof *m);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int charsmap_init_base64(struct charsmap *m, const char *p, size_t len, struct err *err)
{
    while (len && p[len - 1] == '=')
        len--;
    uint8_t *bytes = xmalloc(len);
    size_t n = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = base64_digit(p[i]);
        if (digit < 0) {
            free(bytes);
            return err_set(err, "precompiled_charsmap is not base64");
        }
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4)
            bytes[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    int rc = charsmap_init(m, bytes, n, err);
    free(bytes);
    return rc;
}

/*
 * A unit: bits 0-7 its label, 8 whether a value hangs on it, 9 whether the offset is in steps of
 * 256, 10-30 the offset to its children; bit 31 marks a value.
 */
static uint32_t label(uint32_t unit)
{
    return unit & (1u << 31 | 0xff);
}

static size_t offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

const char *charsmap_find(const struct charsmap *m, const char *p, size_t len, size_t *found_len)
{
    size_t at = offset(m->units[0]);
    for (size_t i = 0; i < len && p[i]; i++) {
        unsigned char c = (unsigned char)p[i];
        at ^= c;
        if (at >= m->n_units || label(m->units[at]) != c)
            return NULL;
        uint32_t unit = m->units[at];
        at ^= offset(unit);
        if (!(unit >> 8 & 1) || at >= m->n_units)
            continue;
        size_t text = m->units[at] & ((1u << 31) - 1);
        if (text > m->n_texts || ((unsigned char)m->texts[text] & 0xc0) == 0x80)
            return NULL; /* not where a replacement begins */
        *found_len = strlen(m->texts + text);
        return m->texts + text;
    }
    return NULL;
}
