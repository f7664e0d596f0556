// What the real root inherits of the network: name servers, host name, connections, names.

import BootArguments
import Glibc
import LinuxSystem
import Logging
import NetworkPlanning
import Reporting
import SystemPackage
import TargetRoot

extension Networking {
    /// Leaves in the real root what was learned here, where it has nothing of its own.
    ///
    /// Where NetworkManager takes over, links go down; for others they stay up. What is left:
    ///
    /// - `/etc/resolv.conf`, where that is missing, empty or leads nowhere;
    /// - `/etc/hostname`, where the command line names the machine and the file does not;
    /// - NetworkManager's connections, where it is installed and has none (`coreos.no_persist_ip`: never,
    ///   `coreos.force_persist_ip`: always): the embedded keyfiles, or what `ip=` asks for;
    /// - systemd-networkd's files, on the same conditions: what is up here, so that leases are renewed. They lie in
    ///   `/run/systemd/network`, behind those that the image brings;
    /// - the leases' time servers, on the same conditions: for systemd-timesyncd and for chrony, below `/run`;
    /// - rules for the names of `ifname=`, under `/run/udev`.
    public static func handOver(
        to root: FilePath, arguments: BootArguments, logger: Logger
    ) throws(NetworkFailure) {
        let network = arguments.network
        let target = TargetRoot(root)
        // The addresses stay; the real root's clients renew them.
        let leases6 = endClients()
        if network.persistence != .never { try handOverConnections(to: target, network, logger) }
        if network.identityIsUUID, let identifier = MachineIdentity.ofThisMachine(network, report: { _ in }).machineID {
            try handOverMachineID(to: target, identifier)
        }
        if !network.names.isEmpty { try nameInterfaces(network.names) }
        // The name is the machine's, whether or not anything has needed the network.
        if network.persistence != .never, let name = network.ip.compactMap(\.hostname).last {
            try handOverHostname(to: target, name)
        }
        guard let bytes = try? Files.read(FilePath(NetworkRecord.file.path)),
            var state = NetworkRecord(parsing: bytes)?.state
        else { return }
        // What the servers have said since the network came up.
        for name in state.links.map(\.interface) {
            if let lease = DHCPClient.lease(of: name) { state.renew(name, by: lease) }
            let index = Files.line(FilePath("/sys/class/net/\(name)/ifindex")).flatMap { Int($0) }
            if let lease = index.flatMap({ leases6[$0] }) { state.renew(name, by: lease) }
        }
        if network.persistence != .never {
            try handOverToNetworkd(root, state, arguments, logger)
            try handOverTimeServers(
                to: target, state.timeServers, always: network.persistence == .always, logger)
            try handOverResolver(to: target, state, logger)
        }
        let presence = NetworkdPresence(of: root)
        let isForNetworkd = network.persistence != .never && presence.isToBeTold(always: network.persistence == .always)
        if presence.networkManagerStarts, !isForNetworkd, !carriesStorage() { release(logger) }
    }

    /// Leaves the name servers in `/etc/resolv.conf`, where that names none.
    ///
    /// `run` is `/run`, which moves into the real root; the root has none of its own yet.
    static func handOverResolver(
        to root: TargetRoot, run: TargetRoot = TargetRoot("/run"), _ state: NetworkState, _ logger: Logger
    ) throws(NetworkFailure) {
        guard !state.nameservers.isEmpty else { return }
        var place = (root: root, path: "/etc/resolv.conf")
        if let link = root.link(at: place.path) {
            let end = link.hasPrefix("/") ? FilePath(link) : FilePath("/etc").appending(link)
            let path = end.lexicallyNormalized()
            if path.starts(with: "/run") {
                // Such a link belongs to a resolver, which is not running yet. What is left here serves until the
                // resolver starts and replaces it.
                place = (run, "/" + path.components.dropFirst().map(\.string).joined(separator: "/"))
            } else if let other = root.destination(of: place.path) {
                place.path = other
            }
        }
        if let text = place.root.text(place.path), NetworkState.namesServers(text) { return }
        let text = Array(state.resolverConfiguration.utf8)
        try write(place.path, in: place.root, text)
        logger.info("name servers left in \(place.root.root.appending(place.path))")
    }

