// The DHCPv6 client of one link, on a thread of its own: it renews for as long as somebody holds it.

import BootArguments
import CLinux
import Glibc
import LinuxSystem
import Logging
import NetworkPlanning
import SystemPackage

final class DHCPv6Client: Sendable {
    private struct State {
        var lease: NetworkLease6?
        var isEnded = false
    }

    private let state = Monitor(State())
    let isStateful: Bool

    /// All servers and relays of a link.
    private static let servers: [UInt8] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]

    init(
        _ settings: LinkSettings, duid: [UInt8], isStateful: Bool, logger: Logger
    ) throws(NetworkFailure) {
        self.isStateful = isStateful
        let descriptor = firstlight_dhcp6_socket(settings.name)
        guard descriptor >= 0 else {
            throw .refused(act: "asking for DHCPv6 by \(settings.name)", Errno(rawValue: -descriptor))
        }
        let index = UInt32(clamping: settings.index)
        let identity = (0..<4).map { UInt8(truncatingIfNeeded: index >> (24 - 8 * $0)) }
        let exchange = DHCPv6Exchange(duid: duid, identity: identity, isStateful: isStateful, at: Machine.uptime())
        do throws(ThreadFault) {
            try startThread { [state] in
                Self.run(exchange, settings, descriptor, state, logger)
                close(descriptor)
            }
        } catch {
            close(descriptor)
            throw .refused(act: "starting a DHCPv6 client for \(settings.name)", error.reason)
        }
    }

    deinit { end() }

    func end() { state.change { $0.isEnded = true } }

    var lease: NetworkLease6? { state.change { $0.lease } }

    private static func run(
        _ start: DHCPv6Exchange, _ settings: LinkSettings, _ descriptor: Int32, _ state: Monitor<State>,
        _ logger: Logger
    ) {
        var exchange = start
        // These outlast a lease that has ended: the next lease may name others.
        var servers: [NameServer] = []
        var answer = [UInt8](repeating: 0, count: 2048)
        while !state.change({ $0.isEnded }) {
            let before = exchange.lease
            if let packet = exchange.packet(at: Machine.uptime()) {
                // This fails before the link has an address of its own; it is tried again soon.
                _ = firstlight_link_send(
                    descriptor, settings.name, Self.servers, Self.servers.count, 547, packet, packet.count)
            }
            if firstlight_wait_readable(descriptor, 200) > 0 {
                let count = recv(descriptor, &answer, answer.count, 0)
                if count > 0 { _ = exchange.take(Array(answer.prefix(count)), at: Machine.uptime()) }
            }
            let after = exchange.lease
            guard after != before else { continue }
            for address in before?.addresses ?? [] where !(after?.addresses ?? []).contains(address) {
                try? NetworkLinks.removeAddress(address.bytes, prefix: 128, from: settings.index)
            }
            do throws(NetworkFailure) {
                try settings.add((after?.addresses ?? []).map { InterfaceAddress($0, prefix: 128) })
            } catch {
                logger.warning("\(error)")
            }
            if let after {
                let named = after.nameServers(of: settings.name)
                Networking.replaceServers(servers, by: named)
                servers = named
            }
            state.change { $0.lease = after }
        }
    }
}
