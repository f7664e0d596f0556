// Mounts the config's filesystems below the real root while files are written, and unmounts them.

import Glibc
import IgnitionConfig
import LinuxSystem
import Provisioning
import Reporting
import SystemPackage

/// Why a filesystem could not be mounted or unmounted.
public enum MountFailure: Error, Equatable, Sendable {
    /// A part of the way is a link or a file; a link could lead out of the real root.
    case notAFolder(FilePath, isLink: Bool)
    case cannotMakeFolder(FilePath, Errno)
    case cannotMount(device: String, on: FilePath, Errno)
    case cannotUnmount(FilePath, Errno)
}

extension MountFailure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notAFolder(let path, let isLink): "\(path) is \(isLink ? "a symbolic link" : "not a folder")"
        case .cannotMakeFolder(let path, let reason): "cannot create \(path): \(reason)"
        case .cannotMount(let device, let path, let reason): "cannot mount \(device) on \(path): \(reason)"
        case .cannotUnmount(let path, let reason): "cannot unmount \(path): \(reason)"
        }
    }
}

extension MountFailure: Advising {
    public var advice: [String] {
        switch self {
        case .notAFolder: ["Use a \"path\" without links in it: /var/home rather than /home, for instance."]
        case .cannotMakeFolder: ["Check that the real root is writable there."]
        case .cannotMount: ["Check the filesystem and \"mountOptions\"; the kernel's messages tell more (dmesg)."]
        case .cannotUnmount: ["See what still uses it."]
        }
    }
}

public enum FilesystemMounts {
    /// Mounts what the config gives a `path`, shallowest first. What is mounted already stays as it is.
    ///
    /// - Parameters:
    ///   - root: The real root: `/sysroot`.
    ///   - nodes: Kernel names by the config's device paths, as the disks stage planned them: a label could
    ///     name another device by now. A path that is not there is followed.
    /// - Returns: The folders that were made, seen from the real root, shallowest first.
    public static func mount(
        _ storage: IgnitionConfig.Storage, under root: FilePath, nodes: [String: String] = [:], access: DiskAccess
    ) throws(BootFailure) -> [String] {
        var made: [String] = []
        for mount in storage.mounts {
            try step("mounting \(mount.path), \(mount.origin)") {
                let device = nodes[mount.device] ?? mount.device
                try access.waitForDevice(device)
                let node = Files.resolved(FilePath(device))?.string ?? device
                let target = try makeFolders(mount.path, under: root, &made)
                let isMounted = Mounts.all().contains {
                    $0.target == target && (Files.resolved(FilePath($0.source))?.string ?? $0.source) == node
                }
                if isMounted { return }
                try access.loadFilesystem(mount.type)
                do throws(Errno) {
                    try Mounts.mount(node, on: target, type: mount.type, options: mount.options)
                } catch {
                    throw MountFailure.cannotMount(device: node, on: target, error)
                }
                access.report(.done("\(node) mounted on \(mount.path)"))
            }
        }
        return made
    }

    /// Unmounts them again, deepest first.
    public static func unmount(_ storage: IgnitionConfig.Storage, under root: FilePath) throws(BootFailure) {
        for mount in storage.mounts.reversed() {
            let target = path(mount.path, under: root)
            guard Mounts.all().contains(where: { $0.target == target }) else { continue }
            try step("unmounting \(mount.path)") {
                do throws(Errno) {
                    try Mounts.unmount(target)
                } catch {
                    throw MountFailure.cannotUnmount(target, error)
                }
            }
        }
    }

    private static func path(_ path: String, under root: FilePath) -> FilePath {
        path.split(separator: "/").reduce(root) { $0.appending(String($1)) }
    }

    /// Makes what is missing of the way, and refuses a way through anything but folders.
    static func makeFolders(
        _ path: String, under root: FilePath, _ made: inout [String]
    ) throws(MountFailure) -> FilePath {
        var here = root
        var seen = ""
        for component in path.split(separator: "/") {
            here.append(String(component))
            seen += "/\(component)"
            if let status = Files.status(here, followingLinks: false) {
                guard status.st_mode & S_IFMT == S_IFDIR else {
                    throw .notAFolder(here, isLink: status.st_mode & S_IFMT == S_IFLNK)
                }
                continue
            }
            guard mkdir(here.string, 0o755) == 0 else { throw .cannotMakeFolder(here, Errno(rawValue: errno)) }
            // The mode is what was asked for, whatever the umask.
            chmod(here.string, 0o755)
            made.append(seen)
        }
        return here
    }
}
