// busybox's udhcpc on one interface, and the hook that it calls with what the server gave.

import BootArguments
import Glibc
import JSONText
import LinuxSystem
import NetworkPlanning
import SystemPackage

/// A running DHCP client. It ends with its first lease: addresses are set here, not by it.
final class DHCPClient {
    let program: RunningProgram
    private let file: FilePath

    static let hook = Networking.folder.appending("udhcpc-hook")
    static let leases = Networking.folder.appending("leases")

    init(interface: String) throws(NetworkFailure) {
        let file = Self.leases.appending("\(interface).json")
        self.file = file
        try Networking.onFiles { () throws(FileFault) in
            try Files.makeFolder(Networking.folder, mode: 0o700)
            try Files.makeFolder(Self.leases, mode: 0o700)
            try Files.remove(file)
            // /usr is read-only, so the name by which the hook knows itself is a link made here.
            try Files.makeLink(Self.hook, to: Files.linkTarget("/proc/self/exe") ?? "/init")
        }
        // A discover each second: a link often passes its first packets only after a while. -q ends it
        // with the lease. Options beyond the usual: MTU, classless routes, search domains.
        let command = Command(
            "busybox",
            [
                "udhcpc", "-f", "-q", "-i", interface, "-s", Self.hook.string, "-t", "10", "-T", "1", "-A", "1", "-O",
                "mtu",
                "-O", "staticroutes", "-O", "search",
            ])
        let output = open("\(Self.leases)/\(interface).log", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        defer { if output >= 0 { close(output) } }
        do throws(Command.Failure) {
            program = try command.start(output: output)
        } catch {
            throw .client(error)
        }
    }

    /// What the server gave, once it has.
    func lease() -> NetworkLease? {
        guard let bytes = try? Files.read(file), let node = try? JSONNode(parsing: bytes) else { return nil }
        return NetworkLease(JSONValue(node))
    }
}

/// What udhcpc runs at every event. The agent is called so by the name `udhcpc-hook`.
public enum LeaseHook {
    /// - Returns: The exit status, which udhcpc ignores.
    public static func main() -> Int32 {
        let event = CommandLine.arguments.dropFirst().first
        guard event == "bound" || event == "renew" else { return 0 }
        // The C library's `environ` is a global that the compiler cannot vouch for; the kernel has a copy.
        guard let bytes = try? Files.read("/proc/self/environ") else { return 1 }
        let pairs = bytes.split(separator: 0).compactMap { entry -> (String, String)? in
            guard let equals = entry.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            return (
                String(decoding: entry[..<equals], as: UTF8.self),
                String(decoding: entry[(equals + 1)...], as: UTF8.self)
            )
        }
        guard let lease = NetworkLease(environment: Dictionary(pairs, uniquingKeysWith: { $1 })),
            !lease.interface.contains("/")
        else { return 1 }
        do {
            try Files.write(
                lease.json.text(.pretty), to: DHCPClient.leases.appending("\(lease.interface).json"), mode: 0o600)
            return 0
        } catch {
            return 1
        }
    }
}
