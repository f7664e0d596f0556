// The Ignition config that `customize` writes, and the users' own that go into it.

import Encoding
import IgnitionConfig
import JSONText
import Reporting

/// An Ignition config of spec 3.3.0 that is being built.
struct LiveConfig {
    private var merged: [JSONValue] = []
    private var authorities: [JSONValue] = []
    private var files: [JSONValue] = []
    private var units: [JSONValue] = []

    /// Whether nothing is in it.
    var isEmpty: Bool { merged.isEmpty && authorities.isEmpty && files.isEmpty && units.isEmpty }

    mutating func merge(_ config: UserConfig) throws { merged.append(try Self.resource(config.bytes)) }

    mutating func addAuthority(_ bytes: [UInt8]) throws { authorities.append(try Self.resource(bytes)) }

    mutating func addFile(_ path: String, _ bytes: [UInt8], mode: Int) throws {
        guard !files.contains(where: { $0["path"]?.string?.hasSameBytes(as: path) ?? false }) else {
            throw MediaFault("config already specifies path \(path)")
        }
        files.append(["contents": try Self.resource(bytes), "mode": JSONValue(mode), "path": .string(path)])
    }

    mutating func addUnit(_ name: String, _ text: String) throws {
        guard !units.contains(where: { $0["name"]?.string?.hasSameBytes(as: name) ?? false }) else {
            throw MediaFault("config already specifies unit \(name)")
        }
        units.append(["contents": .string(text), "enabled": true, "name": .string(name)])
    }

    /// JSON in one line, with a newline.
    var bytes: [UInt8] {
        var ignition: [JSONValue.Member] = []
        if !merged.isEmpty { ignition.append(.init("config", ["merge": .array(merged)])) }
        if !authorities.isEmpty {
            ignition.append(.init("security", ["tls": ["certificateAuthorities": .array(authorities)]]))
        }
        ignition.append(.init("version", "3.3.0"))
        var config: [JSONValue.Member] = [.init("ignition", .object(ignition))]
        if !files.isEmpty { config.append(.init("storage", ["files": .array(files)])) }
        if !units.isEmpty { config.append(.init("systemd", ["units": .array(units)])) }
        return Array((JSONValue.object(config).text() + "\n").utf8)
    }

    private static func resource(_ bytes: [UInt8]) throws -> JSONValue {
        ["compression": "gzip", "source": .string(DataURL.text(for: try Gzip.compress(bytes)))]
    }
}

/// An Ignition config that a user gave, checked, and written again without what no Ignition reads.
struct UserConfig {
    /// JSON in one line, keys sorted.
    let bytes: [UInt8]

    /// Parses and checks a config; throws where Ignition would refuse it.
    ///
    /// `path` appears in messages, and `tell` gets a line for each warning.
    init(_ config: [UInt8], path: String, tell: (String) -> Void) throws {
        let report = try step("parsing Ignition config \(path)") {
            let parsed = IgnitionConfig.parse(config, name: path)
            _ = try parsed.checked()
            return parsed.report
        }
        report.warnings.forEach { tell("Warning parsing \(path): \($0.located)") }
        // Read without a fault, so it can be read again.
        var tolerated: [JSONSyntaxError] = []
        let root = try JSONNode(tolerantly: config, tolerated: &tolerated)
        let unknown = report.warnings.filter(\.isAboutUnknownKey).compactMap(\.place?.bytes.lowerBound)
        bytes = Array(Self.rewritten(root, without: Set(unknown)).text(keys: .sorted).utf8)
    }

    /// Without `null` and unknown keys.
    private static func rewritten(_ node: JSONNode, without unknown: Set<Int>) -> JSONValue {
        switch node.value {
        case .array(let elements): return .array(elements.map { rewritten($0, without: unknown) })
        case .object(let members):
            return .object(
                members.filter { !$0.value.isNull && !unknown.contains($0.keyPlace.bytes.lowerBound) }
                    .map { .init($0.key, rewritten($0.value, without: unknown)) })
        default: return JSONValue(node)
        }
    }
}

extension IgnitionConfig.Diagnostic {
    /// With line and column, without the name of the file.
    fileprivate var located: String {
        place.map { "line \($0.line) column \($0.column): \(sentence)" } ?? sentence
    }

    /// A key that this version of the spec does not know.
    fileprivate var isAboutUnknownKey: Bool { if case .unknownKey = kind { true } else { false } }
}
