// The kernel's IPv6 tables in /proc/net.

import BootArguments
import Encoding

/// An IPv6 address as `/proc/net/if_inet6` lists it.
public struct KernelIPv6Address: Equatable, Sendable {
    /// The address with its prefix length.
    public var address: InterfaceAddress
    /// The kernel's number for the interface.
    public var interfaceIndex: Int
    /// IPV6_ADDR_* scope bits: 0 global, 0x10 host, 0x20 link, 0x40 site.
    public var scope: Int
    /// IFA_F_* bits.
    public var flags: Int

    /// Whether the address is good on its link alone.
    public var isLinkLocal: Bool { scope == 0x20 }
    /// Good for reaching others: neither loopback nor link-local.
    public var isGlobal: Bool { scope == 0 || scope == 0x40 }
    /// Not one that another machine has (0x08), and past looking for that (tentative, 0x40), unless it may be used
    /// meanwhile (optimistic, 0x04; RFC 4429).
    public var isUsable: Bool { flags & 0x08 == 0 && (flags & 0x40 == 0 || flags & 0x04 != 0) }

    /// Reads the file: address, index, prefix, scope and flags in hexadecimal, then the name.
    public static func all(_ text: String) -> [KernelIPv6Address] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 6, let address = address(fields[0]) else { return nil }
            let numbers = fields[1...4].compactMap { Int($0, radix: 16) }
            guard numbers.count == 4 else { return nil }
            return KernelIPv6Address(
                address: InterfaceAddress(address, prefix: numbers[1]), interfaceIndex: numbers[0], scope: numbers[2],
                flags: numbers[3])
        }
    }

    /// The gateways of the default routes by that interface, from `/proc/net/ipv6_route`: destination and
    /// its length, source and its length, next hop, metric, references, uses, flags, name.
    public static func gateways(_ text: String, interface: String) -> [IPAddress] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 10, fields[9] == interface, fields[1] == "00", let hop = address(fields[4]),
                hop.bytes.contains(where: { $0 != 0 })
            else { return nil }
            return hop
        }
    }

    /// 32 hexadecimal digits.
    private static func address(_ text: Substring) -> IPAddress? {
        guard let bytes = bytes(hexadecimal: text.utf8), bytes.count == 16 else { return nil }
        return IPAddress(bytes: bytes)
    }
}
