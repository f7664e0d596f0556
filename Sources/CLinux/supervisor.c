// What stands above the agent: as PID 1 of an initramfs, and under the name `ignition`.
//
// A Swift program that traps, or that the kernel ends for want of memory, cannot tell why; as PID 1 it
// would take the kernel with it. So before the Swift runtime starts, a constructor forks: the child goes
// on into the runtime and is the agent, the parent stays here, in C that allocates nothing, and waits.
// When the agent is ended by a signal it is started once more and told so, which prints the report that
// every stop prints. Only when that one dies as well, four lines are printed from here.
//
// PID 1 also reaps every orphan, takes Ctrl-Alt-Del, and leaves the initramfs for the real root: nothing
// of the agent's (signal dispositions, descriptors, threads) reaches the real init.
#define _GNU_SOURCE
#include "CLinux.h"
#include "medium_watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATE "/run/firstlight"

// What the agent tells the supervisor, in memory that both see.
struct shared {
    // The death of the agent before this one has been told, and the operator wants to go on.
    bool is_death_told;
    // The real root, its init and the init's arguments, each ended by a NUL.
    uint32_t request_length;
    char request[64 << 10];
    // The device that the real root runs from; empty where it is all in RAM.
    char medium[256];
};

static struct shared *shared;
static char **kernel_environment;
static sigset_t mask_before;
static bool is_supervised;
static bool is_init;
static struct firstlight_death previous_death;
// Whether the initramfs has been emptied for the real root: nothing is left that could try again.
static bool is_initramfs_gone;
// Whether a kernel panic restarts the machine because we said so, and the kernel command line did not.
static bool is_panic_ours;

// --- What the agent asks -------------------------------------------------------------------------

bool firstlight_is_supervised(void) { return is_supervised; }

bool firstlight_previous_death(struct firstlight_death *death) {
    *death = previous_death;
    return previous_death.signal != 0 || previous_death.status != 0;
}

void firstlight_death_told(void) {
    if (shared != NULL) shared->is_death_told = true;
}

int firstlight_request_hand_over(const char *request, size_t length, const char *medium) {
    if (shared == NULL) return -ESRCH;
    if (length > sizeof shared->request || strlen(medium) >= sizeof shared->medium) return -E2BIG;
    strcpy(shared->medium, medium);
    memcpy(shared->request, request, length);
    shared->request_length = (uint32_t)length;
    return 0;
}

// --- Small things --------------------------------------------------------------------------------

// The start of a file as a text without its last line end; its length, 0 where it cannot be read.
static size_t read_text(const char *path, char *text, size_t size) {
    text[0] = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return 0;
    size_t length = 0;
    for (;;) {
        ssize_t count = read(file, text + length, size - 1 - length);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        length += (size_t)count;
    }
    close(file);
    while (length > 0 && text[length - 1] == '\n') length--;
    text[length] = 0;
    return length;
}

static void write_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    ssize_t ignored = write(file, text, strlen(text));
    (void)ignored;
    close(file);
}

static void pause_for(int seconds) {
    struct timespec rest = {.tv_sec = seconds};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {}
}

// How many processes the kernel has ended so far for want of memory.
static unsigned long out_of_memory_kills(void) {
    static char text[16 << 10];
    read_text("/proc/vmstat", text, sizeof text);
    const char *line = strstr(text, "\noom_kill ");
    return line == NULL ? 0 : strtoul(line + 10, NULL, 10);
}

// --- The kernel command line, as far as a failure's end needs it --------------------------------------

enum action { ACTION_SHELL, ACTION_REBOOT, ACTION_POWER_OFF, ACTION_HALT };

static bool is_false(const char *value) {
    return strcmp(value, "0") == 0 || strcmp(value, "no") == 0 || strcmp(value, "off") == 0;
}

