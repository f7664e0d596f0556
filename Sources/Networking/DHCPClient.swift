// busybox's udhcpc on one interface, and the hook that it calls with what the server gave.

import BootArguments
import Encoding
import Glibc
import LinuxSystem
import NetworkPlanning
import Reporting
import SystemPackage

/// A running DHCP client.
///
/// It renews its lease for as long as somebody holds it; its hook puts each lease into force.
final class DHCPClient: Sendable {
    let program: RunningProgram
    private let file: FilePath

    static let hook = FilePath(RunFile.leaseHook.path)
    static let leases = FilePath(RunFile.leases.path)

    /// Starts the client on a link; `settings` and the family of its profile tell the hook what to do with a lease.
    init(
        _ settings: LinkSettings, _ family: NetworkFamily, mtu: Int?, hostname: String?
    ) throws(NetworkFailure) {
        let file = Self.leases.appending("\(settings.name).json")
        self.file = file
        try Networking.onFiles { () throws(FileFault) in
            try Files.makeFolder(Networking.folder, mode: 0o700)
            try Files.makeFolder(Self.leases, mode: 0o700)
            try Files.remove(file)
            try Files.remove(Self.endedLease(of: settings.name))
            try Files.remove(Self.failure(of: settings.name))
            // /usr is read-only, so the name by which the hook knows itself is a link made here.
            try Files.makeLink(Self.hook, to: Files.linkTarget("/proc/self/exe") ?? "/init")
        }
        let order = LeaseOrder(
            index: settings.index, metric: family.metric ?? settings.metric, setsMTU: mtu == nil,
            takesRoutes: !family.ignoresPeerRoutes,
            takesDefault: !family.neverDefault && !family.routes.contains(where: \.isDefault))
        // A discover each second: a link often passes its first packets only after a while. Options beyond the usual:
        // MTU, classless routes, search domains, time servers.
        var words = [
            "udhcpc", "-f", "-i", settings.name, "-s", Self.hook.string, "-t", "10", "-T", "1", "-A", "1",
            "-O", "mtu", "-O", "staticroutes", "-O", "search", "-O", "ntpsrv",
        ]
        if let id = family.clientID { words += ["-C", "-x", "0x3d:" + hexadecimal(id.bytes)] }
        if let vendor = family.vendorClass { words += ["-V", vendor] }
        if family.sendsHostname, let name = family.hostname ?? hostname { words += ["-x", "hostname:\(name)"] }
        let command = Command("busybox", words, environment: Command.defaultEnvironment + order.environment)
        let output = open("\(Self.leases)/\(settings.name).log", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        defer { if output >= 0 { close(output) } }
        do throws(Command.Failure) {
            program = try command.start(output: output)
        } catch {
            throw .client(error)
        }
    }

    /// What the server gave, once it has.
    func lease() -> NetworkLease? { Self.lease(in: file) }

    /// The lease that an interface has, or had when its client ended.
    static func lease(of interface: String) -> NetworkLease? { lease(in: leases.appending("\(interface).json")) }

    /// Where the last lease of an interface is kept after it has ended.
    static func endedLease(of interface: String) -> FilePath { leases.appending("\(interface).ended") }

    /// Where the hook tells why it could not put a lease into force.
    static func failure(of interface: String) -> FilePath { leases.appending("\(interface).failed") }

    /// Where the hook tells which routes of a lease the kernel refused.
    static func refusals(of interface: String) -> FilePath { leases.appending("\(interface).refused") }

    /// Which routes of the lease are not there, and why; `nil`: none is missing.
    static func refusalText(of interface: String) -> String? { Files.line(refusals(of: interface)) }

    /// Why the last lease that came is not in force; `nil`: it is, or none came.
    static func failureText(of interface: String) -> String? { Files.line(failure(of: interface)) }

    static func lease(in file: FilePath) -> NetworkLease? {
        (try? Files.read(file)).flatMap { LeaseRecord(parsing: $0)?.lease }
    }
}

/// What the hook is to do with a lease; it goes through the client in its environment.
struct LeaseOrder: Equatable {
    var index: Int
    var metric: Int
    var setsMTU: Bool
    var takesRoutes: Bool
    var takesDefault: Bool

    private static let key = "FIRSTLIGHT_LINK"

    var environment: [String] {
        let numbers = [index, metric, setsMTU ? 1 : 0, takesRoutes ? 1 : 0, takesDefault ? 1 : 0]
        return ["\(Self.key)=" + numbers.map { "\($0)" }.joined(separator: " ")]
    }

    init(index: Int, metric: Int, setsMTU: Bool, takesRoutes: Bool, takesDefault: Bool) {
        self.index = index
        self.metric = metric
        self.setsMTU = setsMTU
        self.takesRoutes = takesRoutes
        self.takesDefault = takesDefault
    }

