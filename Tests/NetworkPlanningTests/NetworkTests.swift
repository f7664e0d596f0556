// Names, keyfiles, plans, verdicts and what servers say.

import BootArguments
import DeviceNames
import Foundation
import Testing

@testable import NetworkPlanning

private func fixtures(_ folder: String) throws -> [URL] {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    return try FileManager.default.contentsOfDirectory(
        at: root.appending(path: "Fixtures/\(folder)"), includingPropertiesForKeys: nil
    ).sorted { $0.path < $1.path }
}

// MARK: Names

/// One interface as a real machine showed it, made by Fixtures/hardware/capture-interfaces.py.
private struct CapturedInterface: Decodable {
    var name: String
    var files: [String: String]
    var links: [String: String]
    var udev: [String: String]

    var sysfs: Sysfs {
        Sysfs(
            read: { [files] path in files[path].map { $0.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) } } },
            names: { [files, links] folder in
                let below = (Array(files.keys) + links.keys).filter { $0.hasPrefix(folder + "/") }
                return Set(
                    below.compactMap { $0.dropFirst(folder.count + 1).split(separator: "/").first.map(String.init) }
                )
                .sorted()
            },
            linkTarget: { [links] in links[$0] })
    }
}

@Test("names an interface as udev does", arguments: try fixtures("hardware/interfaces"))
func namesAnInterfaceAsUdevDoes(file: URL) throws {
    let captured = try JSONDecoder().decode(CapturedInterface.self, from: Data(contentsOf: file))
    let interface = try #require(NetworkInterface.all(in: captured.sysfs).first)
    #expect(interface.name == captured.name)
    #expect(interface.isWired == (captured.name != "lo"))
    let expected = PredictableNames(
        onboard: captured.udev["onboard"], slot: captured.udev["slot"], path: captured.udev["path"],
        mac: captured.udev["mac"])
    #expect(interface.predictable == expected)
}

@Test("names what no machine at hand has")
func namesRareHardware() {
    func names(_ place: NetworkDevicePlace) -> PredictableNames { PredictableNames(place) }
    let device = NetworkDevicePlace.Parent(name: "0001:0a:1f.3", subsystem: "pci")
    #expect(names(NetworkDevicePlace(port: 2, parents: [device])).path == "enP1p10s31f3d2")
    #expect(names(NetworkDevicePlace(port: 2, portName: "p1", parents: [device])).path == "enP1p10s31f3np1")
    #expect(names(NetworkDevicePlace(hardwareType: 32, parents: [device])).path == "ibP1p10s31f3")
    #expect(names(NetworkDevicePlace(deviceType: "wlan", parents: [device])).path == "wlP1p10s31f3")
    #expect(names(NetworkDevicePlace(hardwareType: 772, parents: [device])).path == nil)
    #expect(names(NetworkDevicePlace(portName: "a-long-name", parents: [device])).path == nil)

    var rubbish = device
    rubbish.attributes = ["index": "16777215"]
    #expect(names(NetworkDevicePlace(parents: [rubbish])).onboard == nil)
    var ari = device
    ari.attributes = ["ari_enabled": "1"]
    #expect(names(NetworkDevicePlace(parents: [ari])).path == "enP1p10s31f251")

    // A bus of another kind between the card and the interface.
    let other = NetworkDevicePlace.Parent(name: "ssb0:0", subsystem: "ssb")
    #expect(names(NetworkDevicePlace(parents: [other, device])) == PredictableNames())

    let bridge = NetworkDevicePlace.Parent(
        name: "0000:00:1c.0", subsystem: "pci", attributes: ["class": "0x060400"])
    var card = NetworkDevicePlace.Parent(name: "0000:02:00.0", subsystem: "pci")
    let slots = [5: "0000:00:1c"]
    #expect(names(NetworkDevicePlace(parents: [card, bridge], slots: slots)).slot == nil)
    card.isMultifunction = true
    #expect(names(NetworkDevicePlace(parents: [card, bridge], slots: slots)).slot == "ens5f0")

    let random = MACAddress(bytes: [2, 0, 0, 0, 0, 1])
    #expect(names(NetworkDevicePlace(mac: random, parents: [])).mac == "enx020000000001")
    #expect(names(NetworkDevicePlace(mac: random, macIsPermanent: false, parents: [])).mac == nil)
}

// MARK: Keyfiles

/// `auto!/disabled`: the method of each family, `!` where the link is not up without it.
private func methods(_ profile: NetworkProfile) -> String {
    [profile.ipv4, profile.ipv6].map { $0.method.rawValue + ($0.mayFail ? "" : "!") }.joined(separator: "/")
}

