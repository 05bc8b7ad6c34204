#include "model/evaluation_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "model/calibration.h"
#include "model/divergence.h"

enum { SIDES = 2 };
static const char *const side_names[SIDES] = {"base", "tuned"};

/* ---- parts ---- */

/* The first of an object's fields has no comma. */
static void add_first(struct buf *b, const char *name, double value)
{
    buf_addf(b, "\"%s\":", name);
    json_add_real(b, value);
}

static void add_field(struct buf *b, const char *name, double value)
{
    buf_addch(b, ',');
    add_first(b, name, value);
}

static void add_text(struct buf *b, const char *s)
{
    if (s)
        json_add_string(b, s, strlen(s));
    else
        buf_addstr(b, "null");
}

/* 0 is unknown. */
static void add_count(struct buf *b, const char *name, uint64_t n)
{
    if (n)
        buf_addf(b, ",\"%s\":%" PRIu64, name, n);
    else
        buf_addf(b, ",\"%s\":null", name);
}

static void add_summary(struct buf *b, const struct evaluation_summary *s)
{
    add_first(b, "nll", s->nll);
    buf_addf(b, ",\"tokens\":%" PRIu64, s->tokens);
    add_field(b, "mean_nll", s->mean_nll);
    add_field(b, "stderr", s->stderr_mean);
    add_field(b, "ppl", s->ppl);
    add_field(b, "bits_per_byte", s->bits_per_byte);
    add_field(b, "byte_ppl", s->byte_ppl);
    add_field(b, "word_ppl", s->word_ppl);
    add_count(b, "text_bytes", s->text_bytes);
    add_count(b, "words", s->words);
    buf_addf(b, ",\"documents\":%zu,\"all_tokens\":%" PRIu64, s->documents, s->seen);
    if (s->left_out)
        buf_addf(b, ",\"left_out\":%" PRIu64, s->left_out);
}

static void add_difference(struct buf *b, const struct evaluation *base,
                           const struct evaluation *tuned)
{
    struct evaluation_difference d;
    evaluation_compare(base, tuned, &d);
    buf_addstr(b, ",\"difference\":{");
    add_first(b, "mean_nll", d.mean_nll);
    add_field(b, "stderr", d.stderr_mean);
    add_field(b, "low", d.low);
    add_field(b, "high", d.high);
    add_field(b, "ppl_ratio", exp(d.mean_nll));
    buf_addch(b, '}');
}

static void add_divergence(struct buf *b, const struct evaluation *tuned)
{
    struct divergence d;
    divergence_summarize(tuned, &d);
    buf_addstr(b, ",\"divergence\":{");
    add_first(b, "mean_kl", d.kl.mean);
    add_field(b, "stderr", d.kl.stderr_);
    add_field(b, "low", d.low);
    add_field(b, "high", d.high);
    add_field(b, "stderr_tokens", d.kl_stderr_tokens);
    for (size_t q = 0; q < DIVERGENCE_QUANTILES; q++)
        add_field(b, divergence_quantile_names[q], d.quantiles[q]);
    add_field(b, "same_top", d.same_top.mean);
    add_field(b, "same_top_stderr", d.same_top.stderr_);
    add_field(b, "same_top_stderr_tokens", d.same_top_stderr_tokens);
    add_field(b, "mean_delta_p", d.delta.mean);
    add_field(b, "rms_delta_p", d.rms_delta);
    buf_addch(b, '}');
}

static void add_calibration(struct buf *b, const struct evaluation *e, size_t n_bins)
{
    struct calibration c;
    calibration_summarize(e, n_bins, &c);
    add_field(b, "accuracy", c.accuracy.mean);
    add_field(b, "accuracy_stderr", c.accuracy.stderr_);
    add_field(b, "ece", c.expected_error);
    add_field(b, "mce", c.largest_error);
    buf_addstr(b, ",\"bins\":[");
    for (size_t i = 0; i < n_bins; i++) {
        buf_addstr(b, i ? ",{" : "{");
        add_first(b, "low", (double)i / (double)n_bins);
        add_field(b, "high", (double)(i + 1) / (double)n_bins);
        buf_addf(b, ",\"tokens\":%" PRIu64, c.bins[i].tokens);
        add_field(b, "confidence", c.bins[i].confidence);
        add_field(b, "accuracy", c.bins[i].accuracy);
        buf_addch(b, '}');
    }
    buf_addch(b, ']');
    calibration_release(&c);
}

