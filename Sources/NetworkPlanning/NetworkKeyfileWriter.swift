// Profiles as NetworkManager's keyfiles, for a real root that is to keep what the command line asked for.

import BootArguments

extension NetworkProfile {
    /// The profile as a keyfile.
    ///
    /// `id` is the connection's name, and `controllers` are the profiles that this one may be a port of.
    ///
    /// - SeeAlso: nm-settings-keyfile(5). `master` and `slave-type` are read by every version.
    public func keyfile(id: String, controllers: [NetworkProfile] = []) -> String {
        var lines = ["[connection]", "id=\(escaped(id))", "type=\(keyfileType)", "autoconnect=true"]
        if case .name(let name) = interface { lines.append("interface-name=\(escaped(name))") }
        // Of one connection for any card, each card is to have its own copy; a fixed address is for one card alone.
        if interface == nil, match.isEmpty, !isVirtual, addresses.isEmpty { lines.append("multi-connect=3") }
        if priority != 0 { lines.append("autoconnect-priority=\(priority)") }
        if let controller {
            let isBridge = controllers.contains { other in
                if case .bridge = other.kind { return other.interface == .name(controller) }
                return false
            }
            lines += ["master=\(escaped(controller))", "slave-type=\(isBridge ? "bridge" : "bond")"]
        }
        lines += ethernetLines + kindLines + matchLines
        if controller == nil {
            lines += familyLines("ipv4", ipv4) + familyLines("ipv6", ipv6)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private var keyfileType: String {
        switch kind {
        case .ethernet: "ethernet"
        case .vlan: "vlan"
        case .bond: "bond"
        case .bridge: "bridge"
        case .unsupported(let type): escaped(type)
        }
    }

    private var ethernetLines: [String] {
        var lines: [String] = []
        if case .mac(let mac) = interface { lines.append("mac-address=\(mac)") }
        if let mac = match.mac { lines.append("mac-address=\(mac)") }
        if !match.deniedMACs.isEmpty { lines.append("mac-address-blacklist=\(list(match.deniedMACs))") }
        if let mtu { lines.append("mtu=\(mtu)") }
        if let clonedMAC { lines.append("cloned-mac-address=\(clonedMAC)") }
        if let flag = ethernet.autonegotiates { lines.append("auto-negotiate=\(flag)") }
        if let speed = ethernet.speed {
            lines += ["speed=\(speed)", "duplex=\(ethernet.isHalfDuplex ? "half" : "full")"]
        }
        return ["", "[ethernet]"] + lines
    }

    private var kindLines: [String] {
        switch kind {
        case .ethernet, .unsupported: return []
        case .vlan(let id, let parent, let flags):
            return ["", "[vlan]", "id=\(id)", "flags=\(flags)"] + (parent.map { ["parent=\(escaped("\($0)"))"] } ?? [])
        case .bond(let options):
            return ["", "[bond]"] + options.values.keys.sorted().map { "\($0)=\(options.values[$0] ?? "")" }
        case .bridge(let options):
            let scales = ["forward_delay", "hello_time", "max_age", "ageing_time"]
            return ["", "[bridge]"]
                + options.values.sorted { $0.key < $1.key }.compactMap { key, value in
                    let name = key.map { $0 == "_" ? "-" : String($0) }.joined()
                    switch key {
                    case "stp_state": return "stp=\(value == "1")"
                    case let key where scales.contains(key): return "\(name)=\((Int(value) ?? 0) / 100)"
                    case "vlan_filtering", "multicast_snooping": return "\(name)=\(value == "1")"
                    default: return "\(name)=\(value)"
                    }
                }
        }
    }

    private var matchLines: [String] {
        let pairs = [
            ("interface-name", match.names), ("driver", match.drivers), ("path", match.paths),
            ("kernel-command-line", match.kernelArguments),
        ].filter { !$0.1.isEmpty }
        return pairs.isEmpty ? [] : ["", "[match]"] + pairs.map { "\($0.0)=\(list($0.1.map(escaped)))" }
    }

    private func familyLines(_ name: String, _ family: NetworkFamily) -> [String] {
        var lines = ["", "[\(name)]", "method=\(family.method.rawValue)"]
        func flag(_ key: String, _ flag: Bool, _ value: Bool = true) { if flag { lines.append("\(key)=\(value)") } }
        flag("may-fail", !family.mayFail, false)
        if family.isAwaited { lines.append("required-timeout=20000") }
        lines += family.addresses.enumerated().map { "address\($0.offset + 1)=\($0.element)" }
        let own = family.routes.firstIndex { $0.isDefault && $0.metric == nil && $0.gateway != nil }
        if let own, let gateway = family.routes[own].gateway, !family.addresses.isEmpty {
            lines.append("gateway=\(gateway)")
        }
        let rest = family.routes.indices.filter { $0 != own || family.addresses.isEmpty }.map { family.routes[$0] }
        for (index, route) in rest.enumerated() {
            let none = route.metric == nil ? "" : family.routes[0].destination.address.family == .v4 ? "0.0.0.0" : "::"
            let gateway = route.gateway?.description ?? none
            lines.append(
                "route\(index + 1)=\(route.destination)" + (gateway.isEmpty ? "" : ",\(gateway)")
                    + (route.metric.map { ",\($0)" } ?? ""))
            let options =
                (route.table.map { ["table=\($0)"] } ?? []) + (route.mtu.map { ["mtu=\($0)"] } ?? [])
                + (route.source.map { ["src=\($0)"] } ?? []) + (route.isOnLink ? ["onlink=true"] : [])
            if !options.isEmpty { lines.append("route\(index + 1)_options=\(options.joined(separator: ","))") }
        }
        if let metric = family.metric { lines.append("route-metric=\(metric)") }
        if !family.nameservers.isEmpty { lines.append("dns=\(list(family.nameservers))") }
        if !family.searchDomains.isEmpty { lines.append("dns-search=\(list(family.searchDomains))") }
        flag("ignore-auto-dns", family.ignoresPeerDNS)
        flag("ignore-auto-routes", family.ignoresPeerRoutes)
        flag("never-default", family.neverDefault)
        if let timeout = family.timeout { lines.append("dhcp-timeout=\(timeout)") }
        if let hostname = family.hostname { lines.append("dhcp-hostname=\(escaped(hostname))") }
        flag("dhcp-send-hostname", !family.sendsHostname, false)
        if let client = family.clientID { lines.append("dhcp-client-id=\(client)") }
        if let vendor = family.vendorClass { lines.append("dhcp-vendor-class-identifier=\(escaped(vendor))") }
        return lines
    }

    private func list(_ values: [some CustomStringConvertible]) -> String { values.map { "\($0);" }.joined() }
}

/// A value in which nothing ends the line, and no blank at an end gets lost.
private func escaped(_ text: String) -> String {
    var escaped = ""
    for character in text.unicodeScalars {
        switch character {
        case "\\": escaped += "\\\\"
        case "\n": escaped += "\\n"
        case "\r": escaped += "\\r"
        case "\t": escaped += "\\t"
        case " " where escaped.isEmpty: escaped += "\\s"
        // Other ends of lines never belong to a name.
        case let other where other.properties.isWhitespace && other != " ": escaped += "?"
        default: escaped.unicodeScalars.append(character)
        }
    }
    if escaped.hasSuffix(" ") { escaped = escaped.dropLast() + "\\s" }
    return escaped
}
