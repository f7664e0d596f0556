// The network words of the command line.

import Reporting

extension NetworkArguments {
    mutating func read(_ line: KernelCommandLine, _ warnings: inout [String], _ problems: inout [ArgumentProblem]) {
        readInterfaces(line, &warnings)
        for text in line.values("ip") {
            if let argument = oldStyle(text, line, &warnings) {
                ip.append(argument)
                continue
            }
            var notes: [String] = []
            defer { warnings += notes.map { "ip=\(text): \($0)" } }
            do throws(IPArgument.Malformed) {
                let argument = try IPArgument(parsing: text, &notes)
                try Self.check(argument.interface)
                ip.append(argument)
            } catch {
                if case .unknownMethod(let word) = error, text == word || text == word + ":" {
                    // A lone unknown word is NetworkManager's `auto`.
                    let hint = text == word ? Self.methodSuggestion(word) : "write ip=\(word):auto for that interface"
                    warnings.append("ip=\(text): no such method, using auto; " + hint)
                    ip.append(IPArgument(method: .automatic))
                } else {
                    problems.append(Self.problem("ip=\(text)", error))
                }
            }
        }
        for text in line.values("rd.route") {
            do throws(IPArgument.Malformed) {
                let route = try RouteArgument(parsing: text)
                try Self.check(route.interface)
                routes.append(route)
            } catch {
                problems.append(Self.problem("rd.route=\(text)", error))
            }
        }
        for text in line.values("nameserver") {
            if let address = IPAddress(text) {
                if !nameservers.contains(address) { nameservers.append(address) }
            } else {
                warnings.append("nameserver=\(text): not an IP address, left out")
            }
        }
        readGlobalServers(line, &warnings)
        for text in line.values("rd.ethtool") {
            if let argument = EthtoolArgument(parsing: text, &warnings) {
                ethtool.append(argument)
            } else {
                warnings.append("rd.ethtool=\(text): no interface named, left out")
            }
        }
        readClient(line, &warnings)
        readLinks(line, &warnings, &problems)
        isNeeded = line.flag("rd.neednet")
        peerDNS = line.flag("rd.peerdns", default: true)
        predictableNames = line.flag("net.ifnames", default: true)
        persistence =
            line.flag("coreos.no_persist_ip") ? .never : line.flag("coreos.force_persist_ip") ? .always : .whereNeeded
        if let word = line.words.last(where: { BootArguments.underscored($0.key) == "firstlight.identity" }) {
            identityIsUUID = word.value == "uuid"
            if !identityIsUUID, word.value != "mac" {
                warnings.append("\(word): only uuid is known; the card's address identifies this machine")
            }
        }
        readTimeouts(line, &warnings)
        refuse(line, &problems)
    }

    private mutating func readInterfaces(_ line: KernelCommandLine, _ warnings: inout [String]) {
        bootInterface = line.value("bootdev").flatMap { InterfaceReference($0) }
        if line.flag("rd.bootif", default: true), let text = Self.bootIF(line) {
            // PXELINUX puts the hardware type before the address: 01 is Ethernet.
            let address =
                text.split(whereSeparator: { $0 == "-" || $0 == ":" }).count == 7 ? text.dropFirst(3) : text[...]
            bootIF = MACAddress(address)
            if bootIF == nil { warnings.append("BOOTIF=\(text): not a MAC address, left out") }
        }
        for text in line.values("ifname") {
            let name = text.prefix { $0 != ":" }
            if let mac = MACAddress(text.dropFirst(name.count + 1)), (1...15).contains(name.utf8.count),
                !name.contains("/")
            {
                names[mac] = String(name)
            } else {
                warnings.append("ifname=\(text): not NAME:MAC, left out")
            }
        }
    }

    /// The last `BOOTIF=` with a value; its case does not matter, as for NetworkManager.
    private static func bootIF(_ line: KernelCommandLine) -> String? {
        line.words.last { $0.key.lowercased() == "bootif" && $0.value?.isEmpty == false }?.value
    }