private func lines(_ keyfile: NetworkKeyfile) -> [String] {
    let profile = keyfile.profile
    var kind = ""
    var options: [String: String] = [:]
    var lines: [String] = []
    switch profile.kind {
    case .ethernet: break
    case .vlan(let id, let parent, _):
        kind = " vlan"
        lines.append("vlan \(id) on \(parent?.description ?? "?")")
    case .bond(let bond): (kind, options) = (" bond", bond.values)
    case .bridge(let bridge): (kind, options) = (" bridge", bridge.values)
    case .unsupported(let type): kind = " \(type)"
    }
    lines.insert("\(profile.interface?.description ?? "*")\(kind) \(methods(profile))", at: 0)
    if !options.isEmpty { lines.append(options.sorted { $0 < $1 }.map { "\($0)=\($1)" }.joined(separator: " ")) }
    lines += profile.addresses.map { "address \($0)" }
    lines += profile.routes.map { route in
        "route \(route.destination)" + (route.gateway.map { " via \($0)" } ?? "")
            + (route.metric.map { " metric \($0)" } ?? "") + (route.table.map { " table \($0)" } ?? "")
            + (route.mtu.map { " mtu \($0)" } ?? "") + (route.source.map { " src \($0)" } ?? "")
            + (route.isOnLink ? " onlink" : "")
    }
    if !profile.nameservers.isEmpty {
        lines.append("dns " + profile.nameservers.map(\.description).joined(separator: " "))
    }
    if !profile.searchDomains.isEmpty { lines.append("search " + profile.searchDomains.joined(separator: " ")) }
    if let mtu = profile.mtu { lines.append("mtu \(mtu)") }
    if let mac = profile.clonedMAC { lines.append("cloned \(mac)") }
    for (name, family) in [("ipv4", profile.ipv4), ("ipv6", profile.ipv6)] {
        if family.ignoresPeerDNS { lines.append("\(name) ignores DNS") }
        if family.ignoresPeerRoutes { lines.append("\(name) ignores routes") }
        if family.neverDefault { lines.append("\(name) never default") }
        if family.isAwaited { lines.append("\(name) awaited") }
        if let metric = family.metric { lines.append("\(name) metric \(metric)") }
        if let timeout = family.timeout { lines.append("\(name) timeout \(timeout)") }
        if let hostname = family.hostname { lines.append("\(name) hostname \(hostname)") }
        if !family.sendsHostname { lines.append("\(name) sends no name") }
        if let client = family.clientID { lines.append("client \(client)") }
        if let vendor = family.vendorClass { lines.append("vendor \(vendor)") }
    }
    if let controller = profile.controller { lines.append("port of \(controller)") }
    let match = profile.match
    if !match.isEmpty {
        let parts = [("names", match.names), ("drivers", match.drivers), ("arguments", match.kernelArguments)]
        let words = parts.filter { !$0.1.isEmpty }.map { "\($0.0) \($0.1.joined(separator: " "))" }
        let macs = match.mac.map { ["mac \($0)"] } ?? []
        let denied = match.deniedMACs.isEmpty ? [] : ["without"] + match.deniedMACs.map(\.description)
        lines.append((["match"] + words + macs + denied).joined(separator: " "))
    }
    if let speed = profile.ethernet.speed {
        lines.append("speed \(speed) autonegotiate \(profile.ethernet.autonegotiates.map { "\($0)" } ?? "-")")
    }
    if profile.priority != 0 { lines.append("priority \(profile.priority)") }
    lines += profile.unsupported.map { "unsupported \($0)" }
    if !keyfile.startsByItself { lines.append("not by itself") }
    return lines + keyfile.warnings.map { "warning \($0)" }
}

@Test("reads a keyfile; the lines after #= say what is in it", arguments: try fixtures("network/keyfiles"))
func readsKeyfile(file: URL) throws {
    let text = try String(contentsOf: file, encoding: .utf8)
    let said = text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("#= ") }
    let expected = said.map { String($0.dropFirst(3)) }
    do throws(NetworkKeyfile.Failure) {
        let keyfile = try NetworkKeyfile(text, file: file.lastPathComponent)
        #expect(Set(lines(keyfile)) == Set(expected))
        // What is written for a real root reads as the same connection; what cannot be done is not written.
        guard keyfile.profile.unsupported.isEmpty else { return }
        if case .unsupported = keyfile.profile.kind { return }
        var again = try NetworkKeyfile(keyfile.profile.keyfile(id: "again"), file: file.lastPathComponent)
        again.startsByItself = keyfile.startsByItself
        again.warnings = keyfile.warnings
        #expect(Set(lines(again)) == Set(expected))
    } catch {
        #expect(["\(error)"] == expected)
    }
}

@Test("no line of a keyfile stands in what is said of it", arguments: ["\n", "\r\n", "\r", "\u{85}"])
func keepsSecrets(newline: String) {
    let lines = ["[connection]", "type=ethernet", "[802-1x]", "eap=peap;", "password=S3CRET", "S3CRET and more"]
    for last in [5, 6] {
        do throws(NetworkKeyfile.Failure) {
            _ = try NetworkKeyfile(lines.prefix(last).joined(separator: newline), file: "a.nmconnection")
        } catch {
            #expect(!"\(error) \(error.advice)".contains("S3CRET"))
        }
    }
}

// MARK: Plans

private func mac(_ last: UInt8) -> MACAddress? { MACAddress(bytes: [0x52, 0x54, 0, 0, 0, last]) }

private func interface(_ number: Int, wired: Bool = true) -> NetworkInterface {
    NetworkInterface(
        name: "eth\(number)", index: number + 2, mac: mac(UInt8(number)), isWired: wired,
        predictable: PredictableNames(slot: "ens\(number + 3)", path: "enp0s\(number + 3)"))
}