// - SeeAlso: BootArguments.failureAction, which is the same for the agent.
static enum action action_after_failure(void) {
    static char line[8 << 10];
    read_text("/proc/cmdline", line, sizeof line);
    bool has_shell = true, is_shell_asked = false;
    enum action action = ACTION_SHELL;
    char *rest = line;
    for (char *word; (word = strsep(&rest, " \t\n")) != NULL;) {
        if (strcmp(word, "--") == 0) break;
        if (strncmp(word, "rd.shell", 8) == 0 && (word[8] == 0 || word[8] == '=')) {
            has_shell = word[8] == 0 || !is_false(word + 9);
            is_shell_asked = has_shell;
        } else if (strncmp(word, "rd.emergency=", 13) == 0) {
            const char *name = word + 13;
            action = strcmp(name, "reboot") == 0     ? ACTION_REBOOT
                     : strcmp(name, "poweroff") == 0 ? ACTION_POWER_OFF
                     : strcmp(name, "halt") == 0     ? ACTION_HALT
                                                     : ACTION_SHELL;
        }
    }
    if (is_shell_asked) return ACTION_SHELL;
    return action == ACTION_SHELL && !has_shell ? ACTION_HALT : action;
}

// --- Consoles --------------------------------------------------------------------------------------

// The kernel's consoles by their names, the one for a shell last.
static void active_consoles(char *names, size_t size) {
    if (read_text("/sys/class/tty/console/active", names, size) == 0) snprintf(names, size, "console");
}

static int open_console(const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/dev/%s", name);
    return open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
}

// Prints on every console; a line that takes nothing is not waited for.
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
    char text[1024], names[256];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (length < 0) return;
    if ((size_t)length >= sizeof text) length = sizeof text - 1;
    active_consoles(names, sizeof names);
    bool is_said = false;
    char *rest = names;
    for (char *name; (name = strsep(&rest, " ")) != NULL;) {
        int console = open_console(name);
        if (console < 0) continue;
        is_said = write(console, text, (size_t)length) == length || is_said;
        close(console);
    }
    if (!is_said) {
        ssize_t ignored = write(2, text, (size_t)length);
        (void)ignored;
    }
}

// --- Processes -------------------------------------------------------------------------------------

// Ends every process but this one, and waits a while until they are gone.
static void end_everything(void) {
    kill(-1, SIGKILL);
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    for (int turn = 0; turn < 50; turn++) {
        pid_t process;
        while ((process = waitpid(-1, NULL, WNOHANG)) > 0) {}
        if (process < 0 && errno == ECHILD) return;
        struct timespec moment = {.tv_nsec = 100 * 1000 * 1000};
        sigtimedwait(&children, NULL, &moment);
    }
}

// Children do not inherit PID 1's protection from the kernel's out-of-memory killer.
static void be_ordinary(void) {
    if (is_init) write_text("/proc/self/oom_score_adj", "0");
}

// Starts the agent: the child returns 0, and goes on into the Swift runtime.
static pid_t start_agent(void) {
    shared->is_death_told = false;
    shared->request_length = 0;
    pid_t agent = fork();
    if (agent != 0) return agent;
    is_supervised = true;
    be_ordinary();
    // RAM is for the image.
    if (is_init) firstlight_use_huge_pages(false);
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
    return 0;
}

// `SIGSEGV`, `exit status 3`, in a buffer of the caller's.
static const char *name_of(struct firstlight_death death, char *text, size_t size) {
    const char *name = sigabbrev_np(death.signal);
    if (name != NULL) snprintf(text, size, "SIG%s%s", name, death.out_of_memory ? " (out of memory)" : "");
    else snprintf(text, size, "exit status %d", death.status);
    return text;
}

// --- The end of a machine ----------------------------------------------------------------------------

static _Noreturn void end_machine(int command) {
    sync();
    reboot(command);
    for (;;) pause();
}

// Waits for a child, or for ever where there is none of that number; reaps all others meanwhile.
static int wait_for(pid_t wanted) {
    sigset_t all;
    sigfillset(&all);
    for (;;) {
        int number = sigwaitinfo(&all, NULL);
        if (number == SIGINT) {
            say("\nfirstlight: Ctrl-Alt-Del, restarting.\n");
            end_everything();
            end_machine(RB_AUTOBOOT);
        }
        int status, result = -1;
        for (pid_t process; (process = waitpid(-1, &status, WNOHANG)) > 0;)
            if (process == wanted) result = status;
        if (result >= 0) return result;
    }
}

