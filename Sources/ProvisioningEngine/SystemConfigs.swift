// Configs that an image brings along: fragments below every user's config, and a user's config of its own.

import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

/// The folders where an image keeps configs: what is put there at run time goes before what this machine has,
/// and that before the vendor's.
///
/// - SeeAlso: Ignition's "Operator notes" on base configs and `user.ign`.
public struct SystemConfigFolders: Equatable, Sendable {
    /// First to last.
    public var paths: [FilePath] = ["/run/ignition", "/etc/ignition", "/usr/lib/ignition"]

    /// The usual ones.
    public init() {}

    /// Those that the environment names, or the usual ones.
    ///
    /// - Parameter value: A variable's value; `nil` where it is not set.
    public init(_ value: (String) -> String?) {
        let names = [
            "IGNITION_SYSTEM_RUNTIME_CONFIG_DIR", "IGNITION_SYSTEM_LOCAL_CONFIG_DIR", "IGNITION_SYSTEM_CONFIG_DIR",
        ]
        for (index, name) in names.enumerated() {
            if let path = value(name), !path.isEmpty { paths[index] = FilePath(path) }
        }
    }

    /// `user.ign`, of which the first counts; `nil` where there is none.
    var userConfig: FilePath? { paths.map { $0.appending("user.ign") }.first { Files.status($0) != nil } }

    /// The entries of a folder in all of them, by the bytes of their names; of one name the first counts.
    ///
    /// - Throws: The errno of a folder that is there and cannot be read.
    func fragments(_ folder: FilePath) throws -> [FilePath] {
        var found: [String: FilePath] = [:]
        for path in paths.map({ $0.pushing(folder) }) where Files.status(path) != nil {
            guard let handle = opendir(path.string) else {
                throw UnreadableConfig(path: path, reason: Errno(rawValue: errno))
            }
            closedir(handle)
            for name in Files.names(in: path) where found[name] == nil { found[name] = path.appending(name) }
        }
        return found.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map(\.value)
    }
}

/// What is told while configs are read.
struct ConfigNotes {
    var reading: (_ path: FilePath, _ bytes: [UInt8]) -> Void = { _, _ in }
    var report: (IgnitionConfig.Report) -> Void = { _ in }
    /// Something is left out that somebody ought to know of.
    var warn: (String) -> Void = { _ in }
}

extension SystemConfigFolders {
    /// The base configs, merged: those for every platform, then the platform's own.
    ///
    /// A fragment that cannot be used stops everything; of a platform's fragments it takes out all, and is told.
    /// What they refer to is never followed.
    /// - Returns: An empty config where there are none.
    func baseConfig(platform: String?, notes: ConfigNotes) throws -> IgnitionConfig {
        var base = IgnitionConfig()
        for path in try fragments("base.d") { base = base.merged(with: try read(path, notes)) }
        guard let platform else { return base }
        do {
            var own = base
            for path in try fragments(FilePath("base.platform.d/\(platform)")) {
                own = own.merged(with: try read(path, notes))
            }
            return own
        } catch {
            notes.warn("no config of base.platform.d/\(platform) is used: \(error)")
            return base
        }
    }

    private func read(_ path: FilePath, _ notes: ConfigNotes) throws -> IgnitionConfig {
        let bytes: [UInt8]
        do throws(FileFault) {
            bytes = try Files.read(path)
        } catch {
            throw UnreadableConfig(path: path, reason: error.reason)
        }
        notes.reading(path, bytes)
        let parsed = IgnitionConfig.parse(bytes, name: path.string)
        notes.report(parsed.report)
        return try parsed.checked()
    }
}

/// A config of the image that is there and cannot be read.
struct UnreadableConfig: Error, Equatable, CustomStringConvertible, Advising {
    var path: FilePath
    var reason: Errno

    var description: String { "cannot read \(path): \(reason)" }
    var advice: [String] { ["Check what the initramfs has there, and make it again."] }
}
