// Firmware: files that drivers load into devices. A driver without its firmware is useless.

import KernelModules
import LinuxSystem
import SystemPackage

/// The firmware that the chosen modules need, as far as this system has it.
struct Firmware: Equatable {
    /// The files of the host, by their paths below `lib/firmware` of the image.
    var files: [String: FilePath] = [:]
    /// The names that this system does not have, by the module that needs them.
    var missing: [String: [String]] = [:]

    /// The folders that the kernel searches in this order; a kernel's own folders come first.
    static let folders: [FilePath] = ["/lib/firmware/updates", "/lib/firmware"]

    /// The names in a module's own information, as `modinfo -F firmware` prints them.
    ///
    /// The module's image is not compressed.
    static func names(askedForBy module: [UInt8]) throws(ELFFile.Failure) -> [String] {
        try ModuleFile.information("firmware", in: module)
    }

    /// Looks for a name or for the matches of a pattern.
    mutating func add(_ name: String, for module: String, in folders: [FilePath]) {
        // A name that leads out of the folder is not a firmware name.
        guard !name.split(separator: "/").contains("..") else { return }
        let matches = name.contains { "*?[".contains($0) } ? Self.matches(of: name, in: folders) : [name]
        var isThere = false
        for match in matches {
            guard let found = Self.find(match, in: folders) else { continue }
            files[match] = found
            isThere = true
        }
        if !isThere { missing[module, default: []].append(name) }
    }

    /// The file of a name, which a distribution may have compressed.
    private static func find(_ name: String, in folders: [FilePath]) -> FilePath? {
        for folder in folders {
            for ending in ["", ".zst", ".xz"] {
                let file = folder.appending(name + ending)
                if let found = Files.resolved(file), Files.exists(found), !Files.isFolder(found) { return file }
            }
        }
        return nil
    }

    /// The names that match a pattern, which is about the files of one folder.
    private static func matches(of pattern: String, in folders: [FilePath]) -> [String] {
        let slash = pattern.lastIndex(of: "/")
        let folder = slash.map { String(pattern[...$0]) } ?? ""
        let last = slash.map { pattern[pattern.index(after: $0)...] } ?? pattern[...]
        let names = folders.flatMap { Files.names(in: $0.appending(folder)) }.map(plainName)
        return Set(names).filter { fileName($0, matches: last) }.sorted().map { folder + $0 }
    }

    private static func plainName(_ name: String) -> String {
        for ending in [".zst", ".xz"] where name.hasSuffix(ending) { return String(name.dropLast(ending.count)) }
        return name
    }

    /// One line about what is missing; `nil` if nothing is.
    var warning: String? {
        guard !missing.isEmpty else { return nil }
        let names = missing.keys.sorted()
        let shown = names.prefix(8).joined(separator: ", ")
        let more = names.count > 8 ? " and \(names.count - 8) more" : ""
        let count = names.count == 1 ? "1 module asks" : "\(names.count) modules ask"
        return "\(count) for firmware that this system does not have: \(shown)\(more); see its packages `firmware-*`"
    }
}
