// ${name} in the texts of our own variant.

import Reporting

/// The variables of a config, and what of them is secret.
public struct Variables: Sendable {
    private var values: [String: String] = [:]
    private var secrets: Set<String> = []

    /// Creates an empty set of variables.
    public init() {}

    /// Sets a variable, replacing an earlier value; throws ``Fault/badName(_:)`` where `name` cannot be one.
    ///
    /// Output that holds the value of a secret is for its owner alone.
    public mutating func set(_ name: String, to value: String, isSecret: Bool = false) throws(Fault) {
        guard Self.isName(name) else { throw .badName(name) }
        values[name] = value
        if isSecret { secrets.insert(name) } else { secrets.remove(name) }
    }

    /// Whether any variable is secret.
    public var hasSecrets: Bool { !secrets.isEmpty }

    /// A message without the value of a secret: rules quote what breaks them, sometimes cut.
    func redacted(_ text: String) -> String {
        for name in secrets.sorted() {
            guard let value = values[name], !value.isEmpty, text.contains(value.prefix(40)) else { continue }
            return "the value of ${\(name)} is wrong here"
        }
        return text
    }

    /// What is wrong with a variable or with its use in a text.
    public enum Fault: Error, Equatable, CustomStringConvertible {
        case badName(String)
        case unknown(String, near: String?)
        case notAName(String)
        case unfinished

        /// The fault as a phrase for the user.
        public var description: String {
            switch self {
            case .badName(let name):
                "\"\(name)\" cannot be the name of a variable; a name has letters, digits and _, and no digit in front"
            case .unknown(let name, let near):
                "unknown variable \"\(name)\"" + (near.map { ", did you mean \"\($0)\"?" } ?? "; give it with --set.")
                    + " A literal ${ is written $${"
            case .notAName(let text): "\"${\(text)}\" names no variable; a literal ${ is written $${"
            case .unfinished: "${ without its }; a literal ${ is written $${"
            }
        }
    }

    /// The text with the values in their places; `$${` becomes `${`.
    func expand(_ text: String) -> Result<String, Fault> {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return .success(text) }
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var index = 0
        func starts(_ pattern: String) -> Bool { bytes[index...].starts(with: pattern.utf8) }
        while index < bytes.count {
            if starts("$${") {
                result += Array("${".utf8)
                index += 3
            } else if starts("${") {
                guard let end = bytes[index...].firstIndex(of: UInt8(ascii: "}")) else { return .failure(.unfinished) }
                let name = String(decoding: bytes[(index + 2)..<end], as: UTF8.self)
                guard Self.isName(name) else { return .failure(.notAName(String(name.prefix(40)))) }
                guard let value = values[name] else {
                    return .failure(.unknown(name, near: nearest(to: name, in: values.keys.sorted())))
                }
                result += Array(value.utf8)
                index = end + 1
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return .success(String(decoding: result, as: UTF8.self))
    }

    /// Letters, digits and underscores, no digit in front.
    static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return text.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
    }
}
