// One attempt to bring the network up: make links, set them up, start clients, watch, until the verdict.

import BootArguments
import Glibc
import LinuxSystem
import Logging
import NetworkPlanning
import Reporting
import SystemPackage

/// It looks at the state of things after every event rather than keeping count of events, so that a lost
/// one costs a tenth of a second and nothing else.
final class NetworkBringUp {
    /// How the machine's devices and its operator are reached.
    struct Context {
        var pump: (Int32) -> Void
        var report: (String) -> Void
        var waits: Waits
        var log: Logger
    }

    private let arguments: NetworkArguments
    private let profiles: [NetworkProfile]
    /// What has to be reached, best first; empty: that is not known.
    private let targets: [NetworkTarget]
    private let context: Context
    private let identity: MachineIdentity
    private var log: Logger { context.log }

    private let start = Machine.uptime()
    private var interfaces: [NetworkInterface] = []
    private var seenNames: [String] = []
    private var kernelNames: [String: String]
    private var states: [Int: NetworkLinkState] = [:]
    private var clients = NetworkClients()
    private var probes: [Int: ReachProbe] = [:]
    /// What routers said, by interface.
    private var routerNames: [Int: RouterNames] = [:]
    private var routerFlags: [Int: RouterFlags] = [:]
    private var ignoresBootIF = false

    init(
        arguments: NetworkArguments, profiles: [NetworkProfile], targets: [NetworkTarget],
        identity: MachineIdentity, context: Context
    ) {
        self.arguments = arguments
        self.profiles = profiles
        self.targets = targets
        self.identity = identity
        self.context = context
        kernelNames = Renames.read()
    }

    /// The clients of the links in the result go on for as long as the caller holds them.
    func run() throws(NetworkFailure) -> (state: NetworkState, clients: NetworkClients) {
        var wait = Wait(for: "the network")
        wait.interval = 10
        return try context.waits.wait(for: wait) { (wait) throws(NetworkFailure) in try run(wait) }
    }

    private func run(_ wait: OpenWait) throws(NetworkFailure) -> (state: NetworkState, clients: NetworkClients) {
        let events: NetworkEventSocket
        do throws(Errno) {
            events = try NetworkEventSocket()
        } catch {
            throw .refused(act: "listening to the kernel's network", error)
        }
        while true {
            context.pump(0)
            for message in events.messages() {
                if let dns = RouterDNS(netlinkMessage: message) {
                    routerNames[dns.interfaceIndex, default: RouterNames()].take(dns)
                } else if let flags = RouterFlags(netlinkMessage: message) {
                    routerFlags[flags.interfaceIndex] = flags
                }
            }
            findInterfaces()
            var plan = NetworkPlan(
                interfaces: interfaces, profiles: profiles, arguments: arguments, ignoresBootIF: ignoresBootIF)
            if !plan.new.isEmpty {
                for new in plan.new { try make(new) }
                findInterfaces()
                plan = NetworkPlan(
                    interfaces: interfaces, profiles: profiles, arguments: arguments, ignoresBootIF: ignoresBootIF)
            }
            // Ports come after their bond or bridge: a VLAN may be made on a bond only once the bond has a port.
            let ports = plan.links.filter { $0.profile.controller != nil }
            for link in plan.links.filter({ $0.profile.controller == nil }) + ports
            where states[link.interface.index] == nil {
                try setUp(link, in: plan)
            }
            for link in plan.links where states[link.interface.index] != nil {
                try watch(link, isWanted: isWanted(link, in: plan))
            }

            let now = Machine.uptime()
            let seen = plan.links.map { states[$0.interface.index] ?? NetworkLinkState(since: now) }
            switch plan.verdict(
                seen, start: start, now: now, timeouts: arguments.timeouts, hasTargets: !targets.isEmpty)
            {
            case .up(let winners): return (try finish(plan, winners: winners), clients)
            case .failed(let attempts): throw .noAnswer(attempts, cards: cards(plan))
            case .nothingThere where !plan.missing.isEmpty:
                throw .missing(plan.missing, present: interfaces.filter(\.isWired).map(\.label))
            case .nothingThere where !plan.unsupported.isEmpty: throw .notEthernet(plan.unsupported)
            case .nothingThere:
                guard let bootIF = arguments.bootIF, !ignoresBootIF, interfaces.contains(where: \.isWired) else {
                    throw .noInterface(DriverlessController.all(in: .ofThisMachine))
                }
                context.report("no interface has the MAC address \(bootIF) of BOOTIF; trying all")
                ignoresBootIF = true
            case .wait: break
            }
            probe(plan)
            tell(wait, plan)
            // A lease arrives in a file, an answer in a thread: neither wakes this loop. Later the delay is harmless.
            let isClose = !clients.v4.isEmpty && now - start < 30
            waitForAny([events.descriptor] + clients.handles, milliseconds: isClose ? 20 : 100)
        }
    }

