// Files that are read in pieces, and files that appear only when they are complete.

import Glibc
import LinuxSystem
import SystemPackage

/// A file read from front to back.
package struct FileReader: ~Copyable {
    private let path: FilePath
    private let descriptor: Int32

    package init(_ path: FilePath) throws(FileFault) {
        self.path = path
        descriptor = open(path.string, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw FileFault("read", path, Errno(rawValue: errno)) }
    }

    deinit { close(descriptor) }

    /// The next `count` bytes; fewer only at the end of the file.
    package func next(_ count: Int) throws(FileFault) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes {
                read(descriptor, $0.baseAddress?.advanced(by: filled), count - filled)
            }
            if got == 0 { break }
            if got < 0 {
                let reason = errno
                if reason == EINTR { continue }
                throw FileFault("read", path, Errno(rawValue: reason))
            }
            filled += got
        }
        bytes.removeLast(count - filled)
        return bytes
    }
}

/// A file under a temporary name beside its own, which it gets with ``finish(permissions:)``.
package struct PendingFile: ~Copyable {
    private let path: FilePath
    private let temporary: String
    private let descriptor: Int32
    /// Bytes written so far.
    package private(set) var length: UInt64 = 0

    package init(_ path: FilePath) throws(FileFault) {
        self.path = path
        var template = Array("\(path).XXXXXX".utf8CString)
        // Until it is finished, only the owner can read it.
        descriptor = mkstemp(&template)
        if descriptor < 0 { throw FileFault("write", path, Errno(rawValue: errno)) }
        temporary = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Removes an unfinished file.
    deinit {
        unlink(temporary)
        close(descriptor)
    }

    package mutating func write(_ bytes: [UInt8]) throws(FileFault) {
        do { try Files.writeAll(bytes, to: descriptor) } catch { throw FileFault("write", path, error) }
        length += UInt64(bytes.count)
    }

    /// Writes the whole of another file, a piece at a time.
    package mutating func write(contentsOf file: FilePath) throws(FileFault) {
        let reader = try FileReader(file)
        while true {
            let bytes = try reader.next(1 << 20)
            if bytes.isEmpty { return }
            try write(bytes)
        }
    }

    package consuming func finish(permissions: mode_t) throws(FileFault) {
        guard fchmod(descriptor, permissions) == 0, fsync(descriptor) == 0, rename(temporary, path.string) == 0 else {
            throw FileFault("write", path, Errno(rawValue: errno))
        }
    }
}

/// A folder that goes away, with all it holds, at the end of the value.
package struct TemporaryFolder: ~Copyable {
    package let path: FilePath

    /// Makes the folder in `parent`.
    ///
    /// Large files fit better into /var/tmp than into /tmp. Throws where it cannot be made.
    package init(in parent: FilePath = "/var/tmp") throws(FileFault) {
        var template = Array(parent.appending("firstlight-image.XXXXXX").string.utf8CString)
        guard mkdtemp(&template) != nil else { throw FileFault("write to", parent, Errno(rawValue: errno)) }
        path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    deinit { removeTree(path) }
}

/// Removes a folder and its content; links in it are removed, not followed.
private func removeTree(_ folder: FilePath) {
    for name in Files.names(in: folder) {
        let path = folder.appending(name)
        if unlink(path.string) != 0 { removeTree(path) }
    }
    rmdir(folder.string)
}
