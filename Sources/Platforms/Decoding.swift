// Decoding what platforms wrap around a config.

import BootArguments
import Encoding
import Fetching
import IgnitionConfig

/// Decodes base64 with line ends anywhere.
func decodedBase64(_ text: [UInt8], _ platform: Platform) throws(PlatformFailure) -> [UInt8] {
    let digits = text.filter { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    guard let bytes = try? Base64.standard.decode(digits[...]) else { throw .notBase64(platform) }
    return bytes
}

/// Decompresses gzip; returns anything else as it is.
func decompressed(_ bytes: [UInt8], _ platform: Platform) throws(PlatformFailure) -> [UInt8] {
    bytes.starts(with: [0x1f, 0x8b]) ? try gunzipped(bytes, platform) : bytes
}

func gunzipped(_ bytes: [UInt8], _ platform: Platform) throws(PlatformFailure) -> [UInt8] {
    var content: [UInt8] = []
    do {
        let gunzip = try Gunzip()
        try bytes.withUnsafeBytes { try gunzip.push($0) { content.append(contentsOf: $0) } }
        try gunzip.finish()
    } catch { throw .notGzip(platform, "\(error)") }
    return content
}

/// A token without surrounding blanks, for a header; `nil` if it is empty or has other than printable ASCII.
func headerValue(_ bytes: [UInt8]) -> String? {
    let isBlank = { (byte: UInt8) in byte == 0x20 || (0x09...0x0d).contains(byte) }
    let text = bytes.drop(while: isBlank).reversed().drop(while: isBlank).reversed()
    guard !text.isEmpty, text.allSatisfy({ (0x20..<0x7f).contains($0) }) else { return nil }
    return String(decoding: Array(text), as: UTF8.self)
}
