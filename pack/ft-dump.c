/* ft-dump: looks into streams, shards, models and adapters. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "base/program.h"
#include "formats/archive.h"
#include "formats/checkpoint.h"
#include "formats/json.h"
#include "formats/model_listing.h"
#include "formats/stream.h"
#include "formats/stream_listing.h"
#include "text/stream_text.h"
#include "text/tokenizer.h"

static struct {
    const char *output, *model;
    bool json, stats, check, hash;
} opt;

static const struct option_spec options[] = {
    {OPT_STRING, 'm', "model", &opt.model, "MODEL",
     "show documents as text of this model's tokenizer, trained parts in \u27e6 \u27e7", NULL, 0,
     0},
    {OPT_FLAG, 0, "json", &opt.json, NULL, "one JSON object a document, or a tensor", NULL, 0, 0},
    {OPT_FLAG, 0, "stats", &opt.stats, NULL, "only the table of statistics", NULL, 0, 0},
    {OPT_FLAG, 0, "check", &opt.check, NULL, "only verify, say nothing when all is well", NULL, 0,
     0},
    {OPT_FLAG, 0, "hash", &opt.hash, NULL, "only the hash of the records, or of the tensors", NULL,
     0, 0},
    {OPT_STRING, 'o', "output", &opt.output, "FILE", "where to write [stdout]", NULL, 0, 0},
};

static const struct program program = {
    .name = "ft-dump",
    .synopsis = "[OPTION]... [FILE|FOLDER]...",
    .purpose = "Shows token streams, shards, models and adapters, and verifies them.",
    .notes = "Examples:\n"
             "  ft-dump all.ft                    # header and statistics\n"
             "  ft-dump --json all.ft | head -1   # documents as JSON Lines\n"
             "  ft-dump -m base all.ft | less     # documents as text\n"
             "  ft-dump --check *.ft model.gguf adapter/\n",
    .options = options,
    .n_options = ARRAY_SIZE(options),
};

enum { FLUSH_AT = 1 << 20, ADAPTER_CONFIG_LIMIT = 16 << 20 };
static struct output *out;
static struct buf text;             /* what waits to be written */
static struct tokenizer *tokenizer; /* of --model */

/* Names and texts may hold anything; a terminal is not to be told what to do by them. */
static void tame(struct buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if (((unsigned char)b->p[i] < ' ' && b->p[i] != '\n' && b->p[i] != '\t') || b->p[i] == 0x7f)
            b->p[i] = '?';
}

static void flush(void)
{
    struct err err;
    if (!opt.json)
        tame(&text);
    if (output_write(out, text.p, text.len, &err))
        die("%s", err.msg);
    buf_clear(&text);
}

static void show_hash(const char *hex, const char *path)
{
    buf_addf(&text, "%s  %s\n", hex, path ? path : "-");
}

/* ---- streams ---- */

static int show_as_json(const struct stream_record *r, enum stream_kind kind, uint64_t row,
                        struct err *err)
{
    struct buf *texts = tokenizer ? xcalloc(r->n_documents, sizeof *texts) : NULL;
    int status = 0;
    for (size_t i = 0, at = 0; texts && i < r->n_documents; at += r->documents[i++].n_tokens) {
        buf_init(&texts[i]);
        if (!status && tokenizer_decode(tokenizer, r->ids + at, r->documents[i].n_tokens, false,
                                        &texts[i], err))
            status = err_prefix(err, "record %" PRIu64 ", document %zu", row, i);
    }
    if (!status)
        stream_list_record(&text, r, kind, row, texts);
    for (size_t i = 0; texts && i < r->n_documents; i++)
        buf_release(&texts[i]);
    free(texts);
    return status;
}

static int show_as_text(const struct stream_record *r, enum stream_kind kind, uint64_t row,
                        struct err *err)
{
    for (size_t i = 0, at = 0; i < r->n_documents; at += r->documents[i++].n_tokens)
        if (stream_text_add(&text, tokenizer, r, kind, i, at, row, err))
            return err_prefix(err, "record %" PRIu64 ", document %zu", row, i);
    return 0;
}

static int show_documents(const struct stream_record *r, enum stream_kind kind, uint64_t row,
                          struct err *err)
{
    if (opt.json ? show_as_json(r, kind, row, err) : show_as_text(r, kind, row, err))
        return -1;
    if (text.len >= FLUSH_AT)
        flush();
    return 0;
}

