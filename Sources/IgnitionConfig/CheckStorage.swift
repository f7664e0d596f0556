// Rules for disks, RAID, LUKS and filesystems.

import Encoding

extension Checker {
    mutating func check(_ storage: IgnitionConfig.Storage) {
        let origin = storage.origin
        checkDuplicates(storage.disks, in: origin, "disks", key: "device") { $0.device }
        checkDuplicates(storage.raid, in: origin, "raid", key: "name") { $0.name }
        checkDuplicates(storage.luks, in: origin, "luks", key: "name") { $0.name }
        checkDuplicates(storage.filesystems, in: origin, "filesystems", key: "device") { $0.device }
        for disk in storage.disks { check(disk) }
        for array in storage.raid { check(array) }
        for volume in storage.luks { check(volume) }
        let disks = Dictionary(storage.disks.map { (ByteKey($0.device), $0) }, uniquingKeysWith: { first, _ in first })
        for filesystem in storage.filesystems { check(filesystem, disk: disks[ByteKey(filesystem.device)]) }
    }

    // MARK: Disks

    private mutating func check(_ disk: IgnitionConfig.Disk) {
        checkPath(disk.device, disk.origin, "device")
        checkDuplicates(disk.partitions, in: disk.origin, "partitions", key: "number") { partition in
            (partition.number ?? 0) == 0 ? nil : partition.number.map(String.init)
        }
        checkDuplicates(disk.partitions, in: disk.origin, "partitions", key: "label") { $0.label }
        if disk.partitions.count(where: { $0.label == "" }) > 1 {
            error(disk.origin, "partitions", "more than one partition with an empty label")
        }
        for partition in disk.partitions { check(partition) }
        checkOverlaps(disk)
    }

    private mutating func check(_ partition: IgnitionConfig.Partition) {
        let origin = partition.origin
        if (partition.number ?? 0) == 0, partition.label == nil {
            error(origin, "", "a partition takes a number or a label")
        }
        if let number = partition.number, number < 0 {
            error(origin, "number", "\(number) is not a partition number; they begin at 1, and 0 is the next free one")
        }
        for (field, size) in [("startMiB", partition.startMiB), ("sizeMiB", partition.sizeMiB)] {
            // 2^43 MiB is 2^63 bytes.
            if let size, !(0..<(1 << 43)).contains(size) { error(origin, field, "\(size) MiB fits on no disk") }
        }
        if let label = partition.label {
            if label.utf8.count > 36 { error(origin, "label", "\(label.utf8.count) bytes; a label takes 36") }
            if label.utf8.contains(UInt8(ascii: ":")) { error(origin, "label", "a colon is not allowed in a label") }
        }
        for (field, guid) in [("guid", partition.guid), ("typeGuid", partition.typeGuid)] {
            if let guid, !guid.isEmpty, !isGUID(guid) {
                error(
                    origin, field,
                    "\"\(shown(guid))\" is not a GUID; it looks like 0fc63daf-8483-4772-8e79-3d69d8477de4")
            }
        }
        if partition.shouldExist == false {
            let given = [
                ("label", partition.label != nil), ("startMiB", partition.startMiB != nil),
                ("sizeMiB", partition.sizeMiB != nil), ("guid", !(partition.guid ?? "").isEmpty),
                ("typeGuid", !(partition.typeGuid ?? "").isEmpty),
            ].filter(\.1).map(\.0)
            if let first = given.first {
                error(origin, first, "a partition that should not exist is named by its number alone")
            }
        }
    }

    /// Reports partitions that overlap, as far as both give their start and their size.
    private mutating func checkOverlaps(_ disk: IgnitionConfig.Disk) {
        let placed: [(index: Int, start: Int, end: Int)] = disk.partitions.enumerated().compactMap { index, partition in
            guard let start = partition.startMiB, let size = partition.sizeMiB, start > 0, size >= 0,
                start < 1 << 43, size < 1 << 43
            else { return nil }
            return (index, start, start + max(size, 1))
        }
        let sorted = placed.sorted { ($0.start, $0.index) < ($1.start, $1.index) }
        guard var widest = sorted.first else { return }
        for next in sorted.dropFirst() {
            if next.start < widest.end {
                let (late, early) = (max(next.index, widest.index), min(next.index, widest.index))
                error(disk.origin, "partitions[\(late)]", "overlaps partitions[\(early)]")
            }
            if next.end > widest.end { widest = next }
        }
    }

