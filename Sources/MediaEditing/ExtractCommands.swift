// iso extract pxe, iso extract minimal-iso, pack minimal-iso.

import BootMedia
import Encoding
import Glibc
import Hashing
import LinuxSystem
import Reporting
import SystemPackage

/// `iso extract pxe`: kernel, initramfs and root image of an ISO, without what is embedded in it.
public struct ExtractPXE: Sendable {
    /// The ISO's path.
    public var image: String
    /// Where the files go; it is made where it is missing.
    public var folder = "."

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        let file = try MediaFile(image)
        let iso = try ISO9660(try file.source)
        let pxe = try step("Unrecognized CoreOS ISO image.") {
            let entry = try iso.entry(BootMediaName.pxeFolder)
            guard entry.isDirectory else { throw MediaFault("entry \(entry.name) is a file") }
            return entry
        }
        let stem = FilePath(image).lastComponent?.stem ?? ""
        let entries = try iso.entries(of: pxe).filter { !$0.isDirectory }
        try makeFolder(folder)
        for entry in entries {
            let path = joined(folder, "\(stem)-\(entry.name.asciiLowercased)")
            try streams.print(path)
            try copyFile(entry, of: file, to: path, streams)
        }
    }
}

/// Copies a file out of an image into one that must not be there.
private func copyFile(_ entry: ISO9660.Entry, of image: MediaFile, to path: String, _ streams: Streams) throws {
    let source = try image.source
    guard source.holds(UInt64(entry.length), at: entry.offset) else {
        throw BootFailure(
            steps: ["reading \(entry.length) bytes at \(entry.offset)"], cause: EndOfImage(length: source.length))
    }
    guard !Files.exists(FilePath(path)) else {
        throw BootFailure(steps: ["opening \(path)"], cause: SystemFault(.fileExists))
    }
    let new = try NewFile(in: try NewFile.folder(of: path))
    try FileCopy(file: image, output: new.file, progress: { streams.progress("writing \(path)", $0, $1) })
        .range(entry.offset..<entry.offset + UInt64(entry.length))
    try step("opening \(path)") { try new.keep(as: path, mode: 0o666 & ~usualMask()) }
}

/// `iso extract minimal-iso`: an ISO without the root image, which fetches it when it boots.
public struct ExtractMinimalISO: Sendable {
    /// The ISO's path.
    public var image: String
    /// A file that must not be there yet, or `-` for standard output.
    public var output = "-"
    /// Where to put the root image.
    public var rootImage: String?
    /// Where the minimal ISO fetches the root image from.
    public var rootImageURL: String?

    /// Creates the command for an ISO.
    public init(image: String) { self.image = image }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        let file = try MediaFile(image)
        let source = try file.source
        let iso = try LiveISO(reading: source)
        guard iso.initrd.files.isEmpty, try iso.arguments.areDefault else {
            throw MediaFault(
                "Cannot operate on ISO with embedded customizations.\n"
                    + "Reset it with `coreos-installer iso reset` and try again.")
        }
        if output == "-" { try streams.refuseTerminal() }
        let folder = output == "-" ? temporaryFolder() : try NewFile.folder(of: output)
        if let rootImage {
            let entry = try step("looking up '\(BootMediaName.rootImage)'") {
                try iso.image.file(BootMediaName.rootImage)
            }
            try copyFile(entry, of: file, to: rootImage, streams)
        }
        let entry = try step("looking up '\(BootMediaName.minimalISO)'") {
            try iso.image.fileIfPresent(BootMediaName.minimalISO)
        }
        guard let entry else { throw MediaFault("This ISO image does not support extracting a minimal ISO.") }
        guard output == "-" || !Files.exists(FilePath(output)) else { throw SystemFault(.fileExists) }
        let data = try step("reading miniso data file") {
            let count = min(Int(entry.length), MinimalISO.longest)
            return try MinimalISO(parsing: try source.bytes(at: entry.offset, count: count))
        }
        let new = try NewFile(in: folder)
        try step("unpacking miniso") { try unpack(data, with: source, streams) { try new.file.append($0) } }
        try step("modifying miniso kernel args") {
            var minimal = try LiveISO(reading: try new.file.source)
            for patch in try minimal.becomeMinimal(rootImageURL: rootImageURL) {
                try new.file.write(patch.new, at: patch.offset)
            }
        }
        if output == "-" {
            let made = try new.file.source
            try made.forEachPart(0..<made.length) { try streams.write($0) }
        } else {
            try new.keep(as: output)
        }
    }

    private func temporaryFolder() -> String {
        getenv("TMPDIR").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
    }
}

