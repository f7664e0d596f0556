// What routers say beside addresses: name servers and domains, and whether a DHCPv6 server is to be asked.

import BootArguments

/// Name servers and search domains of one router advertisement, from the kernel's RTM_NEWNDUSEROPT.
public struct RouterDNS: Equatable, Sendable {
    /// The kernel's number for the interface.
    public var interfaceIndex: Int
    /// Name servers that the router names.
    public var nameservers: [IPAddress] = []
    /// Search domains that the router names.
    public var searchDomains: [String] = []
    /// Name servers that the router takes back: their lifetime is 0.
    public var endedServers: [IPAddress] = []
    /// Search domains that the router takes back.
    public var endedDomains: [String] = []

    /// Reads one netlink message, header included; `nil` for any other and for what is cut short.
    ///
    /// The layout is nlmsghdr (16 bytes), nduseroptmsg (16 bytes), then the options as they came: type, length in
    /// units of 8 bytes, 2 bytes reserved, 4 bytes of lifetime; type 25 is RDNSS, addresses, type 31 DNSSL, names
    /// (RFC 8106).
    public init?(netlinkMessage message: [UInt8]) {
        func number(_ offset: Int, _ size: Int) -> Int {
            (0..<size).reduce(0) { $0 | Int(message[offset + $1]) << ($1 * 8) }
        }
        guard message.count >= 32, number(4, 2) == 68, number(0, 4) <= message.count, message[16] == 10 else {
            return nil
        }
        interfaceIndex = number(20, 4)
        let end = min(32 + number(18, 2), number(0, 4))
        var at = 32
        while at + 8 <= end {
            let length = Int(message[at + 1]) * 8
            guard length > 0, at + length <= end else { break }
            let lives = message[at + 4..<at + 8].contains { $0 != 0 }
            let content = message[(at + 8)..<(at + length)]
            switch message[at] {
            case 25:
                for start in stride(from: content.startIndex, through: content.endIndex - 16, by: 16) {
                    guard let server = IPAddress(bytes: Array(content[start..<start + 16])) else { continue }
                    if lives { nameservers.append(server) } else { endedServers.append(server) }
                }
            case 31:
                let domains = domainNames(content)
                if lives { searchDomains += domains } else { endedDomains += domains }
            default: break
            }
            at += length
        }
        if nameservers.isEmpty, searchDomains.isEmpty, endedServers.isEmpty, endedDomains.isEmpty { return nil }
    }
}

/// What the routers of one link have said up to now.
public struct RouterNames: Equatable, Sendable {
    /// Name servers, in the order in which they were named.
    public private(set) var nameservers: [IPAddress] = []
    /// Search domains, in the order in which they were named.
    public private(set) var searchDomains: [String] = []

    /// The most servers and the most domains that are kept: flooding a link must not fill the boot's time with them.
    static let most = 16

    /// Starts with no names.
    public init() {}

    /// Takes one more advertisement: what it names is added, what it ends is gone.
    public mutating func take(_ said: RouterDNS) {
        nameservers.removeAll(where: said.endedServers.contains)
        for server in said.nameservers where !nameservers.contains(server) && nameservers.count < Self.most {
            nameservers.append(server)
        }
        searchDomains.removeAll(where: said.endedDomains.contains)
        for domain in said.searchDomains where !searchDomains.contains(domain) && searchDomains.count < Self.most {
            searchDomains.append(domain)
        }
    }
}

/// The names of an option, each as its labels with their lengths, an empty one at its end.
///
/// This is the form of RFC 1035, 3.1, without compression. What is cut short, or breaks a line, is left out; an empty
/// name pads.
func domainNames(_ bytes: ArraySlice<UInt8>) -> [String] {
    var names: [String] = []
    var labels: [String] = []
    var at = bytes.startIndex
    while at < bytes.endIndex {
        let length = Int(bytes[at])
        at += 1
        if length == 0 {
            let name = labels.joined(separator: ".")
            if isDomainName(name), !names.contains(name) { names.append(name) }
            labels = []
            continue
        }
        guard length < 64, at + length <= bytes.endIndex else { break }
        labels.append(String(decoding: bytes[at..<at + length], as: UTF8.self))
        at += length
    }
    return names
}

/// Whether the routers of a link say that a DHCPv6 server is to be asked, from the kernel's RTM_NEWLINK for IPv6.
public struct RouterFlags: Equatable, Sendable {
    /// The kernel's number for the interface.
    public var interfaceIndex: Int
    /// A router advertisement has come.
    public var isAdvertised: Bool
    /// Addresses are the DHCPv6 server's to give (M).
    public var isManaged: Bool
    /// Other settings are (O).
    public var hasOther: Bool

    /// Reads one netlink message, header included; `nil` for any other and for what is cut short.
    ///
    /// The layout is nlmsghdr (16 bytes), ifinfomsg (16 bytes), then attributes, of which IFLA_PROTINFO (12) holds
    /// IFLA_INET6_FLAGS (1): 0x20 received, 0x40 managed, 0x80 other settings, as the kernel's net/if_inet6.h has them.
    public init?(netlinkMessage message: [UInt8]) {
        func number(_ offset: Int, _ size: Int) -> Int {
            (0..<size).reduce(0) { $0 | Int(message[offset + $1]) << ($1 * 8) }
        }
        guard message.count >= 32, number(4, 2) == 16, message[16] == 10 else { return nil }
        /// The attribute of that type between two places.
        func attribute(_ type: Int, _ start: Int, _ end: Int) -> Range<Int>? {
            var at = start
            while at + 4 <= end {
                let length = number(at, 2)
                guard length >= 4, at + length <= end else { return nil }
                if number(at + 2, 2) & 0x3fff == type { return at + 4..<at + length }
                at += (length + 3) & ~3
            }
            return nil
        }
        let end = min(number(0, 4), message.count)
        guard end >= 32, let nested = attribute(12, 32, end),
            let flags = attribute(1, nested.lowerBound, nested.upperBound), flags.count == 4
        else { return nil }
        interfaceIndex = number(20, 4)
        let bits = number(flags.lowerBound, 4)
        isAdvertised = bits & 0x20 != 0
        hasOther = bits & 0x80 != 0
        isManaged = bits & 0x40 != 0
    }
}
