#!/bin/bash
# Firstlight in a dracut initramfs: the agent as a systemd generator and as the command of one unit
# per stage. Used on request: dracut --add firstlight. Written for dracut 059.

# called by dracut, for every image: whatever is said here must concern one that is to have this module
check() {
    local wanted=" $dracutmodules $add_dracutmodules $force_add_dracutmodules "
    [[ $wanted == *" firstlight "* ]] || return 255
    # The agent is installed beside this file or on the PATH; without it there is no module.
    if [[ ! -x $moddir/firstlight ]] && ! command -v firstlight > /dev/null; then
        derror "firstlight: there is no agent; put out/firstlight into $moddir"
        return 1
    fi
    # Ignition's own module would carry out the same config a second time.
    if dracut_module_included ignition; then
        derror "firstlight: the module ignition cannot be in the same image; add --omit ignition"
        return 1
    fi
    if [[ $hostonly ]]; then
        dwarn "firstlight: the image gets drivers for this machine alone; --no-hostonly adds those for others"
    fi
    return 255
}

# called by dracut
depends() {
    echo "systemd systemd-initrd dracut-systemd network kernel-modules qemu"
}

# called by dracut
installkernel() {
    hostonly='' instmods loop squashfs erofs overlay isofs sr_mod qemu_fw_cfg \
        ext4 xfs btrfs vfat nls_cp437 nls_iso8859-1 nls_ascii nls_utf8 \
        8021q bonding bridge \
        md_mod linear raid0 raid1 raid10 raid456 dm_mod dm_crypt xts cbc essiv sha256 sha512 algif_skcipher =arch/x86/crypto
}

# called by dracut
install() {
    local agent stage
    agent=$moddir/firstlight
    [[ -x $agent ]] || agent=$(command -v firstlight)
    inst_simple "$agent" /usr/bin/firstlight
    ln_r /usr/bin/firstlight "$systemdutildir/system-generators/firstlight-generator"

    for stage in fetch kargs rootfs plan root disks mount files finish; do
        inst_simple "$moddir/firstlight-$stage.service" "$systemdsystemunitdir/firstlight-$stage.service"
    done

    # What the disks stage calls: a filesystem that a config may ask for must be makeable.
    inst_multiple -o mkfs.btrfs mkfs.ext4 mkfs.fat mkfs.xfs mkswap mdadm wipefs udevadm
    inst_simple /etc/mke2fs.conf
    # How a distribution changes its boot loader's entries, where another module brings no such program.
    inst_multiple -o ignition-kargs-helper

    # For HTTPS: the host's own certificate authorities.
    inst_simple /etc/ssl/certs/ca-certificates.crt

    # How the image is to be verified, and a config, where the builder of this image left them.
    local stamp
    for stamp in etc/coreos-live-initramfs etc/coreos-live-want-rootfs etc/firstlight-want-image config.ign; do
        [[ -n $FIRSTLIGHT_STAMPS && -e $FIRSTLIGHT_STAMPS/$stamp ]] \
            && inst_simple "$FIRSTLIGHT_STAMPS/$stamp" "/$stamp"
    done

    # The stages want the network that dracut's own network module brings up.
    dracut_need_initqueue
}
