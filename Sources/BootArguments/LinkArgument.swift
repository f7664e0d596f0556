// The grammar of `vlan=`, `bond=`, `bridge=`, `team=`: links that are made of others.

/// One `vlan=`, `bond=`, `bridge=` or `team=` argument.
///
/// ```
/// vlan=NAME:PARENT
/// bond=NAME[:PORTS[:OPTIONS[:MTU]]]
/// bridge=NAME:PORTS
/// team=NAME:PORTS[:RUNNER]
/// ```
/// - SeeAlso: dracut.cmdline(7). A bare `bond` is `bond0:eth0:mode=balance-rr`, a bare `bridge` is `br0:eth0`.
public struct LinkArgument: Equatable, Sendable {
    /// The kinds of link that can be made.
    public enum Kind: Equatable, Sendable {
        /// The identifier is 0 to 4094.
        case vlan(id: Int)
        case bond(BondOptions)
        case bridge
    }

    /// As it was written.
    public var argument: String
    /// The kind of link.
    public var kind: Kind
    /// The name of the new link, 1 to 15 bytes.
    public var name: String
    /// A VLAN's parent; the ports of a bond or a bridge.
    public var lower: [InterfaceReference]
    /// The MTU in bytes, 68 to 65535; `nil`: none is given.
    public var mtu: Int?

    /// Takes each part as it is.
    public init(argument: String, kind: Kind, name: String, lower: [InterfaceReference], mtu: Int? = nil) {
        self.argument = argument
        self.kind = kind
        self.name = name
        self.lower = lower
        self.mtu = mtu
    }

    enum Malformed: Error, Equatable, CustomStringConvertible {
        case notALinkName(String)
        case noIdentifier(String)
        case noParent
        case ownParent(String)
        case notAnInterface(String)

        var description: String {
            switch self {
            case .notALinkName(let text):
                "\"\(text)\" is not a name for an interface: 1 to 15 bytes, no slash, no blank"
            case .noIdentifier(let text): "\"\(text)\" does not end in a VLAN's number, 0 to 4094"
            case .noParent: "the interface that the VLAN is on is missing"
            case .ownParent(let name): "the VLAN \(name) cannot be on itself"
            case .notAnInterface(let text): "\"\(text)\" is not an interface"
            }
        }
    }

    static let keys = ["vlan", "bond", "bridge", "team"]

    /// Reads one word of the command line.
    ///
    /// What is left out of it is added to `notes`, one line each.
    init(_ word: KernelCommandLine.Word, _ notes: inout [String]) throws(Malformed) {
        argument = word.description
        let fields = IPArgument.fields(word.value ?? "")
        func field(_ index: Int, _ fallback: String) -> String {
            fields.indices.contains(index) && !fields[index].isEmpty ? fields[index] : fallback
        }
        var rest = fields.dropFirst(2)
        switch word.key {
        case "vlan":
            name = fields[0]
            guard let parent = fields.count > 1 ? InterfaceReference(fields[1]) : nil else { throw .noParent }
            guard let id = Self.identifier(of: name) else { throw .noIdentifier(name) }
            guard parent != .name(name) else { throw .ownParent(name) }
            kind = .vlan(id: id)
            lower = [parent]
        case "bridge":
            name = field(0, "br0")
            kind = .bridge
            lower = Self.references(field(1, "eth0"))
        case "team":
            name = field(0, "team0")
            lower = Self.references(field(1, "eth0"))
            let runner = field(2, "activebackup")
            guard let mode = Self.teamModes[runner] else {
                notes.append("\(word): no runner \(runner), using activebackup")
                kind = .bond(BondOptions(["mode": "active-backup", "miimon": "100"]))
                rest = []
                break
            }
            kind = .bond(BondOptions(["mode": mode, "miimon": "100"]))
            rest = rest.dropFirst()
            notes.append("\(word): made as a bond, mode=\(mode); every system understands bond=")
        default:
            name = field(0, "bond0")
            lower = Self.references(field(1, "eth0"))
            var options = BondOptions()
            for text in field(2, "").split(separator: ",") {
                let key = String(text.prefix { $0 != "=" })
                if let complaint = options.set(key, String(text.dropFirst(key.count + 1))) {
                    notes.append("\(word): \(complaint), left out")
                }
            }
            for complaint in options.removeExcluded() { notes.append("\(word): \(complaint)") }
            kind = .bond(options)
            let text = field(3, "")
            mtu = Int(text).flatMap { IPArgument.mtus.contains($0) ? $0 : nil }
            if mtu == nil, !text.isEmpty { notes.append("\(word): \"\(text)\" is not an MTU, left out") }
            rest = rest.dropFirst(2)
        }
        if !rest.isEmpty { notes.append("\(word): \(rest.joined(separator: ":")) not used") }
        guard Self.isName(name) else { throw .notALinkName(name) }
    }