    /// Reads `/sys` again where interfaces have come or gone.
    private func findInterfaces() {
        let names = Files.names(in: "/sys/class/net")
        if names == seenNames { return }
        seenNames = names
        interfaces = NetworkInterface.all(in: .ofThisMachine, kernelNames: kernelNames)
        log.debug("network interfaces: \(interfaces.map { "\($0.name) (\($0.driver ?? "no driver"))" })")
    }

    // MARK: Setting up

    /// Makes a VLAN, a bond or a bridge; the kernel asks for its module.
    private func make(_ new: NetworkPlan.New) throws(NetworkFailure) {
        let kind: NetworkLinks.Kind
        switch new.profile.kind {
        case .vlan(let id, _, let flags):
            guard let parent = new.parent else { return }
            kind = .vlan(id: id, parent: parent.index, flags: flags)
        case .bond: kind = .bond
        case .bridge: kind = .bridge
        case .ethernet, .unsupported: return
        }
        let before = Files.names(in: "/sys/class/net")
        do throws(Errno) {
            try NetworkLinks.make(new.name, kind)
        } catch  where error != .fileExists {
            throw .unmade(new.name, origin: new.profile.origin, error)
        } catch {
            // The module makes one link by itself when it is loaded, maybe this one; a card of that name is an error.
            if interfaces.contains(where: { $0.name == new.name && $0.isWired }) {
                throw .unmade(new.name, origin: new.profile.origin, error)
            }
        }
        // A bond that the module made by itself must not be left over if another one was wanted.
        let stray = "bond0"
        if case .bond = new.profile.kind, new.name != stray, !before.contains(stray),
            !profiles.contains(where: { $0.interface == .name(stray) }),
            let index = Files.line(FilePath("/sys/class/net/\(stray)/ifindex")).flatMap({ Int($0) })
        {
            try? NetworkLinks.remove(index)
        }
        log.info("made \(new.name): \(new.profile.origin)")
    }

    /// Gives the link its name, options, MAC address and MTU, and switches it on.
    ///
    /// A port waits for its controller.
    private func setUp(_ link: NetworkPlan.Link, in plan: NetworkPlan) throws(NetworkFailure) {
        let index = link.interface.index
        let controller = link.profile.controller.flatMap { plan.link(named: $0) }
        if link.profile.controller != nil {
            guard let controller, states[controller.interface.index] != nil else { return }
        }
        states[index] = NetworkLinkState(since: Machine.uptime())
        if link.name != link.interface.name {
            do throws(Errno) {
                try NetworkLinks.configure(index, up: false)
                try NetworkLinks.configure(index, name: link.name)
                remember(link)
            } catch {
                context.report("\(link.interface.name) keeps its name, \(link.name) was refused: \(error)")
            }
        }
        if let given = link.refusedName(arguments) {
            context.report("\(link.name) keeps its name: another card has the name \(given) of ifname=")
        }
        let settings = LinkSettings(index: index, name: currentName(link), metric: link.metric)
        try settings.setOptions(link.profile.kind, log)
        if let mac = link.profile.clonedMAC, mac != link.interface.mac {
            do throws(Errno) {
                try NetworkLinks.configure(index, up: false)
                try NetworkLinks.configure(index, mac: mac.bytes)
            } catch {
                throw .macRefused(mac, link: link.name, origin: link.profile.origin, error)
            }
        }
        let ethernet = link.profile.ethernet
        if ethernet != EthernetSettings() {
            do throws(Errno) {
                try NetworkLinks.setSpeed(
                    of: settings.name, autonegotiates: ethernet.autonegotiates, speed: ethernet.speed,
                    halfDuplex: ethernet.isHalfDuplex)
            } catch {
                context.report("\(link.name): its speed cannot be set (\(error)); it stays as it is")
            }
        }
        if let controller { try join(link, to: controller) }
        if let mtu = link.profile.mtu ?? lowerMTU(link, plan) {
            do throws(Errno) {
                try NetworkLinks.configure(index, mtu: mtu)
            } catch {
                context.report("\(link.name) does not take an MTU of \(mtu) (\(error)); it keeps its own")
            }
        }
        settings.setAutoconfiguration(link.profile.ipv6, metric: link.metric)
        try Networking.act("switching \(link.name) on") { () throws(Errno) in
            try NetworkLinks.configure(index, up: true)
        }
        log.info("\(link.name): \(link.profile.origin)")
    }

