// Files that are read and written at offsets.

import BootMedia
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// An open file, closed with the value.
final class MediaFile: Sendable {
    let path: String
    let descriptor: Int32

    init(owning descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit {
        // Otherwise a program that is just starting would hold the descriptor, and with it the lock, for a moment.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    /// Opens what is there.
    convenience init(_ path: String, forWriting: Bool = false) throws {
        let descriptor = try step("opening \(path)") {
            let descriptor = open(path, (forWriting ? O_RDWR : O_RDONLY) | O_CLOEXEC)
            guard descriptor >= 0 else { throw SystemFault.current }
            return descriptor
        }
        self.init(owning: descriptor, path: path)
    }

    /// Makes a file that is not there yet.
    convenience init(new path: String, mode: mode_t) throws {
        let descriptor = try step("opening \(path)") {
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
            guard descriptor >= 0 else { throw SystemFault.current }
            return descriptor
        }
        self.init(owning: descriptor, path: path)
    }

    /// Identifies the file among all others, whatever its names are.
    var identity: [UInt64] {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? [UInt64(status.st_dev), UInt64(status.st_ino)] : []
    }

    /// In bytes; of a device too.
    var length: UInt64 {
        get throws {
            let end = lseek(descriptor, 0, SEEK_END)
            guard end >= 0 else { throw SystemFault.current }
            guard lseek(descriptor, 0, SEEK_SET) >= 0 else { throw SystemFault.current }
            return UInt64(end)
        }
    }

    /// Its bytes, to be read where they are needed.
    var source: ByteSource {
        get throws {
            let length = try step("opening \(path)") { () throws -> UInt64 in try self.length }
            // The closure keeps the file open.
            return ByteSource(length: length) { [self] offset, buffer in try read(into: buffer, at: offset) }
        }
    }

    private func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        let count = try SystemFault.converting { () throws(Errno) in
            try fill(buffer, from: descriptor, at: offset)
        }
        guard count == buffer.count else { throw EndOfImage(length: offset + UInt64(count)) }
    }

    /// Writes all of it there.
    func write(_ bytes: [UInt8], at offset: UInt64) throws {
        try step("writing \(bytes.count) bytes at \(offset)") {
            var done = 0
            while done < bytes.count {
                let count = bytes.withUnsafeBytes {
                    pwrite(
                        descriptor, $0.baseAddress?.advanced(by: done), bytes.count - done, off_t(offset) + off_t(done))
                }
                if count < 0 {
                    let fault = SystemFault.current
                    if fault.reason == .interrupted { continue }
                    throw fault
                }
                done += count
            }
        }
    }

    /// Writes behind what was written last.
    func append(_ bytes: UnsafeRawBufferPointer) throws {
        try step("writing \(path)") {
            try SystemFault.converting { () throws(Errno) in try Files.writeAll(bytes, to: descriptor) }
        }
    }

    func append(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try append($0) } }

    func sync() throws {
        guard fsync(descriptor) == 0 else {
            let fault = SystemFault.current
            // A pipe or a device that knows nothing to sync.
            if fault.reason == .invalidArgument || Errno(rawValue: EROFS) == fault.reason { return }
            throw BootFailure(steps: ["syncing \(path)"], cause: fault)
        }
    }
}

extension ByteSource {
    static let partLength = 1 << 20

    /// Hands over a range of bytes in parts.
    ///
    /// `body` gets each part, and `progress` the number of bytes handed over so far. Throws what `body` throws, and
    /// where bytes cannot be read.
    func forEachPart(
        _ range: Range<UInt64>, progress: (UInt64) -> Void = { _ in }, _ body: ([UInt8]) throws -> Void
    ) throws {
        var position = range.lowerBound
        while position < range.upperBound {
            let part = try bytes(at: position, count: Int(min(range.upperBound - position, UInt64(Self.partLength))))
            try body(part)
            position += UInt64(part.count)
            progress(position - range.lowerBound)
        }
    }
}
