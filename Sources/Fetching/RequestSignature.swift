// AWS Signature Version 4, which proves who sends a request. Pure except for libcrypto's SHA-256.

import Encoding
import Hashing

/// The identity for requests to Amazon's services.
public struct AWSCredentials: Equatable, Sendable {
    /// The public name of the key.
    public var accessKey: String
    /// The secret, which is never sent.
    public var secretKey: String
    /// The token that belongs to temporary keys of an instance's role.
    public var sessionToken: String?

    /// Creates credentials.
    public init(accessKey: String, secretKey: String, sessionToken: String? = nil) {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
    }
}

/// Signs requests that have no body.
///
/// - SeeAlso: "AWS Signature Version 4 signing process" in the IAM user guide.
struct RequestSignature {
    static let emptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    var credentials: AWSCredentials
    var region: String
    var service = "s3"
    /// The time as `20130524T000000Z`.
    var time: String

    /// The value of the header `Authorization`.
    ///
    /// - Parameters:
    ///   - method: The HTTP method.
    ///   - path: The path, escaped as it is sent.
    ///   - query: Names and values, escaped as they are sent.
    ///   - headers: The headers to be signed, including `host`; names in lower case.
    /// - Returns: The algorithm, the credential, the signed headers and the signature.
    func authorization(
        method: String, path: String, query: [(name: String, value: String)], headers: [(name: String, value: String)]
    ) -> String {
        let headers = headers.sorted { $0.name < $1.name }
        let names = headers.map(\.name).joined(separator: ";")
        let sortedQuery = query.sorted { ($0.name, $0.value) < ($1.name, $1.value) }
        let lines =
            [method, path, sortedQuery.map { "\($0.name)=\($0.value)" }.joined(separator: "&")]
            + headers.map { "\($0.name):\($0.value)" } + ["", names, Self.emptyPayload]
        let day = String(time.prefix(8))
        let scope = "\(day)/\(region)/\(service)/aws4_request"
        let request = hexadecimal(MessageDigest.sha256(Array(lines.joined(separator: "\n").utf8)))
        let toSign = "AWS4-HMAC-SHA256\n\(time)\n\(scope)\n\(request)"
        var key = Array("AWS4\(credentials.secretKey)".utf8)
        for part in [day, region, service, "aws4_request", toSign] { key = Self.hmac(key, Array(part.utf8)) }
        return "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope), SignedHeaders=\(names), "
            + "Signature=\(hexadecimal(key))"
    }

    /// HMAC-SHA-256 (RFC 2104).
    static func hmac(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        var block = key.count > 64 ? MessageDigest.sha256(key) : key
        block += [UInt8](repeating: 0, count: 64 - block.count)
        return MessageDigest.sha256(block.map { $0 ^ 0x5c } + MessageDigest.sha256(block.map { $0 ^ 0x36 } + message))
    }
}
