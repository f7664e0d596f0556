// Reading an existing initramfs.

import LinuxSystem
import LiveImage
import SystemPackage

extension ImageListing {
    /// Why an image cannot be read.
    public enum Failure: Error, CustomStringConvertible {
        case unreadable(FilePath, Errno)
        case unknownCompression(FilePath, offset: Int)
        case truncated(FilePath, offset: Int)
        case malformed(FilePath, offset: Int, NewcError)

        /// What went wrong, for a message.
        public var description: String {
            switch self {
            case .unreadable(let file, let reason): "cannot read \(file): \(reason)"
            case .unknownCompression(let file, let offset):
                "\(file): what starts at byte \(offset) is neither a cpio archive nor one compressed with "
                    + "zstd, gzip or xz"
            case .truncated(let file, let offset): "\(file): the compressed data from byte \(offset) on has no end"
            case .malformed(let file, let offset, let reason): "\(file), archive at byte \(offset): \(reason)"
            }
        }
    }

    /// Reads every archive in the image, and the squashfs images for `/usr` and of drivers.
    ///
    /// `range` is where the image is in the file, in bytes; `nil` is all of it.
    public init(reading file: FilePath, _ range: Range<UInt64>? = nil) throws {
        let size = range.map { UInt64($0.count) } ?? Files.size(file) ?? 0
        self.init(name: file.lastComponent?.string ?? file.string, size: size, parts: [])
        let offset = Int(range?.lowerBound ?? 0)
        try InitramfsArchive.forEach(in: file, range) { archive in
            guard let compression = archive.compression else {
                return try addPlain(try archive.headers, length: archive.stored, at: offset + archive.start, of: file)
            }
            parts.append(
                Part(
                    compression: compression.rawValue, stored: UInt64(archive.stored),
                    files: try archive.headers.map(File.init), mountPoint: nil))
        }
    }

    /// Adds an archive that is not compressed; each squashfs in it becomes a part of its own.
    private mutating func addPlain(_ headers: [NewcHeader], length: Int, at start: Int, of file: FilePath) throws {
        let places = [InitramfsPath.usr: "/usr", InitramfsPath.drivers: "/usr/\(InitramfsPath.driverFolder)"]
        let images = headers.filter { places[$0.name] != nil }
        let others = headers.filter { places[$0.name] == nil }
        if !others.isEmpty {
            let stored = UInt64(length) - images.reduce(0) { $0 + UInt64($1.size) }
            parts.append(Part(compression: nil, stored: stored, files: others.map(File.init), mountPoint: nil))
        }
        // A program runs in the root folder, where a relative path would mean another file.
        let path = Files.resolved(file) ?? file
        for image in images {
            let folder = places[image.name] ?? ""
            let output = try HostProgram.listSquashfs.run(
                ["-o", "\(UInt64(start) + image.dataOffset)", "-llnumeric", path.string])
            parts.append(
                Part(
                    compression: "squashfs", stored: UInt64(image.size),
                    files: ImageListing.files(inSquashfs: output.text, on: folder), mountPoint: folder))
        }
    }

    /// Reads lines such as `-rw-r--r-- 0/0    1234 1970-01-01 00:00 squashfs-root/bin/busybox`.
    ///
    /// Links to the drivers of cards are left out: these are files of another squashfs.
    static func files(inSquashfs list: String, on folder: String = "/usr") -> [File] {
        list.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", maxSplits: 5)
            guard fields.count == 6, line.hasPrefix("-") || line.hasPrefix("l"), let size = UInt64(fields[2]),
                let slash = fields[5].firstIndex(of: "/")
            else { return nil }
            // A link is written as `path -> target`.
            let path = fields[5][slash...]
            let arrow = line.hasPrefix("l") ? path.firstRange(of: " -> ") : nil
            if let arrow, path[arrow.upperBound...].hasPrefix("/usr/\(InitramfsPath.driverFolder)/") { return nil }
            return File(path: "\(folder)\(path[..<(arrow?.lowerBound ?? path.endIndex)])", size: size)
        }
    }
}

extension ImageListing.File {
    fileprivate init(_ header: NewcHeader) { self.init(path: "/\(header.name)", size: UInt64(header.size)) }
}
