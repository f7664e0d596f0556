// Keyfiles that belong together, whom they are for, and what the real root is left of links that are made.

import BootArguments
import Testing

@testable import NetworkPlanning

private func keyfile(_ text: String, _ name: String = "a.nmconnection") throws -> NetworkKeyfile {
    try NetworkKeyfile(text, file: name)
}

private let bond = """
    [connection]
    id=storage
    uuid=1a2b3c4d-0000-4000-8000-000000000001
    type=bond
    interface-name=bond0
    """

private func port(_ card: String, of controller: String, more: String = "") -> String {
    """
    [connection]
    id=\(card)
    type=ethernet
    interface-name=\(card)
    controller=\(controller)
    port-type=bond
    \(more)
    """
}

@Test(
    "finds a controller by UUID, by its connection's name and by its interface",
    arguments: ["1a2b3c4d-0000-4000-8000-000000000001", "storage", "bond0"])
func findsControllers(name: String) throws {
    let files = [try keyfile(port("eno1", of: name)), try keyfile(bond)]
    let (profiles, refused) = NetworkProfile.joined(files)
    #expect(refused.isEmpty && profiles.map(\.controller) == ["bond0", nil])
    let alone = NetworkProfile.joined([files[0]])
    #expect(alone.profiles.isEmpty && alone.refused.count == 1)
}

@Test("starts what others are built on, and nothing else that does not start by itself")
func startsFoundations() throws {
    let sleeping = bond + "\nautoconnect=false\n"
    let vlan = "[connection]\nid=v\ntype=vlan\ninterface-name=v5\n[vlan]\nid=5\nparent=storage\n"
    let (profiles, _) = NetworkProfile.joined([try keyfile(sleeping), try keyfile(vlan)])
    #expect(profiles.map(\.interface?.description) == ["bond0", "v5"])
    guard case .vlan(5, .name("bond0")?, _) = profiles[1].kind else {
        Issue.record("the parent is \(profiles[1].kind)")
        return
    }
    #expect(NetworkProfile.joined([try keyfile(sleeping)]).profiles.isEmpty)
}

@Test("refuses by name what cannot be done, with all that is built on it, and keeps the rest")
func refusesByName() throws {
    let guarded = "[connection]\nid=g\ntype=ethernet\ninterface-name=eno1\n[802-1x]\npassword=S3CRET\n"
    let vlan = "[connection]\nid=v\ntype=vlan\ninterface-name=v5\n[vlan]\nid=5\nparent=eno1\n"
    let plain = "[connection]\nid=p\ntype=ethernet\ninterface-name=eno2\n"
    let files = [try keyfile(guarded, "g.nmconnection"), try keyfile(vlan), try keyfile(plain)]
    let (profiles, refused) = NetworkProfile.joined(files)
    #expect(profiles.map(\.interface?.description) == ["eno2"])
    #expect(refused.map(\.description) == ["g.nmconnection: 802-1x is not supported"])
    let radio = NetworkProfile.joined([try keyfile("[connection]\nid=w\ntype=wifi\n", "w.nmconnection")])
    #expect(radio.refused.map(\.description) == ["w.nmconnection: connection type wifi is not supported"])
}

@Test(
    "matches an interface",
    arguments: [
        ("interface-name=en*;", true), ("interface-name=eth*;", true), ("interface-name=wl*;", false),
        ("interface-name=en*;!ens3;", false), ("interface-name=&en*;&*9;", false), ("interface-name=wl*;|en*;", true),
        ("driver=virtio_net;", true), ("driver=e1000e;", false), ("driver=!e1000e;", true),
        ("path=pci-0000:00:03.0;", true), ("path=pci-0000:00:04.*;", false),
    ])
func matches(line: String, fits: Bool) throws {
    let profile = try keyfile("[connection]\nid=m\ntype=ethernet\n[match]\n\(line)\n").profile
    let card = NetworkInterface(
        name: "eth0", index: 2, mac: MACAddress("52:54:00:00:00:01"), driver: "virtio_net",
        predictable: PredictableNames(slot: "ens3"), busPath: "pci-0000:00:03.0")
    #expect(profile.isFor(card, names: [:]) == fits)
}

