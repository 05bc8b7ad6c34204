#include "text/lint.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "text/heldout.h"
#include "text/lint_document.h"
#include "text/lint_index.h"
#include "text/minhash.h"

enum { BATCH_DOCUMENTS = 256, BATCH_BYTES = 4 << 20, SHORT_ANSWER = 200 };

struct slot {
    struct buf line; /* the document as JSON */
    uint64_t number; /* of the line where it begins */
    uint32_t file;
    struct lint_document document;
    uint32_t keys[MINHASH_ROWS];
    struct heldout_match held;
};

/* Where a document is, and its language. */
struct seen {
    uint64_t line;
    uint32_t file;
    uint8_t language;
};

struct place {
    uint64_t line;
    uint32_t file;
};

struct lint {
    struct lint_options options;
    struct lint_sink sink;
    struct pool *pool;
    struct lint_tables *own_tables;
    struct lint_checker checker;
    struct lint_scratch *scratch; /* [threads] */
    struct heldout_scratch **held_scratch;
    size_t n_threads;
    struct slot *slots; /* [BATCH_DOCUMENTS], made as they are needed */
    size_t n_slots;
    char **files;
    size_t n_files, files_cap;
    struct lint_summary summary;

    struct frames *frames;
    struct minhash minhash;
    struct near_index *near;
    struct place *near_places; /* [documents of near]: those that are kept */
    size_t near_cap;
    struct lint_index prompts; /* numbers in near */
    struct place *places;      /* [n_places]: all that could be read */
    size_t n_places, places_cap;
    struct lint_index exact; /* numbers in places */

    struct heldout *heldout;
    bool sealed;
    struct place *held_places;
    size_t held_cap;
    struct lint_index held_exact, held_prompts;

    struct seen *seen; /* [n_seen]: documents whose language is known */
    size_t n_seen, seen_cap;
};

void lint_options_init(struct lint_options *o)
{
    *o = (struct lint_options){.resemblance = 0.6};
    for (int k = 0; k < N_LINT_KINDS; k++)
        lint_options_set(o, (enum lint_kind)k, lint_kinds[k].severity);
}

void lint_options_set(struct lint_options *o, enum lint_kind kind, enum lint_severity severity)
{
    o->severity[kind] = (unsigned char)severity;
    o->drops[kind] = severity == LINT_ERROR || lint_kinds[kind].drops;
}

int lint_new(struct lint **out, const struct lint_options *o, struct pool *pool,
             const struct lint_sink *sink, struct err *err)
{
    struct lint *l = xcalloc(1, sizeof *l);
    l->options = *o;
    l->sink = *sink;
    l->pool = pool;
    l->checker = (struct lint_checker){.tables = o->tables,
                                       .fields = o->fields,
                                       .chat = o->chat,
                                       .train_on = o->train_on,
                                       .length = o->length,
                                       .expected_languages = o->expected_languages};
    for (int k = 0; k < N_LINT_KINDS; k++) {
        l->checker.ignored[k] = o->severity[k] == LINT_IGNORED;
        l->summary.severity[k] = o->severity[k];
    }
    if (!o->tables) {
        if (lint_tables_new(&l->own_tables, err)) {
            free(l);
            return -1;
        }
        l->checker.tables = l->own_tables;
    }
    l->n_threads = pool_threads(pool);
    l->scratch = xcalloc(l->n_threads, sizeof *l->scratch);
    for (size_t i = 0; i < l->n_threads; i++)
        lint_scratch_init(&l->scratch[i], &l->checker);
    l->slots = xcalloc(BATCH_DOCUMENTS, sizeof *l->slots);
    l->frames = frames_new();
    minhash_init(&l->minhash, o->resemblance);
    l->near = near_index_new(&l->minhash);
    l->heldout = heldout_new(o->resemblance);
    l->summary.has_tokens = o->chat != NULL;
    l->summary.length = o->length;
    *out = l;
    return 0;
}

static void free_heldout(struct lint *l)
{
    for (size_t i = 0; l->held_scratch && i < l->n_threads; i++)
        heldout_scratch_free(l->held_scratch[i]);
    free(l->held_scratch);
    heldout_free(l->heldout);
    free(l->held_places);
    lint_index_release(&l->held_exact);
    lint_index_release(&l->held_prompts);
}

