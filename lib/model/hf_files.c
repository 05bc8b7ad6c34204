#include "model/hf_files.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "formats/json.h"
#include "model/arch.h"

json_t *hf_config(const struct model_config *c, const struct gguf *g, struct err *err)
{
    (void)g;
    const struct architecture *a = arch_by_type(c->architecture);
    struct model_config copy = *c;
    json_t *o = json_object();
    struct config_keys k = {
        .mode = KEYS_WRITE_JSON, .json_out = o, .where = "config.json", .err = err};
    a->describe(&k, &copy);
    if (k.failed) {
        json_decref(o);
        return NULL;
    }
    json_object_set_new(o, "architectures", json_pack("[s]", a->model_class));
    json_object_set_new(o, "model_type", json_string(a->model_type));
    json_object_set_new(o, "attention_dropout", json_real(0));
    json_object_set_new(o, "use_cache", json_true());
    json_object_set_new(o, "initializer_range", json_real(0.02));
    return o;
}

static bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), k = strlen(ending);
    return n >= k && !strcmp(text + n - k, ending);
}

bool hf_is_carried(const char *name)
{
    static const char *const endings[] = {".json", ".jinja", ".txt", ".model", ".tiktoken", ".spm"};
    static const char *const beginnings[] = {"LICENSE", "LICENCE", "NOTICE", "COPYING",
                                             "USE_POLICY"};
    if (!strcmp(name, "config.json") || ends_with(name, ".index.json") || *name == '.' ||
        !strncmp(name, "adapter_", 8) || !strncmp(name, "train_", 6))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        if (ends_with(name, endings[i]))
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++)
        if (!strncmp(name, beginnings[i], strlen(beginnings[i])))
            return true;
    return false;
}

static int carry_file(const char *from, const char *to, struct err *err)
{
    struct mapfile file;
    struct stat st;
    if (stat(from, &st))
        return err_errno(err, "%s", from);
    if (!S_ISREG(st.st_mode))
        return 0;
    if (mapfile_open(&file, from, err))
        return -1;
    int status = file_write(to, file.p, file.size, err);
    mapfile_close(&file);
    return status;
}

int hf_carry_files(const char *folder, const char *(*place)(void *arg, const char *name), void *arg,
                   struct err *err)
{
    struct buf path = BUF_INIT;
    struct dirent *entry;
    DIR *d = opendir(folder);
    int status = 0;
    if (!d)
        return err_errno(err, "%s", folder);
    while (!status && (errno = 0, entry = readdir(d)))
        if (hf_is_carried(entry->d_name)) {
            buf_clear(&path);
            buf_addf(&path, "%s/%s", folder, entry->d_name);
            status = carry_file(path.p, place(arg, entry->d_name), err);
        }
    if (!status && errno)
        status = err_errno(err, "%s", folder);
    closedir(d);
    buf_release(&path);
    return status;
}

int hf_write_json(const char *path, const json_t *v, struct err *err)
{
    struct buf text = BUF_INIT;
    json_add_pretty(&text, v);
    buf_addch(&text, '\n');
    int status = file_write(path, text.p, text.len, err);
    buf_release(&text);
    return status;
}
