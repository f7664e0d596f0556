// Reads LUKS headers through libcryptsetup.

import CCryptsetup
import CLinux
import Glibc
import SystemPackage

/// What a LUKS header says of itself.
public struct LUKSHeader: Equatable, Sendable {
    public var version: Int
    public var uuid: String
    /// LUKS1 has none.
    public var label: String?

    /// Reads the header of a device or image file; it writes nothing, not even to mend a damaged copy.
    ///
    /// - Returns: `nil` where there is no LUKS header that libcryptsetup accepts.
    public static func read(_ path: String) throws(DiskFailure) -> LUKSHeader? {
        // libcryptsetup mends a header of which one copy is damaged as soon as it reads it. It is given
        // a copy: both headers with their JSON areas lie within the first 8 MiB.
        let copy = try HeaderCopy(path)
        let handle: CryptHandle
        do throws(Errno) {
            handle = try CryptHandle("/proc/self/fd/\(copy.descriptor)")
        } catch {
            throw .unreadable(path, error)
        }
        return handle.header()
    }
}

/// The start of a device in an anonymous file of the same length.
private struct HeaderCopy: ~Copyable {
    let descriptor: Int32

    init(_ path: String) throws(DiskFailure) {
        let source = try BlockFile(path)
        let length = Int(min(source.size, 8 << 20))
        let descriptor = firstlight_memory_file("luks")
        guard descriptor >= 0 else { throw .unreadable(path, Errno(rawValue: -descriptor)) }
        let bytes = length == 0 ? [] : source.read(at: 0, count: length) ?? []
        let isWhole =
            bytes.count == length && pwrite(descriptor, bytes, length, 0) == length
            && ftruncate(descriptor, off_t(clamping: source.size)) == 0
        guard isWhole else {
            close(descriptor)
            throw .unreadable(path, .ioError)
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }
}

/// One libcryptsetup context, freed with the value.
private struct CryptHandle: ~Copyable {
    private let handle: OpaquePointer

    init(_ path: String) throws(Errno) {
        // The copy is ours alone: nothing to lock, and an initramfs has no folder for locks.
        crypt_metadata_locking(nil, 0)
        var handle: OpaquePointer?
        let result = crypt_init(&handle, path)
        guard result == 0, let handle else { throw Errno(rawValue: result < 0 ? -result : ENOMEM) }
        // What is no LUKS device is an answer here, not an event for the log.
        crypt_set_log_callback(handle, { _, _, _ in }, nil)
        self.handle = handle
    }

    deinit { crypt_free(handle) }

    func header() -> LUKSHeader? {
        guard crypt_load(handle, nil, nil) == 0, let type = crypt_get_type(handle).map({ String(cString: $0) }),
            let uuid = crypt_get_uuid(handle).map({ String(cString: $0) })
        else { return nil }
        let label = crypt_get_label(handle).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        switch type {
        case "LUKS1": return LUKSHeader(version: 1, uuid: uuid, label: nil)
        case "LUKS2": return LUKSHeader(version: 2, uuid: uuid, label: label)
        default: return nil
        }
    }
}
