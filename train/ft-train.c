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
#include "compute/optimizer.h"
#include "compute/schedule.h"
#include "model/adapter.h"
#include "model/full.h"
#include "model/lora_init.h"
#include "model/train_session.h"

static struct {
    struct train_request request;
    const char *out, *resume;
    size_t stop_after;
    int progress;
} opt;

#define TUNE opt.request.options

static const struct option_spec options[] = {
    {OPT_STRING, 'm', "model", &opt.request.model, "MODEL", "Hugging Face folder or GGUF file",
     NULL, 0, 0},
    {OPT_STRING, 'a', "adapter", &opt.request.initial, "ADAPTER",
     "PEFT folder to go on from, in place of a new adapter", NULL, 0, 0},
    {OPT_STRING, 'o', "output", &opt.out, "FOLDER", "where the adapter goes", NULL, 0, 0},
    {OPT_STRING, 0, "log", &opt.request.log, "FILE", "metrics, a line of JSON for each step", NULL,
     0, 0},

    {OPT_HEADING, 0, "The adapter", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_SIZE, 0, "rank", &TUNE.rank, "R", "rank of its matrices [16]", NULL, 1, 4096},
    {OPT_DOUBLE, 0, "alpha", &TUNE.alpha, "ALPHA", "scale = ALPHA / R [2 R]", NULL, 1e-6, 1e6},
    {OPT_STRING, 0, "targets", &TUNE.targets, "NAME,...",
     "module endings, such as q_proj,v_proj, or a pattern [all-linear]", NULL, 0, 0},
    {OPT_STRING, 0, "exclude", &TUNE.excluded, "NAME,...", "but not these", NULL, 0, 0},
    {OPT_STRING, 0, "layers", &TUNE.layers, "N,N-N,...", "and only in these layers", NULL, 0, 0},
    {OPT_STRING, 0, "rank-pattern", &TUNE.rank_pattern, "NAME=R,...", "other ranks of some modules",
     NULL, 0, 0},
    {OPT_STRING, 0, "alpha-pattern", &TUNE.alpha_pattern, "NAME=ALPHA,...", "and other alphas",
     NULL, 0, 0},
    {OPT_STRING, 0, "modules-to-save", &TUNE.saved, "NAME,...",
     "train these whole, such as embed_tokens,lm_head,norm", NULL, 0, 0},
    {OPT_CHOICE, 0, "bias", &TUNE.bias, NULL, "biases to train too [none]", adapter_bias_choices, 0,
     0},
    {OPT_FLAG, 0, "rslora", &TUNE.rslora, NULL, "scale = ALPHA / sqrt(R)", NULL, 0, 0},
    {OPT_FLAG, 0, "dora", &TUNE.dora, NULL, "train the rows' magnitudes apart (DoRA)", NULL, 0, 0},
    {OPT_CHOICE, 0, "init", &TUNE.init, NULL, "first values of its matrices [default]",
     lora_init_choices, 0, 0},
    {OPT_DOUBLE, 0, "dropout", &TUNE.dropout, "P", "of the adapter's input [0]", NULL, 0, 0.99},

    {OPT_HEADING, 0, "In place of an adapter", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_FLAG, 0, "full", &TUNE.full, NULL,
     "train the model's own weights, of --targets and --layers or all, and write a model", NULL, 0,
     0},
    {OPT_CHOICE, 0, "save-type", &TUNE.save_type, NULL, "type of its weights [base]",
     full_type_choices, 0, 0},
    {OPT_SIZE, 0, "shard-size", &TUNE.shard_size, "SIZE", "largest file of weights in it [5G]",
     NULL, 1 << 10, 1e15},

    {OPT_HEADING, 0, "Length", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_DOUBLE, 0, "epochs", &TUNE.epochs, "E", "passes over the rows, also 0.5 [1]", NULL, 1e-6,
     1e6},
    {OPT_SIZE, 0, "steps", &TUNE.steps, "N", "optimiser steps, in place of epochs", NULL, 1, 1e12},
    {OPT_SIZE, 0, "batch", &TUNE.batch, "ROWS", "packed rows in a step [4]", NULL, 1, 1e9},
    {OPT_FLAG, 0, "no-shuffle", &TUNE.no_shuffle, NULL,
     "keep the order of the rows in later epochs too", NULL, 0, 0},
    {OPT_U64, 0, "seed", &TUNE.seed, "SEED", "of weights, order and dropout [1]", NULL, 0, 0},

    {OPT_HEADING, 0, "Loss", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_CHOICE, 0, "loss", &TUNE.loss, NULL, "what is learnt from [sft]", loss_choices, 0, 0},
    {OPT_DOUBLE, 0, "beta", &TUNE.beta, "BETA",
     "dpo, ipo, kto, simpo: strength; orpo: share of the odds [0.1, simpo 2]", NULL, 0, 1e6},
    {OPT_DOUBLE, 0, "gamma", &TUNE.gamma, "GAMMA", "simpo: margin asked for [1]", NULL, -1e6, 1e6},
    {OPT_DOUBLE, 0, "label-smoothing", &TUNE.label_smoothing, "E",
     "sft, dpo, simpo: share of labels taken to be wrong [0]", NULL, 0, 0.999},
    {OPT_DOUBLE, 0, "desirable-weight", &TUNE.desirable_weight, "W",
     "kto: of desirable completions [1]", NULL, 0, 1e6},
    {OPT_DOUBLE, 0, "undesirable-weight", &TUNE.undesirable_weight, "W", "kto: of the others [1]",
     NULL, 0, 1e6},
    {OPT_CHOICE, 0, "reference", &TUNE.reference, NULL,
     "dpo, ipo, kto: the base alone, or with the adapter at the start [base]", reference_choices, 0,
     0},
    {OPT_DOUBLE, 0, "neftune", &TUNE.neftune, "ALPHA", "noise on the embeddings [0]", NULL, 0, 1e6},

    {OPT_HEADING, 0, "Optimiser", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_CHOICE, 0, "optimizer", &TUNE.optimizer, NULL, "which [adamw]", optimizer_choices, 0, 0},
    {OPT_DOUBLE, 0, "lr", &TUNE.lr, "RATE", "highest learning rate [5e-4]", NULL, 0, 1e30},
    {OPT_DOUBLE, 0, "lora-plus-ratio", &TUNE.lora_plus_ratio, "X",
     "B matrices learn X times as fast (LoRA+) [1]", NULL, 0, 1e9},
    {OPT_CHOICE, 0, "schedule", &TUNE.schedule, NULL, "its course over the steps [cosine]",
     schedule_choices, 0, 0},
    {OPT_STRING, 0, "warmup", &TUNE.warmup, "N|P%", "steps or share of them that rise [0]", NULL, 0,
     0},
    {OPT_STRING, 0, "decay", &TUNE.decay, "N|P%", "wsd: steps or share that fall [20%]", NULL, 0,
     0},
    {OPT_DOUBLE, 0, "weight-decay", &TUNE.weight_decay, "W", "decoupled weight decay [0]", NULL, 0,
     1e3},
    {OPT_DOUBLE, 0, "clip", &TUNE.clip, "NORM", "longest gradient, 0: any [1]", NULL, 0, 1e9},
    {OPT_DOUBLE, 0, "beta1", &TUNE.beta1, "B", "decay of the mean [0.9]", NULL, 0, 0.9999999},
    {OPT_DOUBLE, 0, "beta2", &TUNE.beta2, "B", "decay of the square [0.999]", NULL, 0, 0.9999999},
    {OPT_DOUBLE, 0, "eps", &TUNE.eps, "EPS", "added to its root [1e-8]", NULL, 0, 1},

    {OPT_HEADING, 0, "Evaluation", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_STRING, 0, "eval", &opt.request.held, "FILE", "held-out shard to evaluate on", NULL, 0, 0},
    {OPT_SIZE, 0, "eval-every", &TUNE.eval_every, "N",
     "steps between evaluations, 0: each epoch [0]", NULL, 0, 1e12},
    {OPT_CHOICE, 0, "keep", &TUNE.keep, NULL,
     "adapter that is written: of the lowest held-out loss, or the last [best]", keep_choices, 0,
     0},
    {OPT_SIZE, 0, "patience", &TUNE.patience, "N",
     "end after N evaluations that were no better, 0: never [0]", NULL, 0, 1e9},

    {OPT_HEADING, 0, "Stopping and going on", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_SIZE, 0, "checkpoint-every", &opt.request.checkpoint_every, "N",
     "steps between checkpoints, 0: only at the end [0]", NULL, 0, 1e12},
    {OPT_STRING, 0, "resume", &opt.resume, "FOLDER", "go on with the run that stopped there", NULL,
     0, 0},
    {OPT_SIZE, 0, "stop-after", &opt.stop_after, "STEP", "stop there, to be resumed", NULL, 1,
     1e12},
    {OPT_FLAG, 0, "restart", &opt.request.restart, NULL,
     "begin anew although FOLDER holds an unfinished run", NULL, 0, 0},

    {OPT_HEADING, 0, "Computing", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_CHOICE, 0, "backend", &TUNE.backend, NULL, "arithmetic of matrix products [fp32]",
     backend_choices, 0, 0},
    {OPT_CHOICE, 0, "base-type", &TUNE.base_type, NULL,
     "what the base's linear layers are held as; nf4: QLoRA [stored]", base_type_choices, 0, 0},
    {OPT_SIZE, 0, "micro-batch", &TUNE.micro_batch, "TOKENS", "tokens of one pass [512, bf16 1024]",
     NULL, 1, 1 << 24},
    {OPT_SIZE, 0, "memory", &opt.request.memory, "SIZE", "choose the pass so that this is enough",
     NULL, 0, 1e15},
    {OPT_SIZE, 0, "threads", &opt.request.threads, "N", "0: all processors [0]", NULL, 0, 4096},
    {OPT_CHOICE, 0, "progress", &opt.progress, NULL, "whether to show progress [auto]",
     progress_choices, 0, 0},
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
    if (opt.resume && opt.out && strcmp(opt.resume, opt.out) && !same_folder(opt.resume, opt.out))
        usage_error("--resume goes on in its own folder; copy it to leave it as it is");
    opt.request.resume = opt.resume != NULL;
    opt.request.folder = opt.resume ? opt.resume : opt.out;
    opt.request.stop_after = opt.stop_after;
    if (!opt.request.folder)
        usage_error("where to? (-o FOLDER)");
    if (!strcmp(opt.request.folder, "-"))
        usage_error("-o: an adapter is a folder, it can't go to the standard output");
    if (!opt.request.model && !opt.resume)
        usage_error("which model? (-m MODEL)");
    if (TUNE.steps != SIZE_MAX && !isnan(TUNE.epochs))
        usage_error("--steps and --epochs both say how long; give one");
    if (opt.request.memory && TUNE.micro_batch != SIZE_MAX)
        usage_error("--memory and --micro-batch both decide the pass; give one");
    if (opt.request.restart && opt.resume)
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
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        struct sigaction *was = &otherwise[signals[i]], now = {.sa_handler = on_signal};
        if (sigaction(signals[i], NULL, was) || was->sa_handler == SIG_IGN)
            continue; /* nohup and the like stay as they are */
        sigaction(signals[i], &now, NULL);
    }
    /* A reader of messages or of the log that goes away ends no run. */
    signal(SIGPIPE, SIG_IGN);
}

