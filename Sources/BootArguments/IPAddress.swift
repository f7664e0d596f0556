// Addresses as people type them: IPv4, IPv6, networks, MAC addresses.

import Encoding

/// An IPv4 or IPv6 address, in the order of the wire.
public struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// The version of the protocol: IPv4 or IPv6.
    public enum Family: Sendable { case v4, v6 }

    /// 4 or 16 bytes.
    public let bytes: [UInt8]

    /// The family that the number of bytes tells.
    public var family: Family { bytes.count == 4 ? .v4 : .v6 }
    /// 32 or 128.
    public var bits: Int { bytes.count * 8 }

    /// Takes 4 or 16 bytes; `nil` for any other number.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.bytes = bytes
    }

    /// Reads `192.0.2.1`, `2001:db8::1` or `[2001:db8::1]`; no zone, no leading zeros in IPv4
    /// (some read those as octal).
    public init?(_ text: some StringProtocol) {
        if text.contains(":") {
            var inner = text[...]
            if inner.hasPrefix("["), inner.hasSuffix("]") { inner = inner.dropFirst().dropLast() }
            guard let bytes = Self.v6(inner) else { return nil }
            self.bytes = bytes
        } else {
            guard let bytes = Self.v4(text[...]) else { return nil }
            self.bytes = bytes
        }
    }

    /// IPv6 as RFC 5952 writes it.
    public var description: String {
        if family == .v4 { return bytes.map(String.init).joined(separator: ".") }
        let groups = stride(from: 0, to: 16, by: 2).map { number(bigEndian: bytes[$0...($0 + 1)]) }
        var longest = 0..<0
        var start = 0
        while start < 8 {
            let end = groups[start...].firstIndex { $0 != 0 } ?? 8
            if end - start > longest.count { longest = start..<end }
            start = max(end, start + 1)
        }
        func text(_ part: ArraySlice<Int>) -> String {
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard longest.count > 1 else { return text(groups[...]) }
        return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
    }

    /// Link-local: 169.254.0.0/16 or fe80::/10.
    public var isLinkLocal: Bool {
        family == .v4 ? bytes[0] == 169 && bytes[1] == 254 : bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80
    }

    /// The prefix length of a netmask (`255.255.255.0` is 24), or `nil` where its ones have holes.
    public var netmaskLength: Int? {
        let ones = bytes.prefix { $0 == 0xff }.count
        let length = ones * 8 + (ones < bytes.count ? (~bytes[ones]).leadingZeroBitCount : 0)
        return Self.mask(length: length, bits: bits) == bytes ? length : nil
    }

    /// The prefix of a network that nobody gave one: by class for IPv4 (as NetworkManager does), 64 for IPv6.
    public var defaultPrefix: Int {
        guard family == .v4 else { return 64 }
        return bytes[0] < 128 ? 8 : bytes[0] < 192 ? 16 : 24
    }

    static func mask(length: Int, bits: Int) -> [UInt8] {
        (0..<bits / 8).map { index in
            let ones = min(max(length - index * 8, 0), 8)
            return ones == 0 ? 0 : 0xff << UInt8(8 - ones)
        }
    }

    private static func v4(_ text: some StringProtocol) -> [UInt8]? {
        let fields = text.split(separator: ".", omittingEmptySubsequences: false)
        guard fields.count == 4 else { return nil }
        let bytes = fields.compactMap { field -> UInt8? in
            guard field.utf8.allSatisfy({ (0x30...0x39).contains($0) }), field.count == 1 || field.first != "0"
            else { return nil }
            return UInt8(field)
        }
        return bytes.count == 4 ? bytes : nil
    }

    private static func v6(_ text: some StringProtocol) -> [UInt8]? {
        let colons = Array(text.utf8)
        let gap = (0..<max(colons.count - 1, 0)).first { colons[$0] == 0x3a && colons[$0 + 1] == 0x3a }
        guard let gap else {
            guard let bytes = groups(text, mayEndInV4: true), bytes.count == 16 else { return nil }
            return bytes
        }
        let head = String(decoding: colons[..<gap], as: UTF8.self)
        let tail = String(decoding: colons[(gap + 2)...], as: UTF8.self)
        guard let before = groups(head, mayEndInV4: false), let after = groups(tail, mayEndInV4: true),
            before.count + after.count <= 14
        else { return nil }
        return before + Array(repeating: 0, count: 16 - before.count - after.count) + after
    }

    /// Groups of one to four hexadecimal digits; the last may be a dotted quad.
    ///
    /// Empty text has no groups.
    private static func groups(_ text: some StringProtocol, mayEndInV4: Bool) -> [UInt8]? {
        if text.isEmpty { return [] }
        var bytes: [UInt8] = []
        let fields = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, field) in fields.enumerated() {
            if mayEndInV4, index == fields.count - 1, field.contains(".") {
                guard let quad = v4(field) else { return nil }
                bytes += quad
            } else {
                guard (1...4).contains(field.count), field.allSatisfy(\.isHexDigit),
                    let group = UInt16(field, radix: 16)
                else { return nil }
                bytes += [UInt8(group >> 8), UInt8(group & 0xff)]
            }
        }
        return bytes
    }
}

