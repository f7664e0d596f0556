// A device that an image could be written to: what it is, what is on it, and why it should be left alone.

import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// A whole disk or stick, as the kernel tells of it.
public struct StickDevice: Equatable, Sendable {
    /// `/dev/sdb`.
    public var path: FilePath
    /// `sdb`.
    public var name: String
    /// In bytes.
    public var size: UInt64
    /// Whether the kernel calls the medium removable.
    public var isRemovable: Bool
    /// Whether the kernel lets nobody write to it.
    public var isReadOnly: Bool
    /// The model, as the device states it; `nil` where it states none.
    public var model: String?
    /// The serial number, of the device or of the USB device above it; `nil` where there is none.
    public var serial: String?
    /// Where it or a partition of it is mounted.
    public var mounts: [String]
    /// What else uses it: `swap on sdb2`, `dm-0 uses sdb1`.
    public var holders: [String]

    /// Why nothing is written to a device.
    public enum Refusal: Error, Equatable, CustomStringConvertible, Advising {
        case notDevice(FilePath)
        case partition(FilePath, disk: String)
        case unknown(FilePath)
        case mounted(FilePath, [String])
        case held(FilePath, [String])
        case readOnly(FilePath)
        case notRemovable(FilePath)
        case tooSmall(FilePath, has: UInt64, needs: UInt64)

        /// What is in the way, for a message.
        public var description: String {
            switch self {
            case .notDevice(let path): "\(path) is not a block device"
            case .partition(let path, let disk): "\(path) is a partition of /dev/\(disk)"
            case .unknown(let path): "the kernel does not say what \(path) is"
            case .mounted(let path, let places): "\(path) is mounted: \(places.joined(separator: ", "))"
            case .held(let path, let holders): "\(path) is in use: \(holders.joined(separator: ", "))"
            case .readOnly(let path): "\(path) cannot be written to"
            case .notRemovable(let path): "\(path) is not removable: it may be a disk of this machine"
            case .tooSmall(let path, let has, let needs):
                "\(path) has \(ByteCount(has)), and the image \(ByteCount(needs))"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            let untouched = "Nothing was written."
            switch self {
            case .partition(_, let disk): return [untouched, "To write over the whole of it, name /dev/\(disk)."]
            case .mounted: return [untouched, "Unmount it first, when nothing on it is needed any more."]
            case .held: return [untouched, "Switch off what uses it first."]
            case .notRemovable: return [untouched, "If it is the right one: --force, which asks for its serial."]
            case .notDevice, .unknown, .readOnly, .tooSmall: return [untouched]
            }
        }
    }

    /// Creates a description of a device; arguments that are left out are empty.
    public init(
        path: FilePath, name: String, size: UInt64, isRemovable: Bool, isReadOnly: Bool = false, model: String? = nil,
        serial: String? = nil, mounts: [String] = [], holders: [String] = []
    ) {
        self.path = path
        self.name = name
        self.size = size
        self.isRemovable = isRemovable
        self.isReadOnly = isReadOnly
        self.model = model
        self.serial = serial
        self.mounts = mounts
        self.holders = holders
    }

