// Folders and archives for the tests of this target.

import Glibc
import InitramfsImage
import LinuxSystem
import LiveImage
import SystemPackage

@testable import ImageMaking

extension TemporaryFolder {
    /// Writes a file, and the folders above it.
    @discardableResult
    func file(_ name: String, _ bytes: [UInt8], mode: UInt32 = 0o644) throws -> FilePath {
        let file = path.appending(name)
        try Files.makeFolder(file.removingLastComponent())
        try Files.write(bytes, to: file, mode: mode)
        return file
    }

    @discardableResult
    func file(_ name: String, _ text: String = "", mode: UInt32 = 0o644) throws -> FilePath {
        try file(name, Array(text.utf8), mode: mode)
    }

    func link(_ name: String, to target: String) throws { try Files.makeLink(path.appending(name), to: target) }
}

/// A member of an archive that a test makes.
struct Sample {
    var path: String
    var kind: RootTree.Kind
    var hardLink: String?
    var attributes = RootTree.Attributes(permissions: 0o644)

    static func file(_ path: String, _ text: String = "", user: UInt32 = 0, extended: [String: String] = [:]) -> Sample
    {
        var attributes = RootTree.Attributes(permissions: 0o644, user: user)
        for (name, value) in extended { attributes.extended[Array(name.utf8)] = Array(value.utf8) }
        return Sample(path: path, kind: .file(.bytes(Array(text.utf8))), attributes: attributes)
    }

    static func folder(_ path: String, permissions: UInt32 = 0o755) -> Sample {
        Sample(path: path, kind: .folder, attributes: RootTree.Attributes(permissions: permissions))
    }

    static func link(_ path: String, to target: String) -> Sample {
        Sample(path: path, kind: .link(Array(target.utf8)))
    }

    static func hardLink(_ path: String, to target: String) -> Sample {
        Sample(path: path, kind: .file(.bytes([])), hardLink: target)
    }
}

/// A ustar archive with these members in this order and under these very names, hostile ones too.
func tar(_ samples: [Sample]) -> [UInt8] {
    func octal(_ value: Int, _ width: Int) -> [UInt8] {
        let digits = Array(String(value, radix: 8).utf8)
        return [UInt8](repeating: UInt8(ascii: "0"), count: width - 1 - digits.count) + digits + [0]
    }
    func field(_ text: String, _ width: Int) -> [UInt8] {
        Array(text.utf8) + [UInt8](repeating: 0, count: width - text.utf8.count)
    }
    func padded(_ bytes: [UInt8]) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: (512 - bytes.count % 512) % 512)
    }
    func header(_ path: String, _ type: String, _ target: String, size: Int, _ it: RootTree.Attributes) -> [UInt8] {
        var bytes = field(path, 100) + octal(Int(it.permissions), 8) + octal(Int(it.user), 8)
        bytes += octal(Int(it.group), 8) + octal(size, 12) + octal(Int(it.modified), 12)
        bytes += [UInt8](repeating: 0x20, count: 8) + Array(type.utf8) + field(target, 100)
        bytes += Array("ustar\0".utf8) + Array("00".utf8) + [UInt8](repeating: 0, count: 64) + octal(0, 8) + octal(0, 8)
        bytes += [UInt8](repeating: 0, count: 512 - bytes.count)
        bytes.replaceSubrange(148..<156, with: octal(bytes.reduce(0) { $0 + Int($1) }, 7) + [0x20])
        return bytes
    }
    var archive: [UInt8] = []
    for sample in samples {
        var records: [UInt8] = []
        for (name, value) in sample.attributes.extended {
            let rest = Array(" SCHILY.xattr.".utf8) + name + [0x3d] + value + [0x0a]
            records += Array("\(rest.count + 2)".utf8) + rest
        }
        if !records.isEmpty {
            archive += header("pax", "x", "", size: records.count, sample.attributes) + padded(records)
        }
        switch (sample.kind, sample.hardLink) {
        case (_, let target?): archive += header(sample.path, "1", target, size: 0, sample.attributes)
        case (.file(.bytes(let bytes)), nil):
            archive += header(sample.path, "0", "", size: bytes.count, sample.attributes) + padded(bytes)
        case (.link(let target), nil):
            archive += header(sample.path, "2", String(decoding: target, as: UTF8.self), size: 0, sample.attributes)
        default: archive += header(sample.path, "5", "", size: 0, sample.attributes)
        }
    }
    return archive + [UInt8](repeating: 0, count: 1024)
}

extension RootTree {
    /// Lays an archive that a test makes over this tree.
    mutating func lay(_ samples: [Sample], in folder: borrowing TemporaryFolder) throws {
        let file = try folder.file("layer-\(nodes.count)", tar(samples))
        let size = Files.size(file) ?? 0
        try lay(PlainFile(file: file, range: 0..<size), called: "the layer")
    }

    /// Every path, in order.
    var paths: [String] { entries.map(\.pathText) }

    /// A file's text; `nil` where there is no file.
    func text(_ path: String) throws -> String? {
        guard case .file(let source)? = self[path]?.kind else { return nil }
        switch source {
        case .bytes(let bytes): return String(decoding: bytes, as: UTF8.self)
        case .file(let file, let offset, let count):
            return String(
                decoding: try ByteRange(file, offset..<offset + count).bytes(at: 0, count: count), as: UTF8.self)
        }
    }
}
