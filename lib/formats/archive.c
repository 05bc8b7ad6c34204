#include "formats/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/outfile.h"

/*
 * Inputs. The first bytes are compared here, so that plain data never waits for more than has
 * arrived (libarchive's own bidders ask for up to 14 bytes) and is read without a copy.
 */
struct input {
    char *name;
    int fd; /* -1: none, bytes in memory or of a source */
    byte_source *source;
    void *source_arg;
    bool owns_fd;
    bool started; /* the kind is known and p, len are in use */
    bool ended;
    struct archive *a; /* undoes a compression; NULL: plain */
    const char *compression;
    uint8_t *block;     /* what is read from fd */
    struct buf head;    /* what input_head has put together, before it is read */
    size_t block_len;   /* what `sniff` has read and `archive_block` not yet handed on */
    uint64_t delivered; /* compressed bytes handed to libarchive */
    uint64_t expanded;  /* bytes that came of them */
    const uint8_t *p;   /* decompressed bytes that wait */
    size_t len;
    size_t line;
};

enum { BLOCK = 256 << 10 };

/* `certain`: with so many bytes equal it is no text, and a decoder that refuses it has met damage.
 */
static const struct {
    const char *name;
    const char *magic;
    size_t len, certain;
} compressions[] = {
    {"gzip", "\x1f\x8b\x08", 3, 2},     {"bzip2", "BZh", 3, SIZE_MAX},
    {"xz", "\xfd\x37zXZ\0", 6, 4},      {"lzma", "\x5d\0\0", 3, 3},
    {"zstd", "\x28\xb5\x2f\xfd", 4, 4}, {"lz4", "\x04\x22\x4d\x18", 4, 4},
    {"lz4", "\x02\x21\x4c\x18", 4, 4},
};

static struct input *input_new(const char *name, int fd)
{
    struct input *in = xcalloc(1, sizeof *in);
    in->name = xstrdup(name);
    in->fd = fd;
    buf_init(&in->head);
    return in;
}

int input_open(struct input **out, const char *path, struct err *err)
{
    bool is_stdin = !path || !strcmp(path, "-");
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (is_stdin)
        path = "stdin";
    *out = NULL;
    if (fd < 0 || fstat(fd, &st)) {
        err_errno(err, "%s", path);
        if (fd >= 0 && !is_stdin)
            close(fd);
        return -1;
    }
    if (S_ISDIR(st.st_mode)) {
        if (!is_stdin)
            close(fd);
        errno = EISDIR;
        return err_errno(err, "%s", path);
    }
    struct input *in = input_new(path, fd);
    in->owns_fd = !is_stdin;
    in->block = xmalloc(BLOCK);
    *out = in;
    return 0;
}

int input_open_source(struct input **out, const char *name, byte_source *source, void *arg,
                      struct err *err)
{
    (void)err;
    struct input *in = input_new(name, -1);
    in->source = source;
    in->source_arg = arg;
    in->block = xmalloc(BLOCK);
    *out = in;
    return 0;
}

int input_open_memory(struct input **out, const char *name, const void *p, size_t len,
                      struct err *err)
{
    (void)err;
    struct input *in = input_new(name, -1);
    in->p = p;
    in->len = len;
    *out = in;
    return 0;
}

static bool in_memory(const struct input *in)
{
    return in->fd < 0 && !in->source;
}

static ssize_t read_some(struct input *in, void *p, size_t n, struct err *err)
{
    ssize_t got;
    if (in->source) {
        got = in->source(in->source_arg, p, n, err);
        return got < 0 ? err_prefix(err, "%s", in->name) : got;
    }
    got = fd_read(in->fd, p, n);
    return got < 0 ? err_errno(err, "%s: reading", in->name) : got;
}

/* -1: it is none, whatever follows; 0: it may become one; 1: it is compressions[*which]. */
static int match(const uint8_t *p, size_t len, size_t *which)
{
    int verdict = -1;
    for (size_t i = 0; i < ARRAY_SIZE(compressions); i++) {
        size_t n = len < compressions[i].len ? len : compressions[i].len;
        if (memcmp(p, compressions[i].magic, n) != 0)
            continue;
        *which = i;
        if (n == compressions[i].len)
            return 1;
        verdict = 0;
    }
    return verdict;
}

