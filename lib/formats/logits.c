#include "formats/logits.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/archive.h"

enum {
    MAGIC_SIZE = 8,
    HEX = HASH_HEX - 1,
    HEADER_SIZE = MAGIC_SIZE + 8 + HEX, /* magic, version, vocabulary, tokenizer */
    PIECE_SIZE = 16,                    /* rows, 0, hash */
    ROW_HEAD = 12,                      /* lowest level, step, log p of the target */
    VERSION = 1,
    LEVELS = 65535,
};
static const char magic[MAGIC_SIZE + 1] = "ftlogits";
static const float depth = 24; /* nats below the largest that a row tells apart */

/* ---- numbers ---- */

static void put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_float(uint8_t *p, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_u32(p, bits);
}

static float get_float(const uint8_t *p)
{
    uint32_t bits = get_u32(p);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void put_u64(uint8_t *p, uint64_t v)
{
    put_u32(p, (uint32_t)v);
    put_u32(p + 4, (uint32_t)(v >> 32));
}

static uint64_t get_u64(const uint8_t *p)
{
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

/* ---- rows ---- */

size_t logits_row_size(size_t vocab)
{
    return ROW_HEAD + 2 * vocab;
}

void logits_row_encode(const float *logits, size_t vocab, double log_sum, uint32_t target,
                       void *row)
{
    uint8_t *p = row;
    float max = logits[0], min = logits[0];
    for (size_t i = 1; i < vocab; i++) {
        max = logits[i] > max ? logits[i] : max;
        min = logits[i] < min ? logits[i] : min;
    }
    min = min > max - depth ? min : max - depth;
    float step = (max - min) / LEVELS, scale = step > 0 ? 1 / step : 0;
    put_float(p, (float)((double)min - log_sum));
    put_float(p + 4, step);
    put_float(p + 8, (float)((double)logits[target] - log_sum));
    p += ROW_HEAD;
    for (size_t i = 0; i < vocab; i++) {
        float level = (logits[i] - min) * scale + 0.5f;
        uint16_t v = (uint16_t)(level > 0 ? level < LEVELS ? level : LEVELS : 0);
        p[2 * i] = (uint8_t)v;
        p[2 * i + 1] = (uint8_t)(v >> 8);
    }
}

void logits_row_decode(const void *row, size_t vocab, float *logits, float *logprob)
{
    const uint8_t *p = row;
    float min = get_float(p), step = get_float(p + 4);
    *logprob = get_float(p + 8);
    p += ROW_HEAD;
    for (size_t i = 0; i < vocab; i++)
        logits[i] = min + step * (float)(p[2 * i] | p[2 * i + 1] << 8);
}

/* ---- writing ---- */

struct logits_writer {
    struct output *out;
    struct hash *sum;
    size_t row_size;
    uint64_t rows;
};

static int put(struct logits_writer *w, const void *p, size_t n, struct err *err)
{
    hash_add(w->sum, p, n);
    return output_write(w->out, p, n, err);
}

int logits_writer_open(struct logits_writer **out, const char *path, const struct logits_header *h,
                       struct err *err)
{
    struct logits_writer *w = xcalloc(1, sizeof *w);
    uint8_t head[HEADER_SIZE] = {0};
    w->sum = hash_new();
    w->row_size = logits_row_size(h->vocab);
    memcpy(head, magic, MAGIC_SIZE);
    put_u32(head + MAGIC_SIZE, VERSION);
    put_u32(head + MAGIC_SIZE + 4, (uint32_t)h->vocab);
    memcpy(head + MAGIC_SIZE + 8, h->tokenizer, strlen(h->tokenizer));
    if (output_open(&w->out, path, err) || put(w, head, sizeof head, err)) {
        logits_writer_abandon(w);
        return -1;
    }
    *out = w;
    return 0;
}

int logits_write_piece(struct logits_writer *w, uint64_t hash, size_t n, struct err *err)
{
    uint8_t head[PIECE_SIZE] = {0};
    put_u32(head, (uint32_t)n);
    put_u64(head + 8, hash);
    return put(w, head, sizeof head, err);
}

int logits_write_rows(struct logits_writer *w, const void *rows, size_t n, struct err *err)
{
    w->rows += n;
    return put(w, rows, n * w->row_size, err);
}

static void writer_free(struct logits_writer *w)
{
    hash_free(w->sum);
    free(w);
}

int logits_writer_commit(struct logits_writer *w, struct err *err)
{
    uint8_t end[PIECE_SIZE] = {0};
    char hex[HASH_HEX];
    put_u64(end + 8, w->rows);
    int status = put(w, end, sizeof end, err);
    hash_hex(w->sum, hex);
    if (!status)
        status = output_write(w->out, hex, HEX, err);
    status = output_end(w->out, status, err);
    writer_free(w);
    return status;
}

void logits_writer_abandon(struct logits_writer *w)
{
    if (!w)
        return;
    output_abandon(w->out);
    writer_free(w);
}

/* ---- reading ---- */

struct logits_reader {
    struct input *in;
    struct hash *sum;
    struct logits_header header;
    size_t row_size;
    uint64_t rows;
};

/* n bytes, into the running hash too. */
static int get(struct logits_reader *r, void *p, size_t n, struct err *err)
{
    for (size_t have = 0; have < n;) {
        ssize_t k = input_read(r->in, (char *)p + have, n - have, err);
        if (k < 0)
            return -1;
        if (!k)
            return err_set(err, "%s: is cut off", input_name(r->in));
        have += (size_t)k;
    }
    hash_add(r->sum, p, n);
    return 0;
}

static bool is_hash(const char *hex)
{
    return !hex[0] || strspn(hex, "0123456789abcdef") == HEX;
}

static int read_header(struct logits_reader *r, struct err *err)
{
    uint8_t head[HEADER_SIZE];
    struct logits_header *h = &r->header;
    if (get(r, head, sizeof head, err))
        return -1;
    if (memcmp(head, magic, MAGIC_SIZE))
        return err_set(err, "%s: holds no distributions that ft-eval --save-logits wrote",
                       input_name(r->in));
    if (get_u32(head + MAGIC_SIZE) != VERSION)
        return err_set(err, "%s: is of version %" PRIu32 ", this program reads version %d",
                       input_name(r->in), get_u32(head + MAGIC_SIZE), VERSION);
    h->vocab = get_u32(head + MAGIC_SIZE + 4);
    memcpy(h->tokenizer, head + MAGIC_SIZE + 8, HEX);
    h->tokenizer[HEX] = 0;
    if (!h->vocab || !is_hash(h->tokenizer))
        return err_set(err, "%s: is damaged", input_name(r->in));
    r->row_size = logits_row_size(h->vocab);
    return 0;
}

int logits_reader_open(struct logits_reader **out, const char *path, struct err *err)
{
    struct logits_reader *r = xcalloc(1, sizeof *r);
    r->sum = hash_new();
    if (input_open(&r->in, path, err) || read_header(r, err)) {
        logits_reader_close(r);
        return -1;
    }
    *out = r;
    return 0;
}

const struct logits_header *logits_reader_header(const struct logits_reader *r)
{
    return &r->header;
}

int logits_read_piece(struct logits_reader *r, uint64_t hash, size_t n, struct err *err)
{
    uint8_t head[PIECE_SIZE];
    if (get(r, head, sizeof head, err))
        return -1;
    if (get_u32(head) != n || get_u64(head + 8) != hash)
        return err_set(err,
                       "%s: was made from other documents or windows: they differ after %" PRIu64
                       " predictions",
                       input_name(r->in), r->rows);
    return 0;
}

int logits_read_rows(struct logits_reader *r, void *rows, size_t n, struct err *err)
{
    r->rows += n;
    return get(r, rows, n * r->row_size, err);
}

int logits_read_end(struct logits_reader *r, struct err *err)
{
    uint8_t end[PIECE_SIZE];
    char want[HASH_HEX], hex[HEX];
    if (get(r, end, sizeof end, err))
        return -1;
    hash_hex(r->sum, want);
    if (get_u32(end))
        return err_set(err, "%s: was made from more documents than these", input_name(r->in));
    if (get(r, hex, sizeof hex, err))
        return -1;
    if (get_u64(end + 8) != r->rows || memcmp(hex, want, HEX))
        return err_set(err, "%s: is damaged: its checksum is another", input_name(r->in));
    return 0;
}

void logits_reader_close(struct logits_reader *r)
{
    if (!r)
        return;
    input_close(r->in);
    hash_free(r->sum);
    free(r);
}
