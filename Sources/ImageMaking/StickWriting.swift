// Writing an image to a device, and reading it back.

import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// Writes an image to a device that ``StickDevice/check(imageSize:force:)`` found fit.
public struct StickWriting: Sendable {
    /// The image to write.
    public var image: FilePath
    /// The device to write it to: `/dev/sdb`.
    public var device: FilePath

    private static let piece = 4 << 20
    /// At the end of a disk is a copy of its old partition table: firmware would take the stick for broken.
    private static let tail: UInt64 = 1 << 20

    /// Creates a request to write an image to a device.
    public init(image: FilePath, device: FilePath) {
        self.image = image
        self.device = device
    }

    /// Why the device does not hold the image.
    public enum Failure: Error, Equatable, CustomStringConvertible, Advising {
        case busy(FilePath)
        case writing(FilePath, at: UInt64, Errno)
        case reading(FilePath, at: UInt64, Errno)
        case differs(FilePath, at: UInt64)
        /// The device is gone; this many bytes had arrived, or had been read back.
        case gone(FilePath, isReadBack: Bool, after: UInt64, of: UInt64)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .busy(let device): "\(device) is in use"
            case .writing(let device, let offset, let reason):
                "writing to \(device) failed at byte \(offset): \(reason)"
            case .reading(let device, let offset, let reason):
                "reading \(device) back failed at byte \(offset): \(reason)"
            case .differs(let device, let offset):
                "\(device) does not hold what was written to it, from byte \(offset) on"
            case .gone(let device, let isReadBack, let done, let total):
                "\(device) went away while it was \(isReadBack ? "read back" : "written to"), "
                    + "after \(ByteCount(done)) of \(ByteCount(total))"
            }
        }

        /// What the operator can do, and what is on the device now.
        public var advice: [String] {
            switch self {
            case .busy: ["Nothing was written."]
            case .writing(_, let offset, _) where offset == 0: ["Nothing was written."]
            case .writing, .reading, .gone(_, isReadBack: false, _, _):
                ["What is on it is not complete and does not boot. Plug it in again, or try another."]
            case .gone: ["All of it was written, but not compared. Plug it in again and start over, or try another."]
            case .differs: ["It does not boot. The device is worn out or has less room than it says; take another."]
            }
        }
    }

    /// Writes all of it, waits until the device has it, and compares what it holds then.
    ///
    /// - Returns: Bytes of the image.
    public func run(telling progress: MakingProgress = .untold) throws -> UInt64 {
        let input = try ByteRange(image)
        // The kernel refuses this where anything of it is mounted or held, even if that began only a moment ago.
        let output = open(device.string, O_RDWR | O_EXCL | O_CLOEXEC)
        guard output >= 0 else {
            let reason = errno
            throw reason == EBUSY ? Failure.busy(device) : Failure.writing(device, at: 0, Errno(rawValue: reason))
        }
        defer { close(output) }
        var (isReadBack, done) = (false, UInt64(0))
        do {
            try write(input, to: output, telling: progress) { done = $0 }
            (isReadBack, done) = (true, 0)
            try compare(with: input, output, telling: progress) { done = $0 }
        } catch is Failure where Self.isGone(output) {
            // The kernel's own word, an I/O error, does not tell what was pulled out from what is broken.
            throw Failure.gone(device, isReadBack: isReadBack, after: done, of: input.count)
        }
        // The kernel looks at the new partitions.
        _ = ioctl(output, UInt(0x125f), 0)
        return input.count
    }

    /// Whether the kernel no longer knows the device; it takes a moment to find out.
    private static func isGone(_ output: Int32) -> Bool {
        var status = stat()
        guard fstat(output, &status) == 0, status.st_mode & S_IFMT == S_IFBLK else { return false }
        let known = FilePath("/sys/dev/block")
        for _ in 0..<20 where Files.isFolder(known) {
            if !Files.exists(known.appending(Files.deviceNumber(status.st_rdev))) { return true }
            usleep(100_000)
        }
        return false
    }

    /// Writes the image and clears the end of the device; `arrived` gets how many bytes the device surely has.
    private func write(
        _ input: borrowing ByteRange, to output: Int32, telling progress: MakingProgress, arrived: (UInt64) -> Void
    ) throws {
        progress.step("writing \(device)")
        var at: UInt64 = 0
        while at < input.count {
            let bytes = try input.bytes(at: at, count: UInt64(Self.piece))
            try write(bytes, to: output, at: at)
            at += UInt64(bytes.count)
            // Otherwise the kernel takes all of it at once, and the time left would be a guess.
            if at % (64 << 20) == 0 {
                guard fdatasync(output) == 0 else { throw Failure.writing(device, at: at, Errno(rawValue: errno)) }
                arrived(at)
            }
            progress.bytes(at, input.count)
        }
        let size = UInt64(max(0, lseek(output, 0, SEEK_END)))
        if size > input.count {
            let start = max(input.count, size - min(size, Self.tail))
            try write([UInt8](repeating: 0, count: Int(size - start)), to: output, at: start)
        }
        guard fsync(output) == 0 else { throw Failure.writing(device, at: at, Errno(rawValue: errno)) }
    }

    private func write(_ bytes: [UInt8], to output: Int32, at offset: UInt64) throws(Failure) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                pwrite(output, $0.baseAddress?.advanced(by: done), bytes.count - done, off_t(offset) + off_t(done))
            }
            if count < 0 {
                let reason = errno
                if reason == EINTR { continue }
                throw .writing(device, at: offset + UInt64(done), Errno(rawValue: reason))
            }
            // A device signals its end by accepting no bytes.
            guard count > 0 else { throw .writing(device, at: offset + UInt64(done), .noSpace) }
            done += count
        }
    }

    private func compare(
        with input: borrowing ByteRange, _ output: Int32, telling progress: MakingProgress, same: (UInt64) -> Void
    ) throws {
        // What is read has to come from the device, not from memory: BLKFLSBUF, and for files the advice.
        _ = ioctl(output, UInt(0x1261), 0)
        posix_fadvise(output, 0, 0, POSIX_FADV_DONTNEED)
        progress.step("reading \(device) back")
        var at: UInt64 = 0
        while at < input.count {
            let wanted = try input.bytes(at: at, count: UInt64(Self.piece))
            let found: [UInt8]
            do throws(Errno) {
                found = try readBytes(output, at: at, count: wanted.count)
            } catch {
                throw Failure.reading(device, at: at, error)
            }
            guard found.count == wanted.count else {
                throw Failure.reading(device, at: at + UInt64(found.count), .ioError)
            }
            guard found == wanted else {
                let index = wanted.indices.first { wanted[$0] != found[$0] } ?? 0
                throw Failure.differs(device, at: at + UInt64(index))
            }
            at += UInt64(wanted.count)
            same(at)
            progress.bytes(at, input.count)
        }
    }
}
