// What is told of the network once it is up.

import BootArguments
import Testing

@testable import NetworkPlanning

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
