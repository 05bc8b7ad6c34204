#include "model/train_options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/backend.h"
#include "compute/optimizer.h"
#include "compute/quantise.h"
#include "compute/schedule.h"
#include "formats/json.h"
#include "model/adapter.h"
#include "model/full.h"
#include "model/lora_init.h"

const char *const keep_choices[] = {"best", "last", NULL};
const char *const reference_choices[] = {"base", "start", NULL};

enum field_kind { FIELD_SIZE, FIELD_U64, FIELD_REAL, FIELD_TEXT, FIELD_CHOICE, FIELD_FLAG };

struct field {
    const char *name; /* of the long option and of the key in JSON */
    enum field_kind kind;
    size_t offset;
    const char *const *choices;
};

#define FIELD(kind, name, member)                                                                  \
    {                                                                                              \
        name, kind, offsetof(struct train_options, member), NULL                                   \
    }
#define CHOICE(name, member, choices)                                                              \
    {                                                                                              \
        name, FIELD_CHOICE, offsetof(struct train_options, member), choices                        \
    }

static const struct field fields[] = {
    FIELD(FIELD_FLAG, "full", full),
    CHOICE("save-type", save_type, full_type_choices),
    FIELD(FIELD_SIZE, "shard-size", shard_size),
    FIELD(FIELD_SIZE, "rank", rank),
    FIELD(FIELD_REAL, "alpha", alpha),
    FIELD(FIELD_TEXT, "targets", targets),
    FIELD(FIELD_FLAG, "rslora", rslora),
    FIELD(FIELD_FLAG, "dora", dora),
    FIELD(FIELD_TEXT, "exclude", excluded),
    FIELD(FIELD_TEXT, "layers", layers),
    FIELD(FIELD_TEXT, "rank-pattern", rank_pattern),
    FIELD(FIELD_TEXT, "alpha-pattern", alpha_pattern),
    FIELD(FIELD_TEXT, "modules-to-save", saved),
    CHOICE("bias", bias, adapter_bias_choices),
    CHOICE("init", init, lora_init_choices),
    FIELD(FIELD_REAL, "dropout", dropout),
    FIELD(FIELD_U64, "seed", seed),
    FIELD(FIELD_SIZE, "steps", steps),
    FIELD(FIELD_REAL, "epochs", epochs),
    FIELD(FIELD_SIZE, "batch", batch),
    FIELD(FIELD_FLAG, "no-shuffle", no_shuffle),
    FIELD(FIELD_SIZE, "micro-batch", micro_batch),
    CHOICE("backend", backend, backend_choices),
    CHOICE("base-type", base_type, base_type_choices),
    CHOICE("optimizer", optimizer, optimizer_choices),
    FIELD(FIELD_REAL, "lr", lr),
    FIELD(FIELD_REAL, "lora-plus-ratio", lora_plus_ratio),
    CHOICE("schedule", schedule, schedule_choices),
    FIELD(FIELD_TEXT, "warmup", warmup),
    FIELD(FIELD_TEXT, "decay", decay),
    FIELD(FIELD_REAL, "weight-decay", weight_decay),
    FIELD(FIELD_REAL, "clip", clip),
    FIELD(FIELD_REAL, "beta1", beta1),
    FIELD(FIELD_REAL, "beta2", beta2),
    FIELD(FIELD_REAL, "eps", eps),
    CHOICE("loss", loss, loss_choices),
    FIELD(FIELD_REAL, "beta", beta),
    FIELD(FIELD_REAL, "gamma", gamma),
    FIELD(FIELD_REAL, "label-smoothing", label_smoothing),
    FIELD(FIELD_REAL, "desirable-weight", desirable_weight),
    FIELD(FIELD_REAL, "undesirable-weight", undesirable_weight),
    CHOICE("reference", reference, reference_choices),
    FIELD(FIELD_REAL, "neftune", neftune),
    CHOICE("on-spike", on_spike, spike_choices),
    FIELD(FIELD_REAL, "spike", spike),
    FIELD(FIELD_SIZE, "eval-every", eval_every),
    FIELD(FIELD_SIZE, "patience", patience),
    CHOICE("keep", keep, keep_choices),
};

