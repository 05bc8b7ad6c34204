/* Text in any encoding: what comes out is UTF-8, and the guess is an encoding there is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/encoding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    struct buf out = BUF_INIT;
    struct encoding how;
    encoding_is_binary(p, size);
    if (!encoding_is_known(encoding_guess(p, size)))
        abort();
    encoding_decode(&out, p, size, NULL, NULL, &how);
    encoding_decode(&out, p, size, size > 8 ? "Shift_JIS" : "utf-7", "ISO-2022-JP", &how);
    if (!*how.name || !utf8_is_valid(out.p, out.len))
        abort();
    buf_release(&out);
    return 0;
}
