// Certificate authorities as PEM texts, checked before they are trusted.

import CCrypto
import Encoding
import IgnitionConfig

/// Why a certificate authority cannot be used.
public enum CertificateFault: Error, Equatable, Sendable, CustomStringConvertible {
    case noCertificate
    case notACertificate(number: Int)
    case textAfterLast

    /// What is wrong, for a message.
    public var description: String {
        switch self {
        case .noCertificate: "it holds no certificate in PEM form"
        case .notACertificate(let number): "PEM block \(number) is not a certificate"
        case .textAfterLast: "something follows its last certificate; even a blank line counts"
        }
    }
}

/// Checks a bundle of certificates with the rules of Ignition.
///
/// Text before and between the blocks is skipped; after the last block only the end of its line may follow. An empty
/// bundle has no certificates and is accepted.
///
/// - Parameter bundle: PEM blocks.
/// - Returns: The number of certificates.
/// - Throws: ``CertificateFault`` with the first mistake.
@discardableResult
func checkCertificates(_ bundle: [UInt8]) throws(CertificateFault) -> Int {
    let newline = UInt8(ascii: "\n")
    var count = 0
    /// Whether lines followed the last block.
    var hasMore = false
    var label: String?
    var body = ""
    for raw in bundle.split(separator: newline, omittingEmptySubsequences: false).dropLast(
        bundle.last == newline ? 1 : 0)
    {
        let line = String(decoding: raw, as: UTF8.self).trimmedEnd
        hasMore = true
        if line.hasPrefix("-----BEGIN "), line.hasSuffix("-----") {
            label = String(line.dropFirst(11).dropLast(5))
            body = ""
        } else if let begun = label {
            if line == "-----END \(begun)-----" {
                label = nil
                guard let block = try? Base64.standard.decode(Array(body.utf8)[...]) else { continue }
                count += 1
                guard isCertificate(block) else { throw .notACertificate(number: count) }
                hasMore = false
            } else if !line.contains(":") {
                body += line
            }
        }
    }
    if bundle.isEmpty { return 0 }
    guard count > 0 else { throw .noCertificate }
    guard !hasMore else { throw .textAfterLast }
    return count
}

private func isCertificate(_ der: [UInt8]) -> Bool {
    der.withUnsafeBufferPointer { buffer in
        var start = buffer.baseAddress
        guard let certificate = d2i_X509(nil, &start, der.count) else {
            ERR_clear_error()
            return false
        }
        X509_free(certificate)
        return start == buffer.baseAddress.map { $0 + der.count }
    }
}

extension String {
    fileprivate var trimmedEnd: String {
        let end = utf8.lastIndex { $0 != 0x20 && $0 != 0x09 && $0 != 0x0d }
        return end.map { String(self[...$0]) } ?? ""
    }
}