void lint_free(struct lint *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n_slots; i++) {
        buf_release(&l->slots[i].line);
        lint_document_release(&l->slots[i].document);
    }
    for (size_t i = 0; i < l->n_threads; i++)
        lint_scratch_release(&l->scratch[i]);
    for (size_t i = 0; i < l->n_files; i++)
        free(l->files[i]);
    free(l->slots);
    free(l->scratch);
    free(l->files);
    free(l->seen);
    free(l->near_places);
    free(l->places);
    free_heldout(l);
    frames_free(l->frames);
    near_index_free(l->near);
    lint_index_release(&l->exact);
    lint_index_release(&l->prompts);
    lint_summary_release(&l->summary);
    lint_tables_free(l->own_tables);
    free(l);
}

const struct lint_summary *lint_get_summary(const struct lint *l)
{
    return &l->summary;
}

/* ---- reading ---- */

static struct slot *slot_at(struct lint *l, size_t i)
{
    struct slot *s = &l->slots[i];
    if (i < l->n_slots)
        return s;
    buf_init(&s->line);
    lint_document_init(&s->document);
    l->n_slots++;
    return s;
}

static void add_file(struct lint *l, const char *name)
{
    ARRAY_GROW(l->files, l->n_files, l->files_cap);
    l->files[l->n_files++] = xstrdup(name);
}

/* An input that is being read, and the file in it of the last document. */
struct reading {
    struct document_source *source;
    const char *file;
};

static int open_reading(struct lint *l, struct reading *r, struct input *in, struct err *err)
{
    r->file = NULL;
    return document_source_open(&r->source, in, l->options.format, l->options.fields, err);
}

static void close_reading(struct lint *l, struct reading *r)
{
    l->summary.passed_over += document_source_passed_over(r->source);
    document_source_close(r->source);
}

/* Documents up to the batch's size: 1 if there may be more, 0 at the end, -1; *n of them. */
static int fill(struct lint *l, struct reading *from, size_t *n, struct err *err)
{
    size_t bytes = 0;
    for (*n = 0; *n < BATCH_DOCUMENTS && bytes < BATCH_BYTES; ++*n) {
        struct slot *s = slot_at(l, *n);
        struct document_place place;
        int status = document_source_next(from->source, &s->line, &place, err);
        if (status <= 0)
            return status;
        if (place.file != from->file) {
            from->file = place.file;
            add_file(l, place.file);
        }
        s->number = place.line;
        s->file = (uint32_t)l->n_files - 1;
        bytes += s->line.len;
    }
    return 1;
}

/* ---- held-out documents ---- */

static void read_task(void *arg, size_t i, size_t thread)
{
    struct lint *l = arg;
    struct slot *s = &l->slots[i];
    struct err err;
    (void)thread;
    if (lint_document_read(&s->document, &l->checker, s->line.p, s->line.len, &err))
        lint_found(&s->document.findings, LINT_SHAPE, "", "%s", err.msg);
}

static int hold(struct lint *l, const struct slot *s, struct err *err)
{
    const struct lint_document *d = &s->document;
    uint32_t number = (uint32_t)heldout_count(l->heldout);
    if (!d->readable)
        return err_set(err, "%s:%zu: %s", l->files[s->file], (size_t)s->number,
                       d->findings.text.p + d->findings.items[0].message);
    if (heldout_add(l->heldout, &d->shingles, d->answer_hash, err))
        return -1;
    ARRAY_GROW(l->held_places, number, l->held_cap);
    l->held_places[number] = (struct place){s->number, s->file};
    lint_index_add(&l->held_exact, d->hash, number);
    if (d->prompt_hash)
        lint_index_add(&l->held_prompts, d->prompt_hash, number);
    return 0;
}

int lint_hold_out(struct lint *l, struct input *in, struct err *err)
{
    struct reading from;
    int more = 1;
    if (open_reading(l, &from, in, err))
        return -1;
    while (more > 0) {
        size_t n;
        more = fill(l, &from, &n, err);
        pool_run(l->pool, n, read_task, l);
        for (size_t i = 0; i < n && more >= 0; i++)
            if (hold(l, &l->slots[i], err))
                more = -1;
    }
    close_reading(l, &from);
    return more;
}

