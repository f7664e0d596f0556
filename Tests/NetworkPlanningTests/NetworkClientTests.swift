// A DHCPv6 client's side, name servers' answers, and which server is behind a URL.

import BootArguments
import Encoding
import Testing

@testable import NetworkPlanning

private let duid: [UInt8] = [0, 3, 0, 1, 0x52, 0x54, 0, 0, 0, 1]
private let server: [UInt8] = [0, 1, 9, 9]
private let identity: [UInt8] = [0, 0, 0, 7]

private func option(_ code: UInt8, _ content: [UInt8]) -> [UInt8] { [0, code, 0, UInt8(content.count)] + content }

private func seconds(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }

/// An answer of that kind to a packet.
private func answer(_ kind: UInt8, to packet: [UInt8], _ options: [UInt8]) -> [UInt8] {
    [kind] + packet[1..<4] + option(1, duid) + option(2, server) + options
}

private func association(_ address: String, valid: UInt32, renewal: UInt32 = 0) throws -> [UInt8] {
    let bytes = try #require(IPAddress(address)).bytes
    let inner = option(5, bytes + seconds(valid / 2) + seconds(valid))
    return option(3, identity + seconds(renewal) + seconds(0) + inner)
}

/// One client, whose dealings may stand in an expectation.
private final class Client {
    private var exchange: DHCPv6Exchange

    init(isStateful: Bool) {
        exchange = DHCPv6Exchange(duid: duid, identity: identity, isStateful: isStateful, at: 0)
    }

    var lease: NetworkLease6? { exchange.lease }
    var isSoliciting: Bool { exchange.phase == .soliciting }
    func packet(at now: Double) -> [UInt8]? { exchange.packet(at: now) }
    func take(_ bytes: [UInt8], at now: Double) -> Bool { exchange.take(bytes, at: now) }
    var due: Double? { exchange.due }
}

