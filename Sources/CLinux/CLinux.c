#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <linux/cdrom.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <linux/loop.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <poll.h>
#include <scsi/sg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

static void place(int from, int to) {
    if (from < 0) from = open("/dev/null", O_RDWR);
    if (from < 0) {
        close(to);
    } else if (from == to) {
        fcntl(to, F_SETFD, 0);
    } else {
        dup2(from, to);
    }
}

pid_t firstlight_spawn(const char *path, char *const argv[], char *const envp[], const char *root, int input,
                       int output, int error, bool terminal, bool group) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) return -errno;
    pid_t child = fork();
    if (child < 0) {
        int failure = errno;
        close(report[0]);
        close(report[1]);
        return -failure;
    }
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        if (terminal) setsid();
        if (group) setpgid(0, 0);
        place(input, 0);
        place(output, 1);
        place(error, 2);
        if (terminal) ioctl(0, TIOCSCTTY, 1);
        int failure = 0;
        if (root != NULL && chroot(root) != 0) failure = errno;
        if (failure == 0 && chdir("/") != 0) failure = errno;
        if (failure == 0) {
            execve(path, argv, envp);
            failure = errno;
        }
        ssize_t ignored = write(report[1], &failure, sizeof failure);
        (void)ignored;
        _exit(127);
    }
    close(report[1]);
    int failure = 0;
    ssize_t count;
    do count = read(report[0], &failure, sizeof failure);
    while (count < 0 && errno == EINTR);
    close(report[0]);
    if (count == sizeof failure) {
        waitpid(child, NULL, 0);
        return -failure;
    }
    return child;
}

int firstlight_load_module(int fd, const char *parameters, bool compressed) {
    const int decompress = 4;  // MODULE_INIT_COMPRESSED_FILE, since Linux 5.17
    return syscall(SYS_finit_module, fd, parameters, compressed ? decompress : 0) == 0 ? 0 : -errno;
}

int firstlight_loop_attach(int fd, uint64_t offset, uint64_t size, bool read_only, bool direct, int *number) {
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return -errno;
    int result = -EBUSY;
    // Another process may take the free device first: ask again for a while.
    for (int attempt = 0; attempt < 64 && result == -EBUSY; attempt++) {
        int found = ioctl(control, LOOP_CTL_GET_FREE);
        if (found < 0) {
            result = -errno;
            break;
        }
        char path[32];
        snprintf(path, sizeof path, "/dev/loop%d", found);
        int device = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (device < 0) {
            result = -errno;
            break;
        }
        struct loop_config config = {.fd = (uint32_t)fd};
        config.info.lo_offset = offset;
        config.info.lo_sizelimit = size;
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0);
        if (direct) config.info.lo_flags |= LO_FLAGS_DIRECT_IO;
        if (ioctl(device, LOOP_CONFIGURE, &config) == 0) {
            *number = found;
            // AUTOCLEAR detaches at the last close: keep one descriptor until somebody mounts it.
            result = device;
        } else {
            result = -errno;
            close(device);
        }
    }
    close(control);
    return result;
}

int firstlight_try_filesystem(const char *type, const char *device, const char *option, const char *value) {
    int context = fsopen(type, FSOPEN_CLOEXEC);
    if (context < 0) return -errno;
    int failure = 0;
    if (fsconfig(context, FSCONFIG_SET_STRING, "source", device, 0) != 0 ||
        fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0) != 0 ||
        // An ext4 can ask for a kernel panic at its first error.
        (strcmp(type, "ext4") == 0 && fsconfig(context, FSCONFIG_SET_STRING, "errors", "continue", 0) != 0) ||
        (option != NULL &&
         fsconfig(context, value == NULL ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, option, value, 0) != 0) ||
        fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        failure = errno;
    close(context);
    return -failure;
}

