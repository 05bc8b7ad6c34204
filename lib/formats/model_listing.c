#include "formats/model_listing.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "formats/dtype.h"
#include "formats/json.h"

enum { MAX_ELEMENTS = 16, MAX_TEXT = 200 }; /* shown of an array, of a string */

static void add_text(struct buf *out, const char *p, size_t len)
{
    if (len <= MAX_TEXT) {
        json_add_string(out, p, len);
        return;
    }
    size_t shown = MAX_TEXT;
    while (shown && ((unsigned char)p[shown] & 0xc0) == 0x80)
        shown--; /* not through a character */
    struct buf b = BUF_INIT;
    buf_add(&b, p, shown);
    buf_addf(&b, "... (%zu bytes)", len);
    json_add_string(out, b.p, b.len);
    buf_release(&b);
}

static void add_scalar(struct buf *out, const struct gguf_value *v)
{
    switch (v->type) {
    case GGUF_BOOL:
        buf_addstr(out, v->u ? "true" : "false");
        break;
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64:
        buf_addu(out, v->u);
        break;
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64:
        buf_addf(out, "%" PRId64, v->i);
        break;
    case GGUF_F32:
        if (isfinite(v->f)) /* in as few digits as a float needs */
            buf_addf(out, "%.9g", v->f);
        else
            buf_addstr(out, "null");
        break;
    case GGUF_F64:
        json_add_real(out, v->f);
        break;
    default:
        add_text(out, v->s.p, v->s.len);
    }
}

static void add_array(struct buf *out, const struct gguf_value *v)
{
    buf_addch(out, '[');
    for (size_t i = 0; i < v->n && i < MAX_ELEMENTS; i++) {
        if (i)
            buf_addch(out, ',');
        if (v->element == GGUF_STRING)
            add_text(out, v->strings[i].p, v->strings[i].len);
        else if (v->element == GGUF_F32 || v->element == GGUF_F64)
            json_add_real(out, gguf_array_number(v, i));
        else
            buf_addf(out, "%.0f", gguf_array_number(v, i));
    }
    if (v->n > MAX_ELEMENTS)
        buf_addf(out, ",\"... (%zu elements)\"", v->n);
    buf_addch(out, ']');
}

static void begin_entry(struct buf *out, const char *key, size_t len, bool json)
{
    if (json) {
        buf_addstr(out, "{\"key\":");
        json_add_string(out, key, len);
        buf_addstr(out, ",\"value\":");
    } else {
        buf_add(out, key, len);
        buf_addstr(out, " = ");
    }
}

void model_list_gguf_metadata(struct buf *out, const struct gguf *g, bool json)
{
    for (size_t i = 0; i < gguf_count(g); i++) {
        const struct gguf_value *v = gguf_at(g, i);
        begin_entry(out, v->key.p, v->key.len, json);
        if (v->type == GGUF_ARRAY)
            add_array(out, v);
        else
            add_scalar(out, v);
        buf_addstr(out, json ? "}\n" : "\n");
    }
}

void model_list_json_metadata(struct buf *out, const json_t *object, bool json)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        begin_entry(out, key, strlen(key), json);
        json_add(out, value);
        buf_addstr(out, json ? "}\n" : "\n");
    }
}

void model_list_tensor(struct buf *out, const struct tensor *t, bool json)
{
    struct buf shape = BUF_INIT;
    for (size_t d = 0; d < t->n_dims; d++)
        buf_addf(&shape, "%s%" PRIu64, d ? "," : "", t->shape[d]);
    if (json) {
        buf_addstr(out, "{\"name\":");
        json_add_string(out, t->name, strlen(t->name));
        buf_addf(out, ",\"dtype\":\"%s\",\"shape\":[%s],\"bytes\":%zu}\n", dtypes[t->dtype].name,
                 shape.p, t->bytes);
    } else {
        buf_addf(out, "%-64s %-6s [%s] %zu\n", t->name, dtypes[t->dtype].name, shape.p, t->bytes);
    }
    buf_release(&shape);
}

int model_check_tensor(const struct tensor *t, struct err *err)
{
    enum { CHUNK = 4096 }; /* numbers; whole blocks of every type */
    float numbers[CHUNK];
    const struct dtype_info *info = &dtypes[t->dtype];
    size_t total = t->bytes / info->block_bytes * info->block;
    for (size_t at = 0; at < total; at += CHUNK) {
        size_t n = total - at < CHUNK ? total - at : CHUNK;
        info->to_float((const char *)t->data + at / info->block * info->block_bytes, numbers, n);
        for (size_t i = 0; i < n; i++)
            if (!isfinite(numbers[i]))
                return err_set(err, "%s: tensor %s: number %zu is %g", t->file, t->name, at + i,
                               (double)numbers[i]);
    }
    return 0;
}
