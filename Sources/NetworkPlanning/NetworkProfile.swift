// What one interface is to be given, whoever said so: `ip=` or a NetworkManager keyfile.

import BootArguments

/// A route; the default route leads to `0.0.0.0/0` or `::/0`.
public struct NetworkRoute: Hashable, Sendable {
    public var destination: InterfaceAddress
    /// `nil`: the destination is on the link.
    public var gateway: IPAddress?

    public init(to destination: InterfaceAddress, via gateway: IPAddress?) {
        self.destination = destination.network
        self.gateway = gateway
    }

    /// The default route by way of that gateway.
    public init(defaultBy gateway: IPAddress) {
        self.init(to: InterfaceAddress(gateway, prefix: 0), via: gateway)
    }

    public var isDefault: Bool { destination.prefix == 0 }
}

/// The settings of one interface, or of any.
public struct NetworkProfile: Equatable, Sendable {
    /// Who says so, for people: `ip=ens3:dhcp`, `static.nmconnection`.
    public var origin: String
    /// `nil`: any wired interface.
    public var interface: InterfaceReference?
    public var method: IPArgument.Method
    public var addresses: [InterfaceAddress]
    public var routes: [NetworkRoute]
    public var nameservers: [IPAddress]
    public var searchDomains: [String]
    public var mtu: Int?
    public var clonedMAC: MACAddress?
    /// Take name servers from DHCP and router advertisements.
    public var peerDNS: Bool
    /// It may own the default route.
    public var mayBeDefault: Bool

    public init(
        origin: String, interface: InterfaceReference? = nil, method: IPArgument.Method,
        addresses: [InterfaceAddress] = [], routes: [NetworkRoute] = [], nameservers: [IPAddress] = [],
        searchDomains: [String] = [], mtu: Int? = nil, clonedMAC: MACAddress? = nil, peerDNS: Bool = true,
        mayBeDefault: Bool = true
    ) {
        self.origin = origin
        self.interface = interface
        self.method = method
        self.addresses = addresses
        self.routes = routes
        self.nameservers = nameservers
        self.searchDomains = searchDomains
        self.mtu = mtu
        self.clonedMAC = clonedMAC
        self.peerDNS = peerDNS
        self.mayBeDefault = mayBeDefault
    }

    /// The profiles of a command line, in order; several `ip=` of one interface make one profile.
    /// Without any `ip=` that is one for whichever interface answers.
    public static func all(of arguments: NetworkArguments) -> [NetworkProfile] {
        var profiles: [NetworkProfile] = []
        for argument in arguments.ip {
            let profile = NetworkProfile(argument, peerDNS: arguments.peerDNS)
            if let index = profiles.firstIndex(where: { $0.interface == profile.interface }) {
                profiles[index].add(profile)
            } else {
                profiles.append(profile)
            }
        }
        if profiles.isEmpty {
            profiles = [NetworkProfile(origin: "ip=auto", method: .automatic, peerDNS: arguments.peerDNS)]
        }
        for index in profiles.indices {
            let reference = profiles[index].interface
            profiles[index].nameservers += arguments.nameservers.filter {
                !profiles[index].nameservers.contains($0)
            }
            if let owner = arguments.bootInterface, reference != nil, reference != owner {
                profiles[index].mayBeDefault = false
                profiles[index].routes.removeAll(where: \.isDefault)
            }
            profiles[index].routes += arguments.routes.filter { $0.interface == nil || $0.interface == reference }.map {
                NetworkRoute(to: $0.destination, via: $0.gateway)
            }
        }
        return profiles
    }

    init(_ argument: IPArgument, peerDNS: Bool) {
        self.init(
            origin: "ip=" + (argument.interface.map { "\($0):" } ?? "") + argument.method.word,
            interface: argument.interface, method: argument.method,
            addresses: argument.method == .fixed ? argument.address.map { [$0] } ?? [] : [],
            routes: argument.method == .fixed ? argument.gateway.map { [NetworkRoute(defaultBy: $0)] } ?? [] : [],
            nameservers: argument.nameservers, mtu: argument.mtu, clonedMAC: argument.clonedMAC, peerDNS: peerDNS)
    }

    /// Joins a second profile of the same interface: one `ip=` for each family, say.
    mutating func add(_ other: NetworkProfile) {
        method = method.joined(with: other.method)
        addresses += other.addresses.filter { !addresses.contains($0) }
        routes += other.routes.filter { !routes.contains($0) }
        nameservers += other.nameservers.filter { !nameservers.contains($0) }
        mtu = other.mtu ?? mtu
        clonedMAC = other.clonedMAC ?? clonedMAC
    }
}

extension IPArgument.Method {
    /// What an interface needs that was given both.
    func joined(with other: Self) -> Self {
        switch (self, other) {
        case _ where self == other: self
        case (.fixed, _): other
        case (_, .fixed): self
        case (.linkLocal6, _): other
        case (_, .linkLocal6): self
        case (.dhcp, .auto6), (.auto6, .dhcp), (.both, _), (_, .both): .both
        case (.automatic, _): other
        default: self
        }
    }

    public var usesDHCP: Bool { self == .dhcp || self == .automatic || self == .both }
    public var usesAutoconfiguration: Bool { self == .auto6 || self == .automatic || self == .both }
}