    /// Frames of a VLAN have to fit through what it is on.
    private func lowerMTU(_ link: NetworkPlan.Link, _ plan: NetworkPlan) -> Int? {
        let upper = plan.links.compactMap { other -> Int? in
            guard case .vlan(_, let parent?, _) = other.profile.kind,
                link.interface.isMeant(by: parent, names: arguments.names) || parent == .name(link.name)
            else { return nil }
            return other.profile.mtu
        }
        return upper.max().flatMap { $0 > 1500 ? $0 : nil }
    }

    private func join(_ link: NetworkPlan.Link, to controller: NetworkPlan.Link) throws(NetworkFailure) {
        let index = link.interface.index
        // A bond reads the speed when it gets the port.
        if case .bond(let options) = controller.profile.kind, options.mode == "802.3ad" {
            LinkSettings(index: index, name: currentName(link), metric: link.metric).giveSpeed(log)
        }
        try Networking.act("making \(link.name) a port of \(controller.name)") { () throws(Errno) in
            try NetworkLinks.configure(index, up: false)
            try NetworkLinks.join(index, to: controller.interface.index)
        }
        guard case .bond(let options) = controller.profile.kind else { return }
        let names = [options.values["primary"], options.values["active_slave"]]
        if names.contains(link.name) || names.contains(link.interface.name) {
            let settings = LinkSettings(
                index: controller.interface.index, name: controller.name, metric: controller.metric)
            try settings.setPrimary(options, log)
        }
    }

    /// Keeps up with a change of name: the agent's own, so there is no need to look at `/sys` again.
    private func remember(_ link: NetworkPlan.Link) {
        kernelNames[link.name] = link.interface.kernelName
        Renames.write(kernelNames)
        for index in interfaces.indices where interfaces[index].index == link.interface.index {
            interfaces[index].name = link.name
        }
        seenNames = interfaces.map(\.name).sorted()
    }

    /// Of several interfaces that were merely tried, only the first with a carrier gets fixed addresses.
    private func isWanted(_ link: NetworkPlan.Link, in plan: NetworkPlan) -> Bool {
        if link.isNamed || link.profile.addresses.isEmpty { return true }
        return !plan.links.contains { other in
            other.interface.index != link.interface.index && !other.isNamed
                && states[other.interface.index]?.carrierSince != nil
        }
    }

    // MARK: Watching

    /// Takes the link a step further: carrier, then addresses and clients, then their results.
    private func watch(_ link: NetworkPlan.Link, isWanted: Bool) throws(NetworkFailure) {
        let index = link.interface.index
        guard var state = states[index] else { return }
        defer { states[index] = state }
        let now = Machine.uptime()
        let settings = LinkSettings(index: index, name: currentName(link), metric: link.metric)
        let name = settings.name
        let (ipv4, ipv6) = (link.profile.ipv4, link.profile.ipv6)
        if state.carrierSince == nil, isWanted, Files.line(FilePath("/sys/class/net/\(name)/carrier")) == "1" {
            state.carrierSince = now
            log.info("\(name): carrier after \(oneDecimal(now - state.since)) s")
            guard link.profile.hasAddresses else { return }
            try settings.add(link.profile.addresses)
            for family in [ipv4, ipv6] {
                try settings.add(family.routes, own: family.addresses, metric: family.metric)
            }
            if ipv4.asks {
                var family = ipv4
                family.clientID = family.clientID ?? identity.clientID(link.interface.mac)
                clients.v4[index] = try DHCPClient(
                    settings, family, mtu: link.profile.mtu, hostname: arguments.ip.compactMap(\.hostname).last)
            }
        }
        guard state.carrierSince != nil, link.profile.hasAddresses else { return }
        if let lease = clients.v4[index]?.lease(), lease != state.lease {
            log.info("\(name): \(lease)")
            if state.lease == nil { state.leaseSince = now }
            state.lease = lease
            if let refused = DHCPClient.refusalText(of: name) {
                context.report("\(name): some of the DHCP server's routes are left out: \(refused)")
            }
        }
        let isAsking = clients.v4[index] != nil && state.lease == nil
        state.leaseFault = isAsking ? DHCPClient.failureText(of: name) : nil
        if ipv6.isUsed {
            if clients.v6[index] == nil, wantsDHCPv6(ipv6, index) != nil {
                let duid = identity.duid(link.profile.clonedMAC ?? link.interface.mac)
                clients.v6[index] = try DHCPv6Client(
                    settings, duid: duid, isStateful: wantsDHCPv6(ipv6, index) == true, logger: log)
            }
            readIPv6(link, &state, now)
        }
    }

