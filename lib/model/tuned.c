#include "model/tuned.h"

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
