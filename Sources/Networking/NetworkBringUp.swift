// One attempt to bring the network up: set links up, start clients, watch, until the verdict.

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
    private let arguments: NetworkArguments
    private let profiles: [NetworkProfile]
    private let pump: (Int32) -> Void
    private let report: (String) -> Void
    private let waits: Waits
    private let log: Logger

    private let start = Machine.uptime()
    private var interfaces: [NetworkInterface] = []
    private var seenNames: [String] = []
    private var kernelNames: [String: String]
    private var states: [Int: NetworkLinkState] = [:]
    private var clients: [Int: DHCPClient] = [:]
    /// Name servers of router advertisements, by interface.
    private var routerDNS: [Int: [IPAddress]] = [:]
    private var ignoresBootIF = false

    init(
        arguments: NetworkArguments, profiles: [NetworkProfile], pump: @escaping (Int32) -> Void,
        report: @escaping (String) -> Void, waits: Waits, logger: Logger
    ) throws(NetworkFailure) {
        self.arguments = arguments
        self.profiles = profiles
        self.pump = pump
        self.report = report
        self.waits = waits
        log = logger
        kernelNames = Renames.read()
    }

    func run() throws(NetworkFailure) -> NetworkState {
        try waits.wait(for: Wait(for: "the network")) { (wait) throws(NetworkFailure) in try run(wait) }
    }

    private func run(_ wait: OpenWait) throws(NetworkFailure) -> NetworkState {
        let events: NetworkEventSocket
        do throws(Errno) {
            events = try NetworkEventSocket()
        } catch {
            throw .refused(act: "listening to the kernel's network", error)
        }
        while true {
            pump(0)
            for message in events.messages() {
                if let dns = RouterDNS(netlinkMessage: message) { routerDNS[dns.interfaceIndex] = dns.nameservers }
            }
            findInterfaces()
            let plan = NetworkPlan(
                interfaces: interfaces, profiles: profiles, arguments: arguments, ignoresBootIF: ignoresBootIF)
            for link in plan.links where states[link.interface.index] == nil { try setUp(link) }
            for link in plan.links { try watch(link, isWanted: isWanted(link, in: plan)) }

            let now = Machine.uptime()
            switch plan.verdict(
                plan.links.map { states[$0.interface.index] ?? NetworkLinkState(since: now) }, start: start, now: now,
                timeouts: arguments.timeouts)
            {
            case .up(let winners): return try finish(plan, winners: winners)
            case .failed(let attempts): throw .noAnswer(attempts)
            case .nothingThere where !plan.missing.isEmpty:
                throw .missing(plan.missing, present: interfaces.filter(\.isWired).map(\.label))
            case .nothingThere:
                guard let bootIF = arguments.bootIF, !ignoresBootIF, interfaces.contains(where: \.isWired) else {
                    throw .noInterface(DriverlessController.all(in: .ofThisMachine))
                }
                report("no interface has the MAC address \(bootIF) of BOOTIF; trying all")
                ignoresBootIF = true
            case .wait: break
            }
            tell(wait, plan)
            waitForAny([events.descriptor] + clients.values.map(\.program.handle), milliseconds: 100)
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

    /// Gives the link its name, MAC address and MTU, and switches it on.
    private func setUp(_ link: NetworkPlan.Link) throws(NetworkFailure) {
        let index = link.interface.index
        states[index] = NetworkLinkState(since: Machine.uptime())
        if link.name != link.interface.name {
            do throws(Errno) {
                try NetworkLinks.configure(index, up: false)
                try NetworkLinks.configure(index, name: link.name)
                remember(link)
            } catch {
                log.warning("\(link.interface.name) keeps its name, \(link.name) was refused: \(error)")
            }
        }
        if let mac = link.profile.clonedMAC {
            try Networking.act("giving \(link.name) the MAC address \(mac)") { () throws(Errno) in
                try NetworkLinks.configure(index, up: false)
                try NetworkLinks.configure(index, mac: mac.bytes)
            }
        }
        if let mtu = link.profile.mtu {
            try Networking.act("giving \(link.name) an MTU of \(mtu)") { () throws(Errno) in
                try NetworkLinks.configure(index, mtu: mtu)
            }
        }
        try Networking.act("switching \(link.name) on") { () throws(Errno) in
            try NetworkLinks.configure(index, up: true)
        }
        log.info("\(link.name): \(link.profile.origin)")
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
        if link.isNamed || link.profile.method != .fixed { return true }
        return !plan.links.contains { other in
            other.interface.index != link.interface.index && !other.isNamed
                && states[other.interface.index]?.carrierSince != nil
        }
    }

    /// Takes the link a step further: carrier, then addresses and client, then their results.
    private func watch(_ link: NetworkPlan.Link, isWanted: Bool) throws(NetworkFailure) {
        let index = link.interface.index
        guard var state = states[index] else { return }
        defer { states[index] = state }
        let now = Machine.uptime()
        let name = currentName(link)
        if state.carrierSince == nil, isWanted, Files.line(FilePath("/sys/class/net/\(name)/carrier")) == "1" {
            state.carrierSince = now
            log.info("\(name): carrier after \(oneDecimal(now - state.since)) s")
            try apply(link.profile.addresses, link.profile.routes, link)
            if link.profile.method.usesDHCP { clients[index] = try DHCPClient(interface: name) }
        }
        if state.lease == nil, let lease = clients[index]?.lease() {
            log.info("\(name): \(lease)")
            let hasOwnDefault = link.profile.routes.contains(where: \.isDefault) || !link.profile.mayBeDefault
            try apply([lease.address], lease.routes.filter { !($0.isDefault && hasOwnDefault) }, link)
            if let mtu = lease.mtu, link.profile.mtu == nil {
                // A server may name one that the card cannot do; the link works with its own.
                try? NetworkLinks.configure(index, mtu: mtu)
            }
            state.lease = lease
            state.leaseSince = now
        }
        if link.profile.method != .dhcp, link.profile.method != .fixed { readIPv6(link, &state, now) }
    }

    private func readIPv6(_ link: NetworkPlan.Link, _ state: inout NetworkLinkState, _ now: Double) {
        let own = KernelIPv6Address.all(Files.line("/proc/net/if_inet6") ?? "").filter {
            $0.interfaceIndex == link.interface.index && $0.isUsable
        }
        state.hasLinkLocal6 = own.contains(where: \.isLinkLocal)
        state.global6 = own.filter(\.isGlobal).map(\.address).filter { !link.profile.addresses.contains($0) }
        if state.global6.isEmpty { state.global6Since = nil } else { state.global6Since = state.global6Since ?? now }
    }

    private func apply(
        _ addresses: [InterfaceAddress], _ routes: [NetworkRoute], _ link: NetworkPlan.Link
    ) throws(NetworkFailure) {
        let index = link.interface.index
        for address in addresses {
            try Networking.act("adding \(address) to \(link.name)") { () throws(Errno) in
                try NetworkLinks.addAddress(address.address.bytes, prefix: address.prefix, to: index)
            }
        }
        // Routes on the link first: a gateway may be reached by one of them.
        for route in routes.filter({ $0.gateway == nil }) + routes.filter({ $0.gateway != nil }) {
            let destination = route.destination
            let known = (link.profile.addresses + addresses).contains { own in
                route.gateway.map { own.contains($0) } ?? true
            }
            try Networking.act("adding a route to \(destination) by \(link.name)") { () throws(Errno) in
                try NetworkLinks.addRoute(
                    to: destination.address.bytes, prefix: destination.prefix, gateway: route.gateway?.bytes,
                    onLink: !known, metric: link.metric, by: index)
            }
        }
    }

    /// The name the link has now: the one it was to have, unless the kernel refused.
    private func currentName(_ link: NetworkPlan.Link) -> String {
        Files.exists(FilePath("/sys/class/net/\(link.name)")) ? link.name : link.interface.name
    }

    /// What is missing at the moment, and what helps against it.
    private func tell(_ wait: OpenWait, _ plan: NetworkPlan) {
        let missing = plan.missing(plan.links.map { states[$0.interface.index] })
        wait.change {
            $0.reason = missing.reason
            $0.advice = missing.advice
        }
    }

    /// Ends what did not win and describes what did.
    private func finish(_ plan: NetworkPlan, winners: [Int]) throws(NetworkFailure) -> NetworkState {
        clients = [:]
        for (position, link) in plan.links.enumerated() where !winners.contains(position) {
            log.info("\(link.name): not used")
            // Down, for the real root to begin afresh. A card that refuses does no harm.
            try? NetworkLinks.configure(link.interface.index, up: false)
        }
        let routes6 = Files.line("/proc/net/ipv6_route") ?? ""
        var servers: [IPAddress] = []
        var domains: [String] = []
        let links = winners.map { position in
            let link = plan.links[position]
            let state = states[link.interface.index] ?? NetworkLinkState(since: start)
            let peers =
                link.profile.peerDNS ? (state.lease?.nameservers ?? []) + (routerDNS[link.interface.index] ?? []) : []
            for server in link.profile.nameservers + peers where !servers.contains(server) { servers.append(server) }
            for domain in link.profile.searchDomains + (link.profile.peerDNS ? state.lease?.searchDomains ?? [] : [])
            where !domains.contains(domain) { domains.append(domain) }
            let name = currentName(link)
            let own = (link.profile.routes + (state.lease?.routes ?? [])).filter(\.isDefault).compactMap(\.gateway)
            return NetworkState.Link(
                interface: name, mac: link.profile.clonedMAC ?? link.interface.mac,
                method: state.lease != nil ? .dhcp : state.global6.isEmpty ? .fixed : .autoconfiguration,
                addresses: link.profile.addresses + (state.lease.map { [$0.address] } ?? []) + state.global6,
                gateways: own.isEmpty ? KernelIPv6Address.gateways(routes6, interface: name) : own, lease: state.lease)
        }
        return NetworkState(
            links: links, nameservers: servers, searchDomains: domains,
            hostname: arguments.ip.compactMap(\.hostname).last)
    }
}

/// The kernel's names of the interfaces that were renamed, kept for a second try after a failure:
/// whoever wrote `ip=eth0:dhcp` still means the same card.
enum Renames {
    private static let file = Networking.folder.appending("interface-names")

    static func read() -> [String: String] {
        let pairs = (Files.line(file) ?? "").split(separator: "\n").map { $0.split(separator: " ") }
        return Dictionary(
            pairs.filter { $0.count == 2 }.map { (String($0[0]), String($0[1])) }, uniquingKeysWith: { $1 })
    }

    static func write(_ names: [String: String]) {
        // Without it only that second try suffers.
        try? Files.makeFolder(Networking.folder, mode: 0o700)
        try? Files.write(names.map { "\($0.key) \($0.value)\n" }.sorted().joined(), to: file, mode: 0o600)
    }
}
