// What Ignition's stages tell each other: the state file.

import IgnitionConfig
import JSONText

/// The content of the state file.
///
/// Members that nothing here understands are kept as they are.
///
/// - SeeAlso: Ignition's `internal/state`.
struct IgnitionState: Equatable, Sendable {
    struct RecordedConfig: Equatable, Sendable {
        enum Kind: String, Sendable { case base, user }

        var kind: Kind
        /// `system`, `cmdline` or a platform; of a referenced config its URL's path.
        var source: String
        var isReferenced = false
    }

    var fetchedConfigs: [RecordedConfig] = []
    /// The keys of LUKS volumes by the volumes' names, as `data:` URLs.
    ///
    /// `nil` once the real root has them.
    var keys: [String: String]?
    /// Folders that the mount stage made, below the root.
    var mountFolders: [String]?
    /// Kernel names of the config's devices, as the disks stage planned them.
    ///
    /// A label can lead to another device by the time of the next stage. This member is our own; Ignition ignores
    /// it.
    var nodes: [String: String] = [:]
    var outputFiles: JSONValue = .null
    var volumeKeyFiles: JSONValue = .null

    init() {}

    var userConfigProvided: Bool { fetchedConfigs.contains { $0.kind == .user } }

    /// - Throws: ``JSONSyntaxError``, or ``StateFault`` where a member is of another shape.
    init(parsing bytes: [UInt8]) throws {
        let value = JSONValue(try JSONNode(parsing: bytes))
        guard value.members != nil else { throw StateFault(member: "the whole") }
        func member(_ name: String) -> JSONValue? { value[name] == .null ? nil : value[name] }
        if let list = member("fetchedConfigs") {
            guard let elements = list.elements else { throw StateFault(member: "fetchedConfigs") }
            fetchedConfigs = try elements.map { entry in
                guard let kind = entry["kind"]?.string.flatMap(RecordedConfig.Kind.init) else {
                    throw StateFault(member: "fetchedConfigs")
                }
                return RecordedConfig(
                    kind: kind, source: entry["source"]?.string ?? "", isReferenced: entry["referenced"]?.bool ?? false)
            }
        }
        if let list = member("luksPersistKeyFiles") {
            guard let members = list.members else { throw StateFault(member: "luksPersistKeyFiles") }
            keys = try Dictionary(
                members.map { member in
                    guard let url = member.value.string else { throw StateFault(member: "luksPersistKeyFiles") }
                    return (member.key, url)
                }, uniquingKeysWith: { $1 })
        }
        if let list = member("notatedDirectories") {
            guard let elements = list.elements else { throw StateFault(member: "notatedDirectories") }
            mountFolders = elements.compactMap(\.string)
        }
        nodes = Dictionary(
            (member("firstlightNodes")?.members ?? []).compactMap { member in
                member.value.string.map { (member.key, $0) }
            }
        ) { $1 }
        outputFiles = value["providerOutputFiles"] ?? .null
        volumeKeyFiles = value["luksPersistVolumeKeyFiles"] ?? .null
    }

    /// One line and its end.
    var text: String {
        let configs = fetchedConfigs.map { config -> JSONValue in
            [
                "kind": .string(config.kind.rawValue), "source": .string(config.source),
                "referenced": .bool(config.isReferenced),
            ]
        }
        let keys = keys.map { keys in
            JSONValue.object(keys.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) })
        }
        let own: [JSONValue.Member] =
            nodes.isEmpty
            ? []
            : [
                .init(
                    "firstlightNodes",
                    .object(nodes.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) }))
            ]
        let value: JSONValue = [
            "fetchedConfigs": configs.isEmpty ? .null : .array(configs),
            "luksPersistKeyFiles": keys ?? .null,
            "notatedDirectories": mountFolders.map { .array($0.map { .string($0) }) } ?? .null,
            "providerOutputFiles": outputFiles,
            "luksPersistVolumeKeyFiles": volumeKeyFiles,
        ]
        return JSONValue.object((value.members ?? []) + own).text() + "\n"
    }
}

struct StateFault: Error, Equatable, CustomStringConvertible {
    var member: String

    var description: String { "the state file is not as the stages write it: \(member)" }
}