/// The plan of a command line for some interfaces: `eth0>ens3 dhcp`, a `!` after those that are named.
private func plan(
    _ line: String, _ interfaces: [NetworkInterface] = [interface(0), interface(1)]
) -> (plan: NetworkPlan, lines: [String]) {
    let arguments = BootArguments(line).network
    let plan = NetworkPlan(
        interfaces: interfaces, profiles: NetworkProfile.all(of: arguments), arguments: arguments)
    let lines =
        plan.links.map { link in
            ([
                "\(link.interface.name)>\(link.name)\(link.isNamed ? "!" : "")", methods(link.profile),
            ] + link.profile.addresses.map(\.description)
                + link.profile.routes.map { "\($0.destination)@\($0.gateway?.description ?? "link")" }
                + link.profile.nameservers.map { "dns \($0)" }
                + (link.profile.controller.map { ["in \($0)"] } ?? [])).joined(separator: " ")
        } + plan.new.map { "new \($0.name)" + ($0.parent.map { " on \($0.name)" } ?? "") }
    return (plan, lines + plan.missing.map { "missing \($0)" } + plan.missingPorts.map { "without \($0)" })
}

@Test(
    "plans",
    arguments: [
        ("", ["eth0>ens3 auto/auto", "eth1>ens4 auto/auto"]),
        ("net.ifnames=0", ["eth0>eth0 auto/auto", "eth1>eth1 auto/auto"]),
        (
            "ip=dhcp nameserver=192.0.2.53",
            ["eth0>ens3 auto!/auto dns 192.0.2.53", "eth1>ens4 auto!/auto dns 192.0.2.53"]
        ),
        ("ip=ens4:dhcp", ["eth1>ens4! auto!/auto"]),
        ("ip=eth1:dhcp", ["eth1>ens4! auto!/auto"]),
        ("ip=enp0s4:dhcp", ["eth1>ens4! auto!/auto"]),
        ("ip=52:54:00:00:00:01:dhcp", ["eth1>ens4! auto!/auto"]),
        ("ip=ens9:dhcp", ["missing ens9"]),
        ("ip=ens4:auto6 ip=dhcp", ["eth0>ens3 auto!/auto", "eth1>ens4! disabled/auto!"]),
        ("ifname=lan0:52:54:00:00:00:01 ip=lan0:dhcp", ["eth1>lan0! auto!/auto"]),
        // A name that another interface has is not given.
        ("ifname=eth0:52:54:00:00:00:01 ip=52:54:00:00:00:01:dhcp", ["eth1>eth1! auto!/auto"]),
        ("ifname=x:52:54:00:00:00:00 ifname=x:52:54:00:00:00:01", ["eth0>x auto/auto", "eth1>eth1 auto/auto"]),
        ("BOOTIF=01-52-54-00-00-00-01", ["eth1>ens4 auto/auto"]),
        ("BOOTIF=01-52-54-00-00-00-01 ip=dhcp", ["eth1>ens4 auto!/auto"]),
        ("BOOTIF=01-52-54-00-00-00-01 ip=ens3:dhcp", ["eth0>ens3! auto!/auto"]),
        ("BOOTIF=01-52-54-00-00-00-09", []),
        (
            "ip=192.0.2.10::192.0.2.1:24::ens3:none:192.0.2.53 rd.route=198.51.100.7/24:192.0.2.9",
            [
                "eth0>ens3! manual!/disabled 192.0.2.10/24 0.0.0.0/0@192.0.2.1 198.51.100.0/24@192.0.2.9 dns 192.0.2.53"
            ]
        ),
        (
            "ip=192.0.2.10:::24::ens3:none ip=[2001:db8::10]::[fe80::1]:64::ens3:none",
            ["eth0>ens3! manual!/manual! 192.0.2.10/24 2001:db8::10/64 ::/0@fe80::1"]
        ),
        ("ip=ens3:auto6 ip=ens3:dhcp", ["eth0>ens3! auto!/auto!"]),
        ("ip=[2001:db8::10]:::64::ens3:none ip=ens3:dhcp", ["eth0>ens3! auto!/manual! 2001:db8::10/64"]),
        // The owner of the default route is named, so the other has none.
        (
            "bootdev=ens4 ip=192.0.2.10::192.0.2.1:24::ens3:none ip=198.51.100.10::198.51.100.1:24::ens4:none",
            [
                "eth0>ens3! manual!/disabled 192.0.2.10/24",
                "eth1>ens4! manual!/disabled 198.51.100.10/24 0.0.0.0/0@198.51.100.1",
            ]
        ),
        (
            "rd.route=198.51.100.0/24::ens4 ip=ens3:dhcp ip=ens4:dhcp",
            ["eth0>ens3! auto!/auto", "eth1>ens4! auto!/auto 198.51.100.0/24@link"]
        ),
        // A card that no ip= names gets a profile of its own.
        (
            "ip=ens3:dhcp rd.route=198.51.100.0/24::ens4",
            ["eth0>ens3! auto!/auto", "eth1>ens4! auto/auto 198.51.100.0/24@link"]
        ),
        ("bootdev=ens4 ip=ens3:dhcp", ["eth0>ens3! auto!/auto", "eth1>ens4! auto/auto"]),
        // Links that are made: first those, then what belongs to them.
        (
            "bond=bond0:ens3,ens4 ip=bond0:dhcp",
            ["eth0>ens3! disabled/disabled in bond0", "eth1>ens4! disabled/disabled in bond0", "new bond0"]
        ),
        ("bond=bond0:ens3,ens9", ["eth0>ens3! disabled/disabled in bond0", "new bond0", "without ens9"]),
        ("vlan=ens3.5:ens3 ip=ens3.5:dhcp", ["eth0>ens3! disabled/disabled", "new ens3.5 on eth0"]),
        ("vlan=vlan5:ens9", ["missing ens9"]),
        (
            "bond=bond0:ens3 vlan=bond0.5:bond0 ip=bond0.5:dhcp",
            ["eth0>ens3! disabled/disabled in bond0", "new bond0"]
        ),
        (
            "bridge=br0:ens4 ip=br0:dhcp ip=ens3:dhcp",
            ["eth0>ens3! auto!/auto", "eth1>ens4! disabled/disabled in br0", "new br0"]
        ),
    ])
