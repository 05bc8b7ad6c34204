/* ft-merge: adapters into their base, or a model from one format and type into another. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/program.h"
#include "base/progress.h"
#include "formats/checkpoint.h"
#include "formats/dtype.h"
#include "model/adapter_mix.h"
#include "model/gguf_meta.h"
#include "model/merge.h"

static struct {
    const char *model, *output, *type, *pre;
    struct string_list adapters, models;
    size_t threads, shard_size, rank;
    double density, epsilon, scale;
    uint64_t seed;
    bool force, as_adapter, report_error;
    int method, base_type, progress;
} opt = {.shard_size = (size_t)5 << 30, .density = 0.5, .epsilon = 0.15, .scale = 1};

static const struct option_spec options[] = {
    {OPT_STRING, 'm', "model", &opt.model, "MODEL", "base: a Hugging Face folder or a GGUF file",
     NULL, 0, 0},
    {OPT_LIST, 'a', "adapter", &opt.adapters, "ADAPTER[:WEIGHT]",
     "adapter, a PEFT folder or GGUF; may be repeated [WEIGHT 1]", NULL, 0, 0},
    {OPT_LIST, 0, "with", &opt.models, "MODEL[:WEIGHT]",
     "another model of the base's shapes; may be repeated [WEIGHT 1]", NULL, 0, 0},
    {OPT_CHOICE, 0, "method", &opt.method, NULL, "how adapters and models become one [sum]",
     merge_method_choices, 0, 0},
    {OPT_DOUBLE, 0, "density", &opt.density, "D", "ties, dare, della: part that is kept [0.5]",
     NULL, 0x1p-20, 1},
    {OPT_DOUBLE, 0, "epsilon", &opt.epsilon, "E", "della: densities from D - E to D + E [0.15]",
     NULL, 0, 0.5},
    {OPT_DOUBLE, 0, "scale", &opt.scale, "S", "what the change of all is multiplied by [1]", NULL,
     -1e6, 1e6},
    {OPT_U64, 0, "seed", &opt.seed, "N", "dare, della: of their random numbers [0]", NULL, 0,
     0x1p53},
    {OPT_CHOICE, 0, "base-type", &opt.base_type, NULL,
     "the base's numbers, as QLoRA had them [stored]", base_type_choices, 0, 0},
    {OPT_FLAG, 0, "as-adapter", &opt.as_adapter, NULL,
     "write what adapters and models change as an adapter", NULL, 0, 0},
    {OPT_SIZE, 0, "rank", &opt.rank, "R", "... of rank R, the nearest there is", NULL, 1, 65536},
    {OPT_STRING, 'o', "output", &opt.output, "OUT", "NAME.gguf, or a folder; - is GGUF on stdout",
     NULL, 0, 0},
    {OPT_STRING, 0, "type", &opt.type, "TYPE",
     "f32 f16 bf16; for GGUF also q8_0 q4_k_m and so on [as the base]", NULL, 0, 0},
    {OPT_SIZE, 0, "shard-size", &opt.shard_size, "SIZE", "largest file of weights in a folder [5G]",
     NULL, 1, 0x1p60},
    {OPT_STRING, 0, "pre", &opt.pre, "NAME",
     "tokenizer.ggml.pre of a GGUF file [found from tokenizer.json]", NULL, 0, 0},
    {OPT_FLAG, 0, "report-error", &opt.report_error, NULL,
     "say how far the numbers written are from those computed", NULL, 0, 0},
    {OPT_FLAG, 0, "force", &opt.force, NULL, "replace an output folder that holds a model", NULL, 0,
     0},
    {OPT_SIZE, 0, "threads", &opt.threads, "N", "threads [all processors]", NULL, 0, 4096},
    {OPT_CHOICE, 0, "progress", &opt.progress, NULL, "progress on stderr [auto]", progress_choices,
     0, 0},
};

static const struct program program = {
    .name = "ft-merge",
    .synopsis = "-m MODEL [-a ADAPTER[:WEIGHT]]... [--with MODEL[:WEIGHT]]... -o OUT [OPTION]...",
    .purpose = "Merges adapters and models into a base model, or converts one, tensor by tensor.",
    .notes = "Examples:\n"
             "  ft-merge -m base -a adapter -o merged/\n"
             "  ft-merge -m base -a style:0.7 -a domain:0.3 -o merged.gguf --type q8_0\n"
             "  ft-merge -m model.gguf -o folder/ --type f32\n"
             "  ft-merge -m base --with=one --with=other --method=ties -o both/\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

static bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), k = strlen(ending);
    return n >= k && !strcmp(text + n - k, ending);
}

static struct merge_adapter *open_adapters(const struct checkpoint *base)
{
    struct err err;
    struct model_config config; /* which a GGUF adapter can't be read without */
    struct merge_adapter *list = xcalloc(opt.adapters.n, sizeof *list);
    if (opt.adapters.n && config_load(&config, base, &err))
        die("%s", err.msg);
    for (size_t i = 0; i < opt.adapters.n; i++) {
        char *path;
        adapter_spec_parse(opt.adapters.items[i], &path, &list[i].weight);
        if (adapter_is_gguf(path) ? adapter_gguf_load(&list[i].gguf, path, &config, &err)
                                  : adapter_load(&list[i].adapter, path, &err))
            die("%s", err.msg);
        if (merge_is_no_op(&list[i]))
            warn("warning: %s changes nothing: %s", path,
                 list[i].weight == 0 ? "its weight is 0" : "all its B matrices are zero");
        free(path);
    }
    return list;
}

