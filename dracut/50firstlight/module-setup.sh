#!/bin/bash
# Firstlight in a dracut initramfs: the agent as a systemd generator and as the command of one unit per stage; without
# systemd, as the command of a mount hook. Used on request: dracut --add firstlight. Written for dracut 059 and
# dracut-ng 106. It takes the place of the modules ignition and coreos-live where these are in the image, too.

# called by dracut, for every image: whatever is said here must concern one that is to have this module
check() {
    local wanted=" $dracutmodules $add_dracutmodules $force_add_dracutmodules "
    [[ $wanted == *" firstlight "* ]] || return 255
    # The agent is installed beside this file or on the PATH; without it there is no module.
    if [[ ! -x $moddir/firstlight ]] && ! command -v firstlight > /dev/null; then
        derror "firstlight: there is no agent; put out/firstlight into $moddir"
        return 1
    fi
    if [[ $hostonly ]]; then
        dwarn "firstlight: the image gets drivers for this machine alone; --no-hostonly adds those for others"
    fi
    return 255
}

# called by dracut
depends() {
    local handler
    if [[ " $omit_dracutmodules " == *" systemd "* ]]; then
        # What dracut would choose on a machine with systemd needs systemd.
        for handler in network-wicked connman network-manager network-legacy; do
            dracut_module_included "$handler" && break
        done
        echo "${handler} network kernel-modules qemu"
    else
        echo "systemd systemd-initrd dracut-systemd network kernel-modules qemu"
    fi
}

# called by dracut
installkernel() {
    hostonly='' instmods loop squashfs erofs overlay isofs udf sr_mod \
        qemu_fw_cfg hv_utils vboxguest vmw_vsock_virtio_transport \
        ext4 xfs btrfs vfat nls_cp437 nls_iso8859-1 nls_ascii nls_utf8 \
        8021q bonding bridge \
        md_mod linear raid0 raid1 raid10 raid456 dm_mod dm_crypt xts cbc essiv sha256 sha512 algif_skcipher =arch/x86/crypto
}

# Modules that would do the same work a second time. What they have put into the image by now is taken out again by its
# name, units, generators and hooks alone: their programs and rules stay, and so do modules that depend on them.
take_the_place_of() {
    local module file
    for module; do
        dracut_module_included "$module" || continue
        dinfo "firstlight: in the place of the module $module"
        for file in "$dracutbasedir/modules.d"/[0-9][0-9]"$module"/*; do
            find "$initdir$systemdsystemunitdir" "$initdir$systemdutildir/system-generators" \
                "$initdir/lib/dracut/hooks/" \( -name "${file##*/}" -o -name "[0-9][0-9]-${file##*/}" \) \
                -delete 2> /dev/null
        done
        # 20 MB that nothing calls any more.
        [[ $module == ignition ]] && rm -f "$initdir/usr/bin/ignition"
    done
}

# What tells that a medium is gone may need nothing of it: a busybox without libraries.
install_busybox() {
    local busybox
    busybox=$(command -v busybox) && ! ldd "$busybox" &> /dev/null \
        && inst_simple "$busybox" /usr/lib/firstlight/busybox
}

install_units() {
    local stage name
    ln_r /usr/bin/firstlight "$systemdutildir/system-generators/firstlight-generator"
    for stage in fetch kargs rootfs plan root disks mount files finish; do
        inst_simple "$moddir/firstlight-$stage.service" "$systemdsystemunitdir/firstlight-$stage.service"
    done
    inst_simple "$moddir/firstlight-medium.service" "$systemdsystemunitdir/firstlight-medium.service"
    mkdir -p "$initdir$systemdsystemunitdir/initrd-switch-root.target.wants"
    ln_r "$systemdsystemunitdir/firstlight-medium.service" \
        "$systemdsystemunitdir/initrd-switch-root.target.wants/firstlight-medium.service"
    # The names by which units of others come before and after: those of Ignition and of Fedora CoreOS's live images.
    for name in complete subsequent diskful diskful-subsequent; do
        inst_simple "$moddir/ignition-$name.target" "$systemdsystemunitdir/ignition-$name.target"
    done
    for stage in fetch kargs disks mount files; do
        ln_r "$systemdsystemunitdir/firstlight-$stage.service" "$systemdsystemunitdir/ignition-$stage.service"
    done
    ln_r "$systemdsystemunitdir/firstlight-rootfs.service" "$systemdsystemunitdir/coreos-livepxe-rootfs.service"
    [[ -e $initdir/usr/bin/is-live-image ]] || inst_script "$moddir/is-live-image.sh" /usr/bin/is-live-image
}

install_hooks() {
    inst_hook mount 50 "$moddir/firstlight-mount.sh"
    inst_hook cleanup 90 "$moddir/firstlight-cleanup.sh"
}

# called by dracut
install() {
    local agent
    agent=$moddir/firstlight
    [[ -x $agent ]] || agent=$(command -v firstlight)
    inst_simple "$agent" /usr/bin/firstlight
    take_the_place_of ignition coreos-live
    install_busybox
    if dracut_module_included systemd; then install_units; else install_hooks; fi
    # Before those of the network, which read what this one asks for.
    inst_hook cmdline 20 "$moddir/firstlight-cmdline.sh"

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
