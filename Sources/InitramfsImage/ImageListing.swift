// The content of an initramfs and the size of each part, as text.

import Reporting

/// The parts of an image in their order.
public struct ImageListing: Equatable, Sendable {
    /// The file name of the image.
    public var name: String
    /// The size of the whole image in bytes.
    public var size: UInt64
    /// The parts in their order.
    public var parts: [Part]

    /// Files that are stored together.
    public struct Part: Equatable, Sendable {
        /// The compression: `zstd`, `squashfs`; `nil` if there is none.
        public var compression: String?
        /// The size in the image in bytes.
        public var stored: UInt64
        /// The regular files and links.
        public var files: [File]
        /// Where the agent mounts it; `nil` for a part that the kernel unpacks.
        public var mountPoint: String?
    }

    /// A regular file or link of the image.
    public struct File: Equatable, Sendable {
        /// The absolute path in the running initramfs.
        public var path: String
        /// The size in bytes, unpacked.
        public var size: UInt64
    }

    /// The kernel version that its modules are for.
    public var kernel: String? { kernels.first }

    /// The kernel versions that its modules are for: one, but for images that others made.
    public var kernels: [String] {
        var kernels: [String] = []
        for file in parts.flatMap(\.files) {
            for folder in ["/usr/lib/modules/", "/lib/modules/"] where file.path.hasPrefix(folder) {
                let names = file.path.dropFirst(folder.count).split(separator: "/", maxSplits: 1)
                if names.count == 2, !kernels.contains(String(names[0])) { kernels.append(String(names[0])) }
            }
        }
        return kernels
    }

    /// A table with a line for each part and area, at most 80 columns wide.
    public var summary: String {
        var lines = ["\(name)  \(ByteCount(size))\(kernel.map { ", Linux \($0)" } ?? "")", ""]
        lines.append(row("", "files", "unpacked", "stored"))
        for part in parts {
            let total = part.files.map(\.size).reduce(0, +)
            let stored = "\(ByteCount(part.stored))"
            lines.append(
                row(
                    part.mountPoint.map { "mounted on \($0)" } ?? "unpacked by the kernel", "\(part.files.count)",
                    "\(ByteCount(total))", stored) + (part.compression.map { "  \($0)" } ?? ""))
            for area in ListingArea.allCases {
                let files = part.files.filter { ListingArea(of: $0.path) == area }
                guard !files.isEmpty else { continue }
                let bytes = files.map(\.size).reduce(0, +)
                lines.append(row("  \(area.rawValue)", "\(files.count)", "\(ByteCount(bytes))", ""))
            }
        }
        return lines.joined(separator: "\n")
    }

    /// A line for each file: its size in bytes and its path.
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

/// The purpose of a file in the image.
enum ListingArea: String, CaseIterable {
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
        let rules: [(prefix: String, area: ListingArea)] = [
            ("/init", .agent), ("/early/", .early), ("/config.ign", .config), ("/etc/coreos-", .config),
            ("/usr/bin/", .tools), ("/usr/sbin/", .tools), ("/usr/share/firstlight/", .certificates),
        ]
        let drivers = "/usr/\(InitramfsPath.driverFolder)/kernel/"
        if path.hasPrefix(drivers) {
            self = ListingArea(ofModule: String(path.dropFirst(drivers.count)))
        } else if path.hasPrefix("/usr/lib/modules/") {
            let parts = path.split(separator: "/").dropFirst(4)
            self = parts.first == "kernel" ? ListingArea(ofModule: parts.dropFirst().joined(separator: "/")) : .indexes
        } else if let rule = rules.first(where: { path.hasPrefix($0.prefix) }) {
            self = rule.area
        } else {
            self = path.hasPrefix("/usr/lib") ? .libraries : .rest
        }
    }

    /// The purpose of a module, by its path below `kernel`.
    private init(ofModule path: String) {
        let rules: [(area: ListingArea, folders: [String])] = [
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
