// What command lines come to with the cards that are there.

import BootArguments
import DeviceNames
import Testing

@testable import NetworkPlanning

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
        // One card by several of its names.
        ("ip=ens3:dhcp bootdev=52:54:00:00:00:00", ["eth0>ens3! auto!/auto"]),
        (
            "ip=192.0.2.10::192.0.2.1:24::ens3:none bootdev=eth0",
            ["eth0>ens3! manual!/disabled 192.0.2.10/24 0.0.0.0/0@192.0.2.1"]
        ),
        (
            "ip=[2001:db8::10]:::64::enp0s3:none ip=ens3:dhcp rd.route=198.51.100.0/24::eth0",
            ["eth0>ens3! auto!/manual! 2001:db8::10/64 198.51.100.0/24@link"]
        ),
        (
            "bond=bond0:ens3,eth1 ip=eth0:dhcp",
            ["eth0>ens3! disabled/disabled in bond0", "eth1>ens4! disabled/disabled in bond0", "new bond0"]
        ),
        // A name of ifname= is that of the card with that address, not of the one that the kernel calls so.
        ("ifname=eth0:52:54:00:00:00:01 ip=eth0:dhcp", ["eth1>eth1! auto!/auto"]),
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
