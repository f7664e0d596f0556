// What PID 1 mounts first: the kernel's own filesystems, then /usr.

import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// Why the initramfs cannot be set up.
public enum EarlyMountFailure: Error, CustomStringConvertible, Advising {
    /// A folder that cannot be made, or an image that cannot be opened.
    case file(FileFault)
    case mount(String, FilePath, Errno)
    case missing(FilePath)
    case module(FilePath, Errno)
    case loop(FilePath, Errno)

    /// What went wrong, for a message.
    public var description: String {
        switch self {
        case .file(let fault): "\(fault)"
        case .mount(let what, let target, let reason): "cannot mount \(what) on \(target): \(reason)"
        case .missing(let file): "\(file) is missing"
        case .module(let file, let reason): "cannot load \(file): \(reason)"
        case .loop(let file, let reason): "cannot attach a loop device to \(file): \(reason)"
        }
    }

    /// What the operator can do.
    public var advice: [String] {
        switch self {
        case .mount(_, "/usr", _), .missing:
            ["The initramfs is damaged or was cut short on its way: copy it again."]
        case .loop(_, let reason) where !reason.isLackOfLoopDevices: []
        case .module(_, .execFormatError), .module(_, .invalidArgument), .module(_, .noSuchFileOrDirectory), .loop:
            [
                "The initramfs was made for another kernel; this one is \(Machine.kernelVersion):",
                "make it again with --kernel \(Machine.kernelVersion).",
            ]
        case .file, .mount, .module: []
        }
    }
}

/// The mounts that everything else needs.
public enum EarlyMounts {
    private struct Filesystem {
        var type: String
        var target: FilePath
        var flags: Int
        var options: String?
    }

    private static let api = [
        Filesystem(type: "proc", target: "/proc", flags: MS_NOSUID | MS_NODEV | MS_NOEXEC),
        Filesystem(type: "sysfs", target: "/sys", flags: MS_NOSUID | MS_NODEV | MS_NOEXEC),
        Filesystem(type: "devtmpfs", target: "/dev", flags: MS_NOSUID, options: "mode=0755"),
        Filesystem(type: "devpts", target: "/dev/pts", flags: MS_NOSUID | MS_NOEXEC, options: "gid=5,mode=0620"),
        Filesystem(type: "tmpfs", target: "/dev/shm", flags: MS_NOSUID | MS_NODEV, options: "mode=1777"),
        Filesystem(type: "tmpfs", target: "/run", flags: MS_NOSUID | MS_NODEV, options: "mode=0755"),
    ]

    /// Mounts `/proc`, `/sys`, `/dev`, `/dev/pts`, `/dev/shm` and `/run`, except those that are mounted already.
    public static func mountAll() throws(EarlyMountFailure) {
        for filesystem in api where !isMounted(filesystem.target) {
            let target = filesystem.target
            do throws(FileFault) { try Files.makeFolder(target) } catch { throw .file(error) }
            do throws(FileFault) {
                try Mounts.mount(
                    filesystem.type, on: target, type: filesystem.type, flags: UInt(filesystem.flags),
                    data: filesystem.options)
            } catch {
                throw .mount(filesystem.type, target, error.reason)
            }
        }
        for (name, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
            let path = FilePath("/dev").appending(name)
            // Shells need these links; nothing else fails without them.
            if !Files.exists(path) { try? Files.makeLink(path, to: "/proc/self/\(target)") }
        }
    }

    /// Mounts `/usr.squashfs`, which has modules and tools, on `/usr`, and the drivers of cards below it.
    public static func mountUsr() throws(EarlyMountFailure) {
        // Each by itself: where only the second failed, the next try still has it to do.
        if !isMounted("/usr") { try mountTools() }
        let drivers = DriverImage.ofThisBoot
        if drivers.size > 0, !isMounted(drivers.folder) { try mount(drivers.file, on: drivers.folder) }
    }

    private static func mountTools() throws(EarlyMountFailure) {
        let image = FilePath("/usr.squashfs")
        guard Files.exists(image) else {
            // Where the kernel mounts no squashfs, it has unpacked everything.
            if Files.exists("/usr/bin/busybox") { return }
            throw .missing(image)
        }
        for line in (Files.line("/early/modules.list") ?? "").split(separator: "\n") {
            let module = FilePath(String(line))
            do throws(Errno) {
                try Machine.loadModule(module)
            } catch {
                throw .module(module, error)
            }
        }
        try mount(image, on: "/usr")
    }

    private static func mount(_ image: FilePath, on folder: FilePath) throws(EarlyMountFailure) {
        let loop: LoopDevice
        do throws(FileFault) {
            loop = try LoopDevice(file: image, readOnly: true)
        } catch {
            throw error.isOfLoopDevice ? .loop(image, error.reason) : .file(error)
        }
        do throws(FileFault) {
            try Mounts.mount(
                loop.path.string, on: folder, type: "squashfs", flags: UInt(MS_RDONLY | MS_NODEV | MS_NOATIME))
        } catch {
            throw .mount("\(image)", folder, error.reason)
        }
    }

    private static func isMounted(_ target: FilePath) -> Bool { Mounts.all().contains { $0.target == target } }
}
