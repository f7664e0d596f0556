// Devices as /sys shows them, read through closures.

/// A view of `/sys`; paths are below it and begin with a slash: `/devices/pci0000:00/...`.
public struct Sysfs: Sendable {
    /// The bytes of a file; `nil` if it cannot be read.
    public var read: @Sendable (String) -> [UInt8]?
    /// The names in a folder; empty if there is no folder.
    public var names: @Sendable (String) -> [String]
    /// The target of a link; `nil` if there is no link.
    public var linkTarget: @Sendable (String) -> String?

    /// Creates a view from its functions.
    public init(
        read: @escaping @Sendable (String) -> [UInt8]?, names: @escaping @Sendable (String) -> [String],
        linkTarget: @escaping @Sendable (String) -> String?
    ) {
        self.read = read
        self.names = names
        self.linkTarget = linkTarget
    }

    /// The text of a file without its last newlines; `nil` if it cannot be read.
    public func text(_ path: String) -> String? {
        guard var bytes = read(path) else { return nil }
        while bytes.last == newline { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A folder of `/sys/devices` that is a device: it has a `uevent` file.
public struct SysfsDevice: Sendable {
    /// The view in which the device is.
    public let sysfs: Sysfs
    /// The path below `/sys`: `/devices/.../block/vda`.
    public let path: String
    /// The subsystem: `block`, `pci`, `scsi`...; `nil` if the device has none.
    public let subsystem: String?
    /// The content of `uevent`: `DEVTYPE`, `DEVNAME`, `MAJOR`, `MODALIAS`...
    public let properties: [String: String]

    /// Reads a device; `nil` if the folder has no `uevent` file.
    public init?(_ path: String, in sysfs: Sysfs) {
        guard let event = sysfs.text("\(path)/uevent") else { return nil }
        self.sysfs = sysfs
        self.path = path
        subsystem = sysfs.linkTarget("\(path)/subsystem").map(lastComponent)
        var properties: [String: String] = [:]
        for line in event.split(separator: "\n") {
            guard let equals = line.firstIndex(of: "=") else { continue }
            properties[String(line[..<equals])] = String(line[line.index(after: equals)...])
        }
        self.properties = properties
    }

    /// The kernel's name of the device: `vda1`, `0000:00:04.0`, `cciss/c0d0`.
    public var name: String { lastComponent(path).split(separator: "!").joined(separator: "/") }

    /// The digits at the end of the name, for example a partition's number.
    public var number: String {
        let bytes = Array(name.utf8)
        let start = (bytes.lastIndex { !isDigit($0) } ?? -1) + 1
        return String(decoding: bytes[start...], as: UTF8.self)
    }

    /// The type within the subsystem: `disk`, `partition`, `scsi_device`, `usb_interface`.
    public var type: String? { properties["DEVTYPE"] }

    /// The nearest device above this one.
    public var parent: SysfsDevice? {
        var folder = path[...]
        while let slash = folder.lastIndex(of: "/") {
            folder = folder[..<slash]
            if folder == "/devices" || folder.isEmpty { return nil }
            if let device = SysfsDevice(String(folder), in: sysfs) { return device }
        }
        return nil
    }

    /// This device and those above it, nearest first.
    public var chain: [SysfsDevice] { Array(sequence(first: self, next: \.parent)) }

    /// The text of one of its files without the last newlines.
    public func attribute(_ name: String) -> String? { sysfs.text("\(path)/\(name)") }

    /// The bytes of one of its files.
    public func bytes(_ name: String) -> [UInt8]? { sysfs.read("\(path)/\(name)") }
}

/// The last name of a path.
package func lastComponent(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
}

func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0") <= byte && byte <= UInt8(ascii: "9") }

private let newline = UInt8(ascii: "\n")