static const char *find_busybox(void) {
    static const char *const places[] = {"/usr/bin/busybox", "/bin/busybox", "/usr/lib/firstlight/bin/busybox"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], X_OK) == 0) return places[i];
    return NULL;
}

// Runs a shell on the console for it; returns whether there was one to run.
static bool run_shell(void) {
    const char *shell = find_busybox();
    if (shell == NULL) return false;
    pid_t child = fork();
    if (child < 0) return false;
    if (child == 0) {
        be_ordinary();
        sigprocmask(SIG_SETMASK, &mask_before, NULL);
        char names[256], path[64];
        active_consoles(names, sizeof names);
        const char *last = strrchr(names, ' ');
        snprintf(path, sizeof path, "/dev/%s", last == NULL ? names : last + 1);
        setsid();
        int console = open(path, O_RDWR);
        if (console >= 0) {
            ioctl(console, TIOCSCTTY, 1);
            for (int i = 0; i < 3; i++) dup2(console, i);
        }
        char *arguments[] = {"sh", "-l", NULL};
        char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux", "HOME=/", "PS1=firstlight:\\w# ",
                               NULL};
        execve(shell, arguments, environment);
        _exit(127);
    }
    int status = wait_for(child);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 127);
}

// What the command line wants after a failure. Returns when the boot is to be tried again.
static void follow(enum action action) {
    switch (action) {
    case ACTION_SHELL:
        if (find_busybox() != NULL) {
            say(is_initramfs_gone ? "  Shell on the console; `exit` restarts the machine.\n"
                                  : "  Shell on the console; `exit` tries again.\n");
            if (run_shell()) {
                if (!is_initramfs_gone) return;
                end_everything();
                end_machine(RB_AUTOBOOT);
            }
        }
        say("  No shell: busybox is not here. The machine stays as it is.\n");
        wait_for(0);
        break;
    case ACTION_REBOOT:
        say("  Restarting in 10 seconds (rd.emergency=reboot).\n");
        pause_for(10);
        end_machine(RB_AUTOBOOT);
    case ACTION_POWER_OFF:
        say("  Powering off (rd.emergency=poweroff).\n");
        end_machine(RB_POWER_OFF);
    case ACTION_HALT:
        say("  Halting; no shell, as the command line says.\n");
        end_machine(RB_HALT_SYSTEM);
    }
}

// --- The real root -------------------------------------------------------------------------------------

// Removes what is in a folder and on the same filesystem; the descriptor is closed.
static void empty(int folder, dev_t device) {
    DIR *list = fdopendir(folder);
    if (list == NULL) {
        close(folder);
        return;
    }
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        struct stat status;
        if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_dev != device) continue;
        if (!S_ISDIR(status.st_mode)) {
            unlinkat(folder, name, 0);
            continue;
        }
        int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0) empty(inner, device);
        unlinkat(folder, name, AT_REMOVEDIR);
    }
    closedir(list);
}

static bool is_in_memory(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 && (status.f_type == RAMFS_MAGIC || status.f_type == TMPFS_MAGIC);
}

