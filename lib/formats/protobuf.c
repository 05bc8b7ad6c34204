#include "formats/protobuf.h"

#include <string.h>

/* Seven bits a byte, the lowest first; the highest bit says that more come. */
static uint64_t read_varint(struct cursor *c)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cursor_u8(c);
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    c->failed = true;
    return 0;
}

int protobuf_next(struct cursor *c, struct protobuf_field *f, struct err *err)
{
    size_t at = cursor_offset(c);
    if (!cursor_left(c))
        return 0;
    uint64_t key = read_varint(c);
    *f = (struct protobuf_field){.number = (uint32_t)(key >> 3),
                                 .wire = (enum protobuf_wire)(key & 7)};
    if (!c->failed && (key >> 3 == 0 || key >> 3 > 0x1fffffff))
        return err_set(err, "byte %zu: field number %llu", at, (unsigned long long)(key >> 3));
    switch (key & 7) {
    case PROTOBUF_VARINT:
        f->value = read_varint(c);
        break;
    case PROTOBUF_64:
        f->value = cursor_u64(c);
        break;
    case PROTOBUF_32:
        f->value = cursor_u32(c);
        break;
    case PROTOBUF_BYTES:
        f->value = read_varint(c);
        f->p = cursor_bytes(c, f->value);
        f->len = f->p ? (size_t)f->value : 0;
        break;
    default:
        if (!c->failed)
            return err_set(err, "byte %zu: wire type %u", at, (unsigned)(key & 7));
    }
    return c->failed ? err_set(err, "byte %zu: cut off", at) : 1;
}

bool protobuf_bool(const struct protobuf_field *f)
{
    return f->wire == PROTOBUF_VARINT && f->value;
}

int32_t protobuf_int32(const struct protobuf_field *f)
{
    return f->wire == PROTOBUF_VARINT ? (int32_t)(uint32_t)f->value : 0;
}

float protobuf_float(const struct protobuf_field *f)
{
    uint32_t bits = (uint32_t)f->value;
    float value = 0;
    if (f->wire == PROTOBUF_32)
        memcpy(&value, &bits, sizeof value);
    return value;
}