    init?(_ environment: [String: String]) {
        let numbers = (environment[Self.key] ?? "").split(separator: " ").compactMap { Int($0) }
        guard numbers.count == 5 else { return nil }
        self.init(
            index: numbers[0], metric: numbers[1], setsMTU: numbers[2] == 1, takesRoutes: numbers[3] == 1,
            takesDefault: numbers[4] == 1)
    }

    /// Of what a lease offers.
    func routes(of lease: NetworkLease) -> [NetworkRoute] {
        takesRoutes ? lease.routes.filter { takesDefault || !$0.isDefault } : []
    }
}

/// What udhcpc runs at every event.
///
/// The agent does so where it is called by the name `udhcpc-hook`.
public enum LeaseHook {
    /// - Returns: The exit status, which udhcpc ignores.
    public static func main() -> Int32 {
        guard let event = CommandLine.arguments.dropFirst().first, ["bound", "renew", "deconfig"].contains(event),
            let environment = ownEnvironment, let interface = environment["interface"], !interface.contains("/"),
            let order = LeaseOrder(environment)
        else { return 0 }
        let file = DHCPClient.leases.appending("\(interface).json")
        let old = DHCPClient.lease(in: file)
        do {
            let settings = LinkSettings(index: order.index, name: interface, metric: order.metric)
            guard event != "deconfig", let lease = NetworkLease(environment: environment) else {
                // The lease is over, or a server took it back.
                guard let old else { return 0 }
                withdraw(old, settings, order)
                // The next lease may name other servers than this one.
                try Files.write(LeaseRecord(old).bytes, to: DHCPClient.endedLease(of: interface), mode: 0o600)
                try Files.remove(file)
                return 0
            }
            if let old, old.address != lease.address { withdraw(old, settings, order) }
            try settings.add([lease.address])
            let routes = order.routes(of: lease)
            let refused = try add(routes, of: lease, settings)
            if let old { settings.remove(order.routes(of: old).filter { !routes.contains($0) }) }
            // A server may give an MTU that the card cannot do; the link works with its own.
            if order.setsMTU, let mtu = lease.mtu { try? NetworkLinks.configure(order.index, mtu: mtu) }
            if let last = old ?? DHCPClient.lease(in: DHCPClient.endedLease(of: interface)) {
                Networking.replaceServers(
                    last.nameservers.map { NameServer($0) }, by: lease.nameservers.map { NameServer($0) })
            }
            // The file comes last: code that waits for the lease finds it in force.
            try Files.write(LeaseRecord(lease).bytes, to: file, mode: 0o600)
            try Files.remove(DHCPClient.failure(of: interface))
            if refused.isEmpty {
                try Files.remove(DHCPClient.refusals(of: interface))
            } else {
                try Files.write(
                    refused.joined(separator: "; ") + "\n", to: DHCPClient.refusals(of: interface), mode: 0o600)
            }
            return 0
        } catch {
            // udhcpc does not look at the status: whoever waits for the lease reads why there is none.
            try? Files.write("\(error)\n", to: DHCPClient.failure(of: interface), mode: 0o600)
            return 1
        }
    }

    /// Adds the routes of a lease; a server's odd one costs itself alone, unless it is the default route.
    ///
    /// - Returns: Why some are not there.
    private static func add(
        _ routes: [NetworkRoute], of lease: NetworkLease, _ settings: LinkSettings
    ) throws(NetworkFailure) -> [String] {
        var refused: [String] = []
        // A gateway may be reached by a route on the link.
        for route in routes.filter({ $0.gateway == nil }) + routes.filter({ $0.gateway != nil }) {
            do throws(NetworkFailure) { try settings.add([route], own: [lease.address]) } catch {
                if route.isDefault { throw error }
                refused.append("\(error)")
            }
        }
        return refused
    }

    private static func withdraw(_ lease: NetworkLease, _ settings: LinkSettings, _ order: LeaseOrder) {
        settings.remove(order.routes(of: lease))
        try? NetworkLinks.removeAddress(
            lease.address.address.bytes, prefix: lease.address.prefix, from: settings.index)
    }

    /// The C library's `environ` is a global that the compiler cannot vouch for; the kernel has a copy.
    private static var ownEnvironment: [String: String]? {
        guard let bytes = try? Files.read("/proc/self/environ") else { return nil }
        let pairs = bytes.split(separator: 0).compactMap { entry -> (String, String)? in
            guard let equals = entry.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            return (
                String(decoding: entry[..<equals], as: UTF8.self),
                String(decoding: entry[(equals + 1)...], as: UTF8.self)
            )
        }
        return Dictionary(pairs, uniquingKeysWith: { $1 })
    }
}