    private func isGUID(_ text: String) -> Bool {
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        return groups.map(\.utf8.count) == [8, 4, 4, 4, 12]
            && groups.allSatisfy { $0.utf8.allSatisfy { hexadecimalValue($0) != nil } }
    }

    // MARK: RAID and LUKS

    private mutating func check(_ array: IgnitionConfig.Raid) {
        let origin = array.origin
        _ = require(array.name, origin, "name")
        let levels = [
            "linear", "raid0", "0", "stripe", "raid1", "1", "mirror", "raid4", "4", "raid5", "5", "raid6", "6",
            "raid10", "10",
        ]
        if require(array.level, origin, "level"), let level = array.level, !levels.contains(level) {
            error(origin, "level", "\"\(shown(level))\" is unknown; \(levels.joined(separator: ", ")) are known")
        }
        let spares = array.spares ?? 0
        if spares != 0, levels.prefix(4).contains(array.level ?? "") {
            error(origin, "spares", "level \(array.level ?? "") has no spares")
        } else if spares < 0 {
            error(origin, "spares", "\(spares) is not a number of devices")
        } else if spares > 0, spares >= array.devices.count, !array.devices.isEmpty {
            let devices = array.devices.count == 1 ? "1 device" : "\(array.devices.count) devices"
            // A parent config that is merged with this one may name more devices.
            warn(
                origin, "spares", kind: .onlySpares, "\(spares) of \(devices) as spares leaves none for the array")
        }
        if array.devices.isEmpty { error(origin, "devices", "missing") }
        checkDuplicates(array.devices, in: origin, "devices") { $0 }
        for (index, device) in array.devices.enumerated() { checkPath(device, origin, "devices[\(index)]") }
    }

    private mutating func check(_ volume: IgnitionConfig.Luks) {
        let origin = volume.origin
        if require(volume.name, origin, "name"), volume.name.utf8.contains(UInt8(ascii: "/")) {
            error(origin, "name", "a slash is not allowed in the name of a volume")
        }
        if let label = volume.label, label.utf8.count > 47 {
            error(origin, "label", "\(label.utf8.count) bytes; a LUKS label takes 47")
        }
        checkPath(volume.device ?? "", origin, "device")
        check(volume.keyFile, origin, "keyFile.")
        checkDuplicates(volume.openOptions, in: origin, "openOptions") { $0 }
        check(volume.clevis)
        if volume.cex.enabled == true {
            if volume.clevis.isUsed { error(origin, "cex.enabled", "CEX and Clevis exclude each other") }
            if !volume.keyFile.isEmpty {
                error(origin, "cex.enabled", "CEX and a key file exclude each other")
            }
        }
    }

    private mutating func check(_ clevis: IgnitionConfig.Clevis) {
        let origin = clevis.origin
        let custom = clevis.custom
        let hasOthers = !clevis.tang.isEmpty || clevis.tpm2 == true || (clevis.threshold ?? 0) != 0
        let isCustom = version < .v33 ? origin.has("custom") : !(custom.pin ?? "").isEmpty
        if isCustom, hasOthers { error(origin, "custom", "excludes tang, tpm2 and threshold") }
        // In 3.2.0 needsNetwork alone asks for nothing.
        let needsNetwork = custom.needsNetwork == true && version >= .v33
        if !(custom.pin ?? "").isEmpty || !(custom.config ?? "").isEmpty || needsNetwork {
            _ = require(custom.pin, custom.origin, "pin")
            _ = require(custom.config, custom.origin, "config")
            if version < .v36, let pin = custom.pin, !pin.isEmpty, !["tpm2", "tang", "sss"].contains(pin) {
                error(custom.origin, "pin", "\"\(shown(pin))\" is unknown; tpm2, tang and sss are known")
            }
        }
        checkDuplicates(clevis.tang, in: origin, "tang", key: "url") { $0.url }
        for tang in clevis.tang {
            do throws(SourceURL.Fault) {
                let url = try SourceURL(parsing: tang.url)
                if url.scheme != "http", url.scheme != "https" {
                    error(tang.origin, "url", "a Tang server has an http or https URL")
                }
            } catch {
                self.error(tang.origin, "url", "\(error)")
            }
            _ = require(tang.thumbprint, tang.origin, "thumbprint")
            if let advertisement = tang.advertisement, !advertisement.isEmpty, !isJSON(advertisement) {
                error(tang.origin, "advertisement", "not JSON")
            }
        }
    }

