/* How a merged model was made. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/program.h"
#include "model/merge.h"

static void add_before(struct buf *b, const struct checkpoint *c)
{
    size_t len;
    const char *before = checkpoint_metadata(c, MERGE_PROVENANCE, &len);
    if (!before)
        return;
    buf_add(b, before, len);
    buf_addch(b, '\n');
}

char *merge_provenance(const struct merge *m, const char *arguments)
{
    struct buf b = BUF_INIT;
    char hex[HASH_HEX];
    add_before(&b, m->base);
    for (size_t i = 0; i < m->n_models; i++)
        add_before(&b, m->models[i].checkpoint);
    for (size_t i = 0; i < m->n_adapters; i++) {
        const struct merge_adapter *a = &m->adapters[i];
        const char *text =
            a->gguf ? adapter_gguf_provenance(a->gguf) : adapter_provenance(a->adapter);
        if (text)
            buf_addf(&b, "%s\n", text);
    }
    checkpoint_hash(m->base, m->pool, hex);
    buf_addf(&b, "ft-merge %s%s base=%s", TUNEUTILS_VERSION, arguments, hex);
    for (size_t i = 0; i < m->n_adapters; i++) {
        if (m->adapters[i].gguf)
            adapter_gguf_hash(m->adapters[i].gguf, hex);
        else
            adapter_hash(m->adapters[i].adapter, hex);
        buf_addf(&b, " adapter=%s:%.9g", hex, m->adapters[i].weight);
    }
    for (size_t i = 0; i < m->n_models; i++) {
        checkpoint_hash(m->models[i].checkpoint, m->pool, hex);
        buf_addf(&b, " with=%s:%.9g", hex, m->models[i].weight);
    }
    return buf_detach(&b, NULL);
}
