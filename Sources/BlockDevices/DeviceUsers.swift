// Who uses a block device: by the kernel's lists, and where those are silent by asking for the device alone.

import DiskFormats
import Glibc
import LinuxSystem
import SystemPackage

/// Who uses which block device now.
struct DeviceUsers {
    private let medium: String?
    private let known: KnownUsers
    /// Asking claims the device for a moment, so two who ask at once would each find it claimed.
    private let asking = Monitor(())
    /// How many times, for all devices together, a claim that no list explains is checked again, 0.1 s apart.
    private let patience = Monitor(20)

    init(medium: String? = nil) {
        self.medium = medium
        known = KnownUsers(medium: medium)
    }

    /// The users that are known by the device's name.
    func named(_ node: String) -> [DeviceUse] { known.users[node] ?? [] }

    /// The uses of a device.
    ///
    /// - Parameters:
    ///   - node: The kernel's name.
    ///   - parts: Devices that are only names of its parts.
    /// - Returns: Nothing where nobody uses it.
    func of(_ node: String, beside parts: [String] = []) -> [DeviceUse] {
        let name = FilePath(node).lastComponent?.string ?? ""
        let uses = listed(node, beside: parts)
        guard uses.isEmpty, parts.isEmpty else { return uses }
        while isClaimed(node) {
            // It may have been mounted since the look began.
            let now = KnownUsers(medium: medium)
            if let users = now.users[node] { return users }
            // A mount claims its device before any list shows it. A program that is just starting also holds, for a
            // moment, everything that this one has open, including the claim of another check.
            let isPatient = patience.change { left in
                defer { left -= 1 }
                return left > 0
            }
            guard isPatient, !isWithOthers(name, now) else { return [.claimed] }
            usleep(100_000)
        }
        return uses
    }

    /// The uses that the kernel's lists tell of; a disk may be claimed for one of its partitions alone.
    func listed(_ node: String, beside parts: [String] = []) -> [DeviceUse] {
        let name = FilePath(node).lastComponent?.string ?? ""
        let holders = Files.names(in: FilePath("/sys/class/block/\(name)/holders"))
            .filter { !parts.contains("/dev/\($0)") }
        return named(node) + holders.map { .held(by: $0) } + (Look.isPrivate(node) ? [.innerPart] : [])
    }

    /// Whether a user of a partition of this disk, or of the disk of this partition, is known, who then claims both.
    private func isWithOthers(_ name: String, _ known: KnownUsers) -> Bool {
        let folder = FilePath("/sys/class/block/\(name)")
        var others = Files.names(in: folder).filter { Files.exists(folder.appending("\($0)/partition")) }
        if Files.exists(folder.appending("partition")),
            let disk = Files.resolved(folder)?.removingLastComponent().lastComponent
        {
            others.append(disk.string)
        }
        return others.contains { other in
            known.users["/dev/\(other)"] != nil
                || !Files.names(in: FilePath("/sys/class/block/\(other)/holders")).isEmpty
        }
    }

    /// Whether the kernel has given the device to somebody exclusively.
    ///
    /// This also finds users that no list of mounts names, such as the second device of a btrfs. A disk is claimed with
    /// any of its partitions.
    func isClaimed(_ node: String) -> Bool {
        // O_EXCL asks this of block devices only.
        guard Files.status(FilePath(node)).map({ $0.st_mode & S_IFMT == S_IFBLK }) ?? false else { return false }
        return asking.change { _ in
            let descriptor = open(node, O_RDONLY | O_EXCL | O_CLOEXEC)
            if descriptor >= 0 { close(descriptor) }
            return descriptor < 0 && errno == EBUSY
        }
    }
}

/// The users that the kernel's lists name, as of now.
private struct KnownUsers {
    private(set) var users: [String: [DeviceUse]] = [:]

    /// - Parameter medium: Counts as mounted already, since its mount
    ///   comes at a moment of its own while the disks are looked at.
    init(medium: String?) {
        if let node = medium.flatMap(DiskProber.node) { users[node] = [.mounted(on: DeviceUse.liveMedium)] }
        for mount in Mounts.all() where mount.source.hasPrefix("/dev/") {
            add(.mounted(on: mount.target.string), to: mount.source)
        }
        for line in (Files.line("/proc/swaps") ?? "").split(separator: "\n").dropFirst() {
            guard let device = line.split(separator: " ").first else { continue }
            add(.swap, to: String(device))
        }
        for name in Files.names(in: "/sys/block") where name.hasPrefix("loop") {
            guard let backing = Files.line(FilePath("/sys/block/\(name)/loop/backing_file")), backing.hasPrefix("/dev/")
            else { continue }
            add(.backing(loop: name), to: backing)
        }
    }

    private mutating func add(_ use: DeviceUse, to path: String) {
        let node = DiskProber.node(path) ?? path
        if users[node]?.contains(use) != true { users[node, default: []].append(use) }
    }
}
