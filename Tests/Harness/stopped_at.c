// Runs a program and ends it, as a power cut does, right before one of its system calls that change something.
//
//     stopped-at NUMBER PROGRAM [ARGUMENT...]
//
// Counted are the calls of all its threads and children that change files: their names, content, owners, modes,
// attributes, or what of them is on the disk; of files without a name only that they get one. Prints `before CALL`, or `ended STATUS, COUNT calls` where the program
// made fewer; with 0 it is never ended.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

// The agent's own diary: no state that a later run reads.
static const char log_file[] = "/run/firstlight/log";

// A descriptor argument tells whether it is a file; -1: the call names one by its path.
static const struct {
    int number, descriptor;
    const char *name;
} calls[] = {
    {SYS_openat, -1, "openat"},       {SYS_open, -1, "open"},           {SYS_creat, -1, "creat"},
    {SYS_write, 0, "write"},          {SYS_writev, 0, "writev"},        {SYS_pwrite64, 0, "pwrite"},
    {SYS_pwritev, 0, "pwritev"},      {SYS_sendfile, 0, "sendfile"},    {SYS_copy_file_range, 2, "copy_file_range"},
    {SYS_ftruncate, 0, "ftruncate"},  {SYS_truncate, -1, "truncate"},   {SYS_fallocate, 0, "fallocate"},
    {SYS_fsync, 0, "fsync"},          {SYS_fdatasync, 0, "fdatasync"},  {SYS_sync, -1, "sync"},
    {SYS_syncfs, 0, "syncfs"},        {SYS_rename, -1, "rename"},       {SYS_renameat, -1, "renameat"},
    {SYS_renameat2, -1, "renameat2"}, {SYS_link, -1, "link"},           {SYS_linkat, -1, "linkat"},
    {SYS_symlink, -1, "symlink"},     {SYS_symlinkat, -1, "symlinkat"}, {SYS_unlink, -1, "unlink"},
    {SYS_unlinkat, -1, "unlinkat"},   {SYS_rmdir, -1, "rmdir"},         {SYS_mkdir, -1, "mkdir"},
    {SYS_mkdirat, -1, "mkdirat"},     {SYS_mknod, -1, "mknod"},         {SYS_mknodat, -1, "mknodat"},
    {SYS_chmod, -1, "chmod"},         {SYS_fchmod, 0, "fchmod"},        {SYS_fchmodat, -1, "fchmodat"},
    {SYS_chown, -1, "chown"},         {SYS_fchown, 0, "fchown"},        {SYS_lchown, -1, "lchown"},
    {SYS_fchownat, -1, "fchownat"},   {SYS_utimensat, -1, "utimensat"}, {SYS_setxattr, -1, "setxattr"},
    {SYS_lsetxattr, -1, "lsetxattr"}, {SYS_fsetxattr, 0, "fsetxattr"},  {SYS_removexattr, -1, "removexattr"},
    {SYS_lremovexattr, -1, "lremovexattr"},                             {SYS_fremovexattr, 0, "fremovexattr"},
    {SYS_mount, -1, "mount"},         {SYS_umount2, -1, "umount"},
};
enum { CALLS = sizeof calls / sizeof calls[0], MOST_TASKS = 1024 };

static void fail(const char *what) {
    perror(what);
    exit(125);
}

// Stops at these calls and at no others, so that the program is hardly slower than without.
static void filter(void) {
    struct sock_filter program[CALLS + 3];
    program[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < CALLS; i++)
        program[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, CALLS - i, 0);
    program[CALLS + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program[CALLS + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog whole = {CALLS + 3, program};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) != 0) fail("seccomp");
}

static int is_file(pid_t task, unsigned long long descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/%d/fd/%d", task, (int)descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    static const char gone[] = " (deleted)";
    if (length > (ssize_t)sizeof gone && strcmp(path + length + 1 - sizeof gone, gone) == 0) return 0;
    return path[0] == '/' && strncmp(path, "/dev/", 5) != 0 && strncmp(path, "/proc/", 6) != 0
        && strcmp(path, log_file) != 0;
}

// The name of a call that changes something.
static const char *change(pid_t task) {
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, task, 0, &registers) != 0) return NULL;
    unsigned long long arguments[] = {registers.rdi, registers.rsi, registers.rdx};
    for (int i = 0; i < CALLS; i++) {
        if (calls[i].number != (int)registers.orig_rax) continue;
        if (calls[i].descriptor >= 0) return is_file(task, arguments[calls[i].descriptor]) ? calls[i].name : NULL;
        unsigned long long flags = calls[i].number == SYS_openat ? registers.rdx : registers.rsi;
        int opens = calls[i].number == SYS_openat || calls[i].number == SYS_open;
        int makes = (flags & (O_CREAT | O_TRUNC)) != 0 && (flags & O_TMPFILE) != O_TMPFILE;
        return opens && !makes ? NULL : calls[i].name;
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 3) return 125;
    long number = atol(argv[1]), count = 0;
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) fail("ptrace");
        raise(SIGSTOP);
        filter();
        execv(argv[2], argv + 2);
        fail(argv[2]);
    }
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) fail("waitpid");
    long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE
        | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
    if (ptrace(PTRACE_SETOPTIONS, child, 0, options) != 0) fail("ptrace");
    ptrace(PTRACE_CONT, child, 0, 0);

    const char *stopped = NULL;
    pid_t tasks[MOST_TASKS] = {child};
    int known = 1, result = 0;
    pid_t task;
    while ((task = waitpid(-1, &status, __WALL)) > 0) {
        if (!WIFSTOPPED(status)) {
            if (task == child) result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int event = status >> 16, signal = WSTOPSIG(status);
        unsigned long other;
        if ((event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK)
            && ptrace(PTRACE_GETEVENTMSG, task, 0, &other) == 0 && known < MOST_TASKS)
            tasks[known++] = other;
        const char *name = event == PTRACE_EVENT_SECCOMP && !stopped ? change(task) : NULL;
        if (name && ++count == number) {
            stopped = name;
            for (int i = 0; i < known; i++) kill(tasks[i], SIGKILL);
        }
        // What was attached of itself begins with SIGSTOP.
        ptrace(PTRACE_CONT, task, 0, event || signal == SIGSTOP ? 0 : signal);
    }
    if (stopped)
        printf("before %s\n", stopped);
    else
        printf("ended %d, %ld calls\n", result, count);
    return 0;
}
