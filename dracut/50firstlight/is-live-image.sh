#!/bin/sh
# Whether the root lives in RAM: asked by generators and units that know Fedora CoreOS's images.
[ -e /run/ostree-live ] || [ -e /etc/coreos-live-initramfs ]
