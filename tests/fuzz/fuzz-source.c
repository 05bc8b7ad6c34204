/* Any bytes as a file of documents: the first byte says in which form. What comes out is a line
 * each. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/document_source.h"
#include "formats/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct document_source *s, bool json)
{
    struct document_place place;
    struct document d;
    struct buf text = BUF_INIT;
    struct err err;
    document_init(&d);
    while (document_source_next(s, &text, &place, &err) > 0) {
        if (strlen(place.file) == 0 || (json && memchr(text.p, '\n', text.len)))
            abort();
        json_t *value = json ? json_parse(text.p, text.len, &err) : NULL;
        if (value)
            document_from_json(&d, value, NULL, &err);
        json_decref(value);
    }
    document_release(&d);
    buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct document_field field = {"weight", "w"};
    static const struct document_fields fields = {&field, 1};
    struct document_source *s;
    struct input *in;
    struct err err;
    if (!size)
        return 0;
    enum document_format format = (enum document_format)(data[0] % (DOCUMENT_FILE + 1));
    if (!input_open_memory(&in, "fuzz", data + 1, size - 1, &err) &&
        !document_source_open(&s, in, format, data[0] & 64 ? &fields : NULL, &err)) {
        read_all(s, !document_format_is_text(format));
        document_source_close(s);
    }
    return 0;
}
