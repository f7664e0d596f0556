// A case is a file: its first line is what the kernel was given, the others are what is read in it.

import BootArguments
import Encoding
import Foundation
import Testing

struct Fixture: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let given: [UInt8]
    let expected: [String]

    static func all(in folder: String) throws -> [Fixture] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folder = root.appending(path: "Fixtures/arguments/\(folder)")
        return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { name in
            let lines = try Data(contentsOf: folder.appending(path: name)).split(
                separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            return Fixture(
                testDescription: name, given: Array(lines[0]),
                expected: lines.dropFirst().map { String(decoding: $0, as: UTF8.self) }.filter { !$0.isEmpty })
        }
    }
}

@Test("splits a line as the kernel does", arguments: try Fixture.all(in: "words"))
func splits(_ fixture: Fixture) {
    let line = KernelCommandLine(bytes: fixture.given)
    func texts(_ words: [KernelCommandLine.Word]) -> [String] {
        words.map { word in word.value.map { "\(word.key) = \($0)" } ?? word.key }
    }
    let hasDashes = fixture.expected.contains("--")
    #expect(texts(line.words) + (hasDashes ? ["--"] : []) + texts(line.afterDashes) == fixture.expected)
}

@Test("reads the arguments", arguments: try Fixture.all(in: "boot"))
func reads(_ fixture: Fixture) {
    #expect(lines(BootArguments(bytes: fixture.given)) == fixture.expected)
}

/// Everything that is not as it is without any argument, a line each.
func lines(_ arguments: BootArguments) -> [String] {
    var lines: [String] = []
    func say(_ name: String, _ value: String?) { if let value { lines.append("\(name) \(value)") } }
    func say(_ name: String, _ flag: Bool) { if flag { lines.append(name) } }
    func say(_ name: String, list: [String]) {
        if !list.isEmpty { lines.append("\(name) \(list.joined(separator: " "))") }
    }
    say("rootfsURLs", list: arguments.rootfsURLs.map(\.asWritten.text))
    say("fallbackURLs", list: arguments.fallbackURLs.map(\.asWritten.text))
    say("liveISO", arguments.liveISO)
    say("fromRAM", arguments.fromRAM)
    say("rootfsSHA256", arguments.rootfsSHA256)
    say("medium is not checked", !arguments.checksMedium)
    say("proxy", arguments.proxy?.text)
    say("overlaySize", arguments.overlaySize?.description)
    say("ignitionFirstboot", arguments.ignitionFirstboot)
    say("platform", arguments.platform)
    say("configURL", arguments.configURL?.asWritten.text)
    say("configVolume", arguments.configVolume.map { "\($0.label) \($0.path)" })
    say("planOnly", arguments.planOnly)
    say("isStrict", arguments.isStrict)
    say("reportURL", arguments.reportURL?.asWritten.text)
    lines += networkLines(arguments.network)
    say("breakPoints", list: BreakPoint.allCases.filter(arguments.breakPoints.contains).map(\.rawValue))
    say("shell forbidden", !arguments.shellAllowed)
    say("emergency", arguments.emergency == .shell ? nil : arguments.emergency.rawValue)
    say("logLevel", arguments.logLevel?.rawValue)
    say("consoles", list: arguments.consoles)
    say("quiet", arguments.quiet)
    say("failure", arguments.failureAction == .shell ? nil : arguments.failureAction.rawValue)
    say("blockedModules", list: arguments.blockedModules.sorted())
    say("extraModules", list: arguments.extraModules)
    for (module, parameters) in arguments.moduleParameters.sorted(by: { $0.key < $1.key }) {
        say("module \(module)", list: parameters)
    }
    say("deviceTimeout", arguments.deviceTimeout.map(String.init))
    say("init", arguments.initProgram)
    say("initArguments", list: arguments.initArguments)
    lines += arguments.warnings.map { "warning \($0)" }
    lines += arguments.problems.map { "problem \($0.scope) \($0)" }
    return lines
}

