/*
 * fd: reading and writing of file descriptors, whatever comes between.
 *
 * A call that a signal interrupted is made again. One on a pipe that is non-blocking, as ssh and
 * some shells leave theirs, waits as it would on another.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As read(2): what has arrived, at most len bytes; 0 at the end; -1 with errno. */
ssize_t fd_read(int fd, void *p, size_t len);
/* All len bytes: 0, or -1 with errno. */
int fd_write(int fd, const void *p, size_t len);
/* All len bytes from a place in a file: 0, or -1 with errno, which is EIO where the file ends. */
int fd_read_at(int fd, uint64_t offset, void *p, size_t len);

#endif
