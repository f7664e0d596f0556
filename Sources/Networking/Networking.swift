// Networking: brings the machine's network up as far as booting needs it, and hands it to the real root.
// What is decided lies in NetworkPlanning (plans, verdicts, leases); here it is done.

import BootArguments
import DeviceNames
import Glibc
import JSONText
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
    case noAnswer([NetworkAttempt])
    case keyfile(NetworkKeyfile.Failure)
    /// The command line asks for what is not built, and no keyfile replaces that.
    case argument(ArgumentProblem)
    /// A call to the kernel failed. `act`: "adding 192.0.2.1/24 to ens3".
    case refused(act: String, Errno)
    case file(FileFault)
    case client(Command.Failure)
    /// Something could not be left in the real root.
    case handOver(TargetFault)

    public var description: String {
        switch self {
        case .noInterface(let controllers) where controllers.isEmpty: "this machine has no network interface"
        case .noInterface(let controllers):
            "no network interface: no driver for \(controllers.map(\.description).joined(separator: ", "))"
        case .missing(let references, let present):
            "there is no network interface \(references.map(\.description).joined(separator: ", ")); there "
                + (present.isEmpty ? "is none at all" : "are \(present.joined(separator: ", "))")
        case .noAnswer(let attempts): attempts.map(\.description).joined(separator: "; ")
        case .keyfile(let failure): "\(failure)"
        case .argument(let problem): "\(problem)"
        case .refused(let act, let reason): "\(act) failed: \(reason)"
        case .file(let fault): "\(fault)"
        case .client(let failure): "\(failure)"
        case .handOver(let fault): "\(fault)"
        }
    }

    public var advice: [String] {
        switch self {
        case .noInterface(let controllers) where controllers.isEmpty:
            ["Check that the network card is enabled in the firmware or the hypervisor."]
        case .noInterface: ["Build the initramfs with its driver: firstlight-image initramfs --modules generic"]
        case .missing: ["Name an interface that is there, or give its MAC address: ip=MAC:dhcp"]
        case .noAnswer(let attempts):
            if attempts.allSatisfy({ $0.outcome == .noCarrier }) {
                ["Check the cable and the switch port. A slow one: rd.net.timeout.carrier=SECONDS"]
            } else if attempts.contains(where: { $0.outcome == .noAddress }) {
                ["Give it one: ip=dhcp, or ip=CLIENT::GATEWAY:NETMASK::IFACE:none"]
            } else {
                [
                    "Check the DHCP server and the VLAN of the switch port, or give an address:",
                    "ip=CLIENT::GATEWAY:NETMASK::IFACE:none nameserver=IP",
                ]
            }
        case .keyfile(let failure): failure.advice
        case .argument(let problem): problem.advice
        case .handOver(let fault): fault.advice
        case .refused, .file, .client: []
        }
    }
}

public enum Networking {
    /// Where what is learned here is kept for later stages.
    static let folder = FilePath("/run/firstlight")
    /// Keyfiles that an image carries; they replace what the command line says.
    public static let keyfileFolder = FilePath("/etc/coreos-firstboot-network")

    /// Brings up what the keyfiles or the command line ask for, or else whichever interface answers.
    ///
    /// Leaves `/etc/resolv.conf`, the kernel's host name and `/run/firstlight/network.json`. Links that
    /// are not in the result are down again.
    ///
    /// - Parameters:
    ///   - pump: Lets new devices appear for so many milliseconds: loads their drivers.
    ///   - report: One line for people.
    ///   - waits: Told of what is waited for.
    public static func bringUp(
        arguments: BootArguments, pump: @escaping (Int32) -> Void, report: @escaping (String) -> Void,
        waits: Waits = .untold, logger: Logger
    ) throws(NetworkFailure) -> NetworkState {
        let profiles: [NetworkProfile]
        if let embedded = try embeddedProfiles() {
            profiles = embedded
            if !arguments.network.ip.isEmpty { report("keyfiles are embedded; ip= is not used") }
        } else if let problem = arguments.problem(in: .network) {
            throw .argument(problem)
        } else {
            profiles = NetworkProfile.all(of: arguments.network)
        }
        let effort = try NetworkBringUp(
            arguments: arguments.network, profiles: profiles, pump: pump, report: report, waits: waits,
            logger: logger)
        let state = try effort.run()
        try keep(state)
        return state
    }

    /// The profiles of the keyfiles in ``keyfileFolder``, or `nil` where there are none.
    static func embeddedProfiles() throws(NetworkFailure) -> [NetworkProfile]? {
        var profiles: [NetworkProfile] = []
        for name in Files.names(in: keyfileFolder) where !name.hasPrefix(".") {
            let bytes = try onFiles { () throws(FileFault) in try Files.read(keyfileFolder.appending(name)) }
            let text = String(decoding: bytes, as: UTF8.self)
            do throws(NetworkKeyfile.Failure) {
                let keyfile = try NetworkKeyfile(text, file: name)
                if keyfile.startsByItself { profiles.append(keyfile.profile) }
            } catch {
                throw .keyfile(error)
            }
        }
        return profiles.isEmpty ? nil : profiles
    }

    private static func keep(_ state: NetworkState) throws(NetworkFailure) {
        if !state.nameservers.isEmpty {
            try onFiles { () throws(FileFault) in
                try Files.write(state.resolverConfiguration, to: "/etc/resolv.conf")
            }
        }
        if let name = state.hostname ?? state.links.compactMap({ $0.lease?.hostname }).first {
            // The name is for the log and for DHCP; a kernel that refuses it must not stop the boot.
            try? Files.put(name, into: "/proc/sys/kernel/hostname")
        }
        try onFiles { () throws(FileFault) in
            try Files.makeFolder(folder, mode: 0o700)
            try Files.write(state.json.text(.pretty), to: folder.appending("network.json"), mode: 0o600)
        }
    }

    /// Runs `body`; what it throws leaves here knowing what was done.
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
