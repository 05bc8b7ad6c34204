#include "text/lint_summary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "text/unicode.h"

/* ---- tallies ---- */

enum { TALLY_MOST = 4096, TALLY_TEXT = 60 };

/* Shortened to whole characters, on one line. */
static char *shorten(const char *p, size_t len)
{
    size_t n = len < TALLY_TEXT ? len : TALLY_TEXT;
    n = n < len ? utf8_valid(p, n) : n;
    struct buf b = BUF_INIT;
    buf_add(&b, p, n);
    lint_tame(&b, 0);
    if (n < len)
        buf_addstr(&b, "...");
    return buf_detach(&b, NULL);
}

static struct tally_entry *tally_find(struct tally *t, uint64_t hash)
{
    size_t i = hash & (t->cap - 1);
    while (t->entries[i].n && t->entries[i].hash != hash)
        i = (i + 1) & (t->cap - 1);
    return &t->entries[i];
}

void tally_add(struct tally *t, const char *p, size_t len)
{
    if (!t->cap) {
        t->cap = 2 * TALLY_MOST;
        t->entries = xcalloc(t->cap, sizeof *t->entries);
    }
    uint64_t hash = hash64(p, len, 0);
    struct tally_entry *e = tally_find(t, hash);
    t->all++;
    if (!e->n && t->n == TALLY_MOST) {
        t->others++;
        return;
    }
    if (!e->n++) {
        e->hash = hash;
        e->text = shorten(p, len);
        t->n++;
    }
}

void tally_release(struct tally *t)
{
    for (size_t i = 0; i < t->cap; i++)
        free(t->entries[i].text);
    free(t->entries);
    *t = (struct tally){.n = 0};
}

static bool comes_before(const struct tally_entry *a, const struct tally_entry *b)
{
    return a->n != b->n ? a->n > b->n : strcmp(a->text, b->text) < 0;
}

size_t tally_top(const struct tally *t, const struct tally_entry **out, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < t->cap; i++) {
        const struct tally_entry *e = &t->entries[i];
        if (!e->n || (n == most && !comes_before(e, out[n - 1])))
            continue;
        size_t k = n < most ? n++ : n - 1;
        for (; k && comes_before(e, out[k - 1]); k--)
            out[k] = out[k - 1];
        out[k] = e;
    }
    return n;
}

void lint_summary_release(struct lint_summary *s)
{
    free(s->lengths);
    tally_release(&s->answers);
    tally_release(&s->sources);
}

/* ---- lengths ---- */

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void lint_summary_finish(struct lint_summary *s)
{
    if (s->n_lengths)
        qsort(s->lengths, s->n_lengths, sizeof *s->lengths, compare_u32);
}

uint32_t lint_summary_length(const struct lint_summary *s, unsigned percent)
{
    if (!s->n_lengths)
        return 0;
    size_t rank = (s->n_lengths * percent + 99) / 100;
    return s->lengths[rank ? rank - 1 : 0];
}

/* Powers of two between the shortest and the longest, and the steps between where those are few. */
size_t lint_summary_histogram(const struct lint_summary *s, uint32_t bounds[LINT_HISTOGRAM + 1],
                              uint64_t counts[LINT_HISTOGRAM])
{
    size_t n = 0, at = 0;
    uint64_t bound = 0;
    if (!s->n_lengths)
        return 0;
    while (n < LINT_HISTOGRAM && at < s->n_lengths) {
        uint64_t next = bound ? bound * 2 : 1;
        size_t from = at;
        while (at < s->n_lengths && s->lengths[at] < next)
            at++;
        if (at > from || n) {
            bounds[n] = (uint32_t)bound;
            counts[n++] = at - from;
            bounds[n] = next > UINT32_MAX ? UINT32_MAX : (uint32_t)next;
        }
        bound = next;
    }
    return n;
}

/* ---- advice ---- */

bool lint_summary_has_labels(const struct lint_summary *s)
{
    const struct tally *t = &s->answers;
    return t->all >= 20 && !t->others && t->n <= 100 && t->n * 4 <= t->all &&
           t->all * 5 >= s->readable * 4;
}

