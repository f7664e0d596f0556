// A keyfile's [ipv4] and [ipv6].

import BootArguments

extension NetworkKeyfileSections {
    /// Reads the section of that name, `ipv4` or `ipv6`; what is left out is added to `warnings`.
    func family(_ name: String, _ warnings: inout [String]) throws(Failure) -> NetworkFamily {
        let reader = FamilyReader(sections: self, name: name)
        var family = NetworkFamily(try reader.method())
        try reader.readAddresses(&family)
        for (key, text) in numbered("route", in: name) + numbered("routes", in: name) {
            let route = try reader.route(text, key, &warnings)
            if let type = reader.otherType(of: key) {
                warnings.append("\(file): \(name).\(key) is left out: a route of type \(type) is not made here")
            } else {
                family.routes.append(route)
            }
        }
        for (key, _) in numbered("routing-rule", in: name) {
            warnings.append("\(file): \(name).\(key) is left out: no routing rules are made here")
        }
        for text in list(name, "dns") {
            let server = NameServerText(text)?.address
            if let server, (server.family == .v4) == reader.isV4 {
                family.nameservers.append(server)
            } else if text.contains("://") {
                warnings.append("\(file): \(name).dns: only plain DNS is spoken here, \(text) is left out")
            } else {
                throw .unreadable(file: file, key: "\(name).dns", value: text)
            }
        }
        // A tilde marks a domain that only chooses a server.
        family.searchDomains = list(name, "dns-search").filter { !$0.hasPrefix("~") && isDomainName($0) }
        family.ignoresPeerDNS = try flag(name, "ignore-auto-dns") ?? false
        family.ignoresPeerRoutes = try flag(name, "ignore-auto-routes") ?? false
        family.neverDefault = try flag(name, "never-default") ?? false
        family.mayFail = try flag(name, "may-fail") ?? true
        family.isAwaited = try number(name, "required-timeout", -1...Int(Int32.max)).map { $0 > 0 } ?? false
        family.metric = try number(name, "route-metric", -1...Int(UInt32.max)).flatMap { $0 < 0 ? nil : $0 }
        family.timeout = try reader.timeout()
        family.hostname = value(name, "dhcp-hostname") ?? value(name, "dhcp-fqdn")
        family.sendsHostname = try flag(name, "dhcp-send-hostname") ?? true
        if reader.isV4 {
            family.clientID = reader.clientID(&warnings)
            family.vendorClass = value(name, "dhcp-vendor-class-identifier")
        }
        if family.neverDefault { family.routes.removeAll(where: \.isDefault) }
        if family.method == .disabled || family.method == .linkLocal {
            family.addresses = []
            family.routes = []
        }
        return family
    }
}

/// One family's section.
private struct FamilyReader {
    typealias Failure = NetworkKeyfile.Failure

    let sections: NetworkKeyfileSections
    let name: String

    var isV4: Bool { name == "ipv4" }

    func unreadable(_ key: String, _ text: some StringProtocol) -> Failure {
        .unreadable(file: sections.file, key: "\(name).\(key)", value: String(text))
    }

    func method() throws(Failure) -> NetworkFamily.Method {
        switch sections.value(name, "method") ?? "auto" {
        case "auto": return .auto
        case "manual": return .manual
        case "disabled": return .disabled
        case "ignore" where !isV4: return .disabled
        case "dhcp" where !isV4: return .dhcp
        case "link-local" where !isV4: return .linkLocal
        case let other where ["shared", "link-local"].contains(other):
            throw .unsupported(file: sections.file, what: "\(name).method=\(other)")
        case let other: throw unreadable("method", other)
        }
    }

    func address(_ text: some StringProtocol, _ key: String) throws(Failure) -> IPAddress {
        guard let address = IPAddress(trimmed(text)), (address.family == .v4) == isV4 else {
            throw unreadable(key, text)
        }
        return address
    }

    /// Reads an address of this family; `prefix` is its length where the text gives none.
    func network(_ text: some StringProtocol, _ key: String, prefix: Int) throws(Failure) -> InterfaceAddress {
        guard let network = InterfaceAddress(trimmed(text), defaultPrefix: prefix),
            (network.address.family == .v4) == isV4
        else { throw unreadable(key, text) }
        return network
    }

