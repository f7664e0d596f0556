// The profiles that a command line asks for, as NetworkManager's initrd generator makes them.

import BootArguments

extension NetworkProfile {
    /// The profiles of a command line, those that it names first.
    ///
    /// Later `ip=` of an interface add to earlier ones. A line that asks for no profile gets one for whichever
    /// interface answers.
    ///
    /// - SeeAlso: nm-initrd-generator(8). `bootdev=` owns the default route here, as dracut has it.
    public static func all(of arguments: NetworkArguments) -> [NetworkProfile] {
        var builder = Builder(profiles: [])
        for argument in arguments.ip { builder.add(argument) }
        for link in arguments.links { builder.add(link) }
        for argument in arguments.ethtool {
            let index = builder.profile(of: argument.interface)
            builder.profiles[index].ethernet.autonegotiates =
                argument.autonegotiates ?? (argument.speed == nil ? nil : false)
            builder.profiles[index].ethernet.speed = argument.speed
        }
        if let owner = arguments.bootInterface { _ = builder.profile(of: owner) }
        builder.add(arguments.routes, owner: arguments.bootInterface)
        if builder.profiles.isEmpty {
            builder.profiles = [NetworkProfile(automaticFor: nil, origin: "ip=auto")]
        }
        for index in builder.profiles.indices { builder.profiles[index].finish(arguments) }
        return builder.profiles
    }

    /// The same, as they are left for a system that does not read the command line.
    ///
    /// Without that line, a profile for any card has to say which one `BOOTIF=` means, if that is one of `cards`. A card
    /// is called by the name that it has there, whichever of its names the line has.
    public static func all(of arguments: NetworkArguments, on cards: [NetworkInterface]) -> [NetworkProfile] {
        let made = Set(arguments.links.map(\.name))
        var profiles = all(of: arguments).map { profile in
            var profile = profile
            profile.rename { name in
                guard !made.contains(name),
                    let card = cards.first(where: {
                        $0.isWired && $0.isMeant(by: .name(name), names: arguments.names)
                    })
                else { return name }
                return card.wantedName(arguments)
            }
            return profile
        }
        guard let mac = arguments.bootIF, cards.contains(where: { $0.isWired && $0.mac == mac }) else {
            return profiles
        }
        for index in profiles.indices where profiles[index].interface == nil { profiles[index].interface = .mac(mac) }
        return profiles
    }

    /// Calls cards by other names: its own, its parent's, and those of a bond's options.
    private mutating func rename(_ newName: (String) -> String) {
        func renamed(_ reference: InterfaceReference?) -> InterfaceReference? {
            if case .name(let name)? = reference { .name(newName(name)) } else { reference }
        }
        interface = renamed(interface)
        switch kind {
        case .vlan(let id, let parent, let flags): kind = .vlan(id: id, parent: renamed(parent), flags: flags)
        case .bond(let options): kind = .bond(options.callingPorts(newName))
        case .ethernet, .bridge, .unsupported: break
        }
    }

    /// Both families by whoever answers.
    fileprivate init(automaticFor interface: InterfaceReference?, origin: String) {
        self.init(origin: origin, interface: interface, ipv4: NetworkFamily(.auto), ipv6: NetworkFamily(.auto))
        ipv4.isAwaited = true
    }

    /// What holds for every profile of the line.
    fileprivate mutating func finish(_ arguments: NetworkArguments) {
        guard controller == nil else {
            // A port has no addresses of its own.
            ipv4 = NetworkFamily(.disabled)
            ipv6 = NetworkFamily(.disabled)
            return
        }
        if ipv4.isUsed { ipv4.add(nameservers: arguments.nameservers.filter { $0.family == .v4 }) }
        if ipv6.isUsed { ipv6.add(nameservers: arguments.nameservers.filter { $0.family == .v6 }) }
        let isOwner = arguments.bootInterface == nil || interface == nil || interface == arguments.bootInterface
        eachFamily { family in
            if !arguments.peerDNS { family.ignoresPeerDNS = true }
            family.timeout = arguments.timeouts.dhcp
            if !isOwner {
                family.neverDefault = true
                family.routes.removeAll(where: \.isDefault)
            }
        }
        ipv4.clientID = arguments.clientID
        ipv4.vendorClass = arguments.vendorClass
    }

    /// Takes what one more `ip=` says: of the methods the last counts, addresses come together.
    fileprivate mutating func add(_ argument: IPArgument) {
        if let address = argument.address {
            add(to: address.address.family) {
                if !$0.addresses.contains(address) { $0.addresses.append(address) }
                $0.method = .manual
                $0.mayFail = false
            }
        }
        if let gateway = argument.gateway {
            add(to: gateway.family) {
                $0.routes.removeAll(where: \.isDefault)
                $0.routes.insert(NetworkRoute(defaultBy: gateway), at: 0)
            }
        }
        func fixed(_ family: NetworkFamily, or method: NetworkFamily.Method) -> NetworkFamily.Method {
            family.addresses.isEmpty ? method : .manual
        }
        switch argument.method {
        case .fixed:
            ipv4.method = fixed(ipv4, or: .disabled)
            ipv6.method = fixed(ipv6, or: .disabled)
        case .dhcp:
            ipv4.method = .auto
            ipv4.mayFail = false
            ipv6.method = fixed(ipv6, or: .auto)
        case .auto6, .linkLocal6:
            ipv6.method = argument.method == .auto6 ? .auto : fixed(ipv6, or: .linkLocal)
            ipv6.mayFail = false
            ipv4.method = fixed(ipv4, or: .disabled)
        case .automatic:
            ipv4.method = fixed(ipv4, or: .auto)
            ipv6.method = fixed(ipv6, or: .auto)
            ipv4.isAwaited = true
        case .both:
            ipv4.method = fixed(ipv4, or: .auto)
            ipv6.method = fixed(ipv6, or: .auto)
            ipv4.isAwaited = true
            ipv6.isAwaited = true
        }
        if argument.method != .automatic, argument.method != .both {
            ipv4.isAwaited = false
            ipv6.isAwaited = false
        }
        for server in argument.nameservers { add(to: server.family) { $0.add(nameservers: [server]) } }
        if let address = argument.address?.address {
            add(to: address.family) { family in
                family.searchDomains += argument.searchDomains.filter { !family.searchDomains.contains($0) }
            }
        }
        if let name = argument.hostname { eachFamily { $0.hostname = name } }
        mtu = argument.mtu ?? mtu
        clonedMAC = argument.clonedMAC ?? clonedMAC
    }