// Makes `root` the root and runs its init. Returns only where that fails: the step that did, and errno.
static const char *move_to(const char *root, char *const arguments[]) {
    static const char *const kept[] = {"dev", "proc", "sys", "run"};
    struct stat initramfs;
    if (!is_in_memory("/") || stat("/", &initramfs) != 0) {
        errno = EINVAL;
        return "empty a root that is not in RAM";
    }
    // The init begins as the kernel would have begun it.
    if (is_panic_ours) write_text("/proc/sys/kernel/panic", "0");
    write_text("/proc/self/oom_score_adj", "0");
    reboot(RB_ENABLE_CAD);
    const char *shell = shared->medium[0] != 0 ? find_busybox() : NULL;
    int busybox = shell != NULL ? firstlight_copy_program(shell) : -1;
    umount2("/usr", MNT_DETACH);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        char from[16], to[4096];
        snprintf(from, sizeof from, "/%s", kept[i]);
        snprintf(to, sizeof to, "%s/%s", root, kept[i]);
        mkdir(to, 0755);
        if (mount(from, to, NULL, MS_MOVE, NULL) != 0) return "move the kernel's filesystems to the real root";
    }
    // Its RAM is the real root's from now on; this program's own pages stay until exec.
    int top = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    is_initramfs_gone = true;
    if (top >= 0) empty(top, initramfs.st_dev);
    if (chdir(root) != 0) return "enter the real root";
    if (mount(".", "/", NULL, MS_MOVE, NULL) != 0) return "move the real root to /";
    if (chroot(".") != 0 || chdir("/") != 0) return "change the root";
    int console = open("/dev/console", O_RDWR | O_NOCTTY);
    if (console >= 0) {
        for (int i = 0; i < 3; i++)
            if (i != console) dup2(console, i);
        if (console > 2) close(console);
    }
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
    if (busybox >= 0) firstlight_watch_medium(busybox, shared->medium);
    execve(arguments[0], arguments, kernel_environment);
    int reason = errno;
    // A signal that is not blocked is not waited for, and the shell's end would be missed.
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    errno = reason;
    return "run the real root's init";
}

// Returns only where that fails, and then whether the failure has been told.
static bool hand_over(void) {
    static char *words[4096];
    char *next = shared->request, *end = shared->request + shared->request_length;
    size_t count = 0;
    while (next < end && count < sizeof words / sizeof *words - 1) {
        words[count++] = next;
        next += strnlen(next, (size_t)(end - next)) + 1;
    }
    words[count] = NULL;
    if (count < 2 || end[-1] != 0) return false;
    end_everything();
    const char *step = move_to(words[0], words + 1);
    say("\nfirstlight stopped: cannot %s: %s\n  while handing over to %s\n", step, strerror(errno), words[1]);
    follow(action_after_failure());
    reboot(RB_DISABLE_CAD);
    return true;
}

// --- PID 1 -----------------------------------------------------------------------------------------------

// An incomplete image is of no use to anybody, and its RAM is needed for the report.
static void drop_partial_image(void) {
    if (access(STATE "/rootfs.json", F_OK) != 0) umount2(STATE "/image", MNT_DETACH);
}

static void tell_second_death(struct firstlight_death first, struct firstlight_death second) {
    // The stage's word, and in the second line what is told of it.
    char step[256];
    read_text(STATE "/step", step, sizeof step);
    const char *line_end = strchr(step, '\n');
    const char *act = line_end == NULL ? "starting" : line_end + 1;
    // Without /dev there is no console to say it on.
    mkdir("/dev", 0755);
    if (access("/dev/console", F_OK) != 0) mount("dev", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
    char one[64], other[64];
    say("\nfirstlight stopped: it died of %s\n  while %s,\n  and of %s while reporting that.\n"
        "  Written until then: /run/firstlight/written.json. Log: /run/firstlight/log.\n",
        name_of(first, one, sizeof one), act, name_of(second, other, sizeof other));
}

// How a process ended, which was not asked to end with a signal.
static struct firstlight_death death_of(int status, unsigned long kills_before) {
    struct firstlight_death death = {0};
    if (WIFSIGNALED(status)) {
        death.signal = WTERMSIG(status);
        death.out_of_memory = death.signal == SIGKILL && out_of_memory_kills() > kills_before;
    } else {
        death.status = WEXITSTATUS(status);
    }
    return death;
}

// The program that became this PID 1 by exec, or that started its namespace, may have ignored or blocked signals. The
// programs of a boot and the real init expect signals as the kernel sets them for a first process.
static void reset_signals(void) {
    // This bypasses the C library, which refuses to change the two that it keeps for itself. All zeros is the default.
    static const uint64_t usual[4];
    for (int number = 1; number < NSIG; number++) syscall(SYS_rt_sigaction, number, usual, NULL, sizeof usual[0]);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// Returns in the agent only.
static void be_init(void) {
    reset_signals();
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &mask_before);
    reboot(RB_DISABLE_CAD);  // the kernel sends SIGINT for Ctrl-Alt-Del from now on
    char panic[16];
    if (action_after_failure() == ACTION_REBOOT && read_text("/proc/sys/kernel/panic", panic, sizeof panic) > 0 &&
        strcmp(panic, "0") == 0) {
        write_text("/proc/sys/kernel/panic", "10");
        is_panic_ours = true;
    }

    for (;;) {
        unsigned long kills = out_of_memory_kills();
        struct firstlight_death before = previous_death;
        pid_t agent = start_agent();
        if (agent == 0) return;
        if (agent < 0) {
            say("\nfirstlight stopped: cannot start: %s\n", strerror(errno));
            follow(action_after_failure());
            continue;
        }
        write_text("/proc/self/oom_score_adj", "-1000");
        mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);

        int status = wait_for(agent);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && shared->request_length > 0 && hand_over()) {
            // The agent did what it was to do.
            memset(&previous_death, 0, sizeof previous_death);
            continue;
        }
        struct firstlight_death death = death_of(status, kills);
        if (death.signal == 0 && death.status == 0) death.status = 255;  // it has no business to end
        end_everything();
        drop_partial_image();
        bool is_second = (before.signal != 0 || before.status != 0) && !shared->is_death_told;
        previous_death = death;
        if (is_second) {
            tell_second_death(before, death);
            follow(action_after_failure());
            memset(&previous_death, 0, sizeof previous_death);
        }
    }
}

