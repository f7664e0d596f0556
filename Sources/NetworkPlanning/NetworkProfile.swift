// What one link is and what settings it gets, whether the command line or a NetworkManager keyfile says so.

import BootArguments

/// A route; the default route leads to `0.0.0.0/0` or `::/0`.
public struct NetworkRoute: Hashable, Sendable {
    /// The network that the route leads to.
    public var destination: InterfaceAddress
    /// `nil`: the destination is on the link.
    public var gateway: IPAddress?
    /// `nil`: the link's.
    public var metric: Int?
    /// `nil`: the main table.
    public var table: Int?
    /// The route's MTU in bytes; `nil`: the link's.
    public var mtu: Int?
    /// The address to send from.
    public var source: IPAddress?
    /// The gateway is on the link whatever the addresses say.
    public var isOnLink = false

    /// Takes a route, and clears the destination's bits beyond its prefix.
    public init(to destination: InterfaceAddress, via gateway: IPAddress?, metric: Int? = nil) {
        self.destination = destination.network
        self.gateway = gateway
        self.metric = metric
    }

    /// The default route by way of that gateway.
    public init(defaultBy gateway: IPAddress) {
        self.init(to: InterfaceAddress(gateway, prefix: 0), via: gateway)
    }

    /// Whether it is a default route of the main table.
    public var isDefault: Bool { destination.prefix == 0 && table == nil }
}

/// What a link is given of one family of addresses.
public struct NetworkFamily: Equatable, Sendable {
    /// How a link gets its addresses of one family.
    public enum Method: String, Equatable, Sendable {
        case disabled
        /// DHCPv4; router advertisements, and DHCPv6 where those say so.
        case auto
        /// The addresses are the configuration.
        case manual
        case linkLocal = "link-local"
        /// DHCPv6 whatever routers say; IPv6 alone.
        case dhcp
    }

    /// How the link gets its addresses of this family.
    public var method: Method
    /// Fixed addresses with their prefix lengths, in order.
    public var addresses: [InterfaceAddress] = []
    /// Fixed routes, in order.
    public var routes: [NetworkRoute] = []
    /// Fixed name servers, in order.
    public var nameservers: [IPAddress] = []
    /// Fixed search domains, in order.
    public var searchDomains: [String] = []
    /// Take no name servers and domains from DHCP and router advertisements.
    public var ignoresPeerDNS = false
    /// Take no routes from them.
    public var ignoresPeerRoutes = false
    /// It never owns the default route.
    public var neverDefault = false
    /// `false`: the link is not up without this family.
    public var mayFail = true
    /// The other family is not enough for as long as there is hope: 20 seconds.
    public var isAwaited = false
    /// Of routes that have none of their own.
    public var metric: Int?
    /// Seconds for DHCP; `nil`: the command line's, or as long as it takes.
    public var timeout: Int?
    /// What the DHCP server is told the machine is called; `nil`: the machine's name.
    public var hostname: String?
    /// Whether the DHCP server is told a name.
    public var sendsHostname = true
    /// The client identifier that DHCP servers get (option 61); `nil`: it sends the card's address.
    public var clientID: DHCPClientID?
    /// The vendor class that DHCP servers are told (option 60); `nil`: the client's own.
    public var vendorClass: String?

    /// A family with that method and nothing else set.
    public init(_ method: Method) { self.method = method }

    /// Whether a server or a router is asked.
    public var asks: Bool { method == .auto || method == .dhcp }
    /// Whether the link has this family at all.
    public var isUsed: Bool { method != .disabled }
}

/// Which of several interfaces a profile is for, beyond its name: `[match]` and what stands beside it in keyfiles.
public struct NetworkMatch: Equatable, Sendable {
    /// Patterns of names: one of those without a sign, all with `&`, none with `!`.
    public var names: [String] = []
    /// Patterns of drivers, with the same signs.
    public var drivers: [String] = []
    /// Patterns of places on the bus, with the same signs.
    public var paths: [String] = []
    /// Words of the kernel's command line.
    public var kernelArguments: [String] = []
    /// The MAC address of the card; `nil`: any.
    public var mac: MACAddress?
    /// MAC addresses of cards that the profile is not for.
    public var deniedMACs: [MACAddress] = []

