// The areas of a live ISO that hold the kernel arguments of its boot loaders.

import JSONText
import Reporting

/// The kernel argument areas: the same arguments in the config file of each boot loader.
public struct ArgumentAreas: Sendable {
    /// The greatest length of an argument area, in bytes.
    public static let longest: UInt64 = 2048
    /// The pad and the end that are used where `/coreos/kargs.json` gives none.
    static let usualPad = UInt8(ascii: "#"), usualEnd = UInt8(ascii: "\n")

    /// One area.
    public struct Area: Equatable, Sendable {
        /// Where it is.
        public var region: Region
        /// Fills the area; `nil` is `#`.
        public var pad: UInt8?
        /// Closes the arguments; `nil` is a newline.
        public var end: UInt8?
        fileprivate var stored: [UInt8]

        /// The arguments in it.
        fileprivate func arguments() throws -> String {
            guard var text = String(validating: stored, as: UTF8.self)?.unicodeScalars[...] else {
                throw MediaFault("invalid UTF-8 in karg area")
            }
            while text.last == UnicodeScalar(pad ?? usualPad) { text.removeLast() }
            while text.last == UnicodeScalar(end ?? usualEnd) { text.removeLast() }
            return trimmed(String(text))
        }
    }

    /// Bytes of each area.
    public let length: Int
    /// The arguments that the image came with.
    public let defaults: String
    /// In the order of the image, or of the header of an old one.
    public let areas: [Area]
    /// The present arguments.
    public private(set) var arguments: String
    private var isChanged = false
    /// Whether one of them stands in a menu of GRUB's, which is a script.
    private let isInScript: Bool

    /// Finds and reads the areas; `nil` for an image that has none.
    ///
    /// `coreos/kargs.json` tells the places since 2021-09; before, a header in the system area did.
    public init?(of image: ISO9660) throws {
        if let information = try ArgumentInformation(of: image) {
            try self.init(information, of: image)
        } else {
            try self.init(systemAreaOf: image)
        }
    }

    private init(_ information: ArgumentInformation, of image: ISO9660) throws {
        guard information.size <= Self.longest else {
            throw MediaFault("karg embed area size larger than \(Self.longest) (found \(information.size))")
        }
        guard information.defaults.utf8.count <= information.size else {
            throw MediaFault(
                "default kargs size \(information.defaults.utf8.count) larger than embed areas (\(information.size))")
        }
        var areas: [Area] = []
        for location in information.files {
            let file = try step("looking up '\(location.path)'") { try image.file(location.path.asciiUppercased) }
            areas.append(
                try step("reading kargs embed area") {
                    let region = try Region(in: file, of: image, at: location.offset, length: information.size)
                    return Area(
                        region: region, pad: location.pad, end: location.end,
                        stored: try image.source.bytes(at: region.offset, count: region.length))
                })
        }
        areas.sort { $0.region.offset < $1.region.offset }
        let isInScript = information.files.contains { $0.path.asciiUppercased.hasSuffix("GRUB.CFG") }
        try self.init(
            length: Int(information.size), defaults: information.defaults, areas: areas, isInScript: isInScript)
    }

    /// 72 bytes before the header of the initrd area: `coreKarg`, the length of an area, the place of the defaults, up
    /// to six places; numbers are of 64 bits, little endian.
    private init?(systemAreaOf image: ISO9660) throws {
        let header = try step("reading karg embed header") { try image.source.bytes(at: 32768 - 24 - 72, count: 72) }
        guard header.starts(with: Array("coreKarg".utf8)) else { return nil }
        let numbers = stride(from: 8, to: 72, by: 8).map { start in
            (0..<8).reduce(UInt64(0)) { $0 | UInt64(header[start + $1]) << UInt64(8 * $1) }
        }
        guard numbers[0] <= Self.longest else {
            throw MediaFault("karg embed area length larger than \(Self.longest) (found \(numbers[0]))")
        }
        func area(at offset: UInt64) throws -> Area {
            let bytes = try image.source.bytes(at: offset, count: Int(numbers[0]))
            return Area(
                region: Region(offset: offset, length: bytes.count), pad: nil, end: nil, stored: bytes)
        }
        let defaults = try step("reading default kargs") { try area(at: numbers[1]) }.arguments()
        let areas = try numbers[2...].prefix { $0 != 0 }.map { offset in
            try step("reading kargs embed area") {
                guard offset >= 32768 else { throw MediaFault("offset \(offset) lies within the system area") }
                return try area(at: offset)
            }
        }
        try self.init(length: Int(numbers[0]), defaults: defaults, areas: areas, isInScript: true)
    }

    private init(length: Int, defaults: String, areas: [Area], isInScript: Bool) throws {
        guard let first = areas.first else {
            throw MediaFault("No karg embed areas found; corrupted CoreOS ISO image.")
        }
        let arguments = try first.arguments()
        for area in areas.dropFirst() {
            let others = try area.arguments()
            guard others.utf8.elementsEqual(arguments.utf8) else {
                throw MediaFault(
                    "kargs don't match at all offsets! (expected '\(arguments)', but offset \(area.region.offset) "
                        + "has: '\(others)')")
            }
        }
        self.length = length
        self.defaults = defaults
        self.areas = areas
        self.arguments = arguments
        self.isInScript = isInScript
    }

    /// Whether the arguments are those that the image came with.
    public var areDefault: Bool { arguments.utf8.elementsEqual(defaults.utf8) }