func plans(line: String, expected: [String]) {
    #expect(plan(line).lines == expected)
}

@Test("takes only wired cards unasked, and prefers them among equal MAC addresses")
func plansForWiredCards() {
    let twin = NetworkInterface(name: "macvlan0", index: 9, mac: mac(0), isWired: false)
    let radio = interface(1, wired: false)
    #expect(plan("", [twin, interface(0), radio]).lines == ["eth0>ens3 auto/auto"])
    #expect(plan("ip=52:54:00:00:00:00:dhcp", [twin, interface(0)]).lines == ["eth0>ens3! auto!/auto"])
    #expect(plan("ip=eth1:dhcp", [radio]).lines == ["eth1>eth1! auto!/auto"])
}

@Test("knows a card that it has renamed by its old name")
func plansForRenamed() {
    var renamed = interface(0)
    renamed.name = "ens3"
    #expect(plan("ip=eth0:dhcp", [renamed]).lines == ["ens3>ens3! auto!/auto"])
    #expect(plan("ip=eth0:dhcp net.ifnames=0", [renamed]).lines == ["ens3>ens3! auto!/auto"])
}

@Test("refuses by its kind what is a card and not Ethernet, where nothing else does")
func otherCards() throws {
    func infiniBand(_ index: Int) -> NetworkInterface {
        NetworkInterface(name: "ib0", index: index, mac: nil, isWired: false, otherKind: "InfiniBand")
    }
    let cards = [interface(0), infiniBand(7)]
    let named = plan("ip=ib0:dhcp", cards).plan
    #expect(named.links.isEmpty && named.missing.isEmpty && named.unsupported == [cards[1]])
    #expect(named.missing([]).reason == "ib0 is InfiniBand, which is not supported")
    #expect(named.verdict([], start: 0, now: 10, timeouts: .init()) == .nothingThere)
    #expect(plan("ip=dhcp", cards).plan.unsupported.isEmpty, "nobody asked for it")
    #expect(plan("ip=dhcp", [cards[1]]).plan.unsupported == [cards[1]], "there is no other")
    #expect(plan("bond=bond0:ens3,ib0 ip=bond0:dhcp", cards).plan.unsupported == [cards[1]])
    let files = [
        "/class/net/ib0": "../../devices/pci0000:00/0000:00:03.0/net/ib0",
        "/devices/pci0000:00/0000:00:03.0/net/ib0/device": "../../../0000:00:03.0",
    ]
    let texts = [
        "uevent": "INTERFACE=ib0", "type": "32", "ifindex": "7", "iflink": "7",
        "address": "80:00:02:08:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1",
    ]
    let sysfs = Sysfs(
        read: { path in
            let folder = "/devices/pci0000:00/0000:00:03.0/net/ib0/"
            return path.hasPrefix(folder) ? texts[String(path.dropFirst(folder.count))].map { Array($0.utf8) } : nil
        }, names: { $0 == "/class/net" ? ["ib0"] : [] }, linkTarget: { files[$0] })
    let found = try #require(NetworkInterface.all(in: sysfs).first)
    #expect(found.otherKind == "InfiniBand" && !found.isWired && found.mac == nil)
}

@Test("says what is missing, and what helps")
func tellsOfWhatIsMissing() throws {
    func missing(_ line: String, _ interfaces: [NetworkInterface], carrier: Bool) -> (String, [String]) {
        let plan = plan(line, interfaces).plan
        var state = NetworkLinkState(since: 0)
        if carrier { state.carrierSince = 1 }
        return plan.missing(plan.links.map { _ in state })
    }
    let bare = missing("ip=dhcp", [], carrier: false)
    #expect(bare.0 == "no network interface" && bare.1.first?.contains("firmware") == true)
    let cable = missing("ip=dhcp", [interface(0), interface(1)], carrier: false)
    #expect(cable.0 == "no carrier on ens3, no carrier on ens4" && cable.1.first?.contains("cable") == true)
    let server = missing("ip=dhcp", [interface(0)], carrier: true)
    #expect(server.0 == "no DHCP answer on ens3" && server.1.first?.contains("DHCP server") == true)
    let router = missing("ip=auto6", [interface(0)], carrier: true)
    #expect(router.0 == "no IPv6 router on ens3")
    let card = missing("ip=eth7:dhcp", [interface(0)], carrier: true)
    #expect(card.0 == "no interface eth7" && card.1.count == 1)
    var up = try seen(carrier: 1, lease: 2)
    up.unreached = "192.0.2.1:80 does not answer over it: no answer"
    let server2 = plan("ip=dhcp", [interface(0)]).plan.missing([up])
    #expect(server2.reason == "ens3 is up, but 192.0.2.1:80 does not answer over it: no answer")
}

