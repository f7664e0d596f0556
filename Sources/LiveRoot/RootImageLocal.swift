// A root image that needs no network: it came with the initramfs, or is on an ISO.

import Fetching
import Glibc
import Hashing
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

extension RootImageRequest {
    /// Finds the image that the kernel unpacked from a second initrd.
    ///
    /// If the kernel ran out of room, it left a short file and reported that only in its log; the superblock shows it.
    func findInInitramfs(
        _ root: FilePath, on machine: RootImageMachine, telling tell: (RootImageEvent) -> Void
    ) throws -> RootImage {
        let candidates = LiveImageName.rootImages.map { root.appending($0) }
        guard let file = candidates.first(where: { Files.exists($0) }) else {
            throw RootImageError.missing(candidates)
        }
        let found = try LocalImage(file)
        let marker = root.appending(LiveImageName.rootfsVersion)
        let version: String?
        do throws(FileFault) {
            version = trimmed(try Files.read(marker))
        } catch {
            guard error.reason == .noSuchFileOrDirectory else { throw RootImageError.cannotRead(marker, error.reason) }
            version = nil
        }
        if let wanted = self.version, let version, wanted != version {
            throw RootImageError.wrongVersion(source: "\(marker)", found: version, initramfs: wanted)
        }
        let bytes = Files.size(file) ?? 0
        guard bytes >= found.format.length else {
            throw RootImageError.truncatedInInitramfs(file, found.format, bytes: bytes)
        }
        let verifiedBy = try checkUnpacked(file, length: bytes, telling: tell)
        let dropped = try moveInstallImages(from: root, on: machine)
        return RootImage(
            file: file, offset: 0, size: bytes, format: found.format.filesystem, version: version,
            verifiedBy: verifiedBy, source: "\(file)", droppedInstallImages: dropped)
    }

    /// Checks the image itself, because the kernel has unpacked the archive and it is gone.
    private func checkUnpacked(
        _ file: FilePath, length: UInt64, telling tell: (RootImageEvent) -> Void
    ) throws -> RootImage.VerifiedBy {
        guard hasHash else { return .bootMedium }
        if imageHash == nil, sha256 == nil { throw RootImageError.archiveIsGone(file) }
        let check = ImageVerifier(self, source: "\(file)")
        tell(.started(source: "\(file)", total: length))
        try stream(file, total: length, chunkSize: imageHash?.chunkSize, into: check.consume, telling: tell)
        if let sha256, check.found != sha256 {
            throw RootImageError.notOfTheImage(file, wanted: sha256, found: check.found)
        }
        return imageHash != nil ? .streamHash : .sha256
    }

    /// Moves packed install images of the initramfs to where an installer looks for them, or removes them.
    ///
    /// Returns the names of those that were removed.
    private func moveInstallImages(
        from root: FilePath, on machine: RootImageMachine
    ) throws(RootImageError) -> [String] {
        var dropped: [String] = []
        for name in Files.names(in: root) where name.hasSuffix(LiveImageName.installImageSuffix) {
            let file = root.appending(name)
            do throws(FileFault) {
                let length = Files.size(file) ?? 0
                // Until the file is removed, there are two.
                if let installImages, keepsInstallImage(length, on: machine) {
                    try copy(file, offset: 0, length: length, to: installImages, as: name)
                } else {
                    dropped.append(name)
                }
                try Files.remove(file)
            } catch {
                throw .cannotStore(error.path, error.reason)
            }
        }
        return dropped
    }

    /// Bytes of RAM that a packed install image leaves to the system, which needs it less.
    private static let spare: UInt64 = 64 << 20

    /// Whether a packed install image of that many bytes is put where an installer looks for it.
    func keepsInstallImage(_ length: UInt64, on machine: RootImageMachine) -> Bool {
        guard let installImages else { return false }
        if needsInstallImages { return true }
        // A half of the RAM or less is for all of `/run`.
        if installImages.starts(with: "/run"), let room = Mounts.room(at: "/run"), room < length { return false }
        var known: UInt64?
        machine.inTurn { known = machine.availableMemory() }
        guard let available = known else { return true }
        return available >= length && available - length >= Self.spare
    }

