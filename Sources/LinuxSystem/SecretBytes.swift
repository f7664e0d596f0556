// Key material in memory, never swapped, and wiped before the memory is freed.

import Encoding
import Glibc
import SystemPackage

/// A fixed number of secret bytes.
public final class SecretBytes: @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer

    /// Creates a secret of zeros.
    public init(count: Int) {
        // A secret has its own pages: unlocking one must not unlock another.
        let page = Int(getpagesize())
        memory = .allocate(byteCount: (max(1, count) + page - 1) / page * page, alignment: page)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        self.count = count
        // Without the right to lock memory, it is still wiped.
        mlock(memory.baseAddress, memory.count)
        madvise(memory.baseAddress, memory.count, MADV_DONTDUMP)
    }

    /// The number of bytes.
    public let count: Int

    /// Creates a copy of bytes.
    public convenience init(_ bytes: [UInt8]) {
        self.init(count: bytes.count)
        memory.copyBytes(from: bytes)
    }

    /// Whether both have the same bytes.
    public func hasSameBytes(as other: SecretBytes) -> Bool {
        count == other.count && memory[..<count].elementsEqual(other.memory[..<count])
    }

    /// Reads the whole content of an open file.
    public convenience init(contentsOf descriptor: Int32) throws(Errno) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Errno(rawValue: errno) }
        self.init(count: Int(status.st_size))
        guard try fill(UnsafeMutableRawBufferPointer(rebasing: memory[..<count]), from: descriptor, at: 0) == count
        else { throw .ioError }
    }

    /// The same of a file by its path.
    public convenience init(contentsOf path: FilePath) throws(FileFault) {
        let descriptor = open(path.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last("read", path) }
        defer { close(descriptor) }
        do throws(Errno) {
            try self.init(contentsOf: descriptor)
        } catch {
            throw FileFault("read", path, error)
        }
    }

    /// That many random bytes, written as hexadecimal digits.
    public static func randomDigits(bytes: Int) -> SecretBytes {
        let random = SecretBytes(count: bytes)
        // The kernel's generator waits until it has been seeded.
        if let start = random.memory.baseAddress { arc4random_buf(start, bytes) }
        let digits = SecretBytes(count: bytes * 2)
        for (index, byte) in random.memory.prefix(bytes).enumerated() {
            digits.memory[2 * index] = hexadecimalDigit(byte >> 4)
            digits.memory[2 * index + 1] = hexadecimalDigit(byte & 15)
        }
        return digits
    }

    /// Calls `body` with the memory of the secret, which is valid during the call.
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeMutableRawBufferPointer(rebasing: memory[..<count]))
    }

    deinit {
        if let start = memory.baseAddress { explicit_bzero(start, memory.count) }
        munlock(memory.baseAddress, memory.count)
        memory.deallocate()
    }
}
