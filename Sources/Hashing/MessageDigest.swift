// SHA-256 and SHA-512 by libcrypto, which uses the processor's instructions for them.

import CCrypto

/// A hash over bytes that arrive in pieces.
public struct MessageDigest: ~Copyable {
    /// The functions that Ignition's configs name.
    public enum Function: Sendable { case sha256, sha512 }

    private let context: OpaquePointer?
    private let function: Function

    /// Makes a digest of no bytes yet.
    public init(_ function: Function) {
        self.function = function
        context = EVP_MD_CTX_new()
        start()
    }

    deinit { EVP_MD_CTX_free(context) }

    private func start() { EVP_DigestInit_ex(context, function == .sha256 ? EVP_sha256() : EVP_sha512(), nil) }

    /// Adds the next bytes.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
    }

    /// The hash of all bytes since the start or the last call, 32 or 64 bytes.
    public mutating func finish() -> [UInt8] {
        defer { start() }
        return [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { buffer, count in
            var length: UInt32 = 0
            // Without memory for a context the hash is empty, and no digest equals an empty one.
            count = EVP_DigestFinal_ex(context, buffer.baseAddress, &length) == 1 ? Int(length) : 0
        }
    }

    /// The SHA-256 of bytes: 32 of them.
    public static func sha256(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { sha256($0) } }

    /// The SHA-256 of bytes: 32 of them.
    public static func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var digest = MessageDigest(.sha256)
        digest.update(bytes)
        return digest.finish()
    }
}
