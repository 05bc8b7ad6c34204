/* Any bytes as a chat template, with messages: an error or a rendering whose spans cover it. */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "text/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char variables[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\"\"},"
    "{\"role\":\"assistant\",\"content\":\"  \\u00e9\\u4e2d\\n x \",\"tool_calls\":[{\"type\":\"function\","
    "\"id\":\"abcdef123\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1.5,\"y\":[null,true,-7]}}}]},"
    "{\"role\":\"tool\",\"content\":\"7\"}],\"tools\":[{\"function\":{\"name\":\"f\"}}],"
    "\"documents\":null,\"add_generation_prompt\":true,\"bos_token\":\"<s>\",\"eos_token\":\"</s>\"}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *v;
    struct template *t;
    struct template_rendering r;
    struct err err;
    if (!v)
        v = json_loads(variables, 0, NULL);
    if (template_compile(&t, "fuzz", (const char *)data, size, &err))
        return 0;
    template_rendering_init(&r);
    if (!template_render(t, v, &r, &err)) {
        size_t at = 0;
        for (size_t i = 0; i < r.n_spans; i++) {
            if (r.spans[i].start != at || r.spans[i].end < at || r.spans[i].message > 3)
                abort();
            at = r.spans[i].end;
        }
        if (at != r.text.len)
            abort();
    }
    template_rendering_release(&r);
    template_free(t);
    return 0;
}
