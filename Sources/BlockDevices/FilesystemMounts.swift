// Mounts the config's filesystems below the real root while files are written, and unmounts them.

import DiskPlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

/// Why a filesystem could not be mounted or unmounted.
public enum MountFailure: Error, Equatable, Sendable {
    /// A part of the path is a link or a file; a link could lead out of the real root.
    case notAFolder(FilePath, isLink: Bool)
    case cannotOpen(FilePath, Errno)
    case cannotMakeFolder(FilePath, Errno)
    case cannotMount(device: String, on: FilePath, Errno)
    case cannotUnmount(FilePath, Errno)
    /// No plan of the disks stage says which device this name means.
    case notPlanned(device: String, on: String)
}

extension MountFailure: CustomStringConvertible {
    /// One sentence without its full stop.
    public var description: String {
        switch self {
        case .notAFolder(let path, let isLink): "\(path) is \(isLink ? "a symbolic link" : "not a folder")"
        case .cannotOpen(let path, let reason): "cannot open \(path): \(reason)"
        case .cannotMakeFolder(let path, let reason): "cannot create \(path): \(reason)"
        case .cannotMount(let device, let path, let reason): "cannot mount \(device) on \(path): \(reason)"
        case .cannotUnmount(let path, let reason): "cannot unmount \(path): \(reason)"
        case .notPlanned(let device, let path):
            "\(device) is not mounted on \(path): the disks stage has not looked at it"
        }
    }
}

extension MountFailure: Advising {
    /// What the operator can do.
    public var advice: [String] {
        switch self {
        case .notAFolder: ["Use a \"path\" without links in it: /var/home rather than /home, for instance."]
        case .cannotOpen: []
        case .cannotMakeFolder: ["Check that the real root is writable there."]
        case .cannotMount: ["Check the filesystem and \"mountOptions\"; the kernel's messages say more (dmesg)."]
        case .cannotUnmount: ["See what still uses it."]
        case .notPlanned:
            ["Run the disks stage first, with the same config: it decides which device a name means."]
        }
    }
}

/// What mounting needs from its caller; paths are absolute in the real root.
public struct MountAccess {
    /// What the disks stage needs, which mounting uses too.
    public var disks: DiskAccess
    /// Called with each folder that was made.
    public var folderMade: (String) throws -> Void
    /// Called with each filesystem that is mounted now.
    public var mounted: (_ path: String, _ node: String) throws -> Void
    /// Called with each path at which a filesystem is no longer mounted.
    public var unmounted: (String) throws -> Void
    /// Gives something new, and what is in it, the labels of the target's policy.
    public var label: (String) throws -> Void

    /// Makes access of its parts; by default nobody is told of anything.
    public init(
        _ disks: DiskAccess = .settled, folderMade: @escaping (String) throws -> Void = { _ in },
        mounted: @escaping (String, String) throws -> Void = { _, _ in },
        unmounted: @escaping (String) throws -> Void = { _ in }, label: @escaping (String) throws -> Void = { _ in }
    ) {
        self.disks = disks
        self.folderMade = folderMade
        self.mounted = mounted
        self.unmounted = unmounted
        self.label = label
    }
}

/// Mounts the config's filesystems below the real root, and unmounts them.
public enum FilesystemMounts {
    /// Mounts the filesystems that have a `path`, shallowest first.
    ///
    /// What is already mounted stays. If one cannot be mounted, those that this call mounted are unmounted again.
    ///
    /// - Parameters:
    ///   - storage: The config.
    ///   - root: The real root: `/sysroot`.
    ///   - nodes: Kernel names by the config's device paths, as the disks stage planned them: a label could lead to
    ///     another device by now.
    ///   - access: What mounting needs from its caller.
    /// - Throws: The failure of the first filesystem that cannot be mounted, and ``MountFailure/notPlanned(device:on:)``
    ///   before anything is mounted.
    public static func mount(
        _ storage: IgnitionConfig.Storage, under root: FilePath, nodes: [String: String], access: MountAccess
    ) throws(BootFailure) {
        func node(of mount: PlannedMount) throws(MountFailure) -> String {
            guard let node = nodes[mount.device] else { throw .notPlanned(device: mount.device, on: mount.path) }
            return node
        }
        // Of a config that no plan has looked at, nothing is mounted.
        for mount in storage.mounts {
            try step("mounting \(mount.path), \(mount.origin)") { _ = try node(of: mount) }
        }
        try inTurn(storage.mounts) { mount, isMounted in
            try self.mount(mount, try node(of: mount), under: root, access) { isMounted(mount.path) }
        } undo: { done throws(BootFailure) in
            try unmount(done, under: root, access: access)
        }
    }

