/* ft-merge: adapters into their base, or a model from one format and type into another. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/program.h"
#include "base/progress.h"
#include "formats/checkpoint.h"
#include "formats/dtype.h"
#include "model/adapter_mix.h"
#include "model/merge.h"

static struct {
    const char *model, *output, *type, *pre;
    struct string_list adapters;
    size_t threads, shard_size;
    bool force;
    int progress;
} opt = {.shard_size = (size_t)5 << 30};

static const struct option_spec options[] = {
    {OPT_STRING, 'm', "model", &opt.model, "MODEL", "base: a Hugging Face folder or a GGUF file",
     NULL, 0, 0},
    {OPT_LIST, 'a', "adapter", &opt.adapters, "ADAPTER[:WEIGHT]",
     "PEFT folder to merge; may be repeated [WEIGHT 1]", NULL, 0, 0},
    {OPT_STRING, 'o', "output", &opt.output, "OUT", "NAME.gguf, or a folder; - is GGUF on stdout",
     NULL, 0, 0},
    {OPT_STRING, 0, "type", &opt.type, "TYPE",
     "f32 f16 bf16; for GGUF also q8_0 q4_k_m and so on [as the base]", NULL, 0, 0},
    {OPT_SIZE, 0, "shard-size", &opt.shard_size, "SIZE", "largest file of weights in a folder [5G]",
     NULL, 1, 0x1p60},
    {OPT_STRING, 0, "pre", &opt.pre, "NAME",
     "tokenizer.ggml.pre of a GGUF file [found from tokenizer.json]", NULL, 0, 0},
    {OPT_FLAG, 0, "force", &opt.force, NULL, "replace an output folder that holds a model", NULL, 0,
     0},
    {OPT_SIZE, 0, "threads", &opt.threads, "N", "threads [all processors]", NULL, 0, 4096},
    {OPT_CHOICE, 0, "progress", &opt.progress, NULL, "progress on stderr [auto]", progress_choices,
     0, 0},
};

static const struct program program = {
    .name = "ft-merge",
    .synopsis = "-m MODEL [-a ADAPTER[:WEIGHT]]... -o OUT [OPTION]...",
    .purpose = "Merges adapters into a base model, or converts a model, tensor by tensor.",
    .notes = "Examples:\n"
             "  ft-merge -m base -a adapter -o merged/\n"
             "  ft-merge -m base -a style:0.7 -a domain:0.3 -o merged.gguf --type q8_0\n"
             "  ft-merge -m model.gguf -o folder/ --type f32\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

static bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), k = strlen(ending);
    return n >= k && !strcmp(text + n - k, ending);
}

static struct merge_adapter *open_adapters(void)
{
    struct err err;
    struct merge_adapter *list = xcalloc(opt.adapters.n, sizeof *list);
    for (size_t i = 0; i < opt.adapters.n; i++) {
        char *path;
        adapter_spec_parse(opt.adapters.items[i], &path, &list[i].weight);
        if (adapter_load(&list[i].adapter, path, &err))
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

/* Programs, arguments that matter and hashes of what they read, a line each, after those that made
 * the base and the adapters; no paths, which differ from machine to machine. */
static char *provenance(const struct merge *m, bool gguf, const struct quant_mix *mix)
{
    struct buf b = BUF_INIT;
    size_t len;
    const char *before = checkpoint_metadata(m->base, "tuneutils.provenance", &len);
    char hex[HASH_HEX];
    checkpoint_hash(m->base, m->pool, hex);
    if (before) {
        buf_add(&b, before, len);
        buf_addch(&b, '\n');
    }
    for (size_t i = 0; i < m->n_adapters; i++)
        if (adapter_provenance(m->adapters[i].adapter))
            buf_addf(&b, "%s\n", adapter_provenance(m->adapters[i].adapter));
    buf_addf(&b, "ft-merge %s", TUNEUTILS_VERSION);
    if (mix)
        buf_addf(&b, " --type=%s", mix->name);
    if (gguf && m->pre)
        buf_addf(&b, " --pre=%s", m->pre);
    buf_addf(&b, " base=%s", hex);
    for (size_t i = 0; i < m->n_adapters; i++) {
        adapter_hash(m->adapters[i].adapter, hex);
        buf_addf(&b, " adapter=%s:%.9g", hex, m->adapters[i].weight);
    }
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

static void merge(struct merge *m)
{
    struct err err;
    struct progress progress;
    bool gguf = !strcmp(opt.output, "-") || ends_with(opt.output, ".gguf");
    const struct quant_mix *mix = choose_type(m, gguf);
    char *line = provenance(m, gguf, mix);
    m->provenance = line;
    progress_init(&progress, (enum progress_when)opt.progress);
    m->progress = show_progress;
    m->progress_arg = &progress;
    int status = gguf ? merge_write_gguf(m, opt.output, mix, &err)
                      : merge_write_folder(m, opt.output, mix ? (int)mix->type : MERGE_AS_BASE,
                                           opt.shard_size, opt.force, &err);
    progress_clear(&progress);
    free(line);
    if (status)
        die("%s", err.msg);
    if (gguf && !m->has_vocabulary)
        warn("warning: %s has no tokenizer.json: the file has no vocabulary", opt.model);
    if (m->n_fallback)
        warn("%zu matrices got another type: their rows are no whole number of blocks",
             m->n_fallback);
}

int main(int argc, char **argv)
{
    struct err err;
    struct checkpoint *base;
    struct merge m = {0};
    if (program_start(&program, argc, argv) != argc)
        usage_error("there is an operand too many: '%s'", argv[argc - 1]);
    if (!opt.model)
        usage_error("no base model given (-m MODEL)");
    if (!opt.output)
        usage_error("no output given (-o OUT)");
    if (!strcmp(opt.output, "-") && isatty(STDOUT_FILENO))
        usage_error("a model is not written to a terminal");
    if (checkpoint_open(&base, opt.model, &err))
        die("%s", err.msg);
    struct merge_adapter *adapters = open_adapters();
    m = (struct merge){
        .base = base, .adapters = adapters, .n_adapters = opt.adapters.n, .pre = opt.pre};
    m.pool = pool_new(opt.threads, &err);
    if (!m.pool || merge_check(&m, &err))
        die("%s", err.msg);
    merge(&m);
    for (size_t i = 0; i < m.n_adapters; i++)
        adapter_free(adapters[i].adapter);
    free(adapters);
    pool_free(m.pool);
    checkpoint_close(base);
    return 0;
}
