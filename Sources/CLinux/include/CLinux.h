// The few Linux calls that glibc lacks or that Swift cannot make safely: process creation between
// fork and exec, module loading, loop devices, kernel events. One function per need; each returns
// a value or -errno, so that nothing can overwrite errno on the way back to Swift.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/xattr.h>

/// Starts `path` with descriptors 0, 1 and 2 taken from the arguments (-1: /dev/null).
/// `root`, where not NULL, is the new process's root directory; its working directory is `/`.
/// `terminal` makes descriptor 0 its controlling terminal, in a session of its own; `group` gives it a process group
/// of its own.
/// Returns the process id, or -errno (exec's own failure included).
pid_t firstlight_spawn(const char *path, char *const argv[], char *const envp[], const char *root, int input,
                       int output, int error, bool terminal, bool group);

/// Has the program end with status 1, and say why, where what it printed did not arrive whole, as on a full disk.
void firstlight_check_output_at_exit(void);

/// Loads the module image in `fd` (finit_module), which the kernel is to decompress where `compressed`.
/// 0 or -errno: EOPNOTSUPP or EINVAL where this kernel cannot decompress.
int firstlight_load_module(int fd, const char *parameters, bool compressed);

/// Binds a free loop device to `fd`, writes its number and returns it open, or -errno.
/// `size` 0 means to the end of the file. The device goes away with its last user (autoclear).
int firstlight_loop_attach(int fd, uint64_t offset, uint64_t size, bool read_only, bool direct, int *number);

/// Opens a filesystem read-only as mount(2) would, without mounting it anywhere, and lets it go again.
/// `option` (may be NULL) with `value` (NULL: a flag) is the filesystem's own; whatever it says itself, an
/// error in it ends the attempt and not the machine. 0 or -errno.
int firstlight_try_filesystem(const char *type, const char *device, const char *option, const char *value);

/// Has the kernel remember a device as one of a btrfs, if it is; whatever it is, nothing is written to it.
void firstlight_make_btrfs_known(const char *device);

/// Sets a block device's read-ahead, in sectors of 512 bytes. 0 or -errno.
int firstlight_set_read_ahead(int fd, unsigned long sectors);

/// The size of an open block device in bytes, or -errno.
int64_t firstlight_block_size(int fd);
/// The logical sector size of an open block device in bytes, or -errno.
int firstlight_sector_size(int fd);
/// The sizes in which an open block device reads and writes, in bytes; those it does not tell are 0. 0 or -errno.
struct firstlight_topology {
    uint32_t logical, physical, minimum, optimal;
};
int firstlight_read_topology(int fd, struct firstlight_topology *topology);

/// Whether the drive holds a disc: 1, 0, or -errno where it is not such a drive.
int firstlight_disc_present(int fd);

/// The 512 bytes with which an ATA device identifies itself, text in reading order
/// (HDIO_GET_IDENTITY). 0 or -errno.
int firstlight_ata_identity(int fd, uint8_t words[512]);

/// SCSI's INQUIRY for one page of vital product data, at most 255 bytes of it.
/// The number of bytes, or -errno.
int firstlight_scsi_page(int fd, uint8_t page, uint8_t bytes[255]);

/// Tells a block device that nothing on it is needed any more (BLKDISCARD). 0 or -errno.
int firstlight_discard(int fd);

/// Makes the kernel read an open disk's partition table anew (BLKRRPART). 0 or -errno.
int firstlight_reread_partitions(int fd);

/// A socket that receives the kernel's own uevents, with a large buffer, or -errno.
int firstlight_uevent_socket(void);

/// Waits until `fd` is readable: 1 readable, 0 after `milliseconds`, or -errno.
int firstlight_wait_readable(int fd, int milliseconds);

/// Ends the machine: one of 'r' (restart), 'p' (power off), 'h' (halt). -errno if it returns.
int firstlight_reboot(char how);

/// Whether this process and those that it starts may have huge pages (PR_SET_THP_DISABLE). A thread's stack takes 2 MiB
/// with them, of which it may use 20 KiB. Returns whether it might until now.
bool firstlight_use_huge_pages(bool use);

/// An anonymous file in memory (memfd_create, close on exec), or -errno.
int firstlight_memory_file(const char *name);

/// Copies bytes of one file, from `start` on, to where the other one stands, within the kernel (copy_file_range): how many,
/// 0 at the end, or -errno: some pairs of files cannot be copied this way.
int64_t firstlight_copy_range(int from, uint64_t start, int to, size_t count);

/// Gives a file another name, which must not be taken (renameat2, RENAME_NOREPLACE). 0 or -errno: -EEXIST; -EINVAL
/// where the filesystem cannot.
int firstlight_rename_new(const char *path, const char *name);

/// A new file with a name of its own (mkostemp, close on exec): its descriptor or -errno. `path` ends with XXXXXX.
int firstlight_make_temporary(char *path);

/// Opens `path` as if `root` were `/`: no link and no `..` leads out of it (openat2, RESOLVE_IN_ROOT).
/// A descriptor or -errno. FIRSTLIGHT_O_PATH among the flags only finds the file.
enum { FIRSTLIGHT_O_PATH = 010000000, FIRSTLIGHT_O_TMPFILE = 020200000 };
int firstlight_open_inside(const char *root, const char *path, int flags);
/// The same for a root that is open already.
int firstlight_open_below(int folder, const char *path, int flags);
/// The same, where the path has no link in it: -ELOOP otherwise.
int firstlight_open_straight(int folder, const char *path, int flags);

/// The magic number of the filesystem at `path` (statfs; linux/magic.h), or -errno.
int64_t firstlight_filesystem_magic(const char *path);

