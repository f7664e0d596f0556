// A DNS query for addresses, and its answer, which shows over which card a server's name can be reached.

import BootArguments
import Encoding

/// Just as much of RFC 1035 as asking a recursive server takes.
public enum DNSMessage {
    /// A query for the addresses of one family.
    ///
    /// - Returns: `nil` where the name is malformed.
    public static func query(_ name: String, _ family: IPAddress.Family, id: UInt16) -> [UInt8]? {
        guard isDomainName(name) else { return nil }
        var bytes: [UInt8] = [UInt8(id >> 8), UInt8(id & 0xff), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in name.split(separator: ".") {
            guard (1...63).contains(label.utf8.count) else { return nil }
            bytes += [UInt8(label.utf8.count)] + Array(label.utf8)
        }
        return bytes + [0, 0, family == .v4 ? 1 : 28, 0, 1]
    }

    /// The addresses in the answer to that query, whatever aliases led to them; none where the server has none.
    ///
    /// - Returns: `nil` for anything but an answer to it. A refusal is none: another server may know.
    public static func addresses(_ answer: [UInt8], id: UInt16) -> [IPAddress]? {
        func field(_ at: Int) -> Int { number(bigEndian: answer[at...(at + 1)]) }
        guard answer.count >= 12, field(0) == Int(id), answer[2] & 0x80 != 0,
            // No error, or no such name.
            [0, 3].contains(answer[3] & 15)
        else { return nil }
        var at = 12
        /// Passes over a name; a pointer ends it.
        func skipName() -> Bool {
            while at < answer.count {
                let length = Int(answer[at])
                if length == 0 {
                    at += 1
                    return true
                }
                if length & 0xc0 == 0xc0 {
                    at += 2
                    return at <= answer.count
                }
                guard length < 64 else { return false }
                at += 1 + length
            }
            return false
        }
        for _ in 0..<field(4) {
            guard skipName() else { return [] }
            at += 4
        }
        var addresses: [IPAddress] = []
        for _ in 0..<field(6) {
            guard skipName(), at + 10 <= answer.count else { return addresses }
            let (type, length) = (field(at), field(at + 8))
            at += 10
            guard at + length <= answer.count else { return addresses }
            if (type == 1 && length == 4) || (type == 28 && length == 16),
                let address = IPAddress(bytes: Array(answer[at..<at + length]))
            {
                addresses.append(address)
            }
            at += length
        }
        return addresses
    }
}

/// A server that the boot needs, and how it is asked.
public struct NetworkTarget: Hashable, Sendable, CustomStringConvertible {
    /// Without brackets.
    public var host: String
    /// The server's port, 1 to 65535.
    public var port: Int
    /// UDP, for TFTP; otherwise TCP.
    public var isTFTP: Bool

    /// The server of a URL of http, https or tftp, or the proxy that goes in its place; `nil` for any other.
    public init?(url: SourceURL, proxy: SourceURL? = nil) {
        guard let usual = ["http": 80, "https": 443, "tftp": 69][url.scheme], url.authority != nil else { return nil }
        if let proxy, url.scheme != "tftp" {
            self.init(proxy, usualPort: ["http": 80, "https": 443][proxy.scheme] ?? 1080)
        } else {
            self.init(url, usualPort: usual)
        }
        isTFTP = url.scheme == "tftp"
    }

    private init?(_ url: SourceURL, usualPort: Int) {
        let isBracketed = url.host.hasPrefix("[") && url.host.hasSuffix("]")
        host = isBracketed ? String(url.host.dropFirst().dropLast()) : url.host
        let digits = url.port ?? ""
        guard let port = digits.isEmpty ? usualPort : Int(digits), (1...65_535).contains(port), !host.isEmpty else {
            return nil
        }
        self.port = port
        isTFTP = false
    }

    /// The host, in brackets where it is an IPv6 address, a colon and the port.
    public var description: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }
}
