#include "base/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/progress.h"

/* A group of its own can be killed as one. */
static int start(const char *command, int in, pid_t *pid)
{
    char *const arguments[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                               (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t usual;
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGINT);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigdefault(&how, &usual);
    int code = posix_spawn(pid, "/bin/sh", &files, &how, arguments, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

/* Waits, longer each time; false when the time is up. */
static bool wait_for(pid_t pid, double seconds, int *status)
{
    struct timespec pause = {0, 200000};
    double end = clock_seconds() + seconds;
    for (;;) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid)
            return true;
        if (got < 0 && errno != EINTR)
            *status = 127 << 8;
        if ((got < 0 && errno != EINTR) || clock_seconds() >= end)
            return got < 0;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 20000000)
            pause.tv_nsec *= 2;
    }
}

static int judge(const char *command, FILE *in, double seconds, enum verdict *verdict,
                 struct err *err)
{
    int status = 0;
    pid_t pid;
    int code = start(command, fileno(in), &pid);
    if (code)
        return err_set(err, "no process for a command: %s", strerror(code));
    if (!wait_for(pid, seconds, &status)) {
        kill(-pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        *verdict = VERDICT_TIMEOUT;
        return 0;
    }
    kill(-pid, SIGKILL); /* what it left behind */
    code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    if (code == 126 || code == 127)
        return err_set(err, "the command \"%.60s\" can't be run: exit status %d", command, code);
    *verdict = code ? VERDICT_FAIL : VERDICT_PASS;
    return 0;
}

int command_judge(const char *command, const char *text, size_t len, double seconds,
                  enum verdict *verdict, struct err *err)
{
    FILE *in = tmpfile();
    int status = -1;
    if (!in)
        return err_set(err, "no temporary file for a command's input: %s", strerror(errno));
    if (fwrite(text, 1, len, in) != len || fflush(in) || fseek(in, 0, SEEK_SET))
        err_set(err, "a temporary file for a command's input: %s", strerror(errno));
    else
        status = judge(command, in, seconds, verdict, err);
    fclose(in);
    return status;
}
