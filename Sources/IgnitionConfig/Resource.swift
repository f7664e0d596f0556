// Something to be fetched: a file's content, another config, a certificate, a key.

import Encoding

extension IgnitionConfig {
    /// Bytes named by a URL.
    public struct Resource: Equatable, Sendable {
        /// `nil` or empty: no bytes.
        public var source: String?
        /// `gzip`, or `nil` or empty for none.
        public var compression: String?
        public var httpHeaders: [HTTPHeader] = []
        public var verification = Verification()
        public var origin = Origin()

        public init() {}
        public init(source: String?) { self.source = source }

        public var isCompressed: Bool { compression == "gzip" }
    }

    public struct HTTPHeader: Equatable, Sendable {
        public var name = ""
        public var value: String?
        public var origin = Origin()

        public init() {}
    }

    public struct Verification: Equatable, Sendable {
        /// `sha512-HEX` or `sha256-HEX`, of the decompressed bytes.
        public var hash: String?
        public var origin = Origin()

        public init() {}

        /// The hash taken apart; `nil` where there is none or it is malformed.
        public var digest: Digest? { hash.flatMap { try? Digest(parsing: $0) } }
    }
}

extension IgnitionConfig {
    /// The config with the content of each certificate authority in it, so that nobody has to fetch them again.
    ///
    /// - Parameter contents: One for each of the config's authorities, decompressed.
    public func inliningAuthorities(_ contents: [[UInt8]]) -> IgnitionConfig {
        var config = self
        for (index, content) in zip(ignition.security.tls.certificateAuthorities.indices, contents) {
            config.ignition.security.tls.certificateAuthorities[index].source = DataURL.text(for: content)
            config.ignition.security.tls.certificateAuthorities[index].compression = nil
            config.ignition.security.tls.certificateAuthorities[index].httpHeaders = []
        }
        return config
    }
}

extension IgnitionConfig.Resource: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.string("source", &source)
        fields.string("compression", &compression, since: fields.isInIgnition ? .v31 : .v30)
        fields.list("httpHeaders", &httpHeaders, since: .v31)
        fields.object("verification", &verification)
    }
}

extension IgnitionConfig.HTTPHeader: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.key("name", &name)
        fields.string("value", &value)
    }
}

extension IgnitionConfig.Verification: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.string("hash", &hash)
    }
}

/// A hash function and a value of it.
public struct Digest: Equatable, Sendable {
    public enum Function: String, CaseIterable, Sendable {
        case sha256, sha512

        /// The length of a value in bytes.
        public var length: Int {
            switch self {
            case .sha256: 32
            case .sha512: 64
            }
        }
    }

    public enum Fault: Error, Equatable, CustomStringConvertible {
        case noFunction
        case unknownFunction(String)
        case length(Function, found: Int)
        case notHexadecimal

        public var description: String {
            switch self {
            case .noFunction: "a hash is written as sha256-HEX or sha512-HEX"
            case .unknownFunction(let name): "unknown hash function \(name); sha256 and sha512 are known"
            case .length(let function, let found):
                "a \(function.rawValue) value has \(function.length * 2) hexadecimal digits, not \(found)"
            case .notHexadecimal: "a hash value has hexadecimal digits alone"
            }
        }
    }

    public var function: Function
    public var bytes: [UInt8]

    /// Reads `sha256-HEX` or `sha512-HEX`; upper and lower case digits are alike.
    public init(parsing text: String) throws(Fault) {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw .noFunction }
        guard let function = Function(rawValue: String(parts[0])) else { throw .unknownFunction(String(parts[0])) }
        let digits = Array(parts[1].utf8)
        guard digits.count == function.length * 2 else { throw .length(function, found: digits.count) }
        self.function = function
        guard let bytes = Encoding.bytes(hexadecimal: digits) else { throw .notHexadecimal }
        self.bytes = bytes
    }
}
