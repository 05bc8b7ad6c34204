#include "formats/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"

enum { STREAM_BLOCK = 64 << 10, MAX_RECOVERIES = 1000 };

struct members {
    struct archive *a;
    enum archive_kind kind;
    const void *p; /* in memory; NULL for a stream */
    size_t len;
    byte_source *source;
    void *source_arg;
    struct err source_err; /* what the source said */
    char *block;
    char *name;
    uint64_t delivered; /* bytes that a stream has given */
    size_t entries;     /* headers read so far, folders too */
    size_t recoveries;
    bool lost;     /* the member's data failed in a way that ends this libarchive handle */
    bool whole;    /* the member has been read to its end */
    bool single;   /* one compressed file */
    locale_t utf8; /* libarchive converts names by the locale of the thread */
};

/* There is no magic number: the usual parameters, and a size that is unknown or below 2^40. */
static bool is_lzma(const char *p, size_t len)
{
    return len >= 13 && !memcmp(p, "\x5d\0\0", 3) &&
           (!memcmp(p + 5, "\xff\xff\xff\xff\xff\xff\xff\xff", 8) || !memcmp(p + 10, "\0\0\0", 3));
}

enum archive_kind archive_sniff(const void *head, size_t len)
{
    static const struct {
        enum archive_kind kind;
        size_t offset;
        const char *magic;
        size_t len;
    } table[] = {
        {ARCHIVE_ZIP, 0, "PK\3\4", 4},
        {ARCHIVE_ZIP, 0, "PK\5\6", 4},
        {ARCHIVE_ZIP, 0, "PK00PK\3\4", 8},
        {ARCHIVE_7Z, 0, "7z\xbc\xaf\x27\x1c", 6},
        {ARCHIVE_RAR, 0, "Rar!\x1a\7", 6},
        {ARCHIVE_CAB, 0, "MSCF\0\0\0\0", 8},
        {ARCHIVE_AR, 0, "!<arch>\n", 8},
        {ARCHIVE_TAR, 257, "ustar", 5},
        {ARCHIVE_COMPRESSED, 0, "\x1f\x8b\x08", 3},
        {ARCHIVE_COMPRESSED, 0, "\xfd\x37zXZ\0", 6},
        {ARCHIVE_COMPRESSED, 0, "\x28\xb5\x2f\xfd", 4},
        {ARCHIVE_COMPRESSED, 0, "\x04\x22\x4d\x18", 4},
    };
    const char *p = head;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].offset + table[i].len <= len &&
            !memcmp(p + table[i].offset, table[i].magic, table[i].len))
            return table[i].kind;
    if (is_lzma(p, len))
        return ARCHIVE_COMPRESSED;
    if (len >= 10 && !memcmp(p, "BZh", 3) && p[3] >= '1' && p[3] <= '9' &&
        (!memcmp(p + 4, "1AY&SY", 6) || !memcmp(p + 4, "\x17\x72\x45\x38\x50\x90", 6)))
        return ARCHIVE_COMPRESSED;
    return ARCHIVE_NONE;
}

bool archive_kind_seeks(enum archive_kind kind)
{
    return kind == ARCHIVE_ZIP || kind == ARCHIVE_7Z || kind == ARCHIVE_RAR || kind == ARCHIVE_CAB;
}

/* Only the format that was recognised: mtree, which opens other files, must never get its turn; nor
 * cpio, whose reader allocates whatever length of a name a header claims. */
