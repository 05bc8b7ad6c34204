/*
 * stream_listing: token streams and shards as people and other programs read them: a header as
 * lines, documents as JSON Lines, statistics as a table.
 */
#ifndef FORMATS_STREAM_LISTING_H
#define FORMATS_STREAM_LISTING_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "formats/stream.h"

/* "key  value" lines. */
void stream_list_header(struct buf *out, const struct stream_header *h);

/*
 * {"row","index","part","id","source","weight","bytes","ids","trained"} and a newline: document i
 * of a record, whose tokens begin at `at` and which is record number `row`. ft-pack reads such
 * lines. `text`, of text_len bytes, goes in as "text" unless it is NULL.
 */
void stream_list_document(struct buf *out, const struct stream_record *r, size_t i, size_t at,
                          uint64_t row, const char *text, size_t text_len);

struct stream_stats {
    struct stream_totals totals;
    uint64_t parts;           /* documents that are a later part of one */
    uint64_t capacity;        /* tokens that the rows of shards could hold */
    uint32_t *lengths, *rows; /* of every document and every record */
    size_t n, cap, n_rows, rows_cap;
};

void stream_stats_init(struct stream_stats *s);
void stream_stats_release(struct stream_stats *s);
void stream_stats_add(struct stream_stats *s, const struct stream_header *h,
                      const struct stream_record *r);
/* Sorts the lengths, then adds the table. */
void stream_stats_list(struct stream_stats *s, struct buf *out);

#endif
