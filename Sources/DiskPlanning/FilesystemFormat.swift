// The filesystems that a config can ask for, and the programs that create them.

import IgnitionConfig

/// The values of `storage.filesystems[].format`.
public enum FilesystemFormat: String, Equatable, Sendable, CaseIterable {
    case ext4, xfs, btrfs, vfat, swap
    /// No filesystem; with `wipeFilesystem`, what is there is erased.
    case none

    /// The program that creates the filesystem, and its arguments without the device, which comes last.
    ///
    /// The config's own options come first; where a program lets the last option win, ours win.
    ///
    /// - Parameters:
    ///   - options: The config's options.
    ///   - label: The label; empty counts as none.
    ///   - uuid: The UUID; empty counts as none.
    /// - Returns: `nil` for ``none``.
    public func maker(options: [String], label: String?, uuid: String?) -> (program: String, arguments: [String])? {
        let label = label.flatMap { $0.isEmpty ? nil : $0 }
        let uuid = uuid.flatMap { $0.isEmpty ? nil : $0.lowercased() }
        var arguments = options
        func add(_ flag: String, _ value: String?) {
            if let value { arguments += [flag, value] }
        }
        switch self {
        case .none: return nil
        case .ext4:
            arguments.append("-F")
            add("-U", uuid)
            add("-L", label)
            return ("mkfs.ext4", arguments)
        case .xfs:
            // The device is discarded by us, before the first write.
            arguments += ["-f", "-K"]
            add("-m", uuid.map { "uuid=\($0)" })
            add("-L", label)
            return ("mkfs.xfs", arguments)
        case .btrfs:
            arguments.append("--force")
            add("-U", uuid)
            add("-L", label)
            return ("mkfs.btrfs", arguments)
        case .vfat:
            // There is no flag to force it, since it never asks.
            add("-i", uuid.map { $0.filter { $0 != "-" } })
            add("-n", label)
            return ("mkfs.fat", arguments)
        case .swap:
            arguments.append("-f")
            add("-U", uuid)
            add("-L", label)
            return ("mkswap", arguments)
        }
    }

    /// The mount option that leaves the journal as it is; an option without a value is a flag.
    public var optionToLeaveJournal: (name: String, value: String?)? {
        switch self {
        case .ext4: ("noload", nil)
        case .xfs: ("norecovery", nil)
        case .btrfs: ("rescue", "nologreplay")
        case .vfat, .swap, .none: nil
        }
    }

    /// Whether it can be mounted.
    public var isMountable: Bool { self != .swap && self != .none }

    /// Compares UUIDs without regard to case; that of vfat has a dash in the middle in libblkid's form.
    func sameUUID(_ one: String, _ other: String) -> Bool { canonical(one) == canonical(other) }

    /// A label as libblkid reads it: without blanks at its end, and none at all where vfat says that it has none.
    func readBack(_ label: String) -> String {
        let blanks = label.unicodeScalars.reversed().prefix { " \t\n\u{b}\u{c}\r".unicodeScalars.contains($0) }.count
        let text = String(String.UnicodeScalarView(label.unicodeScalars.dropLast(blanks)))
        return self == .vfat && text == "NO NAME" ? "" : text
    }

    private func canonical(_ uuid: String) -> String {
        var characters = Array(uuid.lowercased())
        if self == .vfat, characters.count > 4, characters[4] == "-" { characters.remove(at: 4) }
        return String(characters)
    }
}

extension IgnitionConfig.Filesystem {
    /// What the config wants, as a conflict tells it.
    var wantedContent: WantedContent { .filesystem(wantedName, givesUUID: !(uuid ?? "").isEmpty) }

    /// What the config wants, as people write it: `xfs "var"`, `no filesystem`.
    private var wantedName: String {
        guard let format, !format.isEmpty, format != "none" else { return "no filesystem" }
        var text = format
        if let label { text += label.isEmpty ? " without a label" : " \"\(label)\"" }
        if let uuid, !uuid.isEmpty { text += " with UUID \(uuid)" }
        return text
    }
}
