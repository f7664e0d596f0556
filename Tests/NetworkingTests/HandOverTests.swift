import BootArguments
import Hardware
import LinuxSystem
import Logging
import LoopbackServer
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
        for (own, wanted) in [("# mine\nhere\n", "# mine\nhere"), ("localhost\n", "node1"), ("# none\n", "node1")] {
            try Files.write(own, to: root.appending("etc/hostname"))
            try Networking.handOverHostname(to: TargetRoot(root), "node1")
            #expect(text(root.appending("etc/hostname")) == wanted)
        }
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
}