@Test("asks for an address, keeps it, and asks anew when it is over")
func asksForAnAddress() throws {
    let exchange = Client(isStateful: true)
    let solicit = try #require(exchange.packet(at: 0))
    #expect(solicit[0] == 1)
    #expect(exchange.packet(at: 0.5) == nil, "not before its time")
    let again = try #require(exchange.packet(at: 1))
    #expect(again[0] == 1 && again[1..<4] == solicit[1..<4])

    let lease = try association("2001:db8::5", valid: 100)
    #expect(!exchange.take(answer(2, to: again, lease), at: 1.1))
    let request = try #require(exchange.packet(at: 1.1))
    #expect(request[0] == 3)
    #expect(
        exchange.take(
            answer(7, to: request, lease + option(23, try #require(IPAddress("2001:db8::53")).bytes)), at: 1.2))
    #expect(exchange.lease?.addresses.map(\.description) == ["2001:db8::5"])
    #expect(exchange.lease?.nameservers.map(\.description) == ["2001:db8::53"])
    #expect(exchange.packet(at: 20) == nil)

    let renew = try #require(exchange.packet(at: 27))
    #expect(renew[0] == 5, "half of the preferred lifetime is over")
    #expect(exchange.take(answer(7, to: renew, lease), at: 27))
    // Nobody answers the next time: any server is asked, then the address is given up.
    var kinds: [UInt8] = []
    var now = 27.0
    while now < 140 {
        if let packet = exchange.packet(at: now) { kinds.append(packet[0]) }
        now += 1
    }
    #expect(kinds.contains(5) && kinds.contains(6) && kinds.last == 1)
    #expect(exchange.lease == nil)
}

@Test("a lease that is not to be renewed ends all the same")
func endsWithoutRenewal() throws {
    let exchange = Client(isStateful: true)
    let lease = try association("2001:db8::5", valid: 3600, renewal: .max)
    #expect(!exchange.take(answer(2, to: try #require(exchange.packet(at: 0)), lease), at: 0))
    #expect(exchange.take(answer(7, to: try #require(exchange.packet(at: 0)), lease), at: 0))
    #expect(exchange.due == 3600)
    #expect(exchange.packet(at: 3599) == nil && exchange.lease != nil)
    #expect(exchange.packet(at: 3600)?.first == 1)
    #expect(exchange.lease == nil && exchange.isSoliciting)
}

@Test("asks for settings alone")
func asksForSettings() throws {
    let exchange = Client(isStateful: false)
    let packet = try #require(exchange.packet(at: 0))
    #expect(packet[0] == 11)
    let domains = option(24, [1, 97, 7] + Array("example".utf8) + [0])
    #expect(exchange.take(answer(7, to: packet, domains), at: 0.1))
    #expect(exchange.lease?.addresses == [] && exchange.lease?.searchDomains == ["a.example"])
}

@Test("reads the time servers of both options, and no names and no groups among them")
func readsTimeServers() throws {
    let exchange = Client(isStateful: false)
    let packet = try #require(exchange.packet(at: 0))
    let own = try #require(IPAddress("2001:db8::123")).bytes
    let group = try #require(IPAddress("ff05::101")).bytes
    let servers = option(56, option(1, own) + option(2, group) + option(3, [1, 97, 0]) + option(1, [1, 2, 3]))
    let old = option(31, try #require(IPAddress("2001:db8::31")).bytes)
    #expect(exchange.take(answer(7, to: packet, servers + old + option(56, [0, 1, 0, 99])), at: 0.1))
    #expect(exchange.lease?.timeServers.map(\.description) == ["2001:db8::123", "2001:db8::31"])
}

@Test("pays no attention to what is broken, or for somebody else")
func passesOverBrokenAnswers() throws {
    let exchange = Client(isStateful: true)
    let packet = try #require(exchange.packet(at: 0))
    let whole = answer(2, to: packet, try association("2001:db8::5", valid: 100))
    for length in 0..<whole.count { #expect(!exchange.take(Array(whole.prefix(length)), at: 1)) }
    var foreign = whole
    foreign[2] ^= 1
    #expect(!exchange.take(foreign, at: 1))
    #expect(!exchange.take(answer(2, to: packet, option(13, [0, 2])), at: 1), "no address to be had")
    #expect(exchange.isSoliciting)
}

@Test("reads a name server's answer through its aliases")
func readsNameServers() throws {
    let query = try #require(DNSMessage.query("a.example", .v4, id: 0x1234))
    #expect(query.count == 12 + 11 + 4)
    let alias: [UInt8] = [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1, 98, 0xc0, 14]
    let address: [UInt8] = [0xc0, 41, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 7]
    var head = query
    (head[2], head[3], head[7]) = (0x81, 0x80, 2)
    let whole = head + alias + address
    #expect(DNSMessage.addresses(whole, id: 0x1234)?.map(\.description) == ["192.0.2.7"])
    #expect(DNSMessage.addresses(whole, id: 1) == nil)
    #expect(DNSMessage.addresses(query, id: 0x1234) == nil, "a question")
    // A server that fails or refuses says nothing of the name, and the next one is asked.
    for (code, isAnswer) in [(UInt8(2), false), (5, false), (3, true)] {
        var refusal = whole
        refusal[3] = 0x80 | code
        #expect((DNSMessage.addresses(refusal, id: 0x1234) != nil) == isAnswer, "code \(code)")
    }
    for length in 12..<whole.count {
        #expect((DNSMessage.addresses(Array(whole.prefix(length)), id: 0x1234) ?? []).isEmpty)
    }
    #expect(DNSMessage.query("a b", .v4, id: 1) == nil)
}

@Test(
    "knows the server of a URL",
    arguments: [
        ("http://a.example/c.ign", nil, "a.example:80"), ("https://u:p@a.example:8443/x?y@z", nil, "a.example:8443"),
        ("tftp://192.0.2.1/f", "http://proxy:3128", "192.0.2.1:69"),
        ("http://[2001:db8::1]:8080/", nil, "[2001:db8::1]:8080"),
        ("https://a.example/", "http://u:p@proxy.example:3128", "proxy.example:3128"),
        ("https://a.example/", "proxy.example:3128", "proxy.example:3128"), ("HTTP://A/", nil, "A:80"),
        ("s3://bucket/key", nil, nil), ("data:,x", nil, nil), ("http:///x", nil, nil), ("http://a:0/", nil, nil),
        ("http://a:99999/", nil, nil), ("", nil, nil), ("http://[::1", nil, nil),
    ] as [(String, String?, String?)])
func knowsServers(text: String, proxy: String?, expected: String?) {
    let url = try? SourceURL(parsing: text)
    let proxy = proxy.flatMap { try? SourceURL(parsingProxy: $0) }
    #expect(url.flatMap { NetworkTarget(url: $0, proxy: proxy) }?.description == expected)
}

@Test("takes a UUID that is one machine's alone")
func machineUUIDs() {
    #expect(MachineUUID("4c4c4544-0042-3510-8052-b4c04f4d4b31")?.bytes.first == 0x4c)
    #expect(
        MachineUUID("4C4C4544-0042-3510-8052-B4C04F4D4B31\n") == MachineUUID("4c4c4544-0042-3510-8052-b4c04f4d4b31"))
    for text in [
        "", "x", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "03000200-0400-0500-0006-000700080009", "12345678-1234-5678-90ab-123456789012", "4c4c4544-0042-3510-8052",
    ] {
        #expect(MachineUUID(text) == nil, "\(text)")
    }
}
