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

    /// Where the traces are, without a leading slash.
    static let folders = [
        "", "etc", "etc/ssh", "etc/dropbear", "var/lib/dbus", "var/lib/systemd", "var/lib/NetworkManager",
        "boot/loader", "run",
    ]
    /// Files that an image may well have, as long as they are empty.
    static let emptyOnes = ["etc/machine-id", "etc/resolv.conf"]

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
        for name in tree.names(in: "etc/dropbear") where name.hasSuffix("_host_key") {
            look("etc/dropbear/\(name)", hostKey, evenLinks: true)
        }
        look("etc/resolv.conf", resolver)
        for name in ["random-seed", "credential.secret"] { look("var/lib/systemd/\(name)", seed) }
        look("var/lib/NetworkManager/secret_key", seed)
        look("boot/loader/random-seed", seed)
        look(".dockerenv", container)
        look("run/.containerenv", container)
        return found
    }

    /// The traces in an image that stays as it is: an empty machine-id is what systemd asks an image to have.
    static func left(in tree: RootTree) -> [BuildTrace] {
        found(in: tree).filter { trace in
            guard emptyOnes.contains(trace.path), case .file(let source)? = tree[trace.path]?.kind else { return true }
            return source.count > 0
        }
    }

    /// Takes the traces out of a tree.
    static func takeOut(of tree: inout RootTree) throws -> [BuildTrace] {
        let found = found(in: tree)
        for trace in found { try tree.remove(Array(trace.path.utf8)) }
        return found
    }

    // MARK: Passwords, which somebody may have meant to be there

    /// Where the password hashes of users are.
    static let shadow = "etc/shadow"

    /// A warning of password hashes; `nil` where there are none.
    static func warning(ofShadow text: String) -> String? {
        let users = text.split(separator: "\n").compactMap { line -> Substring? in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count > 1, let first = fields[1].first, first != "!", first != "*" else { return nil }
            return fields[0]
        }
        guard !users.isEmpty else { return nil }
        let hashes = users.count == 1 ? "hash" : "hashes"
        return "warning: /\(shadow) has the password \(hashes) of \(users.joined(separator: ", ")), "
            + "and so has whoever gets the image"
    }

    /// The text of a tree's file; `nil` where it is not a file.
    static func shadow(in tree: RootTree) throws -> String? {
        guard case .file(let source)? = tree[shadow]?.kind else { return nil }
        switch source {
        case .bytes(let bytes): return String(decoding: bytes, as: UTF8.self)
        case .file(let file, let offset, let count):
            let (end, isBeyond) = offset.addingReportingOverflow(count)
            let input = try ByteRange(file, offset..<(isBeyond ? offset : end))
            return String(decoding: try input.bytes(at: 0, count: min(count, 1 << 20)), as: UTF8.self)
        }
    }
}