    private mutating func readTimeouts(_ line: KernelCommandLine, _ warnings: inout [String]) {
        func seconds(_ name: String) -> Int? {
            guard let text = line.value("rd.net.timeout.\(name)"), text != "infinity" else { return nil }
            if text == "0" {
                // NetworkManager reads it as its default, and nobody wants a boot that gives up at once.
                warnings.append("rd.net.timeout.\(name)=0 counts as not given")
                return nil
            }
            if let number = Int(text), (1...Int(Int32.max)).contains(number) { return number }
            warnings.append("rd.net.timeout.\(name)=\(text): not a number of seconds, left out")
            return nil
        }
        timeouts.dhcp = seconds("dhcp")
        timeouts.carrier = seconds("carrier")
        timeouts.interface = seconds("iflink")
        timeouts.ipv6 = seconds("ipv6auto")
        if let text = line.value("rd.net.dhcp.retry") {
            if let tries = Int(text), (1...1000).contains(tries) {
                timeouts.dhcp = timeouts.dhcp.map { min($0 * tries, Int(Int32.max)) }
            } else {
                warnings.append("rd.net.dhcp.retry=\(text): not a number from 1 to 1000, left out")
            }
        }
        for name in ["ifup", "route", "ipv6dad", "ip-required"] where line.value("rd.net.timeout.\(name)") != nil {
            let why =
                name == "ip-required"
                ? "where either family is enough IPv4 has 10 s, with ip=dhcp,dhcp6 20 s" : "that wait has no limit"
            warnings.append("rd.net.timeout.\(name)= is not read: \(why)")
        }
    }

    /// `rd.net.dns=`: servers for every interface.
    private mutating func readGlobalServers(_ line: KernelCommandLine, _ warnings: inout [String]) {
        for text in line.values("rd.net.dns") {
            // A server's name for TLS may stand behind it: dns+udp://[2001:db8::1]:53#name.
            var rest = text[...]
            if rest.hasPrefix("dns+udp://") || rest.hasPrefix("udp://") { rest = rest.drop { $0 != "/" }.dropFirst(2) }
            if let address = NameServerText(rest)?.address {
                if !nameservers.contains(address) { nameservers.append(address) }
            } else {
                warnings.append("rd.net.dns=\(text): only plain DNS servers are asked here, left out")
            }
        }
        for key in ["rd.net.dns-backend", "rd.net.dns-resolve-mode"] where line.value(key) != nil {
            warnings.append("\(key)= is not read: /etc/resolv.conf lists the servers")
        }
    }

    private mutating func readClient(_ line: KernelCommandLine, _ warnings: inout [String]) {
        if let text = line.value("rd.net.dhcp.client-id") {
            clientID = DHCPClientID(text)
            if clientID == nil { warnings.append("rd.net.dhcp.client-id=: at most 254 bytes, left out") }
        }
        vendorClass = line.value("rd.net.dhcp.vendor-class")
        if let text = vendorClass, text.utf8.count > 255 {
            warnings.append("rd.net.dhcp.vendor-class=: at most 255 bytes, left out")
            vendorClass = nil
        }
        if let text = line.value("rd.net.dhcp.dscp") {
            warnings.append("rd.net.dhcp.dscp=\(text): not read, DHCP packets go out unmarked")
        }
    }

    private mutating func readLinks(
        _ line: KernelCommandLine, _ warnings: inout [String], _ problems: inout [ArgumentProblem]
    ) {
        for word in line.words where LinkArgument.keys.contains(word.key) {
            var notes: [String] = []
            do throws(LinkArgument.Malformed) {
                let link = try LinkArgument(word, &notes)
                for lower in link.lower where !lower.canBe { throw .notAnInterface("\(lower)") }
                if let index = links.firstIndex(where: { $0.name == link.name }) {
                    // More ports for the same.
                    links[index].kind = link.kind
                    links[index].mtu = link.mtu ?? links[index].mtu
                    links[index].lower += link.lower.filter { !links[index].lower.contains($0) }
                } else {
                    links.append(link)
                }
            } catch {
                problems.append(
                    ArgumentProblem(
                        .network, "\(word)", "\(error)",
                        advice: [
                            "The forms are: vlan=NAME:PARENT, bond=NAME:PORTS:OPTIONS,", "bridge=NAME:PORTS.",
                        ]))
            }
            warnings += notes
        }
        for text in line.values("ipam") { readIPAM(text, &warnings) }
    }

