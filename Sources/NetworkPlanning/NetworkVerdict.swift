// When the network is enough to go on with, and what it lacks until then.

import BootArguments

/// What has been seen of one link so far.
///
/// Times are seconds on one clock.
public struct NetworkLinkState: Equatable, Sendable {
    /// When the link was set up.
    public var since: Double
    /// When it had a carrier first.
    public var carrierSince: Double?
    /// The DHCPv4 lease; `nil`: none yet.
    public var lease: NetworkLease?
    /// Why a lease that came could not be put into force; `nil`: none came, or it is.
    public var leaseFault: String?
    /// When it had a lease first.
    public var leaseSince: Double?
    /// Global addresses from router advertisements and DHCPv6.
    public var global6: [InterfaceAddress] = []
    /// When it had such addresses first; `nil`: it has none now.
    public var global6Since: Double?
    /// Whether it has a link-local IPv6 address that can be used.
    public var hasLinkLocal6 = false
    /// When what the boot needs answered over it.
    public var reachedSince: Double?
    /// Why that does not answer, in the words of the last attempt.
    public var unreached: String?

    /// The state of a link that has just been set up.
    public init(since: Double) { self.since = since }
}

/// Why one interface gave nothing.
public struct NetworkAttempt: Equatable, Sendable, CustomStringConvertible {
    /// What an interface lacked.
    public enum Outcome: Equatable, Sendable {
        case noCarrier, noLease, noAdvertisement, noAddress
        /// A DHCP server answered, and the kernel did not take what it gave.
        case badLease(String)
    }

    /// The interface's name.
    public var interface: String
    /// What it lacked.
    public var outcome: Outcome
    /// How many seconds it was waited for.
    public var seconds: Int

    /// Takes each part as it is.
    public init(_ interface: String, _ outcome: Outcome, seconds: Int) {
        self.interface = interface
        self.outcome = outcome
        self.seconds = seconds
    }

    /// The attempt in one line, for people.
    public var description: String {
        switch outcome {
        case .noCarrier: "no carrier on \(interface) within \(seconds) s"
        case .noLease: "no DHCP answer on \(interface) within \(seconds) s"
        case .noAdvertisement: "no IPv6 router answered on \(interface) within \(seconds) s"
        case .badLease(let fault): "DHCP on \(interface) answered, but \(fault)"
        case .noAddress: "\(interface) was given no address"
        }
    }
}

/// Whether to go on waiting.
public enum NetworkVerdict: Equatable, Sendable {
    case wait
    /// Go on with these links, by position in the plan; the first owns the default route.
    case up([Int])
    case failed([NetworkAttempt])
    case nothingThere
}

extension NetworkPlan {
    /// Seconds that the second family or a further interface has once the first is up.
    static let patience: Double = 20
    /// Seconds that IPv4 has before IPv6 alone is enough where both may do.
    static let ipv4HeadStart: Double = 10
    /// Seconds without a carrier after which a link that was named is not waited for where others are up.
    static let carrierPatience: Double = 10
    /// Seconds until a machine without any network interface is taken at its word.
    static let cardPatience: Double = 10

