/*
 * protobuf: the wire format of Protocol Buffers, field by field, without a schema
 * (developers.google.com/protocol-buffers, "Encoding").
 */
#ifndef FORMATS_PROTOBUF_H
#define FORMATS_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mapfile.h"

enum protobuf_wire { PROTOBUF_VARINT = 0, PROTOBUF_64 = 1, PROTOBUF_BYTES = 2, PROTOBUF_32 = 5 };

struct protobuf_field {
    uint32_t number;
    enum protobuf_wire wire;
    uint64_t value;   /* of a number, as it stands there */
    const uint8_t *p; /* [len] a view, of PROTOBUF_BYTES */
    size_t len;
};

/* The next field of a message: 1, 0 at its end, -1 where it's none or cut off. */
int protobuf_next(struct cursor *message, struct protobuf_field *f, struct err *err);

/* A field's value as its type in the schema has it; 0 or false where the wire is another. */
bool protobuf_bool(const struct protobuf_field *f);
int32_t protobuf_int32(const struct protobuf_field *f);
float protobuf_float(const struct protobuf_field *f);

#endif
