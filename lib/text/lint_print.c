#include "text/lint_print.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "formats/document.h"
#include "formats/json.h"

static void add_string(struct buf *out, const char *s)
{
    if (s)
        json_add_string(out, s, strlen(s));
    else
        buf_addstr(out, "null");
}

/* ---- findings ---- */

void lint_print_begin(struct lint_printer *p, struct buf *out)
{
    if (p->format == LINT_TSV)
        buf_addstr(out, "file\tline\tseverity\tkind\tid\twhere\tmessage\n");
    else if (p->format == LINT_JSON_OBJECT)
        buf_addstr(out, "{\"findings\":[");
}

static void print_text(struct lint_printer *p, const struct lint_report *r, struct buf *out)
{
    if (p->most && p->shown[r->kind]++ >= p->most)
        return;
    buf_addf(out, "%s:%" PRIu64 ": %s: %s%s%s [%s]\n", r->file, r->line,
             lint_severity_names[r->severity], r->where, *r->where ? ": " : "", r->message,
             lint_kinds[r->kind].name);
}

/* A field of a table has no tabs or newlines. */
static void add_field(struct buf *out, const char *s)
{
    size_t from = out->len;
    buf_addstr(out, s);
    for (size_t i = from; i < out->len; i++)
        if ((unsigned char)out->p[i] < ' ' || out->p[i] == 0x7f)
            out->p[i] = ' ';
    buf_addch(out, '\t');
}

static void print_tsv(const struct lint_report *r, struct buf *out)
{
    struct buf id = BUF_INIT;
    if (json_is_string(r->id))
        buf_addstr(&id, json_string_value(r->id));
    else if (r->id)
        json_add(&id, r->id);
    add_field(out, r->file);
    buf_addf(out, "%" PRIu64 "\t%s\t%s\t", r->line, lint_severity_names[r->severity],
             lint_kinds[r->kind].name);
    add_field(out, id.p);
    add_field(out, r->where);
    add_field(out, r->message);
    out->p[out->len - 1] = '\n';
    buf_release(&id);
}

static void print_json(struct lint_printer *p, const struct lint_report *r, struct buf *out)
{
    buf_addstr(out, p->written ? ",\n{\"file\":" : "\n{\"file\":");
    add_string(out, r->file);
    buf_addf(out, ",\"line\":%" PRIu64 ",\"severity\":\"%s\",\"kind\":\"%s\"", r->line,
             lint_severity_names[r->severity], lint_kinds[r->kind].name);
    if (r->id) {
        buf_addstr(out, ",\"id\":");
        json_add(out, r->id);
    }
    if (*r->where) {
        buf_addstr(out, ",\"where\":");
        add_string(out, r->where);
    }
    buf_addstr(out, ",\"message\":");
    add_string(out, r->message);
    if (r->other_file) {
        buf_addstr(out, ",\"other\":{\"file\":");
        add_string(out, r->other_file);
        buf_addf(out, ",\"line\":%" PRIu64 "}", r->other_line);
    }
    if (r->share > 0)
        buf_addf(out, ",\"share\":%.3f", r->share);
    buf_addch(out, '}');
}

void lint_print_finding(struct lint_printer *p, const struct lint_report *r, struct buf *out)
{
    if (p->format == LINT_TEXT)
        print_text(p, r, out);
    else if (p->format == LINT_TSV)
        print_tsv(r, out);
    else
        print_json(p, r, out);
    p->written++;
}

/* ---- the summary as text ---- */

enum { TOP = 8, BAR = 40 };

static double share(uint64_t n, uint64_t all)
{
    return all ? 100.0 * (double)n / (double)all : 0;
}

static void print_totals(const struct lint_summary *s, struct buf *out)
{
    buf_addf(out, "%" PRIu64 " document%s", s->documents, s->documents == 1 ? "" : "s");
    const char *between = ": ";
    for (int k = 0; k < LINT_SHAPES; k++)
        if (s->shapes[k]) {
            buf_addf(out, "%s%" PRIu64 " %s", between, s->shapes[k], document_shape_names[k]);
            between = ", ";
        }
    if (s->documents > s->readable)
        buf_addf(out, "%s%" PRIu64 " unreadable", between, s->documents - s->readable);
    buf_addf(out, "\n%" PRIu64 " characters", s->characters);
    if (s->has_tokens)
        buf_addf(out, ", %" PRIu64 " tokens, %.1f %% of them learnt", s->tokens,
                 share(s->trained, s->tokens));
    if (s->tokens_lost)
        buf_addf(out, ", %" PRIu64 " (%.1f %%) over --length", s->tokens_lost,
                 share(s->tokens_lost, s->tokens));
    if (s->shapes[DOCUMENT_MESSAGES])
        buf_addf(out, "; %.1f messages in a conversation",
                 (double)s->turns / (double)s->shapes[DOCUMENT_MESSAGES]);
    buf_addch(out, '\n');
}

