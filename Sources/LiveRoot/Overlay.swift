// The overlay root: the image below, read-only; a tmpfs above, writable; both stay reachable in /run.

import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// A root filesystem that is ready to be switched to.
public struct OverlayRoot: Equatable, Sendable {
    /// Where the image is mounted; below `/run`, so that it stays reachable in the real root.
    public static let lower = FilePath(RunFile.lowerLayer.path)
    /// Where the writable layer is mounted.
    public static let upper = FilePath(RunFile.upperLayer.path)

    /// The image's filesystem: `squashfs` or `erofs`.
    public var format: String
    /// The capacity of the writable layer in bytes.
    public var writable: UInt64

    /// Why there is no overlay root.
    public enum Failure: Error, CustomStringConvertible, Advising {
        case noLoopDevice(FilePath, Errno)
        case unmountable(FilePath, format: String, Errno)
        case noWritableLayer(Errno)
        case noOverlay(Errno)

        /// What happened, for a message.
        public var description: String {
            switch self {
            case .noLoopDevice(let file, let reason): "no loop device for \(file): \(reason)"
            case .unmountable(let file, let format, let reason): "cannot mount \(file) as \(format): \(reason)"
            case .noWritableLayer(let reason): "cannot make the writable layer in RAM: \(reason)"
            case .noOverlay(let reason): "cannot lay the writable layer over the image: \(reason)"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .noLoopDevice(_, let reason):
                reason.isLackOfLoopDevices ? ["The kernel module `loop` must be in the initramfs."] : []
            case .unmountable(_, let format, _):
                ["The kernel module `\(format)` must be in the initramfs and know the image's compression."]
            case .noWritableLayer: ["Check firstlight.overlay_size= on the kernel command line."]
            case .noOverlay: ["The kernel module `overlay` must be in the initramfs."]
            }
        }
    }

    /// Lays a writable layer over the image that is mounted on ``lower``, and mounts both on `sysroot`.
    ///
    /// `format` is the image's: `squashfs` or `erofs`. `layerSize` is how much the writable layer may hold, as tmpfs
    /// takes it: `50%`, or a number of bytes. `loadModule` loads a kernel module by name; one that is built in is no
    /// error. Throws ``Failure``, or ``FileFault`` where a folder cannot be made.
    public static func assemble(
        format: String, layerSize: String, on sysroot: FilePath, loadModule: (String) -> Void
    ) throws -> OverlayRoot {
        loadModule("overlay")
        for folder in [upper, sysroot] { try Files.makeFolder(folder) }
        do throws(FileFault) {
            try Mounts.mount(
                "firstlight", on: upper, type: "tmpfs", flags: UInt(MS_NODEV), data: layerOptions(size: layerSize))
            try Files.makeFolder(upper.appending("upper"))
            try Files.makeFolder(upper.appending("work"))
        } catch {
            throw Failure.noWritableLayer(error.reason)
        }
        do throws(FileFault) {
            // xino: a file of the image has the device and number of a file of this filesystem, and keeps them when it
            // is written to. Otherwise two names of one file would look like two files.
            try Mounts.mount(
                "firstlight", on: sysroot, type: "overlay",
                data: "lowerdir=\(lower),upperdir=\(upper)/upper,workdir=\(upper)/work,xino=on")
        } catch {
            throw Failure.noOverlay(error.reason)
        }
        return OverlayRoot(format: format, writable: Mounts.capacity(of: upper) ?? 0)
    }

    /// Undoes what was mounted as far as that got, so that it can be repeated.
    public static func dismantle(_ sysroot: FilePath) {
        OSTreeRoot.dismantle()
        for target in [sysroot, upper, lower] where Mounts.all().contains(where: { $0.target == target }) {
            try? Mounts.unmount(target, lazily: true)
        }
    }

    /// Mounts the image on ``lower``, read-only.
    ///
    /// `file` holds it at `offset`, `size` bytes long; `format` is `squashfs` or `erofs`. Throws ``Failure``, or
    /// ``FileFault`` where a folder cannot be made or the image not be opened.
    public static func mountImage(
        file: FilePath, offset: UInt64, size: UInt64, format: String, loadModule: (String) -> Void
    ) throws {
        ["loop", format].forEach(loadModule)
        try Files.makeFolder(lower)
        let device: LoopDevice
        do throws(FileFault) {
            // Direct I/O avoids caching the image twice; it needs an image that is aligned to blocks.
            device = try LoopDevice(
                file: file, offset: offset, size: size, readOnly: true, directIO: offset % 4096 == 0)
        } catch {
            if error.isOfLoopDevice { throw Failure.noLoopDevice(file, error.reason) }
            throw error
        }
        // The image is in RAM or read once, so a long read-ahead only fills the page cache.
        try? device.setReadAhead(32 << 10)
        do throws(FileFault) {
            try Mounts.mount(device.path.string, on: lower, type: format, flags: UInt(MS_RDONLY))
        } catch {
            throw Failure.unmountable(file, format: format, error.reason)
        }
    }
}

extension OverlayRoot {
    /// The options of the writable layer's tmpfs.
    ///
    /// The usual limit of inodes is a half of the machine's pages, whatever the layer's size: a machine with little RAM
    /// and many small files would be out of them with room to spare.
    static func layerOptions(size: String) -> String { "size=\(size),nr_inodes=0,mode=0700" }
}
