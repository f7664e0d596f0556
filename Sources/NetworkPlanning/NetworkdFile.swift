// systemd-networkd's .network and .netdev files: who renews in the real root what was leased here.

import BootArguments
import Encoding

extension NetworkPlan {
    /// Files for systemd-networkd, by name: for each link that is up, for what those are built on, and for the links
    /// that are made.
    ///
    /// `up` are the links that are up, with the metric of each one's routes. `goesFirst` tells whether the files go
    /// before those that the real root has itself.
    public func networkdFiles(up: [(name: String, metric: Int)], goesFirst: Bool) -> [(name: String, text: String)] {
        func present(_ link: Link) -> String {
            up.contains { $0.name == link.interface.name } ? link.interface.name : link.name
        }
        let wanted = foundations(
            of: links.filter { link in up.contains { $0.name == link.name || $0.name == link.interface.name } })
        let prefix = "\(goesFirst ? 10 : 90)-firstlight-"
        return wanted.flatMap { link in
            let name = present(link)
            let vlans = wanted.filter { other in
                if case .vlan(_, let parent?, _) = other.profile.kind { return isMeant(link, by: parent) }
                return false
            }.map(present)
            let metric = up.first { $0.name == name }?.metric ?? link.metric
            let file = link.profile.networkdFile(
                interface: name, mac: link.profile.clonedMAC ?? link.interface.mac, metric: metric, vlans: vlans,
                controller: link.profile.controller.flatMap { self.link(named: $0)?.profile })
            let device = link.profile.networkdDevice(name: name)
            return [(prefix + name + ".network", file)] + (device.map { [(prefix + name + ".netdev", $0)] } ?? [])
        }
    }

    /// Some links and what they are built on, down to the cards.
    public func foundations(of some: [Link]) -> [Link] {
        var wanted = some
        var place = 0
        while place < wanted.count {
            for lower in self.lower(wanted[place]) where !wanted.contains(lower) { wanted.append(lower) }
            place += 1
        }
        return wanted
    }

    private func isMeant(_ link: Link, by reference: InterfaceReference) -> Bool {
        link.interface.isMeant(by: reference) || reference == .name(link.name) || link.profile.interface == reference
    }

    /// The links that one is made of.
    private func lower(_ link: Link) -> [Link] {
        switch link.profile.kind {
        case .vlan(_, let parent?, _): links.filter { isMeant($0, by: parent) }
        case .bond, .bridge: links.filter { $0.profile.controller == link.name }
        case .vlan, .ethernet, .unsupported: []
        }
    }
}

