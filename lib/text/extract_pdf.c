#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "text/encoding.h"
#include "text/extract.h"
#include "text/pdf_text.h"

enum { READ_BLOCK = 64 << 10, PATIENCE_MS = 60000 };
#define MEMORY ((rlim_t)4 << 30) /* bytes that it may take */

/* pdftotext at work, in a process of its own: what a PDF can do to its reader stays there. PDF goes
 * in at one end, text comes out of the other. */
struct converter {
    pid_t pid;
    int in, out;
};

extern char **environ;

static int start(struct converter *c, struct err *err)
{
    static const char *const arguments[] = {"pdftotext", "-q", "-enc", "UTF-8", "-eol",
                                            "unix",      "-",  "-",    NULL};
    int in[2], out[2];
    /* A socket, since writing to one whose reader has gone can do without a signal. */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in))
        return err_errno(err, "pdftotext");
    if (pipe2(out, O_CLOEXEC)) {
        err_errno(err, "pdftotext");
        close(in[0]);
        close(in[1]);
        return -1;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int failed = posix_spawnp(&c->pid, arguments[0], &actions, NULL,
                              (char *const *)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(in[1]);
    close(out[1]);
    c->in = in[0];
    c->out = out[0];
    fcntl(c->in, F_SETFL, O_NONBLOCK);
    if (!failed) {
        const struct rlimit memory = {MEMORY, MEMORY};
        prlimit(c->pid, RLIMIT_AS, &memory, NULL); /* where it can't be limited, it's still apart */
        return 0;
    }
    close(c->in);
    close(c->out);
    if (failed == ENOENT)
        return err_set(err, "pdf is read by pdftotext (of poppler-utils), which isn't installed");
    errno = failed;
    return err_errno(err, "pdftotext");
}

/* Sends what is left of p[len]; a converter that has closed its end has had enough. */
static void feed(struct converter *c, const char **p, size_t *len)
{
    ssize_t n = send(c->in, *p, *len, MSG_NOSIGNAL);
    if (n > 0) {
        *p += n;
        *len -= (size_t)n;
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        *len = 0;
    }
    if (!*len) {
        close(c->in);
        c->in = -1;
    }
}

static int exchange(struct converter *c, struct buf *text, const char *p, size_t len, size_t limit,
                    struct err *err)
{
    for (;;) {
        struct pollfd ends[2] = {{c->out, POLLIN, 0},
                                 {c->in, POLLOUT, 0}}; /* a negative one is passed over */
        int ready = poll(ends, 2, PATIENCE_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return err_set(err, "pdftotext makes no progress");
        if (ends[1].revents)
            feed(c, &p, &len);
        if (!ends[0].revents)
            continue;
        buf_reserve(text, READ_BLOCK);
        ssize_t n = read(c->out, text->p + text->len, READ_BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "pdftotext: reading");
        if (n == 0)
            return 0;
        text->len += (size_t)n;
        text->p[text->len] = 0;
        if (text->len > limit)
            return err_set(err, "more than %zu bytes of text; --max-size allows more", limit);
    }
}

static int finish(struct converter *c, int status, struct err *err)
{
    int how = 0;
    if (c->in >= 0)
        close(c->in);
    close(c->out);
    if (status)
        kill(c->pid, SIGKILL);
    while (waitpid(c->pid, &how, 0) < 0)
        if (errno != EINTR)
            return err_errno(err, "pdftotext");
    if (status || (WIFEXITED(how) && WEXITSTATUS(how) == 0))
        return status;
    if (WIFEXITED(how) && WEXITSTATUS(how) == 3)
        return err_set(err, "the pdf doesn't permit taking its text");
    if (WIFSIGNALED(how))
        return err_set(err, "pdftotext was ended by signal %d", WTERMSIG(how));
    return err_set(err, "pdftotext can't read it: the pdf is damaged or encrypted");
}

int extract_pdf(struct prose_text *t, const char *p, size_t len, size_t limit, struct err *err)
{
    struct converter c = {.in = -1, .out = -1};
    struct buf pages = BUF_INIT;
    if (start(&c, err))
        return -1;
    int status = finish(&c, exchange(&c, &pages, p, len, limit, err), err);
    if (!status && !utf8_is_valid(pages.p, pages.len))
        status = err_set(err, "what pdftotext writes is no UTF-8");
    if (!status)
        pdf_text_flow(&t->text, pages.p, pages.len);
    buf_release(&pages);
    return status;
}
