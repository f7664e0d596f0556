"""Image files as block devices."""

import errno
import fcntl
import os
import struct
import time
from pathlib import Path

LOOP_CONFIGURE, LOOP_CTL_GET_FREE, LOOP_CLR_FD = 0x4C0A, 0x4C82, 0x4C01
BLKROSET = 0x125D
LO_FLAGS_AUTOCLEAR, LO_FLAGS_PARTSCAN, LO_FLAGS_DIRECT_IO = 4, 8, 16


class Loop:
    """An image as a block device with partitions; losetup(8) without its process."""

    def __init__(self, file: Path, sector: int, direct: bool = False) -> None:
        backing = os.open(file, os.O_RDWR)
        flags = LO_FLAGS_PARTSCAN | LO_FLAGS_AUTOCLEAR  # none is left behind by a test that was killed
        config = bytearray(304)  # struct loop_config: fd, block_size, struct loop_info64
        struct.pack_into("<II", config, 0, backing, sector)
        struct.pack_into("<I", config, 8 + 52, flags | (LO_FLAGS_DIRECT_IO if direct else 0))
        try:
            # A free one may be taken, or still looked at, by the time it is asked for: losetup(8) tries again, too.
            for _ in range(100):
                self.path = f"/dev/loop{self.free()}"
                self.descriptor = os.open(self.path, os.O_RDWR)
                try:
                    fcntl.ioctl(self.descriptor, LOOP_CONFIGURE, bytes(config))
                    return
                except OSError as reason:
                    os.close(self.descriptor)
                    if reason.errno != errno.EBUSY:
                        raise
                time.sleep(0.05)
            raise TimeoutError(f"no loop device for {file}: all are busy")
        finally:
            os.close(backing)

    def __str__(self) -> str:
        return self.path

    @staticmethod
    def free() -> int:
        control = os.open("/dev/loop-control", os.O_RDWR)
        try:
            return fcntl.ioctl(control, LOOP_CTL_GET_FREE)
        finally:
            os.close(control)

    def set_read_only(self, read_only: bool = True) -> None:
        """To be taken back: whoever gets the device next would find it so."""
        fcntl.ioctl(self.descriptor, BLKROSET, struct.pack("<i", read_only))

    def flush(self) -> None:
        os.fsync(self.descriptor)

    def detach(self) -> None:
        self.flush()
        fcntl.ioctl(self.descriptor, LOOP_CLR_FD)
        os.close(self.descriptor)
