#!/bin/sh
# What the boot leaves for the real root lies in /run. busybox's switch_root moves no mounts; util-linux's finds this one
# in its place.

# shellcheck disable=SC2154
[ "$root" = firstlight ] && mount -o rbind /run "$NEWROOT/run"