    /// Puts other arguments into every area.
    ///
    /// - Throws: Where they are too long, or could not be read back.
    public mutating func set(_ text: String) throws {
        let text = trimmed(text)
        guard text.utf8.count < length else {
            throw MediaFault("kargs too large for area: \(text.utf8.count + 1) vs \(length)")
        }
        guard !text.utf8.contains(where: { $0 == 0 || $0 == UInt8(ascii: "\n") }) else {
            throw MediaFault("kernel arguments are one line; these hold a line break or a NUL")
        }
        arguments = text
        isChanged = true
    }

    /// What is wrong with the arguments that were set, for the user; `nil` where nothing is.
    public var warning: String? {
        guard isChanged, isInScript, let sign = Self.endOfCommand(in: arguments) else { return nil }
        return "Warning: GRUB ends the kernel arguments of this image at the \(sign) in them.\n"
            + "UEFI machines will not boot it."
    }

    /// The first character that ends a command of GRUB's, outside of quotes.
    private static func endOfCommand(in text: String) -> Character? {
        var quote: Character?
        for character in text {
            if let open = quote {
                if character == open { quote = nil }
            } else if "'\"".contains(character) {
                quote = character
            } else if "&;|<>".contains(character) {
                return character
            }
        }
        return nil
    }

    /// What has to be written for ``arguments``; nothing where they were not set.
    public func patches() -> [Patch] {
        guard isChanged else { return [] }
        var seen: Set<Region> = []
        return areas.filter { seen.insert($0.region).inserted }.map { area in
            Patch(offset: area.region.offset, old: area.stored, new: contents(of: area))
        }
    }

    /// The bytes of an area that holds ``arguments``.
    private func contents(of area: Area) -> [UInt8] {
        var bytes = Array(arguments.utf8)
        bytes.append(area.end ?? Self.usualEnd)
        bytes.append(contentsOf: repeatElement(area.pad ?? Self.usualPad, count: length - bytes.count))
        return bytes
    }

    /// What `dev show iso --kargs` shows.
    public var description: JSONValue {
        let areas = areas.map { area in
            var members: [JSONValue.Member] = [
                .init("offset", JSONValue(area.region.offset)), .init("length", JSONValue(area.region.length)),
            ]
            for (key, byte) in [("pad", area.pad), ("end", area.end)] {
                guard let byte else { continue }
                members.append(.init(key, .string(String(UnicodeScalar(byte)))))
            }
            return JSONValue.object(members)
        }
        return ["length": JSONValue(length), "default": .string(defaults), "kargs": .array(areas)]
    }
}

/// `coreos/kargs.json`.
public struct ArgumentInformation: Equatable, Sendable {
    /// Where one area is.
    public struct Location: Equatable, Sendable {
        /// Of the file that it is in, from the root of the ISO.
        public var path: String
        /// In bytes from the start of that file.
        public var offset: UInt64
        /// What fills the area; `nil` is `#`.
        public var pad: UInt8?
        /// What closes the arguments; `nil` is a newline.
        public var end: UInt8?

        /// Creates a location from its parts.
        public init(path: String, offset: UInt64, pad: UInt8? = nil, end: UInt8? = nil) {
            self.path = path
            self.offset = offset
            self.pad = pad
            self.end = end
        }
    }

    /// The arguments that the image came with.
    public var defaults: String
    /// The areas, one for each boot loader.
    public var files: [Location]
    /// Of each area, in bytes.
    public var size: UInt64

    /// Creates the information from its parts.
    public init(defaults: String, files: [Location], size: UInt64) {
        self.defaults = defaults
        self.files = files
        self.size = size
    }

    /// `nil` where the image has no such file.
    init?(of image: ISO9660) throws {
        guard let file = try image.fileIfPresent(BootMediaName.argumentAreas) else { return nil }
        let bytes = try step("reading kargs embed area info") { try image.contents(of: file) }
        self = try step("decoding kargs embed area info") { try ArgumentInformation(parsing: bytes) }
    }

    /// Parses the JSON file; throws where it is not JSON or a field is missing or wrong.
    public init(parsing bytes: [UInt8]) throws {
        let fields = try JSONFields(parsing: bytes)
        defaults = try fields.text("default")
        files = try fields.objects("files").map { location in
            Location(
                path: try location.text("path"), offset: try location.number("offset"),
                pad: try location.optionalCharacter("pad"), end: try location.optionalCharacter("end"))
        }
        size = try fields.number("size")
    }

    /// The JSON file, without a newline at its end.
    public var text: String {
        let files = files.map { location in
            var members: [JSONValue.Member] = [
                .init("path", .string(location.path)), .init("offset", JSONValue(location.offset)),
            ]
            for (key, byte) in [("pad", location.pad), ("end", location.end)] {
                guard let byte else { continue }
                members.append(.init(key, .string(String(UnicodeScalar(byte)))))
            }
            return JSONValue.object(members)
        }
        return JSONFields.pretty(["default": .string(defaults), "files": .array(files), "size": JSONValue(size)])
    }

    /// What has to be written for other defaults, the file's length kept.
    func patch(of image: ISO9660) throws -> Patch {
        let file = try image.file(BootMediaName.argumentAreas)
        var bytes = Array(text.utf8)
        guard bytes.count <= file.length else {
            throw MediaFault(
                "New version of \(BootMediaName.argumentAreas) does not fit in space (\(bytes.count) vs \(file.length))"
            )
        }
        bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: Int(file.length) - bytes.count))
        return Patch(offset: file.offset, old: try image.contents(of: file), new: bytes)
    }
}
