// Cards, plans and states of links that several tests begin with.

import BootArguments
import DeviceNames
import Foundation
import Testing

@testable import NetworkPlanning

func fixtureFiles(_ folder: String) throws -> [URL] {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    return try FileManager.default.contentsOfDirectory(
        at: root.appending(path: "Fixtures/\(folder)"), includingPropertiesForKeys: nil
    ).sorted { $0.path < $1.path }
}

/// `auto!/disabled`: the method of each family, `!` where the link is not up without it.
func methods(_ profile: NetworkProfile) -> String {
    [profile.ipv4, profile.ipv6].map { $0.method.rawValue + ($0.mayFail ? "" : "!") }.joined(separator: "/")
}

func mac(_ last: UInt8) -> MACAddress? { MACAddress(bytes: [0x52, 0x54, 0, 0, 0, last]) }

func interface(_ number: Int, wired: Bool = true) -> NetworkInterface {
    NetworkInterface(
        name: "eth\(number)", index: number + 2, mac: mac(UInt8(number)), isWired: wired,
        predictable: PredictableNames(slot: "ens\(number + 3)", path: "enp0s\(number + 3)"))
}

/// The plan of a command line for some interfaces: `eth0>ens3 dhcp`, a `!` after those that are named.
func plan(
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

func seen(
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
