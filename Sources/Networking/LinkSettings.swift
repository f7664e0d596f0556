// What a link is told: addresses, routes, the kernel's files about it, the options of bonds and bridges.

import BootArguments
import Glibc
import LinuxSystem
import Logging
import NetworkPlanning
import SystemPackage

/// The kernel's side of one link.
struct LinkSettings {
    let index: Int
    let name: String
    /// Of routes that have none of their own.
    let metric: Int

    func add(_ addresses: [InterfaceAddress]) throws(NetworkFailure) {
        for address in addresses {
            try Networking.act("adding \(address) to \(name)") { () throws(Errno) in
                try NetworkLinks.addAddress(address.address.bytes, prefix: address.prefix, to: index)
            }
        }
    }

    /// Adds the routes, those on the link first: a gateway may be reached by one of them.
    ///
    /// `own` are the link's addresses, which tell what is on it.
    func add(_ routes: [NetworkRoute], own: [InterfaceAddress], metric other: Int? = nil) throws(NetworkFailure) {
        for route in routes.filter({ $0.gateway == nil }) + routes.filter({ $0.gateway != nil }) {
            try Networking.act("adding a route to \(route.destination) by \(name)") { () throws(Errno) in
                try NetworkLinks.add(kernelRoute(route, own: own, metric: other), by: index)
            }
        }
    }

    func remove(_ routes: [NetworkRoute]) {
        // The kernel has already removed the routes whose address went.
        for route in routes { try? NetworkLinks.remove(kernelRoute(route, own: [], metric: nil), by: index) }
    }

    private func kernelRoute(_ route: NetworkRoute, own: [InterfaceAddress], metric other: Int?) -> NetworkLinks.Route {
        var kernel = NetworkLinks.Route(
            to: route.destination.address.bytes, prefix: route.destination.prefix, gateway: route.gateway?.bytes,
            metric: route.metric ?? other ?? metric)
        let isKnown = own.contains { address in route.gateway.map { address.contains($0) } ?? true }
        kernel.isOnLink = route.isOnLink || !isKnown
        kernel.table = route.table
        kernel.mtu = route.mtu
        kernel.source = route.source?.bytes
        return kernel
    }

    // MARK: Files of the kernel

    /// What the kernel does by itself about IPv6 on this link, before it is switched on.
    ///
    /// An address is used while it is looked whether another machine has it, and routers are asked at once: both cost
    /// seconds otherwise. What a kernel has no file for stays as it is.
    func setAutoconfiguration(_ family: NetworkFamily, metric: Int) {
        func put(_ value: Int, _ file: String) {
            try? Files.put("\(value)", into: FilePath("/proc/sys/net/ipv6/conf/\(name)/\(file)"))
        }
        let listens = family.method == .auto
        put(listens ? 1 : 0, "accept_ra")
        put(listens ? 1 : 0, "autoconf")
        guard family.isUsed else { return }
        put(1, "optimistic_dad")
        put(1, "use_optimistic")
        put(0, "router_solicitation_delay")
        put(family.neverDefault || family.ignoresPeerRoutes ? 0 : 1, "accept_ra_defrtr")
        if family.ignoresPeerRoutes { put(0, "accept_ra_rt_info_max_plen") }
        put(family.metric ?? metric, "ra_defrtr_metric")
    }

    /// Tells a bond or a bridge its options, as files below its folder in `/sys`; a bond must have no port yet.
    func setOptions(_ kind: NetworkProfile.Kind, _ logger: Logger) throws(NetworkFailure) {
        switch kind {
        case .bond(let options):
            for (name, value) in options.inOrder where name != "primary" && name != "active_slave" {
                // Targets are added one by one.
                let lists = ["arp_ip_target", "ns_ip6_target"]
                for one in lists.contains(name) ? value.split(separator: ",").map({ "+\($0)" }) : [value] {
                    try set("bonding", name, one, logger, isEssential: name == "mode")
                }
            }
        case .bridge(let options):
            for (name, value) in options.values.sorted(by: { $0.key < $1.key }) {
                try set("bridge", name, value, logger, isEssential: false)
            }
        case .vlan, .ethernet, .unsupported: break
        }
    }

    /// Gives a virtio card a speed where its hypervisor gives it none.
    ///
    /// A port without one never takes part in LACP, and the bond stays silent. A physical card knows its own as soon as
    /// it has a carrier.
    func giveSpeed(_ log: Logger) {
        let folder = FilePath("/sys/class/net/\(name)")
        guard Files.resolved(folder.appending("device/driver"))?.lastComponent?.string == "virtio_net",
            Files.line(folder.appending("speed")).flatMap({ Int($0) }) ?? -1 <= 0
        else { return }
        do throws(Errno) {
            try NetworkLinks.setSpeed(of: name, autonegotiates: nil, speed: 10_000, halfDuplex: false)
            log.info("\(name): the hypervisor gives no speed, which LACP needs; 10 Gb/s are assumed")
        } catch {
            log.warning("\(name): the hypervisor gives no speed, which LACP needs, and none can be set: \(error)")
        }
    }

    /// Tells a bond which port it prefers, once that is a port.
    func setPrimary(_ options: BondOptions, _ logger: Logger) throws(NetworkFailure) {
        for name in ["primary", "active_slave"] {
            guard let value = options.values[name] else { continue }
            try set("bonding", name, value, logger, isEssential: false)
        }
    }

    private func set(
        _ folder: String, _ option: String, _ value: String, _ logger: Logger, isEssential: Bool
    ) throws(NetworkFailure) {
        let file = FilePath("/sys/class/net/\(name)/\(folder)/\(option)")
        if Files.line(file)?.split(separator: " ").first.map(String.init) == value { return }
        do throws(FileFault) {
            try Files.put(value, into: file)
        } catch {
            if isEssential { throw .refused(act: "setting \(option)=\(value) of \(name)", error.reason) }
            logger.warning("\(name): the kernel refuses \(option)=\(value): \(error.reason)")
        }
    }
}