func networkLines(_ network: NetworkArguments) -> [String] {
    var lines: [String] = []
    for ip in network.ip {
        var line = "ip \(ip.interface?.description ?? "*") \(ip.method)"
        if let address = ip.address { line += " \(address)" }
        if let gateway = ip.gateway { line += " via \(gateway)" }
        if let hostname = ip.hostname { line += " name \(hostname)" }
        if let mtu = ip.mtu { line += " mtu \(mtu)" }
        if let mac = ip.clonedMAC { line += " mac \(mac)" }
        for server in ip.nameservers { line += " dns \(server)" }
        for domain in ip.searchDomains { line += " search \(domain)" }
        lines.append(line)
    }
    for link in network.links {
        let kind =
            switch link.kind {
            case .vlan(let id): "vlan \(id)"
            case .bond(let options):
                (["bond"] + options.inOrder.map { "\($0.name)=\($0.value)" }).joined(separator: " ")
            case .bridge: "bridge"
            }
        let lower = link.lower.map(\.description).joined(separator: " ")
        lines.append("link \(link.name) \(kind) of \(lower)" + (link.mtu.map { " mtu \($0)" } ?? ""))
    }
    for card in network.ethtool {
        lines.append("ethtool \(card.interface) \(card.autonegotiates.map { "\($0)" } ?? "-") \(card.speed ?? 0)")
    }
    if let client = network.clientID { lines.append("client \(client)") }
    if let vendor = network.vendorClass { lines.append("vendor \(vendor)") }
    if network.identityIsUUID { lines.append("identity uuid") }
    lines += network.nameservers.map { "nameserver \($0)" }
    lines += network.timeServers.map { "time server \($0)" }
    for route in network.routes {
        lines.append(
            "route \(route.destination)" + (route.gateway.map { " via \($0)" } ?? "")
                + (route.interface.map { " on \($0)" } ?? ""))
    }
    if network.isNeeded { lines.append("neednet") }
    if !network.peerDNS { lines.append("no peer DNS") }
    if let interface = network.bootInterface { lines.append("bootdev \(interface)") }
    if let mac = network.bootIF { lines.append("bootIF \(mac)") }
    for (mac, name) in network.names { lines.append("ifname \(mac) \(name)") }
    if !network.predictableNames { lines.append("kernel names") }
    if network.persistence != .whereNeeded { lines.append("persistence \(network.persistence)") }
    let times = network.timeouts
    if times != NetworkArguments.Timeouts() {
        let all = [times.dhcp, times.carrier, times.interface, times.ipv6].map { $0.map(String.init) ?? "-" }
        lines.append("timeouts \(all.joined(separator: " "))")
    }
    return lines
}

@Test("says when the network is needed")
func needsNetwork() {
    #expect(!BootArguments("ip=dhcp coreos.liveiso=x").needsNetwork())
    #expect(BootArguments("rd.neednet=1").needsNetwork())
    #expect(BootArguments("coreos.live.rootfs_url=http://a/r").needsNetwork())
    #expect(!BootArguments("coreos.live.rootfs_url=http://a/r").needsNetwork(rootImageIsLocal: true))
    #expect(!BootArguments("coreos.live.rootfs_url=http://a/r coreos.liveiso=x").needsNetwork())
    #expect(BootArguments("ignition.firstboot ignition.config.url=http://a/c").needsNetwork())
    #expect(!BootArguments("ignition.config.url=http://a/c").needsNetwork())
    #expect(!BootArguments("ignition.firstboot ignition.config.url=data:,%7B%7D").needsNetwork())
    #expect(BootArguments("").needsNetwork(configNeedsNetwork: true))
}

@Test("a boot that does without the network tells what it does not hand over")
func networkWarnings() {
    let line = "ip=10.0.0.2::10.0.0.1:24::eth0:none:8.8.8.8:bad vlan=foo:eth0 rd.znet=qeth ip=eth0:dhcp"
    let warnings = BootArguments(line).networkWarnings
    #expect(warnings.count == 3 && warnings.allSatisfy { $0.hasSuffix("; not used, and not handed over") })
    #expect(BootArguments("ip=eth0:dhcp firstlight.rootfs_sha256=x").networkWarnings.isEmpty)
}

@Test(
    "reads sizes",
    arguments: [
        ("50%", OverlaySize.percent(50)), ("512M", .bytes(512 << 20)), ("2g", .bytes(2 << 30)),
        ("2GiB", .bytes(2 << 30)), ("4096", .bytes(4096)), ("0", nil), ("0%", nil), ("101%", nil), ("", nil),
        ("M", nil),
        ("1.5G", nil), ("-1G", nil), ("2iB", nil), ("99999999999999999999G", nil), ("18446744073709551615T", nil),
    ])
func readsSizes(text: String, size: OverlaySize?) {
    #expect(OverlaySize(text) == size)
}

@Test(
    "reads and writes addresses",
    arguments: [
        ("192.0.2.1", "192.0.2.1"), ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("[::]", "::"), ("::1", "::1"),
        ("1::", "1::"), ("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"), ("::ffff:192.0.2.1", "::ffff:c000:201"),
        ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"), ("fe80::1", "fe80::1"), ("192.0.2", nil), ("192.0.2.256", nil),
        ("192.0.2.01", nil), ("1::2::3", nil), (":::", nil), ("1:2:3:4:5:6:7", nil), ("1:2:3:4:5:6:7:8:9", nil),
        ("1:2:3:4::5:6:7:8", nil), ("12345::", nil), ("192.0.2.1::", nil), ("g::", nil), ("fe80::1%eth0", nil),
        ("", nil),
        ("+1.2.3.4", nil), ("1.2.3.4\u{0663}", nil),
    ])