const struct train_options train_options_unset = {
    .optimizer = -1,
    .save_type = -1,
    .shard_size = SIZE_MAX,
    .bias = -1,
    .init = -1,
    .lora_plus_ratio = NAN,
    .rank = SIZE_MAX,
    .alpha = NAN,
    .dropout = NAN,
    .seed = UINT64_MAX,
    .steps = SIZE_MAX,
    .epochs = NAN,
    .batch = SIZE_MAX,
    .micro_batch = SIZE_MAX,
    .backend = -1,
    .base_type = -1,
    .lr = NAN,
    .schedule = -1,
    .weight_decay = NAN,
    .clip = NAN,
    .beta1 = NAN,
    .beta2 = NAN,
    .eps = NAN,
    .loss = -1,
    .beta = NAN,
    .gamma = NAN,
    .label_smoothing = NAN,
    .desirable_weight = NAN,
    .undesirable_weight = NAN,
    .reference = -1,
    .neftune = NAN,
    .on_spike = -1,
    .spike = NAN,
    .eval_every = SIZE_MAX,
    .patience = SIZE_MAX,
    .keep = -1,
};

/* What stays unset is as if it weren't there. */
static const struct train_options defaults = {
    .optimizer = -1, /* adamw */
    .save_type = -1,
    .shard_size = SIZE_MAX,
    .bias = -1,
    .init = -1,
    .lora_plus_ratio = NAN,
    .rank = 16,
    .alpha = NAN, /* twice the rank */
    .targets = "all-linear",
    .dropout = 0,
    .seed = 1,
    .steps = 0,
    .epochs = 0,
    .batch = 4,
    .micro_batch = 0, /* the decoder's */
    .backend = BACKEND_FP32,
    .base_type = BASE_STORED,
    .lr = 5e-4,
    .schedule = SCHEDULE_COSINE,
    .warmup = "0",
    .decay = "20%",
    .weight_decay = 0,
    .clip = 1,
    .beta1 = 0.9,
    .beta2 = 0.999,
    .eps = 1e-8,
    .loss = -1, /* as complete_loss says */
    .beta = NAN,
    .gamma = NAN,
    .label_smoothing = NAN,
    .desirable_weight = NAN,
    .undesirable_weight = NAN,
    .reference = -1,
    .neftune = NAN,
    .on_spike = -1, /* as train_options_complete says */
    .spike = NAN,
    .eval_every = 0,
    .patience = 0,
    .keep = KEEP_BEST,
};

static const void *value_of(const struct train_options *o, const struct field *f)
{
    return (const char *)o + f->offset;
}

static bool is_set(const struct train_options *o, const struct field *f)
{
    const void *v = value_of(o, f);
    switch (f->kind) {
    case FIELD_SIZE:
        return *(const size_t *)v != SIZE_MAX;
    case FIELD_U64:
        return *(const uint64_t *)v != UINT64_MAX;
    case FIELD_REAL:
        return !isnan(*(const double *)v);
    case FIELD_TEXT:
        return *(const char *const *)v != NULL;
    case FIELD_CHOICE:
        return *(const int *)v >= 0;
    case FIELD_FLAG:
        return *(const bool *)v;
    }
    return false;
}

static void copy_value(struct train_options *to, const struct train_options *from,
                       const struct field *f)
{
    static const size_t sizes[] = {
        [FIELD_SIZE] = sizeof(size_t), [FIELD_U64] = sizeof(uint64_t),
        [FIELD_REAL] = sizeof(double), [FIELD_TEXT] = sizeof(const char *),
        [FIELD_CHOICE] = sizeof(int),  [FIELD_FLAG] = sizeof(bool),
    };
    memcpy((char *)to + f->offset, value_of(from, f), sizes[f->kind]);
}

