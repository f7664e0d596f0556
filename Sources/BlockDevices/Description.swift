// What a device or an image file holds, for `firstlight probe`.

import DiskFormats
import DiskPlanning
import JSONText
import Reporting
import SystemPackage

/// Everything that can be told of a device without changing it.
public struct DeviceDescription: Equatable, Sendable {
    /// The path of the device or image.
    public var path: String
    /// Bytes.
    public var size: UInt64
    /// The signatures on the device as a whole.
    public var content: Content
    /// The LUKS header, if there is one.
    public var luks: LUKSHeader?
    /// The partition table.
    public var table: FoundTable
    /// Bytes of a logical sector.
    public var sectorSize: UInt64

    /// Reads a device.
    ///
    /// - Parameter path: A block device, or an image of a disk or filesystem.
    /// - Throws: ``DiskFailure/unreadable(_:_:)``.
    public init(_ path: String) throws(DiskFailure) {
        let disk = try DiskProber().disk(path, node: path)
        self.path = path
        size = disk.size
        sectorSize = disk.sectorSize
        content = disk.content
        table = disk.table
        luks = disk.content.signatures.contains { $0.type == "crypto_LUKS" } ? try LUKSHeader.read(path) : nil
    }

    /// The description for programs; `type`, `label` and `uuid` are those of the first signature, or null.
    public var json: JSONValue {
        let first = content.signatures.first
        return [
            "path": .string(path), "size": JSONValue(size), "type": JSONValue(first?.type),
            "version": JSONValue(first?.version), "label": JSONValue(first?.label), "uuid": JSONValue(first?.uuid),
            "used": first?.used.map { JSONValue($0) } ?? .null,
            "signatures": .array(content.signatures.map(\.json)),
            "luks": luks.map {
                ["version": JSONValue($0.version), "uuid": .string($0.uuid), "label": JSONValue($0.label)]
            } ?? .null,
            "table": tableJSON,
        ]
    }

    private var tableJSON: JSONValue {
        guard let name = table.name else { return .null }
        let damage: [FoundGPT.Damage] = if case .gpt(let gpt) = table { gpt.damage } else { [] }
        return [
            "type": .string(name), "sectorSize": JSONValue(sectorSize),
            "damaged": .array(damage.map { .string($0.rawValue) }),
            "partitions": .array(
                table.partitions.map { partition in
                    [
                        "number": JSONValue(partition.number), "label": .string(partition.label),
                        "guid": .string(partition.guid), "type": .string(partition.type),
                        "start": JSONValue(partition.sectors.lowerBound),
                        "sectors": JSONValue(partition.sectors.upperBound - partition.sectors.lowerBound),
                    ]
                }),
        ]
    }

    /// The description for people, in a few lines.
    public var lines: [String] {
        let parts = ["\(ByteCount(size))", table.name, content.isKnown || table == .none ? "\(content)" : nil]
        var lines = ["\(path)   \(parts.compactMap(\.self).joined(separator: ", "))"]
        if let luks { lines.append("     LUKS\(luks.version), UUID \(luks.uuid)") }
        let geometry = SectorGeometry(sectorSize: sectorSize)
        lines += table.partitions.map { "  \($0.number)  \"\($0.label)\"  \(ByteCount(geometry.size($0.sectors)))" }
        return lines
    }
}
