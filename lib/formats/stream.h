/*
 * stream: ft-stream(5), the token stream and the shard.
 *
 * A stream is a sequence of segments; a segment is a header map, records, and a trailer map, all
 * msgpack objects, so that the concatenation of streams is a stream. A segment without its trailer
 * was cut off, which is an error. msgpack-c is used in stream_*.c only.
 *
 * The bytes are a function of the content. A reader holds one record in memory and checks
 * everything: sizes before it allocates, ids, lengths, counts, and the checksum of each segment.
 */
#ifndef FORMATS_STREAM_H
#define FORMATS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "formats/archive.h"

/* What a record may hold; a reader refuses more before it allocates for it. */
enum {
    STREAM_MAX_TOKENS = 1 << 26,
    STREAM_MAX_DOCUMENTS = 1 << 20,
    STREAM_MAX_STRING = 1 << 16, /* bytes of an id, a source, a line of provenance */
};

enum stream_kind {
    STREAM_TOKENS, /* one document a record, of any length */
    STREAM_SHARD,  /* packed rows: one or more whole documents a record, at most `length` tokens */
    /* What preferences are learnt from. A document is a prompt, none of whose tokens is trained,
     * and a completion, which begins with the first trained one. */
    STREAM_PREFERENCE, /* two documents a record: the chosen, then the rejected */
    STREAM_LABEL,      /* one document a record, with its label */
};

struct stream_header {
    enum stream_kind kind;
    char tokenizer[HASH_HEX];     /* hash of the vocabulary; "" when the model had no tokenizer */
    char template_hash[HASH_HEX]; /* hash of the chat template; "" when none was used */
    uint32_t vocab_size;          /* every id is below it */
    int64_t bos, eos;             /* -1: none */
    uint32_t length;              /* shard: the longest a row may be; preference, label: the longest
                                     a document may be, 0 before ft-pack; tokens: 0 */
    char **provenance;            /* one line for each program that made it, oldest first */
    size_t n_provenance;
};

/* One document inside a record. */
struct stream_document {
    size_t n_tokens;
    uint64_t text_bytes; /* bytes of text behind the tokens, for bits per byte; 0 unknown */
    char *id;            /* NULL: none */
    char *source;        /* NULL: none */
    double weight;       /* what its loss is multiplied by; 1 unless given */
    double *weights;     /* [n_tokens]: what the loss of each of its tokens is multiplied by besides;
                            NULL: all 1. That of an untrained token says nothing and is 1 */
    bool label;          /* STREAM_LABEL: the completion is as it should be */
    uint64_t part;       /* which part of an over-long document that was split, from 0; a later part
                            begins with the last token of the one before it, as context */
    uint64_t index;      /* the document's place in the input, from 0; its parts share it. Ids need
                            not be unique, but (index, part) is: the reader numbers where the stream
                            doesn't, and counts on from segment to segment. Both documents of a
                            preference have the same. Written where `length` isn't 0 */
};

extern const char *const stream_kind_names[]; /* by enum stream_kind, NULL-terminated */

/* Documents that belong together: 2 of a preference, else 1. */
size_t stream_kind_group(enum stream_kind kind);

/* A record owns its arrays; record_clear keeps them for reuse. */
struct stream_record {
    uint32_t *ids;    /* [n] */
    uint8_t *trained; /* [n], 0 or 1: whether the token is one to learn (never the first of a
                         document, which nothing predicts) */
    size_t n, cap;
    struct stream_document *documents; /* their n_tokens add up to n */
    size_t n_documents, documents_cap;
};

void stream_header_init(struct stream_header *h);
void stream_header_release(struct stream_header *h);
void stream_header_copy(struct stream_header *to, const struct stream_header *from);
void stream_header_add_provenance(struct stream_header *h, const char *line);

void stream_record_init(struct stream_record *r);
void stream_record_release(struct stream_record *r);
void stream_record_clear(struct stream_record *r);
/* Zeros, but weight 1. */
void stream_document_init(struct stream_document *d);
/* Appends a document of n > 0 tokens; trained may be NULL for all but the first token, and
 * trained[0] counts as 0. id, source and weights are copied; document->n_tokens is not looked at. */
void stream_record_add(struct stream_record *r, const uint32_t *ids, const uint8_t *trained,
                       size_t n, const struct stream_document *document);

/* Tokens before the first trained one of n: of a document of STREAM_PREFERENCE or STREAM_LABEL, its
 * prompt. n if there is none. */
size_t stream_prompt_tokens(const uint8_t *trained, size_t n);

/* Whether the record keeps every promise of this header and of the record's own arrays. */
int stream_record_check(const struct stream_record *r, const struct stream_header *h,
                        struct err *err);

/* What a trailer holds; also kept while reading and writing. */
struct stream_totals {
    uint64_t records, documents, tokens, trained, text_bytes;
};

void stream_totals_add(struct stream_totals *t, const struct stream_record *r);

struct stream_writer;

/* path as for output_open: NULL or "-" is stdout, compressed by suffix. */
int stream_writer_open(struct stream_writer **w, const char *path, const struct stream_header *h,
                       struct err *err);
/* Checks the record against the header (ids in range, lengths, first tokens) and writes it. */
int stream_write(struct stream_writer *w, const struct stream_record *r, struct err *err);
struct stream_totals stream_writer_totals(const struct stream_writer *w);
int stream_writer_finish(struct stream_writer *w, struct err *err); /* trailer, commit; frees w */
void stream_writer_abandon(struct stream_writer *w);

struct stream_reader;

/* Reads the first header. path NULL or "-" is stdin. An input of no bytes at all is an error. */
int stream_reader_open(struct stream_reader **r, const char *path, struct err *err);
/* The same on an open input, which the reader takes over, also when this fails. */
int stream_reader_open_input(struct stream_reader **r, struct input *in, struct err *err);
/* Whether the first byte of an input can begin a stream (JSON Lines begin otherwise). */
bool stream_begins_with(uint8_t byte);
/* Of the segment that the last record came from (the first one before any). */
const struct stream_header *stream_reader_header(const struct stream_reader *r);
uint64_t stream_reader_segment(const struct stream_reader *r); /* its number, from 0 */
/* 1 and a record, 0 at a clean end (last trailer checked), -1. Segments of different kinds,
 * tokenizers, vocabulary sizes, bos or eos don't mix. Errors name the file, the record and its byte
 * in the (uncompressed) stream. */
int stream_read(struct stream_reader *r, struct stream_record *record, struct err *err);
struct stream_totals
stream_reader_totals(const struct stream_reader *r); /* over all segments so far */
/* Hash of everything read so far, records only: the same however the stream was cut or compressed.
 */
void stream_reader_hash(const struct stream_reader *r, char hex[HASH_HEX]);
void stream_reader_close(struct stream_reader *r); /* NULL is allowed */

#endif