/* The value as it is typed on a command line. */
static void add_value(struct buf *b, const struct train_options *o, const struct field *f)
{
    const void *v = value_of(o, f);
    switch (f->kind) {
    case FIELD_SIZE:
        buf_addu(b, *(const size_t *)v);
        break;
    case FIELD_U64:
        buf_addu(b, *(const uint64_t *)v);
        break;
    case FIELD_REAL:
        json_add_real(b, *(const double *)v);
        break;
    case FIELD_TEXT:
        buf_addstr(b, *(const char *const *)v);
        break;
    case FIELD_CHOICE:
        buf_addstr(b, f->choices[*(const int *)v]);
        break;
    case FIELD_FLAG:
        buf_addstr(b, "true");
        break;
    }
}

static enum loss_kind kind_of(const struct train_options *o)
{
    return o->loss < 0 ? LOSS_SFT : (enum loss_kind)o->loss;
}

/* What says that nothing is out of the ordinary says nothing. */
static void forget_ordinary(struct train_options *o)
{
    if (o->loss == LOSS_SFT)
        o->loss = -1;
    if (!(o->label_smoothing > 0 || o->label_smoothing < 0))
        o->label_smoothing = NAN;
    if (!(o->neftune > 0 || o->neftune < 0))
        o->neftune = NAN;
    if (o->on_spike == SPIKE_IGNORE)
        o->on_spike = -1;
}

static void complete_loss(struct train_options *o)
{
    const enum loss_kind kind = kind_of(o);
    forget_ordinary(o);
    if (isnan(o->beta))
        o->beta = loss_usual_beta(kind);
    if (kind == LOSS_SIMPO && isnan(o->gamma))
        o->gamma = 1;
    if (kind == LOSS_KTO && isnan(o->desirable_weight))
        o->desirable_weight = 1;
    if (kind == LOSS_KTO && isnan(o->undesirable_weight))
        o->undesirable_weight = 1;
    if (loss_has_reference(kind) && o->reference < 0)
        o->reference = REFERENCE_BASE;
}

struct loss train_options_loss(const struct train_options *o)
{
    return (struct loss){.kind = kind_of(o),
                         .beta = o->beta,
                         .gamma = o->gamma,
                         .label_smoothing = isnan(o->label_smoothing) ? 0 : o->label_smoothing,
                         .desirable = o->desirable_weight,
                         .undesirable = o->undesirable_weight};
}

void train_options_complete(struct train_options *o, bool fresh)
{
    const double lr_of_all = 2e-5, beta2_of_lion = 0.99, usual_spike = 8;
    /* Lion's steps are as long as they can be. */
    const double share = o->optimizer == OPTIMIZER_LION ? 0.2 : 1;
    if (isnan(o->lr))
        o->lr = share * (o->full ? lr_of_all : defaults.lr);
    if (o->optimizer == OPTIMIZER_LION && isnan(o->beta2))
        o->beta2 = beta2_of_lion;
    fresh = fresh && !o->full;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        const struct field *f = &fields[i];
        if (!fresh && (f->offset == offsetof(struct train_options, rank) ||
                       f->offset == offsetof(struct train_options, targets) ||
                       f->offset == offsetof(struct train_options, dropout)))
            continue;
        if (!is_set(o, f))
            copy_value(o, &defaults, f);
    }
    complete_loss(o);
    if (o->on_spike > 0 && isnan(o->spike))
        o->spike = usual_spike;
    if (fresh && isnan(o->alpha))
        o->alpha = 2 * (double)o->rank;
    if (!o->steps && !(o->epochs > 0))
        o->epochs = 1;
}