static la_ssize_t archive_block(struct archive *a, void *arg, const void **block)
{
    struct input *in = arg;
    *block = in->block;
    if (!in->block_len) {
        struct err err;
        errno = 0;
        ssize_t got = read_some(in, in->block, BLOCK, &err);
        if (got < 0) {
            archive_set_error(a, EIO, "%s", errno ? strerror(errno) : err.msg);
            return -1;
        }
        in->block_len = (size_t)got;
    }
    size_t n = in->block_len;
    in->block_len = 0;
    in->delivered += n;
    return (la_ssize_t)n;
}

static int archive_fail(const struct input *in, struct err *err)
{
    const char *why = archive_error_string(in->a);
    return err_set(err, "%s: %s", in->name, why ? why : "cannot be decompressed");
}

/* Starts libarchive on what begins like compressions[which]. */
static int decompress(struct input *in, size_t which, struct err *err)
{
    const char *name = compressions[which].name;
    in->compression = name;
    in->a = archive_read_new();
    if (!in->a)
        return err_set(err, "%s: out of memory", in->name);
    archive_read_support_filter_gzip(in->a);
    archive_read_support_filter_bzip2(in->a);
    archive_read_support_filter_xz(in->a);
    archive_read_support_filter_lzma(in->a);
    archive_read_support_filter_zstd(in->a);
    archive_read_support_filter_lz4(in->a);
    archive_read_support_format_raw(in->a);
    archive_read_support_format_empty(in->a);
    int status;
    if (in_memory(in)) {
        status = archive_read_open_memory(in->a, in->p, in->len);
        in->delivered = in->len;
        in->len = 0;
    } else {
        status = archive_read_open(in->a, in, NULL, archive_block, NULL);
    }
    struct archive_entry *entry;
    if (status == ARCHIVE_OK)
        status = archive_read_next_header(in->a, &entry);
    if (status == ARCHIVE_EOF)
        in->ended = true;
    else if (status != ARCHIVE_OK)
        return archive_fail(in, err);
    if (compressions[which].certain != SIZE_MAX && archive_filter_count(in->a) < 2)
        return err_set(err, "%s: begins like %s but is cut off or damaged", in->name, name);
    return 0;
}

/* Decides by the first bytes whether the input is compressed. */
static int start(struct input *in, struct err *err)
{
    size_t which = 0;
    int verdict = 0;
    in->started = true;
    if (in_memory(in)) {
        verdict = match(in->p, in->len, &which);
    } else {
        ssize_t got = 0;
        do {
            got = read_some(in, in->block + in->block_len, BLOCK - in->block_len, err);
            if (got < 0)
                return -1;
            in->block_len += (size_t)got;
            verdict = match(in->block, in->block_len, &which);
        } while (verdict == 0 && got > 0);
    }
    size_t arrived = in_memory(in) ? in->len : in->block_len;
    if (verdict == 1 || (verdict == 0 && arrived >= compressions[which].certain))
        return decompress(in, which, err);
    if (!in_memory(in)) {
        in->p = in->block;
        in->len = in->block_len;
        in->ended = !in->block_len;
        in->block_len = 0;
    }
    return 0;
}

/* A second member cut within its header looks like the end to libarchive: nothing may be left. */
static int check_consumed(struct input *in, struct err *err)
{
    uint64_t consumed = (uint64_t)archive_filter_bytes(in->a, -1);
    bool more = in->block_len > 0;
    if (!in_memory(in) && !more) {
        uint8_t byte;
        ssize_t got = read_some(in, &byte, 1, err);
        if (got < 0)
            return -1;
        more = got > 0;
    }
    if (consumed != in->delivered || more)
        return err_set(err, "%s: cut off, or something that is no %s after byte %llu", in->name,
                       in->compression, (unsigned long long)consumed);
    return 0;
}

/* Some bytes of nothing must not fill a disk. */
static int check_ratio(const struct input *in, struct err *err)
{
    const uint64_t packed = (uint64_t)archive_filter_bytes(in->a, -1);
    if (in->expanded <= INPUT_FLOOR || in->expanded / INPUT_RATIO <= packed)
        return 0;
    return err_set(err,
                   "%s: expands to more than %d times its size; if that is right, give it "
                   "decompressed, through a pipe",
                   in->name, INPUT_RATIO);
}