func readsAddresses(text: String, written: String?) {
    #expect(IPAddress(text)?.description == written)
}

@Test(
    "says whether a root without an identifier is going to boot first",
    arguments: [
        ("", true), ("quiet systemd.unit=rescue.target", true), ("systemd.condition-first-boot=no", false),
        ("systemd.condition_first_boot", false), ("systemd.machine_id=0123456789abcdef0123456789abcdef", false),
        ("firstlight.identity=uuid", false), ("firstlight.identity=mac", true), ("init=/bin/sh", true),
    ])
func firstBoot(_ line: String, _ isAllowed: Bool) {
    #expect(BootArguments(line).allowsFirstBoot == isAllowed)
}

@Test("knows netmasks, networks and what lies in them")
func networks() throws {
    let address = try #require(InterfaceAddress("10.1.130.3/17"))
    #expect("\(address.network)" == "10.1.128.0/17")
    #expect(address.contains(try #require(IPAddress("10.1.255.255"))))
    #expect(!address.contains(try #require(IPAddress("10.1.127.255"))))
    #expect(!address.contains(try #require(IPAddress("::1"))))
    #expect(IPAddress("255.255.128.0")?.netmaskLength == 17)
    #expect(IPAddress("0.0.0.0")?.netmaskLength == 0)
    #expect(IPAddress("255.255.255.255")?.netmaskLength == 32)
    #expect(IPAddress("255.0.255.0")?.netmaskLength == nil)
    #expect(InterfaceAddress("10.0.0.1/33") == nil)
    #expect(InterfaceAddress("10.0.0.1/") == nil)
}

@Test("documents every argument once per form, and nothing breaks the table")
func documentation() {
    let rows = BootArguments.documentation
    #expect(Set(rows.map { $0.argument + $0.form }).count == rows.count)
    #expect(rows.allSatisfy { !($0.argument + $0.form + $0.meaning).contains("|") })
    #expect(BootArguments.markdownTable.contains("| `coreos.live.rootfs_url=URL` |"))
}

@Test("the documentation holds the table of arguments as it is generated")
func documentationHoldsTheTable() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    let page = try String(contentsOf: root.appending(path: "docs/kernel-arguments.md"), encoding: .utf8)
    let start = try #require(page.range(of: "<!-- arguments -->\n"))
    let end = try #require(page.range(of: "<!-- /arguments -->"))
    #expect(String(page[start.upperBound..<end.lowerBound]) == BootArguments.markdownTable)
}

@Test(
    "keeps the kernel's messages off the consoles unless they are asked for",
    arguments: [
        ("console=ttyS0", true), ("console=ttyS0 quiet", true), ("debug", false), ("loglevel=7", false),
        ("ignore_loglevel", false), ("rd.debug", false), ("firstlight.log_level=info", false), ("-- debug", true),
    ])
func lowersConsoleLevel(line: String, isLowered: Bool) {
    #expect(BootArguments(line).lowersConsoleLevel == isLowered)
}

@Test("fills a machine's values into a URL, encoded")
func fillsMachineURLs() throws {
    func url(_ text: String) throws -> MachineURL { MachineURL(try SourceURL(parsing: text)) }
    func filled(_ text: String) throws -> String {
        try url(text).filled { value in
            switch value {
            case .uuid: "4c4c4544-0042"
            case .mac: "52:54:00:12:34:56"
            case .serial: "A/B ?#%&é.~"
            case .hostname: "${uuid}"
            }
        }.text
    }
    #expect(try filled("http://a/x") == "http://a/x")
    #expect(
        try filled("http://a/i?u=${uuid}&m=${mac}#${uuid}")
            == "http://a/i?u=4c4c4544-0042&m=52%3A54%3A00%3A12%3A34%3A56#4c4c4544-0042")
    #expect(
        try filled("http://[2001:db8::1]:80/${serial}") == "http://[2001:db8::1]:80/A%2FB%20%3F%23%25%26%C3%A9.~")
    // A value is not looked into.
    #expect(try filled("http://a/$${hostname}}") == "http://a/$%24%7Buuid%7D}")
    #expect(try filled("data:,${uuid}") == "data:,${uuid}")
    #expect(try url("http://a/${serial}/${mac}/${mac}").values == [.mac, .serial])
    for text in ["http://${uuid}/", "http://me:${uuid}@a/"] { #expect(try url(text).fault == .inHost) }
    #expect(throws: SourceURL.Fault.badPort) { try url("http://a:8${uuid}") }
    #expect(try url("http://a/${uuid}${").fault == .unclosed)
    #expect(try url("http://a/${}").fault == .unknown(""))
    // It is shown as a URL is.
    #expect(try "\(url("http://me:secret@a/${uuid}?secret"))" == "http://a/${uuid}")
}
