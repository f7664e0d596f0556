// The network as it is once it is up: for people, for the resolver, for the real root.

import BootArguments

/// A name server, and the link that a link-local address is on.
public struct NameServer: Hashable, Sendable, CustomStringConvertible {
    /// The server's address.
    public var address: IPAddress
    /// `nil` where the address says it all.
    public var interface: String?

    /// Takes an address, and for a link-local IPv6 address the link by which it was learned.
    public init(_ address: IPAddress, by interface: String? = nil) {
        self.address = address
        self.interface = address.isLinkLocal && address.family == .v6 ? interface : nil
    }

    /// Reads `192.0.2.53` or `fe80::1%ens3`.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "%", maxSplits: 1)
        guard let address = parts.first.flatMap({ IPAddress($0) }) else { return nil }
        self.init(address, by: parts.count > 1 ? String(parts[1]) : nil)
    }

    /// The address, with `%` and the interface behind it where there is one.
    public var description: String { "\(address)" + (interface.map { "%\($0)" } ?? "") }
}

/// What came of bringing the network up.
public struct NetworkState: Equatable, Sendable {
    /// A link that the boot goes on with.
    public struct Link: Equatable, Sendable {
        /// The link's name.
        public var interface: String
        /// The link's MAC address; `nil`: none.
        public var mac: MACAddress?
        /// Who gave the addresses.
        public var method: Method
        /// Its addresses with their prefix lengths.
        public var addresses: [InterfaceAddress]
        /// The gateways of its default routes.
        public var gateways: [IPAddress]
        /// Its DHCPv4 lease; `nil`: none.
        public var lease: NetworkLease?
        /// Its DHCPv6 lease; `nil`: none, or it came later.
        public var lease6: NetworkLease6?
        /// Of its default route.
        public var metric = 100
        /// Time servers of its leases, in the servers' order.
        public var timeServers: [IPAddress] = []

        /// Where a link's addresses come from.
        public enum Method: Sendable {
            case dhcp
            case autoconfiguration
            case fixed

            /// The words of the console; fixed addresses need none.
            fileprivate var source: String {
                switch self {
                case .dhcp: " by DHCP"
                case .autoconfiguration: " by router advertisement"
                case .fixed: ""
                }
            }
        }

        /// Takes each part as it is; the metric is 100.
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

    /// The links that the boot goes on with; the first owns the default route.
    public var links: [Link]
    /// Name servers, in the order in which they are asked.
    public var nameservers: [NameServer]
    /// Search domains, in the order in which they are tried.
    public var searchDomains: [String]
    /// What the command line names the machine.
    public var hostname: String?

    /// Takes each part as it is.
    public init(links: [Link], nameservers: [NameServer], searchDomains: [String] = [], hostname: String? = nil) {
        self.links = links
        self.nameservers = nameservers
        self.searchDomains = searchDomains
        self.hostname = hostname
    }

    /// Time servers of all links, each once; without those that only one link knows.
    public var timeServers: [IPAddress] {
        var servers: [IPAddress] = []
        for server in links.flatMap(\.timeServers) where !server.isLinkLocal && !servers.contains(server) {
            servers.append(server)
        }
        return servers
    }

