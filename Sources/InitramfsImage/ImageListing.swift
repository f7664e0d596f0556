// What is in an initramfs and how big each part of it is, as text.

import Reporting

/// The parts of an image in their order.
public struct ImageListing: Equatable, Sendable {
    public var name: String
    /// Bytes of the whole image.
    public var size: UInt64
    public var parts: [Part]

    /// Files that are stored together.
    public struct Part: Equatable, Sendable {
        /// `zstd`, `squashfs`; `nil` where nothing is compressed.
        public var compression: String?
        /// Bytes in the image.
        public var stored: UInt64
        public var files: [File]
        /// Whether the agent mounts it on /usr; the kernel unpacks the other parts.
        public var isMounted: Bool
    }

    public struct File: Equatable, Sendable {
        /// Absolute, as it is in the running initramfs.
        public var path: String
        public var size: UInt64
    }

    /// The kernel version that its modules are for.
    public var kernel: String? {
        let folder = "/usr/lib/modules/"
        let path = parts.flatMap(\.files).first { $0.path.hasPrefix(folder) }?.path
        return path?.dropFirst(folder.count).split(separator: "/").first.map(String.init)
    }

    /// A line per part and area, 80 columns at most.
    public var summary: String {
        var lines = ["\(name)  \(ByteCount(size))\(kernel.map { ", Linux \($0)" } ?? "")", ""]
        lines.append(row("", "files", "unpacked", "stored"))
        for part in parts {
            let total = part.files.map(\.size).reduce(0, +)
            let stored = "\(ByteCount(part.stored))"
            lines.append(
                row(
                    part.isMounted ? "mounted on /usr" : "unpacked by the kernel", "\(part.files.count)",
                    "\(ByteCount(total))", stored) + (part.compression.map { "  \($0)" } ?? ""))
            for area in Area.allCases {
                let files = part.files.filter { Area(of: $0.path) == area }
                guard !files.isEmpty else { continue }
                let bytes = files.map(\.size).reduce(0, +)
                lines.append(row("  \(area.rawValue)", "\(files.count)", "\(ByteCount(bytes))", ""))
            }
        }
        return lines.joined(separator: "\n")
    }

    /// A line per file: its size in bytes and its path.
    public var files: String {
        parts.flatMap(\.files).map { padded("\($0.size)", 10) + "  \($0.path)" }.joined(separator: "\n")
    }

    private func row(_ what: String, _ count: String, _ unpacked: String, _ stored: String) -> String {
        let text = what + String(repeating: " ", count: max(0, 36 - what.count))
        let line = text + padded(count, 6) + padded(unpacked, 12) + padded(stored, 12)
        return String(line.reversed().drop { $0 == " " }.reversed())
    }

    private func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}

/// What a file of the image is for.
enum Area: String, CaseIterable {
    case agent = "agent"
    case early = "modules to mount the rest with"
    case config = "configuration and stamps"
    case storage = "modules: storage"
    case network = "modules: network"
    case input = "modules: USB and input"
    case virtual = "modules: virtual machines"
    case filesystems = "modules: filesystems"
    case stacks = "modules: RAID and encryption"
    case others = "modules: what these need"
    case indexes = "modules: indexes"
    case tools = "tools"
    case libraries = "shared libraries"
    case certificates = "certificates"
    case rest = "other"

    init(of path: String) {
        let rules: [(prefix: String, area: Area)] = [
            ("/init", .agent), ("/early/", .early), ("/config.ign", .config), ("/etc/coreos-", .config),
            ("/usr/bin/", .tools), ("/usr/sbin/", .tools), ("/usr/share/firstlight/", .certificates),
        ]
        if path.hasPrefix("/usr/lib/modules/") {
            let parts = path.split(separator: "/").dropFirst(4)
            self = parts.first == "kernel" ? Area(ofModule: parts.dropFirst().joined(separator: "/")) : .indexes
        } else if let rule = rules.first(where: { path.hasPrefix($0.prefix) }) {
            self = rule.area
        } else {
            self = path.hasPrefix("/usr/lib") ? .libraries : .rest
        }
    }

    /// - Parameter path: Below `kernel`.
    private init(ofModule path: String) {
        let rules: [(area: Area, folders: [String])] = [
            (.network, ["drivers/net", "net"]),
            (.filesystems, ["fs"]),
            (.stacks, ["drivers/md", "crypto", "arch", "lib"]),
            (.input, ["drivers/hid", "drivers/input", "drivers/tty", "drivers/usb", "drivers/thunderbolt"]),
            (.virtual, ["drivers/virtio", "drivers/hv", "drivers/xen"]),
            (
                .storage,
                [
                    "drivers/ata", "drivers/block", "drivers/cdrom", "drivers/firewire", "drivers/memstick",
                    "drivers/message", "drivers/misc/cardreader", "drivers/mmc", "drivers/nvdimm", "drivers/nvme",
                    "drivers/scsi", "drivers/staging", "drivers/ufs",
                ]
            ),
        ]
        let isStorageOnUSB = path.hasPrefix("drivers/usb/storage/")
        let area = rules.first { $0.folders.contains { path.hasPrefix("\($0)/") } }?.area ?? .others
        self = isStorageOnUSB ? .storage : area
    }
}
