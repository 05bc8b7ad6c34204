#include "model/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "formats/json.h"

static int open_at(struct metrics *m, const char *path, int flags, struct err *err)
{
    struct stat st;
    *m = (struct metrics){.fd = -1};
    if (!path)
        return 0;
    bool is_stdout = !strcmp(path, "-");
    m->path = xstrdup(is_stdout ? "stdout" : path);
    m->fd = is_stdout ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                      : open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0666);
    /* A pipe, or a terminal, can be opened for writing alone. */
    if (m->fd < 0 && !is_stdout)
        m->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (m->fd < 0 || fstat(m->fd, &st)) {
        err_errno(err, "%s", m->path);
        metrics_close(m, NULL);
        return -1;
    }
    m->regular = S_ISREG(st.st_mode) && !is_stdout;
    return 0;
}

int metrics_open(struct metrics *m, const char *path, struct err *err)
{
    return open_at(m, path, O_TRUNC, err);
}

/* Length of the lines that belong to a run of `step` steps. A last line without its end was cut off
 * by a crash and doesn't count. */
static int length_until(const char *text, size_t len, uint64_t step, bool evaluated, size_t *keep,
                        struct err *err)
{
    const char *end;
    *keep = 0;
    for (size_t number = 1; (end = memchr(text + *keep, '\n', len - *keep)); number++) {
        size_t line = (size_t)(end - text) - *keep;
        json_t *json = json_parse(text + *keep, line, err);
        const json_t *at = json_object_get(json, "step");
        uint64_t v = json_is_integer(at) ? (uint64_t)json_integer_value(at) : 0;
        bool evaluation = json_object_get(json, "eval_loss") != NULL;
        bool known = json_is_integer(at);
        json_decref(json);
        if (!known)
            return err_set(err, "line %zu is no line of a training log", number);
        if (v > step || (v == step && evaluation && !evaluated))
            break;
        *keep += line + 1;
    }
    return 0;
}

int metrics_resume(struct metrics *m, const char *path, uint64_t step, bool evaluated,
                   struct err *err)
{
    const size_t limit = (size_t)4 << 30;
    if (open_at(m, path, 0, err))
        return -1;
    if (!m->regular)
        return 0;
    size_t len, keep;
    char *text = file_read(path, limit, &len, err);
    if (!text) {
        metrics_close(m, NULL);
        return -1;
    }
    int status = length_until(text, len, step, evaluated, &keep, err);
    free(text);
    if (status)
        err_prefix(err, "%s", path);
    else if (keep < len && ftruncate(m->fd, (off_t)keep))
        status = err_errno(err, "%s", path);
    if (status)
        metrics_close(m, NULL);
    return status;
}

static int write_line(struct metrics *m, struct buf *line, struct err *err)
{
    buf_addstr(line, "}\n");
    int status = fd_write(m->fd, line->p, line->len) ? err_errno(err, "%s: writing", m->path) : 0;
    buf_release(line);
    return status;
}

static void add_key(struct buf *b, const char *key)
{
    buf_addf(b, "%c\"%s\":", b->len ? ',' : '{', key);
}

static void add_real(struct buf *b, const char *key, double v)
{
    add_key(b, key);
    json_add_real(b, v);
}

static void add_whole(struct buf *b, const char *key, uint64_t v)
{
    add_key(b, key);
    buf_addu(b, v);
}

/* Means over the rows; what there were none of is left out. */
static void add_rewards(struct buf *b, const char *prefix, const struct preference_sums *s)
{
    const double chosen = s->chosen / (double)s->n_chosen,
                 rejected = s->rejected / (double)s->n_rejected;
    const struct {
        const char *key;
        double value;
    } all[] = {{"reward_chosen", chosen},
               {"reward_rejected", rejected},
               {"reward_margin", chosen - rejected},
               {"reward_accuracy", (double)s->right / (double)s->n},
               {"kl", s->kl}};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        char key[32];
        snprintf(key, sizeof key, "%s%s", prefix, all[i].key);
        if (!isnan(all[i].value))
            add_real(b, key, all[i].value);
    }
}

int metrics_add_step(struct metrics *m, const struct metrics_step *s, struct err *err)
{
    struct buf line = BUF_INIT;
    if (m->fd < 0)
        return 0;
    add_whole(&line, "step", s->step);
    add_real(&line, "loss", s->loss);
    add_real(&line, "grad_norm", s->grad_norm);
    add_real(&line, "lr", s->lr);
    add_whole(&line, "tokens", s->tokens);
    add_whole(&line, "trained", s->trained);
    if (s->rewards)
        add_rewards(&line, "", s->rewards);
    if (s->left_out) {
        add_key(&line, "skipped");
        json_add_string(&line, s->left_out, strlen(s->left_out));
    }
    add_real(&line, "tok_per_s", round(s->tok_per_s * 10) / 10);
    add_whole(&line, "rss", s->rss);
    if (s->ranks > 1) {
        add_whole(&line, "ranks", s->ranks);
        add_real(&line, "idle_s", round(s->idle * 1e6) / 1e6);
        add_real(&line, "exchange_s", round(s->exchange * 1e6) / 1e6);
    }
    return write_line(m, &line, err);
}

int metrics_add_eval(struct metrics *m, uint64_t step, double loss,
                     const struct preference_sums *rewards, struct err *err)
{
    struct buf line = BUF_INIT;
    if (m->fd < 0)
        return 0;
    add_whole(&line, "step", step);
    add_real(&line, "eval_loss", loss);
    if (rewards)
        add_rewards(&line, "eval_", rewards);
    else
        add_real(&line, "eval_ppl", exp(loss));
    return write_line(m, &line, err);
}

int metrics_sync(struct metrics *m, struct err *err)
{
    if (m->regular && fsync(m->fd))
        return err_errno(err, "%s", m->path);
    return 0;
}

int metrics_close(struct metrics *m, struct err *err)
{
    int status = 0;
    if (m->fd >= 0 && close(m->fd))
        status = err_errno(err, "%s: writing", m->path);
    free(m->path);
    *m = (struct metrics){.fd = -1};
    return status;
}
