// Verifies a root image's stream and keeps only the image in RAM.

import Fetching
import Glibc
import Hashing
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// Takes the stream in order, block by block.
///
/// With a stream hash, no byte is used before its chunk was verified. With a hash of the image, none of its bytes is
/// kept before that. With a hash of the whole, nothing is returned before the last byte was verified.
final class RootImageUnpacker {
    /// What is known about the image so far.
    struct Found {
        var format: RootImageFormat
        var offset: UInt64
        var length: UInt64
        var file: FilePath?
    }

    private let request: RootImageRequest
    private let machine: RootImageMachine
    /// Whether the image is kept, or only checked where it is.
    private let keeps: Bool
    private let tell: (RootImageEvent) -> Void
    private var verifier: ChunkVerifier?
    private var imageVerifier: ChunkVerifier?
    private var digest: MessageDigest?
    private var reader = RootImageReader()
    private var image: OutputFile?
    private var installImage: OutputFile?
    /// Install images that stay in ``staging`` until everything was verified.
    private var stagedInstallImages: [String] = []

    /// The source of the bytes, for messages.
    var source: String
    /// Bytes of the stream that were processed; it can be requested again from here.
    private(set) var position: UInt64 = 0
    private(set) var found: Found?
    private(set) var version: String?
    private(set) var droppedInstallImages: [String] = []

    init(
        _ request: RootImageRequest, source: String, keeps: Bool, on machine: RootImageMachine,
        telling tell: @escaping (RootImageEvent) -> Void
    ) {
        self.request = request
        self.source = source
        self.keeps = keeps
        self.machine = machine
        self.tell = tell
        restart()
    }

    /// Discards everything and frees its RAM: the stream starts again.
    func restart() {
        if let file = found?.file { try? Files.remove(file) }
        machine.restoreReserve()
        discardInstallImages()
        verifier = request.streamHash.map { ChunkVerifier($0, digest: MessageDigest.sha256) }
        imageVerifier = request.imageHash.map { ChunkVerifier($0, digest: MessageDigest.sha256) }
        digest = request.sha256 == nil ? nil : MessageDigest(.sha256)
        reader = RootImageReader()
        image = nil
        installImage = nil
        position = 0
        found = nil
        version = nil
        droppedInstallImages = []
    }

    /// Throws if the length alone shows that the image is wrong or cannot be kept.
    func check(total: UInt64) throws {
        if let wanted = request.streamHash?.lengths, !wanted.contains(total) {
            throw RootImageError.wrongLength(source: source, bytes: total, wanted: wanted)
        }
        if keeps, found == nil { try inTurn { try checkMemory(total, besides: request.allowance) } }
    }

    func consume(_ block: UnsafeRawBufferPointer, isLast: Bool) throws(RootImageError) {
        do {
            var rest = block
            if verifier == nil {
                digest?.update(rest)
                try unpack(rest)
                position += UInt64(rest.count)
            } else {
                while let chunk = try verifier?.next(&rest, last: isLast) {
                    // The digest gets only verified chunks, because a wrong one comes again from the next mirror.
                    digest?.update(chunk)
                    try unpack(chunk)
                    position += UInt64(chunk.count)
                }
            }
            if isLast { try finish() }
        } catch let mismatch as StreamHashMismatch {
            throw .wrongChunk(source: source, mismatch)
        } catch let fault as RootImageFault {
            throw .unusable(source: source, fault)
        } catch let error as RootImageError {
            throw error
        } catch let fault as FileFault {
            throw .cannotStore(fault.path, fault.reason)
        } catch {
            throw .unexpected("\(error)")
        }
    }

    private func finish() throws {
        if let wanted = request.sha256, let sha256 = digest?.finish(), sha256 != wanted {
            throw RootImageError.wrongHash(source: source, wanted: wanted, found: sha256)
        }
        try reader.finish()
        guard let found else { throw RootImageFault.noImage }
        try keep(UnsafeRawBufferPointer(start: nil, count: 0), isLast: true)
        // The last block of the filesystem counts in full, and loop devices have whole sectors only.
        try image?.setLength((found.length + 4095) / 4096 * 4096)
        image = nil
        try publishInstallImages()
    }

    /// Keeps the image's next bytes, after verifying them if the image's own hash is known.
    private func keep(_ bytes: UnsafeRawBufferPointer, isLast: Bool = false) throws {
        guard imageVerifier != nil else { return try image?.write(bytes) ?? () }
        var rest = bytes
        while let chunk = try imageVerifier?.next(&rest, last: isLast) { try image?.write(chunk) }
    }

