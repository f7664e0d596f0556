// The area of a live ISO that holds an initrd: Ignition config and network keyfiles.

import JSONText
import Reporting

/// The initrd embed area.
///
/// All zeros where nothing is embedded; else one initrd, and zeros to its end.
public struct EmbedArea: Sendable {
    /// The greatest length of an embed area in bytes; the usual one is 256 KiB.
    private static let longest = 256 << 20

    /// Where it is.
    public let region: Region
    /// What is in it, to be changed.
    public var files: ArchiveFiles { didSet { isTouched = true } }
    /// Whether ``files`` were set, also to what they were.
    private var isTouched = false
    private let stored: [UInt8]

    /// Finds and reads the area.
    ///
    /// `coreos/igninfo.json` tells the place since 2023-03; without it the area is the whole of `images/ignition.img`.
    public init(of image: ISO9660) throws {
        region = try Self.place(in: image)
        let region = region
        stored = try step("reading initrd embed area") {
            guard region.length <= Self.longest else {
                throw MediaFault("\(region.length) bytes are too many for an initrd embed area")
            }
            return try image.source.bytes(at: region.offset, count: region.length)
        }
        let stored = stored
        files = try step("decoding initrd embed area") {
            stored.allSatisfy { $0 == 0 } ? ArchiveFiles() : try ArchiveFiles(reading: stored, limits: .embedArea)
        }
    }

    private static func place(in image: ISO9660) throws -> Region {
        var path = BootMediaName.initrdAreaFile
        var offset: UInt64 = 0
        var length: UInt64?
        if let information = try image.fileIfPresent(BootMediaName.initrdArea) {
            let bytes = try step("reading igninfo") { try image.contents(of: information) }
            (path, offset, length) = try step("decoding igninfo") {
                let fields = try JSONFields(parsing: bytes)
                return (
                    try fields.text("file"), try fields.optionalNumber("offset") ?? 0,
                    try fields.optionalNumber("length")
                )
            }
        }
        let file = try step("finding initrd embed area") { try image.file(path.asciiUppercased) }
        return try step("reading initrd embed area") {
            try Region(in: file, of: image, at: offset, length: length)
        }
    }

    /// What has to be written for ``files``; nothing where nobody set them, or the area holds just that.
    ///
    /// The same files can be stored in many ways, none of them too: who set them gets the area as it is written here.
    /// Throws where they are too large for it.
    public func patches() throws -> [Patch] {
        guard isTouched else { return [] }
        let new = try contents()
        return new == stored ? [] : [Patch(offset: region.offset, old: stored, new: new)]
    }

    /// The bytes of the area for ``files``: zeros where there are none.
    public func contents() throws -> [UInt8] {
        var bytes = files.isEmpty ? [] : try files.archive()
        guard bytes.count <= region.length else {
            throw MediaFault("Compressed initramfs is too large: \(bytes.count) > \(region.length)")
        }
        bytes.append(contentsOf: repeatElement(0, count: region.length - bytes.count))
        return bytes
    }

    /// What `dev show iso --ignition` shows.
    public var description: JSONValue { ["offset": JSONValue(region.offset), "length": JSONValue(region.length)] }
}

extension Region {
    /// A part of a file, as a JSON file tells it.
    ///
    /// Without `length` the part reaches to the end of the file. Throws "reading N bytes at O" where the image ends before
    /// the part does, another failure where the file does.
    init(in file: ISO9660.Entry, of image: ISO9660, at offset: UInt64, length: UInt64?) throws {
        let (start, overflow) = file.offset.addingReportingOverflow(offset)
        guard let length = length ?? (offset <= file.length ? UInt64(file.length) - offset : nil) else {
            throw MediaFault("offset \(offset) is beyond the end of \(file.name), which has \(file.length) bytes")
        }
        guard !overflow, image.source.holds(length, at: start), let count = Int(exactly: length) else {
            throw BootFailure(
                steps: ["reading \(length) bytes at \(start)"], cause: EndOfImage(length: image.source.length))
        }
        guard offset + length <= file.length else {
            throw MediaFault(
                "\(length) bytes at offset \(offset) do not lie within \(file.name), which has \(file.length)")
        }
        self.init(offset: start, length: count)
    }
}

extension String {
    /// Letters of ASCII in upper case, as names on an ISO are.
    var asciiUppercased: String {
        String(decoding: utf8.map { (0x61...0x7a).contains($0) ? $0 - 0x20 : $0 }, as: UTF8.self)
    }

    /// Letters of ASCII in lower case.
    public var asciiLowercased: String {
        String(decoding: utf8.map { (0x41...0x5a).contains($0) ? $0 + 0x20 : $0 }, as: UTF8.self)
    }
}