    /// Tinkerbell's `ipam=MAC:VLAN:ADDRESS:NETMASK:GATEWAY:HOSTNAME:DNS:DOMAINS:NTP`, lists with commas.
    private mutating func readIPAM(_ text: String, _ warnings: inout [String]) {
        let fields = IPArgument.fields(text) + Array(repeating: "", count: 9)
        guard let mac = MACAddress(fields[0]), var address = InterfaceAddress(fields[2]) else {
            warnings.append("ipam=\(text): not MAC:VLAN:ADDRESS:NETMASK:GATEWAY:HOSTNAME:DNS, left out")
            return
        }
        if let prefix = InterfaceAddress.prefix(fields[3], for: address.address) { address.prefix = prefix }
        var interface = InterfaceReference.mac(mac)
        if !fields[1].isEmpty, fields[1] != "0" {
            guard let id = LinkArgument.identifier(of: "vlan\(fields[1])"), id > 0 else {
                warnings.append("ipam=\(text): \"\(fields[1])\" is not a VLAN, left out")
                return
            }
            links.append(
                LinkArgument(argument: "ipam=\(text)", kind: .vlan(id: id), name: "vlan\(id)", lower: [interface]))
            interface = .name("vlan\(id)")
        }
        var argument = IPArgument(
            interface: interface, method: .fixed, address: address, gateway: IPAddress(fields[4]),
            hostname: fields[5].isEmpty ? nil : fields[5],
            nameservers: fields[6].split(separator: ",").compactMap { IPAddress($0) })
        let domains = fields[7].split(separator: ",").map(String.init)
        argument.searchDomains = domains.filter(isDomainName)
        ip.append(argument)
        let times = fields[8].split(separator: ",").map { IPAddress($0) }
        timeServers += times.compactMap(\.self)
        for domain in domains where !isDomainName(domain) {
            warnings.append("ipam=\(text): \"\(domain)\" is not a domain, left out")
        }
        if times.contains(nil) { warnings.append("ipam=\(text): only the addresses of time servers are used") }
    }

    /// Arguments that are not supported are refused by name, not ignored.
    private func refuse(_ line: KernelCommandLine, _ problems: inout [ArgumentProblem]) {
        // The firmware's boot table names cards and addresses of its own.
        for key in ["rd.iscsi.ibft", "rd.iscsi.firmware"] where line.flag(key) {
            problems.append(
                ArgumentProblem(
                    .network, "\(key)=1", "not supported",
                    advice: ["Give the card and its addresses by ip=, as the boot table has them."]))
        }
        if let owner = bootInterface, !owner.canBe {
            problems.append(Self.problem("bootdev=\(owner)", .notAnInterface("\(owner)")))
        }
        for key in ["rd.znet", "rd.znet_ifname", "ib.pkey"] {
            for word in line.words where word.key == key {
                problems.append(
                    ArgumentProblem(
                        .network, "\(word)", "not supported",
                        advice: ["Give a card of another kind: ip=IFACE:dhcp. The real root can set up the rest."]))
            }
        }
    }

    /// Anaconda's lone address: `ip=ADDRESS netmask= gateway= hostname= mtu= ksdevice=`.
    private func oldStyle(_ text: String, _ line: KernelCommandLine, _ warnings: inout [String]) -> IPArgument? {
        guard var address = InterfaceAddress(text), address.address.family == .v4 else { return nil }
        if let prefix = line.value("netmask").flatMap({ InterfaceAddress.prefix($0, for: address.address) }) {
            address.prefix = prefix
        }
        var interface = line.value("ksdevice").flatMap { InterfaceReference($0) }
        switch interface {
        case .name("link"), .name("ibft"): interface = nil
        case .name("bootif"), .name("BOOTIF"): interface = bootIF.map { .mac($0) }
        default: break
        }
        var mtu: Int?
        if let text = line.value("mtu") {
            mtu = Int(text).flatMap { IPArgument.mtus.contains($0) ? $0 : nil }
            if mtu == nil { warnings.append("mtu=\(text): not an MTU, 68 to 65535, left out") }
        }
        return IPArgument(
            interface: interface, method: .fixed, address: address,
            gateway: line.value("gateway").flatMap { IPAddress($0) }, hostname: line.value("hostname"), mtu: mtu)
    }

    private static func check(_ interface: InterfaceReference?) throws(IPArgument.Malformed) {
        if let interface, !interface.canBe { throw .notAnInterface("\(interface)") }
    }

    private static func problem(_ argument: String, _ malformed: IPArgument.Malformed) -> ArgumentProblem {
        var advice: [String] = []
        switch malformed {
        case .unknownMethod(let word): advice = [methodSuggestion(word)]
        case .notAnInterface:
            advice = [
                "Name a card by at most 15 bytes, or by a MAC address of six. InfiniBand,",
                "whose addresses have 20, is not supported.",
            ]
        case .unsupportedMethod: advice = ["Give the card and its addresses by ip=, as the boot table has them."]
        default:
            advice = [
                "The forms are: ip=METHOD, ip=IFACE:METHOD, or", "ip=CLIENT::GATEWAY:NETMASK:HOSTNAME:IFACE:none",
            ]
        }
        return ArgumentProblem(.network, argument, "\(malformed)", advice: advice)
    }

    private static func methodSuggestion(_ word: String) -> String {
        suggestion(for: word, in: IPArgument.Method.words.keys.sorted())
    }
}