/* Fetches more when nothing waits: len stays 0 at the end. */
static int fill(struct input *in, struct err *err)
{
    if (!in->started && start(in, err))
        return -1;
    if (in->a) {
        while (!in->len && !in->ended) {
            const void *p;
            size_t n;
            la_int64_t offset;
            int status = archive_read_data_block(in->a, &p, &n, &offset);
            if (status == ARCHIVE_EOF) {
                in->ended = true;
                return check_consumed(in, err);
            }
            if (status != ARCHIVE_OK)
                return archive_fail(in, err);
            in->p = p;
            in->len = n;
            in->expanded += n;
            if (check_ratio(in, err))
                return -1;
        }
        return 0;
    }
    if (in->len || in->ended || in_memory(in))
        return 0;
    ssize_t got = read_some(in, in->block, BLOCK, err);
    if (got < 0)
        return -1;
    in->p = in->block;
    in->len = (size_t)got;
    in->ended = got == 0;
    return 0;
}

ssize_t input_read(struct input *in, void *p, size_t n, struct err *err)
{
    if (fill(in, err))
        return -1;
    if (n > in->len)
        n = in->len;
    if (!n)
        return 0;
    memcpy(p, in->p, n);
    in->p += n;
    in->len -= n;
    return (ssize_t)n;
}

int input_peek(struct input *in, uint8_t *byte, struct err *err)
{
    if (fill(in, err))
        return -1;
    if (!in->len)
        return 0;
    *byte = *in->p;
    return 1;
}

int input_head(struct input *in, size_t n, const uint8_t **p, size_t *len, struct err *err)
{
    if (fill(in, err))
        return -1;
    if (in->len && in->len < n && !in_memory(in)) {
        struct buf head = BUF_INIT; /* another than in->head, which in->p may be in */
        buf_add(&head, in->p, in->len);
        while (head.len < n) {
            in->len = 0;
            if (fill(in, err)) {
                buf_release(&head);
                return -1;
            }
            if (!in->len)
                break;
            buf_add(&head, in->p, in->len);
        }
        buf_release(&in->head);
        in->head = head;
        in->p = (const uint8_t *)head.p;
        in->len = head.len;
    }
    *p = in->p;
    *len = in->len;
    return 0;
}

int input_line(struct input *in, struct buf *line, size_t limit, struct err *err)
{
    bool any = false;
    buf_clear(line);
    for (;;) {
        if (fill(in, err))
            return -1;
        if (!in->len) {
            in->line += any;
            return any;
        }
        any = true;
        const uint8_t *newline = memchr(in->p, '\n', in->len);
        size_t n = newline ? (size_t)(newline - in->p) : in->len;
        if (n > limit - line->len)
            return err_set(err, "%s:%zu: line is longer than %zu bytes", in->name, in->line + 1,
                           limit);
        buf_add(line, in->p, n);
        n += newline != NULL;
        in->p += n;
        in->len -= n;
        if (newline) {
            in->line++;
            return 1;
        }
    }
}

size_t input_line_number(const struct input *in)
{
    return in->line;
}

const char *input_name(const struct input *in)
{
    return in->name;
}

void input_close(struct input *in)
{
    if (!in)
        return;
    archive_read_free(in->a);
    if (in->owns_fd)
        close(in->fd);
    free(in->block);
    buf_release(&in->head);
    free(in->name);
    free(in);
}

/* Outputs. */
struct output {
    struct outfile file;
    struct archive *a; /* NULL: not compressed */
    bool discard;      /* nothing is written any more */
    bool any;          /* something has been written */
    struct err *err;   /* where write_block reports, during a call */
};

static la_ssize_t write_block(struct archive *a, void *arg, const void *p, size_t n)
{
    struct output *out = arg;
    if (out->discard)
        return (la_ssize_t)n;
    if (outfile_write(&out->file, p, n, out->err)) {
        archive_set_error(a, errno ? errno : EIO, "%s", strerror(errno));
        return -1;
    }
    return (la_ssize_t)n;
}

/* One table for the suffixes; a filter missing from this libarchive is an error when it is asked
 * for. */
static int (*filter_for(const char *path))(struct archive *)
{
    static const struct {
        const char *suffix;
        int (*add)(struct archive *);
    } filters[] = {
        {".gz", archive_write_add_filter_gzip}, {".bz2", archive_write_add_filter_bzip2},
        {".xz", archive_write_add_filter_xz},   {".zst", archive_write_add_filter_zstd},
        {".lz4", archive_write_add_filter_lz4},
    };
    size_t len = strlen(path);
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
        size_t n = strlen(filters[i].suffix);
        if (len > n && !strcmp(path + len - n, filters[i].suffix))
            return filters[i].add;
    }
    return NULL;
}

static int write_fail(struct output *out, struct err *err)
{
    const char *why = archive_error_string(out->a);
    return err_set(err, "%s: compressing: %s", out->file.path, why ? why : "failed");
}