    /// Judges what has been seen by `now`.
    ///
    /// Where several links may do, and it is known what the boot needs, the first link over which that answers is
    /// taken; named links stay beside it. Otherwise the first link that is up is taken, and a named link is waited for
    /// ``patience`` longer. Without timeouts on the command line nothing is given up.
    ///
    /// `states` has one entry for each link, `start` is when the waiting began, and `hasTargets` tells whether it is
    /// known what has to be reached. Times are seconds.
    public func verdict(
        _ states: [NetworkLinkState], start: Double, now: Double, timeouts: NetworkArguments.Timeouts,
        hasTargets: Bool = false
    ) -> NetworkVerdict {
        let candidates = links.indices.filter { links[$0].profile.hasAddresses }
        let ups = links.indices.map { Self.upSince(links[$0], states[$0], now: now) }
        let attempts = links.indices.map { Self.givenUp(links[$0], states[$0], now: now, timeouts: timeouts) }
        let isMissing =
            (!missing.isEmpty || !new.isEmpty) && (timeouts.interface.map { now - start < Double($0) } ?? true)
        let named = candidates.filter { links[$0].isNamed }
        let up = candidates.filter { ups[$0] != nil }

        guard !candidates.isEmpty else {
            if isMissing { return .wait }
            if links.isEmpty {
                let patience = timeouts.interface.map(Double.init) ?? Self.cardPatience
                return missing.isEmpty && now - start < patience ? .wait : .nothingThere
            }
            return .failed(links.map { NetworkAttempt($0.name, .noAddress, seconds: 0) })
        }

        /// Whether no named link is worth waiting for any more.
        func isDecided(since first: Double) -> Bool {
            let others = named.allSatisfy { index in
                ups[index] != nil || attempts[index] != nil
                    || (states[index].carrierSince == nil && now - states[index].since >= Self.carrierPatience)
            }
            return !isMissing && others || now - first >= Self.patience
        }
        func first(_ since: [Double?], of some: [Int]) -> (link: Int, since: Double)? {
            some.compactMap { index in since[index].map { (index, $0) } }.min { ($0.1, $0.0) < ($1.1, $1.0) }
        }

        let isChoice = candidates.count > 1 || isMissing
        let reached = states.map(\.reachedSince)
        if hasTargets, let best = first(reached, of: candidates) {
            // A named link without a carrier is not waited for if another link has what is needed.
            let others = named.allSatisfy {
                $0 == best.link || ups[$0] != nil || attempts[$0] != nil || states[$0].carrierSince == nil
            }
            guard (!isMissing && others) || now - best.since >= Self.patience else { return .wait }
            return .up([best.link] + up.filter { links[$0].isNamed && $0 != best.link })
        }
        if hasTargets, isChoice {
            // Nothing answers yet. Where only one link is left, fetching goes on trying by that one.
            let open = candidates.filter { ups[$0] == nil && attempts[$0] == nil }
            guard open.isEmpty, !isMissing else { return .wait }
            guard let last = up.compactMap({ ups[$0] }).max() else {
                return .failed(candidates.compactMap { attempts[$0] })
            }
            let isOne = up.count == 1 || up.allSatisfy { links[$0].isNamed }
            return isOne && now - last >= Self.patience ? .up(up) : .wait
        }
        if let best = first(ups, of: candidates) {
            guard isDecided(since: best.since) else { return .wait }
            // Of the links that were only tried, one is enough.
            let tried = first(ups, of: candidates.filter { !links[$0].isNamed })?.link
            return .up(up.filter { links[$0].isNamed || $0 == tried })
        }
        if isMissing { return .wait }
        let failures = candidates.map { attempts[$0] }
        return failures.contains { $0 == nil } ? .wait : .failed(failures.compactMap(\.self))
    }

    /// Since when the link has what its profile cannot do without, whatever else may come; `nil` while it has not.
    public static func usableSince(_ link: Link, _ state: NetworkLinkState) -> Double? {
        let profile = link.profile
        guard let carrier = state.carrierSince else { return nil }
        let since4 = since(profile.ipv4, fixed: carrier, asked: state.leaseSince, state, carrier)
        let since6 = since(profile.ipv6, fixed: carrier, asked: state.global6Since, state, carrier)
        let required = [(profile.ipv4, since4), (profile.ipv6, since6)].filter { $0.0.isUsed && !$0.0.mayFail }.map(\.1)
        if required.contains(where: { $0 == nil }) { return nil }
        return required.compactMap(\.self).max() ?? [since4, since6].compactMap(\.self).min()
    }

    private static func since(
        _ family: NetworkFamily, fixed: Double, asked: Double?, _ state: NetworkLinkState, _ carrier: Double
    ) -> Double? {
        switch family.method {
        case .disabled: nil
        case .manual: fixed
        case .linkLocal: state.hasLinkLocal6 ? carrier : nil
        // A fixed address is there whether anybody answers or not.
        case .auto, .dhcp: asked ?? (family.addresses.isEmpty ? nil : fixed)
        }
    }

