/*
 * inject: runs a program in which chosen system calls fail, fall short, or are its last.
 *
 * usage: inject [-o FILE] CALL[,CALL]...:WHAT[:N[+]] PROGRAM [ARGUMENT]...
 *   WHAT  an error (ENOSPC, EIO, EINTR, ENOMEM, EMFILE, EAGAIN, EACCES, EROFS), which the call
 *         returns without being made;
 *         short, where reads and writes transfer some of what was asked for;
 *         KILL, where the program gets SIGKILL in the place of the call;
 *         count, where nothing happens.
 *   N     the Nth of these calls from 1, N+ it and all that follow, 0 every second one.
 *   FILE  gets the number of these calls.
 * Calls are counted from the program's entry on, in all its threads together, those on stderr left
 * out. "mmap" are mappings of files, "anon" those of memory. The exit status is the program's as a
 * shell says it; 125 when this can't be done here.
 *
 * Works from outside, by ptrace(2), so that it sees what the C library calls within itself too.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT = 125 };

#ifndef __x86_64__
int main(void)
{
    fputs("inject: knows the registers of x86-64 alone\n", stderr);
    return CANNOT;
}
#else

enum { ANONYMOUS = 1 << 16 }; /* beside the number of mmap */

static const struct {
    const char *name;
    int number;
} calls[] = {
    {"write", SYS_write},         {"pwrite", SYS_pwrite64},
    {"writev", SYS_writev},       {"read", SYS_read},
    {"pread", SYS_pread64},       {"open", SYS_openat},
    {"close", SYS_close},         {"fsync", SYS_fsync},
    {"rename", SYS_rename},       {"renameat2", SYS_renameat2},
    {"ftruncate", SYS_ftruncate}, {"mkdir", SYS_mkdir},
    {"unlink", SYS_unlink},       {"flock", SYS_flock},
    {"fstat", SYS_newfstatat},    {"getdents", SYS_getdents64},
    {"lseek", SYS_lseek},         {"thread", SYS_clone3},
    {"pipe", SYS_pipe2},          {"access", SYS_access},
    {"mmap", SYS_mmap},           {"anon", SYS_mmap | ANONYMOUS},
};

static const struct {
    const char *name;
    int number;
} errors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EINTR", EINTR},   {"ENOMEM", ENOMEM},
              {"EMFILE", EMFILE}, {"EAGAIN", EAGAIN}, {"EACCES", EACCES}, {"EROFS", EROFS}};

static int chosen[32], n_chosen;
static enum { COUNT, FAIL, SHORT, DIE } what;
static int error;
static unsigned long nth, seen;
static bool following;

static _Noreturn void usage(const char *why, const char *text)
{
    fprintf(stderr, "inject: %s '%s'\n", why, text);
    exit(CANNOT);
}

static _Noreturn void cannot(const char *why)
{
    fprintf(stderr, "inject: %s: %s\n", why, strerror(errno));
    exit(CANNOT);
}

static void parse(char *text)
{
    char *how = strchr(text, ':'), *at = how ? strchr(how + 1, ':') : NULL, *end = NULL;
    if (!how)
        usage("no CALL:WHAT in", text);
    *how++ = 0;
    if (at) {
        *at++ = 0;
        nth = strtoul(at, &end, 10);
        following = *end == '+';
    }
    for (char *name = strtok(text, ","); name; name = strtok(NULL, ",")) {
        size_t i = 0;
        while (i < sizeof calls / sizeof *calls && strcmp(calls[i].name, name))
            i++;
        if (i == sizeof calls / sizeof *calls)
            usage("no such call:", name);
        chosen[n_chosen++] = calls[i].number;
    }
    if (!strcmp(how, "short"))
        what = SHORT;
    else if (!strcmp(how, "KILL"))
        what = DIE;
    else if (strcmp(how, "count")) {
        what = FAIL;
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
            if (!strcmp(errors[i].name, how))
                error = errors[i].number;
        if (!error)
            usage("no such error:", how);
    }
}

/* ---- the program's side ---- */

/* Chosen calls stop for the tracer. */
static void trap_calls(void)
{
    struct sock_filter code[80];
    unsigned short n = 0;
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < n_chosen; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                 (uint32_t)(chosen[i] & ~ANONYMOUS), 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        cannot("seccomp");
}

static _Noreturn void run(char **argv)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        cannot("ptrace");
    raise(SIGSTOP);
    trap_calls();
    execvp(argv[0], argv);
    cannot(argv[0]);
}

/* ---- the tracer's side ---- */

