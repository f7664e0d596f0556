// Something to be fetched: a file's content, another config, a certificate, a key.

import Encoding

extension IgnitionConfig {
    /// Bytes named by a URL.
    public struct Resource: Equatable, Sendable {
        /// The URL; `nil` or empty means no bytes.
        public var source: ConfigURL?
        /// The value `gzip`, or `nil` or empty for none.
        public var compression: String?
        /// Headers of an http or https request, keyed by name.
        public var httpHeaders: [HTTPHeader] = []
        /// The hash that the bytes must have.
        public var verification = Verification()
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
        /// Creates a resource with a source and nothing else.
        public init(source: ConfigURL) { self.source = source }
        /// Creates a resource of bytes at hand.
        public init(_ bytes: [UInt8]) { source = ConfigURL(DataURL.text(for: bytes)) }

        /// Whether it names no bytes.
        public var isEmpty: Bool { source?.isEmpty ?? true }
        /// Whether its bytes are not in the config itself, but have to be fetched.
        public var isElsewhere: Bool { !isEmpty && source?.url?.isData != true }

        /// Whether the bytes are gunzipped after the download.
        public var isCompressed: Bool { compression == "gzip" }
    }

    /// A header that is sent with a request.
    public struct HTTPHeader: Equatable, Sendable {
        /// The header's name.
        public var name = ""
        /// The header's value; `nil` removes the header of a parent config.
        public var value: String?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}
    }

    /// What fetched bytes are checked against.
    public struct Verification: Equatable, Sendable {
        /// The expected hash as `sha512-HEX` or `sha256-HEX`, of the decompressed bytes.
        public var hash: String?
        /// Where this was written.
        public var origin = Origin()

        /// Creates a value with every field absent.
        public init() {}

        /// The parsed hash; `nil` if there is none or it is malformed.
        public var digest: Digest? { hash.flatMap { try? Digest(parsing: $0) } }
    }
}

extension IgnitionConfig {
    /// The config with the contents of its certificate authorities inlined, so that they are not fetched again.
    ///
    /// There is one of `contents` for each authority, decompressed.
    public func inliningAuthorities(_ contents: [[UInt8]]) -> IgnitionConfig {
        var config = self
        for (index, content) in zip(ignition.security.tls.certificateAuthorities.indices, contents) {
            config.ignition.security.tls.certificateAuthorities[index].source = ConfigURL(DataURL.text(for: content))
            config.ignition.security.tls.certificateAuthorities[index].compression = nil
            config.ignition.security.tls.certificateAuthorities[index].httpHeaders = []
        }
        return config
    }
}

extension IgnitionConfig.Resource: ConfigObject {
    mutating func describe(to fields: any FieldVisitor) {
        fields.url("source", &source)
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
    /// A hash function that configs name.
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

    /// Why a text is not a hash.
    public enum Fault: Error, Equatable, CustomStringConvertible {
        case noFunction
        case unknownFunction(String)
        case length(Function, found: Int)
        case notHexadecimal

        /// What is wrong, for a message.
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

    /// The function that made the value.
    public var function: Function
    /// The value, as long as the function's.
    public var bytes: [UInt8]

    /// Reads `sha256-HEX` or `sha512-HEX` with digits in either case.
    ///
    /// - Throws: ``Fault`` with the first mistake.
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