static void advise_size(const struct lint_summary *s, struct buf *out)
{
    uint64_t n = s->documents - s->dropped;
    buf_addf(out,
             "%" PRIu64 " document%s %s left when those with errors and the copies are out: ", n,
             n == 1 ? "" : "s", n == 1 ? "is" : "are");
    if (n < 50)
        buf_addstr(out, "too few to learn a style from; write more, 500 to 2,000 good ones are a "
                        "usual goal");
    else if (n < 500)
        buf_addstr(out, "enough for a first try; 500 to 2,000 good ones are a usual goal");
    else if (n <= 2000)
        buf_addstr(out, "500 to 2,000 good ones are a usual goal, so now quality counts more than "
                        "quantity: read fifty at random");
    else
        buf_addstr(out,
                   "more than the usual 500 to 2,000; if they differ in quality, the best 2,000 "
                   "often teach more than all");
    buf_addch(out, '\n');
}

static void advise_findings(const struct lint_summary *s, enum lint_severity severity,
                            struct buf *out)
{
    for (int k = 0; k < N_LINT_KINDS; k++)
        if (s->documents_with[k] && s->severity[k] == severity)
            buf_addf(out, "%s: %s (%" PRIu64 " document%s)\n", lint_kinds[k].name,
                     lint_kinds[k].mend, s->documents_with[k],
                     s->documents_with[k] == 1 ? "" : "s");
}

static void advise_labels(const struct lint_summary *s, struct buf *out)
{
    const struct tally_entry *top[100];
    if (!lint_summary_has_labels(s)) {
        if (tally_top(&s->answers, top, 1) && top[0]->n * 10 >= s->readable && top[0]->n >= 5)
            buf_addf(out, "one answer in %" PRIu64 " is \"%s\": the model will fall back on it\n",
                     (s->readable + top[0]->n / 2) / top[0]->n, top[0]->text);
        return;
    }
    size_t n = tally_top(&s->answers, top, ARRAY_SIZE(top));
    uint64_t most = top[0]->n, least = top[n - 1]->n;
    if (n == 1)
        buf_addf(out, "every answer is \"%s\": there is nothing to tell apart\n", top[0]->text);
    else if (most >= 10 * least)
        buf_addf(out,
                 "the label \"%s\" is %" PRIu64 " times as frequent as \"%s\": balance them, or "
                 "weigh them with \"weight\"\n",
                 top[0]->text, most / least, top[n - 1]->text);
}

static void advise_lengths(const struct lint_summary *s, struct buf *out)
{
    uint32_t typical = lint_summary_length(s, 50), longest = lint_summary_length(s, 100);
    if (s->has_tokens && s->length && s->n_lengths >= 20 && longest * 2ull < s->length)
        buf_addf(out,
                 "the longest document has %" PRIu32 " tokens: a --length of %" PRIu32
                 " takes less memory than %zu\n",
                 longest, (longest + 63) / 64 * 64, s->length);
    if (s->n_lengths >= 20 && typical && longest / typical >= 100)
        buf_addf(out,
                 "the longest document is %" PRIu32 " times as long as the typical one: see that "
                 "it is one\n",
                 longest / typical);
}

static void advise_systems(const struct lint_summary *s, struct buf *out)
{
    uint64_t chats = s->shapes[DOCUMENT_MESSAGES];
    if (s->with_system && s->with_system < chats)
        buf_addf(out,
                 "%" PRIu64 " of %" PRIu64 " conversations have a system message and the others "
                 "none: ask the model later as it was trained\n",
                 s->with_system, chats);
}

void lint_summary_advice(const struct lint_summary *s, struct buf *out)
{
    advise_findings(s, LINT_ERROR, out);
    advise_size(s, out);
    advise_findings(s, LINT_WARNING, out);
    advise_labels(s, out);
    advise_lengths(s, out);
    advise_systems(s, out);
}