    /// Uses the image of an ISO in place or copies it into RAM.
    ///
    /// If a hash is known, it is verified, for which it is read once from start to end.
    func getFromISO(
        _ folder: FilePath, copyToRAM: Bool, on machine: RootImageMachine,
        telling tell: @escaping (RootImageEvent) -> Void
    ) throws -> RootImage {
        let file = folder.appending(LiveImageName.rootfsOnISO)
        guard let total = Files.size(file) else { throw RootImageError.missing([file]) }
        var request = self
        if !checksMedium, !copyToRAM {
            // A hash on the command line was chosen by the operator, who wants nothing else mounted.
            request.streamHash = nil
            request.imageHash = nil
        }
        guard copyToRAM || request.hasHash else {
            var image = try lookAt(file, on: machine)
            image.staysOnMedium = true
            if hasHash { image.verifiedBy = .leftOut }
            return image
        }
        let unpacker = RootImageUnpacker(
            request, source: "\(file)", keeps: copyToRAM, on: machine, telling: tell)
        try unpacker.check(total: total)
        tell(.started(source: "\(file)", total: total))
        do {
            let chunkSize = request.streamHash?.chunkSize
            try stream(file, total: total, chunkSize: chunkSize, into: unpacker.consume, telling: tell)
        } catch {
            unpacker.restart()
            throw error
        }
        guard let found = unpacker.found else { throw RootImageError.unusable(source: "\(file)", .noImage) }
        return RootImage(
            file: found.file ?? file, offset: copyToRAM ? 0 : found.offset, size: found.length,
            format: found.format.filesystem, version: unpacker.version, bytesFetched: total,
            verifiedBy: request.verifiedBy(otherwise: .bootMedium), source: "\(file)",
            droppedInstallImages: unpacker.droppedInstallImages, staysOnMedium: !copyToRAM)
    }

    private func stream(
        _ file: FilePath, total: UInt64, chunkSize: Int?, into consume: (UnsafeRawBufferPointer, Bool) throws -> Void,
        telling tell: (RootImageEvent) -> Void
    ) throws {
        let descriptor = open(file.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw RootImageError.cannotRead(file, Errno(rawValue: errno)) }
        defer { close(descriptor) }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
        let pipe = BlockPipe(chunkSize: chunkSize ?? StreamHash.usualChunkSize)
        var meter = RateMeter()
        var bytes: UInt64 = 0
        try pipe.run(consume: consume) {
            while true {
                let count: Int
                do { count = try pipe.read(from: descriptor) } catch let reason as Errno {
                    throw RootImageError.cannotRead(file, reason)
                }
                if count == 0 { break }
                if waits.isCancelled() { throw RootImageError.cancelled }
                bytes += UInt64(count)
                let rate = meter.rate(at: monotonicSeconds(), bytes: bytes)
                tell(.progress(TransferProgress(bytes: bytes, total: total, rate: rate)))
            }
            pipe.complete()
        }
    }

    /// Finds the image in a `rootfs.img` by reading only the headers.
    private func lookAt(_ file: FilePath, on machine: RootImageMachine) throws(RootImageError) -> RootImage {
        var walk = try ArchiveWalk(file)
        let total = Files.size(file) ?? 0
        let head = try walk.bytes(at: 0, count: NewcHeader.magic.count)
        if head != NewcHeader.magic {
            let found = try LocalImage(file)
            guard found.format.length <= total else {
                throw .unusable(source: "\(file)", .truncated(found.format, has: total))
            }
            return RootImage(
                file: file, offset: 0, size: total, format: found.format.filesystem, verifiedBy: .bootMedium,
                source: "\(file)")
        }
        var image: RootImage?
        var version: String?
        var installImages: [NewcHeader] = []
        while let header = try walk.next() {
            let name = normalizedMemberName(header.name)
            if LiveImageName.rootImages.contains(name) {
                guard image == nil else { throw .unusable(source: "\(file)", .twoImages(second: name)) }
                let bytes = try walk.bytes(at: header.dataOffset, count: RootImageFormat.headLength)
                guard let format = bytes.withUnsafeBytes(RootImageFormat.init(head:)) else {
                    throw .unusable(source: "\(file)", .unknown(what: nil, member: name))
                }
                guard format.length <= header.size, header.dataOffset + UInt64(header.size) <= total else {
                    throw .unusable(source: "\(file)", .truncated(format, has: min(UInt64(header.size), total)))
                }
                image = RootImage(
                    file: file, offset: header.dataOffset, size: UInt64(header.size), format: format.filesystem,
                    verifiedBy: .bootMedium, source: "\(file)")
            } else if name == LiveImageName.rootfsVersion {
                version = trimmed(try walk.bytes(at: header.dataOffset, count: Int(min(header.size, 4096))))
            } else if name.hasSuffix(LiveImageName.installImageSuffix), !name.contains("/") {
                installImages.append(header)
            }
        }
        guard var image else { throw .unusable(source: "\(file)", .noImage) }
        if let wanted = self.version, let version, wanted != version {
            throw .wrongVersion(source: "\(file)", found: version, initramfs: wanted)
        }
        image.version = version
        for header in installImages {
            let name = normalizedMemberName(header.name)
            guard let folder = self.installImages, keepsInstallImage(UInt64(header.size), on: machine) else {
                image.droppedInstallImages.append(name)
                continue
            }
            do {
                try copy(file, offset: header.dataOffset, length: UInt64(header.size), to: folder, as: name)
            } catch { throw .cannotStore(error.path, error.reason) }
        }
        return image
    }

