// What tells the operator that the medium is gone from which the real root runs.
//
// Of that root nothing can be counted on then: not its init, its shell, its journal. So PID 1 leaves a process behind
// that is wholly in RAM: busybox in a file of its own, since nothing of the initramfs stays. It reads one block of the
// medium now and then, past every cache, and speaks through the kernel, which reaches every console.
#define _GNU_SOURCE
#include "medium_watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

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
    "  *) say \"restart the machine; a stick that is put back is not known again\"; exit ;;\n"
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

void firstlight_watch_medium(int busybox, const char *device) {
    pid_t watch = fork();
    if (watch != 0) return;
    setsid();
    int nothing = open("/dev/null", O_RDWR);
    for (int i = 0; nothing >= 0 && i < 3; i++) dup2(nothing, i);
    char *arguments[] = {"sh", "-c", (char *)script, (char *)device, NULL};
    char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    fexecve(busybox, arguments, environment);
    _exit(127);
}
