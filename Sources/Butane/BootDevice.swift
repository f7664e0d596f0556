// boot_device and grub: what fcos makes of the disk that it is installed on, and of its boot loader.

extension Translation {
    /// Mirrors or encrypts the disk that the system boots from.
    mutating func addBootDevice(_ device: ConfigNode) {
        let mirror = device["mirror"]?["devices"]
        let devices = mirror?.elements ?? []
        let luks = device["luks"]
        let isEncrypted = luks.map { SourceRules.hasMethod($0) } ?? false
        if devices.isEmpty, !isEncrypted { return }
        let source = device.source
        let layout = BootLayout(device["layout"]?.string)

        var storage = ConfigNode.made([], from: source)
        var filesystems: [ConfigNode] = []
        if let mirror, !devices.isEmpty {
            var disks: [ConfigNode] = []
            for (index, entry) in devices.enumerated() {
                disks.append(layout.disk(entry.string ?? "", number: index + 1, from: entry.source))
                if layout.hasESP {
                    filesystems.append(
                        .filesystem(
                            "/dev/disk/by-partlabel/esp-\(index + 1)", "vfat", label: "esp-\(index + 1)",
                            from: entry.source))
                }
            }
            storage["disks"] = .madeList(disks, from: mirror.source)
            let place = source.appending("mirror")
            storage["raid"] = .madeList(
                ["boot", "root"].map { name in
                    let members = devices.indices.map { "/dev/disk/by-partlabel/\(name)-\($0 + 1)" }
                    return .made(
                        [
                            ("devices", .texts(members, from: place)), ("level", .string("raid1")),
                            ("name", .string("md-\(name)")),
                            // The superblock at the end: the BIOS's GRUB reads the partition as it is.
                            ("options", name == "boot" ? .texts(["--metadata=1.0"], from: place) : nil),
                        ], from: place)
                }, from: place)
            filesystems.append(.filesystem("/dev/md/md-boot", "ext4", label: "boot", from: place))
        }
        if let luks, isEncrypted {
            storage["luks"] = .madeList([volume(luks, layout: layout, isMirrored: !devices.isEmpty)], from: luks.source)
        }
        let root = isEncrypted ? "/dev/mapper/root" : "/dev/md/md-root"
        filesystems.append(.filesystem(root, "xfs", label: "root", from: source))
        storage["filesystems"] = .madeList(filesystems, from: source)
        var parent = ConfigNode.made([], from: source)
        parent["storage"] = storage
        merge(below: parent)
    }

    private func volume(_ luks: ConfigNode, layout: BootLayout, isMirrored: Bool) -> ConfigNode {
        let source = luks.source
        let named = luks["device"]?.string ?? ""
        let device =
            switch layout {
            case .eckd: named + "2"
            case .zfcp: named + "4"
            default: isMirrored ? "/dev/md/md-root" : "/dev/disk/by-partlabel/root"
            }
        var volume = ConfigNode.made(
            [
                ("device", .string(device)), ("label", .string("luks-root")), ("name", .string("root")),
                ("wipeVolume", .bool(true)),
            ], from: source)
        volume["discard"] = luks["discard"]
        if luks.descendant("cex", "enabled")?.bool == true {
            var cex = ConfigNode.made([], from: source)
            cex["enabled"] = luks.descendant("cex", "enabled")
            volume["cex"] = cex
        } else {
            var clevis = ConfigNode.made([], from: source)
            for field in ["tang", "threshold", "tpm2"] { clevis[field] = luks[field] }
            volume["clevis"] = clevis
        }
        return volume
    }

    // MARK: Warnings

