// Config files of the installer: checked where a user gives one, written for what `--dest-*` asks for.

import Encoding
import Reporting

/// What `customize` asks of the installer that the medium runs.
public struct InstallerConfig: Equatable, Sendable {
    /// The Ignition config, key `ignition-file`.
    public var ignitionFile: String?
    /// The consoles, key `console`.
    public var consoles: [ConsoleSpec] = []
    /// Kernel arguments to append, key `append-karg`.
    public var appendedArguments: [String] = []
    /// Kernel arguments to delete, key `delete-karg`.
    public var deletedArguments: [String] = []
    /// Whether the network settings are copied to the target, key `copy-network`.
    public var copiesNetwork = false
    /// The target disk, key `dest-device`.
    public var device: String?

    /// Asks for nothing.
    public init() {}

    /// YAML with the keys that are set.
    public var text: String {
        var lines: [String] = []
        func add(_ key: String, _ value: String?) {
            if let value { lines.append("\(key): \(yamlScalar(value))") }
        }
        func add(_ key: String, _ values: [String]) {
            if !values.isEmpty { lines += ["\(key):"] + values.map { "- \(yamlScalar($0))" } }
        }
        add("ignition-file", ignitionFile)
        add("console", consoles.map(\.description))
        add("append-karg", appendedArguments)
        add("delete-karg", deletedArguments)
        if copiesNetwork { lines.append("copy-network: true") }
        add("dest-device", device)
        return lines.isEmpty ? "{}\n" : lines.joined(separator: "\n") + "\n"
    }

    // MARK: Checking

    private enum Kind {
        case text
        case url
        case list
        case consoles
        case flag
        case hash
        case retries
    }

    /// Every key of a config file; they are `install`'s options.
    private static let keys: [String: Kind] = [
        "stream": .text, "image-url": .url, "image-file": .text, "ignition-file": .text, "ignition-url": .url,
        "ignition-hash": .hash, "architecture": .text, "platform": .text, "console": .consoles, "append-karg": .list,
        "delete-karg": .list, "copy-network": .flag, "network-dir": .text, "save-partlabel": .list,
        "save-partindex": .list, "offline": .flag, "insecure": .flag, "insecure-ignition": .flag,
        "stream-base-url": .url, "preserve-on-error": .flag, "fetch-retries": .retries, "secure-ipl": .flag,
        "dest-device": .text,
    ]

    /// Checks a config file that somebody wrote: YAML, known keys, values of their kind.
    ///
    /// One without any key is fine, and so is a list without anything behind its key.
    public static func check(_ bytes: [UInt8]) throws {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw MediaFault("it is not UTF-8") }
        guard let node = try YAMLNode(parsing: bytes), !node.isMissing else { return }
        guard let members = node.members else { throw MediaFault("expected keys and values") }
        var seen: Set<String> = []
        for (key, value) in members {
            guard let key = key.string, let kind = keys[key] else {
                throw MediaFault("unknown field `\(key.string ?? "?")`")
            }
            guard seen.insert(key).inserted else { throw MediaFault("duplicate field `\(key)`") }
            guard try isRight(value, kind) else { throw MediaFault("\(key): expected \(expectation(kind))") }
        }
    }

    private static func isRight(_ value: YAMLNode, _ kind: Kind) throws -> Bool {
        switch kind {
        case .list where value.isMissing, .consoles where value.isMissing: return true
        case .text: return value.string != nil
        case .url: return value.isNull || value.string.map(isURL) ?? false
        case .flag: return value.bool != nil
        case .list: return value.elements?.allSatisfy { $0.string != nil } ?? false
        case .consoles:
            return value.elements?.allSatisfy { $0.string.map { (try? ConsoleSpec(parsing: $0)) != nil } ?? false }
                ?? false
        case .retries: return value.string.map { $0 == "infinite" || UInt32($0) != nil } ?? false
        case .hash:
            guard let parts = value.string?.split(separator: "-", maxSplits: 1), parts.count == 2 else {
                return value.isNull
            }
            let digits = ["sha256": 64, "sha512": 128][String(parts[0])]
            return digits == parts[1].utf8.count && bytes(hexadecimal: parts[1].utf8) != nil
        }
    }

    private static func expectation(_ kind: Kind) -> String {
        switch kind {
        case .text: "a string"
        case .url: "a URL"
        case .flag: "true or false"
        case .list: "a list of strings"
        case .consoles: "a list of consoles"
        case .hash: "sha256-HEX or sha512-HEX"
        case .retries: "a number or \"infinite\""
        }
    }

    private static func isURL(_ text: String) -> Bool {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), let first = text.unicodeScalars.first else {
            return false
        }
        let scheme = text[..<colon]
        return first.properties.isAlphabetic && first.isASCII
            && scheme.utf8.allSatisfy { UnicodeScalar($0).properties.isAlphabetic || "0123456789+-.".utf8.contains($0) }
    }
}