@Test("leaves systemd-networkd what renews the lease")
func networkdFiles() {
    func files(_ line: String, up: [String] = ["ens3"], first: Bool = false) -> [(name: String, text: String)] {
        plan(line).plan.networkdFiles(up: up.map { ($0, 100) }, goesFirst: first)
    }
    let lease = files("")
    #expect(lease.map(\.name) == ["90-firstlight-ens3.network"])
    #expect(
        lease.first?.text == """
            # Left by Firstlight, from ip=auto.
            [Match]
            MACAddress=52:54:00:00:00:00
            Kind=!*

            [Network]
            DHCP=ipv4
            IPv6AcceptRA=yes

            [DHCPv4]
            ClientIdentifier=mac
            UseDomains=yes
            RouteMetric=100
            UseDNS=yes

            [IPv6AcceptRA]
            UseDNS=yes

            """)
    let fixed = files(
        "ip=192.0.2.7::192.0.2.1:255.255.255.0:host:ens4:none:9000 nameserver=192.0.2.53 rd.route=198.51.100.0/24:192.0.2.9",
        up: ["ens4"], first: true)
    #expect(fixed.map(\.name) == ["10-firstlight-ens4.network"])
    #expect(
        fixed.first?.text == """
            # Left by Firstlight, from ip=ens4:none.
            [Match]
            MACAddress=52:54:00:00:00:01
            Kind=!*

            [Link]
            MTUBytes=9000

            [Network]
            DHCP=no
            IPv6AcceptRA=no
            DNS=192.0.2.53

            [Address]
            Address=192.0.2.7/24

            [Route]
            Destination=0.0.0.0/0
            Gateway=192.0.2.1
            Metric=100

            [Route]
            Destination=198.51.100.0/24
            Gateway=192.0.2.9
            Metric=100

            """)
    // Of two that lease, the one that does not own the default route says so.
    let two = files("ip=ens3:dhcp ip=ens4:dhcp bootdev=ens4 rd.peerdns=0", up: ["ens3", "ens4"]).map(\.text)
    #expect(two.map { $0.contains("UseGateway=no") } == [true, false])
    #expect(two.allSatisfy { $0.contains("UseDNS=no") })
    #expect(files("ip=dhcp", up: []).isEmpty)
}

@Test(
    "leaves nothing to systemd-networkd that would contradict the image",
    arguments: [
        // installed, enabled, own files, NetworkManager: told, told with coreos.force_persist_ip
        (true, false, false, false, true, true), (false, true, false, false, false, false),
        (true, true, true, false, false, true), (true, false, false, true, false, false),
        (true, true, false, true, true, true),
    ])
func networkdPresence(
    isInstalled: Bool, isEnabled: Bool, hasOwn: Bool, hasManager: Bool, isTold: Bool, isToldAlways: Bool
) {
    var presence = NetworkdPresence()
    presence.isInstalled = isInstalled
    presence.isEnabled = isEnabled
    presence.hasOwnFiles = hasOwn
    presence.hasNetworkManager = hasManager
    #expect(presence.isToBeTold(always: false) == isTold)
    #expect(presence.isToBeTold(always: true) == isToldAlways)
}

// MARK: Verdicts

/// What is seen of some links, and what follows at which second.
private struct Watched {
    var line: String
    var hasTargets = false

    func callAsFunction(_ states: [NetworkLinkState], at now: Double) -> NetworkVerdict {
        let arguments = BootArguments(line).network
        let cards = (0..<max(states.count, 0)).map { interface($0) }
        let plan = plan(line, cards).plan
        return plan.verdict(states, start: 0, now: now, timeouts: arguments.timeouts, hasTargets: hasTargets)
    }
}

private func seen(
    carrier: Double? = nil, lease since: Double? = nil, six: Double? = nil, reached: Double? = nil
) throws -> NetworkLinkState {
    var state = NetworkLinkState(since: 0)
    state.carrierSince = carrier
    let address = try #require(InterfaceAddress("192.0.2.7/24"))
    state.lease = since.map { _ in NetworkLease(interface: "ens3", address: address) }
    state.leaseSince = since
    state.global6Since = six
    state.reachedSince = reached
    return state
}