static int compress(struct output *out, int (*add_filter)(struct archive *), struct err *err)
{
    out->a = archive_write_new();
    if (!out->a)
        return err_set(err, "%s: out of memory", out->file.path);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_pathname(entry, "data");
    /* ARCHIVE_WARN would mean an external program does the work; it isn't reproducible then. */
    int bad =
        add_filter(out->a) != ARCHIVE_OK || archive_write_set_format_raw(out->a) != ARCHIVE_OK;
    if (!bad && archive_filter_code(out->a, 0) == ARCHIVE_FILTER_GZIP)
        bad = archive_write_set_filter_option(out->a, "gzip", "timestamp", NULL) != ARCHIVE_OK;
    bad = bad || archive_write_set_bytes_in_last_block(out->a, 1) != ARCHIVE_OK ||
          archive_write_open(out->a, out, NULL, write_block, NULL) != ARCHIVE_OK ||
          archive_write_header(out->a, entry) != ARCHIVE_OK;
    archive_entry_free(entry);
    return bad ? write_fail(out, err) : 0;
}

int output_open(struct output **result, const char *path, struct err *err)
{
    struct output *out = xcalloc(1, sizeof *out);
    *result = NULL;
    if (outfile_open(&out->file, path, err)) {
        free(out);
        return -1;
    }
    int (*add_filter)(struct archive *) = path && strcmp(path, "-") ? filter_for(path) : NULL;
    out->err = err;
    if (add_filter && compress(out, add_filter, err)) {
        output_abandon(out);
        return -1;
    }
    out->err = NULL;
    *result = out;
    return 0;
}

int output_fd(const struct output *out)
{
    return out->file.fd;
}

int output_write(struct output *out, const void *p, size_t len, struct err *err)
{
    if (!out->a)
        return outfile_write(&out->file, p, len, err);
    struct err inner = {.msg = ""};
    out->err = &inner;
    const char *at = p;
    out->any |= len > 0;
    while (len) {
        la_ssize_t n = archive_write_data(out->a, at, len);
        if (n <= 0) {
            out->err = NULL;
            return *inner.msg ? err_set(err, "%s", inner.msg) : write_fail(out, err);
        }
        at += n;
        len -= (size_t)n;
    }
    out->err = NULL;
    return 0;
}

int output_flush(struct output *out, struct err *err)
{
    return out->a ? 0 : outfile_flush(&out->file, err);
}

/* Ends the compressor without a trace. Only closing it frees all that it has, and the lz4 filter of
 * libarchive 3.6 crashes when it is closed without data. */
static void discard(struct output *out)
{
    out->discard = true;
    if (out->a && !out->any)
        archive_write_data(out->a, "", 1);
    archive_write_free(out->a);
    out->a = NULL;
}

/* For the same reason the frame of nothing, by the "LZ4 Frame Format" (descriptor, end mark,
 * checksum of the content), is written here. */
static int write_empty_lz4(struct output *out, struct err *err)
{
    static const char frame[] = "\x04\x22\x4d\x18\x64\x40\xa7\0\0\0\0\x05\x5d\xcc\x02";
    discard(out);
    return outfile_write(&out->file, frame, sizeof frame - 1, err);
}

int output_commit(struct output *out, struct err *err)
{
    struct err inner = {.msg = ""};
    int failed = 0;
    /* cppcheck-suppress autoVariables ; out ends here */
    out->err = &inner;
    if (out->a && !out->any && archive_filter_code(out->a, 0) == ARCHIVE_FILTER_LZ4)
        failed = write_empty_lz4(out, err);
    else if (out->a && archive_write_close(out->a) != ARCHIVE_OK)
        failed = *inner.msg ? err_set(err, "%s", inner.msg) : write_fail(out, err);
    archive_write_free(out->a);
    out->a = NULL;
    if (!failed)
        failed = outfile_commit(&out->file, err);
    output_abandon(out);
    return failed;
}

void output_abandon(struct output *out)
{
    if (!out)
        return;
    struct err ignored;
    /* cppcheck-suppress autoVariables ; out ends here */
    out->err = &ignored;
    discard(out);
    outfile_abandon(&out->file);
    free(out);
}

int output_end(struct output *out, int status, struct err *err)
{
    if (!status)
        return output_commit(out, err);
    output_abandon(out);
    return -1;
}

int output_whole(const char *path, const void *p, size_t len, struct err *err)
{
    struct output *out;
    if (output_open(&out, path, err))
        return -1;
    return output_end(out, output_write(out, p, len, err), err);
}
