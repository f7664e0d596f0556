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
        try self.init(String(decoding: bytes, as: UTF8.self), of: file)
    }

    init(_ text: String, of file: FilePath) throws(Failure) {
        var body: [Substring]?
        // A byte order mark is no part of the first line, nor are the blanks that editors leave behind one.
        let plain = text.unicodeScalars.first == "\u{feff}" ? String(text.unicodeScalars.dropFirst()) : text
        let lines = plain.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(
            withoutTrailingBlanks)
        for (index, line) in lines.enumerated() {
            switch line {
            case "-----BEGIN CERTIFICATE-----", "-----BEGIN X509 CERTIFICATE-----":
                guard body == nil else { throw .malformed(file, line: index + 1) }
                body = []
            case "-----END CERTIFICATE-----", "-----END X509 CERTIFICATE-----":
                guard let lines = body, isCertificate(lines) else { throw .malformed(file, line: index + 1) }
                certificates.append(lines.joined(separator: "\n"))
                body = nil
            // A certificate must not be lost in silence because its first line is written otherwise.
            case let other where isBeginning(other):
                throw .malformed(file, line: index + 1)
            default: body?.append(line)
            }
        }
        guard body == nil else { throw .malformed(file, line: lines.count) }
        guard !certificates.isEmpty else { throw .empty(file) }
    }

    mutating func append(_ other: CertificateBundle) { certificates += other.certificates }

    var count: Int { certificates.count }

    var text: String {
        certificates.map { "-----BEGIN CERTIFICATE-----\n\($0)\n-----END CERTIFICATE-----\n" }.joined()
    }
}

private func withoutTrailingBlanks(_ line: Substring) -> Substring {
    var line = line
    while line.last == " " || line.last == "\t" { line.removeLast() }
    return line
}

/// Whether the line begins a certificate in a form that is not read here; a request for one is not a certificate.
private func isBeginning(_ line: Substring) -> Bool {
    let text = line.drop { $0 == " " || $0 == "\t" }
    return text.hasPrefix("-----BEGIN ") && text.contains("CERTIFICATE") && !text.contains("REQUEST")
}

/// Whether base64 lines are a DER sequence of the stated length, which is the outer form of every certificate.
private func isCertificate(_ lines: [Substring]) -> Bool {
    guard let der = try? Base64.standard.decode(Array(lines.joined().utf8)[...]), der.count > 4, der[0] == 0x30 else {
        return false
    }
    let lengthBytes = Int(der[1]) - 0x80
    guard 1...4 ~= lengthBytes, der.count > 2 + lengthBytes else { return false }
    let length = der[2..<2 + lengthBytes].reduce(0) { $0 << 8 | Int($1) }
    return der.count == 2 + lengthBytes + length
}
