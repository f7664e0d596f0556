// What servers, routers and the kernel say.

import BootArguments
import Testing

@testable import NetworkPlanning

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
    #expect(names.nameservers.isEmpty, "a server whose lifetime is 0 is not a server any more")
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
