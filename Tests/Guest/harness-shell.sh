#!/bin/sh
# The plain guest: a shell as PID 1's program, every tool of the machine, one disk.
# disks: 1x512M virtio
# limit: 30
set -eux
test -b "$DISK0"
mkfs.ext4 -q -L plain "$DISK0"
mount "$DISK0" /mnt
touch /mnt/file
test "$(blkid -o value -s LABEL "$DISK0")" = plain
modprobe dm-crypt