/* Ids of another tokenizer would give another text. */
static int check_tokenizer(const struct stream_reader *r, const char *path, struct err *err)
{
    const char *of_stream = stream_reader_header(r)->tokenizer;
    char of_model[HASH_HEX];
    tokenizer_hash(tokenizer, of_model);
    if (*of_stream && strcmp(of_stream, of_model) != 0)
        return err_set(err, "%s: its tokens are of another tokenizer (%s) than the model (%s)",
                       path ? path : "stdin", of_stream, of_model);
    return 0;
}

static void show_header(const struct stream_reader *r)
{
    if (text.len)
        buf_addch(&text, '\n');
    stream_list_header(&text, stream_reader_header(r));
}

static int dump_records(struct stream_reader *r, struct stream_stats *stats, struct err *err)
{
    struct stream_record record;
    uint64_t segment = 0, row = 0;
    bool documents = opt.json || opt.model;
    bool headers = !documents && !opt.stats && !opt.check && !opt.hash;
    int status;
    stream_record_init(&record);
    if (headers)
        show_header(r);
    while ((status = stream_read(r, &record, err)) > 0) {
        if (headers && stream_reader_segment(r) != segment)
            show_header(r);
        segment = stream_reader_segment(r);
        if (documents && show_documents(&record, stream_reader_header(r)->kind, row, err)) {
            status = -1;
            break;
        }
        if (!documents && !opt.check && !opt.hash)
            stream_stats_add(stats, stream_reader_header(r), &record);
        row++;
    }
    stream_record_release(&record);
    return status;
}

static int dump_stream(struct input *in, const char *path, struct err *err)
{
    struct stream_reader *r;
    struct stream_stats stats;
    if (stream_reader_open_input(&r, in, err))
        return -1;
    stream_stats_init(&stats);
    int status = opt.model ? check_tokenizer(r, path, err) : 0;
    if (!status)
        status = dump_records(r, &stats, err);
    if (!status && opt.hash) {
        char hex[HASH_HEX];
        stream_reader_hash(r, hex);
        show_hash(hex, path);
    } else if (!status && !opt.json && !opt.check && !opt.model) {
        if (!opt.stats)
            buf_addch(&text, '\n');
        stream_stats_list(&stats, &text);
    }
    stream_stats_release(&stats);
    stream_reader_close(r);
    return status;
}

/* ---- models ---- */

/* What a folder or a file of tensors amounts to, whichever of the readers it came through. */
struct tensors {
    size_t n;
    const struct tensor *(*at)(const void *from, size_t i);
    const void *from;
};

static const struct tensor *of_checkpoint(const void *from, size_t i)
{
    return checkpoint_at(from, i);
}

static const struct tensor *of_safetensors(const void *from, size_t i)
{
    return safetensors_at(from, i);
}

static int dump_tensors(const struct tensors *t, struct err *err)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct tensor *tensor = t->at(t->from, i);
        bytes += tensor->bytes;
        if (opt.check && model_check_tensor(tensor, err))
            return -1;
        if (opt.check)
            tensor_done(tensor);
        else if (!opt.stats)
            model_list_tensor(&text, tensor, opt.json);
    }
    if (!opt.json && !opt.check)
        buf_addf(&text, "%s%zu tensors, %" PRIu64 " bytes\n", opt.stats ? "" : "\n", t->n, bytes);
    return 0;
}

static bool shows_metadata(void)
{
    return !opt.stats && !opt.check && !opt.hash;
}

static void hash_tensors(const struct tensors *t, const char *path)
{
    const struct tensor **all = xreallocarray(NULL, t->n + 1, sizeof *all);
    char hex[HASH_HEX];
    for (size_t i = 0; i < t->n; i++)
        all[i] = t->at(t->from, i);
    tensors_hash(all, t->n, NULL, hex);
    free(all);
    show_hash(hex, path);
}

static int dump_model(const char *path, struct err *err)
{
    struct checkpoint *c;
    if (checkpoint_open(&c, path, err))
        return -1;
    int status = 0;
    struct tensors t = {checkpoint_count(c), of_checkpoint, c};
    if (shows_metadata() && checkpoint_gguf(c))
        model_list_gguf_metadata(&text, checkpoint_gguf(c), opt.json);
    else if (shows_metadata())
        model_list_json_metadata(&text, checkpoint_config(c), opt.json);
    if (shows_metadata() && !opt.json)
        buf_addch(&text, '\n');
    if (opt.hash)
        hash_tensors(&t, path);
    else
        status = dump_tensors(&t, err);
    checkpoint_close(c);
    return status;
}

