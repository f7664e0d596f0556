// The records that stages leave for each other, and their form in
// files: names and words that are written here, not derived from types.

import JSONText
import LiveRoot
import NetworkPlanning
import Reporting
import SystemPackage

/// One file of what stages leave for each other.
protocol StateRecord: VersionedRecord, Equatable, Sendable {
    static var file: RunFile { get }
}

extension NetworkRecord: StateRecord {}

private func texts(_ list: JSONValue?) -> [String] { (list?.elements ?? []).compactMap(\.string) }
private func list(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }

/// What is known of the config.
struct ConfigRecord: StateRecord {
    static let file = RunFile.configRecord

    /// Where it came from, as people are told; `nil`: there is none.
    var source: String?
    /// Whether nothing that it refers to is still to be fetched.
    var isWhole: Bool

    init(source: String?, isWhole: Bool) {
        self.source = source
        self.isWhole = isWhole
    }

    init?(json: JSONValue) { self.init(source: json["source"]?.string, isWhole: json["isWhole"]?.bool ?? false) }

    var json: JSONValue { ["source": JSONValue(source), "isWhole": .bool(isWhole)] }
}

/// Files for the real root that the platform gave beside the config.
struct PlatformFilesRecord: StateRecord {
    static let file = RunFile.platformFiles

    /// As a config writes files.
    var files: JSONValue

    init(files: JSONValue) { self.files = files }

    init?(json: JSONValue) {
        guard let files = json["files"] else { return nil }
        self.files = files
    }

    var json: JSONValue { ["files": files] }
}

/// Kernel names of devices by the config's paths, as the disks stage planned them.
struct NodesRecord: StateRecord {
    static let file = RunFile.nodes

    var nodes: [String: String]

    init(nodes: [String: String]) { self.nodes = nodes }

    init?(json: JSONValue) {
        guard let members = json["nodes"]?.members else { return nil }
        nodes = Dictionary(members.compactMap { member in member.value.string.map { (member.key, $0) } }) { $1 }
    }

    var json: JSONValue {
        ["nodes": .object(nodes.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) })]
    }
}

/// What the look at the disks came to.
struct LookRecord: StateRecord {
    static let file = RunFile.look

    var look: DiskLook

    init(look: DiskLook) { self.look = look }

    init?(json: JSONValue) {
        guard let lines = json["plan"]?.elements, let nodes = NodesRecord(json: json)?.nodes else { return nil }
        look = DiskLook(lines: lines.compactMap(\.string), nodes: nodes)
    }

    var json: JSONValue {
        .object([.init("plan", list(look.lines))] + (NodesRecord(nodes: look.nodes).json.members ?? []))
    }
}

/// What the mount stage did, so that unmounting needs no config.
///
/// Paths are absolute in the real root.
struct MountRecord: StateRecord {
    static let file = RunFile.mounts

    /// The folders that were made to mount the config's filesystems on.
    var folders: [String] = []
    /// What is mounted now, in the order of mounting.
    var mounted: [String] = []

    init() {}

    init?(json: JSONValue) {
        folders = texts(json["folders"])
        mounted = texts(json["mounted"])
    }

    var json: JSONValue { ["folders": list(folders), "mounted": list(mounted)] }
}

/// The LUKS volumes of this boot.
struct VolumesRecord: StateRecord {
    static let file = RunFile.volumes

    var volumes: [KeptVolume]

    init(volumes: [KeptVolume]) { self.volumes = volumes }

    init?(json: JSONValue) {
        guard let elements = json["volumes"]?.elements else { return nil }
        volumes = elements.compactMap { volume in
            guard let name = volume["name"]?.string, let uuid = volume["uuid"]?.string,
                let opener = volume["opener"]?.string.flatMap(Opener.init)
            else { return nil }
            return KeptVolume(name: name, uuid: uuid, opener: opener.value)
        }
    }

    var json: JSONValue {
        [
            "volumes": .array(
                volumes.map {
                    [
                        "name": .string($0.name), "uuid": .string($0.uuid),
                        "opener": .string(Opener($0.opener).rawValue),
                    ]
                })
        ]
    }

    private enum Opener: String {
        case key = "key"
        case clevis = "clevis"
        case clevisOverNetwork = "clevis-network"

        init(_ opener: KeptVolume.Opener) {
            switch opener {
            case .key: self = .key
            case .clevis(overNetwork: false): self = .clevis
            case .clevis(overNetwork: true): self = .clevisOverNetwork
            }
        }

        var value: KeptVolume.Opener {
            switch self {
            case .key: .key
            case .clevis: .clevis(overNetwork: false)
            case .clevisOverNetwork: .clevis(overNetwork: true)
            }
        }
    }
}

/// What was changed at this boot, one phrase each.
struct WrittenRecord: StateRecord {
    static let file = RunFile.written

    var phrases: [String] = []

    init() {}

    init?(json: JSONValue) { phrases = texts(json["written"]) }

    var json: JSONValue { ["written": list(phrases)] }
}

/// What is under way, in two lines of text: supervisor.c, which is to tell a second death, reads no JSON.
public struct StepRecord: Equatable, Sendable {
    /// The word of the stage on the console and in the report; of several the first one's.
    public var topic: String
    /// What is told after "while": "getting the root filesystem and planning the disks".
    public var act: String

    /// Before the first of all stages.
    public static let starting = StepRecord(topic: "boot", act: "starting")

    init(topic: String, act: String) {
        self.topic = topic
        self.act = act
    }

    /// The stages that run beside each other; `nil` for none.
    init?(_ stages: [BootStage]) {
        guard let first = stages.first else { return nil }
        self.init(topic: first.topic, act: stages.map(\.act).joined(separator: " and "))
    }

    /// A stage that is a process of its own.
    public init(_ stage: StageName) { self.init(topic: stage.topic, act: stage.act) }

    var text: String { "\(topic)\n\(act)\n" }

    init?(reading text: String) {
        let lines = text.split(separator: "\n")
        guard lines.count == 2 else { return nil }
        self.init(topic: String(lines[0]), act: String(lines[1]))
    }
}

/// The root image as the next stage needs it, and where it came from for whoever looks.
struct RootImageRecord: StateRecord {
    static let file = RunFile.rootImage

    var file: FilePath
    var offset: UInt64
    var size: UInt64
    /// `squashfs` or `erofs`.
    var format: String
    /// Members that the boot itself does not use.
    private var details: [JSONValue.Member] = []

    init(file: FilePath, offset: UInt64, size: UInt64, format: String) {
        self.file = file
        self.offset = offset
        self.size = size
        self.format = format
    }

    init(_ image: RootImage) {
        self.init(file: image.file, offset: image.offset, size: image.size, format: image.format.rawValue)
        let details: JSONValue = [
            "version": JSONValue(image.version), "source": .string(image.source),
            "verifiedBy": .string(image.verifiedBy.rawValue), "bytesFetched": JSONValue(image.bytesFetched),
            "seconds": .number(image.seconds),
        ]
        self.details = details.members ?? []
    }

    init?(json: JSONValue) {
        guard let file = json["file"]?.string, let format = json["format"]?.string,
            let offset = json["offset"]?.integer.flatMap({ UInt64(exactly: $0) }),
            let size = json["size"]?.integer.flatMap({ UInt64(exactly: $0) })
        else { return nil }
        self.init(file: FilePath(file), offset: offset, size: size, format: format)
    }

    var json: JSONValue {
        let own: JSONValue = [
            "file": .string(file.string), "offset": JSONValue(offset), "size": JSONValue(size),
            "format": .string(format),
        ]
        return .object((own.members ?? []) + details)
    }
}