    private func unpack(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while let event = try reader.next(&rest) {
            switch event {
            case .image(let format, let offset, let length): try begin(format, offset: offset, length: length)
            case .imageData(let data): try keep(data)
            case .version(let text):
                version = text
                if let wanted = request.version, wanted != text {
                    throw RootImageError.wrongVersion(source: source, found: text, initramfs: wanted)
                }
            case .installImage(let name, let length):
                installImage = nil
                if let staging, request.keepsInstallImage(length, on: machine) {
                    try Files.makeFolder(staging, mode: 0o700)
                    stagedInstallImages.append(name)
                    installImage = try OutputFile(staging.appending(name))
                } else {
                    droppedInstallImages.append(name)
                }
            case .installImageData(let data): try installImage?.write(data)
            }
        }
    }

    // MARK: Install images

    /// A folder beside the one that an installer reads, which gets nothing before it was verified.
    private var staging: FilePath? { request.installImages.map { FilePath("\($0).unverified") } }

    private func publishInstallImages() throws {
        installImage = nil
        guard let folder = request.installImages, let staging, !stagedInstallImages.isEmpty else { return }
        try Files.makeFolder(folder)
        for name in stagedInstallImages { try Files.move(staging.appending(name), to: folder.appending(name)) }
        stagedInstallImages = []
        rmdir(staging.string)
    }

    private func discardInstallImages() {
        installImage = nil
        guard let staging, !stagedInstallImages.isEmpty else { return }
        for name in stagedInstallImages { try? Files.remove(staging.appending(name)) }
        stagedInstallImages = []
        rmdir(staging.string)
    }

    // MARK: The image

    private func begin(_ format: RootImageFormat, offset: UInt64, length: UInt64) throws {
        found = Found(format: format, offset: offset, length: length)
        guard keeps else { return }
        try inTurn {
            try checkMemory(length, besides: request.allowance - Self.takenUntilThen)
            // The size is in whole pages, with an extra for the filesystem itself.
            try machine.makeStore(request.folder, (length + 4095) / 4096 * 4096 + 65536)
        }
        let file = request.folder.appending("root.\(format)")
        image = try OutputFile(file)
        found?.file = file
    }

    /// The RAM that the derivation of a LUKS key takes is free again afterwards.
    private func inTurn(_ body: () throws -> Void) throws {
        var failure: (any Error)?
        machine.inTurn { do { try body() } catch { failure = error } }
        if let failure { throw failure }
    }

    /// Bytes of the allowance that are taken when the first bytes of the image are here: buffers, threads.
    private static let takenUntilThen: UInt64 = 4 << 20

    private func checkMemory(_ length: UInt64, besides allowance: UInt64) throws(RootImageError) {
        guard var available = machine.availableMemory() else { return }
        let (sum, overflow) = length.addingReportingOverflow(allowance)
        let needed = overflow ? .max : sum
        guard needed > available else { return }
        let change = machine.lowerReserve()
        available = machine.availableMemory() ?? available
        var dropped: UInt64?
        if needed > available {
            var droppable = machine.droppableDrivers()
            // The drivers cannot be put back, so they are dropped only if that is enough.
            if needed - available <= droppable {
                dropped = machine.dropDrivers()
                droppable = 0
                available = machine.availableMemory() ?? available
            }
            available += droppable
        }
        if needed > available {
            machine.restoreReserve()
            throw .tooLittleMemory(image: length, needed: needed, available: available)
        }
        if let change { tell(.reserveLowered(change)) }
        if let dropped { tell(.driversDropped(dropped)) }
    }
}

/// A file that is written from its start, closed with the value.
private struct OutputFile: ~Copyable {
    private let descriptor: Int32
    private let path: FilePath

    init(_ path: FilePath) throws(FileFault) {
        let descriptor = open(path.string, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileFault("write", path, Errno(rawValue: errno)) }
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    borrowing func write(_ bytes: UnsafeRawBufferPointer) throws(FileFault) {
        do throws(Errno) {
            try Files.writeAll(bytes, to: descriptor)
        } catch {
            throw FileFault("write", path, error)
        }
    }

    borrowing func setLength(_ length: UInt64) throws(FileFault) {
        guard ftruncate(descriptor, off_t(length)) == 0 else {
            throw FileFault("write", path, Errno(rawValue: errno))
        }
    }
}
