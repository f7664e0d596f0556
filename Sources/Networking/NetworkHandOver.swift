// What the real root inherits of the network: name servers, host name, connections, names.

import BootArguments
import Glibc
import Hardware
import JSONText
import LinuxSystem
import Logging
import Reporting
import SystemPackage

extension Networking {
    /// Leaves in the real root what was learned here, where it has nothing of its own. Links stay up.
    ///
    /// - `/etc/resolv.conf`, where that is missing, empty or leads nowhere;
    /// - `/etc/hostname`, where the command line names the machine and the file does not;
    /// - NetworkManager's connections, where it is installed and has none (`coreos.no_persist_ip`: never,
    ///   `coreos.force_persist_ip`: always): the embedded keyfiles, or what `ip=` asks for;
    /// - rules for the names of `ifname=`, under `/run/udev`.
    public static func handOver(
        to root: FilePath, arguments: BootArguments, logger: Logger
    ) throws(NetworkFailure) {
        let network = arguments.network
        if network.persistence != .never { try handOverConnections(to: root, network, logger) }
        if !network.names.isEmpty { try nameInterfaces(network.names) }
        guard let bytes = try? Files.read(folder.appending("network.json")), let node = try? JSONNode(parsing: bytes),
            let state = NetworkState(JSONValue(node))
        else { return }
        try handOverResolver(to: root, state, logger)
        if let name = state.hostname { try handOverHostname(to: root, name) }
    }

    private static func handOverResolver(
        to root: FilePath, _ state: NetworkState, _ logger: Logger
    ) throws(NetworkFailure) {
        guard !state.nameservers.isEmpty else { return }
        let file = root.appending("etc/resolv.conf")
        var target = file
        if let link = Files.linkTarget(file) {
            // A link into /run is a resolver's, which is not running yet. What we leave there serves until
            // it starts, and replaces it. /run moves into the real root; the root has none of its own yet.
            let path = link.hasPrefix("/") ? FilePath(link) : FilePath("/etc").appending(link).lexicallyNormalized()
            target = path.starts(with: "/run") ? path : FilePath(root.string + path.string)
            if !path.starts(with: "/run"), !Files.exists(target) { target = file }
        }
        if let text = Files.line(target), NetworkState.namesServers(text) { return }
        try act("writing \(target)") { () throws(Errno) in
            try Files.makeFolder(target.removingLastComponent())
            try Files.write(state.resolverConfiguration, to: target)
        }
        logger.info("name servers left in \(target)")
    }

    private static func handOverHostname(to root: FilePath, _ name: String) throws(NetworkFailure) {
        let file = root.appending("etc/hostname")
        let own = (Files.line(file) ?? "").split(separator: "\n").first { !$0.hasPrefix("#") }
        guard own == nil || own == "localhost" else { return }
        try act("writing \(file)") { () throws(Errno) in try Files.write("\(name)\n", to: file) }
    }

    private static func handOverConnections(
        to root: FilePath, _ network: NetworkArguments, _ logger: Logger
    ) throws(NetworkFailure) {
        let target = root.appending("etc/NetworkManager/system-connections")
        let program = root.appending("usr/sbin/NetworkManager")
        guard Files.exists(program) || Files.isFolder(root.appending("etc/NetworkManager")) else { return }
        guard network.persistence == .always || Files.names(in: target).isEmpty else { return }
        let connections = try wantedConnections(network)
        if connections.isEmpty { return }
        try act("writing \(target)") { () throws(Errno) in
            try Files.makeFolder(target, mode: 0o700)
            for (name, bytes) in connections { try Files.write(bytes, to: target.appending(name), mode: 0o600) }
        }
        logger.info("network connections left for NetworkManager: \(connections.map(\.name))")
    }

    /// The embedded keyfiles, or else what `ip=` asks for; nothing where that is only the default.
    private static func wantedConnections(
        _ network: NetworkArguments
    ) throws(NetworkFailure) -> [(name: String, bytes: [UInt8])] {
        let embedded = Files.names(in: keyfileFolder).filter { !$0.hasPrefix(".") }
        if !embedded.isEmpty {
            var files: [(name: String, bytes: [UInt8])] = []
            for name in embedded {
                let path = keyfileFolder.appending(name)
                files.append((name, try act("reading \(path)") { () throws(Errno) in try Files.read(path) }))
            }
            return files
        }
        let asked = network.ip.contains { $0 != IPArgument(method: .automatic) && $0 != IPArgument(method: .dhcp) }
        guard asked else { return [] }
        return NetworkProfile.all(of: network).enumerated().map { position, profile in
            let id = profile.interface.map { "firstlight-\($0)" } ?? "firstlight-\(position)"
            let name = String(id.map { $0 == "/" || $0 == ":" ? "-" : $0 }) + ".nmconnection"
            return (name, Array(profile.keyfile(id: id).utf8))
        }
    }

    /// udev of the real root would give its own names to the cards that `ifname=` names.
    private static func nameInterfaces(_ names: [MACAddress: String]) throws(NetworkFailure) {
        let rules = names.sorted { $0.value < $1.value }.map { mac, name in
            "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"\(mac)\", ATTR{type}==\"1\", "
                + "NAME=\"\(name)\"\n"
        }
        try act("writing rules for interface names") { () throws(Errno) in
            try Files.makeFolder("/run/udev/rules.d")
            try Files.write(rules.joined(), to: "/run/udev/rules.d/80-ifname.rules")
        }
    }
}
