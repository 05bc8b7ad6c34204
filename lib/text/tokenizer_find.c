/* Which file of a model its tokenizer is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "text/tokenizer_parts.h"

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && !strcmp(name + n - m, suffix);
}

static bool is_base64(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && p[i] &&
           strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", p[i]))
        i++;
    return i && i < n && (p[i] == '=' || p[i] == ' ');
}

/* A model of SentencePiece begins with its first field, which is 1 and a message; a rank file with
 * a token in base64. */
static enum tokenizer_kind kind_of(const char *path)
{
    char first[64];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n =
        fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) ? read(fd, first, sizeof first) : 0;
    if (fd >= 0)
        close(fd);
    if (n > 4 && !memcmp(first, "GGUF", 4))
        return TOKENIZER_GGUF;
    if (n > 0 && first[0] == '\n')
        return TOKENIZER_SP;
    if (n > 0 && first[0] == '{' && ends_with(path, ".json"))
        return TOKENIZER_JSON;
    return n > 0 && is_base64(first, (size_t)n) ? TOKENIZER_TIKTOKEN : TOKENIZER_GGUF;
}

/* The folder's one file with one of these suffixes, into s->path; false where it has none. */
static int find_other(struct tokenizer_source *s, const char *folder, bool *found, struct err *err)
{
    DIR *dir = opendir(folder);
    struct buf name = BUF_INIT;
    int rc = 0;
    *found = false;
    if (!dir)
        return err_errno(err, "%s", folder);
    for (struct dirent *e; !rc && (errno = 0, e = readdir(dir));) {
        if (!ends_with(e->d_name, ".model") && !ends_with(e->d_name, ".tiktoken"))
            continue;
        if (name.len) {
            bool swapped = strcmp(name.p, e->d_name) > 0; /* the same message each time */
            rc = err_set(err, "%s: has two tokenizers, %s and %s", folder,
                         swapped ? e->d_name : name.p, swapped ? name.p : e->d_name);
        }
        buf_addstr(&name, e->d_name);
        *found = true;
    }
    if (!rc && errno)
        rc = err_errno(err, "%s", folder);
    closedir(dir);
    buf_addf(&s->path, "%s/%s", folder, name.p);
    buf_release(&name);
    return rc;
}

int tokenizer_find(struct tokenizer_source *s, const char *path, struct err *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    struct stat st;
    bool found = false;
    s->kind = TOKENIZER_NONE;
    buf_init(&s->path);
    if (stat(path, &st))
        return err_errno(err, "%s", path);
    s->folder = S_ISDIR(st.st_mode);
    if (!s->folder) {
        buf_addstr(&s->path, path);
        s->kind = kind_of(path);
        return 0;
    }
    for (size_t i = 0; i < 2 && !found; i++) {
        buf_clear(&s->path);
        buf_addf(&s->path, "%s/%s", path, names[i]);
        found = file_exists(s->path.p);
        if (found && !i) {
            s->kind = TOKENIZER_JSON;
            return 0;
        }
    }
    if (!found) {
        buf_clear(&s->path);
        if (find_other(s, path, &found, err))
            return -1;
    }
    s->kind = found ? kind_of(s->path.p) : TOKENIZER_NONE;
    return 0;
}
