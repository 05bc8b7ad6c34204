/*
 * stream_format: what the reader and the writer of ft-stream(5) share. Private to stream_*.c, the
 * only files that use msgpack-c.
 */
#ifndef FORMATS_STREAM_FORMAT_H
#define FORMATS_STREAM_FORMAT_H

#include <msgpack.h>

#include "formats/stream.h"

enum { STREAM_FORMAT_VERSION = 1 };
#define STREAM_FORMAT_NAME "ft-stream"

/* Typed arrays: the ext type is the width of an element in bytes, little-endian. */
enum { STREAM_EXT_U16 = 2, STREAM_EXT_U32 = 4 };

/* Bytes of one msgpack object. */
enum { STREAM_MAX_HEADER = 1 << 24, STREAM_MAX_RECORD = 1 << 30 };
/* Objects inside one object: every column full. msgpack-c takes 24 bytes for each. */
enum { STREAM_MAX_ELEMENTS = 8 * STREAM_MAX_DOCUMENTS };

/* Per-document columns of a record. One that says nothing (all zero, all nil, all 1) is left out;
 * labels are there in streams of them, and only there. */
enum stream_column {
    COLUMN_LENGTHS,
    COLUMN_INDEX,
    COLUMN_PART,
    COLUMN_BYTES,
    COLUMN_WEIGHT,
    COLUMN_WEIGHTS,
    COLUMN_LABEL,
    COLUMN_ID,
    COLUMN_SOURCE,
    N_COLUMNS,
};
extern const char *const stream_column_names[N_COLUMNS];

/* What a segment has come to so far. */
struct stream_segment {
    struct stream_totals totals;
    struct hash *hash; /* of all its bytes before the trailer */
};

int stream_header_check(const struct stream_header *h, struct err *err);

/* Where the run of equal weights that begins at `at` ends. */
size_t stream_weights_run(const struct stream_document *d, size_t at);
/* Makes the weights of what isn't trained 1, and drops them where all are. */
void stream_weights_reduce(struct stream_document *d, const uint8_t *trained);

/*
 * The bytes that the msgpack object at p[len] takes, exactly if that is at most len, else a lower
 * bound; 0 if it can't be one of a stream. msgpack-c allocates for an array as many elements as its
 * length says, so no length reaches it before it was seen to fit here.
 */
uint64_t stream_object_size(const uint8_t *p, size_t len);

enum stream_object {
    STREAM_OBJECT_HEADER,
    STREAM_OBJECT_RECORD,
    STREAM_OBJECT_TRAILER,
    STREAM_OBJECT_OTHER
};
enum stream_object stream_object_kind(const msgpack_object *o);

/* Each fills `out` and checks it; an error says what of the object is wrong, not where it is. */
int stream_parse_header(const msgpack_object *o, struct stream_header *out, struct err *err);
int stream_parse_record(const msgpack_object *o, const struct stream_header *h,
                        struct stream_record *out, bool *has_index, struct err *err);
int stream_parse_trailer(const msgpack_object *o, const struct stream_segment *s, struct err *err);

#endif
