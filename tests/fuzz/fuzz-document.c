/* Any bytes as a line of documents: an error or a document in the form that its shape promises. */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "formats/document.h"
#include "formats/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct document *d)
{
    if (d->shape == DOCUMENT_COMPLETION || d->shape == DOCUMENT_PROMPT)
        document_make_chat(d);
    for (size_t i = 0; d->shape == DOCUMENT_MESSAGES && i < json_array_size(d->messages); i++) {
        const json_t *m = json_array_get(d->messages, i);
        if (!json_is_string(json_object_get(m, "role")) || d->train[i] < TRAIN_DEFAULT ||
            d->train[i] > TRAIN_YES)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct document d;
    struct err err;
    json_t *value = json_parse((const char *)data, size, &err);
    if (!value)
        return 0;
    document_init(&d);
    if (!document_from_json(&d, value, NULL, &err)) {
        check(&d);
        for (size_t i = 0; i < d.n_answers; i++) {
            check(d.answers[i]);
            if (d.answers[i]->shape != DOCUMENT_MESSAGES || !d.answers[i]->n_prompt)
                abort();
        }
    }
    document_release(&d);
    json_decref(value);
    return 0;
}
