// The network as it is once it is up: for people, for the resolver, for the real root.

import BootArguments

/// What came of bringing the network up.
public struct NetworkState: Equatable, Sendable {
    public struct Link: Equatable, Sendable {
        public var interface: String
        public var mac: MACAddress?
        /// Who gave the addresses.
        public var method: Method
        public var addresses: [InterfaceAddress]
        public var gateways: [IPAddress]
        public var lease: NetworkLease?

        public enum Method: String, Sendable {
            case dhcp = "DHCP"
            case autoconfiguration = "router advertisement"
            case fixed = "fixed"
        }

        public init(
            interface: String, mac: MACAddress?, method: Method, addresses: [InterfaceAddress],
            gateways: [IPAddress], lease: NetworkLease? = nil
        ) {
            self.interface = interface
            self.mac = mac
            self.method = method
            self.addresses = addresses
            self.gateways = gateways
            self.lease = lease
        }
    }

    public var links: [Link]
    public var nameservers: [IPAddress]
    public var searchDomains: [String]
    /// What the command line names the machine.
    public var hostname: String?

    public init(links: [Link], nameservers: [IPAddress], searchDomains: [String] = [], hostname: String? = nil) {
        self.links = links
        self.nameservers = nameservers
        self.searchDomains = searchDomains
        self.hostname = hostname
    }

    /// One line for people: `ens3 10.0.2.15/24 by DHCP, gateway and DNS 10.0.2.2`.
    public var summary: String {
        let parts = links.map { link in
            // Where a lease was waited for, what routers advertised besides is a detail.
            let told = link.addresses.filter { link.method != .dhcp || $0.address.family == .v4 }
            let addresses = told.isEmpty ? "no address" : told.map(\.description).joined(separator: " ")
            return "\(link.interface) \(addresses)" + (link.method == .fixed ? "" : " by \(link.method.rawValue)")
        }
        let gateways = links.flatMap(\.gateways).map(\.description).joined(separator: " ")
        let servers = nameservers.map(\.description).joined(separator: " ")
        let rest: [String]
        switch (gateways.isEmpty, servers.isEmpty) {
        case (false, false) where gateways == servers: rest = ["gateway and DNS \(gateways)"]
        case (let noGateway, let noServers):
            rest = [noGateway ? "no gateway" : "gateway \(gateways)", noServers ? "no DNS" : "DNS \(servers)"]
        }
        return (parts + rest).joined(separator: ", ")
    }

    /// The text of `/etc/resolv.conf`. The resolver looks at the first three servers.
    public var resolverConfiguration: String {
        var lines: [String] = []
        if !searchDomains.isEmpty { lines.append("search \(searchDomains.joined(separator: " "))") }
        lines += nameservers.map { server in
            // A link-local address means nothing without its interface.
            let zone = server.isLinkLocal && server.family == .v6 ? links.first.map { "%\($0.interface)" } ?? "" : ""
            return "nameserver \(server)\(zone)"
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Whether a resolver's configuration names any server.
    public static func namesServers(_ resolverConfiguration: String) -> Bool {
        resolverConfiguration.split(separator: "\n").contains { line in
            line.drop(while: \.isWhitespace).hasPrefix("nameserver")
        }
    }
}
