// From Butane's tree to Ignition's: plain fields and the sugar of the common part.

import Encoding
import IgnitionConfig

/// One config on its way to Ignition.
///
/// The steps run in Butane's order, since entries that sugar makes go before or behind the user's by it.
struct Translation {
    let dialect: Dialect
    let localFiles: LocalFiles
    private(set) var entries: [Butane.Report.Entry] = []
    /// Ignition's config so far.
    var result: ConfigNode

    init(_ dialect: Dialect, _ localFiles: LocalFiles, text: Int = 0) {
        self.dialect = dialect
        self.localFiles = localFiles
        result = ConfigNode(.object([]), from: ConfigPath(text: text))
    }

    var hasErrors: Bool { entries.contains { $0.severity == .error } }

    mutating func error(_ path: ConfigPath, _ message: String) {
        entries.append(.init(severity: .error, path: path, message: message, text: path.text))
    }

    mutating func warn(_ path: ConfigPath, _ message: String) {
        entries.append(.init(severity: .warning, path: path, message: message, text: path.text))
    }

    /// Translates a config that keeps its rules; what went wrong is among the entries.
    mutating func translate(_ config: ConfigNode) {
        result = plain(config, dialect.type)
        var ignition = result["ignition"] ?? ConfigNode(.object([]), from: config.source.appending("ignition"))
        ignition["version"] = ConfigNode(
            .string(dialect.spec.description), from: config.source.appending("version"))
        result["ignition"] = ignition
        addMountUnits(of: config)
        addTrees(of: config)
        addQuadlets(of: config)
        if hasErrors { return }
        if dialect.isFirstlight { addOwnedParents(of: config) }
        if dialect.hasBootDevice, let device = config["boot_device"] { addBootDevice(device) }
        checkDisks()
        if dialect.hasGrub, let grub = config["grub"] { addGrub(grub) }
    }

    // MARK: Plain fields

    /// An object with Ignition's names, without sugar.
    private mutating func plain(_ node: ConfigNode, _ type: ObjectType) -> ConfigNode {
        var made = ConfigNode(.object([]), from: node.source)
        var members: [ConfigNode.Member] = []
        for field in type.fields {
            guard let json = field.json, let value = node[field.name] else { continue }
            members.append(.init(key: json, value: plain(value, field.kind)))
        }
        made.value = .object(members)
        switch type.name {
        case "Resource", "FileContents": addContents(to: &made, from: node)
        case "PasswdUser": addKeys(to: &made, from: node)
        case "Unit", "Dropin": addLocalContents(to: &made, from: node)
        default: break
        }
        return made
    }

    private mutating func plain(_ node: ConfigNode, _ kind: FieldKind) -> ConfigNode {
        switch kind {
        case .object(let type): return plain(node, type)
        case .list(.object(let type), _):
            var nodes: [ConfigNode] = []
            for entry in node.elements { nodes.append(plain(entry, type)) }
            return ConfigNode(.list(nodes), from: node.source)
        default: return node
        }
    }

    // MARK: Contents

    /// `inline` and `local` of a resource.
    private mutating func addContents(to made: inout ConfigNode, from node: ConfigNode) {
        if let local = node["local"], let path = local.string {
            guard let bytes = read(path, for: local.source) else { return }
            set(bytes, in: &made, from: local.source, compressionFrom: local.source)
        }
        if let inline = node["inline"], let bytes = inline.bytes {
            set(bytes, in: &made, from: inline.source, compressionFrom: inline.source)
        }
    }

    /// Puts bytes into a resource, in the shortest of the forms that there are.
    func set(
        _ bytes: [UInt8], in resource: inout ConfigNode, from source: ConfigPath, compressionFrom sugar: ConfigPath
    ) {
        if dialect.base == 1 {
            resource["source"] = ConfigNode(.string(InlineData.escaped(bytes)), from: source, isGenerated: true)
            return
        }
        let isCompressed = !(resource["compression"]?.string ?? "").isEmpty
        let data = InlineData(bytes, mayCompress: !isCompressed && dialect.compresses)
        resource["source"] = ConfigNode(.string(data.url), from: source, isGenerated: true)
        if !isCompressed {
            // Written where it is empty too: a parent's compression would be inherited.
            resource["compression"] = ConfigNode(
                .string(data.isCompressed ? "gzip" : ""), from: sugar, isGenerated: true)
        }
    }

    /// A file's bytes, or `nil` and an entry.
    mutating func read(_ path: String, for source: ConfigPath) -> [UInt8]? {
        guard localFiles.hasFiles else {
            error(source, Message.noFilesDirectory)
            return nil
        }
        do throws(LocalFiles.Fault) { return try localFiles.read(path) } catch {
            self.error(source, error.message)
            return nil
        }
    }

    private mutating func addLocalContents(to made: inout ConfigNode, from node: ConfigNode) {
        guard let local = node["contents_local"], let path = local.string, !path.isEmpty,
            let bytes = read(path, for: local.source)
        else { return }
        made["contents"] = ConfigNode(
            .string(String(decoding: bytes, as: UTF8.self)), from: local.source, isGenerated: true)
    }

    private mutating func addKeys(to made: inout ConfigNode, from node: ConfigNode) {
        guard let files = node["ssh_authorized_keys_local"], !files.elements.isEmpty else { return }
        guard localFiles.hasFiles else { return error(files.source, Message.noFilesDirectory) }
        var keys = made["sshAuthorizedKeys"]?.elements ?? []
        for file in files.elements {
            guard let bytes = read(file.string ?? "", for: file.source) else { continue }
            for line in bytes.split(separator: UInt8(ascii: "\n")) {
                let key = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
                if key.isEmpty { continue }
                let text = String(decoding: key, as: UTF8.self)
                keys.append(ConfigNode(.string(text), from: file.source, isGenerated: true))
            }
        }
        made["sshAuthorizedKeys"] = ConfigNode(.list(keys), from: files.source, isGenerated: true)
    }
}

/// Bytes as the URL that holds them.
struct InlineData {
    var url: String
    var isCompressed = false

    /// The shortest of escaped, base64 and gzip in base64, of which each has to be shorter than the ones before.
    init(_ bytes: [UInt8], mayCompress: Bool) {
        let prefix = "data:;base64,".utf8.count
        let escapedLength = bytes.reduce("data:,".utf8.count) { $0 + (Self.isPlain[Int($1)] ? 1 : 3) }
        func base64Length(_ count: Int) -> Int { prefix + (count + 2) / 3 * 4 }
        let plainLength = min(escapedLength, base64Length(bytes.count))
        // gzip takes 18 bytes at least.
        if mayCompress, base64Length(19) + 4 < plainLength {
            let packed = GoGzip.member(bytes)
            if base64Length(packed.count) + 4 < plainLength {
                url = DataURL.text(for: packed)
                isCompressed = true
                return
            }
        }
        url = base64Length(bytes.count) < escapedLength ? DataURL.text(for: bytes) : Self.escaped(bytes)
    }

    /// The bytes that may stand for themselves.
    private static let isPlain: [Bool] = (0...UInt8.max).map { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-_.!~*'()".utf8.contains(byte)
        }
    }

    static func escaped(_ bytes: [UInt8]) -> String {
        let isPlain = isPlain
        var text = Array("data:,".utf8)
        text.reserveCapacity(bytes.count * 3 / 2)
        for byte in bytes {
            if isPlain[Int(byte)] {
                text.append(byte)
            } else {
                text += percentEncoded(byte)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
