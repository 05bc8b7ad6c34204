/* Documents that begin alike score as they do apart, whatever part of them goes through the layers
 * once: for every reference model, windows and experts and all. */
#include "fixture.h"

/* A document's last token is no row, so the one after it can't share that. */
enum { DOCUMENTS = 7, ROWS = 23 + 4 + 0 + 8 + 2 + 12 + 2 };

/* Endings behind one beginning, one that begins otherwise, and one with all of the one before. */
static const struct {
    size_t shared, own;
} shapes[DOCUMENTS] = {{0, 24}, {14, 5}, {14, 1}, {14, 9}, {0, 3}, {3, 12}, {15, 2}};

struct sample {
    uint32_t ids[400];
    uint8_t trained[400];
    size_t lengths[DOCUMENTS];
    struct batch batch;
};

static void make_sample(struct sample *s, size_t vocab)
{
    size_t n = 0;
    uint32_t x = 5;
    for (size_t i = 0; i < DOCUMENTS; i++) {
        size_t length = shapes[i].shared + shapes[i].own;
        if (i)
            memcpy(s->ids + n, s->ids + n - s->lengths[i - 1], shapes[i].shared * sizeof *s->ids);
        for (size_t t = shapes[i].shared; t < length; t++) {
            x = x * 48271 % 2147483647;
            s->ids[n + t] = 3 + x % (uint32_t)(vocab - 3);
        }
        for (size_t t = 0; t < length; t++)
            s->trained[n + t] = t > shapes[i].shared || t + 1 == length;
        s->lengths[i] = length;
        n += length;
    }
    s->batch = (struct batch){s->ids, s->trained, n, s->lengths, DOCUMENTS, NULL};
}

static void check(struct decoder *d, const char *name)
{
    struct err err;
    static struct sample s;
    double apart[DOCUMENTS], together[DOCUMENTS], worst = 0;
    uint64_t rows, again;
    make_sample(&s, decoder_config(d)->vocab);
    if (!tap_ok(decoder_score(d, NULL, &s.batch, apart, NULL, &err) == 0 &&
                    decoder_score_shared(d, NULL, &s.batch, together, &rows, &err) == 0,
                "%s: scores", name))
        return;
    for (size_t i = 0; i < DOCUMENTS; i++)
        worst = fmax(worst, fabs(apart[i] - together[i]) / (fabs(apart[i]) + 1));
    tap_ok(worst < 2e-6, "%s: the same scores (largest difference %.2g)", name, worst);
    bool shares = !rope_depends_on_length(&decoder_config(d)->rope);
    tap_is_u64("rows that went through the layers", rows, shares ? ROWS : s.batch.n);
    decoder_set_pass_tokens(d, 1);
    if (!tap_ok(decoder_score_shared(d, NULL, &s.batch, together, &again, &err) == 0 &&
                    again >= rows,
                "%s: in small passes", name))
        return;
    worst = 0;
    for (size_t i = 0; i < DOCUMENTS; i++)
        worst = fmax(worst, fabs(apart[i] - together[i]) / (fabs(apart[i]) + 1));
    tap_ok(worst < 2e-6, "%s: the same scores (largest difference %.2g)", name, worst);
}

static void check_model(const char *dir, const char *name)
{
    struct err err;
    struct checkpoint *c;
    struct decoder *d;
    struct decoder_options options = {.backend = BACKEND_FP32, .threads = 2};
    if (checkpoint_open(&c, dir, &err) || decoder_open(&d, c, &options, &err)) {
        tap_ok(false, "%s: %s", name, err.msg);
        return;
    }
    check(d, name);
    decoder_close(d);
    checkpoint_close(c);
}

int main(void)
{
    fixture_models(check_model);
    return tap_done();
}