    // MARK: Filesystems

    private mutating func check(_ filesystem: IgnitionConfig.Filesystem, disk: IgnitionConfig.Disk?) {
        let origin = filesystem.origin
        let isVirtiofs = filesystem.format == "virtiofs" && version >= .v37
        if isVirtiofs { checkTag(filesystem) } else { checkPath(filesystem.device, origin, "device") }
        if let path = filesystem.path, !path.isEmpty { checkPath(path, origin, "path") }
        let limits = ["ext4": 16, "btrfs": 256, "xfs": 12, "swap": 15, "vfat": 11]
        let formats =
            ["ext4", "btrfs", "xfs", "swap", "vfat"] + (version >= .v33 ? ["none"] : [])
            + (version >= .v37 ? ["virtiofs"] : [])
        let format = filesystem.format ?? ""
        if format.isEmpty {
            let isUsed =
                !(filesystem.path ?? "").isEmpty || !(filesystem.label ?? "").isEmpty
                || !(filesystem.uuid ?? "").isEmpty || filesystem.wipeFilesystem == true
                || !filesystem.options.isEmpty || !filesystem.mountOptions.isEmpty
            if isUsed { error(origin, "format", "missing; \(formats.joined(separator: ", ")) are known") }
        } else if !formats.contains(format) {
            error(origin, "format", "\"\(shown(format))\" is unknown; \(formats.joined(separator: ", ")) are known")
        }
        if isVirtiofs, !(filesystem.label ?? "").isEmpty { error(origin, "label", "virtiofs has none") }
        if let label = filesystem.label, let limit = limits[format], label.utf8.count > limit {
            error(origin, "label", "\(label.utf8.count) bytes; a label of \(format) takes \(limit)")
        }
        guard !filesystem.device.isEmpty, let disk else { return }
        if !disk.partitions.isEmpty {
            warn(origin, "device", "this disk gets partitions, which the filesystem would overwrite")
        } else if disk.wipeTable == true, filesystem.wipeFilesystem != true {
            warn(origin, "device", "wipeTable on this disk may destroy the filesystem that is to be kept")
        }
    }

    /// Checks a virtiofs entry: its device is the tag of a host directory, and nothing is formatted.
    private mutating func checkTag(_ filesystem: IgnitionConfig.Filesystem) {
        let origin = filesystem.origin
        if require(filesystem.device, origin, "device"), filesystem.device.utf8.count > 36 {
            error(origin, "device", "\(filesystem.device.utf8.count) bytes; a virtiofs tag takes 36")
        }
        let message = "virtiofs is mounted only, never made"
        if !(filesystem.uuid ?? "").isEmpty { error(origin, "uuid", message) }
        if filesystem.wipeFilesystem == true { error(origin, "wipeFilesystem", message) }
        if !filesystem.options.isEmpty { error(origin, "options", message) }
    }
}

extension IgnitionConfig.Clevis {
    /// Whether any way of unlocking is asked for.
    public var isUsed: Bool {
        !(custom.pin ?? "").isEmpty || !tang.isEmpty || tpm2 == true || (threshold ?? 0) != 0
    }
}
