// What the real root has to know of LUKS volumes: a line of crypttab and a key file for each.

import Encoding
import IgnitionConfig
import Reporting

/// A LUKS volume of this boot, as `/etc/crypttab` names it.
public struct CrypttabEntry: Equatable, Sendable {
    /// The name of the opened volume.
    public var name: String
    /// The UUID in the volume's header.
    public var uuid: String
    /// What opens the volume in the real root.
    public var opener: Opener

    /// What opens a volume in the real root.
    public enum Opener: Equatable, Sendable {
        case keyFile
        case clevis(overNetwork: Bool)
    }

    /// Makes an entry of a volume's name, its UUID, and what opens it.
    public init(name: String, uuid: String, opener: Opener = .keyFile) {
        self.name = name
        self.uuid = uuid
        self.opener = opener
    }

    /// The path of the key file in the real root; `nil` where Clevis opens the volume.
    public var keyFile: String? { opener == .keyFile ? "/etc/luks/\(name)" : nil }

    /// The third column of crypttab.
    var keyColumn: String { keyFile ?? "none" }

    /// The line of crypttab; x-initrd.attach keeps the volume open until the real root has stopped.
    var line: String {
        let network = opener == .clevis(overNetwork: true) ? ",_netdev" : ""
        return "\(name) UUID=\(uuid) \(keyColumn) luks\(network),x-initrd.attach"
    }
}

extension IgnitionConfig {
    /// Adds the files by which the real root finds the volumes again: key files and `/etc/crypttab`.
    ///
    /// - Parameters:
    ///   - volumes: The volumes that are open.
    ///   - crypttab: The text that the target already has. Lines of other volumes stay; each of ours is written once,
    ///     however often this runs.
    ///   - policy: Whether lines are added whatever is there, as Ignition does.
    public mutating func persist(
        _ volumes: [CrypttabEntry], crypttab: String?, policy: RerunPolicy = .own
    ) {
        guard !volumes.isEmpty else { return }
        let hasKeys = volumes.contains { $0.keyFile != nil }
        if hasKeys, !storage.directories.contains(where: { $0.path == "/etc/luks" }) {
            var folder = Directory()
            folder.path = "/etc/luks"
            folder.mode = 0o700
            storage.directories.append(folder)
        }
        for volume in volumes {
            guard let keyFile = volume.keyFile else { continue }
            var file = File()
            file.path = keyFile
            file.mode = 0o600
            file.volumeKey = volume.name
            storage.files.append(file)
        }
        let path = "/etc/crypttab"
        if let own = storage.files.firstIndex(where: { $0.path == path }) {
            // The config writes the file itself; our lines follow its own, but for volumes that it has lines for.
            let text = policy.repeatsAll ? "" : storage.files[own].givenText
            let lines = volumes.filter { volume in !Reporting.lines(of: text).contains { volume.isMeant(by: $0) } }
                .map { "\($0.line)\n" }.joined()
            guard !lines.isEmpty else { return }
            storage.files[own].append.append(Resource(Array(lines.utf8)))
        } else if policy.repeatsAll {
            var file = File()
            file.path = path
            file.mode = 0o600
            let lines = volumes.map { "\($0.line)\n" }.joined()
            file.append = [Resource(Array(lines.utf8))]
            storage.files.append(file)
        } else {
            var file = File()
            file.path = path
            file.overwrite = true
            file.mode = 0o600
            file.contents = Resource(Array(crypttabText(crypttab ?? "", with: volumes).utf8))
            storage.files.append(file)
        }
    }
}

/// A crypttab with one line for each volume.
///
/// The first line that is about one of them, by its name or by its UUID, is replaced in its place, unless it gives the
/// same name, device and key: options that somebody has added stay. Further lines about it are left out: a volume can
/// be opened once only, and under one name.
func crypttabText(_ crypttab: String, with volumes: [CrypttabEntry]) -> String {
    var lines = Reporting.lines(of: crypttab).map(String.init)
    if lines.last == "" { lines.removeLast() }
    var written: Set<String> = []
    var text: [String] = []
    for line in lines {
        let name = crypttabFields(line).first
        guard
            let volume = volumes.first(where: { $0.name == name ?? "" })
                ?? volumes.first(where: { $0.isMeant(by: line) })
        else {
            text.append(line)
            continue
        }
        guard written.insert(volume.name).inserted else { continue }
        let isRight =
            crypttabFields(line).prefix(3) == [volume.name[...], "UUID=\(volume.uuid)", volume.keyColumn[...]]
        text.append(isRight ? line : volume.line)
    }
    text += volumes.filter { !written.contains($0.name) }.map(\.line)
    return text.map { "\($0)\n" }.joined()
}

private func crypttabFields(_ line: some StringProtocol) -> [Substring] {
    Substring(line).split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == "\r" })
}

extension CrypttabEntry {
    /// Whether a line of crypttab is about the volume.
    fileprivate func isMeant(by line: some StringProtocol) -> Bool {
        let fields = crypttabFields(line)
        guard let first = fields.first, !first.hasPrefix("#") else { return false }
        guard first != name else { return true }
        let device = fields.dropFirst().first.map { $0.filter { $0 != "\"" } } ?? ""
        let named = ["UUID=", "/dev/disk/by-uuid/"].first { device.hasPrefix($0) }.map { device.dropFirst($0.count) }
        return named.map { $0.lowercased() == uuid.lowercased() } ?? false
    }
}

extension IgnitionConfig.File {
    /// What the config itself holds of the file's text; what is fetched or compressed is not known here.
    fileprivate var givenText: String {
        ([contents] + append).compactMap { resource in
            guard resource.compression ?? "" == "", let url = resource.source?.url,
                let content = try? DataURL(parsing: url.text)
            else { return nil }
            return String(decoding: content.bytes, as: UTF8.self)
        }.joined(separator: "\n")
    }
}