static const struct quant_mix *parse_type(bool gguf)
{
    const struct quant_mix *mix = opt.type ? quant_mix_by_name(opt.type) : NULL;
    enum dtype type;
    if (!opt.type)
        return NULL;
    if (!mix && dtype_by_name(opt.type, &type))
        usage_error("--type: %s is read, but not written", opt.type);
    if (!mix)
        usage_error("--type: '%s' is no type", opt.type);
    if (!gguf && !dtypes[mix->type].safetensors)
        usage_error("--type: a folder's weights are f32, f16 or bf16; %s needs -o NAME.gguf",
                    opt.type);
    return mix;
}

/* Another model; slerp turns the base into it by its weight. */
static struct merge_model *open_models(void)
{
    struct err err;
    struct merge_model *list = xcalloc(opt.models.n, sizeof *list);
    for (size_t i = 0; i < opt.models.n; i++) {
        char *path;
        adapter_spec_parse(opt.models.items[i], &path, &list[i].weight);
        if (checkpoint_open(&list[i].checkpoint, path, &err))
            die("%s", err.msg);
        free(path);
    }
    return list;
}

static void check_method(void)
{
    bool della = opt.method == METHOD_DELLA || opt.method == METHOD_DELLA_LINEAR;
    if (opt.method == METHOD_SLERP && (opt.models.n != 1 || opt.adapters.n))
        usage_error("--method=slerp is between the base and one other model (--with MODEL:T)");
    if (della && opt.density < 1 &&
        (opt.density - opt.epsilon <= 0 || opt.density + opt.epsilon >= 1))
        usage_error("--density=%g --epsilon=%g: densities from %g to %g are not all within 0 and 1",
                    opt.density, opt.epsilon, opt.density - opt.epsilon, opt.density + opt.epsilon);
}

/* The arguments that matter. */
static char *arguments(bool gguf, const struct quant_mix *mix)
{
    struct buf b = BUF_INIT;
    buf_addstr(&b, "");
    if (mix)
        buf_addf(&b, " --type=%s", mix->name);
    if (gguf && opt.pre)
        buf_addf(&b, " --pre=%s", opt.pre);
    if (opt.base_type)
        buf_addf(&b, " --base-type=%s", base_type_choices[opt.base_type]);
    if (opt.method)
        buf_addf(&b, " --method=%s", merge_method_choices[opt.method]);
    if (opt.method >= METHOD_TIES && opt.method != METHOD_SLERP)
        buf_addf(&b, " --density=%.9g", opt.density);
    if (opt.method == METHOD_DELLA || opt.method == METHOD_DELLA_LINEAR)
        buf_addf(&b, " --epsilon=%.9g", opt.epsilon);
    if (opt.method >= METHOD_DARE && opt.method != METHOD_SLERP)
        buf_addf(&b, " --seed=%" PRIu64, opt.seed);
    if (opt.scale != 1)
        buf_addf(&b, " --scale=%.9g", opt.scale);
    if (opt.rank)
        buf_addf(&b, " --rank=%zu", opt.rank);
    return buf_detach(&b, NULL);
}

static void show_progress(void *arg, const char *tensor, size_t done, size_t total)
{
    progress_draw(arg, "%3.0f%%  %s", 100 * (double)done / (double)(total ? total : 1), tensor);
}

/* A base in 4 or 5 bits that is changed goes to 8 bits, unless told: rounding it again to its own
 * type would lose what the adapter added. NULL: as the base is. */
static const struct quant_mix *choose_type(const struct merge *m, bool gguf)
{
    const struct quant_mix *mix = parse_type(gguf);
    enum dtype base = merge_base_type(m);
    if (mix || dtypes[base].block == 1)
        return mix;
    if (!gguf) {
        warn("the base is %s; the folder gets f32 (--type chooses)", dtypes[base].name);
        return quant_mix_of(DTYPE_F32);
    }
    if (!merge_changes_any(m) || base == DTYPE_Q8_0)
        return NULL;
    warn("the base is %s; merged weights become q8_0 (--type chooses)", dtypes[base].name);
    return quant_mix_of(DTYPE_Q8_0);
}