    /// Since when the link has all that is worth waiting for; `nil` while it has not.
    private static func upSince(_ link: Link, _ state: NetworkLinkState, now: Double) -> Double? {
        guard let carrier = state.carrierSince, let usable = usableSince(link, state) else { return nil }
        let (ipv4, ipv6) = (link.profile.ipv4, link.profile.ipv6)
        // IPv6 alone is enough where IPv4 had its chance.
        if ipv4.asks, state.leaseSince == nil {
            let chance = ipv4.isAwaited && ipv6.isAwaited ? patience : ipv4HeadStart
            return now - carrier >= chance ? usable : nil
        }
        if ipv6.isAwaited, ipv6.asks, state.global6Since == nil { return now - usable >= patience ? usable : nil }
        if ipv6.isAwaited, ipv6.asks, let since = state.global6Since { return max(usable, since) }
        return usable
    }

    private static func givenUp(
        _ link: Link, _ state: NetworkLinkState, now: Double, timeouts: NetworkArguments.Timeouts
    ) -> NetworkAttempt? {
        guard let carrier = state.carrierSince else {
            guard let limit = timeouts.carrier, now - state.since >= Double(limit) else { return nil }
            return NetworkAttempt(link.name, .noCarrier, seconds: limit)
        }
        if usableSince(link, state) != nil { return nil }
        let (ipv4, ipv6) = (link.profile.ipv4, link.profile.ipv6)
        let noLease = state.leaseFault.map { NetworkAttempt.Outcome.badLease($0) } ?? .noLease
        let asking = [
            (family: ipv4, limit: ipv4.timeout ?? timeouts.dhcp, outcome: noLease),
            (family: ipv6, limit: timeouts.ipv6 ?? ipv6.timeout, outcome: .noAdvertisement),
        ].filter(\.family.asks)
        func passed(_ limit: Int) -> Bool { now - carrier >= Double(limit) }
        // A family that the profile cannot do without ends the attempt alone.
        for (family, limit, outcome) in asking where !family.mayFail {
            if let limit, passed(limit) { return NetworkAttempt(link.name, outcome, seconds: limit) }
        }
        // Where either is enough, both have their time; IPv6 has DHCP's where it was given none.
        guard let first = asking.first, let limit = first.limit, asking.allSatisfy({ $0.limit.map(passed) ?? true })
        else { return nil }
        return NetworkAttempt(link.name, first.outcome, seconds: limit)
    }
}

extension NetworkPlan {
    /// What the network still lacks, and what the operator can do about it.
    ///
    /// `states` has one entry for each link, `nil` where it is not set up yet. `present` are the wired interfaces that
    /// are here, for where one is named that is not.
    public func missing(_ states: [NetworkLinkState?], present: [String] = []) -> (reason: String, advice: [String]) {
        var reasons: [String] = []
        var advice: String?
        for (link, state) in zip(links, states) where link.profile.controller == nil {
            guard let state, state.carrierSince != nil else {
                reasons.append("no carrier on \(link.name)")
                advice = advice ?? "Check the cable and the switch port"
                continue
            }
            guard link.profile.hasAddresses else { continue }
            if Self.usableSince(link, state) != nil {
                guard let fault = state.unreached, state.reachedSince == nil else { continue }
                reasons.append("\(link.name) is up, but \(fault)")
                advice = "Check that the server runs, and which card leads to it: ip=IFACE:dhcp names one"
            } else if link.profile.ipv4.asks, let fault = state.leaseFault {
                reasons.append("DHCP on \(link.name) answered, but \(fault)")
                advice = "Check what the DHCP server gives, or give an address by ip="
            } else if link.profile.ipv4.asks, state.lease == nil {
                reasons.append("no DHCP answer on \(link.name)")
                advice = "Check the DHCP server and the VLAN of the switch port, or give an address by ip="
            } else if link.profile.ipv6.isUsed {
                reasons.append("no IPv6 router on \(link.name)")
                advice = "Check that a router announces itself there, or give an address by ip="
            }
        }
        reasons += (missing + missingPorts).map { "no interface \($0)" }
        reasons += unsupported.map { "\($0.label) is \($0.otherKind ?? ""), which is not supported" }
        if !missing.isEmpty, !present.isEmpty { reasons.append("there are \(present.joined(separator: ", "))") }
        if reasons.isEmpty {
            let what = links.isEmpty ? "no network interface" : "the addresses are not decided yet"
            return (what, links.isEmpty ? ["Check that the network card is enabled in the firmware"] : [])
        }
        return (reasons.joined(separator: ", "), advice.map { [$0] } ?? ["Check the name, and that the card is there"])
    }
}