/// An address and the length of its network's prefix: `10.0.2.15/24`.
public struct InterfaceAddress: Hashable, Sendable, CustomStringConvertible {
    /// The address itself.
    public var address: IPAddress
    /// The length of the network's prefix in bits.
    public var prefix: Int

    /// Takes an address and a prefix length in bits, which is not checked.
    public init(_ address: IPAddress, prefix: Int) {
        self.address = address
        self.prefix = prefix
    }

    /// Reads `ADDRESS/PREFIX`, or an address alone with `defaultPrefix` (`nil`: its class's).
    public init?(_ text: some StringProtocol, defaultPrefix: Int? = nil) {
        var inner = text[...]
        if inner.hasPrefix("["), inner.hasSuffix("]") { inner = inner.dropFirst().dropLast() }
        let parts = inner.split(separator: "/", omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ IPAddress($0) }) else { return nil }
        switch parts.count {
        case 1:
            self.init(address, prefix: defaultPrefix ?? address.defaultPrefix)
        case 2:
            guard let prefix = Self.prefix(parts[1], for: address) else { return nil }
            self.init(address, prefix: prefix)
        default: return nil
        }
    }

    /// A prefix length as people give it: `24`, or `255.255.255.0` for IPv4.
    public static func prefix(_ text: some StringProtocol, for address: IPAddress) -> Int? {
        if let mask = IPAddress(text), mask.family == .v4, address.family == .v4 { return mask.netmaskLength }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(text), length <= address.bits
        else { return nil }
        return length
    }

    /// The address, a slash and the prefix length.
    public var description: String { "\(address)/\(prefix)" }

    /// The address with the bits beyond the prefix cleared: where a route leads.
    public var network: InterfaceAddress {
        let mask = IPAddress.mask(length: prefix, bits: address.bits)
        let bytes = zip(address.bytes, mask).map { $0 & $1 }
        return InterfaceAddress(IPAddress(bytes: bytes) ?? address, prefix: prefix)
    }

    /// Whether `other` lies in this network.
    public func contains(_ other: IPAddress) -> Bool {
        other.family == address.family && InterfaceAddress(other, prefix: prefix).network.address == network.address
    }
}

/// A hardware address of six bytes.
public struct MACAddress: Hashable, Sendable, CustomStringConvertible {
    /// The six bytes, in the order of the wire.
    public let bytes: [UInt8]

    /// Takes six bytes; `nil` for any other number.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 6 else { return nil }
        self.bytes = bytes
    }

    /// Reads six pairs of hexadecimal digits with `:` or `-` between them, brackets allowed.
    public init?(_ text: some StringProtocol) {
        var inner = text[...]
        if inner.hasPrefix("["), inner.hasSuffix("]") { inner = inner.dropFirst().dropLast() }
        let separator: Character = inner.contains("-") ? "-" : ":"
        let fields = inner.split(separator: separator, omittingEmptySubsequences: false)
        guard fields.count == 6, fields.allSatisfy({ $0.utf8.count == 2 }),
            let bytes = Encoding.bytes(hexadecimal: fields.joined().utf8)
        else { return nil }
        self.bytes = bytes
    }

    /// Lower case with colons, as the kernel prints it.
    public var description: String { hexadecimal(bytes, separator: ":") }
}

/// How somebody names a network interface: by a name of its own or by its MAC address.
public enum InterfaceReference: Hashable, Sendable, CustomStringConvertible {
    case name(String)
    case mac(MACAddress)

    /// Reads a name or a MAC address; `nil` for empty text.
    ///
    /// Anything that reads as a MAC address is one.
    public init?(_ text: some StringProtocol) {
        if text.isEmpty { return nil }
        self = MACAddress(text).map { .mac($0) } ?? .name(String(text))
    }

    /// Whether there may be such an interface: what is not a MAC address of six bytes has to be a name for the kernel.
    var canBe: Bool {
        switch self {
        case .name(let name): LinkArgument.isName(name)
        case .mac: true
        }
    }

    /// The name, or the MAC address in lower case with colons.
    public var description: String {
        switch self {
        case .name(let name): name
        case .mac(let mac): mac.description
        }
    }
}

/// A name server as NetworkManager writes it: an address, `[ADDRESS]:53`, each with `#NAME` behind it where TLS is to
/// be spoken, which is not done here.
public struct NameServerText: Equatable, Sendable {
    /// The server's address, without port, zone and name.
    public var address: IPAddress

    /// - Returns: `nil` for anything but a server of plain DNS at its port.
    public init?(_ text: some StringProtocol) {
        var rest = Substring(String(text)).prefix { $0 != "#" }
        if rest.hasSuffix(":53"), rest.hasPrefix("[") || rest.filter({ $0 == ":" }).count == 1 {
            rest = rest.dropLast(3)
        }
        // A link-local server's zone is the link that it is given for.
        rest = rest.prefix { $0 != "%" }
        guard let address = IPAddress(rest) else { return nil }
        self.address = address
    }
}
