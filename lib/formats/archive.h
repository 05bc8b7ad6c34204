/*
 * archive: everything that goes through libarchive: transparently decompressed inputs, outputs
 * compressed by suffix, and the members of archives. No other file includes archive libraries.
 */
#ifndef FORMATS_ARCHIVE_H
#define FORMATS_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * An input: a file or stdin (NULL or "-"), with gzip, bzip2, xz, lzma, zstd and lz4 undone on the
 * way, recognised by their first bytes. Short reads and EINTR are its business.
 */
struct input;

/* What was compressed may expand to so many times its size, and to so many bytes anyhow. */
enum { INPUT_RATIO = 1000, INPUT_FLOOR = 64 << 20 };

int input_open(struct input **in, const char *path, struct err *err);
/* An input over bytes in memory (not copied), for members of archives and tests. */
int input_open_memory(struct input **in, const char *name, const void *p, size_t len,
                      struct err *err);
/* What a stream of bytes is read with: up to n bytes, 0 at the end, -1 with a message. */
typedef ssize_t byte_source(void *arg, void *p, size_t n, struct err *err);
/* An input over such a stream; messages of the source get the name in front. */
int input_open_source(struct input **in, const char *name, byte_source *source, void *arg,
                      struct err *err);
/* Up to n bytes; fewer only when that is what has arrived. 0 at the end, -1 on failure. */
ssize_t input_read(struct input *in, void *p, size_t n, struct err *err);
/* The next byte, which stays there: 1, 0 at the end, -1. */
int input_peek(struct input *in, uint8_t *byte, struct err *err);
/* The next bytes, which stay there: n of them, or all that there are, for which it waits. */
int input_head(struct input *in, size_t n, const uint8_t **p, size_t *len, struct err *err);
/* One line without its newline into `line` (cleared first; may hold NULs). 1, 0 at the end, -1.
 * A line over `limit` bytes is an error that names the line. */
int input_line(struct input *in, struct buf *line, size_t limit, struct err *err);
size_t input_line_number(const struct input *in); /* of the last line returned, from 1 */
const char *input_name(const struct input *in);   /* the path, "stdin" for stdin */
void input_close(struct input *in);               /* NULL is allowed */

/*
 * An output: an outfile (whole or not at all), compressed when its name ends in .gz, .xz, .zst,
 * .bz2 or .lz4. NULL or "-" is stdout.
 */
struct output;

int output_open(struct output **out, const char *path, struct err *err);
int output_fd(const struct output *out); /* of the file that is written */
int output_write(struct output *out, const void *p, size_t len, struct err *err);
/* Everything written so far reaches the pipe, where the output is not compressed. */
int output_flush(struct output *out, struct err *err);
int output_commit(struct output *out, struct err *err); /* frees out, also on failure */
void output_abandon(struct output *out);                /* frees out; NULL is allowed */
/* Commits when status is 0, else abandons; -1 unless both went well. Frees out. */
int output_end(struct output *out, int status, struct err *err);

/* An output that is these bytes. */
int output_whole(const char *path, const void *p, size_t len, struct err *err);

/*
 * The members of an archive, one after the other: zip, 7z, rar, cab, ar (also .deb) and tar,
 * tar also compressed. A single compressed file is an archive of one member without a name. Nothing
 * is ever written to a disk. A damaged zip member doesn't hide those behind it.
 */
enum archive_kind {
    ARCHIVE_NONE,
    ARCHIVE_ZIP,
    ARCHIVE_7Z,
    ARCHIVE_RAR,
    ARCHIVE_CAB,
    ARCHIVE_AR,
    ARCHIVE_TAR,
    ARCHIVE_COMPRESSED, /* what is inside shows when it is opened: a tar or a single file */
};
enum { ARCHIVE_SNIFF = 512 }; /* bytes that archive_sniff can use */

/* By the first bytes; fewer than ARCHIVE_SNIFF may miss a tar. */
enum archive_kind archive_sniff(const void *head, size_t len);
/* True for kinds that have their table at the end, so that a pipe has to be stored before. */
bool archive_kind_seeks(enum archive_kind kind);

struct members;

/* An archive in memory (a mapped file, a member of another archive), which must outlive m. */
int members_open_memory(struct members **m, enum archive_kind kind, const void *p, size_t len,
                        struct err *err);
int members_open_stream(struct members **m, enum archive_kind kind, byte_source *source, void *arg,
                        struct err *err);
/* The next regular file: 1, 0 at the end, -1 when the archive cannot be read any further. */
int members_next(struct members *m, struct err *err);
/* Path as stored, in UTF-8 or, failing that, the bytes that stand there; "" for a single compressed
 * file. */
const char *members_name(const struct members *m);
/* Up to n bytes of the member's content; 0 at its end, -1 when it is damaged. */
ssize_t members_read(struct members *m, void *p, size_t n, struct err *err);
/* Bytes of the archive that have been used so far. */
uint64_t members_consumed(const struct members *m);
void members_close(struct members *m); /* NULL is allowed */

#endif
