/* A sandbox from inside: what was allowed can be done, the rest can't, in threads too that were
 * there before. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "tap.h"

static char folder[] = "/tmp/test-sandbox.XXXXXX";

static const char *in(const char *name)
{
    static char path[4][256];
    static int which;
    which = (which + 1) % 4;
    snprintf(path[which], sizeof path[which], "%s/%s", folder, name);
    return path[which];
}

static bool reads(const char *name)
{
    int fd = open(in(name), O_RDONLY);
    return fd >= 0 && close(fd) == 0;
}

static bool writes(const char *name, int flags)
{
    int fd = open(in(name), O_WRONLY | flags, 0666);
    return fd >= 0 && close(fd) == 0;
}

static void write_file(const char *name)
{
    int fd = open(in(name), O_WRONLY | O_CREAT, 0666);
    if (fd < 0 || write(fd, "x", 1) != 1 || close(fd))
        abort();
}

/* ---- a thread from before ---- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static bool thread_reads, thread_connects;

static void *try_later(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&gate);
    thread_reads = reads("secret");
    thread_connects = socket(AF_INET, SOCK_STREAM, 0) >= 0;
    pthread_mutex_unlock(&gate);
    return NULL;
}

/* ---- inside ---- */

static bool spawns(void)
{
    int status;
    pid_t pid = fork();
    if (!pid) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(99);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static struct claims {
    bool complete, reads_given, reads_link, reads_open, changes, renames, writes_given;
    bool reads_other, writes_read, writes_other, out_of_place, links_out, reads_parent;
    bool connects, traces, spawns, thread_reads, thread_connects;
} * found; /* shared with the process in the sandbox */

static void look(int open_before, bool runs)
{
    char byte;
    struct sandbox *s = sandbox_new();
    struct err err;
    pthread_t thread;
    pthread_mutex_lock(&gate);
    pthread_create(&thread, NULL, try_later, NULL);
    sandbox_allow_read(s, in("given"));
    sandbox_allow_links(s, in("given"));
    sandbox_allow_change(s, in("out"));
    sandbox_allow_write(s, in("device"));
    if (runs) {
        sandbox_allow_run(s, "/usr");
        sandbox_allow_run(s, "/bin");
        sandbox_allow_run(s, "/lib");
        sandbox_allow_run(s, "/lib64");
        sandbox_allow_read(s, "/etc");
    }
    if (sandbox_enter(s, runs, &found->complete, &err))
        _exit(1);
    sandbox_free(s);
    pthread_mutex_unlock(&gate);
    pthread_join(thread, NULL);
    found->reads_given = reads("given/a") && reads("given/below/b");
    found->reads_link = reads("given/link");
    found->reads_open = read(open_before, &byte, 1) == 1;
    found->changes = writes("out/new.tmp", O_CREAT) && mkdir(in("out/folder"), 0777) == 0;
    found->renames = rename(in("out/new.tmp"), in("out/new")) == 0 && unlink(in("out/new")) == 0;
    found->writes_given = writes("device", 0);
    found->reads_other = reads("secret") || reads("given/../secret");
    found->writes_read = writes("given/a", 0);
    found->writes_other = writes("secret", 0) || writes("new", O_CREAT);
    found->out_of_place = rename(in("out/folder"), in("folder")) == 0;
    found->changes = found->changes && rmdir(in("out/folder")) == 0;
    found->links_out =
        symlink("/etc/passwd", in("out/link")) == 0 || link(in("secret"), in("out/hard")) == 0;
    found->reads_parent = open(folder, O_RDONLY | O_DIRECTORY) >= 0;
    found->connects = socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
    found->traces = ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0;
    found->spawns = spawns();
    found->thread_reads = thread_reads;
    found->thread_connects = thread_connects;
    _exit(0);
}

/* What the process with that kind of sandbox found out. */
static void try_all(bool runs)
{
    int status;
    int open_before = open(in("secret"), O_RDONLY | O_CLOEXEC);
    memset(found, 0, sizeof *found);
    pid_t pid = fork();
    if (!pid)
        look(open_before, runs);
    tap_ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status),
           "%s: goes in", runs ? "with programs" : "without");
    close(open_before);
}

static void check_files(void)
{
    tap_ok(found->reads_given, "reads what it was given, and below");
    tap_ok(found->reads_link, "reads where a link in it leads");
    tap_ok(found->reads_open, "reads what was open before");
    tap_ok(found->changes && found->renames, "makes, renames and removes files where it may");
    tap_ok(found->writes_given, "writes a file that it was given to write");
    tap_ok(!found->reads_other, "reads nothing else");
    tap_ok(!found->reads_parent, "nor the folder above");
    tap_ok(!found->writes_read, "doesn't write what it may read");
    tap_ok(!found->writes_other, "nor anything else");
    tap_ok(!found->out_of_place, "moves nothing out");
    tap_ok(!found->links_out, "makes no links");
    tap_ok(!found->thread_reads, "a thread from before reads nothing else");
}

int main(void)
{
    struct sandbox *s = sandbox_new();
    if (!s)
        return tap_skip_all("this kernel has no Landlock");
    sandbox_free(s);
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED || !mkdtemp(folder) || mkdir(in("given"), 0777) ||
        mkdir(in("given/below"), 0777) || mkdir(in("out"), 0777) ||
        symlink("../elsewhere", in("given/link")))
        return 1;
    write_file("given/a");
    write_file("given/below/b");
    write_file("elsewhere");
    write_file("secret");
    write_file("device");
    try_all(false);
    check_files();
    if (found->complete) {
        tap_ok(!found->connects && !found->thread_connects, "no sockets, in no thread");
        tap_ok(!found->traces, "traces nothing");
        tap_ok(!found->spawns, "runs nothing");
    }
    try_all(true);
    check_files();
    tap_ok(found->spawns, "runs programs where it may");
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) ? 1 : tap_done();
}