/* ---- lines ---- */

static void add_side(const struct evaluation_report *r, const struct evaluation *e, struct buf *b)
{
    struct evaluation_summary summary;
    evaluation_summarize(e, &summary);
    add_summary(b, &summary);
    if (r->bins)
        add_calibration(b, e, r->bins);
}

/* Of the documents of one source, or of all with NULL. */
static void add_line(const struct evaluation_report *r, const char *source, struct buf *b)
{
    struct evaluation views[SIDES];
    buf_addch(b, '{');
    if (r->by_source) {
        buf_addstr(b, "\"source\":");
        add_text(b, source);
        buf_addch(b, ',');
    }
    for (size_t side = 0; side < r->n_sides; side++)
        evaluation_of_source(&r->sides[side], source, &views[side]);
    if (r->n_sides == SIDES) {
        for (size_t side = 0; side < SIDES; side++) {
            buf_addf(b, "%s\"%s\":{", side ? "," : "", side_names[side]);
            add_side(r, &views[side], b);
            buf_addch(b, '}');
        }
        add_difference(b, &views[0], &views[1]);
        if (r->divergence)
            add_divergence(b, &views[1]);
    } else {
        add_side(r, &views[0], b);
    }
    for (size_t side = 0; side < r->n_sides; side++)
        evaluation_release_view(&views[side]);
    buf_addf(b, ",\"backend\":\"%s\"}\n", r->backend);
}

void evaluation_report_all(const struct evaluation_report *r, struct buf *b)
{
    add_line(r, NULL, b);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void evaluation_report_sources(const struct evaluation_report *r, struct buf *b)
{
    const struct evaluation *e = &r->sides[0];
    const char **names = xcalloc(e->n + 1, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < e->n; i++)
        if (e->documents[i].source)
            names[n++] = e->documents[i].source;
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 0; i < n; i++)
        if (!i || strcmp(names[i], names[i - 1]))
            add_line(r, names[i], b);
    free(names);
}

static void add_logprobs(const float *logprob, size_t n, struct buf *b)
{
    buf_addstr(b, ",\"logprobs\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addch(b, ',');
        json_add_real(b, (double)logprob[i]);
    }
    buf_addch(b, ']');
}

/* Means over a document's targets. */
static void add_document_divergence(const struct scored_document *d, struct buf *b)
{
    double kl = 0, same = 0, n = (double)d->n_measured;
    for (size_t t = 0; t < d->n_measured; t++) {
        kl += (double)d->measured[t].divergence;
        same += d->measured[t].same_top;
    }
    add_field(b, "mean_kl", n > 0 ? kl / n : NAN);
    add_field(b, "same_top", n > 0 ? same / n : NAN);
}

void evaluation_report_document(const struct evaluation_report *r, size_t i, struct buf *b)
{
    const struct scored_document *d = &r->sides[r->n_sides - 1].documents[i];
    bool both = r->n_sides == SIDES;
    buf_addstr(b, "{\"id\":");
    add_text(b, d->id);
    if (d->source) {
        buf_addstr(b, ",\"source\":");
        add_text(b, d->source);
    }
    if (d->part)
        buf_addf(b, ",\"part\":%" PRIu64, d->part);
    if (both)
        add_field(b, "base_nll", r->sides[0].documents[i].nll);
    add_field(b, both ? "tuned_nll" : "nll", d->nll);
    buf_addf(b, ",\"tokens\":%zu", d->targets);
    if (d->logprob) {
        add_logprobs(d->logprob, d->n_tokens, b);
    } else {
        if (!both)
            add_field(b, "mean_nll", d->nll / (double)d->targets);
        if (r->divergence)
            add_document_divergence(d, b);
        buf_addf(b, ",\"all_tokens\":%zu", d->n_tokens);
        add_count(b, "text_bytes", d->left_out ? 0 : d->text_bytes);
        add_count(b, "words", d->left_out ? 0 : d->words);
    }
    buf_addstr(b, "}\n");
}
