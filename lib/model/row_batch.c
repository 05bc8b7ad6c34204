#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "model/rows_internal.h"

void row_batch_init(struct row_batch *b)
{
    *b = (struct row_batch){.names = BUF_INIT};
}

void row_batch_release(struct row_batch *b)
{
    free(b->ids);
    free(b->trained);
    free(b->token_weights);
    free(b->own_weights);
    free(b->lengths);
    free(b->weights);
    free(b->labels);
    buf_release(&b->names);
    row_batch_init(b);
}

void row_batch_clear(struct row_batch *b)
{
    b->n = b->n_documents = 0;
    b->weighted = false;
    buf_clear(&b->names);
}

static void reserve(struct row_batch *b, size_t tokens, size_t documents)
{
    if (b->n + tokens > b->cap) {
        b->cap = b->n + tokens;
        b->ids = xreallocarray(b->ids, b->cap, sizeof *b->ids);
        b->trained = xreallocarray(b->trained, b->cap, sizeof *b->trained);
        b->token_weights = xreallocarray(b->token_weights, b->cap, sizeof *b->token_weights);
        b->own_weights = xreallocarray(b->own_weights, b->cap, sizeof *b->own_weights);
    }
    if (b->n_documents + documents > b->documents_cap) {
        b->documents_cap = b->n_documents + documents;
        b->lengths = xreallocarray(b->lengths, b->documents_cap, sizeof *b->lengths);
        b->weights = xreallocarray(b->weights, b->documents_cap, sizeof *b->weights);
        b->labels = xreallocarray(b->labels, b->documents_cap, sizeof *b->labels);
    }
}

int rows_read_at(const struct rows *r, uint64_t offset, void *p, size_t len, struct err *err)
{
    return fd_read_at(r->fd, offset, p, len)
               ? err_errno(err, "reading the rows back from the temporary file")
               : 0;
}

/* A preference's weight is not its tokens'. own [length]: the tokens' own weights, NULL: all 1. */
static void add_document(struct row_batch *b, uint32_t length, const double *own, bool preference)
{
    const double weight = preference ? 1 : b->weights[b->n_documents];
    b->weighted = b->weighted || weight != 1 || own;
    b->lengths[b->n_documents++] = length;
    for (uint32_t t = 0; t < length; t++)
        b->token_weights[b->n++] = (float)(own ? weight * own[t] : weight);
}

int row_batch_add(struct row_batch *b, const struct rows *r, size_t row, struct err *err)
{
    const struct row *at = &r->index[row];
    size_t lengths_bytes = at->documents * sizeof(uint32_t);
    uint32_t *lengths = xmalloc(lengths_bytes);
    reserve(b, at->tokens, at->documents);
    const double *own = at->has_token_weights ? b->own_weights : NULL;
    buf_reserve(&b->names, at->name_bytes);
    const struct {
        void *p;
        size_t bytes;
    } parts[] = {{b->ids + b->n, at->tokens * sizeof *b->ids},
                 {b->trained + b->n, at->tokens},
                 {b->own_weights, own ? at->tokens * sizeof *own : 0},
                 {lengths, lengths_bytes},
                 {b->weights + b->n_documents, at->documents * sizeof *b->weights},
                 {b->labels + b->n_documents, at->documents},
                 {b->names.p + b->names.len, at->name_bytes}};
    uint64_t offset = at->offset;
    int status = 0;
    for (size_t i = 0; i < ARRAY_SIZE(parts) && !status; offset += parts[i++].bytes)
        status = rows_read_at(r, offset, parts[i].p, parts[i].bytes, err);
    if (!status) {
        for (size_t i = 0; i < at->documents; i++) {
            add_document(b, lengths[i], own, r->kind != STREAM_SHARD);
            own = own ? own + lengths[i] : NULL;
        }
        b->names.len += at->name_bytes;
    }
    b->names.p[b->names.len] = 0;
    free(lengths);
    return status;
}

/* The document at the end, which begins with token `start`, gets the completion of the one behind
 * it instead of its own. */
static void exchange_completion(struct row_batch *b, size_t start)
{
    const size_t own = b->lengths[b->n_documents - 2], other = b->lengths[b->n_documents - 1];
    const size_t prompt = stream_prompt_tokens(b->trained + start, own);
    const size_t from = start + own + stream_prompt_tokens(b->trained + start + own, other);
    const size_t completion = b->n - from;
    memmove(b->ids + start + prompt, b->ids + from, completion * sizeof *b->ids);
    memmove(b->trained + start + prompt, b->trained + from, completion);
    b->n = start + prompt + completion;
    b->lengths[--b->n_documents - 1] = prompt + completion;
}

int row_batch_add_mismatched(struct row_batch *b, const struct rows *r, size_t row, size_t other,
                             struct err *err)
{
    const size_t start = b->n, names = b->names.len;
    if (row_batch_add(b, r, row, err))
        return -1;
    const size_t name_bytes = b->names.len - names;
    if (row_batch_add(b, r, other, err))
        return -1;
    exchange_completion(b, start);
    b->names.len = names + name_bytes;
    return 0;
}

struct batch row_batch_view(const struct row_batch *b)
{
    return (struct batch){.ids = b->ids,
                          .trained = b->trained,
                          .n = b->n,
                          .lengths = b->lengths,
                          .n_documents = b->n_documents,
                          .weights = b->weighted ? b->token_weights : NULL};
}

const char *row_batch_name(const struct row_batch *b, size_t document)
{
    const char *name = b->names.p;
    while (document--)
        name += strlen(name) + 1;
    return name;
}
