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
    let parts = PEMPart.all(in: bundle)
    var count = 0
    for block in parts.compactMap(\.content) {
        count += 1
        guard isCertificate(block) else { throw .notACertificate(number: count) }
    }
    if bundle.isEmpty { return 0 }
    guard count > 0 else { throw .noCertificate }
    guard parts.last?.content != nil else { throw .textAfterLast }
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
