/* Any bytes as saved distributions: an error, or rows as many as asked for. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "formats/logits.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    struct logits_reader *r;
    struct err err;
    float logprob, *logits = NULL;
    int fd = memory_file(data, size, path);
    if (!logits_reader_open(&r, path, &err)) {
        size_t vocab = logits_reader_header(r)->vocab;
        uint8_t *row = vocab < 1 << 16 ? malloc(logits_row_size(vocab)) : NULL;
        logits = row ? malloc(vocab * sizeof *logits) : NULL;
        while (row && !logits_read_piece(r, 1000, 1, &err) && !logits_read_rows(r, row, 1, &err))
            logits_row_decode(row, vocab, logits, &logprob);
        logits_read_end(r, &err);
        free(row);
        logits_reader_close(r);
    }
    free(logits);
    close(fd);
    return 0;
}
