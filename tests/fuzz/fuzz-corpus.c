/* Any bytes as an input of ft-pack, then cut and laid out in rows. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "formats/corpus.h"
#include "formats/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pack(const struct corpus *c)
{
    bool whole = c->header.kind != STREAM_TOKENS;
    size_t group = stream_kind_group(c->header.kind), n_documents = c->n_documents / group;
    struct pack_options how = {.length = 5, .overlong = whole ? OVERLONG_DROP : OVERLONG_SPLIT};
    struct pack_counts counts = {0};
    struct pack_piece *pieces;
    struct err err;
    size_t n, tokens = 0;
    uint32_t *documents = malloc((c->n_documents + 1) * sizeof *documents);
    for (size_t i = 0; i < n_documents; i++)
        documents[i] = (uint32_t)(i * group);
    if (pack_cut(c, documents, n_documents, &how, &pieces, &n, &counts, &err))
        abort();
    for (size_t i = 0; i < n; i++) {
        tokens += corpus_count_trained(c, pieces[i].document, pieces[i].start, pieces[i].n);
        if (pieces[i].n > how.length)
            abort();
    }
    for (size_t i = 0; i < c->n_documents && !whole; i++)
        tokens -= c->documents[i].n_trained;
    if (tokens && !whole) /* each trained token stays one, in one piece */
        abort();
    for (size_t i = 0; i < n; i++) /* and what belongs together stays so */
        if (whole && pieces[i].document != pieces[i - i % group].document + i % group)
            abort();
    if (pack_drop_repeated(c, documents, n_documents) > n_documents)
        abort();
    for (size_t i = 0; i < n_documents; i++)
        if (!(pack_split_position(c, i * group) < 1))
            abort();
    free(pieces);
    free(documents);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input *in;
    struct corpus c;
    struct stream_header h;
    struct err err;
    stream_header_init(&h);
    h.vocab_size = 300;
    corpus_init(&c);
    corpus_expect(&c, &h);
    if (!input_open_memory(&in, "fuzz", data, size, &err) && !corpus_read(&c, in, &err))
        pack(&c);
    corpus_release(&c);
    return 0;
}
