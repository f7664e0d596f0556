// The network under dracut, where systemd-networkd brings it up: asked for, waited for, and its name servers noted.

import BootArguments
import Glibc
import LinuxSystem
import NetworkPlanning
import Reporting
import SystemPackage

/// What systemd-networkd says of the whole network in `/run/systemd/netif/state`.
struct NetworkdState: Equatable {
    static let file = FilePath("/run/systemd/netif/state")

    /// An interface has an address and a way out.
    var isUp = false
    var nameservers: [String] = []
    var domains: [String] = []

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = { (prefix: String) in line.dropFirst(prefix.count).split(separator: " ").map(String.init) }
            if line.hasPrefix("OPER_STATE=") { isUp = line == "OPER_STATE=routable" }
            // The C library cannot use a server with a port or a name for TLS: ADDRESS[:PORT][%ZONE][#NAME].
            if line.hasPrefix("DNS=") {
                nameservers = words("DNS=").filter { IPAddress($0.prefix { $0 != "%" }) != nil }
            }
            if line.hasPrefix("DOMAINS=") { domains = words("DOMAINS=") }
        }
    }

    /// The text of `/etc/resolv.conf`; `nil` where there is no name server.
    var resolverConfiguration: String? {
        if nameservers.isEmpty { return nil }
        let search = domains.isEmpty ? "" : "search \(domains.joined(separator: " "))\n"
        return search + nameservers.prefix(3).map { "nameserver \($0)\n" }.joined()
    }
}

enum DracutNetwork {
    /// The file that has networkd configure every wired interface by DHCP.
    ///
    /// It is written only where the command line says nothing, because systemd's own generator reads `ip=`. Its name
    /// sorts behind the files that the image brings.
    static let networkFile = FilePath("/run/systemd/network/90-firstlight.network")
    static let networkFileText = """
        # Left by Firstlight: something needs the network, and the command line has no ip=.
        [Match]
        Type=ether
        Kind=!*

        [Network]
        DHCP=yes

        [DHCPv4]
        ClientIdentifier=mac
        UseDomains=yes

        """

    private static var isNetworkdHere: Bool {
        ["/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd"].contains { Files.exists(FilePath($0)) }
    }

    /// Waits until the network is up or its time is over; then the stage itself finds out what is missing.
    ///
    /// dracut's other network modules bring the network up before any stage starts.
    static func wait(_ arguments: BootArguments, telling waits: Waits) {
        guard isNetworkdHere else { return }
        let deadline = Machine.uptime() + Double(arguments.network.timeouts.dhcp ?? 90)
        let wait = Wait(
            for: "the network", reason: "systemd-networkd has no address yet", deadline: deadline,
            advice: ["Check the cable and the DHCP server, or give an address: ip="])
        let state = waits.wait(for: wait) { _ in
            while true {
                let state = NetworkdState(Files.line(NetworkdState.file) ?? "")
                if state.isUp || Machine.uptime() >= deadline { return state }
                usleep(200_000)
            }
        }
        let resolver = FilePath("/etc/resolv.conf")
        if let text = Files.line(resolver), NetworkState.namesServers(text) { return }
        // Without the file, addresses still work, and a name that cannot be resolved reports its own error.
        if let text = state.resolverConfiguration { try? Files.write(text, to: resolver) }
    }
}
