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

int input_open(struct input **in, const char *path, struct err *err);
/* An input over bytes in memory (not copied), for members of archives and tests. */
int input_open_memory(struct input **in, const char *name, const void *p, size_t len, struct err *err);
/* Up to n bytes; fewer only when that is what has arrived. 0 at the end, -1 on failure. */
ssize_t input_read(struct input *in, void *p, size_t n, struct err *err);
/* The next byte, which stays there: 1, 0 at the end, -1. */
int input_peek(struct input *in, uint8_t *byte, struct err *err);
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
int output_write(struct output *out, const void *p, size_t len, struct err *err);
/* Everything written so far reaches the pipe, where the output is not compressed. */
int output_flush(struct output *out, struct err *err);
int output_commit(struct output *out, struct err *err); /* frees out, also on failure */
void output_abandon(struct output *out);                /* frees out; NULL is allowed */

#endif