    /// Whether a DHCPv6 server is to be asked for an address (`true`), for settings (`false`), or not at all.
    private func wantsDHCPv6(_ family: NetworkFamily, _ index: Int) -> Bool? {
        if family.method == .dhcp { return true }
        guard family.method == .auto, let flags = routerFlags[index] else { return nil }
        return flags.isManaged ? true : flags.hasOther ? false : nil
    }

    private func readIPv6(_ link: NetworkPlan.Link, _ state: inout NetworkLinkState, _ now: Double) {
        let own = KernelIPv6Address.all(Files.line("/proc/net/if_inet6") ?? "").filter {
            $0.interfaceIndex == link.interface.index && $0.isUsable
        }
        state.hasLinkLocal6 = own.contains(where: \.isLinkLocal)
        state.global6 = own.filter(\.isGlobal).map(\.address).filter { !link.profile.addresses.contains($0) }
        if state.global6.isEmpty { state.global6Since = nil } else { state.global6Since = state.global6Since ?? now }
    }

    /// The name the link has now: the one it was to have, unless the kernel refused.
    private func currentName(_ link: NetworkPlan.Link) -> String {
        Files.exists(FilePath("/sys/class/net/\(link.name)")) ? link.name : link.interface.name
    }

    /// Asks for what the boot needs by each link that could do, until one of them does.
    private func probe(_ plan: NetworkPlan) {
        guard !targets.isEmpty else { return }
        for link in plan.links where link.profile.hasAddresses {
            let index = link.interface.index
            guard let state = states[index], NetworkPlan.usableSince(link, state) != nil else {
                probes[index] = nil
                continue
            }
            let names = names(of: link, state)
            if let probe = probes[index] {
                probe.use(nameservers: names.servers, searchDomains: names.domains)
                states[index]?.reachedSince = probe.reachedSince
                states[index]?.unreached = probe.fault
            } else {
                probes[index] = ReachProbe(
                    LinkProbe(name: currentName(link)), nameservers: names.servers, searchDomains: names.domains,
                    targets: targets)
            }
        }
    }

    /// The name servers and search domains of one link: its own, then those it was told of.
    private func names(
        of link: NetworkPlan.Link, _ state: NetworkLinkState
    ) -> (servers: [NameServer], domains: [String]) {
        let index = link.interface.index
        let name = currentName(link)
        var servers: [NameServer] = []
        var domains: [String] = []
        func take(_ family: NetworkFamily, _ peers: [IPAddress], _ peerDomains: [String]) {
            let more = family.nameservers + (family.ignoresPeerDNS ? [] : peers)
            for server in more.map({ NameServer($0, by: name) }) where !servers.contains(server) {
                servers.append(server)
            }
            for domain in family.searchDomains + (family.ignoresPeerDNS ? [] : peerDomains)
            where !domains.contains(domain) {
                domains.append(domain)
            }
        }
        take(link.profile.ipv4, state.lease?.nameservers ?? [], state.lease?.searchDomains ?? [])
        let lease6 = clients.v6[index]?.lease
        let router = routerNames[index] ?? RouterNames()
        take(
            link.profile.ipv6, router.nameservers + (lease6?.nameservers ?? []),
            router.searchDomains + (lease6?.searchDomains ?? []))
        return (servers, domains)
    }

    /// What is missing at the moment, and what helps against it.
    private func tell(_ wait: OpenWait, _ plan: NetworkPlan) {
        let present = plan.missing.isEmpty ? [] : interfaces.filter(\.isWired).map(\.label)
        let missing = plan.missing(plan.links.map { states[$0.interface.index] }, present: present)
        wait.change {
            $0.reason = missing.reason
            $0.advice = missing.advice
        }
    }

