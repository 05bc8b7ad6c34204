#include "text/charsmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "text/base64.h"
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

int charsmap_init_base64(struct charsmap *m, const char *p, size_t len, struct err *err)
{
    uint8_t *bytes = xmalloc(len);
    size_t n;
    int rc = base64_decode(p, len, bytes, &n) ? err_set(err, "precompiled_charsmap is not base64")
                                              : charsmap_init(m, bytes, n, err);
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

/* One byte further from *at, which is where the children of a string are; false where no rule goes
 * on so. *value is the rule's that ends there, or NULL. */
static bool step(const struct charsmap *m, size_t *at, unsigned char c, const char **value)
{
    *value = NULL;
    *at ^= c;
    if (!c || *at >= m->n_units || label(m->units[*at]) != c)
        return false;
    uint32_t unit = m->units[*at];
    *at ^= offset(unit);
    if (unit >> 8 & 1 && *at < m->n_units) {
        size_t text = m->units[*at] & ((1u << 31) - 1);
        if (text <= m->n_texts && ((unsigned char)m->texts[text] & 0xc0) != 0x80)
            *value = m->texts + text; /* else it's not where a replacement begins */
    }
    return true;
}

const char *charsmap_find(const struct charsmap *m, const char *p, size_t len, size_t *found_len)
{
    size_t at = offset(m->units[0]);
    const char *value;
    for (size_t i = 0; i < len && step(m, &at, (unsigned char)p[i], &value); i++) {
        if (!value)
            continue;
        *found_len = strlen(value);
        return value;
    }
    return NULL;
}

const char *charsmap_find_longest(const struct charsmap *m, const char *p, size_t len, size_t *used,
                                  size_t *found_len)
{
    size_t at = offset(m->units[0]);
    const char *value, *found = NULL;
    for (size_t i = 0; i < len && step(m, &at, (unsigned char)p[i], &value); i++) {
        if (!value)
            continue;
        found = value;
        *used = i + 1;
    }
    if (found)
        *found_len = strlen(found);
    return found;
}

bool charsmap_begins(const struct charsmap *m, const char *p, size_t len)
{
    size_t at = offset(m->units[0]), i = 0;
    const char *value;
    while (i < len && step(m, &at, (unsigned char)p[i], &value))
        i++;
    return i == len;
}
