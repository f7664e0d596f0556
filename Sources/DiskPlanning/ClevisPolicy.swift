// How Clevis binds a LUKS volume: what the config asks for, and what a token in a LUKS header says.

import Encoding
import IgnitionConfig
import JSONText
import Reporting

/// A pin and what it binds to, as far as that tells one binding from another.
///
/// Servers are told apart by their URLs, not by their keys: the keys that a server had at binding time are in the
/// header, and opening the volume shows whether the server still has them.
public indirect enum ClevisPolicy: Equatable, Sendable {
    case tang(url: String)
    /// `registers`: the PCRs that it is sealed to; empty where there are none.
    case tpm2(registers: String)
    case threshold(Int, [ClevisPolicy])
    /// Any other pin; only its program knows what its configuration means.
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
    /// - Returns: `nil` where it is not a JSON object.
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

    /// Reads the protected header of an encrypted key; each part of a split key has such a header again.
    ///
    /// - Parameters:
    ///   - protected: Base64url, the first part of a JWE.
    ///   - depth: How many more levels are read, since a hostile header may nest without end.
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

    /// Reads a list of PCRs, which is written as `"0,7"`, `7` or `["0", "7"]`; clevis drops white space from it.
    private static func registers(_ node: JSONNode?) -> String {
        if let number = node?.integer { return "\(number)" }
        if let elements = node?.elements { return elements.map { registers($0) }.joined(separator: ",") }
        return (node?.string ?? "").filter { !$0.isWhitespace }
    }
}

/// The order in which a config lists its pins means nothing.
private func sorted(_ pins: [ClevisPolicy]) -> [ClevisPolicy] { pins.sorted { "\($0)" < "\($1)" } }

extension IgnitionConfig.Clevis {
    /// The name of the pin: the custom one, or `sss`, which combines all others.
    public var pin: String { (custom.pin ?? "").isEmpty ? "sss" : custom.pin ?? "" }

    /// The configuration that `clevis encrypt` is given, in the same shape as Ignition's.
    ///
    /// - Returns: `nil` where an advertisement is not JSON.
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

    /// What the config asks for; `nil` where the pin's configuration is not a JSON object.
    public var policy: ClevisPolicy? {
        guard let text = pinConfig, let config = try? JSONNode(parsing: Array(text.utf8)) else { return nil }
        return ClevisPolicy(pin: pin, config: config)
    }

    /// Whether opening the volume needs a network.
    public var opensOverNetwork: Bool { !tang.isEmpty || custom.needsNetwork == true }

    /// Whether the servers and the TPM that take part in binding are enough to prove that the volume opens.
    ///
    /// Servers whose advertisement is in the config need not be reachable then; custom pins are never proved.
    public var isProvable: Bool {
        guard (custom.pin ?? "").isEmpty else { return false }
        let present = tang.filter { ($0.advertisement ?? "").isEmpty }.count + (tpm2 == true ? 1 : 0)
        return present >= max(threshold ?? 1, 1)
    }
}

/// A binding in the header of a volume.
public struct FoundBinding: Equatable, Sendable {
    /// What it binds to; `nil` where that cannot be read.
    public var policy: ClevisPolicy?
    /// The encrypted key, in JWE's compact form.
    public var encryptedKey: String

    /// Reads a token of a LUKS2 header.
    ///
    /// - Returns: `nil` where it is not one of Clevis's tokens.
    public init?(token: String) {
        guard let node = try? JSONNode(parsing: Array(token.utf8)), node["type"]?.string == "clevis",
            let jwe = node["jwe"]
        else { return nil }
        let parts = ["protected", "encrypted_key", "iv", "ciphertext", "tag"].map { jwe[$0]?.string ?? "" }
        encryptedKey = parts.joined(separator: ".")
        policy = ClevisPolicy(protected: parts[0])
    }

    /// Makes the token for an encrypted key in compact form; it refers to no key slot yet.
    public static func token(_ encryptedKey: String) -> String {
        let parts = encryptedKey.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let names = ["protected", "encrypted_key", "iv", "ciphertext", "tag"]
        let jwe = JSONValue.object(zip(names, parts).map { JSONValue.Member($0, .string($1)) })
        let token: JSONValue = ["type": "clevis", "keyslots": [], "jwe": jwe]
        return token.text()
    }
}