/* Options that say something about adapters only, or about whole models only. */
static const char *const adapter_only[] = {
    "rank",          "alpha",           "rslora", "dora", "dropout",         "rank-pattern",
    "alpha-pattern", "modules-to-save", "bias",   "init", "lora-plus-ratio",
};
static const char *const full_only[] = {"save-type", "shard-size"};

static const char *first_set(const struct train_options *o, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ARRAY_SIZE(fields); k++)
            if (!strcmp(fields[k].name, names[i]) && is_set(o, &fields[k]))
                return names[i];
    return NULL;
}

int train_options_check_kind(const struct train_options *o, struct err *err)
{
    const char *wrong = o->full ? first_set(o, adapter_only, ARRAY_SIZE(adapter_only))
                                : first_set(o, full_only, ARRAY_SIZE(full_only));
    if (wrong && o->full)
        return err_set(err, "--%s is about adapters; --full trains the weights themselves", wrong);
    return wrong ? err_set(err, "--%s goes with --full", wrong) : 0;
}

static bool within(double v, double least, double below)
{
    return v >= least && v < below;
}

/* Each option of a loss has a value that makes sense where the loss uses it, and none elsewhere. */
static int check_loss(const struct train_options *o, struct err *err)
{
    const enum loss_kind kind = kind_of(o);
    const bool kto = kind == LOSS_KTO;
    const struct {
        const char *name;
        double value;
        bool used, needed, good;
    } all[] = {
        {"beta", o->beta, kind != LOSS_SFT, true, o->beta > 0 && o->beta < INFINITY},
        {"gamma", o->gamma, kind == LOSS_SIMPO, true, isfinite(o->gamma)},
        {"label-smoothing", o->label_smoothing, loss_can_be_smoothed(kind), false,
         within(o->label_smoothing, 0, kind == LOSS_SFT ? 1 : 0.5)},
        {"desirable-weight", o->desirable_weight, kto, true,
         within(o->desirable_weight, 0, INFINITY)},
        {"undesirable-weight", o->undesirable_weight, kto, true,
         within(o->undesirable_weight, 0, INFINITY)},
        {"reference", o->reference < 0 ? NAN : o->reference, loss_has_reference(kind), true, true},
        {"neftune", o->neftune, true, false, within(o->neftune, 0, INFINITY)},
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        const bool set = !isnan(all[i].value);
        if (set && !all[i].used)
            return err_set(err, "--%s has no meaning for --loss=%s", all[i].name,
                           loss_choices[kind]);
        if (set ? !all[i].good : all[i].used && all[i].needed)
            return err_set(err, "--%s=%g makes no sense for --loss=%s", all[i].name, all[i].value,
                           loss_choices[kind]);
    }
    return 0;
}

int train_options_check(const struct train_options *o, struct err *err)
{
    const char *wrong = o->batch < 1 || o->batch == SIZE_MAX ? "batch"
                        : !o->steps && !(o->epochs > 0)      ? "epochs"
                        : o->schedule < 0                    ? "schedule"
                        : o->backend < 0                     ? "backend"
                        : o->base_type < 0                   ? "base-type"
                        : o->keep < 0                        ? "keep"
                        : !o->warmup                         ? "warmup"
                        : !o->decay                          ? "decay"
                        : !within(o->beta1, 0, 1)            ? "beta1"
                        : !within(o->beta2, 0, 1)            ? "beta2"
                        : !within(o->eps, 0, INFINITY)       ? "eps"
                        : !within(o->lr, 0, INFINITY)        ? "lr"
                        : !isnan(o->lora_plus_ratio) && !within(o->lora_plus_ratio, 0, INFINITY)
                            ? "lora-plus-ratio"
                        : !within(o->clip, 0, INFINITY)                          ? "clip"
                        : !isfinite(o->weight_decay)                             ? "weight-decay"
                        : !isnan(o->spike) && !(o->on_spike > 0 && o->spike > 0) ? "spike"
                        : !isnan(o->dropout) && !within(o->dropout, 0, 1)        ? "dropout"
                                                                                 : NULL;
    if (wrong)
        return err_set(err, "option \"%s\" has no value that makes sense", wrong);
    return check_loss(o, err);
}

