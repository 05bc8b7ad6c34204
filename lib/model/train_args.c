#include "model/train_args.h"

#include "base/mem.h"
#include "base/progress.h"
#include "compute/backend.h"
#include "compute/optimizer.h"
#include "compute/schedule.h"
#include "model/adapter.h"
#include "model/full.h"
#include "model/lora_init.h"

struct train_args train_args;

#define TUNE train_args.request.options

static const struct option_spec entries[] = {
    {OPT_STRING, 'm', "model", &train_args.request.model, "MODEL",
     "Hugging Face folder or GGUF file", NULL, 0, 0},
    {OPT_STRING, 'a', "adapter", &train_args.request.initial, "ADAPTER",
     "PEFT folder to go on from, in place of a new adapter", NULL, 0, 0},
    {OPT_STRING, 'o', "output", &train_args.out, "FOLDER", "where the adapter goes", NULL, 0, 0},
    {OPT_STRING, 0, "log", &train_args.request.log, "FILE", "metrics, a line of JSON for each step",
     NULL, 0, 0},

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

    {OPT_CHOICE, 0, "on-spike", &TUNE.on_spike, NULL,
     "a loss far above the usual: go on, end the run, or leave the step out [ignore]",
     spike_choices, 0, 0},
    {OPT_DOUBLE, 0, "spike", &TUNE.spike, "X",
     "... which is X times as far off as losses usually are [8]", NULL, 1, 1e9},

    {OPT_HEADING, 0, "Evaluation", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_STRING, 0, "eval", &train_args.request.held, "FILE", "held-out shard to evaluate on", NULL,
     0, 0},
    {OPT_SIZE, 0, "eval-every", &TUNE.eval_every, "N",
     "steps between evaluations, 0: each epoch [0]", NULL, 0, 1e12},
    {OPT_CHOICE, 0, "keep", &TUNE.keep, NULL,
     "adapter that is written: of the lowest held-out loss, or the last [best]", keep_choices, 0,
     0},
    {OPT_SIZE, 0, "patience", &TUNE.patience, "N",
     "end after N evaluations that were no better, 0: never [0]", NULL, 0, 1e9},

    {OPT_HEADING, 0, "Stopping and going on", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_SIZE, 0, "checkpoint-every", &train_args.request.checkpoint_every, "N",
     "steps between checkpoints, 0: only at the end [0]", NULL, 0, 1e12},
    {OPT_STRING, 0, "resume", &train_args.resume, "FOLDER", "go on with the run that stopped there",
     NULL, 0, 0},
    {OPT_SIZE, 0, "stop-after", &train_args.stop_after, "STEP", "stop there, to be resumed", NULL,
     1, 1e12},
    {OPT_FLAG, 0, "restart", &train_args.request.restart, NULL,
     "begin anew although FOLDER holds an unfinished run", NULL, 0, 0},

    {OPT_HEADING, 0, "Computing", NULL, NULL, NULL, NULL, 0, 0},
    {OPT_CHOICE, 0, "backend", &TUNE.backend, NULL, "arithmetic of matrix products [fp32]",
     backend_choices, 0, 0},
    {OPT_CHOICE, 0, "base-type", &TUNE.base_type, NULL,
     "what the base's linear layers are held as; nf4: QLoRA [stored]", base_type_choices, 0, 0},
    {OPT_SIZE, 0, "micro-batch", &TUNE.micro_batch, "TOKENS", "tokens of one pass [512, bf16 1024]",
     NULL, 1, 1 << 24},
    {OPT_SIZE, 0, "memory", &train_args.request.memory, "SIZE",
     "choose the pass so that this is enough", NULL, 0, 1e15},
    {OPT_SIZE, 0, "threads", &train_args.request.threads, "N", "0: all processors [0]", NULL, 0,
     4096},
    {OPT_CHOICE, 0, "progress", &train_args.progress, NULL, "whether to show progress [auto]",
     progress_choices, 0, 0},
};

const struct option_table train_args_table = {entries, ARRAY_SIZE(entries)};