    static func handOverHostname(to root: TargetRoot, _ name: String) throws(NetworkFailure) {
        let file = "/etc/hostname"
        let own = firstLine(of: file, in: root)
        guard own == nil || own == "localhost" else { return }
        try write(file, in: root, Array("\(name)\n".utf8))
    }

    /// Leaves the machine's identifier where the root has none yet.
    static func handOverMachineID(to root: TargetRoot, _ identifier: String) throws(NetworkFailure) {
        let file = "/etc/machine-id"
        let own = firstLine(of: file, in: root)
        guard own == nil || own == "uninitialized" else { return }
        try write(file, in: root, Array("\(identifier)\n".utf8), mode: 0o444)
    }

    /// The first line that says something, without its end, however the file ends its lines.
    static func firstLine(of path: String, in root: TargetRoot) -> String? {
        (root.text(path) ?? "").split(whereSeparator: \.isNewline)
            .map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
            .first { !$0.isEmpty && !$0.hasPrefix("#") }
    }

    static func handOverConnections(
        to root: TargetRoot, _ network: NetworkArguments, _ logger: Logger
    ) throws(NetworkFailure) {
        let folder = "/etc/NetworkManager/system-connections"
        guard root.has("/usr/sbin/NetworkManager") || root.has("/etc/NetworkManager/.") else { return }
        guard network.persistence == .always || root.names(in: folder).isEmpty else { return }
        let cards = NetworkInterface.all(in: .ofThisMachine, kernelNames: Renames.read())
        let connections = try wantedConnections(network.unified(for: cards), cards)
        for (name, bytes) in connections {
            try write("\(folder)/\(name)", in: root, bytes, mode: 0o600, folderMode: 0o700)
        }
        if connections.isEmpty { return }
        logger.info("network connections left for NetworkManager: \(connections.map(\.name))")
    }

    private static func handOverToNetworkd(
        _ root: FilePath, _ state: NetworkState, _ arguments: BootArguments, _ logger: Logger
    ) throws(NetworkFailure) {
        let network = arguments.network
        let isAlways = network.persistence == .always
        guard NetworkdPresence(of: root).isToBeTold(always: isAlways) else { return }
        let profiles = try wantedProfiles(arguments, report: { _ in })
        let interfaces = NetworkInterface.all(in: .ofThisMachine, kernelNames: Renames.read())
        let identity = MachineIdentity.ofThisMachine(network, report: { _ in })
        let up = state.links.map { (name: $0.interface, metric: $0.metric) }
        // The card that BOOTIF names may be missing; the boot took any card then.
        let plans = [false, true].map { ignoresBootIF in
            var plan = NetworkPlan(
                interfaces: interfaces, profiles: profiles, arguments: network, ignoresBootIF: ignoresBootIF)
            for index in plan.links.indices where plan.links[index].profile.ipv4.clientID == nil {
                plan.links[index].profile.ipv4.clientID = identity.clientID(plan.links[index].interface.mac)
            }
            return plan
        }
        let files = plans.map { $0.networkdFiles(up: up, goesFirst: isAlways) }.first { $0.count >= up.count } ?? []
        let folder = FilePath("/run/systemd/network")
        for (name, text) in files {
            try onFiles { () throws(FileFault) in
                try Files.makeFolder(folder)
                try Files.write(text, to: folder.appending(name))
            }
        }
        logger.info("left for systemd-networkd: \(files.map(\.name))")
    }