    /// Mounts one after the other; where one fails, all that is mounted by then is handed to `undo`.
    ///
    /// - Parameters:
    ///   - mounts: In the order of mounting.
    ///   - mount: Mounts one, and says so as soon as it is mounted: what follows may fail, too.
    ///   - undo: Gets the paths in the order of mounting.
    /// - Throws: The failure of the first that cannot be mounted.
    static func inTurn(
        _ mounts: [PlannedMount], mount: (PlannedMount, _ isMounted: (String) -> Void) throws -> Void,
        undo: ([String]) throws(BootFailure) -> Void
    ) throws(BootFailure) {
        var done: [String] = []
        do throws(BootFailure) {
            for planned in mounts {
                try step("mounting \(planned.path), \(planned.origin)") { try mount(planned) { done.append($0) } }
            }
        } catch {
            // The first failure is the one to report.
            try? undo(done)
            throw error
        }
    }

    /// Mounts one filesystem; `isMounted` is called as soon as it is, and not where it was before.
    private static func mount(
        _ mount: PlannedMount, _ device: String, under root: FilePath, _ access: MountAccess, isMounted: () -> Void
    ) throws {
        try access.disks.waitForDevice(device)
        let node = Files.resolved(FilePath(device))?.string ?? device
        var made: [String] = []
        let point = try MountPoint(mount.path, under: root) { folder in
            made.append(folder)
            try access.folderMade(folder)
        }
        let path = point.path
        let wasMounted = Mounts.all().contains {
            $0.target == path && (Files.resolved(FilePath($0.source))?.string ?? $0.source) == node
        }
        if wasMounted { return }
        if let topmost = made.first { try access.label(topmost) }
        try access.disks.loadFilesystem(mount.type)
        if mount.type == "btrfs", let file = try? BlockFile(node), BtrfsDevices.areSeveral(file) {
            BtrfsDevices.makeKnown()
        }
        try point.mount(node, type: mount.type, options: mount.options)
        isMounted()
        try access.mounted(mount.path, node)
        // A filesystem without files was probably made at this boot, and its maker sets no labels.
        if Files.names(in: path).allSatisfy({ $0 == "lost+found" }) { try access.label(mount.path) }
        access.disks.report(.done("\(node) mounted on \(mount.path)"))
    }

    /// Unmounts filesystems, the last one first; what is not mounted is skipped.
    ///
    /// One that cannot be unmounted does not prevent the others from being unmounted.
    ///
    /// - Parameters:
    ///   - paths: Absolute in the real root, in the order of mounting.
    ///   - root: The real root: `/sysroot`.
    ///   - access: Its `unmounted` is called.
    /// - Throws: The first failure, after all have been tried.
    public static func unmount(
        _ paths: [String], under root: FilePath, access: MountAccess = MountAccess()
    ) throws(BootFailure) {
        var failure: BootFailure?
        for path in paths.reversed() {
            do throws(BootFailure) {
                try step("unmounting \(path)") {
                    if Mounts.all().contains(where: { $0.target == root.below(path) }) {
                        try MountPoint.unmount(path, under: root)
                    }
                    try access.unmounted(path)
                }
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
    }
}