static void support(struct archive *a, enum archive_kind kind)
{
    switch (kind) {
    case ARCHIVE_ZIP:
        archive_read_support_format_zip(a);
        break;
    case ARCHIVE_7Z:
        archive_read_support_format_7zip(a);
        break;
    case ARCHIVE_RAR:
        archive_read_support_format_rar(a);
        archive_read_support_format_rar5(a);
        break;
    case ARCHIVE_CAB:
        archive_read_support_format_cab(a);
        break;
    case ARCHIVE_AR:
        archive_read_support_format_ar(a);
        break;
    case ARCHIVE_TAR:
        archive_read_support_format_tar(a);
        break;
    case ARCHIVE_COMPRESSED:
        archive_read_support_filter_gzip(a);
        archive_read_support_filter_bzip2(a);
        archive_read_support_filter_xz(a);
        archive_read_support_filter_lzma(a);
        archive_read_support_filter_zstd(a);
        archive_read_support_filter_lz4(a);
        archive_read_support_format_tar(a);
        archive_read_support_format_raw(a);
        archive_read_support_format_empty(a);
        break;
    case ARCHIVE_NONE:
        break;
    }
}

static int fail(const struct members *m, struct err *err)
{
    const char *why = archive_error_string(m->a);
    if (*m->source_err.msg)
        return err_set(err, "%s", m->source_err.msg);
    return err_set(err, "%s", why ? why : "damaged archive");
}

static la_ssize_t stream_block(struct archive *a, void *arg, const void **block)
{
    struct members *m = arg;
    ssize_t n = m->source(m->source_arg, m->block, STREAM_BLOCK, &m->source_err);
    if (n < 0)
        archive_set_error(a, EIO, "%s", m->source_err.msg);
    else
        m->delivered += (uint64_t)n;
    *block = m->block;
    return n;
}

static int start(struct members *m, struct err *err)
{
    archive_read_free(m->a);
    m->a = archive_read_new();
    if (!m->a)
        return err_set(err, "out of memory");
    m->entries = 0;
    m->lost = false;
    support(m->a, m->kind);
    int status = m->p ? archive_read_open_memory(m->a, m->p, m->len)
                      : archive_read_open(m->a, m, NULL, stream_block, NULL);
    return status == ARCHIVE_OK ? 0 : fail(m, err);
}

static int open_members(struct members **out, struct members *m, struct err *err)
{
    m->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = m->utf8 ? uselocale(m->utf8) : (locale_t)0;
    int status = start(m, err);
    if (before)
        uselocale(before);
    if (status) {
        members_close(m);
        m = NULL;
    }
    *out = m;
    return status;
}

int members_open_memory(struct members **out, enum archive_kind kind, const void *p, size_t len,
                        struct err *err)
{
    struct members *m = xcalloc(1, sizeof *m);
    m->kind = kind;
    m->p = p;
    m->len = len;
    return open_members(out, m, err);
}

int members_open_stream(struct members **out, enum archive_kind kind, byte_source *source,
                        void *arg, struct err *err)
{
    struct members *m = xcalloc(1, sizeof *m);
    m->kind = kind;
    m->source = source;
    m->source_arg = arg;
    m->block = xmalloc(STREAM_BLOCK);
    return open_members(out, m, err);
}

/* The next header; ARCHIVE_WARN (a name that can't be converted, an odd attribute) does no harm
 * here. */
static int next_header(struct members *m, struct archive_entry **entry)
{
    int status;
    do
        status = archive_read_next_header(m->a, entry);
    while (status == ARCHIVE_RETRY);
    m->entries += status == ARCHIVE_OK || status == ARCHIVE_WARN;
    return status == ARCHIVE_WARN ? ARCHIVE_OK : status;
}

/* libarchive gives up a zip at the first member that doesn't inflate: start again and go past it.
 */
static int recover(struct members *m, struct err *err)
{
    size_t done = m->entries;
    struct archive_entry *entry;
    if (m->kind != ARCHIVE_ZIP || !m->p || ++m->recoveries > MAX_RECOVERIES)
        return err_set(err, "cannot be read behind the damaged member");
    if (start(m, err))
        return -1;
    while (m->entries < done)
        if (next_header(m, &entry) != ARCHIVE_OK)
            return fail(m, err);
    return 0;
}

