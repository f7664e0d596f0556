// Networking: brings the machine's network up as far as booting needs it, and hands it to the real root.
// What is decided lies in NetworkPlanning (plans, verdicts, leases); here it is done.

import BootArguments
import DeviceNames
import Encoding
import Glibc
import LinuxSystem
import Logging
import NetworkPlanning
import Reporting
import SystemPackage
import TargetRoot

/// Why there is no network.
public enum NetworkFailure: Error, CustomStringConvertible, Advising {
    /// No wired interface; with the network controllers that no driver has taken.
    case noInterface([DriverlessController])
    case missing([InterfaceReference], present: [String])
    /// The cards that were named, or all there are, are not Ethernet.
    case notEthernet([NetworkInterface])
    /// Nobody answered; with a line for each card that tells what is known of it.
    case noAnswer([NetworkAttempt], cards: [String] = [])
    /// The kernel does not make a VLAN, a bond or a bridge. `origin`: who asks for it.
    case unmade(String, origin: String, Errno)
    case keyfile(NetworkKeyfile.Failure)
    /// The command line asks for what is not built, and no keyfile replaces that.
    case argument(ArgumentProblem)
    /// The card does not take the MAC address that it is to show. `origin`: who asks for it.
    case macRefused(MACAddress, link: String, origin: String, Errno)
    /// A call to the kernel failed. `act`: "adding 192.0.2.1/24 to ens3".
    case refused(act: String, Errno)
    case file(FileFault)
    case client(Command.Failure)
    /// Something could not be left in the real root.
    case handOver(TargetFault)

    /// The failure in one line, for people.
    public var description: String {
        switch self {
        case .noInterface(let controllers) where controllers.isEmpty: "this machine has no network interface"
        case .noInterface(let controllers):
            "no network interface: no driver for \(controllers.map(\.description).joined(separator: ", "))"
        case .missing(let references, let present):
            "there is no network interface \(references.map(\.description).joined(separator: ", ")); there "
                + (present.isEmpty ? "is none at all" : "are \(present.joined(separator: ", "))")
        case .notEthernet(let cards):
            cards.map { "\($0.label) is \($0.otherKind ?? ""), which is not supported" }.joined(separator: "; ")
        case .unmade(let name, let origin, let reason): "the kernel does not make \(name) (\(origin)): \(reason)"
        case .noAnswer(let attempts, _): attempts.map(\.description).joined(separator: "; ")
        case .keyfile(let failure): "\(failure)"
        case .argument(let problem): "\(problem)"
        case .macRefused(let mac, let link, let origin, let reason):
            "\(link) does not take the MAC address \(mac) (\(origin)): \(reason)"
        case .refused(let act, let reason): "\(act) failed: \(reason)"
        case .file(let fault): "\(fault)"
        case .client(let failure): "\(failure)"
        case .handOver(let fault): "\(fault)"
        }
    }

    /// What the operator can do about it, one line each.
    public var advice: [String] {
        switch self {
        case .noInterface(let controllers) where controllers.isEmpty:
            ["Check that the network card is enabled in the firmware or the hypervisor."]
        case .noInterface: ["Build the initramfs with its driver: firstlight-image initramfs --modules generic"]
        case .notEthernet: ["Name an Ethernet card: ip=IFACE:dhcp. The real root can set up the rest."]
        case .missing: ["Name an interface that is there, or give its MAC address: ip=MAC:dhcp"]
        case .noAnswer(let attempts, let cards): cards + Self.advice(attempts)
        case .unmade:
            [
                "Build the initramfs with the kernel's modules 8021q, bonding and bridge, which",
                "firstlight-image initramfs takes along where the kernel has them.",
            ]
        case .macRefused: ["Leave out the MAC address of ip=, or the keyfile's cloned-mac-address."]
        case .keyfile(let failure): failure.advice
        case .argument(let problem): problem.advice
        case .handOver(let fault): fault.advice
        case .refused, .file, .client: []
        }
    }

    private static func advice(_ attempts: [NetworkAttempt]) -> [String] {
        if attempts.allSatisfy({ $0.outcome == .noCarrier }) {
            ["Check the cable and the switch port. A slow one: rd.net.timeout.carrier=SECONDS"]
        } else if attempts.contains(where: { if case .badLease = $0.outcome { true } else { false } }) {
            [
                "Check the addresses and routes that the DHCP server gives, or give some:",
                "ip=CLIENT::GATEWAY:NETMASK::IFACE:none nameserver=IP",
            ]
        } else if attempts.contains(where: { $0.outcome == .noAddress }) {
            ["Give it one: ip=dhcp, or ip=CLIENT::GATEWAY:NETMASK::IFACE:none"]
        } else {
            [
                "Check the DHCP server and the VLAN of the switch port, or give an address:",
                "ip=CLIENT::GATEWAY:NETMASK::IFACE:none nameserver=IP",
            ]
        }
    }
}

/// Brings the network up and hands it over to the real root.
public enum Networking {
    /// Where what is learned here is kept for later stages.
    static let folder = FilePath(runFolder)
    /// Keyfiles that an image carries; they replace what the command line says.
    public static let keyfileFolder = FilePath("/etc/coreos-firstboot-network")

    /// The DHCP clients that renew what the boot runs on, until the real root's take over.
    private static let clients = Monitor(NetworkClients())