    private mutating func add(to family: IPAddress.Family, _ body: (inout NetworkFamily) -> Void) {
        if family == .v4 { body(&ipv4) } else { body(&ipv6) }
    }
}

extension NetworkArguments {
    /// Whether the line asks for something that a system does not do by itself.
    public var asksForMoreThanUsual: Bool {
        func plain(_ arguments: NetworkArguments) -> [NetworkProfile] {
            NetworkProfile.all(of: arguments).map { profile in
                var profile = profile
                profile.origin = ""
                return profile
            }
        }
        let usual = [IPArgument(method: .automatic), IPArgument(method: .dhcp)].map { argument in
            var arguments = NetworkArguments()
            arguments.ip = [argument]
            return plain(arguments)
        }
        return !usual.contains(plain(self))
    }

    /// The same, with one name for each card that is there, where the line calls it by several: its first.
    ///
    /// Settings that belong together are then one profile, and `bootdev=` means the card of an `ip=` by any name.
    public func unified(for interfaces: [NetworkInterface]) -> NetworkArguments {
        var unified = self
        let made = Set(links.map(\.name))
        var first: [Int: InterfaceReference] = [:]
        func unify(_ reference: inout InterfaceReference) {
            if case .name(let name) = reference, made.contains(name) { return }
            guard let card = interfaces.first(where: { $0.isWired && $0.isMeant(by: reference, names: names) })
            else { return }
            reference = first[card.index] ?? reference
            first[card.index] = reference
        }
        func unify(_ reference: inout InterfaceReference?) {
            guard var given = reference else { return }
            unify(&given)
            reference = given
        }
        for index in unified.ip.indices { unify(&unified.ip[index].interface) }
        for index in unified.links.indices {
            for port in unified.links[index].lower.indices { unify(&unified.links[index].lower[port]) }
        }
        for index in unified.routes.indices { unify(&unified.routes[index].interface) }
        for index in unified.ethtool.indices { unify(&unified.ethtool[index].interface) }
        unify(&unified.bootInterface)
        return unified
    }
}

extension NetworkFamily {
    mutating func add(nameservers more: [IPAddress]) {
        for server in more where !nameservers.contains(server) { nameservers.append(server) }
    }
}

/// The profiles so far.
private struct Builder {
    var profiles: [NetworkProfile]
    /// The profiles that an `ip=` is for: they keep their addresses whatever else they carry.
    private var told: Set<Int> = []

    init(profiles: [NetworkProfile]) { self.profiles = profiles }

    /// The index of that interface's profile, which is made where it is missing; `nil` stands for any interface.
    mutating func profile(of interface: InterfaceReference?) -> Int {
        if let index = profiles.firstIndex(where: { $0.interface == interface }) { return index }
        profiles.append(
            NetworkProfile(automaticFor: interface, origin: "ip=" + (interface.map { "\($0):" } ?? "") + "auto"))
        return profiles.count - 1
    }

    mutating func add(_ argument: IPArgument) {
        let index = profile(of: argument.interface)
        if told.insert(index).inserted {
            profiles[index].origin = "ip=" + (argument.interface.map { "\($0):" } ?? "") + argument.method.word
        }
        profiles[index].add(argument)
    }

    mutating func add(_ link: LinkArgument) {
        let index = profile(of: .name(link.name))
        if !told.contains(index) { profiles[index].origin = link.argument }
        if profiles[index].mtu == nil { profiles[index].mtu = link.mtu }
        switch link.kind {
        case .vlan(let id):
            profiles[index].kind = .vlan(id: id, parent: link.lower.first, flags: 1)
            if let parent = link.lower.first {
                let index = profile(of: parent)
                // The VLAN has the addresses, unless the parent was given some itself.
                if !told.contains(index), profiles[index].controller == nil {
                    profiles[index].ipv4 = NetworkFamily(.disabled)
                    profiles[index].ipv6 = NetworkFamily(.disabled)
                    if !profiles[index].isVirtual { profiles[index].origin = link.argument }
                }
            }
            return
        case .bond(let options): profiles[index].kind = .bond(options)
        case .bridge: profiles[index].kind = .bridge(BridgeOptions())
        }
        for port in link.lower {
            let index = profile(of: port)
            profiles[index].controller = link.name
            if !profiles[index].isVirtual { profiles[index].origin = link.argument }
        }
    }

    /// A route without an interface is the owner's of the default route, or else the first profile's.
    mutating func add(_ routes: [RouteArgument], owner: InterfaceReference?) {
        for route in routes {
            let index: Int
            if let reference = route.interface ?? owner {
                index = profile(of: reference)
            } else {
                index = profiles.firstIndex { $0.hasAddresses } ?? profile(of: nil)
            }
            let new = NetworkRoute(to: route.destination, via: route.gateway)
            if route.destination.address.family == .v4 {
                profiles[index].ipv4.routes.append(new)
            } else {
                profiles[index].ipv6.routes.append(new)
            }
        }
    }
}
