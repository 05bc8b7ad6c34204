#include "base/typed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

enum {
    READ_SIZE = 4096,
    LINE_LIMIT = 1 << 24,
    TERMINAL_LINE = 4095, /* what Linux keeps of a line that is typed */
    PATIENCE = 3,
};

struct typed {
    int fd;
    bool on_terminal;
    struct buf ahead; /* read, and no line yet */
    struct sigaction usual;
};

/* What the handler knows. A byte in the pipe wakes who waits: a signal alone could come right
 * before the waiting begins, or go to another thread. */
static volatile sig_atomic_t interrupts;
static int wake[2] = {-1, -1};

static void interrupt(int number)
{
    const int saved = errno;
    if (++interrupts < PATIENCE) {
        ssize_t ignored = write(wake[1], "", 1); /* where it is full, it wakes already */
        (void)ignored;
    } else {
        signal(number, SIG_DFL);
        raise(number);
    }
    errno = saved;
}

/* Not where it was ignored, as behind nohup. */
static int catch_interrupts(struct typed *t, struct err *err)
{
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK))
        return err_errno(err, "pipe");
    sigaction(SIGINT, NULL, &t->usual);
    if (t->usual.sa_handler != SIG_IGN)
        sigaction(SIGINT, &action, NULL);
    return 0;
}

int typed_open(struct typed **out, int fd, struct err *err)
{
    struct typed *t = xcalloc(1, sizeof *t);
    t->fd = fd;
    t->on_terminal = isatty(fd);
    buf_init(&t->ahead);
    *out = t;
    if (!t->on_terminal || !catch_interrupts(t, err))
        return 0;
    free(t);
    *out = NULL;
    return -1;
}

void typed_close(struct typed *t)
{
    if (!t)
        return;
    if (t->on_terminal) {
        sigaction(SIGINT, &t->usual, NULL);
        close(wake[0]);
        close(wake[1]);
    }
    buf_release(&t->ahead);
    free(t);
}

bool typed_on_terminal(const struct typed *t)
{
    return t->on_terminal;
}

bool typed_interrupted(void)
{
    return interrupts > 0;
}

void typed_forget(const struct typed *t)
{
    char bytes[16];
    interrupts = 0;
    while (t->on_terminal && read(wake[0], bytes, sizeof bytes) > 0)
        continue;
}

/* Until there is something to read: false on Ctrl-C. */
static bool wait_for_input(const struct typed *t)
{
    struct pollfd wanted[] = {{.fd = t->fd, .events = POLLIN}, {.fd = wake[0], .events = POLLIN}};
    while (!interrupts && poll(wanted, 2, -1) < 0 && errno == EINTR)
        continue;
    return !interrupts;
}

/* What has arrived, behind what is there: TYPED_LINE to look whether it is one. */
static enum typed_got read_more(struct typed *t, struct err *err)
{
    if (t->on_terminal && !wait_for_input(t))
        return TYPED_INTERRUPT;
    buf_reserve(&t->ahead, READ_SIZE);
    ssize_t n = fd_read(t->fd, t->ahead.p + t->ahead.len, READ_SIZE);
    if (n < 0)
        return err_errno(err, "stdin"), TYPED_ERROR;
    t->ahead.len += (size_t)n;
    if (t->ahead.len > LINE_LIMIT)
        return err_set(err, "stdin: a line of over %d bytes", LINE_LIMIT), TYPED_ERROR;
    return n ? TYPED_LINE : TYPED_END;
}

enum typed_got typed_line(struct typed *t, struct buf *line, struct err *err)
{
    const char *end;
    size_t seen = 0;
    while (!(end = memchr(t->ahead.p + seen, '\n', t->ahead.len - seen))) {
        seen = t->ahead.len;
        enum typed_got got = read_more(t, err);
        if (got == TYPED_END && t->ahead.len)
            break; /* a last line without a newline */
        if (got != TYPED_LINE) {
            t->ahead.len = 0;
            typed_forget(t);
            return got;
        }
    }
    size_t len = end ? (size_t)(end - t->ahead.p) : t->ahead.len, used = len + (end != NULL);
    buf_add(line, t->ahead.p, len);
    memmove(t->ahead.p, t->ahead.p + used, t->ahead.len - used);
    t->ahead.len -= used;
    if (line->len && line->p[line->len - 1] == '\r')
        line->p[--line->len] = 0;
    return t->on_terminal && len >= TERMINAL_LINE ? TYPED_CUT : TYPED_LINE;
}