static bool is_length(const struct field *f)
{
    return f->offset == offsetof(struct train_options, steps) ||
           f->offset == offsetof(struct train_options, epochs);
}

int train_options_adopt(struct train_options *o, const struct train_options *earlier,
                        struct err *err)
{
    forget_ordinary(o);
    bool other_length = o->steps != SIZE_MAX || !isnan(o->epochs);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        const struct field *f = &fields[i];
        if (is_length(f) && other_length) {
            if (!is_set(o, f))
                copy_value(o, &defaults, f);
            continue;
        }
        if (!is_set(o, f)) {
            copy_value(o, earlier, f);
            continue;
        }
        struct buf now = BUF_INIT, then = BUF_INIT;
        add_value(&now, o, f);
        if (is_set(earlier, f))
            add_value(&then, earlier, f);
        bool differs = strcmp(now.p, then.p) != 0;
        if (differs)
            err_set(err, "--%s is %s now, but the run began with %s", f->name, now.p,
                    then.len ? then.p : "none");
        buf_release(&now);
        buf_release(&then);
        if (differs)
            return -1;
    }
    return 0;
}

json_t *train_options_to_json(const struct train_options *o)
{
    json_t *json = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        const struct field *f = &fields[i];
        if (!is_set(o, f))
            continue;
        struct buf text = BUF_INIT;
        add_value(&text, o, f);
        json_t *value = f->kind == FIELD_REAL   ? json_real(*(const double *)value_of(o, f))
                        : f->kind == FIELD_FLAG ? json_true()
                                                : json_string(text.p);
        json_object_set_new(json, f->name, value);
        buf_release(&text);
    }
    return json;
}

static bool read_whole(const char *text, uint64_t *v)
{
    char *end;
    errno = 0;
    *v = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

static bool read_value(struct train_options *o, const struct field *f, const json_t *json)
{
    void *v = (char *)o + f->offset;
    const char *text = json_string_value(json);
    uint64_t whole;
    if (f->kind == FIELD_REAL) {
        *(double *)v = json_real_value(json);
        return json_is_real(json);
    }
    if (f->kind == FIELD_FLAG) {
        *(bool *)v = true;
        return json_is_true(json);
    }
    if (!text)
        return false;
    if (f->kind == FIELD_TEXT) {
        *(const char **)v = text;
        return true;
    }
    if (f->kind == FIELD_CHOICE) {
        for (int i = 0; f->choices[i]; i++)
            if (!strcmp(f->choices[i], text)) {
                *(int *)v = i;
                return true;
            }
        return false;
    }
    if (!read_whole(text, &whole))
        return false;
    if (f->kind == FIELD_SIZE)
        *(size_t *)v = whole;
    else
        *(uint64_t *)v = whole;
    return true;
}

int train_options_from_json(struct train_options *o, const json_t *json, struct err *err)
{
    const char *key;
    json_t *value;
    *o = train_options_unset;
    if (!json_is_object(json))
        return err_set(err, "options are no JSON object");
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        size_t i = 0;
        while (i < ARRAY_SIZE(fields) && strcmp(fields[i].name, key) != 0)
            i++;
        if (i == ARRAY_SIZE(fields))
            return err_set(err, "unknown option \"%s\"", key);
        if (!read_value(o, &fields[i], value))
            return err_set(err, "option \"%s\" has a value of another kind", key);
    }
    return 0;
}

void train_options_add_arguments(struct buf *b, const struct train_options *o)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (!is_set(o, &fields[i]))
            continue;
        buf_addf(b, " --%s", fields[i].name);
        if (fields[i].kind == FIELD_FLAG)
            continue;
        buf_addch(b, '=');
        add_value(b, o, &fields[i]);
    }
}