static void seal(struct lint *l)
{
    l->sealed = true;
    heldout_seal(l->heldout);
    l->held_scratch = xcalloc(l->n_threads, sizeof(struct heldout_scratch *));
    for (size_t i = 0; i < l->n_threads; i++)
        l->held_scratch[i] = heldout_scratch_new(l->heldout);
}

/* ---- a batch ---- */

static void check_task(void *arg, size_t i, size_t thread)
{
    struct lint *l = arg;
    struct slot *s = &l->slots[i];
    lint_document_check(&s->document, &l->checker, &l->scratch[thread], s->line.p, s->line.len);
}

static void compare_task(void *arg, size_t i, size_t thread)
{
    struct lint *l = arg;
    struct slot *s = &l->slots[i];
    struct lint_document *d = &s->document;
    if (!d->readable)
        return;
    s->held =
        heldout_find(l->heldout, l->held_scratch[thread], &d->shingles, d->answer_hash, l->frames);
    shingles_unframe(&d->shingles, l->frames);
    minhash_keys(&l->minhash, &d->shingles, s->keys);
}

static bool is_dropped(const struct lint *l, const struct lint_document *d)
{
    bool dropped = !d->readable;
    for (size_t i = 0; i < d->findings.n; i++)
        dropped |= l->options.drops[d->findings.items[i].kind];
    return dropped;
}

static void found_beside(struct lint *l, struct lint_document *d, enum lint_kind kind,
                         struct place other, double share, const char *what)
{
    if (l->checker.ignored[kind])
        return;
    struct lint_finding *f =
        share > 0 ? lint_found(&d->findings, kind, "", "%s %s:%llu (%.0f %%)", what,
                               l->files[other.file], (unsigned long long)other.line, share * 100)
                  : lint_found(&d->findings, kind, "", "%s %s:%llu", what, l->files[other.file],
                               (unsigned long long)other.line);
    f->other_file = other.file;
    f->other_line = other.line;
    f->share = share;
}

/* Copies have the same faults as the first, so those of a document that is not kept are told too.
 */
static bool is_copy(struct lint *l, struct lint_document *d, struct place place)
{
    uint32_t other = lint_index_find(&l->held_exact, d->hash);
    if (other != LINT_INDEX_NONE)
        found_beside(l, d, LINT_LEAK, l->held_places[other], 0, "the same as the held-out");
    other = lint_index_find(&l->exact, d->hash);
    if (other != LINT_INDEX_NONE) {
        found_beside(l, d, LINT_DUPLICATE, l->places[other], 0, "the same as");
        return !l->checker.ignored[LINT_DUPLICATE];
    }
    ARRAY_GROW(l->places, l->n_places, l->places_cap);
    l->places[l->n_places] = place;
    lint_index_add(&l->exact, d->hash, (uint32_t)l->n_places++);
    return false;
}

static void compare_prompts(struct lint *l, struct lint_document *d)
{
    uint32_t other =
        d->prompt_hash ? lint_index_find(&l->held_prompts, d->prompt_hash) : LINT_INDEX_NONE;
    if (other != LINT_INDEX_NONE && !lint_has(&d->findings, LINT_LEAK))
        found_beside(l, d, LINT_PROMPT_LEAK, l->held_places[other], 0,
                     "the same prompt as the held-out");
    bool compared = d->shape == DOCUMENT_PREFERENCE || d->shape == DOCUMENT_LABEL;
    if (compared) /* several answers to a prompt are what they are for */
        return;
    other = d->prompt_hash ? lint_index_find(&l->prompts, d->prompt_hash) : LINT_INDEX_NONE;
    if (other != LINT_INDEX_NONE && !lint_has(&d->findings, LINT_NEAR_DUPLICATE))
        found_beside(l, d, LINT_CONFLICT, l->near_places[other], 0,
                     "another answer to the same prompt as");
}

