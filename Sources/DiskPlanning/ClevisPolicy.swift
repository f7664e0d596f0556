// How a LUKS volume is bound by Clevis: what the config asks for, and what a header's token says.

import Encoding
import IgnitionConfig
import JSONText
import Reporting

/// A pin and what it is bound to, as far as it tells one binding from another.
///
/// Servers are told apart by their URLs. The keys that a server had when the volume was bound stay in the
/// header; whether it still answers with them shows when the volume is opened.
public indirect enum ClevisPolicy: Equatable, Sendable {
    case tang(url: String)
    /// `registers`: the PCRs that it is sealed to; empty is none.
    case tpm2(registers: String)
    case threshold(Int, [ClevisPolicy])
    /// Any other pin: only its program knows what its configuration means.
    case other(pin: String)
}

extension ClevisPolicy: CustomStringConvertible {
    /// `1 of tang http://192.0.2.1, tpm2`.
    public var description: String {
        switch self {
        case .tang(let url): "tang \(RedactedURL(url))"
        case .tpm2(let registers): registers.isEmpty ? "tpm2" : "tpm2 with PCRs \(registers)"
        case .threshold(let count, let pins): "\(count) of " + pins.map(\.description).joined(separator: ", ")
        case .other(let pin): pin
        }
    }
}

extension ClevisPolicy {
    /// Reads a pin's configuration, as `clevis encrypt` takes it.
    ///
    /// - Returns: `nil` where it is no JSON object.
    init?(pin: String, config: JSONNode) {
        guard config.members != nil else { return nil }
        switch pin {
        case "tang": self = .tang(url: config["url"]?.string ?? "")
        case "tpm2": self = .tpm2(registers: ClevisPolicy.registers(config["pcr_ids"]))
        case "sss":
            var pins: [ClevisPolicy] = []
            for member in config["pins"]?.members ?? [] {
                for one in member.value.elements ?? [member.value] where !one.isNull {
                    guard let policy = ClevisPolicy(pin: member.key, config: one) else { return nil }
                    pins.append(policy)
                }
            }
            self = .threshold(Int(config["t"]?.integer ?? 1), sorted(pins))
        default: self = .other(pin: pin)
        }
    }

    /// Reads the protected header of an encrypted key: in each part of a divided one, the same again.
    ///
    /// - Parameters:
    ///   - protected: Base64url, the first part of a JWE.
    ///   - depth: How many levels more are looked into: a hostile header may go on for ever.
    init?(protected: some StringProtocol, depth: Int = 8) {
        guard depth > 0, let bytes = try? Base64.url.decode(Array(protected.utf8)[...]),
            let header = (try? JSONNode(parsing: bytes))?["clevis"], let pin = header["pin"]?.string
        else { return nil }
        let content = header[pin]
        switch pin {
        case "tang": self = .tang(url: content?["url"]?.string ?? "")
        case "tpm2": self = .tpm2(registers: ClevisPolicy.registers(content?["pcr_ids"]))
        case "sss":
            var pins: [ClevisPolicy] = []
            for part in content?["jwe"]?.elements ?? [] {
                guard let text = part.string, let head = text.split(separator: ".").first,
                    let policy = ClevisPolicy(protected: head, depth: depth - 1)
                else { return nil }
                pins.append(policy)
            }
            self = .threshold(Int(content?["t"]?.integer ?? 1), sorted(pins))
        default: self = .other(pin: pin)
        }
    }

    /// `"0,7"`, `7` and `["0", "7"]` are all written.
    private static func registers(_ node: JSONNode?) -> String {
        if let number = node?.integer { return "\(number)" }
        if let elements = node?.elements { return elements.map { registers($0) }.joined(separator: ",") }
        return node?.string ?? ""
    }
}

/// The order in which a config lists its pins means nothing.
private func sorted(_ pins: [ClevisPolicy]) -> [ClevisPolicy] { pins.sorted { "\($0)" < "\($1)" } }

extension IgnitionConfig.Clevis {
    public var pin: String { (custom.pin ?? "").isEmpty ? "sss" : custom.pin ?? "" }

    /// What `clevis encrypt` is told, in the shape in which the original tells it.
    ///
    /// - Returns: `nil` where an advertisement is no JSON.
    public var pinConfig: String? {
        if pin != "sss" || !(custom.pin ?? "").isEmpty { return custom.config ?? "" }
        var servers: [JSONValue] = []
        for server in tang {
            var members = [JSONValue.Member("url", .string(server.url))]
            if let thumbprint = server.thumbprint, !thumbprint.isEmpty {
                members.append(JSONValue.Member("thp", .string(thumbprint)))
            }
            if let text = server.advertisement, !text.isEmpty {
                guard let node = try? JSONNode(parsing: Array(text.utf8)), node.members != nil else { return nil }
                members.append(JSONValue.Member("adv", JSONValue(node)))
            }
            servers.append(.object(members))
        }
        var pins: [JSONValue.Member] = []
        if !servers.isEmpty || tpm2 != true { pins.append(JSONValue.Member("tang", .array(servers))) }
        if tpm2 == true { pins.append(JSONValue.Member("tpm2", .object([]))) }
        let needed = (threshold ?? 0) == 0 ? 1 : threshold ?? 1
        let config: JSONValue = ["pins": .object(pins), "t": JSONValue(needed)]
        return config.text()
    }

    /// `nil` where the pin's configuration is no JSON object.
    public var policy: ClevisPolicy? {
        guard let text = pinConfig, let config = try? JSONNode(parsing: Array(text.utf8)) else { return nil }
        return ClevisPolicy(pin: pin, config: config)
    }

    /// Whether opening the volume takes a network.
    public var opensOverNetwork: Bool { !tang.isEmpty || custom.needsNetwork == true }

    /// Whether enough of its parts are at hand while it is made to prove that it opens. The parts of
    /// servers that the config itself speaks for need not be reachable; custom pins are not proven.
    public var isProvable: Bool {
        guard (custom.pin ?? "").isEmpty else { return false }
        let present = tang.filter { ($0.advertisement ?? "").isEmpty }.count + (tpm2 == true ? 1 : 0)
        return present >= max(threshold ?? 1, 1)
    }
}

/// A binding that the header of a volume holds.
public struct FoundBinding: Equatable, Sendable {
    /// `nil` where it cannot be read.
    public var policy: ClevisPolicy?
    /// The encrypted key, in JWE's compact form.
    public var encryptedKey: String

    /// Reads a token of a LUKS2 header.
    ///
    /// - Returns: `nil` where it is none of Clevis.
    public init?(token: String) {
        guard let node = try? JSONNode(parsing: Array(token.utf8)), node["type"]?.string == "clevis",
            let jwe = node["jwe"]
        else { return nil }
        let parts = ["protected", "encrypted_key", "iv", "ciphertext", "tag"].map { jwe[$0]?.string ?? "" }
        encryptedKey = parts.joined(separator: ".")
        policy = ClevisPolicy(protected: parts[0])
    }

    /// The token for an encrypted key in compact form; no slot is its own yet.
    public static func token(_ encryptedKey: String) -> String {
        let parts = encryptedKey.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let names = ["protected", "encrypted_key", "iv", "ciphertext", "tag"]
        let jwe = JSONValue.object(zip(names, parts).map { JSONValue.Member($0, .string($1)) })
        let token: JSONValue = ["type": "clevis", "keyslots": [], "jwe": jwe]
        return token.text()
    }
}
