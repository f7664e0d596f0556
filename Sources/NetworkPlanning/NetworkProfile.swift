// What one link is to be and to be given, whoever said so: the command line or a NetworkManager keyfile.

import BootArguments

/// A route; the default route leads to `0.0.0.0/0` or `::/0`.
public struct NetworkRoute: Hashable, Sendable {
    public var destination: InterfaceAddress
    /// `nil`: the destination is on the link.
    public var gateway: IPAddress?
    /// `nil`: the link's.
    public var metric: Int?
    /// `nil`: the main table.
    public var table: Int?
    public var mtu: Int?
    /// The address to send from.
    public var source: IPAddress?
    /// The gateway is on the link whatever the addresses say.
    public var isOnLink = false

    public init(to destination: InterfaceAddress, via gateway: IPAddress?, metric: Int? = nil) {
        self.destination = destination.network
        self.gateway = gateway
        self.metric = metric
    }

    /// The default route by way of that gateway.
    public init(defaultBy gateway: IPAddress) {
        self.init(to: InterfaceAddress(gateway, prefix: 0), via: gateway)
    }

    public var isDefault: Bool { destination.prefix == 0 && table == nil }
}

/// What a link is given of one family of addresses.
public struct NetworkFamily: Equatable, Sendable {
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

    public var method: Method
    public var addresses: [InterfaceAddress] = []
    public var routes: [NetworkRoute] = []
    public var nameservers: [IPAddress] = []
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
    public var sendsHostname = true
    public var clientID: DHCPClientID?
    public var vendorClass: String?

    public init(_ method: Method) { self.method = method }

    /// Whether a server or a router is asked.
    public var asks: Bool { method == .auto || method == .dhcp }
    public var isUsed: Bool { method != .disabled }
}

/// Which of several interfaces a profile is for, beyond its name: `[match]` and what stands beside it in keyfiles.
public struct NetworkMatch: Equatable, Sendable {
    /// Patterns of names, drivers and places on the bus: one of those without a sign, all with `&`, none with `!`.
    public var names: [String] = []
    public var drivers: [String] = []
    public var paths: [String] = []
    /// Words of the kernel's command line.
    public var kernelArguments: [String] = []
    public var mac: MACAddress?
    public var deniedMACs: [MACAddress] = []

    public init() {}

    public var isEmpty: Bool { self == NetworkMatch() }
}

/// The settings of one link.
public struct NetworkProfile: Equatable, Sendable {
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
    public var kind = Kind.ethernet
    /// `nil`: any wired interface, or any that matches.
    public var interface: InterfaceReference?
    public var match = NetworkMatch()
    /// The bond or bridge that it is a port of.
    public var controller: String?
    public var ipv4: NetworkFamily
    public var ipv6: NetworkFamily
    public var mtu: Int?
    public var clonedMAC: MACAddress?
    public var ethernet = EthernetSettings()
    /// Of profiles that fit an interface alike, the largest goes first.
    public var priority = 0
    /// What it asks for that cannot be done here, by name: `802-1x`. The profile cannot be used with that.
    public var unsupported: [String] = []

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

    public var addresses: [InterfaceAddress] { ipv4.addresses + ipv6.addresses }
    public var routes: [NetworkRoute] { ipv4.routes + ipv6.routes }
    public var nameservers: [IPAddress] { ipv4.nameservers + ipv6.nameservers }
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
    public var autonegotiates: Bool?
    /// Megabits a second.
    public var speed: Int?
    public var isHalfDuplex = false

    public init() {}
}

/// What a bridge is told, in the kernel's words: the names of the files below `/sys/class/net/BRIDGE/bridge`.
public struct BridgeOptions: Equatable, Sendable {
    /// By name; times in hundredths of a second.
    public var values: [String: String]

    /// A bridge without the spanning tree protocol, which forwards at once.
    public init(values: [String: String] = ["stp_state": "0"]) { self.values = values }
}
