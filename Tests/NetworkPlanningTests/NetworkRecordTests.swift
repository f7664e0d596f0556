// What the network leaves for other stages.

import BootArguments
import JSONText
import Testing

@testable import NetworkPlanning

@Suite("the network's records")
struct NetworkRecordTests {
    private func state() throws -> NetworkState {
        let address = try #require(InterfaceAddress("10.0.2.15/24"))
        let gateway = try #require(IPAddress("10.0.2.2"))
        var lease = NetworkLease(interface: "ens3", address: address)
        lease.server = gateway
        lease.routes = [NetworkRoute(to: try #require(InterfaceAddress("0.0.0.0/0")), via: gateway)]
        lease.nameservers = [gateway]
        lease.seconds = 3600
        var first = NetworkState.Link(
            interface: "ens3", mac: mac(0), method: .dhcp, addresses: [address], gateways: [gateway], lease: lease)
        first.metric = 90
        first.timeServers = [gateway]
        var second = NetworkState.Link(
            interface: "ens4", mac: nil, method: .autoconfiguration, addresses: [], gateways: [])
        var lease6 = NetworkLease6()
        lease6.searchDomains = ["example"]
        second.lease6 = lease6
        let third = NetworkState.Link(interface: "ens5", mac: nil, method: .fixed, addresses: [], gateways: [])
        return NetworkState(
            links: [first, second, third], nameservers: [try #require(NameServer("fe80::1%ens4"))],
            searchDomains: ["example"], hostname: "one")
    }

    @Test("what is written is read again")
    func roundTrip() throws {
        let record = NetworkRecord(try state())
        #expect(NetworkRecord(parsing: record.bytes) == record)
        let lease = LeaseRecord(try #require(try state().links[0].lease))
        #expect(LeaseRecord(parsing: lease.bytes) == lease)
    }

    @Test("the words in files are not those of the console")
    func words() throws {
        let json = NetworkRecord(try state()).text
        #expect(json["schema"]?.integer == 2)
        let links = try #require(json["interfaces"]?.elements)
        #expect(links.map { $0["method"]?.string } == ["dhcp", "router-advertisement", "fixed"])
        #expect(links[0]["mac"]?.string == mac(0)?.description && links[0]["lease"]?["server"]?.string == "10.0.2.2")
        #expect(try state().summary.contains("ens4 no address by router advertisement"))
    }

    @Test("a record of another form is none")
    func schemas() {
        #expect(NetworkRecord(reading: ["schema": 1, "interfaces": []]) == nil)
        #expect(NetworkRecord(reading: ["interfaces": []]) == nil)
        #expect(NetworkRecord(reading: ["schema": 2]) == nil)
        let static0: JSONValue = ["interface": "ens3", "method": "static0"]
        #expect(NetworkRecord(reading: ["schema": 2, "interfaces": [static0]]) == nil)
        #expect(NetworkRecord(parsing: Array("{".utf8)) == nil)
        #expect(LeaseRecord(reading: ["interface": "ens3"]) == nil)
    }
}
