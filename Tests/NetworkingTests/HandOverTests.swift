import BootArguments
import LinuxSystem
import Logging
import LoopbackServer
import NetworkPlanning
import SystemPackage
import TargetRoot
import Testing

@testable import Networking

/// What is left in the real root stays in it, whatever its links say.
@Suite struct HandingOver {
    private let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let folder: TemporaryFolder
    /// The real root.
    private let root: FilePath
    /// What must not be touched, and where the machine's own /run is.
    private let outside: FilePath
    private let run: FilePath

    init() throws {
        folder = try TemporaryFolder()
        root = folder.path.appending("root")
        outside = folder.path.appending("outside")
        run = folder.path.appending("run")
        for path in [root.appending("etc"), outside, run] { try Files.makeFolder(path) }
    }

    private var state: NetworkState {
        get throws { NetworkState(links: [], nameservers: [NameServer(try #require(IPAddress("192.0.2.53")))]) }
    }

    private func handOverResolver() throws {
        try Networking.handOverResolver(to: TargetRoot(root), run: TargetRoot(run), state, log)
    }

    private func text(_ path: FilePath) -> String? { Files.line(path) }

    @Test func nameServersAreLeftWhereThereAreNone() throws {
        try handOverResolver()
        #expect(text(root.appending("etc/resolv.conf")) == "nameserver 192.0.2.53")
        try Files.write("nameserver 192.0.2.1\n", to: root.appending("etc/resolv.conf"))
        try handOverResolver()
        #expect(text(root.appending("etc/resolv.conf")) == "nameserver 192.0.2.1")
    }

    @Test("a resolver's link leads to /run", arguments: ["/run/resolve/stub.conf", "../run/resolve/stub.conf"])
    func resolverLink(target: String) throws {
        try Files.makeLink(root.appending("etc/resolv.conf"), to: target)
        try handOverResolver()
        #expect(text(run.appending("resolve/stub.conf")) == "nameserver 192.0.2.53")
        #expect(Files.linkTarget(root.appending("etc/resolv.conf")) == target)
        #expect(!Files.exists(root.appending("run")))
    }

    @Test func anotherLinkIsFollowedInsideTheRoot() throws {
        try Files.makeFolder(root.appending("var/lib"))
        try Files.write("", to: root.appending("var/lib/resolv.conf"))
        try Files.makeLink(root.appending("etc/resolv.conf"), to: "/var/lib/resolv.conf")
        try handOverResolver()
        #expect(text(root.appending("var/lib/resolv.conf")) == "nameserver 192.0.2.53")
    }

    @Test("no link leads out of the root", arguments: ["etc", "etc/resolv.conf", "etc/hostname"])
    func outwards(path: String) throws {
        let link = root.appending(path)
        try? Files.erase(link)
        // The same names exist outside; from inside, the link leads nowhere.
        for name in ["resolv.conf", "hostname"] { try Files.write("", to: outside.appending(name)) }
        let isFolder = path == "etc"
        try Files.makeLink(
            link, to: isFolder ? outside.string : outside.appending(String(path.dropFirst(4))).string)
        try handOverResolver()
        try Networking.handOverHostname(to: TargetRoot(root), "node1")
        for name in ["resolv.conf", "hostname"] { #expect(text(outside.appending(name)) == "") }
        let etc = isFolder ? FilePath(root.string + outside.string) : root.appending("etc")
        #expect(text(etc.appending("hostname")) == "node1")
        #expect(text(etc.appending("resolv.conf")) == "nameserver 192.0.2.53")
    }

    @Test func aHostNameOfItsOwnStays() throws {
        for (own, wanted) in [
            ("# mine\nhere\n", "# mine\nhere"), ("localhost\n", "node1"), ("# none\n", "node1"),
            ("# mine\r\nhere\r\n", "# mine\r\nhere\r"), ("# none\r\nlocalhost\r\n", "node1"), ("\r\n", "node1"),
        ] {
            try Files.write(own, to: root.appending("etc/hostname"))
            try Networking.handOverHostname(to: TargetRoot(root), "node1")
            #expect(text(root.appending("etc/hostname")) == wanted)
        }
    }

    @Test(
        "the command line's name is left whether or not anything needed the network",
        arguments: [("", "node1"), (" coreos.no_persist_ip", nil)])
    func aNameWithoutANetwork(more: String, expected: String?) throws {
        let arguments = BootArguments("ip=192.0.2.10::192.0.2.1:24:node1:ens3:none" + more)
        try Networking.handOver(to: root, arguments: arguments, logger: log)
        #expect(text(root.appending("etc/hostname")) == expected)
    }

    @Test func connectionsAreForRootAlone() throws {
        let arguments = BootArguments("ip=192.0.2.10::192.0.2.1:255.255.255.0:node1:ens3:none").network
        try Networking.handOverConnections(to: TargetRoot(root), arguments, log)
        #expect(!Files.exists(root.appending("etc/NetworkManager")))
        // NetworkManager is there by a link that only leads somewhere inside the root.
        try Files.makeFolder(root.appending("usr/bin"))
        try Files.makeLink(root.appending("usr/sbin"), to: "/usr/bin")
        try Files.write("", to: root.appending("usr/bin/NetworkManager"))
        try Files.makeLink(root.appending("etc/NetworkManager"), to: outside.string)
        try Networking.handOverConnections(to: TargetRoot(root), arguments, log)
        #expect(Files.names(in: outside).isEmpty)
        let connections = FilePath(root.string + outside.string).appending("system-connections")
        let file = connections.appending("firstlight-ens3.nmconnection")
        #expect(Files.status(connections).map { $0.st_mode & 0o7777 } == 0o700)
        #expect(Files.status(file).map { $0.st_mode & 0o7777 } == 0o600)
        #expect(text(file)?.contains("192.0.2.10/24") == true)
    }

    @Test(
        "what differs from what a system does by itself is left as connections",
        arguments: [
            ("", []), ("ip=auto", []), ("ip=dhcp", []), ("ip=dhcp rd.neednet", []),
            ("ip=dhcp nameserver=192.0.2.53 rd.peerdns=0", ["dns=192.0.2.53;", "ignore-auto-dns=true"]),
            ("bootdev=ens3", ["interface-name=ens3"]),
            ("rd.ethtool=ens3:off:100", ["interface-name=ens3", "speed=100"]),
            ("rd.net.dhcp.vendor-class=rack", ["dhcp-vendor-class-identifier=rack", "multi-connect=3"]),
            ("coreos.force_persist_ip", ["multi-connect=3"]),
            ("ip=dhcp coreos.force_persist_ip", ["may-fail=false", "multi-connect=3"]),
        ])
    func unusualLines(line: String, expected: [String]) throws {
        let folder = root.appending("etc/NetworkManager/system-connections")
        try Files.makeFolder(folder)
        if line.contains("force") { try Files.write("", to: folder.appending("own.nmconnection")) }
        try Networking.handOverConnections(to: TargetRoot(root), BootArguments(line).network, log)
        let left = Files.names(in: folder).filter { $0 != "own.nmconnection" }
        #expect(left.count == (expected.isEmpty ? 0 : 1))
        let lines = left.first.flatMap { text(folder.appending($0)) }?.split(separator: "\n").map(String.init) ?? []
        for wanted in expected { #expect(lines.contains(wanted), "\(lines)") }
    }

    @Test func filesOfTheImageForNetworkdAreItsOwnWhereverTheyLie() throws {
        func isOwn(_ path: String, _ linkTarget: String? = nil) throws -> Bool {
            let file = root.appending(path)
            try Files.makeFolder(file.removingLastComponent())
            if let linkTarget { try Files.makeLink(file, to: linkTarget) } else { try Files.write("", to: file) }
            defer { try? Files.erase(file) }
            return NetworkdPresence.ownFiles(of: root)
        }
        #expect(!NetworkdPresence.ownFiles(of: root))
        #expect(try isOwn("etc/systemd/network/10-lan.network"))
        #expect(try isOwn("usr/lib/systemd/network/20-image.network"))
        #expect(try !isOwn("usr/lib/systemd/network/80-container-host0.network"), "the distribution's, for containers")
        #expect(try !isOwn("etc/systemd/network/10-lan.network", "/dev/null"))
        #expect(try !isOwn("etc/systemd/network/10-lan.link"))
    }

    @Test func networkManagerStartsWhereSomebodyWantsItOrPresetsAreYetToBeApplied() throws {
        let unit = "systemd/system/multi-user.target.wants/NetworkManager.service"
        func starts(_ machineID: String, wanted: String? = nil) throws -> Bool {
            try Files.write(machineID, to: root.appending("etc/machine-id"))
            let link = wanted.map { root.appending($0) }
            if let link {
                try Files.makeFolder(link.removingLastComponent())
                try Files.makeLink(link, to: "/usr/lib/systemd/system/NetworkManager.service")
            }
            defer { if let link { try? Files.remove(link) } }
            return NetworkdPresence(of: root).networkManagerStarts
        }
        #expect(try !starts("", wanted: "etc/\(unit)"), "it is not installed")
        try Files.makeFolder(root.appending("usr/sbin"))
        try Files.write("", to: root.appending("usr/sbin/NetworkManager"))
        for identifier in ["", "uninitialized\n"] { #expect(try starts(identifier)) }
        let known = "0123456789abcdef0123456789abcdef\n"
        #expect(try !starts(known))
        for folder in ["etc", "usr/lib"] { #expect(try starts(known, wanted: "\(folder)/\(unit)")) }
        try Files.makeLink(root.appending("etc/systemd/system/NetworkManager.service"), to: "/dev/null")
        #expect(try !starts("", wanted: "etc/\(unit)"))
    }

    @Test(
        "disks and filesystems that are reached over the network keep it",
        arguments: [
            ("class/iscsi_session/session1/state", "LOGGED_IN", true), ("class/nvme/nvme0/transport", "tcp", true),
            ("class/nvme/nvme0/transport", "pcie", false), ("block/nbd0/pid", "7", true),
            ("block/nbd0/size", "0", false), ("block/rbd0/size", "8", true), ("block/sda/size", "8", false),
        ])
    func storageKeepsTheNetwork(file: String, content: String, carries: Bool) throws {
        let path = outside.appending(file)
        try Files.makeFolder(path.removingLastComponent())
        try Files.write(content, to: path)
        #expect(Networking.carriesStorage(sys: outside, filesystems: ["overlay"]) == carries)
        #expect(Networking.carriesStorage(sys: run, filesystems: ["overlay", "nfs4"]))
    }

    @Test func aBondIsHandedOverWithItsPorts() throws {
        let arguments = BootArguments(
            "bond=bond0:eno1,eno2:mode=active-backup vlan=bond0.5:bond0 ip=192.0.2.9:::24::bond0.5:none"
        ).network
        try Files.makeFolder(root.appending("etc/NetworkManager"))
        try Networking.handOverConnections(to: TargetRoot(root), arguments, log)
        let folder = root.appending("etc/NetworkManager/system-connections")
        #expect(
            Files.names(in: folder).sorted() == [
                "firstlight-bond0.5.nmconnection", "firstlight-bond0.nmconnection", "firstlight-eno1.nmconnection",
                "firstlight-eno2.nmconnection",
            ])
        let port = text(folder.appending("firstlight-eno1.nmconnection")) ?? ""
        #expect(port.contains("master=bond0\nslave-type=bond"))
        #expect(text(folder.appending("firstlight-bond0.5.nmconnection"))?.contains("parent=bond0") == true)
    }

    @Test func timeServersAreLeftToWhatKeepsTheClock() throws {
        let servers = [try #require(IPAddress("192.0.2.123"))]
        func handOver(always: Bool = false) throws {
            try Networking.handOverTimeServers(
                to: TargetRoot(root), run: TargetRoot(run), servers, always: always, log)
        }
        let timesyncd = run.appending("systemd/timesyncd.conf.d/50-firstlight.conf")
        let chrony = run.appending("chrony-dhcp/firstlight.sources")
        try handOver()
        #expect(Files.names(in: run).isEmpty)
        for folder in ["usr/lib/systemd/timesyncd.conf.d", "etc/chrony"] {
            try Files.makeFolder(root.appending(folder))
        }
        try Files.write("", to: root.appending("usr/lib/systemd/systemd-timesyncd"))
        let own = root.appending("usr/lib/systemd/timesyncd.conf.d/image.conf")
        try Files.write("[Time]\nNTP=time.example\n", to: own)
        try Files.write("sourcedir /run/chrony-dhcp\n", to: root.appending("etc/chrony/chrony.conf"))
        try handOver()
        #expect(text(chrony) == "server 192.0.2.123 iburst")
        #expect(!Files.exists(timesyncd), "the image has its own")
        try Files.write("[Time]\nFallbackNTP=time.example\n", to: own)
        try handOver()
        #expect(text(timesyncd)?.hasSuffix("NTP=192.0.2.123") == true)
        #expect(Files.status(timesyncd).map { $0.st_mode & 0o7777 } == 0o644)
    }

    @Test func theMachineIDIsLeftWhereThereIsNone() throws {
        let uuid = try #require(MachineUUID("4c4c4544-0042-3510-8052-b4c04f4d4b31"))
        let identity = MachineIdentity(uuid: uuid)
        let identifier = try #require(identity.machineID)
        #expect(identifier.count == 32 && identity.clientID(nil)?.bytes.count == 23)
        #expect(MachineIdentity(uuid: nil).clientID(nil) == nil)
        for (own, wanted) in [
            ("", identifier), ("uninitialized\n", identifier), ("abc\n", "abc"), ("uninitialized\r\n", identifier),
        ] {
            try Files.write(own, to: root.appending("etc/machine-id"))
            try Networking.handOverMachineID(to: TargetRoot(root), identifier)
            #expect(text(root.appending("etc/machine-id")) == wanted)
        }
    }

    @Test func aKeyfileThatCannotBeUsedStopsNothingThatIsEnoughWithoutIt() throws {
        let keyfiles = folder.path.appending("keyfiles")
        try Files.makeFolder(keyfiles)
        let boot = BootArguments("ip=eth9:dhcp")
        func origins() throws -> [String] {
            try Networking.wantedProfiles(boot, in: keyfiles, report: { _ in }).map(\.origin)
        }
        #expect(try origins() == ["ip=eth9:dhcp"])
        try Files.write("[connection]\nid=w\ntype=wifi\n", to: keyfiles.appending("w.nmconnection"))
        #expect(throws: NetworkFailure.self) { try origins() }
        try Files.write("[connection]\nid=e\ntype=ethernet\n", to: keyfiles.appending("e.nmconnection"))
        #expect(try origins() == ["e.nmconnection"])
        try Files.write("nonsense\n", to: keyfiles.appending("n.nmconnection"))
        #expect(try origins() == ["e.nmconnection"])
    }
}
