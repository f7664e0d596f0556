// Which interface gets which settings, and which links are still to be made.

import BootArguments

/// What is to be done with each interface that is here.
public struct NetworkPlan: Equatable, Sendable {
    /// An interface that is here, and its settings.
    public struct Link: Equatable, Sendable {
        /// The interface as it is now.
        public var interface: NetworkInterface
        /// The name it is to have.
        public var name: String
        /// Its settings.
        public var profile: NetworkProfile
        /// Somebody named this interface; otherwise it is one of several that may answer.
        public var isNamed: Bool
        /// Of its default route: earlier links go first.
        public var metric: Int

        /// The name that `ifname=` gives the card, where it cannot have that; `nil`: it can, or was given none.
        public func refusedName(_ arguments: NetworkArguments) -> String? {
            interface.mac.flatMap { arguments.names[$0] }.flatMap { $0 == name ? nil : $0 }
        }
    }

    /// A link that is not there yet and can be made now.
    public struct New: Equatable, Sendable {
        /// The name that it is to have.
        public var name: String
        /// Its kind and its settings.
        public var profile: NetworkProfile
        /// A VLAN's.
        public var parent: NetworkInterface?
    }

    /// The interfaces that have settings, in the order in which they were given.
    public var links: [Link]
    /// The links that can be made now.
    public var new: [New]
    /// What was named and is not here, or not yet.
    public var missing: [InterfaceReference]
    /// Ports that are not here: what they belong to works without them.
    public var missingPorts: [InterfaceReference]
    /// What was named and is not a card of Ethernet; or all such cards of a machine that has no other.
    public var unsupported: [NetworkInterface]

    /// Plans what is wanted, the command line's profiles or the keyfiles', for the interfaces that are there.
    ///
    /// With `ignoresBootIF` any interface may be taken, as the one that the firmware booted from did not show up.
    public init(
        interfaces: [NetworkInterface], profiles: [NetworkProfile], arguments: NetworkArguments,
        ignoresBootIF: Bool = false
    ) {
        // Two arguments may name one card by two of its names; that shows once the card is here.
        let isOfLine = profiles == NetworkProfile.all(of: arguments)
        let arguments = arguments.unified(for: interfaces)
        let profiles = isOfLine ? NetworkProfile.all(of: arguments) : profiles
        var choice = Choice(interfaces: interfaces, names: arguments.names)
        // The order among equals stays.
        let order = profiles.indices.sorted { (-profiles[$0].priority, $0) < (-profiles[$1].priority, $1) }
        let ranked = order.map { profiles[$0] }
        for profile in ranked where profile.isVirtual { choice.takeVirtual(profile, among: ranked) }
        for profile in ranked where !profile.isVirtual && profile.interface != nil { choice.takeNamed(profile) }
        let named = Set(choice.chosen.keys)
        let bootIF = ignoresBootIF ? nil : arguments.bootIF
        for interface in interfaces where choice.chosen[interface.index] == nil && interface.isWired {
            let fitting = ranked.first { $0.interface == nil && !$0.isVirtual && $0.isFor(interface, names: [:]) }
            if let fitting, bootIF == nil || !fitting.match.isEmpty || interface.mac == bootIF {
                choice.chosen[interface.index] = fitting
            }
        }
        choice.takeParents(of: ranked)
        links = []
        for interface in interfaces {
            guard let profile = choice.chosen[interface.index] else { continue }
            let owner = arguments.bootInterface.map { interface.isMeant(by: $0, names: arguments.names) } ?? false
            links.append(
                Link(
                    interface: interface, name: interface.wantedName(arguments), profile: profile,
                    isNamed: named.contains(interface.index), metric: owner ? 99 : 100 + links.count))
        }
        new = choice.new
        missing = choice.missing
        missingPorts = choice.missingPorts
        unsupported =
            interfaces.contains(where: \.isWired) ? choice.unsupported : interfaces.filter { $0.otherKind != nil }
        giveNames(taken: Set(interfaces.map(\.name)))
    }

    /// Two links cannot have one name, and a link cannot have the name of another interface.
    private mutating func giveNames(taken: Set<String>) {
        var given: Set<String> = []
        for index in links.indices {
            let own = links[index].interface.name
            if links[index].name != own, taken.contains(links[index].name) || given.contains(links[index].name) {
                links[index].name = own
            }
            given.insert(links[index].name)
        }
    }

    /// The link of that name, by which ports name their controller.
    public func link(named name: String) -> Link? {
        links.first { $0.profile.isVirtual && $0.profile.interface == .name(name) }
    }
}

/// What is chosen so far.
private struct Choice {
    let interfaces: [NetworkInterface]
    let names: [MACAddress: String]
    /// By the interface's number.
    var chosen: [Int: NetworkProfile] = [:]
    var new: [NetworkPlan.New] = []
    var missing: [InterfaceReference] = []
    var missingPorts: [InterfaceReference] = []
    var unsupported: [NetworkInterface] = []

    init(interfaces: [NetworkInterface], names: [MACAddress: String]) {
        self.interfaces = interfaces
        self.names = names
    }

    func interface(_ reference: InterfaceReference) -> NetworkInterface? {
        let meant = interfaces.filter { $0.isMeant(by: reference, names: names) }
        // Virtual interfaces often carry the MAC address of the one they sit on.
        return meant.first(where: \.isWired) ?? meant.first
    }

    mutating func takeVirtual(_ profile: NetworkProfile, among all: [NetworkProfile]) {
        guard case .name(let name)? = profile.interface else { return }
        if let interface = interfaces.first(where: { $0.name == name && !$0.isWired }) {
            if chosen[interface.index] == nil { chosen[interface.index] = profile }
            return
        }
        guard case .vlan(_, let parent, _) = profile.kind else {
            new.append(NetworkPlan.New(name: name, profile: profile))
            return
        }
        // Without a parent, the name shows it: eth0.5.
        let reference = parent ?? .name(String(name.split(separator: ".").dropLast().joined(separator: ".")))
        if let interface = interface(reference) {
            new.append(NetworkPlan.New(name: name, profile: profile, parent: interface))
        } else if !all.contains(where: { $0.isVirtual && $0.interface == reference }), !missing.contains(reference) {
            missing.append(reference)
        }
    }

    mutating func takeNamed(_ profile: NetworkProfile) {
        guard let reference = profile.interface else { return }
        let meant = interfaces.filter { chosen[$0.index] == nil && profile.isFor($0, names: names) }
        let usable = meant.filter { $0.otherKind == nil }
        if let interface = usable.first(where: \.isWired) ?? usable.first {
            chosen[interface.index] = profile
        } else if let other = meant.first {
            if !unsupported.contains(other) { unsupported.append(other) }
        } else if interface(reference).map({ chosen[$0.index] != nil }) ?? false {
            // Another profile has this interface under another name.
        } else if profile.controller != nil {
            if !missingPorts.contains(reference) { missingPorts.append(reference) }
        } else if !missing.contains(reference) {
            missing.append(reference)
        }
    }

    /// If no profile describes a VLAN's parent, the parent carries the VLAN and has nothing of its own.
    mutating func takeParents(of profiles: [NetworkProfile]) {
        for profile in profiles {
            guard case .vlan(_, let parent?, _) = profile.kind, let interface = interface(parent),
                chosen[interface.index] == nil
            else { continue }
            chosen[interface.index] = NetworkProfile(
                origin: profile.origin, interface: parent, ipv4: NetworkFamily(.disabled),
                ipv6: NetworkFamily(.disabled))
        }
    }
}
