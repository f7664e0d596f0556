// Certificates in PEM form: base64 between BEGIN and END lines.

import Encoding
import LinuxSystem
import SystemPackage

/// The certificates of a PEM file; everything else in it is dropped, above all private keys.
struct CertificateBundle: Equatable {
    /// The base64 text of each certificate, with its line breaks.
    private var certificates: [String] = []

    enum Failure: Error, Equatable, CustomStringConvertible {
        case unreadable(FilePath, Errno)
        case empty(FilePath)
        /// A line that ends no certificate, or an unfinished certificate; lines count from 1.
        case malformed(FilePath, line: Int)

        var description: String {
            switch self {
            case .unreadable(let file, let reason): "cannot read \(file): \(reason)"
            case .empty(let file): "\(file) holds no certificate in PEM form"
            case .malformed(let file, let line): "\(file):\(line): not a certificate in PEM form"
            }
        }
    }

    init(reading file: FilePath) throws(Failure) {
        let bytes: [UInt8]
        do { bytes = try Files.read(file) } catch { throw .unreadable(file, error.reason) }
        try self.init(bytes, of: file)
    }

    init(_ text: [UInt8], of file: FilePath) throws(Failure) {
        // A byte order mark is not part of the first line.
        let mark = Array("\u{feff}".utf8)
        for part in PEMPart.all(in: text.starts(with: mark) ? Array(text.dropFirst(mark.count)) : text) {
            if let label = part.begin, Self.labels.contains(label) {
                guard part.content.map(isCertificate) == true else { throw .malformed(file, line: part.lastLine) }
                certificates.append(part.lines.joined(separator: "\n"))
                continue
            }
            // A certificate must not be lost in silence because its first line is written otherwise.
            if part.begin.map(isOfCertificate) == true { throw .malformed(file, line: part.firstLine) }
            if let line = part.lines.firstIndex(where: isBeginning) {
                throw .malformed(file, line: part.firstLine + (part.begin == nil ? 0 : 1) + line)
            }
            if let label = part.end, Self.labels.contains(label) { throw .malformed(file, line: part.lastLine) }
        }
        guard !certificates.isEmpty else { throw .empty(file) }
    }

    private static let labels = ["CERTIFICATE", "X509 CERTIFICATE"]

    mutating func append(_ other: CertificateBundle) { certificates += other.certificates }

    var count: Int { certificates.count }

    var text: String {
        certificates.map { "-----BEGIN CERTIFICATE-----\n\($0)\n-----END CERTIFICATE-----\n" }.joined()
    }
}

/// Whether a line that names it begins a certificate; a request for one is not a certificate.
private func isOfCertificate(_ name: String) -> Bool { name.contains("CERTIFICATE") && !name.contains("REQUEST") }

/// Whether the line begins a certificate in a form that is not read here.
private func isBeginning(_ line: String) -> Bool {
    let text = line.drop { $0 == " " || $0 == "\t" }
    return text.hasPrefix("-----BEGIN ") && isOfCertificate(String(text))
}

/// Whether bytes are a DER sequence of the stated length, which is the outer form of every certificate.
private func isCertificate(_ der: [UInt8]) -> Bool {
    guard der.count > 4, der[0] == 0x30 else { return false }
    let lengthBytes = Int(der[1]) - 0x80
    guard 1...4 ~= lengthBytes, der.count > 2 + lengthBytes else { return false }
    let length = number(bigEndian: der[2..<2 + lengthBytes])
    return der.count == 2 + lengthBytes + length
}
