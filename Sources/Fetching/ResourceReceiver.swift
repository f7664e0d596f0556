// What happens to a resource's bytes when they arrive: decompressed, hashed, kept in memory or written to a file.

import Encoding
import Glibc
import Hashing
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

/// Takes the bytes of one attempt and reports the progress.
final class ResourceReceiver: TransferReceiver {
    let decoder: ResourceDecoder
    private let wait: OpenWait
    private let progress: (@Sendable (TransferProgress) -> Void)?
    private let isWanted: () -> Bool
    private var total: UInt64?
    private var received = 0
    private var lastTold = 0.0

    init(
        _ decoder: ResourceDecoder, _ wait: OpenWait, _ progress: (@Sendable (TransferProgress) -> Void)?,
        _ isWanted: @escaping () -> Bool
    ) {
        self.decoder = decoder
        self.progress = progress
        self.wait = wait
        self.isWanted = isWanted
    }

    /// Accepts only the statuses 200 and 204; another success (206) does not bring the whole resource.
    func begin(_ head: ResponseHead) throws {
        guard head.status == 200 || head.status == 204 else { throw head.fault }
        total = head.total
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws {
        received += bytes.count
        try decoder.receive(bytes)
    }

    func tick() throws {
        if !isWanted() { throw ResourceFailure.Reason.cancelled }
        let now = monotonicSeconds()
        guard received > 0, now - lastTold >= 0.2 else { return }
        lastTold = now
        let here = TransferProgress(bytes: UInt64(received), total: total)
        wait.change { $0.reason = "\(here) so far" }
        progress?(here)
    }
}

/// Receives answers of which only the head matters.
final class NoBody: TransferReceiver {
    func begin(_ head: ResponseHead) {}
    func receive(_ bytes: UnsafeRawBufferPointer) {}
}

/// Decompresses, hashes and stores the bytes of a resource.
final class ResourceDecoder {
    private let sink: any ByteSink
    private let gunzip: Gunzip?
    private let wanted: Digest?
    private var digest: MessageDigest

    init(_ sink: any ByteSink, isCompressed: Bool, wanted: Digest?) throws {
        self.sink = sink
        self.wanted = wanted
        gunzip = isCompressed ? try Gunzip() : nil
        digest = MessageDigest(wanted?.function == .sha512 ? .sha512 : .sha256)
        try sink.restart()
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws {
        if let gunzip { try gunzip.push(bytes, to: store) } else { try store(bytes) }
    }

    private func store(_ bytes: UnsafeRawBufferPointer) throws {
        if wanted != nil { digest.update(bytes) }
        try sink.write(bytes)
    }

    func finish() throws {
        try gunzip?.finish()
        guard let wanted else { return }
        let found = digest.finish()
        guard found == wanted.bytes else {
            let name = wanted.function.rawValue
            throw ResourceFailure.Reason.wrongHash(
                wanted: "\(name)-\(hexadecimal(wanted.bytes))", found: "\(name)-\(hexadecimal(found))")
        }
    }
}

protocol ByteSink: AnyObject {
    /// Discards everything that was written.
    func restart() throws(Errno)
    func write(_ bytes: UnsafeRawBufferPointer) throws(Errno)
}

final class MemorySink: ByteSink {
    private(set) var bytes: [UInt8] = []

    func restart() { bytes = [] }
    func write(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }
}

final class FileSink: ByteSink {
    private let descriptor: Int32
    private(set) var count: UInt64 = 0

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    func restart() throws(Errno) {
        guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else {
            let reason = Errno(rawValue: errno)
            // A pipe or a device cannot be truncated, but has received nothing that has to be discarded.
            if count == 0, reason == .invalidArgument || reason == .illegalSeek { return }
            throw reason
        }
        count = 0
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(Errno) {
        try Files.writeAll(bytes, to: descriptor)
        count += UInt64(bytes.count)
    }
}
