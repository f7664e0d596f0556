// Module images: some distributions compress them, which is of no use here.

import LinuxSystem
import SystemPackage

/// Reads modules and stores them without compression.
///
/// The squashfs compresses many modules together better than each by itself, and every kernel can load a plain one.
enum ModuleFile {
    private static let decompressors: [(ending: String, program: HostProgram)] = [
        (".xz", HostProgram(name: "xz", package: "xz-utils")),
        (".zst", HostProgram.zstd),
        (".gz", HostProgram(name: "gzip", package: "gzip")),
    ]

    static func isCompressed(_ path: String) -> Bool { plainPath(path) != path }

    /// Whether a path is that of a module, compressed or not.
    static func isModule(_ path: String) -> Bool { plainPath(path).hasSuffix(".ko") }

    /// The path without its compression: `kernel/fs/xfs/xfs.ko.xz` becomes `kernel/fs/xfs/xfs.ko`.
    static func plainPath(_ path: String) -> String {
        let ending = decompressors.first { path.hasSuffix($0.ending) }?.ending ?? ""
        return String(path.dropLast(ending.count))
    }

    /// The text of a modules.dep with the plain path of every module.
    static func plainPaths(inIndex text: [UInt8]) -> [UInt8] {
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n").map { line in
            line.split(separator: " ").map { word in
                word.hasSuffix(":") ? plainPath(String(word.dropLast())) + ":" : plainPath(String(word))
            }.joined(separator: " ")
        }
        return Array(lines.map { $0 + "\n" }.joined().utf8)
    }

    /// A module's image, decompressed.
    static func read(_ file: FilePath) throws -> [UInt8] {
        guard let program = decompressors.first(where: { file.string.hasSuffix($0.ending) })?.program else {
            do { return try Files.read(file) } catch { throw HostSystem.Failure.unreadable(file, error.reason) }
        }
        return try program.run(["--decompress", "--stdout", file.string]).standardOutput
    }

    /// The values of a key in a module's own information, as `modinfo -F KEY` prints them.
    ///
    /// - Parameters:
    ///   - key: `firmware`, `vermagic`...
    ///   - image: The module, decompressed.
    /// - Returns: The values, in order.
    /// - Throws: Why it is not a module.
    static func information(_ key: String, in image: [UInt8]) throws(ELFFile.Failure) -> [String] {
        let entries = try ELFFile.section(".modinfo", of: image)?.split(separator: 0) ?? []
        let head = Array("\(key)=".utf8)
        return entries.filter { $0.starts(with: head) }.map {
            String(decoding: $0.dropFirst(head.count), as: UTF8.self)
        }
    }

    /// The version of the kernel that a module was built for; `nil` where it does not tell.
    static func version(ofKernelFor image: [UInt8]) -> String? {
        // `6.1.0-9-amd64 SMP preempt mod_unload modversions`
        (try? information("vermagic", in: image))?.first?.split(separator: " ").first.map(String.init)
    }
}
