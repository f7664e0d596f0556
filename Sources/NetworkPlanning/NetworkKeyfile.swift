// NetworkManager's keyfiles: read where an image carries some, written for a real root that has none.

import BootArguments
import Reporting

/// One `*.nmconnection` file of a wired connection.
///
/// - SeeAlso: nm-settings-keyfile(5).
public struct NetworkKeyfile: Equatable, Sendable {
    public var profile: NetworkProfile
    /// `autoconnect=false` is a connection that nobody is to start by itself.
    public var startsByItself: Bool

    public enum Failure: Error, Equatable, CustomStringConvertible, Advising {
        /// The line itself may hold a password.
        case malformed(file: String, line: Int)
        /// A value that is no address, number or method.
        case unreadable(file: String, key: String, value: String)
        case unsupported(file: String, what: String)

        public var description: String {
            switch self {
            case .malformed(let file, let line): "\(file):\(line): neither [section] nor key=value"
            case .unreadable(let file, let key, let value): "\(file): \(key)=\(value) cannot be read"
            case .unsupported(let file, let what): "\(file): \(what) is not supported"
            }
        }

        public var advice: [String] {
            switch self {
            case .malformed, .unreadable: ["Correct the keyfile and embed it again."]
            case .unsupported:
                [
                    "Use a plain Ethernet connection to boot with; the config can place",
                    "other keyfiles in the real root.",
                ]
            }
        }
    }

    /// - Parameter file: The file's name, for messages.
    public init(_ text: String, file: String) throws(Failure) {
        let sections = try Self.sections(text, file: file)
        let reader = Reader(file: file, sections: sections)
        let type = reader.value("connection", "type") ?? "ethernet"
        guard ["ethernet", "802-3-ethernet"].contains(type) else {
            throw .unsupported(file: file, what: "connection type \(type)")
        }
        for key in ["master", "controller", "slave-type", "port-type"] where reader.value("connection", key) != nil {
            throw .unsupported(file: file, what: "a port of another connection (\(key)=)")
        }
        let ethernet = sections["ethernet"] != nil ? "ethernet" : "802-3-ethernet"
        var interface = reader.value("connection", "interface-name").flatMap { InterfaceReference($0) }
        if let mac = try reader.mac(ethernet, "mac-address") { interface = .mac(mac) }

        let v4 = try reader.family("ipv4")
        let v6 = try reader.family("ipv6")
        let method: IPArgument.Method
        switch (v4.method, v6.method) {
        case ("auto", "auto"): method = v4.isRequired ? .dhcp : .automatic
        case ("auto", _): method = .dhcp
        case (_, "auto"): method = v4.addresses.isEmpty ? .auto6 : .fixed
        case (_, "link-local"): method = v4.addresses.isEmpty && v6.addresses.isEmpty ? .linkLocal6 : .fixed
        default: method = .fixed
        }
        profile = NetworkProfile(
            origin: file, interface: interface, method: method, addresses: v4.addresses + v6.addresses,
            routes: v4.routes + v6.routes, nameservers: v4.nameservers + v6.nameservers,
            searchDomains: v4.searchDomains + v6.searchDomains.filter { !v4.searchDomains.contains($0) },
            mtu: try reader.number(ethernet, "mtu", 0...65_535),
            clonedMAC: try reader.clonedMAC(ethernet), peerDNS: !v4.ignoresPeerDNS, mayBeDefault: !v4.neverDefault)
        if profile.mtu == 0 { profile.mtu = nil }
        startsByItself = reader.value("connection", "autoconnect") != "false"
    }

    private static func sections(_ text: String, file: String) throws(Failure) -> [String: [String: String]] {
        var sections: [String: [String: String]] = [:]
        var section = ""
        // A byte order mark is no part of the first line.
        let plain = text.unicodeScalars.first == "\u{feff}" ? String(text.unicodeScalars.dropFirst()) : text
        for (number, raw) in Reporting.lines(of: plain).enumerated() {
            let line = trimmed(raw)
            if line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") { continue }
            if line.hasPrefix("["), line.hasSuffix("]") {
                section = String(line.dropFirst().dropLast())
                sections[section, default: [:]].merge([:]) { old, _ in old }
            } else if let equals = line.firstIndex(of: "="), !section.isEmpty {
                sections[section]?[trimmed(line[..<equals])] = trimmed(line[line.index(after: equals)...])
            } else {
                throw .malformed(file: file, line: number + 1)
            }
        }
        return sections
    }
}

