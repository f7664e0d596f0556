// Tells the operator that the medium from which the real root runs is gone.
//
// Nothing of that root works then: not its init, not its shell, not its journal. So the initramfs leaves a process
// behind that is wholly in RAM: busybox in a file of its own, since nothing of the initramfs stays. It reads one block
// of the medium now and then, past every cache, and speaks through the kernel, which reaches every console.
#define _GNU_SOURCE
#include "medium_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "CLinux.h"

// $0 is the device. A stick that is plugged in again is another device to the kernel; a disc is the same one. Whoever
// looks into a drive closes its tray, where the kernel is not told otherwise: nobody could put the disc back.
static const char script[] =
    "there() { dd if=\"$0\" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null; }\n"
    "say() { echo \"<1>firstlight: $1\" >/dev/kmsg; }\n"
    "case \"$0\" in /dev/sr*) echo 0 >/proc/sys/dev/cdrom/autoclose ;; esac\n"
    "while :; do\n"
    "  while there || { sleep 1; there; }; do sleep 5; done\n"
    "  say \"the medium that this system runs from is gone: $0\"\n"
    "  say \"what is not in RAM by now cannot be read\"\n"
    "  case \"$0\" in\n"
    "  /dev/sr*) say \"put it back, or restart the machine\" ;;\n"
    "  *) say \"restart the machine; a stick that is put back is not recognised\"; exit ;;\n"
    "  esac\n"
    "  until there; do sleep 5; done\n"
    "  say \"the medium is back: $0\"\n"
    "done";

int firstlight_copy_program(const char *path) {
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0) return -1;
    struct stat status;
    int copy = fstat(from, &status) == 0 ? memfd_create("firstlight-medium", MFD_CLOEXEC) : -1;
    off_t done = 0;
    while (copy >= 0 && done < status.st_size) {
        if (sendfile(copy, from, &done, (size_t)(status.st_size - done)) > 0) continue;
        close(copy);
        copy = -1;
    }
    close(from);
    return copy;
}

static void let_go_of_terminal(void) {
    setsid();
    int nothing = open("/dev/null", O_RDWR);
    for (int i = 0; nothing >= 0 && i < 3; i++) dup2(nothing, i);
}

static _Noreturn void become_watch(int busybox, const char *device) {
    // A name with @ in front: systemd spares such a process when it leaves the initramfs and when it shuts down.
    char *arguments[] = {"@/busybox", "sh", "-c", (char *)script, (char *)device, NULL};
    char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    fexecve(busybox, arguments, environment);
    _exit(127);
}

void firstlight_watch_medium(int busybox, const char *device) {
    if (fork() != 0) return;
    let_go_of_terminal();
    become_watch(busybox, device);
}

// A service's processes end with it, and no service outlasts systemd's way out of the initramfs.
static void leave_service(void) {
    static const char *const groups[] = {"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/systemd/cgroup.procs"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        int group = open(groups[i], O_WRONLY | O_CLOEXEC);
        if (group < 0) continue;
        bool has_left = write(group, "0", 1) == 1;
        close(group);
        if (has_left) return;
    }
}

int firstlight_leave_medium_watch(const char *program, const char *root, const char *device) {
    int busybox = firstlight_copy_program(program);
    if (busybox < 0) return -errno;
    pid_t watch = fork();
    int reason = errno;
    if (watch != 0) {
        close(busybox);
        return watch < 0 ? -reason : 0;
    }
    leave_service();
    let_go_of_terminal();
    // The kernel's filesystems are moved into the root when it is switched to, and not before.
    if (chroot(root) != 0 || chdir("/") != 0) _exit(127);
    struct timespec pause = {.tv_nsec = 200000000};
    while (access("/proc/self/stat", F_OK) != 0 || access("/dev/kmsg", W_OK) != 0) nanosleep(&pause, NULL);
    become_watch(busybox, device);
}