@Test("waits for what was named, takes the first of what was not")
func verdicts() throws {
    let silent = try seen(carrier: 1)
    let any = Watched(line: "ip=dhcp")
    #expect(any([try seen(), try seen()], at: 9) == .wait)
    #expect(any([silent, try seen(carrier: 1, lease: 2)], at: 2) == .up([1]))
    #expect(any([try seen(carrier: 1, lease: 3), try seen(carrier: 1, lease: 2)], at: 3) == .up([1]))

    let both = Watched(line: "ip=ens3:dhcp ip=ens4:dhcp")
    let first = try seen(carrier: 1, lease: 2)
    #expect(both([first, silent], at: 3) == .wait)
    #expect(both([first, try seen(carrier: 1, lease: 3)], at: 3) == .up([0, 1]))
    #expect(both([first, try seen()], at: 10) == .up([0]))
    #expect(both([first, silent], at: 22) == .up([0]))
    let absent = Watched(line: "ip=ens3:dhcp ip=ens9:dhcp")
    #expect(absent([first], at: 21) == .wait)
    #expect(absent([first], at: 22) == .up([0]))

    let auto = Watched(line: "ip=auto")
    #expect(auto([try seen(carrier: 1, six: 3)], at: 10.9) == .wait)
    #expect(auto([try seen(carrier: 1, six: 3)], at: 11) == .up([0]))
    let families = Watched(line: "ip=dhcp,dhcp6")
    #expect(families([first], at: 21.9) == .wait)
    #expect(families([first], at: 22) == .up([0]))
    #expect(families([try seen(carrier: 1, lease: 2, six: 3)], at: 3) == .up([0]))

    #expect(Watched(line: "ip=192.0.2.10:::24::ens3:none")([silent], at: 1) == .up([0]))
    #expect(Watched(line: "ip=192.0.2.10:::24::ens3:on")([silent], at: 1) == .up([0]))
    // A fixed address stays where DHCP is silent.
    #expect(Watched(line: "ip=192.0.2.10:::24::ens3:dhcp")([silent], at: 10) == .wait)
    #expect(Watched(line: "ip=192.0.2.10:::24::ens3:dhcp")([silent], at: 11) == .up([0]))
    #expect(
        Watched(line: "ip=off")([silent], at: 1) == .failed([NetworkAttempt("ens3", .noAddress, seconds: 0)]))
    #expect(Watched(line: "")([], at: 9.9) == .wait)
    #expect(Watched(line: "")([], at: 10) == .nothingThere)
    // Only ports so far: what they belong to is still to be made.
    #expect(Watched(line: "bond=bond0:ens3 ip=bond0:dhcp")([silent], at: 1) == .wait)
}

@Test("takes a server that comes three minutes late as if it had been there")
func lateServer() throws {
    for hasTargets in [false, true] {
        let any = Watched(line: "", hasTargets: hasTargets)
        for now in stride(from: 1.0, to: 180, by: 1) { #expect(any([try seen(carrier: 1)], at: now) == .wait) }
        #expect(any([try seen(carrier: 1, lease: 180)], at: 180.1) == .up([0]))
        let two = [try seen(carrier: 1), try seen(carrier: 1, lease: 180, reached: hasTargets ? 181 : nil)]
        #expect(any(two, at: 181) == .up([1]))
    }
}

@Test("gives nothing up by itself, and what the operator limits at its time")
func patience() throws {
    let silent = try seen(carrier: 1)
    for line in ["", "ip=dhcp", "ip=auto6", "ip=dhcp rd.net.timeout.dhcp=infinity", "ip=ens9:dhcp"] {
        #expect(Watched(line: line)([silent], at: 100_000) == .wait, "\(line)")
    }
    #expect(Watched(line: "ip=dhcp")([try seen()], at: 100_000) == .wait)
    let limited = Watched(line: "ip=dhcp rd.net.timeout.dhcp=90 rd.net.timeout.carrier=10")
    #expect(limited([try seen(), silent], at: 90.9) == .wait)
    #expect(
        limited([try seen(), silent], at: 91)
            == .failed([
                NetworkAttempt("ens3", .noCarrier, seconds: 10), NetworkAttempt("ens4", .noLease, seconds: 90),
            ]))
    let router = Watched(line: "ip=auto6 rd.net.timeout.ipv6auto=40")
    #expect(router([silent], at: 40.9) == .wait)
    #expect(router([silent], at: 41) == .failed([NetworkAttempt("ens3", .noAdvertisement, seconds: 40)]))
    // Where either family is enough, each has its own time.
    let either = Watched(line: "rd.net.timeout.dhcp=30 rd.net.timeout.ipv6auto=40")
    #expect(either([silent], at: 40.9) == .wait)
    #expect(either([silent], at: 41) == .failed([NetworkAttempt("ens3", .noLease, seconds: 30)]))
    #expect(Watched(line: "rd.net.timeout.ipv6auto=40")([silent], at: 100_000) == .wait, "DHCP's time has no end")
    let card = Watched(line: "ip=ens9:dhcp rd.net.timeout.iflink=60")
    #expect(card([], at: 59.9) == .wait)
    #expect(card([], at: 60) == .nothingThere)
}

@Test("takes the card over which the server answers, not the first with a lease")
func reaching() throws {
    let up = try seen(carrier: 1, lease: 2)
    let reaching = try seen(carrier: 1, lease: 5, reached: 6)
    let any = Watched(line: "", hasTargets: true)
    #expect(any([up, try seen(carrier: 1)], at: 3) == .wait)
    #expect(any([up, try seen(carrier: 1, lease: 5)], at: 1000) == .wait, "nothing answers yet")
    #expect(any([up, reaching], at: 6) == .up([1]))
    #expect(any([up, try seen()], at: 1000) == .wait, "the other may be the one, once it has a carrier")
    #expect(any([up], at: 2) == .up([0]), "with one card there is nothing to choose")
    // IPv6 alone, over which the server answers, need not wait for IPv4.
    #expect(any([try seen(carrier: 1, six: 2)], at: 3) == .wait)
    #expect(any([try seen(carrier: 1, six: 2, reached: 2.1)], at: 3) == .up([0]))
    let named = Watched(line: "ip=ens3:auto", hasTargets: true)
    #expect(named([try seen(carrier: 1, six: 2, reached: 2.1)], at: 3) == .up([0]))
    // What was named stays, behind the one that is needed.
    let both = Watched(line: "ip=ens3:dhcp ip=ens4:dhcp", hasTargets: true)
    #expect(both([up, reaching], at: 6) == .up([1, 0]))
    #expect(both([up, try seen(carrier: 1, lease: 3)], at: 22.9) == .wait)
    #expect(both([up, try seen(carrier: 1, lease: 3)], at: 23) == .up([0, 1]), "both stay whatever answers")
    #expect(both([try seen(), reaching], at: 6) == .up([1]), "a card without a cable costs nothing")
    #expect(both([try seen(carrier: 1), reaching], at: 6) == .wait)
    #expect(both([try seen(carrier: 1), reaching], at: 26) == .up([1]))
}