/// Puts a minimal ISO together, and checks that it is the one that was packed.
private func unpack(
    _ data: MinimalISO, with full: ByteSource, _ streams: Streams, to write: ([UInt8]) throws -> Void
) throws {
    var hash = MessageDigest(.sha256)
    var packed = try XZReader(data.packed)
    // A minimal ISO is the full one without its largest file; anything larger is an attack on the disk.
    let limit = full.length + 16 << 20
    var done: UInt64 = 0
    func add(_ bytes: [UInt8]) throws {
        done += UInt64(bytes.count)
        guard done <= limit else { throw CompressionFault.tooLarge(limit: limit) }
        bytes.withUnsafeBytes { hash.update($0) }
        try write(bytes)
        streams.progress("unpacking the minimal ISO", done, full.length)
    }
    for piece in data.pieces {
        switch piece {
        case .packed(let count):
            var left = count
            while left > 0 {
                guard let part = try packed.next(Int(min(left, UInt64(ByteSource.partLength)))) else {
                    throw BootFailure(
                        steps: ["copying \(count) packed bytes at offset \(done)"],
                        cause: MediaFault("the packed data ends \(left) bytes early"))
                }
                left -= UInt64(part.count)
                try add(part)
            }
        case .full(let offset, let count):
            try step("copying full ISO file at offset \(offset)") {
                guard full.holds(count, at: offset) else {
                    throw BootFailure(
                        steps: ["reading \(count) bytes at \(offset)"], cause: EndOfImage(length: full.length))
                }
                try full.forEachPart(offset..<offset + count) { try add($0) }
            }
        case .rest:
            while let part = try packed.next(ByteSource.partLength) { try add(part) }
        }
    }
    let digest = hash.finish()
    guard digest == data.digest else {
        throw MediaFault("wrong final digest: expected \(hexadecimal(data.digest)), found \(hexadecimal(digest))")
    }
}

/// `pack minimal-iso`: puts into a full ISO what makes the minimal one of it.
public struct PackMinimalISO: Sendable {
    /// The full ISO's path; it is changed in place.
    public var full: String
    /// The minimal ISO's path.
    public var minimal: String
    /// Deletes the minimal ISO once it is packed.
    public var consume = false

    /// Creates the command for a full and a minimal ISO.
    public init(full: String, minimal: String) {
        self.full = full
        self.minimal = minimal
    }

    /// Carries it out; what it throws is told by its steps and its cause.
    public func run(_ streams: Streams) throws {
        let fullFile = try ImageOutput.inPlace.open(full, streams)
        let minimalFile = try MediaFile(minimal)
        guard minimalFile.identity != fullFile.identity else {
            throw MediaFault("\(full) and \(minimal) are the same file")
        }
        let fullISO = try ISO9660(try fullFile.source)
        let minimalISO = try ISO9660(try minimalFile.source)
        let fullFiles = try step("collecting files from \(full)") { try fullISO.walk() }
            .filter { !$0.entry.isDirectory }
        let minimalFiles = try step("collecting files from \(minimal)") { try minimalISO.walk() }
            .filter { !$0.entry.isDirectory }
        guard !fullFiles.isEmpty else { throw MediaFault("No files found in \(full)") }
        guard !minimalFiles.isEmpty else { throw MediaFault("No files found in \(minimal)") }

        streams.tell("Packing minimal ISO")
        let (data, taken) = try step("packing miniso") {
            let table = try MinimalISO.table(minimal: minimalFiles, full: fullFiles)
            return try Self.pack(minimalISO.source, without: table)
        }
        streams.tell("Matched \(minimalFiles.count) files of \(minimalFiles.count)")
        streams.tell("Total bytes skipped: \(data.files.reduce(UInt64(0)) { $0 + UInt64($1.length) })")
        streams.tell("Total bytes written: \(taken)")
        streams.tell("Total bytes written (compressed): \(data.packed.count)")

        streams.tell("Verifying that packed image matches digest")
        try step("unpacking miniso for verification") { try unpack(data, with: fullISO.source, streams) { _ in } }

        let patch = try Self.patch(of: fullISO, data)
        try ImageOutput.inPlace.write([patch], of: fullFile, streams)
        if consume {
            try step("consuming \(minimal)") {
                guard unlink(minimal) == 0 else { throw SystemFault.current }
            }
        }
        streams.tell("Packing successful!")
    }

    /// Packs all of the minimal ISO but the files of the table.
    ///
    /// - Returns: The data, and how many bytes went into it.
    private static func pack(
        _ minimal: ByteSource, without table: [MinimalISO.File]
    ) throws -> (MinimalISO, taken: UInt64) {
        var hash = MessageDigest(.sha256)
        var encoder = try XZEncoder(check: .crc64)
        var packed: [UInt8] = []
        func add(_ range: Range<UInt64>, isFile: Bool) throws {
            try minimal.forEachPart(range) { part in
                part.withUnsafeBytes { hash.update($0) }
                if !isFile { packed += try encoder.add(part) }
            }
        }
        var position: UInt64 = 0
        for file in table {
            let start = UInt64(file.minimal) * UInt64(ISO9660.sectorSize)
            try add(position..<start, isFile: false)
            position = start + UInt64(file.length)
            try add(start..<position, isFile: true)
        }
        guard position <= minimal.length else { throw EndOfImage(length: minimal.length) }
        try add(position..<minimal.length, isFile: false)
        packed += try encoder.finish()
        let data = try MinimalISO(
            program: "firstlight \(firstlightVersion)", files: table, digest: hash.finish(), packed: packed)
        return (data, encoder.taken)
    }

    private static func patch(of full: ISO9660, _ data: MinimalISO) throws -> Patch {
        let entry = try step("looking up '\(BootMediaName.minimalISO)'") { try full.file(BootMediaName.minimalISO) }
        return try step("writing miniso data file") {
            var bytes = data.bytes
            guard bytes.count <= MinimalISO.longest else { throw MediaFault("collision with data size limit") }
            guard bytes.count <= entry.length else {
                throw MediaFault("collision with end of file \(entry.name)")
            }
            bytes.append(contentsOf: repeatElement(0, count: Int(entry.length) - bytes.count))
            let old = try full.source.bytes(at: entry.offset, count: bytes.count)
            return Patch(offset: entry.offset, old: old, new: bytes)
        }
    }
}