    /// What a team's runner is called as a bond's mode.
    private static let teamModes = [
        "activebackup": "active-backup", "roundrobin": "balance-rr", "lacp": "802.3ad", "loadbalance": "balance-xor",
        "broadcast": "broadcast", "random": "balance-rr",
    ]

    private static func references(_ text: String) -> [InterfaceReference] {
        var references: [InterfaceReference] = []
        for part in text.split(separator: ",") {
            if let reference = InterfaceReference(part), !references.contains(reference) {
                references.append(reference)
            }
        }
        return references
    }

    /// The VLAN that a name stands for: `vlan0005`, `vlan5`, `eth0.0005`, `eth0.5`.
    public static func identifier(of name: String) -> Int? {
        let digits = String(name.reversed().prefix { $0.isASCII && $0.isNumber }.reversed())
        return Int(digits).flatMap { (0...4094).contains($0) ? $0 : nil }
    }

    /// Whether the kernel takes it for a new link.
    public static func isName(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != 0x2f && $0 != 0x3a }
    }
}

/// A bond's options, in the kernel's words: the names of the files below `/sys/class/net/BOND/bonding`.
public struct BondOptions: Equatable, Sendable {
    /// By name.
    public private(set) var values: [String: String] = [:]

    /// - Parameter values: Values that are known to be right.
    init(_ values: [String: String]) { self.values = values }

    /// A bond of the default mode, balance-rr.
    public init() { values = ["mode": "balance-rr"] }

    /// The same with other names for the ports that it prefers.
    public func callingPorts(_ newName: (String) -> String) -> BondOptions {
        var other = self
        for key in ["primary", "active_slave"] { other.values[key] = values[key].map(newName) }
        return other
    }

    /// By the number that the kernel has for each.
    static let modes = [
        "balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb",
    ]

    /// The bond's mode as a word, such as `active-backup`.
    public var mode: String { values["mode"] ?? Self.modes[0] }

    /// The words of an option that has words, each at its number; empty: it takes a number.
    private static let words: [String: [String]] = [
        "mode": modes,
        "arp_validate": ["none", "active", "backup", "all", "filter", "filter_active", "filter_backup"],
        "arp_all_targets": ["any", "all"],
        "primary_reselect": ["always", "better", "failure"],
        "fail_over_mac": ["none", "active", "follow"],
        "xmit_hash_policy": ["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"],
        "lacp_rate": ["slow", "fast"],
        "lacp_active": ["off", "on"],
        "ad_select": ["stable", "bandwidth", "count"],
    ]
    private static let numbers: Set<String> = [
        "miimon", "updelay", "downdelay", "use_carrier", "arp_interval", "resend_igmp", "num_grat_arp", "num_unsol_na",
        "all_slaves_active", "min_links", "lp_interval", "packets_per_slave", "ad_actor_sys_prio", "ad_user_port_key",
        "tlb_dynamic_lb", "peer_notif_delay", "arp_missed_max",
    ]
    private static let texts: Set<String> = [
        "primary", "active_slave", "arp_ip_target", "ad_actor_system", "ns_ip6_target",
    ]