// MARK: What servers say

@Test("reads a lease")
func readsLease() throws {
    let lease = try #require(
        NetworkLease(environment: [
            "interface": "ens3", "ip": "10.0.2.15", "mask": "24", "subnet": "255.255.255.0",
            "router": "10.0.2.2 10.0.2.1", "dns": "10.0.2.3 x 10.0.2.4", "domain": "example.com", "hostname": "node1",
            "mtu": "1400", "serverid": "10.0.2.2", "lease": "86400",
        ]))
    #expect("\(lease.address)" == "10.0.2.15/24")
    #expect(lease.routes == [NetworkRoute(defaultBy: try #require(IPAddress("10.0.2.2")))])
    #expect(lease.nameservers.map(\.description) == ["10.0.2.3", "10.0.2.4"])
    #expect(lease.searchDomains == ["example.com"])
    #expect(lease.hostname == "node1")
    #expect(lease.mtu == 1400)
    #expect(lease.seconds == 86_400)
}

@Test("prefers classless routes to the router, search lists to the domain; keeps out what does not belong")
func readsOddLease() throws {
    let lease = try #require(
        NetworkLease(environment: [
            "interface": "ens3", "ip": "10.1.2.3", "subnet": "255.255.0.0", "router": "10.1.0.1",
            "staticroutes": "198.51.100.0/24 10.1.0.9 203.0.113.0/24 0.0.0.0 0.0.0.0/0 10.1.0.2 junk",
            "domain": "example.com", "search": "a.example b.example evil\nnameserver", "hostname": "x y", "mtu": "60",
        ]))
    #expect("\(lease.address)" == "10.1.2.3/16")
    let routes = lease.routes.map { "\($0.destination)@\($0.gateway?.description ?? "link")" }
    #expect(routes == ["198.51.100.0/24@10.1.0.9", "203.0.113.0/24@link", "0.0.0.0/0@10.1.0.2"])
    #expect(lease.searchDomains == ["a.example", "b.example"])
    #expect(lease.hostname == nil)
    #expect(lease.mtu == nil)
    #expect(NetworkLease(environment: ["interface": "ens3"]) == nil)
    #expect(NetworkLease(environment: ["ip": "10.0.0.1"]) == nil)
    #expect(NetworkLease(environment: ["interface": "e", "ip": "172.16.0.1"])?.address.prefix == 16)
}

@Test("reads name servers from a router advertisement, and nothing from what is cut short")
func readsRouterDNS() throws {
    let server = try #require(IPAddress("2001:db8::53"))
    let option: [UInt8] = [25, 3, 0, 0, 0, 0, 2, 88] + server.bytes
    let mtu: [UInt8] = [5, 1, 0, 0, 0, 0, 5, 220]
    func message(_ options: [UInt8], type: UInt8 = 68) -> [UInt8] {
        [UInt8(32 + options.count), 0, 0, 0, type, 0, 0, 0] + Array(repeating: 0, count: 8)
            + [10, 0, UInt8(options.count), 0, 7, 0, 0, 0, 134, 0, 0, 0, 0, 0, 0, 0] + options
    }
    let whole = message(mtu + option)
    let read = try #require(RouterDNS(netlinkMessage: whole))
    #expect(read.interfaceIndex == 7)
    #expect(read.nameservers == [server])
    #expect(RouterDNS(netlinkMessage: message(option, type: 16)) == nil)
    #expect(RouterDNS(netlinkMessage: message(mtu)) == nil)
    var names = RouterNames()
    names.take(read)
    #expect(names.nameservers == [server])
    let over = try #require(RouterDNS(netlinkMessage: message([25, 3, 0, 0, 0, 0, 0, 0] + server.bytes)))
    #expect(over.nameservers.isEmpty && over.endedServers == [server])
    names.take(over)
    #expect(names.nameservers.isEmpty, "a server whose lifetime is 0 is no server any more")
    let domains: [UInt8] = [31, 3, 0, 0, 0, 0, 2, 88, 1, 97, 7] + Array("example".utf8) + [0, 0, 0, 0, 0, 0]
    let listed = try #require(RouterDNS(netlinkMessage: message(domains)))
    #expect(listed.searchDomains == ["a.example"])
    #expect(RouterDNS(netlinkMessage: message([25, 0, 0, 0, 0, 0, 2, 88])) == nil, "no length")
    let flags: [UInt8] =
        [48, 0, 0, 0, 16, 0, 0, 0] + Array(repeating: 0, count: 8) + [10, 0, 1, 0, 7, 0, 0, 0]
        + Array(repeating: 0, count: 8) + [16, 0, 12, 128, 12, 0, 1, 0, 0x60, 0, 0, 0, 0, 0, 0, 0]
    #expect(RouterFlags(netlinkMessage: flags) == nil, "an attribute of another size")
    var right = flags
    right[36] = 8
    right[32] = 12
    let told = try #require(RouterFlags(netlinkMessage: right))
    #expect(told.interfaceIndex == 7 && told.isManaged && !told.hasOther && told.isAdvertised)
    for length in 0..<whole.count {
        #expect(RouterDNS(netlinkMessage: Array(whole.prefix(length))) == nil)
    }
}