    /// Labels and sizes that the system on the boot disk does not expect.
    mutating func checkDisks() {
        guard let fcos = dialect.fcos else { return }
        let numbers = ["BIOS-BOOT": 1, "PowerPC-PReP-boot": 1, "EFI-SYSTEM": 2, "boot": 3, "root": 4]
        for disk in result.list("storage", "disks") {
            let partitions = disk.list("partitions")
            for (index, partition) in partitions.enumerated() {
                guard let label = partition["label"]?.string else { continue }
                let place = partition["label"]?.source ?? partition.source
                if label == "root", fcos >= 3 {
                    let size = partition["sizeMiB"]?.integer ?? 0
                    if size != 0, size < 8192 {
                        warn(partition["sizeMiB"]?.source ?? place, Message.rootTooSmall)
                    } else if size == 0,
                        partitions[(index + 1)...].contains(where: { ($0["startMiB"]?.integer ?? 0) == 0 })
                    {
                        warn(place, Message.rootConstrained)
                    }
                }
                if disk["wipeTable"]?.bool != true, let number = numbers[label],
                    (partition["number"]?.integer ?? 0) != number
                {
                    warn(place, Message.partitionNumber)
                }
            }
        }
    }

    // MARK: grub

    /// Users of the boot loader, with their passwords.
    mutating func addGrub(_ grub: ConfigNode) {
        guard let users = grub["users"], !users.elements.isEmpty else { return }
        let names = users.elements.map { $0["name"]?.string ?? "" }
        let lines = users.elements.map {
            "password_pbkdf2 \($0["name"]?.string ?? "") \($0["password_hash"]?.string ?? "")\n"
        }
        let text = "# Generated by Butane\n\nset superusers=\"\(names.joined(separator: " "))\"\n" + lines.joined()
        let source = users.source
        var contents = ConfigNode.made([], from: source)
        set(Array(text.utf8), in: &contents, from: source, compressionFrom: source)
        let file = ConfigNode.made(
            [("append", .list([contents])), ("path", .string("/boot/grub2/user.cfg"))], from: source)
        let filesystem = ConfigNode.made(
            [
                ("device", .string("/dev/disk/by-label/boot")), ("format", .string("ext4")),
                ("path", .string("/boot")),
            ], from: source)
        var storage = ConfigNode.made([], from: source)
        storage["filesystems"] = .madeList([filesystem], from: source)
        storage["files"] = .madeList([file], from: source)
        var parent = ConfigNode.made([], from: source)
        parent["storage"] = storage
        merge(below: parent)
    }
}

extension ConfigNode {
    fileprivate static func filesystem(
        _ device: String, _ format: String, label: String, from source: ConfigPath
    ) -> ConfigNode {
        .made(
            [
                ("device", .string(device)), ("format", .string(format)), ("label", .string(label)),
                ("wipeFilesystem", .bool(true)),
            ], from: source)
    }
}

/// Which partitions a boot disk has in front of boot and root.
private enum BootLayout {
    case bios, efi, prep, eckd, zfcp, virt

    init(_ name: String?) {
        self =
            switch name {
            case "aarch64": .efi
            case "ppc64le": .prep
            case "s390x-eckd": .eckd
            case "s390x-zfcp": .zfcp
            case "s390x-virt": .virt
            default: .bios
            }
    }

    var hasESP: Bool { self == .bios || self == .efi }

    /// Sizes and types are those of the system's image: the new partitions must hold what it has in its own.
    func disk(_ device: String, number: Int, from source: ConfigPath) -> ConfigNode {
        let reserved = ("reserved", 1, "8DA63339-0007-60C0-C436-083AC8230908")
        let first =
            switch self {
            case .bios: ("bios", 1, "21686148-6449-6E6F-744E-656564454649")
            case .prep: ("prep", 4, "9E1A2D38-C612-4316-AA26-8B49521E5A8B")
            default: reserved
            }
        let second = hasESP ? ("esp", 127, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B") : reserved
        let partitions: [ConfigNode] = [first, second, ("boot", 384, ""), ("root", 0, "")].map { name, size, type in
            .made(
                [
                    ("label", .string("\(name)-\(number)")), ("sizeMiB", size == 0 ? nil : .integer(size)),
                    ("typeGuid", type.isEmpty ? nil : .string(type)),
                ], from: source)
        }
        return .made(
            [("device", .string(device)), ("partitions", .list(partitions)), ("wipeTable", .bool(true))], from: source)
    }
}
