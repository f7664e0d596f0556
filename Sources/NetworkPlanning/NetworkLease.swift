// What a DHCP server gave, as udhcpc tells its hook.

import BootArguments

/// An IPv4 lease.
public struct NetworkLease: Equatable, Sendable, CustomStringConvertible {
    /// The name of the interface that has the lease.
    public var interface: String
    /// The leased address with its prefix length.
    public var address: InterfaceAddress
    /// The default gateway first, then the classless routes (option 121), which stand in its place
    /// where there are any (RFC 3442).
    public var routes: [NetworkRoute]
    /// Name servers, in the server's order.
    public var nameservers: [IPAddress]
    /// Search domains, in the server's order.
    public var searchDomains: [String]
    /// The name that the server gives the machine; `nil`: none.
    public var hostname: String?
    /// The MTU in bytes, 576 to 65535; `nil`: none is given.
    public var mtu: Int?
    /// The server that gave the lease; `nil`: it is not told.
    public var server: IPAddress?
    /// How long the lease holds, in seconds; `nil`: it is not told.
    public var seconds: Int?
    /// Time servers (option 42).
    public var timeServers: [IPAddress] = []

    /// The address, and the server and the seconds where they are known.
    public var description: String {
        "lease of \(address)" + (server.map { " from \($0)" } ?? "") + (seconds.map { " for \($0) s" } ?? "")
    }

    /// A lease that gives an address and nothing else.
    public init(interface: String, address: InterfaceAddress) {
        self.interface = interface
        self.address = address
        routes = []
        nameservers = []
        searchDomains = []
    }

    /// Reads the environment of udhcpc's hook; `nil` without an interface and an address.
    ///
    /// The variables are `interface`, `ip`, `mask` (a length) or `subnet` (dotted), `router`, `dns`, `domain`,
    /// `search`, `hostname`, `mtu`, `staticroutes`, `ntpsrv`, `serverid` and `lease`; lists are separated by spaces.
    /// What else cannot be read is left out: a server's odd option must not cost the lease.
    public init?(environment: [String: String]) {
        guard let interface = environment["interface"], let ip = environment["ip"].flatMap({ IPAddress($0) }) else {
            return nil
        }
        let prefix = (environment["mask"] ?? environment["subnet"]).flatMap { InterfaceAddress.prefix($0, for: ip) }
        self.init(interface: interface, address: InterfaceAddress(ip, prefix: prefix ?? ip.defaultPrefix))

        func list(_ key: String) -> [Substring] { (environment[key] ?? "").split(separator: " ") }
        let words = list("staticroutes")
        for index in stride(from: 0, to: words.count - 1, by: 2) {
            guard let destination = InterfaceAddress(words[index], defaultPrefix: 32),
                let gateway = IPAddress(words[index + 1]), gateway.family == .v4
            else { continue }
            routes.append(NetworkRoute(to: destination, via: gateway.bytes == [0, 0, 0, 0] ? nil : gateway))
        }
        if routes.isEmpty, let router = list("router").first.flatMap({ IPAddress($0) }) {
            routes = [NetworkRoute(defaultBy: router)]
        }
        nameservers = list("dns").compactMap { IPAddress($0) }
        searchDomains = (list("search").isEmpty ? list("domain") : list("search")).map(String.init)
            .filter(isDomainName)
        hostname = environment["hostname"].flatMap { isDomainName($0) ? $0 : nil }
        mtu = environment["mtu"].flatMap { Int($0) }.flatMap { (576...65_535).contains($0) ? $0 : nil }
        timeServers = list("ntpsrv").compactMap { IPAddress($0) }
        server = environment["serverid"].flatMap { IPAddress($0) }
        seconds = environment["lease"].flatMap { Int($0) }
    }
}
