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
 * Record number `row` of a stream of that kind as JSON Lines, which ft-pack reads:
 * {"row","index","part","id","source","weight","bytes","ids","trained"} for each document, of
 * STREAM_LABEL with "label"; and of a preference {"row","index","id","source","weight",
 * "chosen":{"bytes","ids","trained"},"rejected":{...}}. texts [documents] go in as "text" beside
 * the ids, unless NULL.
 */
void stream_list_record(struct buf *out, const struct stream_record *r, enum stream_kind kind,
                        uint64_t row, const struct buf *texts);

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