static pid_t program;
static bool entered; /* the loader has done its part */
static uint64_t entry;
static long under_entry; /* what stands where the breakpoint is */

static void break_at_entry(void)
{
    char path[64];
    Elf64_auxv_t v;
    snprintf(path, sizeof path, "/proc/%ld/auxv", (long)program);
    FILE *f = fopen(path, "re");
    while (f && fread(&v, sizeof v, 1, f) == 1 && v.a_type != AT_NULL)
        if (v.a_type == AT_ENTRY)
            entry = v.a_un.a_val;
    if (f)
        fclose(f);
    errno = 0;
    under_entry = ptrace(PTRACE_PEEKTEXT, program, (void *)entry, NULL);
    if (!entry || errno ||
        ptrace(PTRACE_POKETEXT, program, (void *)entry, (void *)((under_entry & ~0xffL) | 0xcc)))
        cannot("breakpoint");
}

/* Whether this stop is the breakpoint's. */
static bool at_entry(pid_t pid)
{
    struct user_regs_struct r;
    if (entered || pid != program || ptrace(PTRACE_GETREGS, pid, NULL, &r) || r.rip != entry + 1)
        return false;
    r.rip = entry;
    if (ptrace(PTRACE_POKETEXT, pid, (void *)entry, (void *)under_entry) ||
        ptrace(PTRACE_SETREGS, pid, NULL, &r))
        cannot("breakpoint");
    return entered = true;
}

/* Not one of the processes that the program starts. */
static bool is_program(pid_t pid)
{
    char path[64], line[256];
    long group = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Tgid: %ld", &group) == 1)
            break;
    if (f)
        fclose(f);
    return group == program;
}

static bool is_chosen(const struct user_regs_struct *r)
{
    int number = (int)r->orig_rax;
    const bool writes = number == SYS_write || number == SYS_pwrite64 || number == SYS_writev;
    if (writes && r->rdi == STDERR_FILENO)
        return false;
    if (number == SYS_mmap && (r->r10 & MAP_ANONYMOUS))
        number |= ANONYMOUS;
    for (int i = 0; i < n_chosen; i++)
        if (chosen[i] == number)
            return true;
    return false;
}

/* A call that is about to be made. */
static void on_call(pid_t pid)
{
    struct user_regs_struct r;
    if (!entered || !is_program(pid) || ptrace(PTRACE_GETREGS, pid, NULL, &r) || !is_chosen(&r))
        return;
    seen++;
    const bool due = nth ? seen == nth || (following && seen > nth) : seen % 2;
    if (what == DIE && due)
        kill(program, SIGKILL);
    if (what == FAIL && due) {
        r.orig_rax = (unsigned long long)-1; /* no call */
        r.rax = (unsigned long long)-error;
        ptrace(PTRACE_SETREGS, pid, NULL, &r);
    }
    if (what == SHORT && r.rdx > 1) {
        r.rdx = 1 + (r.rdx - 1) * (seen * 2654435761u >> 8 & 255) / 256;
        ptrace(PTRACE_SETREGS, pid, NULL, &r);
    }
}

/* The program's exit status as a shell says it. */
static int follow(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        int sig = 0;
        if (!WIFSTOPPED(status)) {
            if (pid == program)
                return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        const int event = status >> 16;
        if (event == PTRACE_EVENT_EXEC && pid == program && !entry)
            break_at_entry();
        else if (event == PTRACE_EVENT_SECCOMP)
            on_call(pid);
        else if (!event && !(WSTOPSIG(status) == SIGTRAP && at_entry(pid)) &&
                 WSTOPSIG(status) != SIGSTOP) /* which is how a thread begins */
            sig = WSTOPSIG(status);
        ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)sig);
    }
    cannot("wait");
}

int main(int argc, char **argv)
{
    const char *report = NULL;
    int at = 1, status;
    if (at + 1 < argc && !strcmp(argv[at], "-o")) {
        report = argv[at + 1];
        at += 2;
    }
    if (argc - at < 2)
        usage("a fault and a program are needed, not", argc > at ? argv[at] : "");
    parse(argv[at]);
    program = fork();
    if (program < 0)
        cannot("fork");
    if (!program)
        run(argv + at + 1);
    if (waitpid(program, &status, 0) != program || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, program, NULL,
               PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEEXEC |
                   PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK) ||
        ptrace(PTRACE_CONT, program, NULL, NULL))
        cannot("ptrace");
    status = follow();
    FILE *f = report ? fopen(report, "we") : NULL;
    if (report && (!f || fprintf(f, "%lu\n", seen) < 0 || fclose(f)))
        cannot(report);
    return status;
}
#endif
