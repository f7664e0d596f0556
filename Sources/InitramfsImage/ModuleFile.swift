// Module images: some distributions compress them, which would only be in the way here.

import LinuxSystem
import SystemPackage

/// A module is stored plain: the squashfs compresses many modules better than each by itself, and
/// the kernel loads a plain one wherever it was built.
enum ModuleFile {
    private static let decompressors: [(ending: String, program: HostProgram)] = [
        (".xz", HostProgram(name: "xz", package: "xz-utils")),
        (".zst", HostProgram.zstd),
        (".gz", HostProgram(name: "gzip", package: "gzip")),
    ]

    static func isCompressed(_ path: String) -> Bool { plainPath(path) != path }

    /// `kernel/fs/xfs/xfs.ko.xz` becomes `kernel/fs/xfs/xfs.ko`.
    static func plainPath(_ path: String) -> String {
        let ending = decompressors.first { path.hasSuffix($0.ending) }?.ending ?? ""
        return String(path.dropLast(ending.count))
    }

    /// The text of a modules.dep with every path plain.
    static func plainPaths(inIndex text: [UInt8]) -> [UInt8] {
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n").map { line in
            line.split(separator: " ").map { word in
                word.hasSuffix(":") ? plainPath(String(word.dropLast())) + ":" : plainPath(String(word))
            }.joined(separator: " ")
        }
        return Array(lines.map { $0 + "\n" }.joined().utf8)
    }

    /// The module's image, decompressed.
    static func read(_ file: FilePath) throws -> [UInt8] {
        guard let program = decompressors.first(where: { file.string.hasSuffix($0.ending) })?.program else {
            do { return try Files.read(file) } catch { throw HostSystem.Failure.unreadable(file, error.reason) }
        }
        return try program.run(["--decompress", "--stdout", file.string]).standardOutput
    }
}
