// Whether what the boot needs answers over one card: asked by that card alone, with its routes and name servers.

import BootArguments
import CLinux
import Glibc
import LinuxSystem
import NetworkPlanning
import Reporting
import SystemPackage

/// Asks again and again, on a thread of its own, until a server answers or nobody holds the probe any more.
final class ReachProbe: Sendable {
    private struct State {
        var isEnded = false
        var reachedSince: Double?
        var fault: String?
        var nameservers: [NameServer]
        var searchDomains: [String]
    }

    private let state: Monitor<State>
    private let link: LinkProbe

    init(
        _ link: LinkProbe, nameservers: [NameServer], searchDomains: [String], targets: [NetworkTarget]
    ) {
        self.link = link
        let state = Monitor(State(nameservers: nameservers, searchDomains: searchDomains))
        self.state = state
        // Without a thread nothing is known of this card, and other cards are preferred.
        try? startThread {
            // A first packet may get lost; a distant server gets more time later.
            var patience: Int32 = 1000
            while true {
                let known = state.change { $0 }
                if known.isEnded { return }
                var fault = "there is nothing to ask"
                for target in targets {
                    do throws(LinkProbe.Fault) {
                        try link.ask(
                            target, nameservers: known.nameservers, searchDomains: known.searchDomains,
                            patience: patience)
                        return state.change { $0.reachedSince = Machine.uptime() }
                    } catch {
                        fault = "\(target) does not answer over it: \(error)"
                    }
                }
                state.change { $0.fault = fault }
                patience = min(patience * 2, 4000)
                usleep(250_000)
            }
        }
    }

    deinit { end() }

    func end() { state.change { $0.isEnded = true } }

    /// Takes what was learned of the link since.
    func use(nameservers: [NameServer], searchDomains: [String]) {
        state.change {
            $0.nameservers = nameservers
            $0.searchDomains = searchDomains
        }
    }

    var reachedSince: Double? { state.change { $0.reachedSince } }
    var fault: String? { state.change { $0.fault } }
}

/// Packets that go by one link whatever the routes of others say.
struct LinkProbe: Sendable {
    let name: String

    enum Fault: Error, CustomStringConvertible {
        case unresolved(String)
        case silent
        case refused(Errno)

        var description: String {
            switch self {
            case .unresolved(let host): "no name server knows \(host)"
            case .silent: "no answer"
            case .refused(let reason): "\(reason)"
            }
        }
    }

    /// Milliseconds for one packet and its answer.
    private static let packetPatience: Int32 = 1000

    /// Returns if the server answers, and throws otherwise.
    ///
    /// `patience` is how many milliseconds a connection may take.
    func ask(
        _ target: NetworkTarget, nameservers: [NameServer], searchDomains: [String], patience: Int32
    ) throws(Fault) {
        let addresses = addresses(of: target.host, nameservers, searchDomains)
        guard !addresses.isEmpty else { throw .unresolved(target.host) }
        var fault = Fault.silent
        for address in addresses {
            do throws(Fault) {
                return try target.isTFTP
                    ? greetTFTP(address, target.port) : connect(address, target.port, patience)
            } catch {
                fault = error
            }
        }
        throw fault
    }

    private func addresses(
        of host: String, _ nameservers: [NameServer], _ searchDomains: [String]
    ) -> [IPAddress] {
        if let address = IPAddress(host) { return [address] }
        // As the C library reads it: an address, then names.
        for line in (Files.line("/etc/hosts") ?? "").split(whereSeparator: \.isNewline) {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            if words.dropFirst().contains(Substring(host)), let address = words.first.flatMap({ IPAddress($0) }) {
                return [address]
            }
        }
        let names =
            (host.contains(".") ? [host] : []) + searchDomains.map { "\(host).\($0)" }
            + (host.contains(".") ? [] : [host])
        for name in names {
            for server in nameservers {
                var found: [IPAddress] = []
                var hasAnswered = false
                for family in [IPAddress.Family.v4, .v6] {
                    let id = UInt16.random(in: 0...UInt16.max)
                    guard let query = DNSMessage.query(name, family, id: id),
                        let answer = exchange(query, with: server.address, port: 53),
                        let addresses = DNSMessage.addresses(answer, id: id)
                    else { break }
                    hasAnswered = true
                    found += addresses
                }
                if !found.isEmpty { return found }
                if hasAnswered { break }
            }
        }
        return []
    }

    private func connect(_ address: IPAddress, _ port: Int, _ patience: Int32) throws(Fault) {
        let descriptor = firstlight_link_socket(name, Int32(address.bytes.count), true)
        guard descriptor >= 0 else { throw .refused(Errno(rawValue: -descriptor)) }
        defer { close(descriptor) }
        let result = firstlight_link_connect(
            descriptor, name, address.bytes, address.bytes.count, UInt16(clamping: port), patience)
        if result == -ETIMEDOUT { throw .silent }
        if result < 0 { throw .refused(Errno(rawValue: -result)) }
    }

    /// Asks for a file that hardly exists: whatever comes back comes from a TFTP server.
    private func greetTFTP(_ address: IPAddress, _ port: Int) throws(Fault) {
        let request: [UInt8] = [0, 1] + Array("firstlight-is-there".utf8) + [0] + Array("octet".utf8) + [0]
        guard exchange(request, with: address, port: port, anyPort: true) != nil else { throw .silent }
    }

    /// Sends one packet and takes one back.
    func exchange(
        _ bytes: [UInt8], with address: IPAddress, port: Int, anyPort: Bool = false
    ) -> [UInt8]? {
        let descriptor = firstlight_link_socket(name, Int32(address.bytes.count), false)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var answer = [UInt8](repeating: 0, count: 1500)
        let count = firstlight_link_exchange(
            descriptor, name, address.bytes, address.bytes.count, UInt16(clamping: port), anyPort, bytes, bytes.count,
            &answer, answer.count, Self.packetPatience)
        return count > 0 ? Array(answer.prefix(Int(count))) : nil
    }
}
