#include "model/train_session_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/program.h"
#include "compute/optimizer.h"
#include "compute/tree_sum.h"

/* ---- the folder ---- */

/* A finished run is replaced like any output; hours of an unfinished one are not. */
static int check_unfinished(struct train_session *s, struct err *err)
{
    struct train_state earlier;
    struct err ignored;
    if (!train_folder_has_state(&s->folder) || s->request->restart)
        return 0;
    if (train_state_load(&earlier, s->folder.state, &ignored))
        return 0; /* nothing to go on from */
    const struct train_progress p = earlier.progress;
    train_state_release(&earlier);
    if (!p.step || p.step >= p.steps || p.stopped_early)
        return 0;
    return err_set(err,
                   "%s: holds a run that stands at step %" PRIu64 " of %" PRIu64
                   "; go on with --resume %s, or give --restart to begin anew",
                   s->folder.path, p.step, p.steps, s->folder.path);
}

bool session_is_first(const struct train_session *s)
{
    return ranks_me(s->request->ranks) == 0;
}

/* The first rank locks the folder, for all. */
static int find_folder(struct train_session *s, struct err *err)
{
    struct stat st;
    const char *path = s->request->folder;
    if (!s->request->resume && stat(path, &st))
        return 0;
    if (train_folder_open(&s->folder, path, false, err))
        return -1;
    return s->request->resume ? 0 : check_unfinished(s, err);
}

/* A new folder is made only when the inputs are good. */
static int open_folder(struct train_session *s, struct err *err)
{
    const char *path = s->request->folder;
    if (s->request->plan || (session_is_first(s) && find_folder(s, err)))
        return s->request->plan ? 0 : -1;
    if (!s->request->resume)
        return 0;
    if (!session_is_first(s))
        train_folder_name(&s->folder, path);
    if (!train_folder_has_state(&s->folder))
        return err_set(err, "%s: no training run to resume (there is no train_state.safetensors)",
                       path);
    return train_state_load(&s->state, s->folder.state, err) ||
                   train_run_load(&s->run, &s->folder, err)
               ? -1
               : 0;
}

static int settle_options(struct train_session *s, struct err *err)
{
    const struct train_request *q = s->request;
    s->options = q->options;
    if (q->resume && s->options.backend == BACKEND_AUTO)
        s->options.backend = -1; /* what it became then */
    if (q->resume && train_options_adopt(&s->options, &s->state.options, err))
        return err_prefix(err, "%s", q->folder);
    if (!q->resume && train_options_check_kind(&s->options, err))
        return -1;
    if (!q->resume && s->options.full && q->initial)
        return err_set(err, "--full trains the weights themselves; merge %s into the model first",
                       q->initial);
    if (!q->resume)
        train_options_complete(&s->options, !q->initial);
    if (s->options.full && s->options.base_type != BASE_STORED)
        return err_set(err, "--full can't train a base that is held in fewer bits; leave out "
                            "--base-type");
    if (train_options_check(&s->options, err))
        return q->resume ? err_prefix(err, "%s", q->folder) : -1;
    train_run_set(&s->run.model, q->model);
    train_run_set(&s->run.held, q->held);
    train_run_set(&s->run.log, q->log);
    if (q->n_rows)
        train_run_set_rows(&s->run, q->rows, q->n_rows);
    if (q->threads)
        s->run.threads = q->threads;
    if (q->checkpoint_every)
        s->run.checkpoint_every = q->checkpoint_every;
    if (!s->run.model)
        return err_set(err, "%s: which model? (-m MODEL)", q->folder);
    return 0;
}

/* ---- inputs ---- */

size_t session_threads(const struct train_session *s)
{
    return s->run.threads ? s->run.threads : ranks_threads(s->request->ranks);
}

/* What `auto` becomes is measured by the first rank. */
static int open_decoder(struct train_session *s, struct err *err)
{
    struct ranks *ranks = s->request->ranks;
    struct decoder_options how = {.backend = (enum backend)s->options.backend,
                                  .base_type = (enum base_type)s->options.base_type,
                                  .threads = session_threads(s),
                                  .pass_tokens = s->options.micro_batch};
    int status = session_is_first(s) ? decoder_open(&s->decoder, s->checkpoint, &how, err) : 0;
    if (s->decoder)
        how.backend = decoder_backend(s->decoder);
    ranks_broadcast(ranks, &how.backend, sizeof how.backend);
    if (!session_is_first(s))
        status = decoder_open(&s->decoder, s->checkpoint, &how, err);
    return ranks_agree(ranks, status, err);
}