/* `shown` is the name that the user gave. */
static int dump_safetensors(const char *path, const char *shown, struct err *err)
{
    struct safetensors *s;
    if (safetensors_open(&s, path, err))
        return -1;
    int status = 0;
    if (shows_metadata() && safetensors_metadata(s)) {
        model_list_json_metadata(&text, safetensors_metadata(s), opt.json);
        if (!opt.json)
            buf_addch(&text, '\n');
    }
    struct tensors t = {safetensors_count(s), of_safetensors, s};
    if (opt.hash)
        hash_tensors(&t, shown);
    else
        status = dump_tensors(&t, err);
    safetensors_close(s);
    return status;
}

static char *inside(const char *folder, const char *name)
{
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s/%s", folder, name);
    return buf_detach(&b, NULL);
}

static int dump_adapter(const char *path, struct err *err)
{
    char *config_path = inside(path, "adapter_config.json");
    char *tensors_path = inside(path, "adapter_model.safetensors");
    json_t *config = json_read_file(config_path, ADAPTER_CONFIG_LIMIT, err);
    int status = -1;
    if (config && !json_is_object(config)) {
        err_set(err, "%s: is not a JSON object", config_path);
    } else if (config) {
        if (shows_metadata())
            model_list_json_metadata(&text, config, opt.json);
        status = dump_safetensors(tensors_path, path, err);
    }
    json_decref(config);
    free(config_path);
    free(tensors_path);
    return status;
}

/* ---- which is it ---- */

static bool is_adapter(const char *folder)
{
    char *path = inside(folder, "adapter_config.json");
    bool found = file_exists(path);
    free(path);
    return found;
}

/* A safetensors file begins with the length of its header, which is JSON. */
static bool is_safetensors(const char *path)
{
    uint8_t p[9];
    FILE *f = fopen(path, "rbe");
    size_t n = f ? fread(p, 1, sizeof p, f) : 0;
    if (f)
        fclose(f);
    return n == sizeof p && p[8] == '{' && !p[5] && !p[6] && !p[7] && memcmp(p, "GGUF", 4) != 0;
}

static int dump_other(const char *path, struct err *err)
{
    struct input *in;
    uint8_t first;
    if (input_open(&in, path, err))
        return -1;
    int status = input_peek(in, &first, err);
    if (status > 0 && first == 'G' && path && strcmp(path, "-") != 0) {
        input_close(in);
        return dump_model(path, err);
    }
    if (status < 0) {
        input_close(in);
        return -1;
    }
    return dump_stream(in, path, err);
}

static int dump(const char *path, struct err *err)
{
    struct stat st;
    bool named = path && strcmp(path, "-") != 0 && !stat(path, &st);
    if (named && S_ISDIR(st.st_mode))
        return is_adapter(path) ? dump_adapter(path, err) : dump_model(path, err);
    if (named && S_ISREG(st.st_mode) && is_safetensors(path))
        return dump_safetensors(path, path, err);
    return dump_other(path, err);
}

int main(int argc, char **argv)
{
    int first = program_start(&program, argc, argv);
    int n = argc - first, failed = 0;
    struct err err;
    if (opt.json + opt.stats + opt.check + opt.hash > 1)
        usage_error("only one of --json, --stats, --check and --hash");
    if (opt.model && opt.stats + opt.check + opt.hash)
        usage_error("--model shows documents, which --stats, --check and --hash don't");
    program_sandbox(argv + first, false);
    if (opt.model && tokenizer_load(&tokenizer, opt.model, &err))
        die("%s", err.msg);
    buf_init(&text);
    if (output_open(&out, opt.output, &err))
        die("%s", err.msg);
    for (int i = 0; i < (n ? n : 1); i++) {
        if (n > 1 && !opt.json && !opt.model && !opt.check && !opt.hash)
            buf_addf(&text, "%s==> %s <==\n", i ? "\n" : "", argv[first + i]);
        if (dump(n ? argv[first + i] : NULL, &err)) {
            flush(); /* what was read before the fault */
            if (!opt.check)
                die("%s", err.msg);
            warn("%s", err.msg); /* the others are verified all the same */
            failed = 1;
        }
        flush();
    }
    if (output_commit(out, &err))
        die("%s", err.msg);
    buf_release(&text);
    tokenizer_free(tokenizer);
    return failed;
}