    /// What is known of every card, a line each, for whoever reads why there is no network.
    private func cards(_ plan: NetworkPlan) -> [String] {
        var lines: [String] = []
        for interface in interfaces
        where interface.isWired || interface.otherKind != nil
            || plan.links.contains(where: { $0.interface == interface })
        {
            let driver = interface.driver.map { "driver \($0)" } ?? (interface.isWired ? "no driver" : "made here")
            guard let link = plan.links.first(where: { $0.interface.index == interface.index }) else {
                let why = interface.otherKind.map { "\($0) is not supported" } ?? "not used"
                lines.append("\(interface.label): \(driver), \(why)")
                continue
            }
            let state = states[interface.index]
            var parts = [driver, state?.carrierSince == nil ? "no carrier" : "carrier"]
            if let lease = state?.lease { parts.append("\(lease)") }
            if let addresses = state?.global6, !addresses.isEmpty {
                parts.append(addresses.map(\.description).joined(separator: " "))
            }
            if link.profile.ipv4.asks, state?.carrierSince != nil, state?.lease == nil {
                parts.append(state?.leaseFault.map { "the DHCP server answered, but \($0)" } ?? "no DHCP answer")
            }
            if let controller = link.profile.controller { parts.append("a port of \(controller)") }
            if state?.reachedSince != nil { parts.append("the server answers") }
            if let fault = state?.unreached, state?.reachedSince == nil { parts.append(fault) }
            lines.append("\(link.name): " + parts.joined(separator: ", "))
        }
        return lines + DriverlessController.all(in: .ofThisMachine).map { "\($0): no driver" }
    }

    // MARK: The end

    /// Ends what did not win and describes what did.
    private func finish(_ plan: NetworkPlan, winners: [Int]) throws(NetworkFailure) -> NetworkState {
        for probe in probes.values { probe.end() }
        let winning = winners.map { plan.links[$0] }
        let kept = plan.foundations(of: winning)
        for link in plan.links where link.profile.hasAddresses && !kept.contains(link) {
            log.info("\(link.name): not used")
            clients.end(link.interface.index)
            // The link goes down, so that the real root begins afresh. A card that refuses does no harm.
            try? NetworkLinks.configure(link.interface.index, up: false)
        }
        for other in plan.unsupported {
            context.report("\(other.label) is \(other.otherKind ?? ""), which is not supported; going on without it")
        }
        let routes6 = Files.line("/proc/net/ipv6_route") ?? ""
        var servers: [NameServer] = []
        var domains: [String] = []
        let least = winning.map(\.metric).min() ?? 100
        let links = winning.enumerated().map { place, link in
            let state = states[link.interface.index] ?? NetworkLinkState(since: start)
            let names = names(of: link, state)
            for server in names.servers where !servers.contains(server) { servers.append(server) }
            for domain in names.domains where !domains.contains(domain) { domains.append(domain) }
            let name = currentName(link)
            let leased = link.profile.ipv4.neverDefault ? [] : state.lease?.routes ?? []
            let own = (link.profile.routes + leased).filter(\.isDefault).compactMap(\.gateway)
            let method: NetworkState.Link.Method =
                state.lease != nil ? .dhcp : state.global6.isEmpty ? .fixed : .autoconfiguration
            var told = NetworkState.Link(
                interface: name, mac: link.profile.clonedMAC ?? link.interface.mac, method: method,
                addresses: (state.lease.map { [$0.address] } ?? []) + link.profile.addresses + state.global6,
                gateways: own + KernelIPv6Address.gateways(routes6, interface: name).filter { !own.contains($0) },
                lease: state.lease)
            told.metric = link.metric
            let leased4 = state.lease?.timeServers ?? []
            told.lease6 = clients.v6[link.interface.index]?.lease
            told.timeServers = (place == 0 ? arguments.timeServers : []) + leased4 + (told.lease6?.timeServers ?? [])
            if place == 0, link.metric > least, state.reachedSince != nil {
                told.metric = least - 1
                prefer(link, told)
            }
            return told
        }
        let hostname = arguments.ip.compactMap(\.hostname).last
        return NetworkState(links: links, nameservers: servers, searchDomains: domains, hostname: hostname)
    }

    /// Sends the default routes over the link on which the server answers.
    private func prefer(_ link: NetworkPlan.Link, _ told: NetworkState.Link) {
        let settings = LinkSettings(index: link.interface.index, name: told.interface, metric: told.metric)
        let routes = told.gateways.map { NetworkRoute(defaultBy: $0) }
        // If the kernel refuses, the other link keeps the routes, and the boot will notice.
        try? settings.add(routes, own: told.addresses)
    }
}

/// The DHCP clients of the links, by their numbers.
struct NetworkClients: Sendable {
    var v4: [Int: DHCPClient] = [:]
    var v6: [Int: DHCPv6Client] = [:]

    var handles: [Int32] { v4.values.map(\.program.handle) }

    mutating func end(_ index: Int) {
        v4[index] = nil
        v6[index]?.end()
        v6[index] = nil
    }
}
