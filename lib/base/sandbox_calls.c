#include "base/sandbox_calls.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#ifdef __linux__
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

int sandbox_no_new_privileges(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* ---- all threads ---- */

static struct {
    int (*f)(const void *arg);
    const void *arg;
    _Atomic int answers, error;
} broadcast;

static void answer(int sig)
{
    const int saved = errno;
    (void)sig;
    if (sandbox_no_new_privileges() || broadcast.f(broadcast.arg))
        broadcast.error = errno ? errno : EPERM;
    broadcast.answers++;
    errno = saved;
}

/* Asks the threads that are there beside this one; how many, or -1. */
static int ask_others(int sig, struct err *err)
{
    static const char tasks[] = "/proc/self/task";
    DIR *dir = opendir(tasks);
    struct dirent *entry;
    int asked = 0;
    if (!dir)
        return err_errno(err, "%s", tasks);
    const pid_t self = (pid_t)syscall(SYS_gettid);
    while ((entry = readdir(dir))) {
        const pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (tid > 0 && tid != self && !syscall(SYS_tgkill, getpid(), tid, sig))
            asked++;
    }
    closedir(dir);
    return asked;
}

int sandbox_in_all_threads(int (*f)(const void *arg), const void *arg, struct err *err)
{
    enum { PATIENCE_MS = 5000 };
    const int sig = SIGRTMIN + 2;
    struct sigaction before, action = {.sa_handler = answer, .sa_flags = SA_RESTART};
    broadcast.f = f;
    broadcast.arg = arg;
    broadcast.answers = broadcast.error = 0;
    if (sigaction(sig, &action, &before))
        return err_errno(err, "sigaction");
    const int asked = ask_others(sig, err);
    if (asked < 0)
        return -1;
    const struct timespec pause = {0, 100000};
    for (int i = 0; i < 10 * PATIENCE_MS && asked > broadcast.answers; i++)
        nanosleep(&pause, NULL);
    if (broadcast.answers != asked) /* the handler stays for one that comes late */
        return err_set(err, "%d of %d threads don't answer", asked - broadcast.answers, asked);
    sigaction(sig, &before, NULL);
    errno = broadcast.error;
    if (errno || f(arg)) /* this thread last: the others are found in /proc */
        return err_errno(err, "Landlock");
    return 0;
}

/* ---- system calls ---- */

#if defined __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define NATIVE AUDIT_ARCH_AARCH64
#elif defined __riscv && __riscv_xlen == 64
#define NATIVE AUDIT_ARCH_RISCV64
#endif

#if defined NATIVE && !defined SANDBOX_NOT_HERE

static const uint32_t without[] = {
    /* other processes and machines */
    SYS_socket, SYS_connect, SYS_bind, SYS_listen, SYS_ptrace, SYS_process_vm_readv,
    SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd,
    /* other views of the file system, and other ways to it */
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare, SYS_open_tree,
    SYS_move_mount, SYS_fsopen, SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_io_uring_setup,
    SYS_mknodat,
    /* large parts of the kernel that nothing here needs */
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_keyctl, SYS_add_key, SYS_request_key,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon,
    SYS_swapoff, SYS_acct, SYS_quotactl, SYS_personality, SYS_settimeofday, SYS_clock_settime,
    SYS_sethostname};
static const uint32_t running[] = {SYS_execve, SYS_execveat};

static void add(struct sock_filter *code, unsigned short *n, struct sock_filter next)
{
    code[(*n)++] = next;
}

static void refuse(struct sock_filter *code, unsigned short *n, uint32_t call)
{
    add(code, n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
    add(code, n, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
}

int sandbox_limit_calls(bool runs)
{
    enum { X32 = 0x40000000 }; /* a second set of numbers on x86-64 */
    struct sock_filter code[16 + 2 * (ARRAY_SIZE(without) + ARRAY_SIZE(running))];
    unsigned short n = 0;
    add(code, &n,
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                     offsetof(struct seccomp_data, arch)));
    add(code, &n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0));
    add(code, &n, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    add(code, &n,
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    add(code, &n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1));
    add(code, &n, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    for (size_t i = 0; i < ARRAY_SIZE(without); i++)
        refuse(code, &n, without[i]);
    for (size_t i = 0; i < ARRAY_SIZE(running) && !runs; i++)
        refuse(code, &n, running[i]);
    add(code, &n, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const struct sock_fprog filter = {n, code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) ? -1
                                                                                             : 0;
}

#else

int sandbox_limit_calls(bool runs)
{
    (void)runs;
    return -1;
}

#endif
#else

int sandbox_no_new_privileges(void)
{
    return 0;
}

int sandbox_in_all_threads(int (*f)(const void *arg), const void *arg, struct err *err)
{
    return f(arg) ? err_errno(err, "Landlock") : 0;
}

int sandbox_limit_calls(bool runs)
{
    (void)runs;
    return -1;
}

#endif