/// Typed values of one file's sections.
private struct Reader {
    typealias Failure = NetworkKeyfile.Failure

    struct Family {
        var method = "auto"
        var addresses: [InterfaceAddress] = []
        var routes: [NetworkRoute] = []
        var nameservers: [IPAddress] = []
        var searchDomains: [String] = []
        var ignoresPeerDNS = false
        var neverDefault = false
        /// `may-fail=false`: the connection is not up without this family.
        var isRequired = false
    }

    let file: String
    let sections: [String: [String: String]]

    func value(_ section: String, _ key: String) -> String? {
        sections[section]?[key].flatMap { $0.isEmpty ? nil : $0 }
    }

    func mac(_ section: String, _ key: String) throws(Failure) -> MACAddress? {
        guard let text = value(section, key) else { return nil }
        guard let mac = MACAddress(text) else { throw .unreadable(file: file, key: key, value: text) }
        return mac
    }

    /// `preserve` and `permanent` are the card's own; the random ones are nothing to boot with.
    func clonedMAC(_ section: String) throws(Failure) -> MACAddress? {
        let text = value(section, "cloned-mac-address") ?? "preserve"
        if ["preserve", "permanent"].contains(text) { return nil }
        if ["random", "stable", "stable-ssid"].contains(text) {
            throw .unsupported(file: file, what: "cloned-mac-address=\(text)")
        }
        return try mac(section, "cloned-mac-address")
    }

    func number(_ section: String, _ key: String, _ range: ClosedRange<Int>) throws(Failure) -> Int? {
        guard let text = value(section, key), text != "auto" else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw .unreadable(file: file, key: key, value: text)
        }
        return number
    }

    func family(_ name: String) throws(Failure) -> Family {
        var family = Family()
        let isV4 = name == "ipv4"
        let methods = ["auto", "manual", "disabled", "ignore", "link-local"] + (isV4 ? [] : ["dhcp"])
        if let method = value(name, "method") {
            guard methods.contains(method) else { throw .unreadable(file: file, key: "\(name).method", value: method) }
            if method == "dhcp" || isV4 && method == "link-local" {
                throw .unsupported(file: file, what: "\(name).method=\(method)")
            }
            family.method = method
        }
        func address(_ text: Substring, _ key: String) throws(Failure) -> IPAddress {
            guard let address = IPAddress(text), (address.family == .v4) == isV4 else {
                throw .unreadable(file: file, key: "\(name).\(key)", value: String(text))
            }
            return address
        }
        func network(_ text: Substring, _ key: String) throws(Failure) -> InterfaceAddress {
            guard let network = InterfaceAddress(text, defaultPrefix: isV4 ? 32 : 128),
                (network.address.family == .v4) == isV4
            else { throw .unreadable(file: file, key: "\(name).\(key)", value: String(text)) }
            return network
        }

        // address1, address2...; `addresses` and an unnumbered `address` are older spellings.
        for (key, text) in numbered("address", in: name) {
            let fields = text.split(separator: ",")
            guard let first = fields.first else { continue }
            family.addresses.append(try network(first, key))
            if fields.count > 1 { family.routes.append(NetworkRoute(defaultBy: try address(fields[1], key))) }
        }
        for text in list(name, "addresses") {
            family.addresses.append(try network(text.split(separator: ",")[0], "addresses"))
        }
        if let gateway = value(name, "gateway") {
            family.routes.append(NetworkRoute(defaultBy: try address(gateway[...], "gateway")))
        }
        for (key, text) in numbered("route", in: name) {
            // NETWORK/LENGTH[,GATEWAY[,METRIC]]; an empty gateway, or `0.0.0.0`, is none.
            let fields = text.split(separator: ",", omittingEmptySubsequences: false)
            var gateway: IPAddress?
            if fields.count > 1, !fields[1].isEmpty {
                let given = try address(fields[1], key)
                gateway = given.bytes.contains { $0 != 0 } ? given : nil
            }
            family.routes.append(NetworkRoute(to: try network(fields[0], key), via: gateway))
        }
        for text in list(name, "dns") { family.nameservers.append(try address(text, "dns")) }
        family.searchDomains = list(name, "dns-search").map(String.init)
        family.ignoresPeerDNS = value(name, "ignore-auto-dns") == "true"
        family.neverDefault = value(name, "never-default") == "true"
        family.isRequired = value(name, "may-fail") == "false"
        if family.neverDefault { family.routes.removeAll(where: \.isDefault) }
        if family.method != "auto", family.method != "manual" {
            family.addresses = []
            family.routes = []
        }
        return family
    }

    /// The values of `key`, `key1`, `key2`..., in the order of their numbers.
    private func numbered(_ key: String, in section: String) -> [(key: String, value: String)] {
        (sections[section] ?? [:])
            .filter { $0.key.hasPrefix(key) && ($0.key == key || Int($0.key.dropFirst(key.count)) != nil) }
            .sorted { (Int($0.key.dropFirst(key.count)) ?? 0) < (Int($1.key.dropFirst(key.count)) ?? 0) }
            .map { ($0.key, $0.value) }
    }

    private func list(_ section: String, _ key: String) -> [Substring] {
        (value(section, key) ?? "").split { $0 == ";" || $0 == "," || $0 == " " }
    }
}

