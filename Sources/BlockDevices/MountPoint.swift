// A folder of the real root to mount on. It is held open, so that no path is looked up a second time after somebody
// could have led it elsewhere.

import CLinux
import Glibc
import LinuxSystem
import SystemPackage

/// A folder below the real root that was reached through real folders only.
struct MountPoint: ~Copyable {
    private let descriptor: Int32
    /// The path as people know it: `/sysroot/var`.
    let path: FilePath

    /// Opens `path` folder by folder, each below the one before.
    ///
    /// Missing folders are made, owned by root with mode 0755. A link on the way is refused, as Ignition does.
    ///
    /// - Parameters:
    ///   - path: Absolute in the real root.
    ///   - root: The real root.
    ///   - made: Called with each folder that was made, absolute in the real root.
    /// - Throws: ``MountFailure``, or what `made` throws.
    init(_ path: String, under root: FilePath, made: (String) throws -> Void) throws {
        var here = open(root.string, Self.flags)
        guard here >= 0 else { throw MountFailure.cannotOpen(root, Errno(rawValue: errno)) }
        var seen = ""
        for component in path.split(separator: "/").map(String.init) {
            seen += "/\(component)"
            let above = here
            defer { close(above) }
            var next = openat(above, component, Self.flags)
            if next < 0, errno == ENOENT {
                guard mkdirat(above, component, 0o755) == 0 else {
                    throw MountFailure.cannotMakeFolder(root.below(seen), Errno(rawValue: errno))
                }
                try made(seen)
                next = openat(above, component, Self.flags)
                // The mode must not depend on the umask.
                if next >= 0 { chmod(procPath(next), 0o755) }
            }
            guard next >= 0 else {
                let reason = Errno(rawValue: errno)
                var status = stat()
                guard reason == .notDirectory, fstatat(above, component, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                    throw MountFailure.cannotOpen(root.below(seen), reason)
                }
                throw MountFailure.notAFolder(root.below(seen), isLink: status.st_mode & S_IFMT == S_IFLNK)
            }
            here = next
        }
        descriptor = here
        self.path = root.below(seen)
    }

    deinit { close(descriptor) }

    /// A path to the open folder itself, whatever is at its former path by now; valid as long as this value.
    var target: FilePath { FilePath(procPath(descriptor)) }

    /// Mounts a device on the open folder.
    func mount(_ device: String, type: String, options: [String]) throws(MountFailure) {
        do throws(FileFault) {
            try Mounts.mount(device, on: target, type: type, options: options)
        } catch {
            throw .cannotMount(device: device, on: path, error.reason)
        }
    }

    private static let flags = Int32(FIRSTLIGHT_O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC

    /// Unmounts what is mounted on a folder.
    ///
    /// The folder above it is held open meanwhile, and a link at the end is not followed.
    static func unmount(_ path: String, under root: FilePath) throws(MountFailure) {
        let parts = path.split(separator: "/")
        let parent = firstlight_open_inside(
            root.string, parts.dropLast().joined(separator: "/") + "/.",
            Int32(FIRSTLIGHT_O_PATH) | O_DIRECTORY | O_CLOEXEC)
        guard parent >= 0 else { throw .cannotUnmount(root.below(path), Errno(rawValue: -parent)) }
        defer { close(parent) }
        guard umount2("\(procPath(parent))/\(parts.last ?? ".")", Int32(UMOUNT_NOFOLLOW)) == 0 else {
            throw .cannotUnmount(root.below(path), Errno(rawValue: errno))
        }
    }
}

/// A path to an open file or folder.
private func procPath(_ descriptor: Int32) -> String { "/proc/self/fd/\(descriptor)" }

extension FilePath {
    /// A path that is absolute below this one.
    func below(_ path: String) -> FilePath { path.split(separator: "/").reduce(self) { $0.appending(String($1)) } }
}