@Test("matches words of the command line, and keeps denied cards out")
func matchesOtherThings() throws {
    let lab = try keyfile("[connection]\nid=m\ntype=ethernet\n[match]\nkernel-command-line=&lab;!quiet;\n").profile
    #expect(lab.match.fits(KernelCommandLine("lab ro")) && lab.match.fits(KernelCommandLine("lab=1")))
    #expect(!lab.match.fits(KernelCommandLine("ro")) && !lab.match.fits(KernelCommandLine("lab quiet")))
    let denied = try keyfile("[connection]\nid=m\ntype=ethernet\n[ethernet]\nmac-address-denylist=52:54:00:00:00:01\n")
    let card = NetworkInterface(name: "eth0", index: 2, mac: MACAddress("52:54:00:00:00:01"))
    #expect(!denied.profile.isFor(card, names: [:]))
}

@Test("of several profiles that fit, the one of the highest priority is taken")
func priorities() throws {
    func text(_ id: String, _ priority: Int) -> String {
        "[connection]\nid=\(id)\ntype=ethernet\nautoconnect-priority=\(priority)\n[ethernet]\nmtu=\(1400 + priority)\n"
    }
    let (profiles, _) = NetworkProfile.joined([
        try keyfile(text("a", 1)), try keyfile(text("b", 5)), try keyfile(text("c", 2)),
    ])
    let card = NetworkInterface(name: "eth0", index: 2, mac: nil)
    let plan = NetworkPlan(interfaces: [card], profiles: profiles, arguments: NetworkArguments())
    #expect(plan.links.map(\.profile.mtu) == [1405])
}

@Test("leaves a VLAN on a bond to systemd-networkd, down to its cards")
func networkdOfMadeLinks() throws {
    let arguments = BootArguments(
        "bond=bond0:eth0,eth1:mode=802.3ad,lacp_rate=fast vlan=bond0.5:bond0 ip=192.0.2.9::192.0.2.1:24:h:bond0.5:none"
    ).network
    func made(_ name: String, _ index: Int) -> NetworkInterface {
        NetworkInterface(name: name, index: index, mac: MACAddress("52:54:00:00:00:01"), isWired: false)
    }
    let cards = (0...1).map {
        NetworkInterface(name: "eth\($0)", index: 2 + $0, mac: MACAddress(bytes: [0x52, 0x54, 0, 0, 0, UInt8($0 + 1)]))
    }
    let plan = NetworkPlan(
        interfaces: cards + [made("bond0", 4), made("bond0.5", 5)], profiles: NetworkProfile.all(of: arguments),
        arguments: arguments)
    #expect(plan.new.isEmpty && plan.missing.isEmpty)
    let files = plan.networkdFiles(up: [("bond0.5", 100)], goesFirst: false)
    let texts = Dictionary(files.map { ($0.name, $0.text) }, uniquingKeysWith: { $1 })
    #expect(
        texts.keys.sorted() == [
            "90-firstlight-bond0.5.netdev", "90-firstlight-bond0.5.network", "90-firstlight-bond0.netdev",
            "90-firstlight-bond0.network", "90-firstlight-eth0.network", "90-firstlight-eth1.network",
        ])
    func lines(_ name: String) -> [Substring] { (texts["90-firstlight-\(name)"] ?? "").split(separator: "\n") }
    #expect(lines("bond0.5.netdev").suffix(2) == ["[VLAN]", "Id=5"])
    #expect(
        Set(["Kind=bond", "Mode=802.3ad", "LACPTransmitRate=fast", "MIIMonitorSec=100ms"]).isSubset(
            of: lines("bond0.netdev")))
    #expect(Set(["Name=bond0", "VLAN=bond0.5", "LinkLocalAddressing=no"]).isSubset(of: lines("bond0.network")))
    #expect(Set(["PermanentMACAddress=52:54:00:00:00:02", "Bond=bond0"]).isSubset(of: lines("eth1.network")))
    #expect(Set(["Name=bond0.5", "Address=192.0.2.9/24", "Gateway=192.0.2.1"]).isSubset(of: lines("bond0.5.network")))
}