static void print_kinds(const struct lint_printer *p, const struct lint_summary *s, struct buf *out)
{
    if (!s->errors && !s->warnings) {
        buf_addstr(out, "\nnothing found\n");
        return;
    }
    buf_addstr(out, "\ndocuments  share     finding\n");
    for (int severity = LINT_ERROR; severity >= LINT_WARNING; severity--)
        for (int k = 0; k < N_LINT_KINDS; k++)
            if (s->documents_with[k] && s->severity[k] == severity) {
                buf_addf(out, "%9" PRIu64 " %5.1f %%  %-7s %-14s %s", s->documents_with[k],
                         share(s->documents_with[k], s->documents), lint_severity_names[severity],
                         lint_kinds[k].name, lint_kinds[k].what);
                if (p->most && s->found[k] > p->most)
                    buf_addf(out, " (%" PRIu64 " more not shown)", s->found[k] - p->most);
                buf_addch(out, '\n');
            }
}

static void print_lengths(const struct lint_summary *s, struct buf *out)
{
    uint32_t bounds[LINT_HISTOGRAM + 1];
    uint64_t counts[LINT_HISTOGRAM], most = 1;
    size_t n = lint_summary_histogram(s, bounds, counts);
    if (!n)
        return;
    for (size_t i = 0; i < n; i++)
        most = counts[i] > most ? counts[i] : most;
    buf_addf(out, "\n%s of a document\n", s->has_tokens ? "tokens" : "characters");
    for (size_t i = 0; i < n; i++) {
        buf_addf(out, "%9" PRIu32 " to %-9" PRIu32 "%9" PRIu64 "  ", bounds[i], bounds[i + 1] - 1,
                 counts[i]);
        for (uint64_t k = 0; k < (counts[i] * BAR + most - 1) / most; k++)
            buf_addch(out, '#');
        while (out->p[out->len - 1] == ' ')
            out->p[--out->len] = 0;
        buf_addch(out, '\n');
    }
    buf_addf(out,
             "shortest %" PRIu32 ", half of them at most %" PRIu32 ", 95 %% at most %" PRIu32
             ", longest %" PRIu32 "\n",
             s->lengths[0], lint_summary_length(s, 50), lint_summary_length(s, 95),
             lint_summary_length(s, 100));
}

static void print_languages(const struct lint_summary *s, struct buf *out)
{
    bool done[LANGUAGE_MAX] = {false};
    if (!s->readable || s->languages[LANGUAGE_UNKNOWN] == s->readable)
        return;
    buf_addstr(out, "\nlanguages of what is learnt:");
    for (size_t shown = 0; shown < TOP; shown++) {
        size_t most = LANGUAGE_MAX;
        for (size_t k = 0; k < LANGUAGE_MAX; k++)
            if (!done[k] && s->languages[k] * 1000 >= s->readable &&
                (most == LANGUAGE_MAX || s->languages[k] > s->languages[most]))
                most = k;
        if (most == LANGUAGE_MAX)
            break;
        done[most] = true;
        buf_addf(out, "%s %s %.1f %%", shown ? "," : "",
                 most == LANGUAGE_UNKNOWN ? "unknown" : language_codes[most],
                 share(s->languages[most], s->readable));
    }
    buf_addch(out, '\n');
}

static void print_tally(const struct tally *t, const char *title, uint64_t all, struct buf *out)
{
    const struct tally_entry *top[TOP];
    size_t n = tally_top(t, top, TOP);
    if (!n || (n > 1 && top[0]->n == 1))
        return;
    buf_addf(out, "\n%s\n", title);
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "%9" PRIu64 " %5.1f %%  %s\n", top[i]->n, share(top[i]->n, all),
                 top[i]->text);
    if (t->n > n)
        buf_addf(out, "%9" PRIu64 " %5.1f %%  (%zu others)\n", t->all, share(t->all, all),
                 t->n - n);
}

static void print_advice(const struct lint_summary *s, struct buf *out)
{
    struct buf advice = BUF_INIT;
    unsigned n = 0;
    lint_summary_advice(s, &advice);
    buf_addstr(out, "\nwhat to do, first things first\n");
    for (const char *p = advice.p; *p;) {
        size_t len = strcspn(p, "\n");
        buf_addf(out, "%3u. %.*s\n", ++n, (int)len, p);
        p += len + 1;
    }
    buf_release(&advice);
}

static void print_text_end(const struct lint_printer *p, const struct lint_summary *s,
                           struct buf *out)
{
    if (p->written)
        buf_addch(out, '\n');
    print_totals(s, out);
    print_kinds(p, s, out);
    print_lengths(s, out);
    print_languages(s, out);
    if (lint_summary_has_labels(s))
        print_tally(&s->answers, "labels", s->readable, out);
    print_tally(&s->sources, "sources", s->readable, out);
    print_advice(s, out);
}

/* ---- the summary as JSON ---- */