    private func copy(
        _ file: FilePath, offset: UInt64, length: UInt64, to folder: FilePath, as name: String
    ) throws(FileFault) {
        try Files.makeFolder(folder)
        let goal = folder.appending(name)
        let source = open(file.string, O_RDONLY | O_CLOEXEC)
        guard source >= 0 else { throw FileFault("read", file, Errno(rawValue: errno)) }
        defer { close(source) }
        let target = open(goal.string, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard target >= 0 else { throw FileFault("write", goal, Errno(rawValue: errno)) }
        defer { close(target) }
        var position = off_t(offset)
        var left = length
        while left > 0 {
            let count = sendfile(target, source, &position, Int(min(left, 1 << 30)))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw FileFault("write", goal, count == 0 ? .ioError : Errno(rawValue: errno)) }
            left -= UInt64(count)
        }
    }
}

/// Hashes a filesystem image block by block.
private final class ImageVerifier {
    private let hasDigest: Bool
    private var verifier: ChunkVerifier?
    private var digest = MessageDigest(.sha256)
    private let source: String
    /// The SHA-256 of the whole image, if it is needed.
    private(set) var found: [UInt8] = []

    init(_ request: RootImageRequest, source: String) {
        hasDigest = request.sha256 != nil
        verifier = request.imageHash.map { ChunkVerifier($0, digest: MessageDigest.sha256) }
        self.source = source
    }

    func consume(_ block: UnsafeRawBufferPointer, isLast: Bool) throws {
        if hasDigest { digest.update(block) }
        var rest = block
        do throws(StreamHashMismatch) {
            while try verifier?.next(&rest, last: isLast) != nil {}
        } catch {
            throw RootImageError.wrongChunk(source: source, error)
        }
        if isLast, hasDigest { found = digest.finish() }
    }
}

/// A file that is itself a root image.
private struct LocalImage {
    var format: RootImageFormat

    init(_ file: FilePath) throws(RootImageError) {
        let head = try ArchiveWalk(file).bytes(at: 0, count: 64 << 10)
        var reader = RootImageReader()
        var format: RootImageFormat?
        do throws(RootImageFault) {
            try head.withUnsafeBufferPointer { (bytes) throws(RootImageFault) in
                var slice = UnsafeRawBufferPointer(bytes)
                if case .image(let found, _, _)? = try reader.next(&slice) { format = found }
            }
            if format == nil { try reader.finish() }
        } catch {
            throw .unusable(source: "\(file)", error)
        }
        guard let format else { throw .unusable(source: "\(file)", .noImage) }
        self.format = format
    }
}

/// Goes from header to header of an archive in a file.
private struct ArchiveWalk: ~Copyable {
    private let file: FilePath
    private let descriptor: Int32
    private var reader = NewcReader()

    init(_ file: FilePath) throws(RootImageError) {
        self.file = file
        descriptor = open(file.string, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .cannotRead(file, Errno(rawValue: errno)) }
    }

    deinit { close(descriptor) }

    /// Up to `count` bytes; fewer at the end of the file.
    borrowing func bytes(at offset: UInt64, count: Int) throws(RootImageError) -> [UInt8] {
        do throws(Errno) {
            return try readBytes(descriptor, at: offset, count: count)
        } catch {
            throw .cannotRead(file, error)
        }
    }

    /// The header of the next regular file; `nil` after the last.
    mutating func next() throws(RootImageError) -> NewcHeader? {
        while true {
            let some = try bytes(at: reader.offset, count: 512)
            do throws(NewcError) {
                if some.isEmpty {
                    try reader.finish()
                    return nil
                }
                let event = try some.withUnsafeBufferPointer { (all) throws(NewcError) in
                    var slice = UnsafeRawBufferPointer(all)
                    return try reader.next(&slice)
                }
                switch event {
                case .member(let header):
                    reader.skipData()
                    if header.isRegularFile { return header }
                case .endOfArchive: return nil
                case .data, .endOfMember, nil: break
                }
            } catch {
                throw .unusable(source: "\(file)", .archive(error))
            }
        }
    }
}
