/* Any bytes as a stream: an error or records that keep every promise, never more. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "formats/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input *in;
    struct stream_reader *r;
    struct stream_record record;
    struct err err;
    if (input_open_memory(&in, "fuzz", data, size, &err) || stream_reader_open_input(&r, in, &err))
        return 0;
    stream_record_init(&record);
    while (stream_read(r, &record, &err) > 0)
        if (stream_record_check(&record, stream_reader_header(r), &err))
            abort();
    stream_record_release(&record);
    stream_reader_close(r);
    return 0;
}