/* Writes the change as an adapter and says what it leaves out. */
static int write_adapter(struct merge *m, bool gguf, struct err *err)
{
    struct merge_loss loss;
    if (merge_write_adapter(m, opt.output, gguf, opt.rank, opt.force, &loss, err))
        return -1;
    progress_clear(m->progress_arg);
    if (loss.all > 0)
        warn("rank %zu holds %.4g %% of the change (its squares)", opt.rank,
             100 * (1 - loss.lost / loss.all));
    else if (opt.rank)
        warn("warning: no linear layer changes");
    if (loss.beside)
        warn("warning: %zu tensors beside the linear layers change too, which the adapter leaves "
             "out",
             loss.beside);
    return 0;
}

static double relative(const struct merge_rounding *r)
{
    return r->all > 0 ? 100 * sqrt(r->lost / r->all) : 0;
}

static void report_error(const struct merge *m)
{
    if (m->worst.all > 0)
        warn("rounding changes the weights by %.3g %%, most of all %s by %.3g %% (root of the sums "
             "of squares)",
             relative(&m->rounding), m->worst_tensor, relative(&m->worst));
    else
        warn("rounding changes nothing");
}

static int write_model(struct merge *m, bool gguf, const struct quant_mix *mix, struct err *err)
{
    if (gguf ? merge_write_gguf(m, opt.output, mix, err)
             : merge_write_folder(m, opt.output, mix ? (int)mix->type : MERGE_AS_BASE,
                                  opt.shard_size, opt.force, err))
        return -1;
    progress_clear(m->progress_arg);
    if (opt.report_error)
        report_error(m);
    if (gguf && !m->has_vocabulary && !checkpoint_gguf(m->base))
        warn("warning: %s has no tokenizer.json: the file has no vocabulary", opt.model);
    if (gguf && gguf_lost_window(&m->config))
        warn("warning: llama.cpp knows no attention window in a %s model: beyond %zu tokens it "
             "computes otherwise",
             m->config.architecture, gguf_lost_window(&m->config));
    if (m->n_fallback)
        warn("%zu matrices got another type: their rows are no whole number of blocks",
             m->n_fallback);
    return 0;
}

static void merge(struct merge *m)
{
    struct err err;
    struct progress progress;
    bool gguf = !strcmp(opt.output, "-") || ends_with(opt.output, ".gguf");
    const struct quant_mix *mix = opt.as_adapter ? NULL : choose_type(m, gguf);
    char *given = arguments(gguf, mix), *line = merge_provenance(m, given);
    m->provenance = line;
    progress_init(&progress, (enum progress_when)opt.progress);
    m->progress = show_progress;
    /* cppcheck-suppress autoVariables ; nobody asks after merge() */
    m->progress_arg = &progress;
    int status = opt.as_adapter ? write_adapter(m, gguf, &err) : write_model(m, gguf, mix, &err);
    progress_clear(&progress);
    free(line);
    free(given);
    if (status)
        die("%s", err.msg);
}

int main(int argc, char **argv)
{
    struct err err;
    struct checkpoint *base;
    if (program_start(&program, argc, argv) != argc)
        usage_error("there is an operand too many: '%s'", argv[argc - 1]);
    if (!opt.model)
        usage_error("no base model given (-m MODEL)");
    if (!opt.output)
        usage_error("no output given (-o OUT)");
    if (!strcmp(opt.output, "-") && isatty(STDOUT_FILENO))
        usage_error("a model is not written to a terminal");
    check_method();
    opt.as_adapter = opt.as_adapter || opt.rank;
    if (opt.as_adapter && !opt.adapters.n && !opt.models.n)
        usage_error("--as-adapter: no adapter or model is given whose change it would be");
    if (opt.as_adapter && opt.type)
        usage_error("--type: adapters are written in f32");
    program_sandbox(argv + argc, false);
    if (checkpoint_open(&base, opt.model, &err))
        die("%s", err.msg);
    const struct merge_recipe recipe = {(enum merge_method)opt.method, opt.density, opt.epsilon,
                                        opt.scale, opt.seed};
    struct merge_adapter *adapters = open_adapters(base);
    struct merge_model *models = open_models();
    struct merge m = {.base = base,
                      .adapters = adapters,
                      .n_adapters = opt.adapters.n,
                      .models = models,
                      .n_models = opt.models.n,
                      .recipe = &recipe,
                      .base_type = (enum base_type)opt.base_type,
                      .measures_rounding = opt.report_error,
                      .pre = opt.pre};
    m.pool = pool_new(opt.threads, &err);
    if (!m.pool || merge_check(&m, &err))
        die("%s", err.msg);
    merge(&m);
    for (size_t i = 0; i < m.n_adapters; i++) {
        adapter_free(adapters[i].adapter);
        adapter_gguf_free(adapters[i].gguf);
    }
    for (size_t i = 0; i < m.n_models; i++)
        checkpoint_close(models[i].checkpoint);
    free(adapters);
    free(models);
    pool_free(m.pool);
    checkpoint_close(base);
    return 0;
}
