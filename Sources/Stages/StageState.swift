// What one stage leaves for the next, in files under /run/firstlight: the stages may be calls in one
// process or processes of their own.

import BlockDevices
import FilePlanning
import Glibc
import JSONText
import LinuxSystem
import LiveRoot
import Reporting
import SystemPackage

/// The user's config as it was found, before it is parsed.
struct FetchedConfig: Equatable, Sendable {
    /// What people are told: a URL without secrets, a path, `fw_cfg`.
    var source: String
    var bytes: [UInt8]

    /// The name that stands before line numbers: the source's last component.
    var name: String { Self.name(of: source) }

    static func name(of source: String) -> String {
        source.split(separator: "/").last.map(String.init).flatMap { $0.contains(":") ? nil : $0 } ?? "config.ign"
    }
}

/// The files under `/run/firstlight`. All are 0600 in a folder of mode 0700: a config holds secrets. When no stage
/// needs those any more, ``forgetSecrets()`` removes them.
struct StageState: Sendable {
    static let folder = FilePath("/run/firstlight")

    private func path(_ name: String) -> FilePath { Self.folder.appending(name) }

    private func save(_ bytes: [UInt8], as name: String, mode: mode_t = 0o600) throws {
        try step("saving \(path(name))") {
            try Files.makeFolder(Self.folder, mode: 0o700)
            try Files.write(bytes, to: path(name), mode: mode)
        }
    }

    func save(_ value: JSONValue, as name: String, mode: mode_t = 0o600) throws {
        try save(Array(value.text(.pretty).utf8), as: name, mode: mode)
    }

    /// The object in that file, or `nil` where there is none.
    func load(_ name: String) -> JSONValue? {
        guard let bytes = try? Files.read(path(name)), let node = try? JSONNode(parsing: bytes) else { return nil }
        return JSONValue(node)
    }

    // MARK: The config

    /// Keeps the config; `nil` records that there is none, so that nobody looks for it again.
    ///
    /// - Parameter isWhole: Whether nothing that it refers to is still to be fetched.
    func save(config: FetchedConfig?, isWhole: Bool = true) throws {
        if let config { try save(config.bytes, as: "config.ign") }
        try save(["source": JSONValue(config?.source), "isWhole": .bool(isWhole)], as: "config.json")
    }

    /// Whether a stage has settled which config there is.
    var hasConfig: Bool { Files.exists(path("config.json")) }

    var isConfigWhole: Bool { load("config.json")?["isWhole"]?.bool ?? false }

    func loadConfig() throws -> FetchedConfig? {
        guard let source = load("config.json")?["source"]?.string else { return nil }
        return try step("reading the fetched config") {
            FetchedConfig(source: source, bytes: try Files.read(path("config.ign")))
        }
    }

    // MARK: Mounts

    /// What the mount stage did, for those that come after it; unmounting needs no config. Paths are absolute in
    /// the real root.
    struct MountRecord: Equatable, Sendable {
        /// The folders that were made to mount the config's filesystems on.
        var folders: [String] = []
        /// What is mounted now, in the order of mounting.
        var mounted: [String] = []
    }

    var mounts: MountRecord {
        func paths(_ key: String) -> [String] { (load("mounts.json")?[key]?.elements ?? []).compactMap(\.string) }
        return MountRecord(folders: paths("folders"), mounted: paths("mounted"))
    }

    func changeMounts(_ change: (inout MountRecord) -> Void) throws {
        var record = mounts
        change(&record)
        func list(_ paths: [String]) -> JSONValue { .array(paths.map { .string($0) }) }
        try save(["folders": list(record.folders), "mounted": list(record.mounted)], as: "mounts.json")
    }

    // MARK: LUKS volumes

    /// The volumes of this boot that the real root is to open again.
    var volumes: [CrypttabEntry] {
        (load("volumes.json")?.elements ?? []).compactMap { volume in
            guard let name = volume["name"]?.string, let uuid = volume["uuid"]?.string else { return nil }
            let isBound = volume["clevis"]?.bool ?? false
            return CrypttabEntry(
                name: name, uuid: uuid,
                opener: isBound ? .clevis(overNetwork: volume["network"]?.bool ?? false) : .keyFile)
        }
    }

    private func keyName(_ volume: String) -> String { "luks-\(volume).key" }

    func save(_ volume: OpenVolume) throws {
        try volume.key?.withBytes { key throws in try save(Array(key), as: keyName(volume.name)) }
        let others = volumes.filter { $0.name != volume.name }
        let opener: CrypttabEntry.Opener =
            volume.key == nil ? .clevis(overNetwork: volume.opensOverNetwork) : .keyFile
        let all = others + [CrypttabEntry(name: volume.name, uuid: volume.uuid, opener: opener)]
        try save(
            .array(
                all.map { volume in
                    [
                        "name": .string(volume.name), "uuid": .string(volume.uuid),
                        "clevis": .bool(volume.keyFile == nil),
                        "network": .bool(volume.opener == .clevis(overNetwork: true)),
                    ]
                }), as: "volumes.json")
    }

    func key(of volume: CrypttabEntry) throws -> SecretBytes {
        try step("reading the key of the LUKS volume \(volume.name)") {
            try SecretBytes(contentsOf: path(keyName(volume.name)))
        }
    }

    /// Keys of volumes that an earlier run of the disks stage opened or made.
    var knownKeys: [String: SecretBytes] {
        var keys: [String: SecretBytes] = [:]
        for volume in volumes {
            let file = open(path(keyName(volume.name)).string, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { continue }
            defer { close(file) }
            keys[volume.name] = try? SecretBytes(contentsOf: file)
        }
        return keys
    }

    func forgetKeys() throws {
        for volume in volumes where Files.exists(path(keyName(volume.name))) {
            try step("removing a key") { try Files.erase(path(keyName(volume.name))) }
        }
    }

    // MARK: What was written

    /// One phrase for each change made to a disk or to the real root at this boot, for failures up to its very end.
    var written: [String] { (load("written.json")?.elements ?? []).compactMap(\.string) }

    func recordWrite(_ phrase: String) {
        // After a failure everything is tried again.
        if written.contains(phrase) { return }
        // A report that cannot be kept must not stop what is under way on a disk.
        try? save(.array((written + [phrase]).map { .string($0) }), as: "written.json")
    }
}