@Test("keeps as many names of routers as a boot can ask, whoever floods the link")
func routerNamesAreBounded() throws {
    var names = RouterNames()
    for number in 0..<1000 {
        var said = try #require(RouterDNS(netlinkMessage: advertisedServer(number)))
        said.searchDomains = ["d\(number).example"]
        names.take(said)
    }
    #expect(names.nameservers.count == 16 && names.searchDomains.count == 16)
    #expect(names.nameservers.first?.description == "2001:db8::")
}

/// One RDNSS option with one server.
private func advertisedServer(_ number: Int) -> [UInt8] {
    let server: [UInt8] =
        [0x20, 1, 0xd, 0xb8] + Array(repeating: 0, count: 10) + [UInt8(number >> 8), UInt8(number & 0xff)]
    let options: [UInt8] = [25, 3, 0, 0, 0, 0, 0, 9] + server
    let head: [UInt8] = [56, 0, 0, 0, 68, 0] + Array(repeating: 0, count: 10)
    return head + [10, 0, UInt8(options.count), 0, 3, 0, 0, 0] + Array(repeating: 0, count: 8) + options
}

@Test("reads the kernel's IPv6 tables")
func readsKernelTables() {
    let addresses = KernelIPv6Address.all(
        """
        00000000000000000000000000000001 01 80 10 80       lo
        fe800000000000005054 02 40 20 80 cut
        fe8000000000000050540012fe345600 02 40 20 80     ens3
        fec00000000000005054000012345600 02 40 40 00     ens3
        20010db8000000000000000000000010 02 40 00 40     ens3
        20010db8000000000000000000000011 02 40 00 44     ens3
        20010db8000000000000000000000012 02 40 00 4c     ens3

        """)
    #expect(
        addresses.map(\.address.description) == [
            "::1/128", "fe80::5054:12:fe34:5600/64", "fec0::5054:0:1234:5600/64", "2001:db8::10/64", "2001:db8::11/64",
            "2001:db8::12/64",
        ])
    #expect(addresses.map(\.isGlobal) == [false, false, true, true, true, true])
    #expect(addresses.map(\.isLinkLocal) == [false, true, false, false, false, false])
    // One that is looked for elsewhere may be used meanwhile, unless it was found.
    #expect(addresses.map(\.isUsable) == [true, true, true, false, true, false])

    let gateways = KernelIPv6Address.gateways(
        """
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000002 00000400 00000001 00000000 00450003     ens3
        20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     ens3
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
        """, interface: "ens3")
    #expect(gateways.map(\.description) == ["fe80::2"])
}

// MARK: What is told

@Test("tells the state of the network in a line, and to the resolver")
func tellsState() throws {
    let address = try #require(InterfaceAddress("10.0.2.15/24"))
    let gateway = try #require(IPAddress("10.0.2.2"))
    let server = try #require(IPAddress("10.0.2.3"))
    let link = NetworkState.Link(
        interface: "ens3", mac: mac(0), method: .dhcp, addresses: [address], gateways: [gateway])
    func summary(_ servers: [IPAddress]) -> String {
        NetworkState(links: [link], nameservers: servers.map { NameServer($0) }).summary
    }
    #expect(summary([gateway]) == "ens3 10.0.2.15/24 by DHCP, gateway and DNS 10.0.2.2")
    #expect(summary([server]) == "ens3 10.0.2.15/24 by DHCP, gateway 10.0.2.2, DNS 10.0.2.3")
    #expect(summary([]) == "ens3 10.0.2.15/24 by DHCP, gateway 10.0.2.2, no DNS")
    let bare = NetworkState.Link(interface: "ens3", mac: nil, method: .fixed, addresses: [address], gateways: [])
    #expect(NetworkState(links: [bare], nameservers: []).summary == "ens3 10.0.2.15/24, no gateway, no DNS")

    var dual = link
    dual.addresses.append(try #require(InterfaceAddress("2001:db8::10/64")))
    #expect(
        NetworkState(links: [dual], nameservers: []).summary == "ens3 10.0.2.15/24 by DHCP, gateway 10.0.2.2, no DNS")

    let local = try #require(IPAddress("fe80::1"))
    // The zone is the link's that it was learned by, whichever comes first.
    let state = NetworkState(
        links: [link], nameservers: [NameServer(server), NameServer(local, by: "ens4")],
        searchDomains: ["a.example", "b.example"])
    #expect(
        state.resolverConfiguration.hasSuffix(
            "search a.example b.example\nnameserver 10.0.2.3\nnameserver fe80::1%ens4\n"))
    #expect(NameServer("fe80::1%ens4") == NameServer(local, by: "ens4") && NameServer("192.0.2.1")?.interface == nil)
    #expect(NetworkState.namesServers(state.resolverConfiguration))
    #expect(!NetworkState.namesServers("# nameserver 192.0.2.1\nsearch x\n"))
}
