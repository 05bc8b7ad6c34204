/* Any bytes as a safetensors file: an error, or tensors that lie inside of it. */
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "formats/checkpoint.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32], hex[HASH_HEX];
    struct safetensors *s;
    struct err err;
    int fd = memory_file(data, size, path);
    if (!safetensors_open(&s, path, &err)) {
        for (size_t i = 0; i < safetensors_count(s); i++) {
            const struct tensor *t = safetensors_at(s, i);
            if (safetensors_find(s, t->name) != t)
                abort();
            hash_bytes_hex(t->data, t->bytes, hex);
        }
        safetensors_close(s);
    }
    close(fd);
    return 0;
}