    /// Brings up what the keyfiles or the command line ask for, or else whichever interface answers.
    ///
    /// Leaves `/etc/resolv.conf`, the kernel's host name and `/run/firstlight/network.json`. Links that
    /// are not in the result are down again. Leases are renewed until ``handOver(to:arguments:logger:)``.
    ///
    /// `keyfiles` is the folder of the keyfiles. `urls` is what is to be fetched first; of several cards the one is
    /// used over which its server answers. `pump` lets new devices appear for so many milliseconds: it loads their
    /// drivers. `report` takes one line for people, and `waits` is told of what is waited for.
    public static func bringUp(
        arguments: BootArguments, urls: [SourceURL] = [], keyfiles: FilePath = keyfileFolder,
        pump: @escaping (Int32) -> Void,
        report: @escaping (String) -> Void, waits: Waits = .untold, logger: Logger
    ) throws(NetworkFailure) -> NetworkState {
        // Ends the clients of an earlier attempt.
        endClients()
        let profiles = try wantedProfiles(arguments, in: keyfiles, report: report)
        let targets = urls.compactMap { NetworkTarget(url: $0, proxy: arguments.proxy) }
        let bringUp = NetworkBringUp(
            arguments: arguments.network, profiles: profiles, targets: targets,
            identity: .ofThisMachine(arguments.network, report: report),
            context: NetworkBringUp.Context(pump: pump, report: report, waits: waits, log: logger))
        let (state, running) = try bringUp.run()
        clients.change { $0 = running }
        try keep(state)
        return state
    }

    /// Ends the DHCP clients; the addresses stay.
    ///
    /// - Returns: The DHCPv6 leases, by the numbers of their links.
    @discardableResult
    public static func endClients() -> [Int: NetworkLease6] {
        // The clients end outside of the lock, with the last reference to them.
        let running = clients.change { clients in
            defer { clients = NetworkClients() }
            return clients
        }
        for client in running.v6.values { client.end() }
        return running.v6.compactMapValues(\.lease)
    }

    /// What is wanted of the network: the keyfiles' profiles, or the command line's where there are none.
    ///
    /// `report` takes what is left out, a line each.
    static func wantedProfiles(
        _ arguments: BootArguments, in folder: FilePath = keyfileFolder, report: (String) -> Void
    ) throws(NetworkFailure) -> [NetworkProfile] {
        guard let keyfiles = try embeddedKeyfiles(in: folder) else {
            if let problem = arguments.problem(in: .network) { throw .argument(problem) }
            return NetworkProfile.all(of: arguments.network)
        }
        let network = arguments.network
        if !network.ip.isEmpty || !network.links.isEmpty || arguments.problem(in: .network) != nil {
            report("keyfiles are embedded; ip= and the like are not used")
        }
        for warning in keyfiles.files.flatMap(\.warnings) { report(warning) }
        let (profiles, refused) = NetworkProfile.joined(keyfiles.files, line: arguments.commandLine)
        let failures = keyfiles.failures + refused
        guard profiles.contains(where: \.hasAddresses) else {
            if let first = failures.first { throw .keyfile(first) }
            // No keyfile starts by itself.
            return NetworkProfile.all(of: arguments.network)
        }
        for failure in failures { report("\(failure); going on without it") }
        return profiles
    }

    /// The keyfiles of a folder and what is wrong with the others, or `nil` where there are none.
    private static func embeddedKeyfiles(
        in folder: FilePath
    ) throws(NetworkFailure) -> (files: [NetworkKeyfile], failures: [NetworkKeyfile.Failure])? {
        let names = Files.names(in: folder).filter { !$0.hasPrefix(".") }
        if names.isEmpty { return nil }
        var files: [NetworkKeyfile] = []
        var failures: [NetworkKeyfile.Failure] = []
        for name in names {
            let path = folder.appending(name)
            let bytes = try onFiles { () throws(FileFault) in try Files.read(path) }
            do throws(NetworkKeyfile.Failure) {
                files.append(try NetworkKeyfile(String(decoding: bytes, as: UTF8.self), file: name))
            } catch {
                failures.append(error)
            }
        }
        return (files, failures)
    }

    private static func keep(_ state: NetworkState) throws(NetworkFailure) {
        if !state.nameservers.isEmpty {
            try onFiles { () throws(FileFault) in
                try Files.write(state.impatientResolverConfiguration, to: "/etc/resolv.conf")
            }
        }
        if let name = state.hostname ?? state.links.compactMap({ $0.lease?.hostname }).first {
            // The name is for the log and for DHCP; a kernel that refuses it must not stop the boot.
            try? Files.put(name, into: "/proc/sys/kernel/hostname")
        }
        try onFiles { () throws(FileFault) in
            try Files.makeFolder(folder, mode: 0o700)
            try Files.write(NetworkRecord(state).bytes, to: FilePath(NetworkRecord.file.path), mode: 0o600)
        }
    }

    /// The boot's own name servers, where a DHCP server has changed them.
    static func replaceServers(
        _ old: [NameServer], by new: [NameServer], in file: FilePath = "/etc/resolv.conf"
    ) {
        guard old != new, let text = Files.line(file),
            let changed = NetworkState.resolverConfiguration(text, replacing: old, by: new)
        else { return }
        try? Files.write(changed, to: file)
    }

    /// Runs `body`; an error that it throws gets the name of what was done.
    static func act<T>(_ name: @autoclosure () -> String, _ body: () throws(Errno) -> T) throws(NetworkFailure) -> T {
        do {
            return try body()
        } catch {
            throw .refused(act: name(), error)
        }
    }

    /// The same for files, whose failures tell themselves what was done.
    static func onFiles<T>(_ body: () throws(FileFault) -> T) throws(NetworkFailure) -> T {
        do {
            return try body()
        } catch {
            throw .file(error)
        }
    }
}

extension Sysfs {
    /// The machine's own.
    static let ofThisMachine = Sysfs(
        read: { try? Files.read(FilePath("/sys\($0)")) },
        names: { Files.names(in: FilePath("/sys\($0)")) },
        linkTarget: { Files.linkTarget(FilePath("/sys\($0)")) })
}