    /// Rules no interface out.
    public init() {}

    /// Whether no interface is ruled out.
    public var isEmpty: Bool { self == NetworkMatch() }
}

/// The settings of one link.
public struct NetworkProfile: Equatable, Sendable {
    /// The kinds of link that a profile may be for.
    public enum Kind: Equatable, Sendable {
        /// A card.
        case ethernet
        case vlan(id: Int, parent: InterfaceReference?, flags: Int)
        case bond(BondOptions)
        case bridge(BridgeOptions)
        /// What cannot be made here, by name: `wifi`.
        case unsupported(String)
    }

    /// Who says so, for people: `ip=ens3:dhcp`, `static.nmconnection`.
    public var origin: String
    /// A keyfile's `uuid` and `id`, by which others may name it.
    public var identifiers: [String] = []
    /// The kind of link; a card unless it is set.
    public var kind = Kind.ethernet
    /// `nil`: any wired interface, or any that matches.
    public var interface: InterfaceReference?
    /// What an interface must match beyond its name.
    public var match = NetworkMatch()
    /// The bond or bridge that it is a port of.
    public var controller: String?
    /// The settings of IPv4.
    public var ipv4: NetworkFamily
    /// The settings of IPv6.
    public var ipv6: NetworkFamily
    /// The link's MTU in bytes; `nil`: it stays as it is.
    public var mtu: Int?
    /// The address that the link is to show instead of its own; `nil`: its own.
    public var clonedMAC: MACAddress?
    /// How the card talks to the switch.
    public var ethernet = EthernetSettings()
    /// Of profiles that fit an interface alike, the largest goes first.
    public var priority = 0
    /// What it asks for that cannot be done here, by name: `802-1x`.
    ///
    /// The profile cannot be used with that.
    public var unsupported: [String] = []

    /// A profile with these parts and nothing else set.
    public init(
        origin: String, kind: Kind = .ethernet, interface: InterfaceReference? = nil, ipv4: NetworkFamily,
        ipv6: NetworkFamily
    ) {
        self.origin = origin
        self.kind = kind
        self.interface = interface
        self.ipv4 = ipv4
        self.ipv6 = ipv6
    }

    /// Whether its link is made rather than found.
    public var isVirtual: Bool {
        switch kind {
        case .vlan, .bond, .bridge: true
        case .ethernet, .unsupported: false
        }
    }

    /// Whether it may bring the machine any traffic of its own: neither a port nor a mere carrier of VLANs.
    public var hasAddresses: Bool { controller == nil && (ipv4.isUsed || ipv6.isUsed) }

    /// The fixed addresses of both families, IPv4 first.
    public var addresses: [InterfaceAddress] { ipv4.addresses + ipv6.addresses }
    /// The fixed routes of both families, IPv4 first.
    public var routes: [NetworkRoute] { ipv4.routes + ipv6.routes }
    /// The fixed name servers of both families, IPv4 first.
    public var nameservers: [IPAddress] { ipv4.nameservers + ipv6.nameservers }
    /// The fixed search domains of IPv4, then those that IPv6 adds.
    public var searchDomains: [String] {
        ipv4.searchDomains + ipv6.searchDomains.filter { !ipv4.searchDomains.contains($0) }
    }

    /// Changes both families.
    mutating func eachFamily(_ body: (inout NetworkFamily) -> Void) {
        body(&ipv4)
        body(&ipv6)
    }
}

/// How a card talks to the switch.
public struct EthernetSettings: Equatable, Sendable {
    /// Whether speed and duplex are negotiated; `nil`: it stays as it is.
    public var autonegotiates: Bool?
    /// Megabits a second.
    public var speed: Int?
    /// Whether the link is half duplex where the speed is set.
    public var isHalfDuplex = false

    /// Leaves the card as it is.
    public init() {}
}

/// What a bridge is told, in the kernel's words: the names of the files below `/sys/class/net/BRIDGE/bridge`.
public struct BridgeOptions: Equatable, Sendable {
    /// By name; times in hundredths of a second.
    public var values: [String: String]

    /// A bridge without the spanning tree protocol, which forwards at once.
    public init(values: [String: String] = ["stp_state": "0"]) { self.values = values }
}