    /// `address1=ADDRESS[/LENGTH][,GATEWAY]` and so on; `addresses`, also as `ADDRESS;LENGTH;GATEWAY`; `gateway`.
    func readAddresses(_ family: inout NetworkFamily) throws(Failure) {
        func add(gateway: IPAddress) {
            let route = NetworkRoute(defaultBy: gateway)
            if gateway.bytes.contains(where: { $0 != 0 }), !family.routes.contains(route) {
                family.routes.append(route)
            }
        }
        let several = sections.numbered("addresses", in: name).filter { $0.key != "addresses" }
        for (key, text) in sections.numbered("address", in: name) + several {
            var fields = text.split { $0 == "," || $0 == ";" }[...]
            guard let first = fields.popFirst() else { continue }
            var own = try network(first, key, prefix: isV4 ? 24 : 64)
            if let length = fields.first.flatMap({ Int(trimmed($0)) }) {
                guard (0...own.address.bits).contains(length) else { throw unreadable(key, text) }
                own.prefix = length
                fields.removeFirst()
            }
            family.addresses.append(own)
            if let gateway = fields.first { add(gateway: try address(gateway, key)) }
        }
        var isAfterLength = false
        for text in sections.list(name, "addresses") {
            if let length = Int(text), let last = family.addresses.indices.last {
                guard (0...(isV4 ? 32 : 128)).contains(length) else { throw unreadable("addresses", text) }
                family.addresses[last].prefix = length
                isAfterLength = true
            } else if isAfterLength {
                add(gateway: try address(text, "addresses"))
                isAfterLength = false
            } else {
                family.addresses.append(try network(text, "addresses", prefix: isV4 ? 24 : 64))
            }
        }
        if let gateway = sections.value(name, "gateway") { add(gateway: try address(gateway, "gateway")) }
    }

    /// Reads `NETWORK/LENGTH[,GATEWAY[,METRIC]]`; an empty gateway, or `0.0.0.0`, is none.
    ///
    /// Further options of the route stand in a key of their own, `KEY_options`.
    func route(_ text: String, _ key: String, _ warnings: inout [String]) throws(Failure) -> NetworkRoute {
        let fields = text.split(omittingEmptySubsequences: false) { $0 == "," || $0 == ";" }
        var gateway: IPAddress?
        if fields.count > 1, !fields[1].isEmpty {
            let given = try address(fields[1], key)
            gateway = given.bytes.contains { $0 != 0 } ? given : nil
        }
        var route = NetworkRoute(to: try network(fields[0], key, prefix: isV4 ? 24 : 128), via: gateway)
        func number(_ text: some StringProtocol) throws(Failure) -> Int {
            guard let number = Int(trimmed(text)), (0...Int(UInt32.max)).contains(number) else {
                throw unreadable(key, text)
            }
            return number
        }
        if fields.count > 2, !fields[2].isEmpty { route.metric = try number(fields[2]) }
        for option in sections.list(name, "\(key)_options") {
            let word = option.prefix { $0 != "=" }
            let value = option.dropFirst(word.count + 1)
            switch word {
            case "table": route.table = try number(value)
            case "mtu": route.mtu = try number(value)
            case "src": route.source = try address(value, key)
            // What is of another type is left out.
            case "type": break
            case "onlink": route.isOnLink = value == "true" || value == "1"
            default: warnings.append("\(sections.file): \(name).\(key)_options: \(option) makes no difference here")
            }
        }
        // The table of the others.
        if route.table == 254 || route.table == 0 { route.table = nil }
        return route
    }

    /// The type of a route that is not one to a gateway or the link: `blackhole`.
    func otherType(of key: String) -> String? {
        let types = sections.list(name, "\(key)_options").filter { $0.hasPrefix("type=") }.map { $0.dropFirst(5) }
        return types.last { $0 != "unicast" }.map(String.init)
    }

    /// 0 is the default, the largest number is for ever.
    func timeout() throws(Failure) -> Int? {
        if ["infinity", "default"].contains(sections.value(name, "dhcp-timeout")) { return nil }
        let seconds = try sections.number(name, "dhcp-timeout", 0...Int(Int32.max))
        return seconds.flatMap { $0 == 0 || $0 == Int(Int32.max) ? nil : $0 }
    }

    func clientID(_ warnings: inout [String]) -> DHCPClientID? {
        guard let text = sections.value(name, "dhcp-client-id"), text != "mac", text != "perm-mac" else { return nil }
        if ["duid", "ipv6-duid", "stable", "none"].contains(text) {
            warnings.append("\(sections.file): dhcp-client-id=\(text): the card's address is sent instead")
            return nil
        }
        return DHCPClientID(text)
    }
}
