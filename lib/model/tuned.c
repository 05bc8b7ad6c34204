#include "model/tuned.h"

#include <string.h>

#include "base/mem.h"

int tuned_open(struct tuned *t, const struct tuned_request *request, struct err *err)
{
    const struct decoder_options how = {.backend = (enum backend)request->backend,
                                        .base_type = (enum base_type)request->base_type,
                                        .threads = request->threads};
    *t = (struct tuned){0};
    if (checkpoint_open(&t->checkpoint, request->model, err) ||
        decoder_open(&t->decoder, t->checkpoint, &how, err))
        return -1;
    return adapter_mix_load(&t->adapter, request->adapters, request->n_adapters,
                            decoder_config(t->decoder), err);
}

void tuned_close(struct tuned *t)
{
    lora_free(t->adapter);
    decoder_close(t->decoder);
    checkpoint_close(t->checkpoint);
    *t = (struct tuned){0};
}

int64_t tuned_bos(const struct tokenizer *t)
{
    struct err err;
    struct token_list list = {0};
    struct tokenizer_scratch *scratch = tokenizer_scratch_new(t);
    int64_t first = -1;
    if (!tokenizer_encode(t, scratch, "a", 1, TOKENIZER_ADD_SPECIAL, &list, &err) && list.n)
        first = (int64_t)list.ids[0];
    tokenizer_scratch_free(scratch);
    token_list_release(&list);
    return first >= 0 && first == tokenizer_bos(t) ? first : -1;
}

uint32_t *tuned_end_ids(const struct tuned *t, const struct tokenizer *tokenizer, size_t *n)
{
    const uint32_t *known = NULL;
    const json_t *eos = json_object_get(checkpoint_config(t->checkpoint), "eos_token_id");
    size_t n_known = tokenizer ? tokenizer_end_ids(tokenizer, &known) : 0;
    uint32_t *all = xcalloc(n_known + json_array_size(eos) + 1, sizeof *all);
    if (n_known)
        memcpy(all, known, n_known * sizeof *all);
    *n = n_known;
    for (size_t i = 0; i < json_array_size(eos); i++)
        if (json_integer_value(json_array_get(eos, i)) >= 0)
            all[(*n)++] = (uint32_t)json_integer_value(json_array_get(eos, i));
    if (decoder_config(t->decoder)->eos >= 0)
        all[(*n)++] = (uint32_t)decoder_config(t->decoder)->eos;
    return all;
}
