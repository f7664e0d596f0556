// Which interface gets which settings, and when that is enough to go on with.

import BootArguments

/// What is to be done with each interface that is here.
public struct NetworkPlan: Equatable, Sendable {
    public struct Link: Equatable, Sendable {
        public var interface: NetworkInterface
        /// The name it is to have.
        public var name: String
        public var profile: NetworkProfile
        /// Somebody named this interface; otherwise it is one of several that may answer.
        public var isNamed: Bool
        /// Of its default route: earlier links go first.
        public var metric: Int
    }

    public var links: [Link]
    /// What was named and is not here, or not yet.
    public var missing: [InterfaceReference]

    /// - Parameters:
    ///   - interfaces: What is there.
    ///   - profiles: What is wanted, the command line's or the keyfiles'.
    ///   - ignoresBootIF: The interface that the firmware booted from did not show up: take any.
    public init(
        interfaces: [NetworkInterface], profiles: [NetworkProfile], arguments: NetworkArguments,
        ignoresBootIF: Bool = false
    ) {
        let bootIF = ignoresBootIF ? nil : arguments.bootIF
        let wildcard = profiles.first { $0.interface == nil }
        var chosen: [Int: NetworkProfile] = [:]
        missing = []
        for profile in profiles {
            guard let reference = profile.interface else { continue }
            let meant = interfaces.filter {
                $0.isMeant(by: reference, names: arguments.names) && chosen[$0.index] == nil
            }
            // Virtual interfaces often carry the MAC address of the one they sit on.
            if let interface = meant.first(where: \.isWired) ?? meant.first {
                chosen[interface.index] = profile
            } else {
                missing.append(reference)
            }
        }
        let named = Set(chosen.keys)
        if let wildcard {
            for interface in interfaces where chosen[interface.index] == nil && interface.isWired {
                if let bootIF, interface.mac != bootIF { continue }
                chosen[interface.index] = wildcard
            }
        }
        links = []
        for interface in interfaces {
            guard let profile = chosen[interface.index] else { continue }
            let owner = arguments.bootInterface.map { interface.isMeant(by: $0, names: arguments.names) } ?? false
            links.append(
                Link(
                    interface: interface, name: interface.wantedName(arguments), profile: profile,
                    isNamed: named.contains(interface.index), metric: owner ? 99 : 100 + links.count))
        }
        // Two links cannot have one name, nor one that another interface has.
        let taken = Set(interfaces.map(\.name))
        var given: Set<String> = []
        for index in links.indices {
            let own = links[index].interface.name
            if links[index].name != own, taken.contains(links[index].name) || given.contains(links[index].name) {
                links[index].name = own
            }
            given.insert(links[index].name)
        }
    }
}

/// What has been seen of one link so far. Times are seconds on one clock.
public struct NetworkLinkState: Equatable, Sendable {
    /// When the link was set up.
    public var since: Double
    /// When it had a carrier first.
    public var carrierSince: Double?
    /// When it had all that its method gives.
    public var lease: NetworkLease?
    public var leaseSince: Double?
    /// Global addresses from router advertisements.
    public var global6: [InterfaceAddress] = []
    public var global6Since: Double?
    public var hasLinkLocal6 = false

    public init(since: Double) { self.since = since }
}

/// Why one interface gave nothing.
public struct NetworkAttempt: Equatable, Sendable, CustomStringConvertible {
    public enum Outcome: Equatable, Sendable { case noCarrier, noLease, noAdvertisement, noAddress }

    public var interface: String
    public var outcome: Outcome
    public var seconds: Int

    public init(_ interface: String, _ outcome: Outcome, seconds: Int) {
        self.interface = interface
        self.outcome = outcome
        self.seconds = seconds
    }

    public var description: String {
        switch outcome {
        case .noCarrier: "no carrier on \(interface) within \(seconds) s"
        case .noLease: "no DHCP answer on \(interface) within \(seconds) s"
        case .noAdvertisement: "no IPv6 router answered on \(interface) within \(seconds) s"
        case .noAddress: "\(interface) was given no address"
        }
    }
}

/// Whether to go on waiting.
public enum NetworkVerdict: Equatable, Sendable {
    case wait
    /// Go on with these links, by position in the plan.
    case up([Int])
    case failed([NetworkAttempt])
    case nothingThere
}

extension NetworkPlan {
    /// Seconds that IPv4 has before IPv6 alone is enough for `auto`, and that the second family or a
    /// further interface has once the first is up.
    static let patience: Double = 20
    static let ipv4HeadStart: Double = 10

