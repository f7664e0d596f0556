// Mounting: mount(2) for API and image filesystems, libmount for options that a user wrote.

import CLinux
import CMount
import Glibc
import SystemPackage

/// One line of `/proc/self/mounts`.
public struct MountedFilesystem: Equatable, Sendable {
    /// The device or name that is mounted.
    public var source: String
    /// Where it is mounted.
    public var target: FilePath
    /// The filesystem's type.
    public var type: String
    /// The mount options with commas between them.
    public var options: String
}

/// Mounting and unmounting filesystems.
public enum Mounts {
    /// Mounts with mount(2); `flags` are MS_* bits, `data` has the filesystem's own options.
    public static func mount(
        _ source: String, on target: FilePath, type: String?, flags: UInt = 0, data: String? = nil
    ) throws(FileFault) {
        guard Glibc.mount(source, target.string, type, flags, data) == 0 else {
            throw .last("mount \(source) on", target)
        }
    }

    /// Mounts through libmount with options as a user writes them (`noatime,ro,subvol=x`).
    ///
    /// Source and target are used as they are: a path to an open descriptor is not replaced by the path behind it.
    public static func mount(
        _ source: String, on target: FilePath, type: String, options: [String]
    ) throws(FileFault) {
        func fault(_ reason: Errno) -> FileFault { FileFault("mount \(source) on", target, reason) }
        guard let context = mnt_new_context() else { throw fault(.noMemory) }
        defer { mnt_free_context(context) }
        mnt_context_disable_mtab(context, 1)
        // Helpers (/sbin/mount.TYPE) are not used: an initramfs has none, and the behaviour must not depend on them.
        mnt_context_disable_helpers(context, 1)
        mnt_context_disable_canonicalize(context, 1)
        mnt_context_set_source(context, source)
        mnt_context_set_target(context, target.string)
        mnt_context_set_fstype(context, type)
        if !options.isEmpty { mnt_context_set_options(context, options.joined(separator: ",")) }
        let result = mnt_context_mount(context)
        if result == 0 { return }
        let reason = mnt_context_get_syscall_errno(context)
        throw fault(Errno(rawValue: reason != 0 ? reason : result < 0 ? -result : EINVAL))
    }

    /// Unmounts a filesystem; lazily means now for new users and later for those that still use it.
    public static func unmount(_ target: FilePath, lazily: Bool = false) throws(FileFault) {
        guard umount2(target.string, lazily ? Int32(MNT_DETACH) : 0) == 0 else { throw .last("unmount", target) }
    }

    /// The size in bytes of the filesystem that is mounted at `path`; `nil` if it is unknown.
    public static func capacity(of path: FilePath) -> UInt64? {
        var status = statvfs()
        guard statvfs(path.string, &status) == 0 else { return nil }
        return UInt64(status.f_blocks) * UInt64(status.f_frsize)
    }

    /// All mounted filesystems, in the order of mounting.
    public static func all() -> [MountedFilesystem] {
        (Files.line("/proc/self/mounts") ?? "").split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 4 else { return nil }
            return MountedFilesystem(
                source: unescaped(fields[0]), target: FilePath(unescaped(fields[1])), type: String(fields[2]),
                options: String(fields[3]))
        }
    }

    /// Decodes a field in which the kernel writes a blank as `\040`.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A loop device; after the value is gone, the device goes away with its last user.
public struct LoopDevice: ~Copyable {
    /// The device: `/dev/loop0`.
    public let path: FilePath
    private let descriptor: Int32

    /// Attaches a file to a free loop device.
    ///
    /// - Parameters:
    ///   - file: The backing file.
    ///   - offset: The start of the part that is used, in bytes.
    ///   - size: The length of that part in bytes; 0 is the rest of the file.
    ///   - readOnly: Whether the device refuses writes.
    ///   - directIO: Whether to use direct I/O if the backing filesystem has it.
    /// - Throws: The errno of opening the file or of attaching it.
    public init(
        file: FilePath, offset: UInt64 = 0, size: UInt64 = 0, readOnly: Bool, directIO: Bool = false
    ) throws(FileFault) {
        let backing = open(file.string, (readOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC)
        guard backing >= 0 else { throw .last("open", file) }
        defer { close(backing) }
        var number: Int32 = -1
        var result = firstlight_loop_attach(backing, offset, size, readOnly, directIO, &number)
        if result == -EINVAL, directIO {
            result = firstlight_loop_attach(backing, offset, size, readOnly, false, &number)
        }
        guard result >= 0 else {
            var fault = FileFault("attach a loop device to", file, Errno(rawValue: -result))
            fault.isOfLoopDevice = true
            throw fault
        }
        descriptor = result
        path = FilePath("/dev/loop\(number)")
    }

    /// Sets how many bytes are read ahead.
    public func setReadAhead(_ bytes: Int) throws(FileFault) {
        let result = firstlight_set_read_ahead(descriptor, UInt(bytes / 512))
        if result < 0 { throw FileFault("set the read-ahead of", path, Errno(rawValue: -result)) }
    }

    deinit { close(descriptor) }
}

extension Errno {
    /// Whether attaching a loop device fails so where the kernel has none: its module is not there.
    public var isLackOfLoopDevices: Bool {
        [Glibc.ENOENT, Glibc.ENODEV, Glibc.ENXIO].contains(rawValue)
    }
}
