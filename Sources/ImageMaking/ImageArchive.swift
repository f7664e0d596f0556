// Where the blobs of a container image are: in a folder, or in a tar archive of such a folder.

import Encoding
import Glibc
import Hashing
import InitramfsImage
import LinuxSystem
import LiveImage
import Reporting
import SystemPackage

/// The files of an image layout by their names.
struct ImageArchive {
    /// Where a file's bytes are.
    struct Place: Equatable {
        var file: FilePath
        var range: Range<UInt64>
    }

    /// What messages call it.
    let name: FilePath
    private let folder: FilePath?
    private var members: [String: Place] = [:]
    /// Docker's older archives point one layer at another.
    private var links: [String: String] = [:]

    /// A layout that lies unpacked in a folder.
    init(folder: FilePath) {
        name = folder
        self.folder = folder
    }

    /// A layout that is one tar archive, which is not compressed.
    ///
    /// Messages call it `name`, the file that it was before it was decompressed. Throws why it cannot be read:
    /// ``FileFault`` or ``TarFault``.
    init(tar file: FilePath, called name: FilePath) throws {
        self.name = name
        folder = nil
        var reader = TarReader(try ByteRange(file))
        while let entry = try reader.next() {
            let path = Self.normalized(String(decoding: entry.path, as: UTF8.self))
            switch entry.kind {
            case .file: members[path] = Place(file: file, range: entry.offset..<entry.offset + entry.size)
            case .link:
                let parent = path.split(separator: "/").dropLast().joined(separator: "/")
                links[path] = Self.normalized(parent + "/" + String(decoding: entry.target, as: UTF8.self))
            case .hardLink: links[path] = Self.normalized(String(decoding: entry.target, as: UTF8.self))
            case .folder, .pipe, .device: break
            }
        }
    }

    /// `a/../b/./c` is `b/c`; nothing leads above the archive.
    static func normalized(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }

    /// The file of that name; `nil` where there is none.
    func place(of path: String) -> Place? {
        let path = Self.normalized(path)
        if let folder {
            let file = folder.appending(path)
            // A link in the folder could lead anywhere.
            guard let status = Files.status(file, followingLinks: false), status.st_mode & S_IFMT == S_IFREG,
                let real = Files.resolved(file), let base = Files.resolved(folder), real.starts(with: base)
            else { return nil }
            return Place(file: real, range: 0..<UInt64(max(0, status.st_size)))
        }
        return members[path] ?? links[path].flatMap { members[$0] }
    }

    /// The bytes of a small file.
    func text(_ path: String, atMost limit: UInt64 = 16 << 20) throws -> [UInt8]? {
        guard let place = place(of: path) else { return nil }
        guard UInt64(place.range.count) <= limit else {
            throw ContainerImage.Failure.malformed(name, "\(path) is too long")
        }
        return try ByteRange(place.file, place.range).bytes(at: 0, count: limit)
    }
}

/// A stream's SHA-256, taken piece by piece.
final class SHA256Digest {
    private var digest = MessageDigest(.sha256)

    func add(_ bytes: [UInt8]) { bytes.withUnsafeBytes { digest.update($0) } }

    /// Ends the stream, and returns the digest as 64 lower-case digits.
    ///
    /// Nothing may be added afterwards.
    func finish() -> String { hexadecimal(digest.finish()) }

    /// Of a part of a file, or of all of it.
    static func of(_ file: FilePath, _ range: Range<UInt64>? = nil) throws -> String {
        let digest = SHA256Digest()
        let input = try ByteRange(file, range)
        var at: UInt64 = 0
        while at < input.count {
            let bytes = try input.bytes(at: at, count: 4 << 20)
            if bytes.isEmpty { break }
            digest.add(bytes)
            at += UInt64(bytes.count)
        }
        return digest.finish()
    }
}

/// Something that may be compressed, as a file that is not.
struct PlainFile {
    var file: FilePath
    var range: Range<UInt64>

    /// A file that is not compressed, or a part of one.
    init(file: FilePath, range: Range<UInt64>) {
        self.file = file
        self.range = range
    }

    /// Decompresses `place` into `folder` where its first bytes say that it is compressed.
    ///
    /// The new file is called `name`, which must be unique in the folder. Throws ``FileFault``, or how the program that
    /// decompresses it is missing or fails.
    init(_ place: ImageArchive.Place, decompressingInto folder: FilePath, as name: String) throws {
        let head = try ByteRange(place.file, place.range).bytes(at: 0, count: 8)
        guard let compression = Compression.allCases.first(where: { head.starts(with: $0.magic) }) else {
            (file, range) = (place.file, place.range)
            return
        }
        let target = folder.appending(name)
        let output = open(target.string, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw FileFault("write", target, Errno(rawValue: errno)) }
        defer { close(output) }
        // What is piped in is decompressed whatever its name is.
        let program = compression.program
        let command = Command(program.name, ["--decompress", "--stdout", "--quiet"])
        let input = open(place.file.string, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw FileFault("read", place.file, Errno(rawValue: errno)) }
        defer { close(input) }
        do {
            if place.range.lowerBound == 0, Files.size(place.file) == place.range.upperBound {
                try command.run(from: input, into: output)
            } else {
                // Other members follow behind this one in the archive; they are not part of what is compressed.
                let copy = folder.appending("\(name).compressed")
                try Self.copy(place, to: copy)
                defer { unlink(copy.string) }
                let part = open(copy.string, O_RDONLY | O_CLOEXEC)
                guard part >= 0 else { throw FileFault("read", copy, Errno(rawValue: errno)) }
                defer { close(part) }
                try command.run(from: part, into: output)
            }
        } catch Command.Failure.missing {
            throw HostSystem.Failure.missing(program)
        }
        (file, range) = (target, 0..<(Files.size(target) ?? 0))
    }

    private static func copy(_ place: ImageArchive.Place, to target: FilePath) throws {
        let input = try ByteRange(place.file, place.range)
        let output = open(target.string, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw FileFault("write", target, Errno(rawValue: errno)) }
        defer { close(output) }
        var at: UInt64 = 0
        while at < input.count {
            let bytes = try input.bytes(at: at, count: 1 << 20)
            if bytes.isEmpty { break }
            try Files.naming("write", target) { () throws(Errno) in try Files.writeAll(bytes, to: output) }
            at += UInt64(bytes.count)
        }
    }
}