/// Waits until one of `count` descriptors is readable: 1 one is, 0 after `milliseconds`, or -errno.
int firstlight_wait_any(const int *fds, size_t count, int milliseconds);

/// A descriptor that becomes readable when the process ends (pidfd_open, close on exec), or -errno.
int firstlight_process_handle(pid_t process);

/// Changes link `index`: `name` (NULL: as it is; the link must be down), `mtu` (0: as it is), `mac`
/// (6 bytes, NULL: as it is), `up` (1 or 0; -1: as it is). 0 or -errno.
int firstlight_link_configure(int index, const char *name, uint32_t mtu, const uint8_t *mac, int up);

/// Adds an address of 4 or 16 bytes (`length`) to link `index`, or takes it away. 0 or -errno.
int firstlight_address_add(int index, const uint8_t *address, size_t length, uint8_t prefix, bool add_it);

/// Makes a link of a kind: `vlan` on link `parent` with the identifier `vlan` (-1: another kind) and its flags,
/// `bond`, `bridge`. 0 or -errno: EEXIST where the name is taken.
int firstlight_link_make(const char *name, const char *kind, int parent, int vlan, uint32_t vlan_flags);

/// Takes away a link that was made. 0 or -errno.
int firstlight_link_remove(int index);

/// Makes link `index` a port of `controller`. 0 or -errno.
int firstlight_link_join(int index, int controller);

/// A route: addresses of 4 or 16 bytes (`length`), NULL for none; 0 for what is not given; `on_link`: the gateway is
/// on the link, whatever the addresses say.
struct firstlight_route {
    const uint8_t *destination, *gateway, *source;
    size_t length;
    uint8_t prefix;
    bool on_link;
    uint32_t metric, table, mtu;
};

/// Adds or replaces a route by link `index`, or takes it away. 0 or -errno.
int firstlight_route_change(bool add_it, int index, const struct firstlight_route *route);

/// Sets what ethtool(8) calls autoneg (-1: as it is), speed in Mb/s (0: as it is) and duplex. 0 or -errno.
int firstlight_link_speed(const char *name, int autonegotiates, uint32_t speed, bool half_duplex);

/// A non-blocking socket that hears of links, of IPv6 addresses and of router advertisements' name
/// servers, or -errno.
int firstlight_network_events(void);

/// A non-blocking socket for addresses of 4 or 16 bytes that sends and receives by that link alone, or -errno.
int firstlight_link_socket(const char *link, int length, bool stream);

/// Connects such a stream. 0, -ETIMEDOUT or -errno.
int firstlight_link_connect(int fd, const char *link, const uint8_t *address, size_t length, uint16_t port,
                            int milliseconds);

/// Sends one packet by such a socket and waits for one; `any_port`: the answer may come from another.
/// The number of bytes, -ETIMEDOUT or -errno.
ssize_t firstlight_link_exchange(int fd, const char *link, const uint8_t *address, size_t length, uint16_t port,
                                 bool any_port, const uint8_t *bytes, size_t count, uint8_t *answer, size_t room,
                                 int milliseconds);

/// Such a socket at the port of a DHCPv6 client, or -errno.
int firstlight_dhcp6_socket(const char *link);

/// Sends one packet by such a socket. 0 or -errno.
int firstlight_link_send(int fd, const char *link, const uint8_t *address, size_t length, uint16_t port,
                         const uint8_t *bytes, size_t count);

// Connects to a port of a vsock's address. Returns a descriptor, or a negative errno.
int firstlight_connect_vsock(uint32_t address, uint32_t port);

/// Whose rights the calling thread has on files.
struct firstlight_file_identity {
    uid_t user;
    gid_t group;
};

/// Takes on a user's rights on files (setfsuid), root's being given up with its own, and returns those before.
struct firstlight_file_identity firstlight_set_file_identity(uid_t user, gid_t group);

/// Reads an entry of QEMU's firmware configuration from its start. 0, or -errno; -ENOSYS where it has no ports.
int firstlight_fw_cfg_read(uint16_t key, void *bytes, size_t count);

/// What is asked of VMware's hypervisor, and its answer.
struct firstlight_backdoor_registers {
    uint32_t eax, ebx, ecx, edx, esi, edi;
};

/// Asks the hypervisor; the lower half of `edx` is filled in. 0, or -ENODEV where it is not VMware's.
int firstlight_backdoor(struct firstlight_backdoor_registers *registers);

/// How the previous agent ended: by a signal, or else with an exit status that nobody asked for.
struct firstlight_death {
    int signal, status;
    /// The kernel ended it for want of memory.
    bool out_of_memory;
};

/// Whether PID 1 of this initramfs, or the watch of the name `ignition`, stands above this process.
bool firstlight_is_supervised(void);

/// Whether an agent before this one died, and how.
bool firstlight_previous_death(struct firstlight_death *death);

/// Tells PID 1 that its death has been reported and the boot goes on: another death will be a first one again.
void firstlight_death_told(void);

/// Asks PID 1 to make a real root the root once this process has ended with status 0. `request`: its path,
/// its init, and the init's arguments, each ended by a NUL. `medium`: the device that the root runs from, which is
/// watched from then on, or an empty text. 0, or -E2BIG, or -ESRCH where PID 1 is not ours.
int firstlight_request_hand_over(const char *request, size_t length, const char *medium);

/// Leaves a process behind that tells when `device` can no longer be read, where another program than this one's PID 1
/// is about to make `root` the root. `program` is a busybox that needs no library. 0 or -errno.
int firstlight_leave_medium_watch(const char *program, const char *root, const char *device);

/// Ends a thread by pthread_exit below a C frame and `frame`, which is to call `next`. 0 where the thread's
/// stack was unwound; it aborts where the binary has lost its unwind tables.
int firstlight_end_thread_through(void (*frame)(void (*next)(void)));