static int open_model(struct train_session *s, struct err *err)
{
    /* As it was given, for messages and for the base's name in the adapter. */
    const char *path = s->request->model ? s->request->model : s->run.model;
    int status = checkpoint_open(&s->checkpoint, path, err);
    if (ranks_agree(s->request->ranks, status, err) || open_decoder(s, err))
        return -1;
    checkpoint_hash(s->checkpoint, NULL, s->hashes.base);
    s->options.backend = (int)decoder_backend(s->decoder);
    s->options.micro_batch = decoder_pass_tokens(s->decoder);
    return vocabulary_load(&s->vocabulary, path, decoder_config(s->decoder)->vocab, NULL, err);
}

static struct rows *new_rows(const struct train_session *s)
{
    const enum loss_kind loss = train_options_loss(&s->options).kind;
    struct rows *r = rows_new();
    if (loss != LOSS_SFT)
        rows_expect(r, loss_is_of_pairs(loss) ? STREAM_PREFERENCE : STREAM_LABEL);
    return r;
}

static int read_files(struct train_session *s, struct err *err)
{
    const struct train_request *q = s->request;
    const size_t n = s->run.n_rows;
    bool is_stdin = !n;
    for (size_t i = 0; i < n; i++)
        is_stdin = is_stdin || !strcmp(s->run.rows[i], "-");
    if (is_stdin && isatty(STDIN_FILENO))
        return err_set(err, "stdin: is a terminal; name the shards, or pipe them in%s",
                       q->resume ? " as when the run began" : "");
    if (is_stdin && s->run.held && !strcmp(s->run.held, "-"))
        return err_set(err, "stdin: can't be both the rows to train on and those held out");
    for (size_t i = 0; i < n; i++)
        if (rows_read(s->rows, q->n_rows ? q->rows[i] : s->run.rows[i], &s->vocabulary, err))
            return -1;
    if (!n && rows_read(s->rows, NULL, &s->vocabulary, err))
        return -1;
    return s->held ? rows_read(s->held, q->held ? q->held : s->run.held, &s->vocabulary, err) : 0;
}

static int read_rows(struct train_session *s, struct err *err)
{
    struct ranks *ranks = s->request->ranks;
    s->rows = new_rows(s);
    s->held = s->run.held ? new_rows(s) : NULL;
    int status = session_is_first(s) ? read_files(s, err) : 0;
    if (ranks_agree(ranks, status, err) || rows_share(s->rows, ranks, err) ||
        (s->held && rows_share(s->held, ranks, err)))
        return -1;
    rows_hash(s->rows, s->hashes.rows);
    if (s->held)
        rows_hash(s->held, s->hashes.held);
    return 0;
}

static int open_preferences(struct train_session *s, struct err *err)
{
    const struct loss loss = train_options_loss(&s->options);
    if (loss.kind == LOSS_SFT)
        return 0;
    if (preference_new(&s->preference, &loss, s->rows, err))
        return -1;
    preference_share(s->preference, s->request->ranks);
    if (!s->held)
        return 0;
    if (preference_new(&s->held_preference, &loss, s->held, err))
        return err_prefix(err, "held out");
    preference_share(s->held_preference, s->request->ranks);
    return 0;
}

/* ---- memory ---- */

/* Tokens that must go through the model together: of a document, or of a preference. */
static size_t longest_part(const struct train_session *s)
{
    const struct rows_totals *t = rows_totals(s->rows);
    return s->preference ? t->longest : t->longest_document;
}

/* About how many passes a step has. */
static size_t passes_of_step(const struct train_session *s, size_t pass)
{
    const struct rows_totals *t = rows_totals(s->rows);
    const double rows = fmin((double)s->options.batch, (double)t->rows);
    return (size_t)ceil(rows * (double)t->tokens / (double)t->rows / (double)pass);
}