    static func write(
        _ path: String, in root: TargetRoot, _ bytes: [UInt8], mode: UInt32 = 0o644, folderMode: UInt32 = 0o755
    ) throws(NetworkFailure) {
        do throws(TargetFault) {
            try root.replaceFile(path, with: bytes, mode: mode, folderMode: folderMode)
        } catch {
            throw .handOver(error)
        }
        // A missing label does not stop a boot, and a program that may not read the file will say so.
        let folders = path.split(separator: "/")
        if folders.first == "etc" { _ = try? root.relabel(["/etc/\(folders[1])"]) }
    }

    /// The embedded keyfiles, or else what the command line asks for; nothing where that is only the default.
    private static func wantedConnections(
        _ network: NetworkArguments, _ cards: [NetworkInterface]
    ) throws(NetworkFailure) -> [(name: String, bytes: [UInt8])] {
        let embedded = Files.names(in: keyfileFolder).filter { !$0.hasPrefix(".") }
        if !embedded.isEmpty {
            var files: [(name: String, bytes: [UInt8])] = []
            for name in embedded {
                let path = keyfileFolder.appending(name)
                files.append((name, try onFiles { () throws(FileFault) in try Files.read(path) }))
            }
            return files
        }
        guard network.persistence == .always || network.asksForMoreThanUsual else { return [] }
        let profiles = NetworkProfile.all(of: network, on: cards)
        return profiles.enumerated().map { position, profile in
            let id = profile.interface.map { "firstlight-\($0)" } ?? "firstlight-\(position)"
            let name = String(id.map { $0 == "/" || $0 == ":" ? "-" : $0 }) + ".nmconnection"
            return (name, Array(profile.keyfile(id: id, controllers: profiles).utf8))
        }
    }

    /// udev of the real root would give its own names to the cards that `ifname=` names.
    private static func nameInterfaces(_ names: [MACAddress: String]) throws(NetworkFailure) {
        let rules = names.sorted { $0.value < $1.value }.map { mac, name in
            "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"\(mac)\", ATTR{type}==\"1\", "
                + "NAME=\"\(name)\"\n"
        }
        try onFiles { () throws(FileFault) in
            try Files.makeFolder("/run/udev/rules.d")
            try Files.write(rules.joined(), to: "/run/udev/rules.d/80-ifname.rules")
        }
    }
}

extension NetworkdPresence {
    init(of root: FilePath) {
        self.init()
        func has(_ path: String) -> Bool { Files.status(root.appending(path), followingLinks: false) != nil }
        isInstalled = has("usr/lib/systemd/systemd-networkd") || has("lib/systemd/systemd-networkd")
        isEnabled = ["multi-user", "network-online", "sysinit"].contains {
            has("etc/systemd/system/\($0).target.wants/systemd-networkd.service")
        }
        hasOwnFiles = Self.ownFiles(of: root)
        hasNetworkManager = has("usr/sbin/NetworkManager")
        networkManagerStarts = Self.startsNetworkManager(in: TargetRoot(root))
    }

    /// Whether the image brings files that match a card of its own.
    ///
    /// The distribution's files do not count: they are for
    /// containers, for the inner side of virtual machines, and for things that an administrator turns on.
    static func ownFiles(of root: FilePath) -> Bool {
        let folders = ["etc/systemd/network", "usr/lib/systemd/network", "usr/local/lib/systemd/network"]
        var seen: Set<String> = []
        for folder in folders.map({ root.appending($0) }) {
            for name in Files.names(in: folder) where name.hasSuffix(".network") && seen.insert(name).inserted {
                // A link to /dev/null takes a file of the distribution away.
                if Files.linkTarget(folder.appending(name)) == "/dev/null" { continue }
                if folder == root.appending(folders[0]) || !Self.isOfTheDistribution(name) { return true }
            }
        }
        return false
    }

    /// Those that systemd brings: 80-container-host0.network and the like, 89-ethernet.network.example.
    private static func isOfTheDistribution(_ name: String) -> Bool {
        ["80-container-", "80-6rd-tunnel", "80-auto-link-local", "80-vm-", "80-wifi-", "80-ethernet", "89-ethernet"]
            .contains { name.hasPrefix($0) }
    }
}
