// Which kernel modules an image has: the sets that `--modules` names.

/// Lists of terms for ``ModuleSelection``; modules that a kernel does not have are left out.
enum ModuleSets {
    /// Modules of every image: filesystems, the layers below them, and what DHCP needs.
    static let base = [
        // Root images, the overlay, installation media.
        "loop", "squashfs", "erofs", "overlay", "isofs", "udf",
        // Filesystems and layers for configs. Kernels mount vfat with code page 437 and these character sets.
        "ext4", "xfs", "btrfs", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8",
        "dm_mod", "dm_crypt", "md_mod", "linear", "raid0", "raid1", "raid10", "raid456",
        // Ciphers and checksums: the kernel requests them by algorithm, which no dependency shows.
        "xts", "cbc", "ecb", "essiv", "sha256", "sha512", "aesni_intel", "aes_arm64", "algif_skcipher", "algif_hash",
        "crypto-crc32c", "crct10dif", "xxhash64", "blake2b_256",
        // udhcpc receives through it.
        "af_packet",
        // What a command line or a keyfile makes of cards.
        "8021q", "bonding", "bridge",
    ]

    /// Modules for virtual machines with virtio devices, and for the ATA disks and drives that QEMU gives them.
    static let virtio = [
        "virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "virtio_net", "virtio_console", "virtio_rng",
        "vmw_vsock_virtio_transport", "qemu_fw_cfg", "sd_mod", "sr_mod", "ahci", "ata_piix",
    ]

    /// The storage controllers, network cards and USB of a distribution's generic initramfs.
    ///
    /// - SeeAlso: dracut 059, `modules.d/90kernel-modules` and `90kernel-network-modules`.
    static let generic = storage + network + inputs + virtualMachines + stacks

    private static let storage = [
        "@drivers/ata", "@drivers/scsi", "@drivers/message/fusion", "@drivers/nvme/host", "@drivers/block",
        "@drivers/cdrom", "@drivers/mmc", "@drivers/memstick", "@drivers/ufs", "@drivers/nvdimm",
        "@drivers/acpi/nfit", "@drivers/usb/storage", "@drivers/pcmcia", "@drivers/pinctrl", "firewire_ohci",
        "firewire_sbp2", "vmd", "rtsx_pci", "rtsx_usb", "rts5208",
        // Tapes, media changers, enclosures, a test driver: nothing boots from them.
        "-st", "-ch", "-ses", "-scsi_debug", "-mptctl", "-mptlan", "-sdio_uart",
        // Block devices that are made of other things.
        "-brd", "-drbd", "-nbd", "-null_blk", "-rbd", "-rnbd_client", "-rnbd_server", "-zram", "-aoe", "-ublk_drv",
        "-xen_blkback", "-floppy", "-pktcdvd",
        // Disks that are reached over a network for which there is no login here.
        "-@drivers/scsi/be2iscsi", "-@drivers/scsi/bnx2i", "-@drivers/scsi/cxgbi", "-@drivers/scsi/qedi",
        "-iscsi_tcp", "-libiscsi_tcp", "-iscsi_boot_sysfs", "-tcm_qla2xxx", "-nvme_rdma", "-nvme_tcp",
    ]

    private static let network = [
        "@drivers/net/ethernet", "@drivers/net/phy", "@drivers/net/mdio", "@drivers/net/pcs", "@drivers/net/usb",
        "@drivers/net/fjes", "thunderbolt_net",
        // Modems and telephones.
        "-hso", "-cdc_phonet", "-cdc_mbim", "-huawei_cdc_ncm", "-qmi_wwan", "-sierra_net", "-kalmia", "-lg_vl600",
        "-cx82310_eth",
    ]

    private static let inputs = [
        "@drivers/usb/core", "@drivers/usb/common", "@drivers/usb/host", "@drivers/usb/roles",
        "@drivers/usb/typec", "@drivers/hid", "@drivers/input/serio", "@drivers/tty/serial",
        // Lamps; displays on USB-C; host controllers inside another USB device or on a PC Card.
        "-ledtrig_usbport", "-typec_displayport", "-typec_nvidia",
        "-u132_hcd", "-sl811_hcd", "-sl811_cs",
        // Sensors and special keys of portable computers, music and game controllers: they depend on graphics and
        // sound.
        "-@drivers/hid/amd-sfh-hid", "-@drivers/hid/intel-ish-hid", "-@drivers/hid/surface-hid", "-hid_asus",
        "-hid_picolcd", "-hid_prodikeys", "-hid_nintendo", "-hid_playstation", "-hid_sony", "-hid_steam",
        "-hid_wiimote", "-hid_sensor_hub", "-hid_sensor_custom",
    ]

    private static let virtualMachines = [
        "@drivers/virtio", "virtio_net", "virtio_console", "virtio_rng", "qemu_fw_cfg", "-virtio_balloon",
        "-virtio_input", "-virtio_dma_buf", "vmw_vsock_virtio_transport",
        "hv_vmbus", "hv_utils", "hv_netvsc", "hv_storvsc", "pci_hyperv", "hyperv_keyboard", "hid_hyperv",
        "vmxnet3", "vmw_pvscsi", "vboxguest", "xen_blkfront", "xen_netfront", "xen_scsifront",
    ]

    private static let stacks = [
        "@drivers/md", "@crypto", "@arch/x86/crypto", "@arch/arm64/crypto",
        // They need a cluster's lock manager, or a cache that no config can describe; a test program.
        "-md_cluster", "-bcache", "-tcrypt",
    ]

    /// The modules that most boots load, stored side by side, so that few blocks have to be decompressed.
    static let common = virtio + ["af_packet", "overlay", "isofs"] + base
}