@Test("routes of the two families are kept from what is learned by themselves")
func familiesOfTheirOwn() throws {
    let text = "[connection]\nid=a\ntype=ethernet\n[ipv6]\nmethod=auto\nignore-auto-dns=true\nnever-default=true\n"
    let profile = try keyfile(text).profile
    #expect(!profile.ipv4.ignoresPeerDNS && !profile.ipv4.neverDefault)
    #expect(profile.ipv6.ignoresPeerDNS && profile.ipv6.neverDefault)
    let file = profile.networkdFile(interface: "eth0", mac: nil, metric: 100).split(separator: "\n")
    #expect(file.filter { $0 == "UseDNS=no" }.count == 1 && file.filter { $0 == "UseGateway=no" }.count == 1)
}

@Test("takes Tinkerbell's search domains with the address that they come with")
func searchDomainsOfTinkerbell() {
    let arguments = BootArguments(
        "ipam=52-54-00-12-34-57::192.0.2.8:24::node:192.0.2.53:a.example,b.example:192.0.2.123"
    ).network
    let profiles = NetworkProfile.all(of: arguments)
    #expect(profiles.map(\.searchDomains) == [["a.example", "b.example"]])
    #expect(profiles.map { $0.keyfile(id: "x").contains("dns-search=a.example;b.example;") } == [true])
}

@Test("the card that BOOTIF names is named in what is left for the real root, if it is there")
func handsOverBootIF() throws {
    let line = "ip=192.0.2.10::192.0.2.1:24:h::none BOOTIF=01-52-54-00-00-00-01"
    func references(_ line: String, _ cards: [NetworkInterface]) -> [String] {
        NetworkProfile.all(of: BootArguments(line).network, on: cards).map { "\($0.interface?.description ?? "any")" }
    }
    #expect(references(line, [interface(0), interface(1)]) == ["52:54:00:00:00:01"])
    #expect(references(line, [interface(0)]) == ["any"])
    #expect(references("ip=ens3:dhcp BOOTIF=01-52-54-00-00-00-01", [interface(1)]) == ["ens3"])
    let named = NetworkProfile.all(of: BootArguments(line).network, on: [interface(1)])
    let keyfile = try #require(named.first).keyfile(id: "x")
    #expect(keyfile.contains("mac-address=52:54:00:00:00:01\n") && !keyfile.contains("multi-connect"))
    let fixed = NetworkProfile.all(of: BootArguments(line).network)
    #expect(try !#require(fixed.first).keyfile(id: "x").contains("multi-connect"))
    #expect(try #require(NetworkProfile.all(of: NetworkArguments()).first).keyfile(id: "x").contains("multi-connect=3"))
}

@Test("what is left for the real root calls a card by the name that it has there")
func keyfilesNameCardsAsTheRealRootDoes() throws {
    // The second is called ens4 by now.
    var renamed = interface(1)
    renamed.name = "ens4"
    let cards = [interface(0), renamed]
    func profiles(_ line: String) -> [NetworkProfile] { NetworkProfile.all(of: BootArguments(line).network, on: cards) }
    func names(_ line: String) -> [String] { profiles(line).map { "\($0.interface?.description ?? "any")" } }
    #expect(names("ip=eth0:dhcp ip=eth1:auto6 rd.route=198.51.100.0/24:192.0.2.1:eth0") == ["ens3", "ens4"])
    #expect(names("ip=enp0s3:dhcp") == ["ens3"])
    #expect(names("ip=52:54:00:00:00:00:dhcp") == ["52:54:00:00:00:00"])
    #expect(names("ip=eth0:dhcp net.ifnames=0") == ["eth0"])
    #expect(names("ip=lan0:dhcp ifname=lan0:52:54:00:00:00:00") == ["lan0"])
    #expect(names("ip=eth7:dhcp") == ["eth7"])
    let vlan = profiles("vlan=eth0.5:eth0 ip=eth0.5:dhcp")
    #expect(vlan.map { $0.interface } == [.name("eth0.5"), .name("ens3")])
    #expect(vlan.first?.kind == .vlan(id: 5, parent: .name("ens3"), flags: 1))
    let bond = profiles("bond=bond0:eth0,eth1:mode=active-backup,primary=eth1 bridge=br0:bond0 ip=br0:dhcp")
    #expect(
        Set(bond.map { "\($0.interface?.description ?? "") \($0.controller ?? "")" }) == [
            "br0 ", "bond0 br0", "ens3 bond0", "ens4 bond0",
        ])
    let preferred = bond.compactMap { if case .bond(let options) = $0.kind { options.values["primary"] } else { nil } }
    #expect(preferred == ["ens4"])
}