static bool is_utf8(const char *s)
{
    utf8proc_ssize_t left = (utf8proc_ssize_t)strlen(s), n;
    utf8proc_int32_t c;
    for (; left > 0; s += n, left -= n)
        if ((n = utf8proc_iterate((const utf8proc_uint8_t *)s, left, &c)) <= 0)
            return false;
    return true;
}

static void set_name(struct members *m, struct archive_entry *entry)
{
    const char *raw = archive_entry_pathname(entry);
    const char *name = raw && is_utf8(raw) ? raw : archive_entry_pathname_utf8(entry);
    if (!name)
        name = raw;
    free(m->name);
    m->name = NULL;
    m->single = archive_format(m->a) == ARCHIVE_FORMAT_RAW;
    if (m->single)
        m->name = xstrdup("");
    else if (name && *name)
        m->name = xstrdup(name);
    else
        m->name = xstrdup("unnamed");
}

/* libarchive takes what follows a gzip member, a cut-off header of another too, for the end. */
static int check_single(struct members *m, struct err *err)
{
    const void *block;
    if (!m->single || !m->whole)
        return 0;
    uint64_t used = members_consumed(m), there = m->p ? m->len : m->delivered;
    if (used == there && !m->p && stream_block(m->a, m, &block) != 0)
        used = 0;
    if (used == there)
        return 0;
    return err_set(err, "cut off, or there is something else behind the compressed data");
}

/* And without a zip's table it goes through the members one by one, to wherever that ends. */
static int check_zip(const struct members *m, struct err *err)
{
    enum { TABLE_END = 22, COMMENT = 65535 };
    size_t tail = m->len < TABLE_END + COMMENT ? m->len : TABLE_END + COMMENT;
    if (m->kind != ARCHIVE_ZIP || !m->p ||
        memmem((const char *)m->p + m->len - tail, tail, "PK\5\6", 4))
        return 0;
    return err_set(err, "cut off: the zip's table of contents is missing");
}

static int next(struct members *m, struct err *err)
{
    struct archive_entry *entry;
    if (m->lost && recover(m, err))
        return -1;
    for (;;) {
        int status = next_header(m, &entry);
        if (status == ARCHIVE_EOF)
            return check_single(m, err) || check_zip(m, err) ? -1 : 0;
        if (status != ARCHIVE_OK)
            return fail(m, err);
        if (m->kind == ARCHIVE_COMPRESSED && archive_filter_count(m->a) < 2)
            return err_set(err, "begins like a compressed file but is cut off or damaged");
        /* Hard links have no content of their own, and ar's tables of symbols are no files. */
        bool file = archive_entry_filetype(entry) == AE_IFREG || archive_entry_filetype(entry) == 0;
        if (!file || archive_entry_hardlink(entry))
            continue;
        set_name(m, entry);
        m->whole = false;
        return 1;
    }
}

int members_next(struct members *m, struct err *err)
{
    locale_t before = m->utf8 ? uselocale(m->utf8) : (locale_t)0;
    int status = next(m, err);
    if (before)
        uselocale(before);
    return status;
}

const char *members_name(const struct members *m)
{
    return m->name ? m->name : "";
}

ssize_t members_read(struct members *m, void *p, size_t n, struct err *err)
{
    if (m->lost)
        return err_set(err, "damaged");
    la_ssize_t got = archive_read_data(m->a, p, n);
    m->whole = got == 0;
    if (got >= 0)
        return got;
    m->lost = got == ARCHIVE_FATAL;
    return fail(m, err);
}

uint64_t members_consumed(const struct members *m)
{
    la_int64_t n = archive_filter_bytes(m->a, -1);
    return n < 0 ? 0 : (uint64_t)n;
}

void members_close(struct members *m)
{
    if (!m)
        return;
    archive_read_free(m->a);
    if (m->utf8)
        freelocale(m->utf8);
    free(m->block);
    free(m->name);
    free(m);
}