    /// Judges what has been seen by `now`.
    ///
    /// An interface that was named is waited for; of interfaces that may answer, the first that does
    /// wins. Once one is up, the others have ``patience`` left.
    ///
    /// - Parameters:
    ///   - states: One for each link.
    ///   - start: When the waiting began.
    public func verdict(
        _ states: [NetworkLinkState], start: Double, now: Double, timeouts: NetworkArguments.Timeouts
    ) -> NetworkVerdict {
        let ups = zip(links, states).map { link, state in Self.upSince(link, state, now: now) }
        let up = links.indices.filter { ups[$0] != nil }
        let attempts = zip(links, states).map { link, state in Self.givenUp(link, state, now: now, timeouts: timeouts) }
        let named = links.indices.filter { links[$0].isNamed }
        let missingTime = Double(timeouts.interface ?? (missing.isEmpty ? 10 : 60))
        let isMissing = !missing.isEmpty && now - start < missingTime

        let useful = up.filter { links[$0].isNamed || Self.reaches(links[$0], states[$0]) }
        if let first = useful.compactMap({ ups[$0] }).min() {
            let settled = !isMissing && named.allSatisfy { ups[$0] != nil || attempts[$0] != nil }
            if settled || now - first >= Self.patience {
                // Of those that were only tried, one is enough.
                let tried = useful.filter { !links[$0].isNamed }.min { (ups[$0] ?? 0) < (ups[$1] ?? 0) }
                return .up(useful.filter { links[$0].isNamed || $0 == tried })
            }
            return .wait
        }
        if isMissing { return .wait }
        guard !links.isEmpty else { return now - start < missingTime ? .wait : .nothingThere }
        let failures = zip(links, zip(ups, attempts)).map { link, seen in
            seen.1 ?? (seen.0 == nil ? nil : NetworkAttempt(link.name, .noAddress, seconds: 0))
        }
        return failures.contains { $0 == nil } ? .wait : .failed(failures.compactMap(\.self))
    }

    /// Since when the link has what its method gives; `nil` while it has not.
    private static func upSince(_ link: Link, _ state: NetworkLinkState, now: Double) -> Double? {
        guard let carrier = state.carrierSince else { return nil }
        switch link.profile.method {
        case .fixed: return carrier
        case .dhcp: return state.leaseSince
        case .auto6: return state.global6Since
        case .linkLocal6: return state.hasLinkLocal6 ? carrier : nil
        case .automatic:
            if let lease = state.leaseSince { return lease }
            return now - carrier >= ipv4HeadStart ? state.global6Since : nil
        case .both:
            if let lease = state.leaseSince, let global6 = state.global6Since { return max(lease, global6) }
            guard let first = state.leaseSince ?? state.global6Since, now - first >= patience else { return nil }
            return first
        }
    }

    /// Whether anything can be reached by it: `ip=none` brings a link up and gives it nothing.
    private static func reaches(_ link: Link, _ state: NetworkLinkState) -> Bool {
        link.profile.method != .fixed || !link.profile.addresses.isEmpty
    }

    private static func givenUp(
        _ link: Link, _ state: NetworkLinkState, now: Double, timeouts: NetworkArguments.Timeouts
    ) -> NetworkAttempt? {
        guard let carrier = state.carrierSince else {
            guard now - state.since >= Double(timeouts.carrier) else { return nil }
            return NetworkAttempt(link.name, .noCarrier, seconds: timeouts.carrier)
        }
        let waited = now - carrier
        switch link.profile.method {
        case .fixed: return nil
        case .dhcp, .automatic, .both:
            guard waited >= Double(timeouts.dhcp) else { return nil }
            return NetworkAttempt(link.name, .noLease, seconds: timeouts.dhcp)
        case .auto6, .linkLocal6:
            guard waited >= Double(timeouts.ipv6) else { return nil }
            return NetworkAttempt(link.name, .noAdvertisement, seconds: timeouts.ipv6)
        }
    }
}

extension NetworkPlan {
    /// What the network still lacks, and what the operator can do about it.
    ///
    /// - Parameter states: One for each link; `nil`: not set up yet.
    public func missing(_ states: [NetworkLinkState?]) -> (reason: String, advice: [String]) {
        var reasons: [String] = []
        var advice: String?
        for (link, state) in zip(links, states) {
            guard state?.carrierSince != nil else {
                reasons.append("no carrier on \(link.name)")
                advice = advice ?? "Check the cable and the switch port"
                continue
            }
            switch link.profile.method {
            case .dhcp, .automatic, .both:
                if state?.lease != nil { continue }
                reasons.append("no DHCP answer on \(link.name)")
                advice = "Check the DHCP server and the VLAN of the switch port, or give an address by ip="
            case .auto6, .linkLocal6:
                reasons.append("no IPv6 router on \(link.name)")
                advice = "Check that a router announces itself there, or give an address by ip="
            case .fixed: continue
            }
        }
        reasons += missing.map { "no interface \($0)" }
        if reasons.isEmpty {
            let what = links.isEmpty ? "no network interface" : "the addresses are not settled"
            return (what, links.isEmpty ? ["Check that the network card is enabled in the firmware"] : [])
        }
        return (reasons.joined(separator: ", "), advice.map { [$0] } ?? ["Check the name, and that the card is there"])
    }
}