void firstlight_make_btrfs_known(const char *device) {
    struct btrfs_ioctl_vol_args args = {0};
    if (strlen(device) >= sizeof args.name) return;
    strcpy(args.name, device);
    int control = open("/dev/btrfs-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return;
    // What is not one of a btrfs is refused.
    ioctl(control, BTRFS_IOC_SCAN_DEV, &args);
    close(control);
}

static void check_output(void) {
    errno = 0;
    int failed = fflush(stdout) != 0;
    // Whoever reads may have had enough.
    if ((!failed && !ferror(stdout)) || errno == EPIPE) return;
    dprintf(STDERR_FILENO, "cannot write to standard output: %s\n", errno ? strerror(errno) : "a part is missing");
    _exit(1);
}

void firstlight_check_output_at_exit(void) { atexit(check_output); }

int firstlight_set_read_ahead(int fd, unsigned long sectors) {
    return ioctl(fd, BLKRASET, sectors) == 0 ? 0 : -errno;
}

int64_t firstlight_block_size(int fd) {
    uint64_t size = 0;
    return ioctl(fd, BLKGETSIZE64, &size) == 0 ? (int64_t)size : -errno;
}

int firstlight_sector_size(int fd) {
    int size = 0;
    return ioctl(fd, BLKSSZGET, &size) == 0 ? size : -errno;
}

int firstlight_read_topology(int fd, struct firstlight_topology *topology) {
    int logical = 0;
    unsigned physical = 0, minimum = 0, optimal = 0;
    if (ioctl(fd, BLKSSZGET, &logical) != 0) return -errno;
    ioctl(fd, BLKPBSZGET, &physical);
    ioctl(fd, BLKIOMIN, &minimum);
    ioctl(fd, BLKIOOPT, &optimal);
    *topology = (struct firstlight_topology){(uint32_t)logical, physical, minimum, optimal};
    return 0;
}

int firstlight_disc_present(int fd) {
    int status = ioctl(fd, CDROM_DRIVE_STATUS, CDSL_CURRENT);
    return status < 0 ? -errno : status == CDS_DISC_OK;
}

int firstlight_ata_identity(int fd, uint8_t words[512]) {
    return ioctl(fd, HDIO_GET_IDENTITY, words) == 0 ? 0 : -errno;
}

int firstlight_scsi_page(int fd, uint8_t page, uint8_t bytes[255]) {
    uint8_t inquiry[6] = {0x12, 1, page, 0, 255, 0};
    uint8_t sense[32];
    struct sg_io_hdr request = {
        .interface_id = 'S',
        .dxfer_direction = SG_DXFER_FROM_DEV,
        .cmd_len = sizeof inquiry,
        .mx_sb_len = sizeof sense,
        .dxfer_len = 255,
        .dxferp = bytes,
        .cmdp = inquiry,
        .sbp = sense,
        .timeout = 5000,
    };
    if (ioctl(fd, SG_IO, &request) != 0) return -errno;
    if (request.status != 0 || request.host_status != 0 || request.driver_status != 0) return -EIO;
    int count = 255 - request.resid;
    if (count < 4 || bytes[1] != page) return -ENODATA;
    return count < 4 + bytes[3] ? count : 4 + bytes[3];
}

int firstlight_discard(int fd) {
    uint64_t range[2] = {0};
    if (ioctl(fd, BLKGETSIZE64, &range[1]) != 0 || ioctl(fd, BLKDISCARD, range) != 0) return -errno;
    return 0;
}

int firstlight_reread_partitions(int fd) { return ioctl(fd, BLKRRPART) == 0 ? 0 : -errno; }

int firstlight_uevent_socket(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (fd < 0) return -errno;
    int bytes = 16 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int failure = errno;
        close(fd);
        return -failure;
    }
    return fd;
}

int firstlight_wait_readable(int fd, int milliseconds) {
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    int result = poll(&wanted, 1, milliseconds);
    if (result < 0) return errno == EINTR ? 0 : -errno;
    return result;
}

int firstlight_wait_any(const int *fds, size_t count, int milliseconds) {
    struct pollfd wanted[64];
    if (count > 64) count = 64;
    for (size_t i = 0; i < count; i++) wanted[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    int result = poll(wanted, count, milliseconds);
    if (result < 0) return errno == EINTR ? 0 : -errno;
    return result > 0;
}

int firstlight_reboot(char how) {
    sync();
    int command = how == 'r' ? RB_AUTOBOOT : how == 'h' ? RB_HALT_SYSTEM : RB_POWER_OFF;
    return reboot(command) == 0 ? 0 : -errno;
}

bool firstlight_use_huge_pages(bool use) {
    bool was = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) != 1;
    prctl(PR_SET_THP_DISABLE, !use, 0, 0, 0);
    return was;
}

int firstlight_memory_file(const char *name) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int64_t firstlight_copy_range(int from, uint64_t start, int to, size_t count) {
    loff_t place = (loff_t)start;
    ssize_t copied = copy_file_range(from, &place, to, NULL, count, 0);
    return copied >= 0 ? copied : -errno;
}

int firstlight_rename_new(const char *path, const char *name) {
    return renameat2(AT_FDCWD, path, AT_FDCWD, name, RENAME_NOREPLACE) == 0 ? 0 : -errno;
}

int firstlight_make_temporary(char *path) {
    int fd = mkostemp(path, O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

static int open_resolving(int folder, const char *path, int flags, uint64_t resolve) {
    struct open_how how = {.flags = (uint64_t)(unsigned)flags, .resolve = resolve};
    // EAGAIN: something was renamed while `..` was followed; the kernel wants to be asked again.
    for (int attempt = 0;; attempt++) {
        int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
        if (fd >= 0) return fd;
        if ((errno != EAGAIN && errno != EINTR) || attempt == 64) return -errno;
    }
}

int firstlight_open_below(int folder, const char *path, int flags) {
    return open_resolving(folder, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int firstlight_open_straight(int folder, const char *path, int flags) {
    return open_resolving(folder, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
}

int firstlight_open_inside(const char *root, const char *path, int flags) {
    int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return -errno;
    int result = firstlight_open_below(folder, path, flags);
    close(folder);
    return result;
}

_Static_assert(FIRSTLIGHT_O_PATH == O_PATH, "O_PATH as Swift sees it");
_Static_assert(FIRSTLIGHT_O_TMPFILE == O_TMPFILE, "O_TMPFILE as Swift sees it");

int64_t firstlight_filesystem_magic(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 ? (int64_t)(uint32_t)status.f_type : -errno;
}

struct firstlight_file_identity firstlight_set_file_identity(uid_t user, gid_t group) {
    struct firstlight_file_identity before;
    before.group = (gid_t)setfsgid(group);
    before.user = (uid_t)setfsuid(user);
    return before;
}
