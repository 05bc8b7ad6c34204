/* ft-train: fine-tunes a model on shards; out comes a LoRA adapter. */
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/program.h"
#include "base/progress.h"
#include "compute/backend.h"
#include "model/train_args.h"
#include "model/train_session.h"

#define TUNE train_args.request.options

static bool no_mpi, profiled;
static double started, start_up = NAN; /* the clock's; seconds until the first step began */
static struct ranks *ranks; /* NULL: this process alone */

static const struct option_spec options[] = {
    {OPT_TABLE, 0, NULL, (void *)(uintptr_t)&train_args_table, NULL, NULL, NULL, 0, 0},
    {OPT_FLAG, 0, "no-mpi", &no_mpi, NULL, "train alone, although mpirun or srun started several",
     NULL, 0, 0},
    {OPT_FLAG, 0, "profile", &profiled, NULL, "say at the end where the time went", NULL, 0, 0},
};

static const struct program program = {
    .name = "ft-train",
    .synopsis = "-m MODEL -o FOLDER [OPTION]... [FILE]...\n"
                "  or:  ft-train --resume FOLDER [OPTION]... [FILE]...",
    .purpose = "Fine-tunes a model on shards, and writes a LoRA adapter as a PEFT folder.",
    .notes = "Examples:\n"
             "  ft-train -m base -o adapter --epochs 2 --eval held.ft --log log.jsonl train.ft\n"
             "  ft-tok -m base docs.jsonl | ft-pack | ft-train -m base -o adapter\n"
             "  ft-train --resume adapter\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

static bool same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void check_options(void)
{
    if (train_args.resume && train_args.out && strcmp(train_args.resume, train_args.out) &&
        !same_folder(train_args.resume, train_args.out))
        usage_error("--resume goes on in its own folder; copy it to leave it as it is");
    train_args.request.resume = train_args.resume != NULL;
    train_args.request.folder = train_args.resume ? train_args.resume : train_args.out;
    train_args.request.stop_after = train_args.stop_after;
    if (!train_args.request.folder)
        usage_error("where to? (-o FOLDER)");
    if (!strcmp(train_args.request.folder, "-"))
        usage_error("-o: an adapter is a folder, it can't go to the standard output");
    if (!train_args.request.model && !train_args.resume)
        usage_error("which model? (-m MODEL)");
    if (TUNE.steps != SIZE_MAX && !isnan(TUNE.epochs))
        usage_error("--steps and --epochs both say how long; give one");
    if (train_args.request.memory && TUNE.micro_batch != SIZE_MAX)
        usage_error("--memory and --micro-batch both decide the pass; give one");
    if (train_args.request.restart && train_args.resume)
        usage_error("--resume and --restart contradict each other");
}

/* ---- signals ---- */

static volatile sig_atomic_t caught;
static struct sigaction otherwise[NSIG];

/* The second one ends the program at once. */
static void on_signal(int sig)
{
    caught = sig;
    sigaction(sig, &otherwise[sig], NULL);
}

static void catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1}; /* mpirun passes on the last */
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        struct sigaction *was = &otherwise[signals[i]], now = {.sa_handler = on_signal};
        if (sigaction(signals[i], NULL, was) || was->sa_handler == SIG_IGN)
            continue; /* nohup and the like stay as they are */
        sigaction(signals[i], &now, NULL);
    }
    /* A reader of messages or of the log that goes away ends no run. */
    signal(SIGPIPE, SIG_IGN);
}

/* ---- what it says: the first of several processes ---- */

/* What all know, the first one says. */
static _Noreturn void fail(const struct err *err)
{
    const bool all_know = ranks_have_failed(ranks);
    if (!ranks_me(ranks))
        warn("%s", err->msg);
    else if (!all_know)
        warn("rank %zu: %s", ranks_me(ranks), err->msg);
    if (all_know)
        ranks_close(ranks);
    exit(1);
}

static void show(void *arg, const struct trainer_report *r)
{
    char left[24], loss[32] = "";
    if (isnan(start_up))
        start_up = clock_seconds() - r->seconds_here - started;
    double rate = r->seconds_here > 0 ? (double)r->tokens_here / r->seconds_here : 0;
    double done = (double)r->steps_here + (r->evaluating ? 0 : r->part);
    double left_steps = (double)(r->steps - r->step) - (r->evaluating ? 0 : r->part);
    double seconds = done > 0 ? r->seconds_here / done * left_steps : -1;
    if (r->left_out) {
        progress_clear(arg);
        warn("step %" PRIu64 " is left out: %s", r->step, r->left_out);
    }
    if (!isnan(r->loss))
        snprintf(loss, sizeof loss, "  loss %.4f", r->loss);
    if (r->evaluating)
        progress_draw(arg, "step %" PRIu64 "/%" PRIu64 "%s  evaluating %.0f%%", r->step, r->steps,
                      loss, 100 * r->part);
    else
        progress_draw(arg, "step %" PRIu64 "/%" PRIu64 "%s  %.0f tokens/s  ETA %s", r->step,
                      r->steps, loss, rate, seconds < 0 ? "-" : format_duration(seconds, left));
}

