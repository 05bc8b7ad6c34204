#include "base/fd.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

/* Whether a call that failed is to be made again, after waiting for what it needs. */
static bool again(int fd, short events)
{
    struct pollfd wanted = {fd, events, 0};
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return errno == EINTR;
    return poll(&wanted, 1, -1) >= 0 || errno == EINTR;
}

ssize_t fd_read(int fd, void *p, size_t len)
{
    ssize_t n;
    do
        n = read(fd, p, len);
    while (n < 0 && again(fd, POLLIN));
    return n;
}

int fd_write(int fd, const void *p, size_t len)
{
    for (const char *at = p; len;) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && !again(fd, POLLOUT))
            return -1;
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int fd_read_at(int fd, uint64_t offset, void *p, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)p + done, len - done, (off_t)(offset + done));
        if (n == 0)
            errno = EIO;
        if (n == 0 || (n < 0 && errno != EINTR))
            return -1;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}
