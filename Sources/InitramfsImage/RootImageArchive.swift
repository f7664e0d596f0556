// Root images: reading what an initramfs has to know about one, and making one.

import Hashing
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// What an initramfs holds about the root image that it accepts.
package struct RootImageFacts {
    /// Of the file as it is.
    package var hash: StreamHash
    /// Of the squashfs or erofs in it, as the live boot keeps it.
    package var imageHash: StreamHash
    /// What its version stamp says; `nil` where it is a bare filesystem image.
    package var version: String?
    /// The filesystem in it.
    package var content: RootImageContent

    package enum Failure: Error, CustomStringConvertible {
        case unusable(FilePath, RootImageFault)
        case unversioned(FilePath)

        package var description: String {
            switch self {
            case .unusable(let file, let reason): "\(file) is not a root image: \(reason)"
            case .unversioned(let file): "\(file) has no \(LiveImageName.rootfsVersion): no initramfs would match it"
            }
        }
    }

    package init(reading file: FilePath) throws {
        let input = try FileReader(file)
        var image = RootImageReader()
        var digests: [[UInt8]] = []
        var imageChunks = ChunkDigests()
        var isArchive = false
        var version: String?
        var content: RootImageContent?
        do {
            while true {
                let chunk = try input.next(StreamHash.usualChunkSize)
                if chunk.isEmpty { break }
                if digests.isEmpty { isArchive = chunk.starts(with: NewcHeader.magic) }
                digests.append(MessageDigest.sha256(chunk))
                try chunk.withUnsafeBytes { bytes in
                    var slice = bytes
                    while let event = try image.next(&slice) {
                        switch event {
                        case .version(let text): version = text
                        case .image(let format, let offset, _):
                            content = RootImageContent(file: file, offset: offset, format: format.filesystem)
                        case .imageData(let data): imageChunks.add(data)
                        case .installImage, .installImageData: break
                        }
                    }
                }
            }
            try image.finish()
        } catch let fault as RootImageFault {
            throw Failure.unusable(file, fault)
        }
        guard version != nil || !isArchive else { throw Failure.unversioned(file) }
        self.version = version
        guard let content else { throw Failure.unusable(file, .noImage) }
        self.content = content
        hash = try StreamHash(digests: digests)
        imageHash = try StreamHash(digests: imageChunks.finish())
    }
}

/// Computes the digests of a stream's chunks from slices of any length.
private struct ChunkDigests {
    private var digests: [[UInt8]] = []
    private var chunk: [UInt8] = []

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(StreamHash.usualChunkSize - chunk.count)
            chunk.append(contentsOf: part)
            rest = rest.dropFirst(part.count)
            if chunk.count == StreamHash.usualChunkSize { endChunk() }
        }
    }

    mutating func finish() -> [[UInt8]] {
        if !chunk.isEmpty { endChunk() }
        return digests
    }

    private mutating func endChunk() {
        digests.append(MessageDigest.sha256(chunk))
        chunk.removeAll(keepingCapacity: true)
    }
}

/// A `rootfs.img`: the archive that wraps a filesystem image for the live boot.
public struct RootImageArchive: Sendable {
    /// The squashfs or erofs image.
    public var image: FilePath
    /// The version, one line; the initramfs that accepts the image has the same.
    public var version: String
    /// The modification time of all members, in seconds since 1970.
    public var time: UInt32 = 0
    /// What files' times are limited to where modules are added, in seconds since 1970; `nil`: files keep theirs.
    public var latest: UInt32?
    /// Whether a squashfs to which modules are added is compressed less (zstd level 3), and not as it was.
    public var isFast = false
    /// The kernel whose modules are added; `nil` adds none.
    public var kernel: String?
    /// The system that modules are taken from.
    public var host = HostSystem()

    /// Creates a description of a root image to which no modules are added.
    public init(image: FilePath, version: String) {
        self.image = image
        self.version = version
    }

    /// Why no root image can be made.
    public enum Failure: Error, CustomStringConvertible {
        case notFilesystem(FilePath)
        case truncated(FilePath, missing: UInt64)
        case version(String)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .notFilesystem(let file): "\(file) is neither a squashfs nor an erofs"
            case .truncated(let file, let missing): "\(file) is \(missing) bytes shorter than its filesystem"
            case .version(let text): "the version \"\(text)\" is empty or longer than a line"
            }
        }
    }

    /// What was made: `rootfs.img  127 MiB, squashfs, version 2026.11.1`.
    public struct Outcome: CustomStringConvertible {
        /// The image.
        public var file: FilePath
        /// The size of the image.
        public var size: ByteCount
        /// The kind of filesystem.
        public var format: RootImageFormat.Filesystem
        /// The version of the image.
        public var version: String
        /// Warnings, one text each.
        public var warnings: [String] = []

        /// What was made, in a line.
        public var description: String { "\(file)  \(size), \(format), version \(version)" }
    }

    /// Makes the image; there is no file at `output` before it is complete.
    ///
    /// The filesystem's data always starts at byte 124: after 110 bytes of header come `root.squashfs` and its NUL, or
    /// `root.erofs`, its NUL and three bytes of padding.
    @discardableResult
    public func write(to output: FilePath) throws -> Outcome {
        guard !version.isEmpty, !version.contains(where: \.isNewline) else { throw Failure.version(version) }
        let head = try FileReader(image).next(RootImageFormat.headLength)
        guard let format = head.withUnsafeBytes({ RootImageFormat(head: $0) }) else {
            throw Failure.notFilesystem(image)
        }
        let size = Files.size(image) ?? 0
        guard size >= format.length else { throw Failure.truncated(image, missing: format.length - size) }
        var file = try PendingFile(output)
        var writer = NewcWriter(modificationTime: time)
        try file.write(
            writer.header("root.\(format.filesystem.rawValue)", .file, permissions: 0o644, size: size))
        try file.write(contentsOf: image)
        try file.write(NewcWriter.padding(after: size))
        try file.write(writer.member("etc", .folder, permissions: 0o755))
        try file.write(
            writer.member(
                LiveImageName.rootfsVersion, .file, permissions: 0o644, data: Array("\(version)\n".utf8)))
        try file.write(NewcWriter.trailer())
        let length = file.length
        try file.finish(permissions: 0o644)
        return Outcome(file: output, size: ByteCount(length), format: format.filesystem, version: version)
    }

    /// What an initramfs has to know about the root image that it accepts.
    public struct Stamps: Equatable, Sendable {
        /// The text of `/etc/coreos-live-want-rootfs`.
        public var streamHash: String
        /// The text of `/etc/firstlight-want-image`.
        public var imageHash: String
    }

    /// Computes the stamps of a root image.
    public static func stamps(of file: FilePath) throws -> Stamps {
        let facts = try RootImageFacts(reading: file)
        return Stamps(streamHash: facts.hash.text, imageHash: facts.imageHash.text)
    }
}
