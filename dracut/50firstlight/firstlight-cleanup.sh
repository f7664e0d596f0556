#!/bin/sh
# What the boot leaves for the real root: the files in /run, and the process that tells when the medium is gone.

# shellcheck disable=SC2154
if [ "$root" = firstlight ]; then
    # busybox's switch_root moves no mounts; util-linux's finds this one in its place.
    mount -o rbind /run "$NEWROOT/run"
    /usr/bin/firstlight watch-medium --root "$NEWROOT"
fi