/* An estimate, which knows no ranks: the pass that it decides changes results. What is longer than
 * the pass goes alone. */
static size_t memory_for(const struct train_session *s, size_t pass)
{
    const size_t program = 24 << 20;
    size_t longest = longest_part(s), base = program + decoder_base_bytes(s->decoder);
    if (s->held) /* a copy of the best adapter */
        base += s->lora->n_params * sizeof(float);
    base += tree_sum_bytes(s->lora->n_params, passes_of_step(s, pass));
    base += optimizer_bytes(s->options.optimizer < 0 ? OPTIMIZER_ADAMW
                                                     : (enum optimizer_kind)s->options.optimizer,
                            s->lora->n_params);
    return base + decoder_training_bytes(s->decoder, s->lora, pass > longest ? pass : longest);
}

/* The longest pass that fits into the memory asked for. */
static int settle_memory(struct train_session *s, struct err *err)
{
    enum { SHORTEST = 64, LONGEST = 1 << 16 };
    const size_t memory = s->request->memory;
    size_t pass = LONGEST;
    if (!memory)
        return 0;
    while (pass > SHORTEST && memory_for(s, pass) > memory)
        pass /= 2;
    if (memory_for(s, pass) > memory)
        return err_set(err,
                       "--memory: about %zu MiB are needed for this model, this adapter, and "
                       "documents of %zu tokens",
                       (memory_for(s, pass) >> 20) + 1, longest_part(s));
    if (s->request->resume && pass != s->state.options.micro_batch)
        return err_set(err, "--memory means passes of %zu tokens now, but the run began with %zu",
                       pass, s->state.options.micro_batch);
    s->options.micro_batch = pass;
    decoder_set_pass_tokens(s->decoder, pass);
    return 0;
}

/* What made the rows, and this: the options that matter and the inputs' hashes. */
static void write_provenance(struct train_session *s)
{
    struct buf b = BUF_INIT;
    size_t n;
    const char *const *lines = rows_provenance(s->rows, &n);
    for (size_t i = 0; i < n; i++)
        buf_addf(&b, "%s\n", lines[i]);
    buf_addf(&b, "ft-train %s", TUNEUTILS_VERSION);
    train_options_add_arguments(&b, &s->options);
    buf_addf(&b, " base=%s rows=%s", s->hashes.base, s->hashes.rows);
    if (s->held)
        buf_addf(&b, " held=%s", s->hashes.held);
    if (s->hashes.initial[0])
        buf_addf(&b, " initial=%s", s->hashes.initial);
    s->provenance = buf_detach(&b, NULL);
}

/* ---- the run ---- */

static int open_trainer(struct train_session *s, struct err *err)
{
    const struct train_request *q = s->request;
    const struct trainer_setup setup = {
        .ranks = q->ranks,
        .decoder = s->decoder,
        .base = s->checkpoint,
        .lora = s->lora,
        .adapter_config = s->adapter_config,
        .provenance = s->provenance,
        .rows = s->rows,
        .held = s->held,
        .preference = s->preference,
        .held_preference = s->held_preference,
        .options = &s->options,
        .hashes = s->hashes,
        .folder = &s->folder,
        .metrics = &s->metrics,
        .checkpoint_every = s->run.checkpoint_every,
        .stop_after = q->stop_after,
    };
    if (trainer_new(&s->trainer, &setup, err))
        return -1;
    return q->resume ? trainer_restore(s->trainer, &s->state, err) : 0;
}

/* The first things written. */
static int begin(struct train_session *s, struct err *err)
{
    const struct train_progress *p = trainer_progress(s->trainer);
    if (s->request->plan || !session_is_first(s))
        return 0;
    if (!s->folder.path && train_folder_open(&s->folder, s->request->folder, true, err))
        return -1;
    if (train_run_save(&s->run, &s->folder, err))
        return -1;
    return s->request->resume
               ? metrics_resume(&s->metrics, s->run.log, p->step, p->evaluated == p->step, err)
               : metrics_open(&s->metrics, s->run.log, err);
}

