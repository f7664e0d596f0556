// The links that the boot used, taken down for NetworkManager: it leaves a link with addresses to whoever made it, sets
// it up by no profile and renews no lease on it.

import Encoding
import Glibc
import LinuxSystem
import Logging
import NetworkPlanning
import SystemPackage
import TargetRoot

extension Networking {
    /// Takes down all that is up: links that were made go, cards lose their addresses and are switched off.
    ///
    /// Routes go with their links. What the kernel refuses is for the log alone: NetworkManager leaves that link as it
    /// is.
    static func release(_ logger: Logger) {
        var released: [String] = []
        // A VLAN goes before what it is on, and a port is free once its bond is gone.
        let names = Files.names(in: "/sys/class/net").filter { $0 != "lo" }
        for name in names where isMade(name) {
            tell(logger, "taking \(name) away") { () throws(Errno) in try NetworkLinks.remove(index(of: name)) }
            released.append(name)
        }
        for name in names where isUp(name) {
            for address in NetworkLinks.addresses(of: name) {
                tell(logger, "taking an address from \(name)") { () throws(Errno) in
                    try NetworkLinks.removeAddress(address.bytes, prefix: address.prefix, from: index(of: name))
                }
            }
            tell(logger, "switching \(name) off") { () throws(Errno) in
                try NetworkLinks.configure(index(of: name), up: false)
            }
            released.append(name)
        }
        logger.info("down, for NetworkManager to begin anew: \(released)")
    }

    private static func tell(_ logger: Logger, _ act: String, _ body: () throws(Errno) -> Void) {
        do throws(Errno) { try body() } catch {
            // Gone with another link or address.
            if ![ENODEV, ENXIO, EADDRNOTAVAIL].contains(error.rawValue) { logger.warning("\(act): \(error)") }
        }
    }

    private static func attribute(_ name: String, of link: String) -> String? {
        Files.line(FilePath("/sys/class/net/\(link)/\(name)"))
    }

    private static func index(of link: String) throws(Errno) -> Int {
        guard let index = attribute("ifindex", of: link).flatMap({ Int($0) }) else { throw Errno(rawValue: ENODEV) }
        return index
    }

    private static func isMade(_ link: String) -> Bool {
        let lines = (attribute("uevent", of: link) ?? "").split(separator: "\n")
        return lines.contains { ["DEVTYPE=vlan", "DEVTYPE=bond", "DEVTYPE=bridge"].contains($0) }
    }

    private static func isUp(_ link: String) -> Bool {
        // IFF_UP is the last bit of a hexadecimal number.
        attribute("flags", of: link)?.utf8.last.flatMap { hexadecimalValue($0) }.map { $0 & 1 == 1 } ?? false
    }

    /// Whether a disk or a filesystem is reached over the network, which then has to stay.
    static func carriesStorage(
        sys: FilePath = "/sys", filesystems: [String] = Mounts.all().map(\.type)
    ) -> Bool {
        func names(_ folder: String) -> [String] { Files.names(in: sys.appending(folder)) }
        return filesystems.contains { ["nfs", "nfs4", "cifs", "smb3", "ceph", "afs"].contains($0) }
            || !names("class/iscsi_session").isEmpty
            || names("class/nvme").contains {
                ["tcp", "rdma"].contains(Files.line(sys.appending("class/nvme/\($0)/transport")))
            }
            || names("block").contains { name in
                ["rbd", "drbd", "etherd"].contains(where: name.hasPrefix)
                    || (name.hasPrefix("nbd") && Files.exists(sys.appending("block/\(name)/pid")))
            }
    }
}

extension NetworkdPresence {
    /// Whether NetworkManager starts in a root by itself: somebody wants it, or systemd's presets are yet to be applied,
    /// which they are at the first boot.
    static func startsNetworkManager(in root: TargetRoot) -> Bool {
        guard root.has("/usr/sbin/NetworkManager") else { return false }
        let unit = "NetworkManager.service"
        if root.link(at: "/etc/systemd/system/\(unit)") == "/dev/null" { return false }
        let isWanted = ["/etc", "/usr/lib"].contains {
            root.has("\($0)/systemd/system/multi-user.target.wants/\(unit)")
        }
        return isWanted || ["", "uninitialized"].contains(Networking.firstLine(of: "/etc/machine-id", in: root) ?? "")
    }
}