extension NetworkProfile {
    /// The profile as a .network file for systemd-networkd.
    ///
    /// `interface` is the link's name, for where it has no MAC address to be known by. `metric` is that of its routes
    /// that have none of their own, `vlans` are the VLANs on it, and `controller` is the bond or bridge that it is a
    /// port of.
    ///
    /// - SeeAlso: systemd.network(5), of systemd 252.
    func networkdFile(
        interface: String, mac: MACAddress?, metric: Int, vlans: [String] = [], controller: NetworkProfile? = nil
    ) -> String {
        var lines = ["# Left by Firstlight, from \(origin).", "[Match]"]
        // The real root may name a card differently. A link made of cards has its own name, and the cards' address.
        let isCard = !isVirtual && mac != nil
        if let mac, isCard {
            // All ports of a bond show the bond's address.
            lines += [(self.controller == nil ? "" : "Permanent") + "MACAddress=\(mac)", "Kind=!*"]
        }
        if !isCard { lines.append("Name=\(interface)") }
        if mtu != nil || (clonedMAC != nil && isVirtual) {
            lines += ["", "[Link]"] + (mtu.map { ["MTUBytes=\($0)"] } ?? [])
            if let clonedMAC, isVirtual { lines.append("MACAddress=\(clonedMAC)") }
        }
        lines += ["", "[Network]"]
        lines += vlans.map { "VLAN=\($0)" }
        if let name = self.controller {
            var isBridge = false
            if case .bridge? = controller?.kind { isBridge = true }
            lines.append("\(isBridge ? "Bridge" : "Bond")=\(name)")
            return lines.joined(separator: "\n") + "\n"
        }
        if !hasAddresses { lines.append("LinkLocalAddressing=no") }
        lines += ["DHCP=\(networkdDHCP)", "IPv6AcceptRA=\(ipv6.method == .auto ? "yes" : "no")"]
        lines += nameservers.map { "DNS=\($0)" }
        if !searchDomains.isEmpty { lines.append("Domains=\(searchDomains.joined(separator: " "))") }
        for address in addresses { lines += ["", "[Address]", "Address=\(address)"] }
        for route in routes { lines += ["", "[Route]"] + networkdRoute(route, metric) }
        // The DHCP client is identified as it was here: another identifier would get another address.
        if ipv4.asks {
            lines += ["", "[DHCPv4]"]
            lines += networkdClient
            lines += ["UseDomains=yes", "RouteMetric=\(ipv4.metric ?? metric)"]
            if let vendor = ipv4.vendorClass { lines.append("VendorClassIdentifier=\(vendor)") }
            if !ipv4.sendsHostname {
                lines.append("SendHostname=no")
            } else if let name = ipv4.hostname {
                lines.append("Hostname=\(name)")
            }
            lines += ["UseDNS=\(ipv4.ignoresPeerDNS ? "no" : "yes")"] + gateway(ipv4)
        }
        if ipv6.method == .dhcp {
            lines += ["", "[DHCPv6]", "WithoutRA=solicit", "UseDNS=\(ipv6.ignoresPeerDNS ? "no" : "yes")"]
        }
        if ipv6.method == .auto {
            lines += ["", "[IPv6AcceptRA]", "UseDNS=\(ipv6.ignoresPeerDNS ? "no" : "yes")"] + gateway(ipv6)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// systemd-networkd knows identifiers made of an association's number and a UUID, and cannot be given any other.
    private var networkdClient: [String] {
        guard let bytes = ipv4.clientID?.bytes else { return ["ClientIdentifier=mac"] }
        guard bytes.count == 23, bytes[0] == 255, bytes[5] == 0, bytes[6] == 4 else {
            return [
                "# The DHCP server was asked as \(ipv4.clientID?.description ?? ""); systemd-networkd has no setting for that."
            ]
                + ["ClientIdentifier=mac"]
        }
        let identity = number(bigEndian: bytes[1...4])
        return [
            "ClientIdentifier=duid", "IAID=\(identity)", "DUIDType=uuid",
            "DUIDRawData=\(DHCPClientID(bytes: Array(bytes[7...])))",
        ]
    }

    private func gateway(_ family: NetworkFamily) -> [String] {
        if family.ignoresPeerRoutes { return ["UseRoutes=no", "UseGateway=no"] }
        return family.neverDefault ? ["UseGateway=no"] : []
    }

    private func networkdRoute(_ route: NetworkRoute, _ metric: Int) -> [String] {
        let family = route.destination.address.family == .v4 ? ipv4 : ipv6
        var lines = ["Destination=\(route.destination)"]
        if let gateway = route.gateway {
            lines.append("Gateway=\(gateway)")
            if route.isOnLink || !family.addresses.contains(where: { $0.contains(gateway) }) {
                lines.append("GatewayOnLink=yes")
            }
        }
        lines.append("Metric=\(route.metric ?? family.metric ?? metric)")
        if let table = route.table { lines.append("Table=\(table)") }
        if let mtu = route.mtu { lines.append("MTUBytes=\(mtu)") }
        if let source = route.source { lines.append("PreferredSource=\(source)") }
        return lines
    }

    /// IPv6 addresses by DHCP come with the router's advertisement, where it says so.
    private var networkdDHCP: String {
        switch (ipv4.asks, ipv6.method == .dhcp) {
        case (true, true): "yes"
        case (true, false): "ipv4"
        case (false, true): "ipv6"
        case (false, false): "no"
        }
    }

    /// The link that is made as a .netdev file; `nil` for cards.
    ///
    /// - SeeAlso: systemd.netdev(5), of systemd 252.
    func networkdDevice(name: String) -> String? {
        let kind: String
        var section: [String]
        switch self.kind {
        case .ethernet, .unsupported: return nil
        case .vlan(let id, _, _): (kind, section) = ("vlan", ["[VLAN]", "Id=\(id)"])
        case .bond(let options):
            let pairs = options.inOrder.compactMap { name, value in Self.networkdBond(name, value) }
            (kind, section) = ("bond", ["[Bond]"] + pairs)
        case .bridge(let options):
            let pairs = options.values.sorted { $0.key < $1.key }.compactMap { Self.networkdBridge($0.key, $0.value) }
            (kind, section) = ("bridge", ["[Bridge]"] + pairs)
        }
        let head = ["# Left by Firstlight, from \(origin).", "[NetDev]", "Name=\(name)", "Kind=\(kind)"]
        return (head + [""] + section).joined(separator: "\n") + "\n"
    }

    private static func networkdBond(_ name: String, _ value: String) -> String? {
        let names = [
            "mode": "Mode", "xmit_hash_policy": "TransmitHashPolicy", "lacp_rate": "LACPTransmitRate",
            "ad_select": "AdSelect", "fail_over_mac": "FailOverMACPolicy", "arp_validate": "ARPValidate",
            "arp_all_targets": "ARPAllTargets", "primary_reselect": "PrimaryReselectPolicy",
            "resend_igmp": "ResendIGMP", "packets_per_slave": "PacketsPerSlave", "num_grat_arp": "GratuitousARP",
            "min_links": "MinLinks", "ad_actor_sys_prio": "AdActorSystemPriority", "ad_user_port_key": "AdUserPortKey",
            "ad_actor_system": "AdActorSystem",
        ]
        switch name {
        case "miimon": return "MIIMonitorSec=\(value)ms"
        case "updelay": return "UpDelaySec=\(value)ms"
        case "downdelay": return "DownDelaySec=\(value)ms"
        case "arp_interval": return "ARPIntervalSec=\(value)ms"
        case "lp_interval": return "LearnPacketIntervalSec=\(value)"
        case "arp_ip_target": return "ARPIPTargets=\(value.split(separator: ",").joined(separator: " "))"
        case "all_slaves_active": return "AllSlavesActive=\(value == "0" ? "no" : "yes")"
        case "tlb_dynamic_lb": return "DynamicTransmitLoadBalancing=\(value == "0" ? "no" : "yes")"
        default: return names[name].map { "\($0)=\(value)" }
        }
    }

    private static func networkdBridge(_ name: String, _ value: String) -> String? {
        let times = [
            "forward_delay": "ForwardDelaySec", "hello_time": "HelloTimeSec", "max_age": "MaxAgeSec",
            "ageing_time": "AgeingTimeSec",
        ]
        let flags = ["stp_state": "STP", "vlan_filtering": "VLANFiltering", "multicast_snooping": "MulticastSnooping"]
        if let key = times[name] { return "\(key)=\((Int(value) ?? 0) * 10)ms" }
        if let key = flags[name] { return "\(key)=\(value == "0" ? "no" : "yes")" }
        return name == "priority" ? "Priority=\(value)" : nil
    }
}

/// What a real root has of systemd-networkd and of NetworkManager.
public struct NetworkdPresence: Equatable, Sendable {
    /// Whether systemd-networkd is there.
    public var isInstalled = false
    /// It starts at boot, by the image's own say.
    public var isEnabled = false
    /// The image has files of its own for it.
    public var hasOwnFiles = false
    /// Whether NetworkManager is there.
    public var hasNetworkManager = false
    /// It starts by itself.
    public var networkManagerStarts = false

    /// A real root that has neither.
    public init() {}

    /// Whether systemd-networkd is to be told of the network; `always` does so beside files of the image's own too.
    ///
    /// Beside NetworkManager it is told only where it starts for sure: one card is not for two masters.
    public func isToBeTold(always: Bool) -> Bool {
        isInstalled && (always || !hasOwnFiles) && (isEnabled || !hasNetworkManager)
    }
}
