// Mounting: raw mount(2) for the API and image filesystems, libmount where options are a user's text.

import CLinux
import CMount
import Glibc
import SystemPackage

/// One line of `/proc/self/mounts`.
public struct MountedFilesystem: Equatable, Sendable {
    public var source: String
    public var target: FilePath
    public var type: String
    public var options: String
}

public enum Mounts {
    /// mount(2). `flags` are MS_* bits, `data` the filesystem's own options.
    public static func mount(
        _ source: String, on target: FilePath, type: String?, flags: UInt = 0, data: String? = nil
    ) throws(Errno) {
        guard Glibc.mount(source, target.string, type, flags, data) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Mounts with options as a user writes them (`noatime,ro,subvol=x`), through libmount. Source and target are
    /// taken as they are: one that names an open descriptor is not replaced by a path.
    public static func mount(
        _ source: String, on target: FilePath, type: String, options: [String]
    ) throws(Errno) {
        guard let context = mnt_new_context() else { throw .noMemory }
        defer { mnt_free_context(context) }
        mnt_context_disable_mtab(context, 1)
        // No /sbin/mount.TYPE helpers: an initramfs has none, and behaviour must not depend on one.
        mnt_context_disable_helpers(context, 1)
        mnt_context_disable_canonicalize(context, 1)
        mnt_context_set_source(context, source)
        mnt_context_set_target(context, target.string)
        mnt_context_set_fstype(context, type)
        if !options.isEmpty { mnt_context_set_options(context, options.joined(separator: ",")) }
        let result = mnt_context_mount(context)
        if result == 0 { return }
        let reason = mnt_context_get_syscall_errno(context)
        throw Errno(rawValue: reason != 0 ? reason : result < 0 ? -result : EINVAL)
    }

    public static func unmount(_ target: FilePath, lazily: Bool = false) throws(Errno) {
        guard umount2(target.string, lazily ? Int32(MNT_DETACH) : 0) == 0 else {
            throw Errno(rawValue: errno)
        }
    }

    /// The size of the filesystem mounted at `path`, in bytes.
    public static func capacity(of path: FilePath) -> UInt64? {
        var status = statvfs()
        guard statvfs(path.string, &status) == 0 else { return nil }
        return UInt64(status.f_blocks) * UInt64(status.f_frsize)
    }

    /// Everything mounted now, in mount order.
    public static func all() -> [MountedFilesystem] {
        (Files.line("/proc/self/mounts") ?? "").split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 4 else { return nil }
            return MountedFilesystem(
                source: unescaped(fields[0]), target: FilePath(unescaped(fields[1])), type: String(fields[2]),
                options: String(fields[3]))
        }
    }

    /// The kernel writes blanks in paths as `\040`.
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

/// A loop device; it goes away with its last user once this value is gone.
public struct LoopDevice: ~Copyable {
    public let path: FilePath
    private let descriptor: Int32

    /// - Parameters:
    ///   - file: The backing file.
    ///   - offset, size: The part of it, in bytes; size 0 is the rest.
    ///   - directIO: Ask for direct I/O; where the backing filesystem has none, buffered I/O is used.
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
            throw FileFault("attach a loop device to", file, Errno(rawValue: -result))
        }
        descriptor = result
        path = FilePath("/dev/loop\(number)")
    }

    /// Reads ahead `bytes` at a time.
    public func setReadAhead(_ bytes: Int) throws(Errno) {
        let result = firstlight_set_read_ahead(descriptor, UInt(bytes / 512))
        if result < 0 { throw Errno(rawValue: -result) }
    }

    deinit { close(descriptor) }
}
