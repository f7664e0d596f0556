// QEMU's firmware configuration, read at its own ports.
//
// The kernel's files give 4096 bytes at a time and skip what came before byte by byte: what they take grows with
// the square of the length, and a config of some MiB takes hours.

#include "CLinux.h"

#include <errno.h>

#if defined(__x86_64__)

#include <sys/io.h>

// docs/specs/fw_cfg.rst in QEMU: the selector, 16 bits wide, and the data, 8 bits wide, behind it.
enum { selector_port = 0x510, data_port = 0x511 };

int firstlight_fw_cfg_read(uint16_t key, void *bytes, size_t count) {
    if (ioperm(selector_port, 2, 1) != 0) return -errno;
    outw(key, selector_port);
    insb(data_port, bytes, count);
    ioperm(selector_port, 2, 0);
    return 0;
}

#else

int firstlight_fw_cfg_read(uint16_t key, void *bytes, size_t count) {
    (void)key, (void)bytes, (void)count;
    return -ENOSYS;
}

#endif
