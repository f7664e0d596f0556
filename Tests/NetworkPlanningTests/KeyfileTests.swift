// What is read from keyfiles, and what is never told of them.

import Foundation
import Testing

@testable import NetworkPlanning

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

@Test("reads a keyfile; the lines after #= say what is in it", arguments: try fixtureFiles("network/keyfiles"))
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

@Test("a combining mark belongs to the value, not to the sign before it", arguments: ["\u{651}o}5", "a\\\u{301}"])
func combiningMarks(_ name: String) throws {
    let text = "[connection]\ntype=ethernet\ninterface-name=\(name)\n"
    let keyfile = try NetworkKeyfile(text, file: "a.nmconnection")
    let again = try NetworkKeyfile(keyfile.profile.keyfile(id: "again"), file: "a.nmconnection")
    #expect(again.profile.interface == keyfile.profile.interface)
    #expect(again.profile.interface != nil)
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

@Test("what is not made of a keyfile's routes is told, and no other route is made in its place")
func leavesOutOtherRoutes() throws {
    let text = """
        [connection]
        id=a
        type=ethernet
        [ipv4]
        method=auto
        route1=10.0.0.0/8
        route1_options=type=blackhole
        route2=10.1.0.0/16,192.0.2.1
        route2_options=type=unicast
        routing-rule1=priority 100 from 192.168.1.0/24 table 100
        """
    let keyfile = try NetworkKeyfile(text, file: "a")
    #expect(keyfile.profile.routes.map { "\($0.destination)" } == ["10.1.0.0/16"])
    #expect(
        keyfile.warnings == [
            "a: ipv4.route1 is left out: a route of type blackhole is not made here",
            "a: ipv4.routing-rule1 is left out: no routing rules are made here",
        ])
}

@Test("a VLAN's keyfile has to say what the VLAN is on")
func vlanParents() {
    func failure(_ name: String, _ parent: String) -> String? {
        let text = "[connection]\nid=a\ntype=vlan\ninterface-name=\(name)\n[vlan]\nid=5\n\(parent)\n"
        do throws(NetworkKeyfile.Failure) { _ = try NetworkKeyfile(text, file: "a") } catch { return "\(error)" }
        return nil
    }
    #expect(failure("lan", "") == "a: the interface that the VLAN lan is on is missing")
    #expect(failure("eth0.5", "parent=eth0.5") == "a: the VLAN eth0.5 cannot be on itself")
    #expect(failure("eth0.5", "") == nil)
    #expect(failure("lan", "parent=eth0") == nil)
    #expect(failure("lan", "[ethernet]\nmac-address=52:54:00:00:00:01") == nil)
}
