// What the real root is told of leases that have changed since the network came up.

import BootArguments
import Testing

@testable import NetworkPlanning

private func addresses(_ texts: String...) -> [IPAddress] { texts.compactMap { IPAddress($0) } }

private func servers(_ texts: String...) -> [NameServer] { texts.compactMap { NameServer($0) } }

private func lease(_ address: String, nameservers: [IPAddress] = [], time: [IPAddress] = []) throws -> NetworkLease {
    var lease = NetworkLease(interface: "ens3", address: try #require(InterfaceAddress(address)))
    lease.nameservers = nameservers
    lease.timeServers = time
    lease.searchDomains = ["\(address.prefix { $0 != "/" }).example"]
    return lease
}

private func state(_ lease: NetworkLease, time: [IPAddress], nameservers: [IPAddress]) -> NetworkState {
    var link = NetworkState.Link(
        interface: "ens3", mac: nil, method: .dhcp, addresses: [lease.address], gateways: [], lease: lease)
    link.timeServers = time
    return NetworkState(
        links: [link], nameservers: nameservers.map { NameServer($0) },
        searchDomains: ["own.example", "192.0.2.9.example"])
}

@Suite("renewed leases") struct Renewals {
    @Test("what a renewal changes takes the place of what it was; what others named stays")
    func renewed() throws {
        let old = try lease("192.0.2.9/24", nameservers: addresses("192.0.2.1"), time: addresses("192.0.2.2"))
        let new = try lease(
            "192.0.2.9/24", nameservers: addresses("192.0.2.7", "192.0.2.8"), time: addresses("192.0.2.3", "192.0.2.4"))
        var told = state(
            old, time: addresses("198.51.100.1", "192.0.2.2", "2001:db8::2"),
            nameservers: addresses("192.0.2.1", "2001:db8::1"))
        told.renew("ens4", by: new)
        #expect(told.links[0].lease == old)
        told.renew("ens3", by: new)
        #expect(told.timeServers.map(\.description) == ["198.51.100.1", "192.0.2.3", "192.0.2.4", "2001:db8::2"])
        #expect(told.nameservers.map(\.description) == ["192.0.2.7", "192.0.2.8", "2001:db8::1"])
        #expect(told.links[0].lease == new)
        let before = told
        told.renew("ens3", by: new)
        #expect(told == before)
    }

    @Test("another address of the link is told with the domains that came with it")
    func moved() throws {
        let new = try lease("192.0.2.77/24")
        var told = state(try lease("192.0.2.9/24"), time: [], nameservers: [])
        told.renew("ens3", by: new)
        #expect(told.links[0].addresses == [new.address])
        #expect(told.searchDomains == ["own.example", "192.0.2.77.example"])
    }

    @Test("a first time server is told, but no name server where the server's were not wanted")
    func first() throws {
        let old = try lease("192.0.2.9/24", nameservers: addresses("192.0.2.1"))
        var told = state(old, time: [], nameservers: addresses("1.1.1.1"))
        told.renew(
            "ens3", by: try lease("192.0.2.9/24", nameservers: addresses("192.0.2.7"), time: addresses("192.0.2.2")))
        #expect(told.timeServers.map(\.description) == ["192.0.2.2"])
        #expect(told.nameservers.map(\.description) == ["1.1.1.1"])
        // One of DHCPv6 that comes when the network is up already.
        var lease6 = NetworkLease6()
        lease6.timeServers = addresses("2001:db8::2", "192.0.2.2")
        lease6.nameservers = addresses("2001:db8::1")
        told.renew("ens3", by: lease6)
        #expect(told.timeServers.map(\.description) == ["192.0.2.2", "2001:db8::2"])
        #expect(told.nameservers.map(\.description) == ["1.1.1.1"])
    }

    @Test("what a renewal by DHCPv6 changes takes the place of what it was, too")
    func renewed6() throws {
        var old = NetworkLease6()
        old.addresses = addresses("2001:db8::9")
        old.nameservers = addresses("2001:db8::1", "fe80::1")
        old.searchDomains = ["old.example"]
        old.timeServers = addresses("2001:db8::2")
        var told = state(
            try lease("192.0.2.9/24", nameservers: addresses("192.0.2.1")), time: addresses("192.0.2.2", "2001:db8::2"),
            nameservers: addresses("192.0.2.1", "2001:db8::1"))
        told.nameservers += [try #require(NameServer("fe80::1%ens3")), NameServer(addresses("2001:db8:1::1")[0])]
        told.searchDomains += old.searchDomains
        told.links[0].addresses += [try #require(InterfaceAddress("2001:db8::9/128"))]
        told.links[0].lease6 = old

        var new = old
        new.renewal = 3600
        var before = told
        told.renew("ens3", by: new)
        before.links[0].lease6 = new
        #expect(told == before)

        new.addresses = addresses("2001:db8::77")
        new.nameservers = addresses("fe80::1", "2001:db8::7")
        new.searchDomains = ["new.example", "own.example"]
        new.timeServers = addresses("2001:db8::3", "2001:db8::4")
        told.renew("ens4", by: new)
        told.renew("ens3", by: new)
        #expect(
            told.nameservers.map(\.description) == ["192.0.2.1", "fe80::1%ens3", "2001:db8::7", "2001:db8:1::1"])
        #expect(told.searchDomains == ["own.example", "192.0.2.9.example", "new.example"])
        #expect(told.timeServers.map(\.description) == ["192.0.2.2", "2001:db8::3", "2001:db8::4"])
        #expect(told.links[0].addresses.map(\.description) == ["192.0.2.9/24", "2001:db8::77/128"])
        #expect(told.links[0].lease6 == new)
    }

    @Test("the boot's own resolver is told of other servers, unless it was not to ask the server's")
    func resolver() {
        func changed(_ text: String) -> String? {
            NetworkState.resolverConfiguration(
                text, replacing: servers("192.0.2.1", "fe80::1%ens3"), by: servers("192.0.2.3", "fe80::1%ens3"))
        }
        #expect(
            changed("search a\nnameserver 192.0.2.1\nnameserver fe80::1%ens3\noptions timeout:1\n")
                == "search a\nnameserver 192.0.2.3\nnameserver fe80::1%ens3\noptions timeout:1\n")
        #expect(
            changed("search a\r\nnameserver 192.0.2.1\r\n")
                == "search a\nnameserver 192.0.2.3\nnameserver fe80::1%ens3\n")
        #expect(changed("nameserver 1.1.1.1\n") == nil && changed("") == nil)
        #expect(
            NetworkState.resolverConfiguration(
                "nameserver 1.1.1.1\n", replacing: [], by: servers("192.0.2.3")) == nil)
    }
}