/* ---- what it says ---- */

static void show(void *arg, const struct trainer_report *r)
{
    char left[24], loss[32] = "";
    double rate = r->seconds_here > 0 ? (double)r->tokens_here / r->seconds_here : 0;
    double done = (double)r->steps_here + (r->evaluating ? 0 : r->part);
    double left_steps = (double)(r->steps - r->step) - (r->evaluating ? 0 : r->part);
    double seconds = done > 0 ? r->seconds_here / done * left_steps : -1;
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
    if (o->backend == BACKEND_FP32 && TUNE.backend < 0 && !opt.resume &&
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
    if (p->step)
        warn("going on after step %" PRIu64, p->step);
}

static void say_end(const struct train_session *s, enum trainer_end end, uint64_t step_before,
                    uint64_t tokens_before, double seconds)
{
    const struct train_progress *p = train_session_progress(s);
    const char *folder = opt.request.folder;
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
    if (train_session_open(&s, &opt.request, &err))
        die("%s", err.msg);
    say_beginning(s);
    catch_signals();
    progress_init(&progress, (enum progress_when)opt.progress);
    const struct trainer_watch watch = {show, &progress, &caught};
    const struct train_progress before = *train_session_progress(s);
    const double began = clock_seconds();
    int status = train_session_run(s, &watch, &end, &err);
    progress_clear(&progress);
    if (!status)
        say_end(s, end, before.step, before.tokens, clock_seconds() - began);
    if (status || train_session_close(s, &err))
        die("%s", err.msg);
    return end == TRAINER_INTERRUPTED ? 128 + caught : 0;
}

int main(int argc, char **argv)
{
    TUNE = train_options_unset;
    int first = program_start(&program, argc, argv);
    opt.request.rows = (const char *const *)(argv + first);
    opt.request.n_rows = (size_t)(argc - first);
    check_options();
    return train();
}