private func trimmed(_ text: some StringProtocol) -> String {
    var rest = text[...]
    while let last = rest.last, last.isWhitespace { rest.removeLast() }
    return String(rest.drop(while: \.isWhitespace))
}

extension NetworkProfile {
    /// The profile as a keyfile, for a real root that is to keep what the command line asked for.
    ///
    /// - Parameter id: The connection's name.
    public func keyfile(id: String) -> String {
        var lines = ["[connection]", "id=\(id)", "type=ethernet", "autoconnect=true"]
        if case .name(let name) = interface { lines.append("interface-name=\(name)") }
        lines += ["", "[ethernet]"]
        if case .mac(let mac) = interface { lines.append("mac-address=\(mac)") }
        if let mtu { lines.append("mtu=\(mtu)") }
        if let clonedMAC { lines.append("cloned-mac-address=\(clonedMAC)") }
        for family in [IPAddress.Family.v4, .v6] {
            let name = family == .v4 ? "ipv4" : "ipv6"
            let own = addresses.filter { $0.address.family == family }
            lines += ["", "[\(name)]", "method=\(keyfileMethod(family, hasAddresses: !own.isEmpty))"]
            if family == .v4, method == .dhcp { lines.append("may-fail=false") }
            lines += own.enumerated().map { "address\($0.offset + 1)=\($0.element)" }
            let routes = self.routes.filter { $0.destination.address.family == family }
            if let gateway = routes.first(where: \.isDefault)?.gateway { lines.append("gateway=\(gateway)") }
            for (index, route) in routes.filter({ !$0.isDefault }).enumerated() {
                lines.append("route\(index + 1)=\(route.destination)" + (route.gateway.map { ",\($0)" } ?? ""))
            }
            let servers = nameservers.filter { $0.family == family }
            if !servers.isEmpty { lines.append("dns=" + servers.map { "\($0);" }.joined()) }
            if !searchDomains.isEmpty { lines.append("dns-search=" + searchDomains.map { "\($0);" }.joined()) }
            if !peerDNS { lines.append("ignore-auto-dns=true") }
            if !mayBeDefault { lines.append("never-default=true") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func keyfileMethod(_ family: IPAddress.Family, hasAddresses: Bool) -> String {
        if family == .v4 { return method.usesDHCP ? "auto" : hasAddresses ? "manual" : "disabled" }
        if method.usesAutoconfiguration || method == .dhcp { return "auto" }
        return hasAddresses ? "manual" : method == .linkLocal6 ? "link-local" : "disabled"
    }
}