static void json_counts(const struct lint_summary *s, struct buf *out)
{
    buf_addf(out,
             "{\"documents\":%" PRIu64 ",\"readable\":%" PRIu64 ",\"dropped\":%" PRIu64
             ",\"errors\":%" PRIu64 ",\"warnings\":%" PRIu64 ",\"documents_with_errors\":%" PRIu64
             ",\"documents_with_warnings\":%" PRIu64 ",\"characters\":%" PRIu64,
             s->documents, s->readable, s->dropped, s->errors, s->warnings, s->with_errors,
             s->with_warnings, s->characters);
    if (s->has_tokens)
        buf_addf(out, ",\"tokens\":%" PRIu64 ",\"trained\":%" PRIu64, s->tokens, s->trained);
    if (s->length)
        buf_addf(out, ",\"length\":%zu,\"tokens_lost\":%" PRIu64, s->length, s->tokens_lost);
}

static void json_kinds(const struct lint_summary *s, struct buf *out)
{
    const char *between = "";
    buf_addstr(out, ",\n\"kinds\":{");
    for (int k = 0; k < N_LINT_KINDS; k++)
        if (s->found[k]) {
            buf_addf(out,
                     "%s\"%s\":{\"severity\":\"%s\",\"documents\":%" PRIu64 ",\"findings\":%" PRIu64
                     "}",
                     between, lint_kinds[k].name, lint_severity_names[s->severity[k]],
                     s->documents_with[k], s->found[k]);
            between = ",";
        }
    buf_addch(out, '}');
    between = "";
    buf_addstr(out, ",\n\"shapes\":{");
    for (int k = 0; k < LINT_SHAPES; k++)
        if (s->shapes[k]) {
            buf_addf(out, "%s\"%s\":%" PRIu64, between, document_shape_names[k], s->shapes[k]);
            between = ",";
        }
    buf_addch(out, '}');
}

static void json_lengths(const struct lint_summary *s, struct buf *out)
{
    uint32_t bounds[LINT_HISTOGRAM + 1];
    uint64_t counts[LINT_HISTOGRAM];
    size_t n = lint_summary_histogram(s, bounds, counts);
    buf_addf(out,
             ",\n\"lengths\":{\"unit\":\"%s\",\"least\":%" PRIu32 ",\"median\":%" PRIu32
             ",\"p95\":%" PRIu32 ",\"most\":%" PRIu32 ",\"histogram\":[",
             s->has_tokens ? "tokens" : "characters", lint_summary_length(s, 0),
             lint_summary_length(s, 50), lint_summary_length(s, 95), lint_summary_length(s, 100));
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "%s{\"from\":%" PRIu32 ",\"below\":%" PRIu32 ",\"documents\":%" PRIu64 "}",
                 i ? "," : "", bounds[i], bounds[i + 1], counts[i]);
    buf_addstr(out, "]}");
}

static void json_languages(const struct lint_summary *s, struct buf *out)
{
    const char *between = "";
    buf_addstr(out, ",\n\"languages\":{");
    for (size_t k = 0; k < LANGUAGE_MAX && language_codes[k]; k++)
        if (s->languages[k]) {
            buf_addf(out, "%s\"%s\":%" PRIu64, between, language_codes[k], s->languages[k]);
            between = ",";
        }
    buf_addch(out, '}');
}

static void json_tally(const struct tally *t, const char *name, struct buf *out)
{
    const struct tally_entry *top[TOP];
    size_t n = tally_top(t, top, TOP);
    buf_addf(out, ",\n\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        buf_addstr(out, i ? ",{\"text\":" : "{\"text\":");
        add_string(out, top[i]->text);
        buf_addf(out, ",\"documents\":%" PRIu64 "}", top[i]->n);
    }
    buf_addch(out, ']');
}

static void json_advice(const struct lint_summary *s, struct buf *out)
{
    struct buf advice = BUF_INIT;
    lint_summary_advice(s, &advice);
    buf_addstr(out, ",\n\"advice\":[");
    for (const char *p = advice.p; *p;) {
        size_t len = strcspn(p, "\n");
        if (p > advice.p)
            buf_addch(out, ',');
        json_add_string(out, p, len);
        p += len + 1;
    }
    buf_addch(out, ']');
    buf_release(&advice);
}

static void print_json_end(const struct lint_summary *s, struct buf *out)
{
    buf_addstr(out, "\n],\n\"summary\":");
    json_counts(s, out);
    json_kinds(s, out);
    json_lengths(s, out);
    json_languages(s, out);
    json_tally(&s->answers, "answers", out);
    json_tally(&s->sources, "sources", out);
    json_advice(s, out);
    buf_addstr(out, "}}\n");
}

void lint_print_end(struct lint_printer *p, const struct lint_summary *s, struct buf *out)
{
    if (p->format == LINT_TEXT)
        print_text_end(p, s, out);
    else if (p->format == LINT_JSON_OBJECT)
        print_json_end(s, out);
}