/* That all ranks are about to do the same, with the same. */
static int compare_ranks(struct train_session *s, struct err *err)
{
    struct ranks *ranks = s->request->ranks;
    const struct {
        const char *what, *text;
    } all[] = {{"the model", s->hashes.base},
               {"the adapter to begin with", s->hashes.initial},
               {"the state to go on from", s->state.hash},
               {"the run", s->provenance}};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (ranks_same(ranks, all[i].what, all[i].text, strlen(all[i].text), err))
            return -1;
    return 0;
}

/* First values may be computed, which another processor does otherwise in the last digit. */
static void share_adapter(struct train_session *s)
{
    struct lora *l = s->lora;
    ranks_broadcast(s->request->ranks, l->params, l->n_params * sizeof *l->params);
    lora_changed(l);
}

static int open_training(struct train_session *s, struct err *err)
{
    if (open_preferences(s, err) || session_open_adapter(s, err) || settle_memory(s, err))
        return -1;
    write_provenance(s);
    return 0;
}

int train_session_open(struct train_session **out, const struct train_request *request,
                       struct err *err)
{
    struct train_session *s = xcalloc(1, sizeof *s);
    *out = NULL;
    s->request = request;
    s->folder.fd = s->metrics.fd = -1;
    struct ranks *ranks = request->ranks;
    int status = open_folder(s, err) || settle_options(s, err) ? -1 : 0;
    if (ranks_agree(ranks, status, err) || ranks_agree(ranks, open_model(s, err), err) ||
        read_rows(s, err))
        goto fail;
    if (ranks_agree(ranks, open_training(s, err), err) || compare_ranks(s, err))
        goto fail;
    share_adapter(s);
    if (ranks_agree(ranks, open_trainer(s, err), err) || ranks_agree(ranks, begin(s, err), err))
        goto fail;
    train_state_drop_arrays(&s->state);
    *out = s;
    return 0;
fail:
    train_session_close(s, NULL);
    return -1;
}

int train_session_rehearse(struct train_session *s, double seconds, struct trainer_rehearsal *r,
                           struct err *err)
{
    return trainer_rehearse(s->trainer, seconds, r, err);
}

size_t train_session_memory(const struct train_session *s)
{
    return memory_for(s, s->options.micro_batch);
}

size_t train_session_passes(const struct train_session *s)
{
    return passes_of_step(s, s->options.micro_batch);
}

void train_session_profile(struct train_session *s, struct profile *p)
{
    decoder_set_profile(s->decoder, p);
}

int train_session_run(struct train_session *s, const struct trainer_watch *watch,
                      enum trainer_end *end, struct err *err)
{
    return trainer_run(s->trainer, watch, end, err);
}

int train_session_close(struct train_session *s, struct err *err)
{
    int status = metrics_close(&s->metrics, err);
    trainer_free(s->trainer);
    free(s->provenance);
    json_decref(s->adapter_config);
    lora_free(s->lora);
    preference_free(s->held_preference);
    preference_free(s->preference);
    rows_free(s->held);
    rows_free(s->rows);
    decoder_close(s->decoder);
    checkpoint_close(s->checkpoint);
    train_state_release(&s->state);
    train_run_release(&s->run);
    train_folder_close(&s->folder);
    free(s);
    return status;
}

const struct train_options *train_session_options(const struct train_session *s)
{
    return &s->options;
}

const struct train_progress *train_session_progress(const struct train_session *s)
{
    return trainer_progress(s->trainer);
}

const struct rows_totals *train_session_rows(const struct train_session *s)
{
    return rows_totals(s->rows);
}

const struct rows_totals *train_session_held(const struct train_session *s)
{
    return s->held ? rows_totals(s->held) : NULL;
}

const struct lora *train_session_lora(const struct train_session *s)
{
    return s->lora;
}

const struct model_config *train_session_config(const struct train_session *s)
{
    return decoder_config(s->decoder);
}

bool train_session_reads_stdin(const struct train_session *s)
{
    bool is_stdin = !s->run.n_rows;
    for (size_t i = 0; i < s->run.n_rows; i++)
        is_stdin = is_stdin || !strcmp(s->run.rows[i], "-");
    return is_stdin;
}