    /// Looks at a device.
    ///
    /// `root` holds `sys` and `proc`. In tests it is another folder than `/`, and `number` stands for the device's own
    /// (`8:16`). Throws where `path` is not a block device, or a partition, or the kernel does not tell what it is.
    public init(_ path: FilePath, below root: FilePath = "/", number: String? = nil) throws(Refusal) {
        let given: String
        if let number {
            given = number
        } else {
            guard let status = Files.status(path), status.st_mode & S_IFMT == S_IFBLK else { throw .notDevice(path) }
            given = Files.deviceNumber(status.st_rdev)
        }
        let link = root.appending("sys/dev/block").appending(given)
        guard let folder = Files.resolved(link), let name = folder.lastComponent?.string else { throw .unknown(path) }
        if Files.exists(folder.appending("partition")) {
            throw .partition(path, disk: folder.removingLastComponent().lastComponent?.string ?? name)
        }
        guard let sectors = Files.line(folder.appending("size")).flatMap({ UInt64($0) }) else { throw .unknown(path) }
        // Whatever the device's own sectors are, the kernel counts 512 bytes.
        let (size, isBeyond) = sectors.multipliedReportingOverflow(by: 512)
        guard !isBeyond else { throw .unknown(path) }
        // It and its partitions.
        var parts = [(name: name, folder: folder)]
        for child in Files.names(in: folder) where Files.exists(folder.appending(child).appending("partition")) {
            parts.append((child, folder.appending(child)))
        }
        let numbers = Set(parts.compactMap { Files.line($0.folder.appending("dev")) })
        var holders: [String] = []
        for part in parts {
            holders += Files.names(in: part.folder.appending("holders")).map { "\($0) uses \(part.name)" }
        }
        let swaps = Files.line(root.appending("proc/swaps")) ?? ""
        for line in lines(of: swaps).dropFirst() {
            guard let file = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).first else { continue }
            let own =
                Files.resolved(FilePath(String(file)))?.lastComponent?.string
                ?? String(file.split(separator: "/").last ?? "")
            if parts.contains(where: { $0.name == own }) { holders.append("swap on \(own)") }
        }
        func text(_ file: String) -> String? {
            Files.line(folder.appending(file)).map { trimmedBlanks($0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        self.init(
            path: path, name: name, size: size, isRemovable: text("removable") == "1", isReadOnly: text("ro") == "1",
            model: text("device/model"), serial: text("device/serial") ?? text("serial") ?? Self.usbSerial(folder),
            mounts: Self.mounts(of: numbers, in: Files.line(root.appending("proc/self/mountinfo")) ?? ""),
            holders: holders)
    }

    /// A stick's serial is one of the USB device above it.
    private static func usbSerial(_ folder: FilePath) -> String? {
        var place = folder
        while place.components.count > 2 {
            if Files.exists(place.appending("idVendor")), let text = Files.line(place.appending("serial")) {
                return trimmedBlanks(text)
            }
            place.removeLastComponent()
        }
        return nil
    }

    /// Mount points of devices with these numbers, as `/proc/self/mountinfo` tells them.
    static func mounts(of numbers: Set<String>, in text: String) -> [String] {
        lines(of: text).compactMap { line in
            let fields = line.split(separator: " ")
            return fields.count > 4 && numbers.contains(String(fields[2])) ? String(fields[4]) : nil
        }
    }

    /// Throws why an image of `imageSize` bytes may not be written to the device.
    ///
    /// `force` lets a device pass that is not removable; it lifts nothing else.
    public func check(imageSize: UInt64, force: Bool) throws(Refusal) {
        guard mounts.isEmpty else { throw .mounted(path, mounts) }
        guard holders.isEmpty else { throw .held(path, holders) }
        guard !isReadOnly else { throw .readOnly(path) }
        guard imageSize <= size else { throw .tooSmall(path, has: size, needs: imageSize) }
        guard isRemovable || force else { throw .notRemovable(path) }
    }

    /// What somebody who wants a device that is not removable has to type: its serial, or its name where it has none.
    public var proof: String { serial ?? name }

    /// `/dev/sdb  14.9 GiB, Ultra Fit, serial 4C53`.
    public var description: String {
        (["\(path)  \(ByteCount(size))"] + [model, serial.map { "serial \($0)" }].compactMap(\.self)).joined(
            separator: ", ")
    }

    /// What is on it, a line for each partition and filesystem, as `lsblk` tells it.
    public func contents() -> [String] {
        let listing = try? Command(
            "lsblk", ["--noheadings", "--raw", "--output", "NAME,SIZE,FSTYPE,LABEL,PARTLABEL", path.string]
        ).run()
        return Self.contents(inListing: listing?.text ?? "")
    }

    /// Reads lines such as `sdb1 14.9G vfat PHOTOS `; what holds no name is left out.
    static func contents(inListing text: String) -> [String] {
        lines(of: text).compactMap { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: false).map { unescaped($0) }
            guard fields.count >= 2, !fields[0].isEmpty else { return nil }
            let words = fields.dropFirst(2).filter { !$0.isEmpty }
            guard fields.count > 2, !words.isEmpty else { return "\(fields[0])  \(fields[1])" }
            return "\(fields[0])  \(fields[1])  \(words.joined(separator: "  "))"
        }
    }

    /// Replaces `\x20`, which lsblk writes for a blank in a name.
    ///
    /// Other control characters stay escaped: this goes to a terminal.
    private static func unescaped(_ field: Substring) -> String { String(field).replacing("\\x20", with: " ") }
}

private func trimmedBlanks(_ text: String) -> String {
    var rest = text[...]
    while rest.first?.isWhitespace == true { rest = rest.dropFirst() }
    while rest.last?.isWhitespace == true { rest = rest.dropLast() }
    return String(rest)
}