    /// One line for people: `ens3 10.0.2.15/24 by DHCP, gateway and DNS 10.0.2.2`.
    public var summary: String {
        let parts = links.map { link in
            // On a link that waited for a lease, addresses from router advertisements are a detail.
            let told = link.addresses.filter { link.method != .dhcp || $0.address.family == .v4 }
            let addresses = told.isEmpty ? "no address" : told.map(\.description).joined(separator: " ")
            return "\(link.interface) \(addresses)\(link.method.source)"
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

    /// The text of `/etc/resolv.conf`.
    ///
    /// The resolver looks at the first three servers.
    public var resolverConfiguration: String {
        var lines: [String] = []
        if !searchDomains.isEmpty { lines.append("search \(searchDomains.joined(separator: " "))") }
        lines += nameservers.map { "nameserver \($0)" }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The same for the boot: a server that is silent costs a second, not five.
    public var impatientResolverConfiguration: String {
        resolverConfiguration + "options timeout:1 attempts:4\n"
    }

    /// Whether a resolver's configuration names any server.
    public static func namesServers(_ resolverConfiguration: String) -> Bool {
        resolverConfiguration.split(whereSeparator: \.isNewline).contains { line in
            line.drop(while: \.isWhitespace).hasPrefix("nameserver")
        }
    }
}

// MARK: Leases that change while the boot lasts

extension NetworkState {
    /// Takes the lease that a link has by now in the place of the one that it began with.
    ///
    /// - Parameters:
    ///   - interface: The link's name; one that has no lease stays as it is.
    ///   - new: The lease that is in force.
    public mutating func renew(_ interface: String, by new: NetworkLease) {
        guard let place = links.firstIndex(where: { $0.interface == interface }), let old = links[place].lease else {
            return
        }
        links[place].lease = new
        replace(&links[place].addresses, [old.address], by: [new.address])
        renew(place, timeServers: old.timeServers, by: new.timeServers)
        replace(&nameservers, old.nameservers.map { NameServer($0) }, by: new.nameservers.map { NameServer($0) })
        replace(&searchDomains, old.searchDomains, by: new.searchDomains)
    }

    /// Takes the DHCPv6 lease that a link has by now in the place of the one that it began with.
    ///
    /// - Parameters:
    ///   - interface: The link's name; of one that began without a lease the time servers are taken alone.
    ///   - new: The lease that is in force.
    public mutating func renew(_ interface: String, by new: NetworkLease6) {
        guard let place = links.firstIndex(where: { $0.interface == interface }) else { return }
        let old = links[place].lease6 ?? NetworkLease6()
        links[place].lease6 = new
        func owned(_ addresses: [IPAddress]) -> [InterfaceAddress] {
            addresses.map { InterfaceAddress($0, prefix: 128) }
        }
        replace(&links[place].addresses, owned(old.addresses), by: owned(new.addresses))
        renew(place, timeServers: old.timeServers, by: new.timeServers)
        replace(&nameservers, old.nameServers(of: interface), by: new.nameServers(of: interface))
        replace(&searchDomains, old.searchDomains, by: new.searchDomains)
    }

    private mutating func renew(_ place: Int, timeServers old: [IPAddress], by new: [IPAddress]) {
        if old.isEmpty {
            links[place].timeServers += new.filter { !links[place].timeServers.contains($0) }
        } else {
            replace(&links[place].timeServers, old, by: new)
        }
    }

    /// The text of a resolver's configuration after a server has named other name servers.
    ///
    /// - Parameters:
    ///   - text: The configuration.
    ///   - old: Whom it named before.
    ///   - new: Whom it names now.
    /// - Returns: `nil` where nothing is to change: also where none of the old ones is in it, since whoever wrote the
    ///   configuration did not want the server's.
    public static func resolverConfiguration(
        _ text: String, replacing old: [NameServer], by new: [NameServer]
    ) -> String? {
        var lines = text.split(whereSeparator: \.isNewline).map(String.init)
        let before = lines
        replace(&lines, old.map { "nameserver \($0)" }, by: new.map { "nameserver \($0)" })
        return lines == before ? nil : lines.joined(separator: "\n") + "\n"
    }
}

extension NetworkLease6 {
    /// Its name servers as the resolver asks them.
    ///
    /// - Parameter interface: The name of the link whose lease it is.
    /// - Returns: A link-local one with the link that it is on.
    public func nameServers(of interface: String) -> [NameServer] {
        nameservers.map { NameServer($0, by: interface) }
    }
}

/// Puts `new` where the first of `old` is, and takes the others of `old` away; nothing changes where none is there.
private func replace<Value: Equatable>(_ values: inout [Value], _ old: [Value], by new: [Value]) {
    guard old != new, let place = values.firstIndex(where: old.contains) else { return }
    values.removeAll(where: old.contains)
    values.insert(contentsOf: new.filter { !values.contains($0) }, at: place)
}
