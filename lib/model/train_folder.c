#include "model/train_folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "formats/json.h"

static char *join(const char *folder, const char *name)
{
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s/%s", folder, name);
    return buf_detach(&b, NULL);
}

/* Whether it is outfile's temporary name for something: NAME.PID.tmp. */
static bool is_temporary(const char *name)
{
    const char *end = strrchr(name, '.'), *digit = end;
    if (!end || strcmp(end, ".tmp") != 0)
        return false;
    while (digit > name && isdigit((unsigned char)digit[-1]))
        digit--;
    return digit < end && digit > name && digit[-1] == '.';
}

/* What a run that was killed was about to write. Nobody else writes here: the folder is locked. */
static int remove_leftovers(const char *path, struct err *err)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    if (!dir)
        return err_errno(err, "%s", path);
    while ((errno = 0, entry = readdir(dir)))
        if (is_temporary(entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
    int status = errno ? err_errno(err, "%s", path) : 0;
    closedir(dir);
    return status;
}

void train_folder_name(struct train_folder *f, const char *path)
{
    *f = (struct train_folder){.path = xstrdup(path),
                               .state = join(path, "train_state.safetensors"),
                               .run = join(path, "train_run.json"),
                               .fd = -1};
}

int train_folder_open(struct train_folder *f, const char *path, bool create, struct err *err)
{
    *f = (struct train_folder){.fd = -1};
    if (create && directory_make(path, err))
        return -1;
    f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd < 0)
        return err_errno(err, "%s", path);
    if (access(path, W_OK)) {
        err_errno(err, "%s", path);
        train_folder_close(f);
        return -1;
    }
    /* The folder itself is locked, so no lock file is left; where a file system has no such locks
     * the user must take care. */
    bool locked = !flock(f->fd, LOCK_EX | LOCK_NB);
    if (!locked && errno == EWOULDBLOCK) {
        train_folder_close(f);
        return err_set(err, "%s: another run is writing there", path);
    }
    if (locked && remove_leftovers(path, err)) {
        train_folder_close(f);
        return -1;
    }
    const int fd = f->fd;
    train_folder_name(f, path);
    f->fd = fd;
    return 0;
}

void train_folder_close(struct train_folder *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f->state);
    free(f->run);
    *f = (struct train_folder){.fd = -1};
}

bool train_folder_has_state(const struct train_folder *f)
{
    return file_exists(f->state);
}

int train_folder_drop_adapter(const struct train_folder *f, struct err *err)
{
    char *config = join(f->path, "adapter_config.json");
    int status = unlink(config) && errno != ENOENT ? err_errno(err, "%s", config) : 0;
    free(config);
    return status;
}

void train_run_release(struct train_run *run)
{
    for (size_t i = 0; i < run->n_rows; i++)
        free(run->rows[i]);
    free(run->rows);
    free(run->model);
    free(run->held);
    free(run->log);
    *run = (struct train_run){0};
}

static char *absolute(const char *path)
{
    char here[PATH_MAX];
    bool is_whole = *path == '/' || !strcmp(path, "-") || !getcwd(here, sizeof here);
    return is_whole ? xstrdup(path) : join(here, path);
}

void train_run_set(char **at, const char *path)
{
    if (!path)
        return;
    char *whole = absolute(path); /* path may be *at */
    free(*at);
    *at = whole;
}

void train_run_set_rows(struct train_run *run, const char *const *rows, size_t n)
{
    for (size_t i = 0; i < run->n_rows; i++)
        free(run->rows[i]);
    run->n_rows = n;
    run->rows = xreallocarray(run->rows, n, sizeof *run->rows);
    for (size_t i = 0; i < n; i++)
        run->rows[i] = absolute(rows[i]);
}

/* A path may hold bytes that are no UTF-8, which JSON can't; such a run can be resumed with its
 * paths given again. */
static void set_path(json_t *json, const char *key, const char *path)
{
    json_object_set_new(json, key, path ? json_string(path) : NULL);
}

int train_run_save(const struct train_run *run, const struct train_folder *f, struct err *err)
{
    json_t *json = json_object(), *rows = json_array();
    struct buf text = BUF_INIT;
    set_path(json, "model", run->model);
    set_path(json, "held", run->held);
    set_path(json, "log", run->log);
    for (size_t i = 0; i < run->n_rows; i++)
        json_array_append_new(rows, json_string(run->rows[i]));
    json_object_set_new(json, "rows", rows);
    json_object_set_new(json, "threads", json_integer((json_int_t)run->threads));
    json_object_set_new(json, "checkpoint_every", json_integer((json_int_t)run->checkpoint_every));
    json_add_pretty(&text, json);
    buf_addch(&text, '\n');
    int status = file_write(f->run, text.p, text.len, err);
    json_decref(json);
    buf_release(&text);
    return status;
}

static char *get_path(const json_t *json, const char *key)
{
    const char *path = json_string_value(json_object_get(json, key));
    return path ? xstrdup(path) : NULL;
}

static size_t get_size(const json_t *json, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(json, key));
    return v > 0 ? (size_t)v : 0;
}

int train_run_load(struct train_run *run, const struct train_folder *f, struct err *err)
{
    enum { LIMIT = 64 << 20 };
    size_t i;
    json_t *path;
    *run = (struct train_run){0};
    if (!file_exists(f->run))
        return 0;
    json_t *json = json_read_file(f->run, LIMIT, err);
    if (!json)
        return -1;
    run->model = get_path(json, "model");
    run->held = get_path(json, "held");
    run->log = get_path(json, "log");
    const json_t *rows = json_object_get(json, "rows");
    const char **paths = xcalloc(json_array_size(rows), sizeof *paths);
    json_array_foreach(rows, i, path) paths[i] =
        json_is_string(path) ? json_string_value(path) : "";
    train_run_set_rows(run, paths, json_array_size(rows));
    free(paths);
    run->threads = get_size(json, "threads");
    run->checkpoint_every = get_size(json, "checkpoint_every");
    json_decref(json);
    return 0;
}
