/* RTF files. */
#include <stdint.h>

#include "base/mem.h"
#include "check_text.h"
#include "text/extract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prose_text t;
    struct err err = {.msg = ""};
    prose_text_init(&t);
    if (extract_rtf(&t, (const char *)data, size, &err) == 0)
        check_text(&t);
    else if (!*err.msg)
        abort();
    prose_text_release(&t);
    return 0;
}