/* Only with what is kept: a document isn't dropped for the sake of one that is dropped too. */
static int compare_near(struct lint *l, struct slot *s, struct place place, struct err *err)
{
    struct lint_document *d = &s->document;
    if (s->held.document != SIZE_MAX && !lint_has(&d->findings, LINT_LEAK))
        found_beside(l, d, LINT_LEAK, l->held_places[s->held.document], s->held.share,
                     "has the words of the held-out");
    struct near_match match = near_index_find(l->near, &d->shingles, d->answer_hash, s->keys);
    if (match.document != MINHASH_NONE)
        found_beside(l, d, LINT_NEAR_DUPLICATE, l->near_places[match.document], match.resemblance,
                     "nearly the same as");
    compare_prompts(l, d);
    if (is_dropped(l, d))
        return 0;
    uint32_t number = near_index_add(l->near, &d->shingles, d->answer_hash, s->keys, err);
    if (number == MINHASH_NONE)
        return -1;
    ARRAY_GROW(l->near_places, number, l->near_cap);
    l->near_places[number] = place;
    if (d->prompt_hash)
        lint_index_add(&l->prompts, d->prompt_hash, number);
    return 0;
}

/* ---- counting and handing on ---- */

static void count_document(struct lint *l, const struct lint_document *d, uint64_t line,
                           uint32_t file)
{
    struct lint_summary *m = &l->summary;
    size_t length = d->tokenised ? d->tokens : d->characters;
    m->readable++;
    m->shapes[d->shape]++;
    m->characters += d->characters;
    m->tokens += d->tokens;
    m->trained += d->trained;
    m->turns += d->turns;
    m->languages[d->language]++;
    if (l->options.length && d->tokens > l->options.length)
        m->tokens_lost += d->tokens - l->options.length;
    if (d->pieces.n && d->pieces.items[0].system)
        m->with_system++;
    if (d->document.source)
        tally_add(&m->sources, d->document.source, strlen(d->document.source));
    if (d->answer && d->shape != DOCUMENT_TEXT && d->answer->len <= SHORT_ANSWER)
        tally_add(&m->answers, d->pieces.text.p + d->answer->start, d->answer->len);
    if (d->tokenised == m->has_tokens && (d->tokenised || d->shape != DOCUMENT_IDS)) {
        ARRAY_GROW(m->lengths, m->n_lengths, m->lengths_cap);
        m->lengths[m->n_lengths++] = length < UINT32_MAX ? (uint32_t)length : UINT32_MAX;
    }
    if (d->language != LANGUAGE_UNKNOWN && !l->options.expected_languages && !is_dropped(l, d)) {
        ARRAY_GROW(l->seen, l->n_seen, l->seen_cap);
        l->seen[l->n_seen++] = (struct seen){line, file, (uint8_t)d->language};
    }
}

static void count_finding(struct lint *l, enum lint_kind kind)
{
    bool error = l->options.severity[kind] == LINT_ERROR;
    l->summary.found[kind]++;
    l->summary.errors += error;
    l->summary.warnings += !error;
}

static void count_kinds(struct lint *l, const struct lint_findings *f, bool kept)
{
    bool errors = false, warnings = false, seen[N_LINT_KINDS] = {false};
    for (size_t i = 0; i < f->n; i++) {
        enum lint_kind kind = f->items[i].kind;
        count_finding(l, kind);
        l->summary.documents_with[kind] += !seen[kind];
        seen[kind] = true;
        bool error = l->options.severity[kind] == LINT_ERROR;
        errors |= error;
        warnings |= !error;
        l->summary.kept_errors += kept && error;
        l->summary.kept_warnings += kept && !error;
    }
    l->summary.with_errors += errors;
    l->summary.with_warnings += warnings;
}

static int report(struct lint *l, const struct slot *s, struct err *err)
{
    const struct lint_findings *f = &s->document.findings;
    for (size_t i = 0; i < f->n; i++) {
        const struct lint_finding *x = &f->items[i];
        struct lint_report r = {
            .kind = x->kind,
            .severity = (enum lint_severity)l->options.severity[x->kind],
            .file = l->files[s->file],
            .line = s->number,
            .id = s->document.document.id,
            .where = f->text.p + x->where,
            .message = f->text.p + x->message,
            .other_file = x->other_file == UINT32_MAX ? NULL : l->files[x->other_file],
            .other_line = x->other_line,
            .share = x->share,
        };
        if (l->sink.report(l->sink.arg, &r, err))
            return -1;
    }
    return 0;
}

