// NetworkManager's keyfiles, read where an image carries some.

import BootArguments
import Reporting

/// One `*.nmconnection` file.
///
/// - SeeAlso: nm-settings-keyfile(5).
public struct NetworkKeyfile: Equatable, Sendable {
    /// What the file asks for.
    public var profile: NetworkProfile
    /// `autoconnect=false` is a connection that nobody is to start by itself.
    public var startsByItself: Bool
    /// What the file says that makes no difference here, one line each.
    public var warnings: [String] = []

    /// Why a keyfile cannot be used.
    public enum Failure: Error, Equatable, CustomStringConvertible, Advising {
        /// The line itself may hold a password.
        case malformed(file: String, line: Int)
        /// A value that is not an address, number or method.
        case unreadable(file: String, key: String, value: String)
        case unsupported(file: String, what: String)
        case noParent(file: String, name: String)
        case ownParent(file: String, name: String)

        /// What is wrong, in one line that starts with the file's name.
        public var description: String {
            switch self {
            case .malformed(let file, let line): "\(file):\(line): neither [section] nor key=value"
            case .unreadable(let file, let key, let value): "\(file): \(key)=\(value) cannot be read"
            case .unsupported(let file, let what): "\(file): \(what) is not supported"
            case .noParent(let file, let name): "\(file): the interface that the VLAN \(name) is on is missing"
            case .ownParent(let file, let name): "\(file): the VLAN \(name) cannot be on itself"
            }
        }

        /// What the operator can do about it.
        public var advice: [String] {
            switch self {
            case .malformed, .unreadable: ["Correct the keyfile and embed it again."]
            case .noParent, .ownParent: ["Give the keyfile [vlan] parent=INTERFACE, and embed it again."]
            case .unsupported:
                [
                    "Boot with an Ethernet, VLAN, bond or bridge connection; the config can place",
                    "other keyfiles in the real root.",
                ]
            }
        }
    }

    /// Reads the text of a keyfile; `file` is its name, for messages.
    public init(_ text: String, file: String) throws(Failure) {
        let reader = try NetworkKeyfileSections(text, file: file)
        let type = reader.value("connection", "type") ?? reader.onlyType ?? "ethernet"
        let ethernet = reader.has("ethernet") ? "ethernet" : "802-3-ethernet"
        profile = NetworkProfile(
            origin: file, kind: try Self.kind(type, reader, &warnings),
            interface: reader.value("connection", "interface-name").flatMap { InterfaceReference($0) },
            ipv4: try reader.family("ipv4", &warnings), ipv6: try reader.family("ipv6", &warnings))
        if profile.isVirtual, profile.interface == nil {
            profile.interface = reader.value(type, "interface-name").flatMap { InterfaceReference($0) }
        }
        if profile.isVirtual {
            guard case .name(let name)? = profile.interface, LinkArgument.isName(name) else {
                throw .unreadable(
                    file: file, key: "connection.interface-name",
                    value: reader.value("connection", "interface-name") ?? "")
            }
        }
        profile.identifiers = ["uuid", "id"].compactMap { reader.value("connection", $0) }
        profile.controller = reader.value("connection", "controller") ?? reader.value("connection", "master")
        if profile.controller != nil {
            let type = reader.value("connection", "port-type") ?? reader.value("connection", "slave-type") ?? "bond"
            if !["bond", "bridge", "team"].contains(type) { profile.unsupported.append("a port of type \(type)") }
            profile.ipv4 = NetworkFamily(.disabled)
            profile.ipv6 = NetworkFamily(.disabled)
        }
        profile.match = try reader.match(ethernet)
        // A VLAN's keyfile gives the MAC address of its parent.
        if case .vlan(let id, nil, let flags) = profile.kind, let mac = profile.match.mac {
            profile.kind = .vlan(id: id, parent: .mac(mac), flags: flags)
            profile.match.mac = nil
        }
        try Self.checkParent(profile, file)
        // A MAC address alone tells which card is meant.
        if let mac = profile.match.mac, profile.interface == nil {
            profile.interface = .mac(mac)
            profile.match.mac = nil
        }
        profile.mtu = try reader.number(ethernet, "mtu", 0...65_535).flatMap { $0 == 0 ? nil : $0 }
        profile.clonedMAC = try reader.clonedMAC(ethernet, &profile.unsupported)
        if case .bridge = profile.kind, let mac = try reader.mac("bridge", "mac-address") {
            profile.clonedMAC = profile.clonedMAC ?? mac
        }
        profile.ethernet = try reader.ethernet(ethernet)
        profile.priority = try reader.number("connection", "autoconnect-priority", -999...999) ?? 0
        profile.unsupported += reader.unsupportedSections
        startsByItself = try reader.flag("connection", "autoconnect") ?? true
    }

    /// A VLAN is on another interface, which its own name may show: `eth0.5`.
    private static func checkParent(_ profile: NetworkProfile, _ file: String) throws(Failure) {
        guard case .vlan(_, let parent, _) = profile.kind, case .name(let name)? = profile.interface else { return }
        if let parent {
            guard parent != .name(name) else { throw .ownParent(file: file, name: name) }
        } else if !name.dropFirst().contains(".") {
            throw .noParent(file: file, name: name)
        }
    }

    private static func kind(
        _ type: String, _ reader: NetworkKeyfileSections, _ warnings: inout [String]
    ) throws(Failure) -> NetworkProfile.Kind {
        switch type {
        case "ethernet", "802-3-ethernet": return .ethernet
        case "vlan":
            let named = reader.value("connection", "interface-name").flatMap { LinkArgument.identifier(of: $0) }
            guard let id = try reader.number("vlan", "id", 0...4094) ?? named else {
                throw .unreadable(file: reader.file, key: "vlan.id", value: "")
            }
            return .vlan(
                id: id, parent: reader.value("vlan", "parent").flatMap { InterfaceReference($0) },
                flags: try reader.number("vlan", "flags", 0...31) ?? 1)
        case "bond":
            var options = BondOptions()
            for (key, value) in reader.pairs("bond") where key != "interface-name" {
                if let complaint = options.set(key, value) { warnings.append("\(reader.file): \(complaint), left out") }
            }
            warnings += options.removeExcluded().map { "\(reader.file): \($0)" }
            return .bond(options)
        case "bridge": return .bridge(try reader.bridge())
        case "team":
            var options = BondOptions()
            let runners = [
                "activebackup": 1, "roundrobin": 0, "lacp": 4, "loadbalance": 2, "broadcast": 3, "random": 0,
            ]
            // The configuration is JSON of teamd's; its runner's name is all that a bond can take of it.
            let config = reader.value("team", "config") ?? ""
            let mode = runners.first { config.contains("\"\($0.key)\"") }?.value ?? 0
            _ = options.set("mode", "\(mode)")
            warnings.append("\(reader.file): a team is made as a bond, mode=\(options.mode)")
            return .bond(options)
        default: return .unsupported(type)
        }
    }
}
