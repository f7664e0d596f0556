// Writing a tree as a tar archive, in the form that mksquashfs reads.

import LinuxSystem
import SystemPackage

/// Turns a tree into a stream: pax where ustar has no room.
struct TarWriter {
    /// Times later than this are written as this; `nil` leaves all as they are.
    var latest: Int64?

    private static let block = 512
    private static let piece: UInt64 = 1 << 20

    /// Writes all of `tree` but its root folder, whose attributes tar readers take from elsewhere.
    ///
    /// `write` takes what comes next, and `progress` is told how many bytes of the files' data are written. Throws what
    /// `write` throws, and where a file cannot be read or has become shorter.
    func write(_ tree: RootTree, to write: ([UInt8]) throws -> Void, progress: (UInt64) -> Void = { _ in }) throws {
        var done: UInt64 = 0
        for entry in tree.entries {
            let node = tree.nodes[entry.node]
            try write(header(entry, node))
            guard entry.firstPath == nil, case .file(let source) = node.kind else { continue }
            switch source {
            case .bytes(let bytes): try write(bytes)
            case .file(let path, let offset, let count):
                let (end, isBeyond) = offset.addingReportingOverflow(count)
                guard !isBeyond else { throw Failure.shortened(entry.pathText) }
                let input = try ByteRange(path, offset..<end)
                var at: UInt64 = 0
                while at < count {
                    let bytes = try input.bytes(at: at, count: min(Self.piece, count - at))
                    // A file that shrinks while it is read would shift everything behind it.
                    guard !bytes.isEmpty else { throw Failure.shortened(entry.pathText) }
                    try write(bytes)
                    at += UInt64(bytes.count)
                    progress(done + at)
                }
            }
            done += source.count
            try write([UInt8](repeating: 0, count: padding(source.count)))
        }
        try write([UInt8](repeating: 0, count: 2 * Self.block))
    }

    enum Failure: Error, Equatable, CustomStringConvertible {
        case shortened(String)

        var description: String {
            switch self {
            case .shortened(let path): "\(path) became shorter while it was read"
            }
        }
    }

    /// A time as it is to be written.
    func time(_ modified: Int64) -> Int64 { min(modified, latest ?? .max) }

    private func padding(_ count: UInt64) -> Int {
        Int((UInt64(Self.block) - count % UInt64(Self.block)) % UInt64(Self.block))
    }

    private func header(_ entry: RootTree.Entry, _ node: RootTree.Node) -> [UInt8] {
        var type: UInt8
        var target: [UInt8] = []
        var size: UInt64 = 0
        var device: (major: UInt32, minor: UInt32) = (0, 0)
        var path = entry.path
        switch node.kind {
        case .folder:
            type = UInt8(ascii: "5")
            path.append(UInt8(ascii: "/"))
        case .file(let source):
            type = UInt8(ascii: "0")
            size = source.count
        case .link(let text):
            type = UInt8(ascii: "2")
            target = text
        case .device(let isBlock, let major, let minor):
            type = isBlock ? UInt8(ascii: "4") : UInt8(ascii: "3")
            device = (major, minor)
        case .pipe: type = UInt8(ascii: "6")
        }
        if let first = entry.firstPath {
            type = UInt8(ascii: "1")
            target = first
            size = 0
        }
        let attributes = node.attributes
        let modified = time(attributes.modified)
        var records: [UInt8] = []
        if path.count > 100 { records += record("path", path) }
        if target.count > 100 { records += record("linkpath", target) }
        if size >= 1 << 33 { records += record("size", Array("\(size)".utf8)) }
        if attributes.user >= 1 << 21 { records += record("uid", Array("\(attributes.user)".utf8)) }
        if attributes.group >= 1 << 21 { records += record("gid", Array("\(attributes.group)".utf8)) }
        if !(0..<1 << 33 ~= modified) { records += record("mtime", Array("\(modified)".utf8)) }
        if entry.firstPath == nil {
            for (name, value) in attributes.extended.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
                records += record(Array("SCHILY.xattr.".utf8) + name, value)
            }
        }
        var bytes: [UInt8] = []
        if !records.isEmpty {
            bytes += block(
                path: Array("pax".utf8), type: UInt8(ascii: "x"), target: [], size: UInt64(records.count),
                attributes: RootTree.Attributes(permissions: 0o644), modified: 0, device: (0, 0))
            bytes += records + [UInt8](repeating: 0, count: padding(UInt64(records.count)))
        }
        return bytes
            + block(
                path: Array(path.prefix(100)), type: type, target: Array(target.prefix(100)), size: size,
                attributes: attributes, modified: modified, device: device)
    }

    private func record(_ name: String, _ value: [UInt8]) -> [UInt8] { record(Array(name.utf8), value) }

    /// The number in front counts its own digits too.
    private func record(_ name: [UInt8], _ value: [UInt8]) -> [UInt8] {
        let rest = [UInt8(ascii: " ")] + name + [UInt8(ascii: "=")] + value + [UInt8(ascii: "\n")]
        var length = rest.count + 1
        while "\(length)".utf8.count + rest.count != length { length = "\(length)".utf8.count + rest.count }
        return Array("\(length)".utf8) + rest
    }

    private func block(
        path: [UInt8], type: UInt8, target: [UInt8], size: UInt64, attributes: RootTree.Attributes, modified: Int64,
        device: (major: UInt32, minor: UInt32)
    ) -> [UInt8] {
        func octal(_ value: UInt64, _ width: Int) -> [UInt8] {
            let most = width > 1 ? UInt64(1) << UInt64(3 * (width - 1)) : 1
            let digits = Array(String(value < most ? value : 0, radix: 8).utf8)
            return [UInt8](repeating: UInt8(ascii: "0"), count: max(0, width - 1 - digits.count)) + digits + [0]
        }
        func field(_ bytes: [UInt8], _ width: Int) -> [UInt8] {
            bytes + [UInt8](repeating: 0, count: width - bytes.count)
        }
        var bytes = field(path, 100)
        bytes += octal(UInt64(attributes.permissions), 8) + octal(UInt64(attributes.user), 8)
        bytes += octal(UInt64(attributes.group), 8) + octal(size, 12) + octal(UInt64(max(0, modified)), 12)
        bytes += [UInt8](repeating: UInt8(ascii: " "), count: 8) + [type] + field(target, 100)
        bytes += Array("ustar\0".utf8) + Array("00".utf8) + [UInt8](repeating: 0, count: 64)
        bytes += octal(UInt64(device.major), 8) + octal(UInt64(device.minor), 8)
        bytes += [UInt8](repeating: 0, count: Self.block - bytes.count)
        let sum = bytes.reduce(UInt64(0)) { $0 + UInt64($1) }
        bytes.replaceSubrange(148..<156, with: Array(octal(sum, 7)) + [UInt8(ascii: " ")])
        return bytes
    }
}
