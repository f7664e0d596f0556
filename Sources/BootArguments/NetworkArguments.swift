// The network part of the command line, as one value.

import Encoding

/// The network part of the command line.
public struct NetworkArguments: Equatable, Sendable {
    /// In order; later ones of an interface add to earlier ones.
    public var ip: [IPArgument] = []
    /// VLANs, bonds and bridges, in order.
    public var links: [LinkArgument] = []
    /// Static routes, in order: `rd.route=`.
    public var routes: [RouteArgument] = []
    /// Name servers for every interface, in order.
    public var nameservers: [IPAddress] = []
    /// Time servers, in order: those of `ipam=`.
    public var timeServers: [IPAddress] = []
    /// Speed and negotiation of cards, in order: `rd.ethtool=`.
    public var ethtool: [EthtoolArgument] = []
    /// `rd.neednet`.
    public var isNeeded = false
    /// Take name servers from DHCP and router advertisements.
    public var peerDNS = true
    /// The interface that owns the default route and DNS.
    public var bootInterface: InterfaceReference?
    /// The interface that the firmware booted from, as PXELINUX tells with `IPAPPEND 2`.
    public var bootIF: MACAddress?
    /// New names by MAC address: `ifname=NAME:MAC`.
    public var names: [MACAddress: String] = [:]
    /// Give interfaces the names that udev would.
    public var predictableNames = true
    /// Whether network settings go on to the real root.
    public var persistence: Persistence = .whereNeeded
    /// How long the boot waits for parts of the network.
    public var timeouts = Timeouts()
    /// How this machine calls itself to DHCP servers: `rd.net.dhcp.client-id`.
    public var clientID: DHCPClientID?
    /// `rd.net.dhcp.vendor-class`.
    public var vendorClass: String?
    /// Whether the identity of this machine, for DHCP servers and the real root, is derived from its UUID.
    public var identityIsUUID = false

    /// The arguments of a command line that says nothing about the network.
    public init() {}

    /// Whether network settings go on to the real root.
    public enum Persistence: Equatable, Sendable { case never, whereNeeded, always }

    /// Seconds; `nil`: as long as it takes.
    public struct Timeouts: Equatable, Sendable {
        /// For a DHCP server's answer, once the link has a carrier.
        public var dhcp: Int?
        /// For a carrier, once the link is set up.
        public var carrier: Int?
        /// Until an interface appears that is named.
        public var interface: Int?
        /// For an IPv6 router's answer, once the link has a carrier.
        public var ipv6: Int?

        /// Sets no limit to anything.
        public init() {}
    }
}

/// What a DHCP client calls itself (option 61).
public struct DHCPClientID: Equatable, Sendable, CustomStringConvertible {
    /// The type first, as it is sent.
    public var bytes: [UInt8]

    /// Takes the bytes as they are, the type first.
    public init(bytes: [UInt8]) { self.bytes = bytes }

    /// Reads pairs of hexadecimal digits with `:` between them, or a text, which is sent with the type 0.
    ///
    /// `nil` for empty text and for more than 255 bytes.
    public init?(_ text: String) {
        let pairs = text.split(separator: ":", omittingEmptySubsequences: false)
        let hex = pairs.compactMap { pair in
            (1...2).contains(pair.utf8.count) ? Encoding.bytes(hexadecimal: "0\(pair)".utf8.suffix(2))?.first : nil
        }
        self.bytes = pairs.count > 1 && hex.count == pairs.count ? hex : [0] + Array(text.utf8)
        if text.isEmpty || bytes.count > 255 { return nil }
    }

    /// As NetworkManager's keyfiles have it.
    public var description: String { hexadecimal(bytes, separator: ":") }
}

/// One `rd.ethtool=IFACE:AUTONEG:SPEED`.
public struct EthtoolArgument: Equatable, Sendable {
    /// The card that is meant.
    public var interface: InterfaceReference
    /// Whether speed and duplex are negotiated; `nil`: not given.
    public var autonegotiates: Bool?
    /// Megabits a second, full duplex.
    public var speed: Int?

    /// - Returns: `nil` where no interface is named.
    init?(parsing text: String, _ notes: inout [String]) {
        var fields = IPArgument.fields(text)
        guard let interface = InterfaceReference(fields[0]) else { return nil }
        fields += ["", ""]
        self.interface = interface
        switch fields[1].lowercased() {
        case "on", "1", "true", "yes": autonegotiates = true
        case "off", "0", "false", "no": autonegotiates = false
        case "": break
        default: notes.append("rd.ethtool=\(text): \"\(fields[1])\" is neither on nor off, left out")
        }
        speed = Int(fields[2]).flatMap { (1...10_000_000).contains($0) ? $0 : nil }
        if speed == nil, !fields[2].isEmpty {
            notes.append("rd.ethtool=\(text): \"\(fields[2])\" is not a speed, left out")
        }
    }
}
