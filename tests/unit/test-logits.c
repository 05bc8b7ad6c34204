/* Distributions in a file: how near a row comes back, and files that are cut off or changed
 * anywhere. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "formats/logits.h"
#include "tap.h"

enum { VOCAB = 37, PIECES = 3 };
static char path[64];
static const size_t rows_of[PIECES] = {2, 1, 3};

static void make_row(size_t k, float *logits, double *log_sum)
{
    double sum = 0;
    for (size_t i = 0; i < VOCAB; i++) {
        logits[i] = (float)sin((double)(k * 131 + i * 17)) * 9;
        sum += exp((double)logits[i]);
    }
    *log_sum = log(sum);
}

static int write_file(struct err *err)
{
    struct logits_header h = {.vocab = VOCAB, .tokenizer = "0123456789abcdef0123456789abcdef"};
    struct logits_writer *w;
    uint8_t row[12 + 2 * VOCAB];
    float logits[VOCAB];
    double log_sum;
    size_t k = 0;
    if (logits_writer_open(&w, path, &h, err))
        return -1;
    for (size_t piece = 0; piece < PIECES; piece++) {
        if (logits_write_piece(w, 1000 + piece, rows_of[piece], err))
            return -1;
        for (size_t i = 0; i < rows_of[piece]; i++, k++) {
            make_row(k, logits, &log_sum);
            logits_row_encode(logits, VOCAB, log_sum, (uint32_t)k, row);
            if (logits_write_rows(w, row, 1, err))
                return -1;
        }
    }
    return logits_writer_commit(w, err);
}

/* Everything that the file must have; *worst: the largest difference of a log p. */
static int read_file(float *worst, struct err *err)
{
    struct logits_reader *r;
    uint8_t row[12 + 2 * VOCAB];
    float logits[VOCAB], want[VOCAB], logprob;
    double log_sum;
    size_t k = 0;
    if (logits_reader_open(&r, path, err))
        return -1;
    int status = logits_reader_header(r)->vocab == VOCAB ? 0 : err_set(err, "vocabulary");
    for (size_t piece = 0; piece < PIECES && !status; piece++) {
        status = logits_read_piece(r, 1000 + piece, rows_of[piece], err);
        for (size_t i = 0; i < rows_of[piece] && !status; i++, k++) {
            status = logits_read_rows(r, row, 1, err);
            if (status)
                break;
            logits_row_decode(row, VOCAB, logits, &logprob);
            make_row(k, want, &log_sum);
            for (size_t v = 0; v < VOCAB; v++)
                *worst = fmaxf(*worst, fabsf(logits[v] - (float)((double)want[v] - log_sum)));
            *worst = fmaxf(*worst, fabsf(logprob - (float)((double)want[k] - log_sum)));
        }
    }
    if (!status)
        status = logits_read_end(r, err);
    logits_reader_close(r);
    return status;
}

static void test_file(void)
{
    struct err err;
    float worst = 0;
    tap_ok(!write_file(&err), "writes");
    tap_ok(!read_file(&worst, &err), "reads back");
    tap_ok(worst < 3e-4f, "log p within half a level of a range of 24 and less"); /* 24 / 65535 */
}

static void test_row(void)
{
    float logits[] = {0, -100, -5, 1}, back[4], logprob;
    uint8_t row[12 + 8];
    logits_row_encode(logits, 4, 0, 2, row);
    logits_row_decode(row, 4, back, &logprob);
    tap_ok(fabsf(back[1] + 23) < 1e-3f, "what is unlikely is 24 below the likeliest");
    tap_ok(logprob == -5, "the target's is exact");
    float same[] = {3, 3};
    logits_row_encode(same, 2, 3 + log(2), 0, row);
    logits_row_decode(row, 2, back, &logprob);
    tap_ok(fabsf(back[0] - back[1]) == 0 && fabsf(back[0] + (float)log(2)) < 1e-3f, "all the same");
}

/* The whole file, changed by `change` at each byte, must not be read. */
static void test_damage(void)
{
    struct err err;
    size_t cut = 0, changed = 0, n;
    float worst = 0;
    char *copy = file_read(path, 1 << 20, &n, &err);
    if (!copy) {
        tap_ok(false, "the file: %s", err.msg);
        return;
    }
    for (size_t at = 0; at < n; at++) {
        FILE *f = fopen(path, "wb");
        fwrite(copy, 1, at, f);
        fclose(f);
        cut += read_file(&worst, &err) != 0;
        f = fopen(path, "wb");
        copy[at] = (char)(copy[at] ^ 0x55);
        fwrite(copy, 1, n, f);
        copy[at] = (char)(copy[at] ^ 0x55);
        fclose(f);
        changed += read_file(&worst, &err) != 0;
    }
    tap_ok(cut == n, "cut off at any byte");
    tap_ok(changed == n, "changed at any byte");
    free(copy);
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/test-logits.%ld", (long)getpid());
    test_file();
    test_row();
    test_damage();
    unlink(path);
    return tap_done();
}
