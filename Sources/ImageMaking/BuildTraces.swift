// What belongs to one build of a root and to no machine that boots it.

import SystemPackage

/// Something that would be the same on every machine, and must not be.
public struct BuildTrace: Equatable, Sendable, CustomStringConvertible {
    /// Where it is in the root, without a leading slash.
    public var path: String
    /// Why it must not be the same on every machine.
    public var reason: String

    /// The path and the reason.
    public var description: String { "\(path): \(reason)" }

    private static let machineID = "each boot is a first boot, with an ID of its own"
    private static let hostKey = "every machine would have the same key, and so would everybody who fetches the image"
    private static let resolver = "the name servers of the machine that the root was made on"
    private static let seed = "a secret that has to be random"
    private static let container = "it tells systemd that this is a container"

    /// Finds the traces that are in a tree.
    public static func found(in tree: RootTree) -> [BuildTrace] {
        var found: [BuildTrace] = []
        func look(_ path: String, _ reason: String, evenLinks: Bool = false) {
            guard let node = tree[path], !node.kind.isFolder else { return }
            // A link leads to a file that the boot makes.
            if case .link = node.kind, !evenLinks { return }
            found.append(BuildTrace(path: path, reason: reason))
        }
        look("etc/machine-id", machineID)
        look("var/lib/dbus/machine-id", machineID)
        for name in tree.names(in: "etc/ssh") where name.hasPrefix("ssh_host_") && name.contains("_key") {
            look("etc/ssh/\(name)", hostKey, evenLinks: true)
        }
        look("etc/resolv.conf", resolver)
        for name in ["random-seed", "credential.secret"] { look("var/lib/systemd/\(name)", seed) }
        look(".dockerenv", container)
        look("run/.containerenv", container)
        return found
    }

    /// Takes the traces out of a tree.
    static func takeOut(of tree: inout RootTree) throws -> [BuildTrace] {
        let found = found(in: tree)
        for trace in found { try tree.remove(Array(trace.path.utf8)) }
        return found
    }
}
