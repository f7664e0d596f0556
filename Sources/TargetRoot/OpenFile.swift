// Open files: of the target, and ours on their way into it.

import CLinux
import Encoding
import Glibc
import Hashing
import LinuxSystem
import SystemPackage

/// An open file, closed with its last user.
///
/// Its functions begin at the file's start unless they say otherwise.
final class OpenFile: Sendable {
    let descriptor: Int32
    /// The path in messages.
    let path: String

    init(owning descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// What the last call of the C library has left in `errno`.
    private func fault(_ act: String) -> TargetFault { .cannot(act, path: path, Errno(rawValue: errno)) }

    // MARK: Looking

    func status(to act: String = "read") throws(TargetFault) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw fault(act) }
        return status
    }

    func seek(to position: off_t) throws(TargetFault) {
        if lseek(descriptor, position, SEEK_SET) < 0 { throw fault("read") }
    }

    /// Reads on until the buffer is full or the file ends.
    ///
    /// - Returns: How many bytes were read.
    func fill(_ buffer: inout [UInt8]) throws(TargetFault) -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = buffer.withUnsafeMutableBytes { bytes in
                read(descriptor, bytes.baseAddress?.advanced(by: filled), bytes.count - filled)
            }
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw fault("read")
            }
            filled += count
        }
        return filled
    }

    func bytes() throws(TargetFault) -> [UInt8] {
        try seek(to: 0)
        do throws(Errno) { return try readAll(descriptor) } catch { throw .cannot("read", path: path, error) }
    }

    /// Whether it equals another file.
    func equals(_ other: OpenFile) throws(TargetFault) -> Bool {
        try status().st_size == other.status().st_size ? try ends(with: other) : false
    }

    /// Whether it ends with all of another file.
    func ends(with other: OpenFile) throws(TargetFault) -> Bool {
        let (size, wanted) = (try status().st_size, try other.status().st_size)
        guard size >= wanted else { return false }
        try seek(to: size - wanted)
        try other.seek(to: 0)
        return try continues(with: other)
    }

    /// Whether both go on alike to the end of the other one.
    private func continues(with other: OpenFile) throws(TargetFault) -> Bool {
        var (ours, theirs) = ([UInt8](repeating: 0, count: 64 << 10), [UInt8](repeating: 0, count: 64 << 10))
        while true {
            let count = try other.fill(&theirs)
            if count == 0 { return true }
            guard try fill(&ours) >= count, ours[..<count] == theirs[..<count] else { return false }
        }
    }

    /// Whether something stands behind a position, and all of it is what another file begins with.
    func isBeginning(of other: OpenFile, from position: off_t) throws(TargetFault) -> Bool {
        let (size, most) = (try status().st_size, try other.status().st_size)
        guard size > position, size - position <= most else { return false }
        try seek(to: position)
        try other.seek(to: 0)
        return try other.continues(with: self)
    }

    /// The SHA-256 in hexadecimal.
    func sha256() throws(TargetFault) -> String {
        try seek(to: 0)
        var digest = MessageDigest(.sha256)
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = try fill(&buffer)
            if count == 0 { return hexadecimal(digest.finish()) }
            buffer.withUnsafeBytes { digest.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    // MARK: Writing

    /// Writes where it stands.
    func write(_ bytes: some Collection<UInt8>) throws(TargetFault) {
        do throws(Errno) {
            try Files.writeAll(bytes, to: descriptor)
        } catch {
            throw .cannot("write", path: path, error)
        }
    }

    /// Writes a secret where it stands, and leaves no copy in memory.
    func write(_ secret: SecretBytes) throws(TargetFault) {
        do throws(Errno) {
            try secret.withBytes { bytes throws(Errno) in
                try Files.writeAll(UnsafeRawBufferPointer(bytes), to: descriptor)
            }
        } catch {
            throw .cannot("write", path: path, error)
        }
    }

    /// Adds all of another file to the end.
    func append(contentsOf other: OpenFile) throws(TargetFault) {
        try other.seek(to: 0)
        if lseek(descriptor, 0, SEEK_END) < 0 { throw fault("write") }
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = try other.fill(&buffer)
            if count == 0 { return }
            try write(buffer[..<count])
        }
    }

    func truncate(to length: off_t, to act: String = "write") throws(TargetFault) {
        if ftruncate(descriptor, length) != 0 { throw fault(act) }
    }

    /// Waits until all of it is on the disk.
    func flush(to act: String = "write") throws(TargetFault) {
        if fsync(descriptor) != 0 { throw fault(act) }
    }

    /// Sets the mode, after the owner: a change of owner clears the setuid bit.
    func setMode(_ mode: UInt32) throws(TargetFault) {
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & 0o7777 == mode { return }
        if fchmod(descriptor, mode) != 0 { throw fault("set the mode of") }
    }

    // MARK: Attributes

    var attributeNames: [String] {
        let size = flistxattr(descriptor, nil, 0)
        guard size > 0 else { return [] }
        var buffer = [CChar](repeating: 0, count: size)
        let count = flistxattr(descriptor, &buffer, buffer.count)
        guard count > 0 else { return [] }
        return buffer[..<count].split(separator: 0).map {
            String(decoding: $0.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    func attribute(_ name: String) -> [UInt8]? {
        let size = fgetxattr(descriptor, name, nil, 0)
        guard size >= 0 else { return nil }
        var value = [UInt8](repeating: 0, count: size)
        let count = fgetxattr(descriptor, name, &value, size)
        return count < 0 ? nil : Array(value[..<count])
    }

    /// Gives another file the access lists, capabilities and other attributes of this one.
    func copyAttributes(to other: OpenFile, to act: String) throws(TargetFault) {
        for name in attributeNames {
            guard let value = attribute(name) else { continue }
            if fsetxattr(other.descriptor, name, value, value.count, 0) != 0 { throw other.fault(act) }
        }
    }
}

extension TargetEntry {
    /// Opens what is there.
    ///
    /// A failure says `act` for what it was opened for: `read`.
    func openFile(_ flags: Int32, to act: String) throws(TargetFault) -> OpenFile {
        do throws(Errno) {
            return OpenFile(owning: try open(flags), path: path)
        } catch {
            throw .cannot(act, path: path, error)
        }
    }

    /// Makes a file of mode 0600; what has its name is removed.
    func createFile() throws(TargetFault) -> OpenFile { OpenFile(owning: try create(), path: path) }

    /// The same without its name: it is gone when it is closed.
    func createUnnamed() throws(TargetFault) -> OpenFile {
        let file = try createFile()
        try? remove()
        return file
    }

    /// Whether a file equals its successor in every respect; it then stays, and keeps its times.
    ///
    /// What `owner` leaves open is root's. Throws where the contents cannot be compared.
    func isSame(as successor: OpenFile, mode: UInt32, owner: OwnerNumbers) throws(TargetFault) -> Bool {
        guard let status, status.st_mode == S_IFREG | mode, status.st_uid == owner.user ?? 0,
            status.st_gid == owner.group ?? 0, let file = try? openFile(O_RDONLY, to: "read")
        else { return false }
        // A new file would not have the access lists and capabilities of this one.
        guard file.attributeNames.allSatisfy({ $0 == "security.selinux" }) else { return false }
        return try file.equals(successor)
    }
}