static void say_beginning(const struct train_session *s)
{
    const struct rows_totals *rows = train_session_rows(s);
    const struct train_options *o = train_session_options(s);
    const struct train_progress *p = train_session_progress(s);
    const struct lora *l = train_session_lora(s);
    const struct model_config *config = train_session_config(s);
    if (rows->untrained)
        warn("%" PRIu64 " documents have no token to train on or weight 0: left out",
             rows->untrained);
    if (rows->longest_document > config->max_positions)
        warn("warning: the longest document has %zu tokens, the model was made for %zu",
             rows->longest_document, config->max_positions);
    if (o->backend == BACKEND_FP32 && TUNE.backend < 0 && !train_args.resume &&
        backend_available(BACKEND_BF16))
        warn("this processor has bf16: --backend bf16 is faster (fp32 is the reference)");
    const enum loss_kind loss = train_options_loss(o).kind;
    const char *unit = loss == LOSS_SFT         ? "rows"
                       : loss_is_of_pairs(loss) ? "preferences"
                                                : "completions";
    warn("%" PRIu64 " %s of %" PRIu64 " tokens, %" PRIu64 " trained; %" PRIu64
         " steps of %zu %s; %zu parameters in %zu matrices; %s",
         rows->rows, unit, rows->tokens, rows->targets, p->steps, o->batch, unit, l->n_params,
         l->n_pairs + l->n_weights, backend_choices[o->backend]);
    if (ranks_count(ranks) > 1)
        warn("%zu processes share the passes of each step", ranks_count(ranks));
    if (loss == LOSS_KTO)
        warn("%" PRIu64 " of the completions are desirable, with a weight of %g; %" PRIu64
             " are not, with %g",
             rows->desirable, o->desirable_weight, rows->rows - rows->desirable,
             o->undesirable_weight);
    if (p->step)
        warn("going on after step %" PRIu64, p->step);
}

static void say_end(const struct train_session *s, enum trainer_end end, uint64_t step_before,
                    uint64_t tokens_before, double seconds)
{
    const struct train_progress *p = train_session_progress(s);
    const char *folder = train_args.request.folder;
    const double tokens = (double)(p->tokens - tokens_before);
    char duration[24], of[64] = "";
    if (end == TRAINER_EARLY)
        warn("the held-out loss has not fallen for %" PRIu64 " evaluations: ended early",
             p->since_best);
    warn("%" PRIu64 " steps, %.0f tokens in %s (%.0f tokens/s), peak memory %.2f GiB",
         p->step - step_before, tokens, format_duration(seconds, duration),
         seconds > 0 ? tokens / seconds : 0, (double)mem_peak_rss() / (1 << 30));
    if (p->best_step && train_session_options(s)->keep == KEEP_BEST)
        snprintf(of, sizeof of, " of step %" PRIu64 " (held-out loss %.4f)", p->best_step,
                 p->best_loss);
    if (end == TRAINER_DONE || end == TRAINER_EARLY)
        warn("%s: the %s%s", folder, train_session_options(s)->full ? "model" : "adapter", of);
    else
        warn("stopped after step %" PRIu64 " of %" PRIu64 "; go on with: ft-train --resume %s%s",
             p->step, p->steps, folder,
             train_session_reads_stdin(s) ? " and the same rows on standard input" : "");
}

/* ---- the program ---- */

/* The exit status. */
static int train(void)
{
    struct train_session *s;
    struct progress progress;
    struct err err;
    enum trainer_end end;
    const bool talks = ranks_me(ranks) == 0;
    if (train_session_open(&s, &train_args.request, &err))
        fail(&err);
    if (talks)
        say_beginning(s);
    struct profile profile = {0};
    if (profiled && talks)
        train_session_profile(s, &profile);
    catch_signals();
    progress_init(&progress, (enum progress_when)train_args.progress);
    const struct trainer_watch watch = {talks ? show : NULL, &progress, &caught};
    const struct train_progress before = *train_session_progress(s);
    const double began = clock_seconds();
    int status = train_session_run(s, &watch, &end, &err);
    progress_clear(&progress);
    const double seconds = clock_seconds() - began;
    if (!status && talks)
        say_end(s, end, before.step, before.tokens, seconds);
    if (!status && talks && profiled && !isnan(start_up))
        warn("the first step began %.2f s after the start", start_up);
    if (!status && talks && profiled)
        profile_print(&profile, seconds, stderr);
    if (status || train_session_close(s, &err))
        fail(&err);
    ranks_close(ranks);
    return end == TRAINER_INTERRUPTED ? 128 + (caught ? caught : SIGTERM) : 0;
}

int main(int argc, char **argv)
{
    struct err err;
    started = clock_seconds();
    TUNE = train_options_unset;
    int first = program_start(&program, argc, argv);
    train_args.request.rows = (const char *const *)(argv + first);
    train_args.request.n_rows = (size_t)(argc - first);
    check_options();
    if (!no_mpi && ranks_open(&ranks, &err))
        die("%s", err.msg);
    train_args.request.ranks = ranks;
    return train();
}
