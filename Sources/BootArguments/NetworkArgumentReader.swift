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
            do throws(IPArgument.Malformed) {
                ip.append(try IPArgument(parsing: text))
            } catch {
                if case .unknownMethod(text) = error {
                    // A lone unknown word is NetworkManager's `auto`.
                    warnings.append("ip=\(text): no such method, using auto; " + Self.methodSuggestion(text))
                    ip.append(IPArgument(method: .automatic))
                } else {
                    problems.append(Self.problem("ip=\(text)", error))
                }
            }
        }
        for text in line.values("rd.route") {
            do throws(IPArgument.Malformed) {
                routes.append(try RouteArgument(parsing: text))
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
        isNeeded = line.flag("rd.neednet")
        peerDNS = line.flag("rd.peerdns", default: true)
        predictableNames = line.flag("net.ifnames", default: true)
        persistence =
            line.flag("coreos.no_persist_ip") ? .never : line.flag("coreos.force_persist_ip") ? .always : .whereNeeded
        readTimeouts(line, &warnings)
        refuse(line, &problems)
    }

    private mutating func readInterfaces(_ line: KernelCommandLine, _ warnings: inout [String]) {
        bootInterface = line.value("bootdev").flatMap { InterfaceReference($0) }
        if line.flag("rd.bootif", default: true), let text = line.value("BOOTIF") {
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

    private mutating func readTimeouts(_ line: KernelCommandLine, _ warnings: inout [String]) {
        func seconds(_ name: String) -> Int? {
            guard let text = line.value("rd.net.timeout.\(name)") else { return nil }
            if let number = Int(text), (0...86_400).contains(number) { return number }
            warnings.append("rd.net.timeout.\(name)=\(text): not a number of seconds, left out")
            return nil
        }
        timeouts.dhcp = seconds("dhcp") ?? timeouts.dhcp
        timeouts.carrier = seconds("carrier") ?? timeouts.carrier
        timeouts.interface = seconds("iflink")
        timeouts.ipv6 = seconds("ipv6auto") ?? timeouts.ipv6
        if let tries = line.value("rd.net.dhcp.retry").flatMap({ Int($0) }), (1...1000).contains(tries) {
            timeouts.dhcp *= tries
        }
    }

    /// What is not built is refused by name rather than passed over.
    private func refuse(_ line: KernelCommandLine, _ problems: inout [ArgumentProblem]) {
        for key in ["bond", "bridge", "team", "vlan", "rd.znet", "ib.pkey"] {
            for word in line.words where word.key == key {
                problems.append(
                    ArgumentProblem(
                        .network, "\(word)", "not supported",
                        advice: [
                            "Give a plain interface: ip=IFACE:dhcp. The real root can set up the rest."
                        ]))
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

    private static func problem(_ argument: String, _ malformed: IPArgument.Malformed) -> ArgumentProblem {
        var advice: [String] = []
        switch malformed {
        case .unknownMethod(let word): advice = [methodSuggestion(word)]
        case .unsupportedMethod("dhcp6"), .unsupportedMethod("either6"):
            advice = ["Use auto6: addresses from router advertisements."]
        case .unsupportedMethod: advice = ["Use dhcp, auto6 or fixed addresses."]
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