    /// Takes one option, as a word or the number that stands for it.
    ///
    /// - Returns: What is wrong with it; it is not taken then.
    public mutating func set(_ name: String, _ value: String) -> String? {
        // Words of lists are separated by `;` where commas separate the options.
        let value = value.split { $0 == ";" || $0 == "," || $0 == " " }.joined(separator: ",")
        if let words = Self.words[name] {
            let number = Int(value)
            if let number, words.indices.contains(number) {
                values[name] = words[number]
            } else if words.contains(value) {
                values[name] = value
            } else {
                return "no \(name) \"\(value)\"; known: \(words.joined(separator: ", "))"
            }
        } else if Self.numbers.contains(name) {
            guard let number = Int32(value), number >= 0 else { return "\(name)=\(value) is not a number" }
            values[name == "num_unsol_na" ? "num_grat_arp" : name] = "\(number)"
        } else if Self.texts.contains(name) {
            switch name {
            case "arp_ip_target"
            where value.isEmpty
                || !value.split(separator: ",").allSatisfy({ IPAddress($0)?.family == .v4 }),
                "ns_ip6_target"
            where value.isEmpty
                || !value.split(separator: ",").allSatisfy({ IPAddress($0)?.family == .v6 }):
                return "\(name)=\(value) is not a list of addresses"
            case "ad_actor_system" where MACAddress(value) == nil: return "\(name)=\(value) is not a MAC address"
            case "primary", "active_slave":
                if !LinkArgument.isName(value) { return "\(name)=\(value) is not an interface" }
            default: break
            }
            values[name] = value
        } else {
            return "no option \(name.isEmpty ? "without a name" : name) of a bond"
        }
        return nil
    }

    /// Removes the options that other options exclude.
    ///
    /// - Returns: What was removed and why, one line each.
    public mutating func removeExcluded() -> [String] {
        var notes: [String] = []
        func drop(_ name: String, _ why: String) {
            if values.removeValue(forKey: name) != nil { notes.append("\(name) \(why), left out") }
        }
        if !["active-backup", "balance-tlb", "balance-alb"].contains(mode) {
            for name in ["primary", "active_slave"] { drop(name, "is not for mode=\(mode)") }
        }
        if values["arp_interval"].map({ $0 != "0" }) ?? false {
            if values["arp_ip_target"] == nil, values["ns_ip6_target"] == nil {
                drop("arp_interval", "needs arp_ip_target")
            } else if ["802.3ad", "balance-tlb", "balance-alb"].contains(mode) {
                for name in ["arp_interval", "arp_ip_target", "arp_validate"] { drop(name, "is not for mode=\(mode)") }
            } else if values["miimon"].map({ $0 != "0" }) ?? false {
                drop("miimon", "excludes arp_interval")
            }
        }
        if mode != "802.3ad" {
            for name in [
                "lacp_rate", "lacp_active", "ad_select", "ad_actor_sys_prio", "ad_user_port_key", "ad_actor_system",
            ] {
                drop(name, "is for mode=802.3ad")
            }
        }
        return notes
    }

    /// The options in the order in which the kernel takes them.
    ///
    /// The mode decides what else may be set, and delays are multiples of miimon. Without any means to notice a port
    /// that is down the kernel would use it all the same: miimon is 100 (milliseconds) then.
    public var inOrder: [(name: String, value: String)] {
        let first = ["mode", "miimon", "arp_interval"]
        let isWatched = values["miimon"] != nil || values["arp_interval"] != nil
        return values.merging(isWatched ? [:] : ["miimon": "100"]) { own, _ in own }.sorted { one, other in
            (first.firstIndex(of: one.key) ?? first.count, one.key)
                < (first.firstIndex(of: other.key) ?? first.count, other.key)
        }.map { ($0.key, $0.value) }
    }
}