static int hand_on(struct lint *l, const struct slot *s, struct err *err)
{
    const struct lint_document *d = &s->document;
    bool dropped = is_dropped(l, d);
    l->summary.documents++;
    l->summary.dropped += dropped;
    count_kinds(l, &d->findings, !dropped);
    if (d->readable)
        count_document(l, d, s->number, s->file);
    if (report(l, s, err))
        return -1;
    return !dropped && l->sink.keep ? l->sink.keep(l->sink.arg, s->line.p, s->line.len, err) : 0;
}

static bool is_counted(const struct lint *l, size_t i)
{
    uint64_t hash = l->slots[i].document.hash;
    for (size_t k = 0; k < i; k++)
        if (l->slots[k].document.readable && l->slots[k].document.hash == hash)
            return true;
    return lint_index_find(&l->exact, hash) != LINT_INDEX_NONE;
}

/* What documents have in common: copies count once. */
static void count_frames(struct lint *l, size_t n)
{
    frames_begin_batch(l->frames);
    for (size_t i = 0; i < n; i++) {
        struct slot *s = &l->slots[i];
        s->held.document = SIZE_MAX;
        if (s->document.readable && !is_counted(l, i))
            frames_count(l->frames, &s->document.shingles);
    }
    heldout_refresh(l->heldout, l->frames);
}

static int run_batch(struct lint *l, size_t n, struct err *err)
{
    pool_run(l->pool, n, check_task, l);
    count_frames(l, n);
    pool_run(l->pool, n, compare_task, l);
    for (size_t i = 0; i < n; i++) {
        struct slot *s = &l->slots[i];
        struct place place = {s->number, s->file};
        if (s->document.readable && !is_copy(l, &s->document, place) &&
            compare_near(l, s, place, err))
            return -1;
        if (hand_on(l, s, err))
            return -1;
    }
    return 0;
}

int lint_read(struct lint *l, struct input *in, struct err *err)
{
    struct reading from;
    int more = 1;
    if (open_reading(l, &from, in, err))
        return -1;
    if (!l->sealed)
        seal(l);
    while (more > 0) {
        struct err read_err;
        size_t n;
        more = fill(l, &from, &n, &read_err);
        if (run_batch(l, n, err)) {
            close_reading(l, &from);
            return -1;
        }
        if (more < 0)
            *err = read_err;
        if (l->sink.batch)
            l->sink.batch(l->sink.arg, &l->summary);
    }
    close_reading(l, &from);
    return more;
}

/* ---- the end ---- */

static unsigned main_language(const struct lint *l)
{
    uint64_t counts[LANGUAGE_MAX] = {0};
    unsigned most = 0;
    for (size_t i = 0; i < l->n_seen; i++)
        counts[l->seen[i].language]++;
    for (unsigned k = 1; k < LANGUAGE_MAX; k++)
        if (counts[k] > counts[most])
            most = k;
    return counts[most] * 5 >= (uint64_t)l->n_seen * 4 ? most : LANGUAGE_UNKNOWN;
}

/* Documents in another language than four of five. */
static int report_languages(struct lint *l, struct err *err)
{
    unsigned usual = main_language(l);
    for (size_t i = 0; usual && i < l->n_seen; i++) {
        const struct seen *s = &l->seen[i];
        char message[64];
        if (s->language == usual)
            continue;
        snprintf(message, sizeof message, "seems to be in %s, most are in %s",
                 language_codes[s->language], language_codes[usual]);
        count_finding(l, LINT_LANGUAGE);
        l->summary.documents_with[LINT_LANGUAGE]++;
        if (l->options.severity[LINT_LANGUAGE] == LINT_ERROR)
            l->summary.kept_errors++;
        else
            l->summary.kept_warnings++;
        struct lint_report r = {.kind = LINT_LANGUAGE,
                                .severity = (enum lint_severity)l->options.severity[LINT_LANGUAGE],
                                .file = l->files[s->file],
                                .line = s->line,
                                .where = "",
                                .message = message};
        if (l->sink.report(l->sink.arg, &r, err))
            return -1;
    }
    return 0;
}

int lint_finish(struct lint *l, struct err *err)
{
    if (!l->checker.ignored[LINT_LANGUAGE] && !l->options.expected_languages &&
        report_languages(l, err))
        return -1;
    lint_summary_finish(&l->summary);
    l->summary.index_bytes = near_index_bytes(l->near);
    return 0;
}
