// systemd-networkd's .network files: who renews in the real root what was leased here.

import BootArguments

extension NetworkPlan {
    /// Files for systemd-networkd, by name: one for each link that is up.
    ///
    /// - Parameters:
    ///   - up: The names of the links that are up.
    ///   - goesFirst: Whether they go before the files that the real root has itself.
    public func networkdFiles(up: [String], goesFirst: Bool) -> [(name: String, text: String)] {
        links.filter { up.contains($0.name) || up.contains($0.interface.name) }.map { link in
            let name = up.contains(link.name) ? link.name : link.interface.name
            let text = link.profile.networkdFile(
                interface: name, mac: link.profile.clonedMAC ?? link.interface.mac, metric: link.metric)
            return ("\(goesFirst ? 10 : 90)-firstlight-\(name).network", text)
        }
    }
}

extension NetworkProfile {
    /// The profile as a file for systemd-networkd.
    ///
    /// - Parameters:
    ///   - interface: Its name, for where it has no MAC address to be known by.
    ///   - metric: Of its routes.
    /// - SeeAlso: systemd.network(5), of systemd 252.
    func networkdFile(interface: String, mac: MACAddress?, metric: Int) -> String {
        var lines = ["# Left by Firstlight, from \(origin).", "[Match]"]
        // The real root may name it otherwise. A VLAN has the address of the card that it sits on.
        lines += mac.map { ["MACAddress=\($0)", "Kind=!*"] } ?? ["Name=\(interface)"]
        if let mtu { lines += ["", "[Link]", "MTUBytes=\(mtu)"] }
        lines += ["", "[Network]", "DHCP=\(networkdDHCP)"]
        lines.append("IPv6AcceptRA=\(method.usesAutoconfiguration || method == .dhcp ? "yes" : "no")")
        lines += nameservers.map { "DNS=\($0)" }
        if !searchDomains.isEmpty { lines.append("Domains=\(searchDomains.joined(separator: " "))") }
        for address in addresses { lines += ["", "[Address]", "Address=\(address)"] }
        for route in routes {
            lines += ["", "[Route]", "Destination=\(route.destination)"]
            if let gateway = route.gateway {
                lines.append("Gateway=\(gateway)")
                if !addresses.contains(where: { $0.contains(gateway) }) { lines.append("GatewayOnLink=yes") }
            }
            lines.append("Metric=\(metric)")
        }
        let peers = ["UseDNS=\(peerDNS ? "yes" : "no")"] + (mayBeDefault ? [] : ["UseGateway=no"])
        if method.usesDHCP {
            // As it was asked here: another identifier would get another address.
            lines += ["", "[DHCPv4]", "ClientIdentifier=mac", "UseDomains=yes", "RouteMetric=\(metric)"] + peers
        }
        if method.usesAutoconfiguration || method == .dhcp { lines += ["", "[IPv6AcceptRA]"] + peers }
        return lines.joined(separator: "\n") + "\n"
    }

    /// IPv6 addresses by DHCP come with the router's advertisement, where it says so.
    private var networkdDHCP: String { method.usesDHCP ? "ipv4" : "no" }
}

/// What a real root has of systemd-networkd and of NetworkManager.
public struct NetworkdPresence: Equatable, Sendable {
    public var isInstalled = false
    /// It starts at boot, by the image's own say.
    public var isEnabled = false
    /// The image has files of its own for it.
    public var hasOwnFiles = false
    public var hasNetworkManager = false

    public init() {}

    /// Whether it is to be told of the network. Beside NetworkManager only where it starts for sure: one card is not
    /// for two masters.
    public func isToBeTold(always: Bool) -> Bool {
        isInstalled && (always || !hasOwnFiles) && (isEnabled || !hasNetworkManager)
    }
}