// --- Under the name `ignition` -----------------------------------------------------------------------------

// Its units belong to another project, so only this process can tell what ended it. Returns in the agent only.
static void watch(void) {
    signal(SIGCHLD, SIG_DFL);  // where it is ignored, nobody hears of the agent's end
    sigset_t watched;
    sigfillset(&watched);
    // A terminal may stop and continue us.
    static const int stops[] = {SIGTSTP, SIGCONT, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) sigdelset(&watched, stops[i]);
    sigprocmask(SIG_BLOCK, &watched, &mask_before);
    for (int turn = 0; turn < 2; turn++) {
        unsigned long kills = out_of_memory_kills();
        pid_t agent = start_agent();
        if (agent == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            return;
        }
        if (agent < 0) {  // then without
            sigprocmask(SIG_SETMASK, &mask_before, NULL);
            return;
        }
        int status = 0, passed_on = 0;
        for (;;) {
            int number = sigwaitinfo(&watched, NULL);
            if (number == SIGCHLD) {
                if (waitpid(agent, &status, WNOHANG) == agent) break;
            } else if (number > 0) {
                passed_on = number;
                kill(agent, number);
            }
        }
        if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
        if (WTERMSIG(status) == passed_on) {
            signal(passed_on, SIG_DFL);
            sigset_t one;
            sigemptyset(&one);
            sigaddset(&one, passed_on);
            kill(getpid(), passed_on);
            sigprocmask(SIG_UNBLOCK, &one, NULL);
        }
        previous_death = death_of(status, kills);
    }
    _exit(1);
}

// --- The way in --------------------------------------------------------------------------------------------

static bool is_called(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    return strcmp(slash == NULL ? path : slash + 1, name) == 0;
}

// The static Swift runtime reads /proc/self/exe before main and aborts where it cannot. As PID 1 of an
// initramfs nothing is mounted yet, so this comes before the runtime's own constructors.
__attribute__((constructor(101))) static void begin(int argc, char **argv, char **envp) {
    bool is_first = getpid() == 1;
    if (is_first && access("/proc/self/stat", F_OK) != 0) {
        mkdir("/proc", 0555);
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    }
    if (argc < 1) return;
    is_init = is_first && is_called(argv[0], "init");
    if (!is_init && !is_called(argv[0], "ignition")) return;
    void *memory = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    shared = memory;
    kernel_environment = envp;
    if (is_init) be_init();
    else watch();
}
