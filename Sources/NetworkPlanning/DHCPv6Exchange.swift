// A DHCPv6 client as a value: what it sends and when, and what it concludes from the answers.
//
// It asks one server for one address, or only for settings. Debian's busybox has no such client, and any other in the
// image would bring a megabyte, a configuration and a script along.

import BootArguments
import Encoding

/// What a DHCPv6 server gave.
public struct NetworkLease6: Equatable, Sendable {
    /// The machine's addresses; empty where only settings were asked for.
    public var addresses: [IPAddress] = []
    /// Name servers (option 23).
    public var nameservers: [IPAddress] = []
    /// Search domains (option 24).
    public var searchDomains: [String] = []
    /// Time servers (options 56 and 31).
    public var timeServers: [IPAddress] = []
    /// Seconds until it is to be renewed; `nil`: never.
    public var renewal: Double?
    /// Seconds until it is over; `nil`: never.
    public var lifetime: Double?

    /// A lease that gives nothing and never ends.
    public init() {}
}

/// One client's dealings with the servers of one link.
///
/// - SeeAlso: RFC 8415; section numbers below are its.
public struct DHCPv6Exchange: Sendable {
    enum Phase: Equatable {
        case soliciting, requesting, informing, bound, renewing, rebinding
    }

    private enum Kind: UInt8 {
        case solicit = 1
        case advertise, request, confirm, renew, rebind, reply, release, decline, reconfigure
        case informationRequest = 11
    }

    private let duid: [UInt8]
    private let identity: [UInt8]
    private let isStateful: Bool
    private(set) var phase: Phase
    private var transaction: [UInt8]
    /// The server that is asked, and the association as it offered it: the whole option.
    private var server: [UInt8] = []
    private var offered: [UInt8] = []
    private var startedAt: Double
    private var nextAt: Double
    private var interval = 1.0
    private var attempts = 0
    private var boundAt = 0.0
    /// What a server gave; `nil`: nothing yet, or nothing any more.
    public private(set) var lease: NetworkLease6?

    /// Starts an exchange at the time `now`, in seconds.
    ///
    /// `duid` is who the client is (11), and `identity` the association's number, 4 bytes. With `isStateful` the client
    /// asks for an address, otherwise for settings alone.
    public init(duid: [UInt8], identity: [UInt8], isStateful: Bool, at now: Double) {
        self.duid = duid
        self.identity = Array(identity.prefix(4))
        self.isStateful = isStateful
        phase = isStateful ? .soliciting : .informing
        transaction = Self.newTransaction()
        startedAt = now
        nextAt = now
    }

    private static func newTransaction() -> [UInt8] { (0..<3).map { _ in UInt8.random(in: 0...255) } }

    private mutating func begin(_ phase: Phase, at now: Double) {
        self.phase = phase
        transaction = Self.newTransaction()
        (startedAt, nextAt, interval, attempts) = (now, now, 1, 0)
    }

    /// When something is to be sent next; `nil`: never.
    public var due: Double? {
        let next = phase == .bound ? lease?.renewal.map { boundAt + $0 } : nextAt
        return [next, end].compactMap(\.self).min()
    }

    /// When the lease is over; `nil`: never.
    private var end: Double? { lease?.lifetime.map { boundAt + $0 } }

    /// What is to be sent now, if anything.
    public mutating func packet(at now: Double) -> [UInt8]? {
        // A server may give a lifetime and no time to renew it.
        if let end, now >= end {
            // The address is not ours any more.
            lease = nil
            begin(isStateful ? .soliciting : .informing, at: now)
        }
        if phase == .bound, let due, now >= due { begin(isStateful ? .renewing : .informing, at: now) }
        if phase == .renewing, attempts > 4 { begin(.rebinding, at: now) }
        // A server that does not confirm what it has offered is not the one.
        if phase == .requesting, attempts > 9 { begin(.soliciting, at: now) }
        guard phase != .bound, now >= nextAt else { return nil }
        attempts += 1
        nextAt = now + interval
        // 15, with a limit that suits somebody who waits: a server may come up at any time.
        interval = min(interval * 2, phase == .soliciting || phase == .informing ? 10 : 30)
        let kind: Kind
        var options: [UInt8] = option(1, duid)
        switch phase {
        case .soliciting:
            kind = .solicit
            options += option(14, []) + association([])
        case .requesting:
            kind = .request
            options += option(2, server) + option(3, offered)
        case .renewing:
            kind = .renew
            options += option(2, server) + option(3, offered)
        case .rebinding:
            kind = .rebind
            options += option(3, offered)
        case .informing, .bound: kind = .informationRequest
        }
        let elapsed = UInt16(clamping: Int((now - startedAt) * 100))
        options += option(8, [UInt8(elapsed >> 8), UInt8(elapsed & 0xff)])
        // Name servers, domains, time servers (31, and 56 of RFC 5908).
        options += option(6, [0, 23, 0, 24, 0, 31, 0, 56])
        return [kind.rawValue] + transaction + options
    }

    private func option(_ code: UInt8, _ content: [UInt8]) -> [UInt8] {
        [0, code, UInt8(content.count >> 8 & 0xff), UInt8(content.count & 0xff)] + content
    }

    private func association(_ options: [UInt8]) -> [UInt8] {
        option(3, identity + Array(repeating: 0, count: 8) + options)
    }

    /// Takes what has come; what is for somebody else, or broken, changes nothing.
    ///
    /// - Returns: Whether the lease is another one now.
    public mutating func take(_ bytes: [UInt8], at now: Double) -> Bool {
        guard bytes.count >= 4, Array(bytes[1..<4]) == transaction, let kind = Kind(rawValue: bytes[0]),
            let options = Self.options(bytes[4...])
        else { return false }
        func first(_ code: Int) -> ArraySlice<UInt8>? { options.first { $0.code == code }?.content }
        guard first(1).map(Array.init) == duid, let sender = first(2).map(Array.init), !sender.isEmpty,
            sender.count <= 130
        else { return false }
        if let status = first(13), number(bigEndian: status.prefix(2)) != 0 {
            // Nothing for us there: another server may have.
            if phase == .requesting { begin(.soliciting, at: now) }
            return false
        }
        switch (phase, kind) {
        case (.informing, .reply):
            var found = Self.settings(options)
            // 21.23: a day, unless the server says otherwise.
            let refresh = first(32).flatMap { $0.count == 4 ? number(bigEndian: $0) : nil } ?? 86_400
            found.renewal = Double(max(refresh, 600))
            bind(found, at: now)
            return true
        case (.soliciting, .advertise), (.soliciting, .reply), (.requesting, .reply), (.renewing, .reply),
            (.rebinding, .reply):
            let mine = options.first { option in
                option.code == 3 && option.content.count >= 12 && Array(option.content.prefix(4)) == identity
            }
            guard let content = mine?.content, let inner = Self.options(content.dropFirst(12)) else { return false }
            var found = Self.settings(options)
            var valid = 0xffff_ffff
            var preferred = 0xffff_ffff
            for address in inner where address.code == 5 && address.content.count >= 24 {
                let numbers = address.content.dropFirst(16)
                let lives = number(bigEndian: numbers.dropFirst(4).prefix(4))
                guard lives > 0, let own = IPAddress(bytes: Array(address.content.prefix(16))) else { continue }
                found.addresses.append(own)
                valid = min(valid, lives)
                preferred = min(preferred, number(bigEndian: numbers.prefix(4)))
            }
            guard !found.addresses.isEmpty else {
                if phase != .soliciting {
                    let had = lease != nil
                    lease = nil
                    begin(.soliciting, at: now)
                    return had
                }
                return false
            }
            server = sender
            offered = Array(content)
            if kind == .advertise {
                begin(.requesting, at: now)
                return false
            }
            let given = number(bigEndian: content.dropFirst(4).prefix(4))
            let forever = 0xffff_ffff
            let renewal = given > 0 ? given : preferred == forever ? forever : preferred / 2
            found.renewal = renewal == forever ? nil : Double(max(renewal, 10))
            found.lifetime = valid == forever ? nil : Double(valid)
            bind(found, at: now)
            return true
        default: return false
        }
    }

    private mutating func bind(_ lease: NetworkLease6, at now: Double) {
        self.lease = lease
        phase = .bound
        boundAt = now
    }

    private static func settings(_ options: [(code: Int, content: ArraySlice<UInt8>)]) -> NetworkLease6 {
        var lease = NetworkLease6()
        func addresses(_ content: ArraySlice<UInt8>) -> [IPAddress] {
            stride(from: content.startIndex, through: content.endIndex - 16, by: 16).compactMap {
                IPAddress(bytes: Array(content[$0..<$0 + 16]))
            }
        }
        for (code, content) in options {
            switch code {
            case 23: lease.nameservers += addresses(content)
            case 24: lease.searchDomains += domainNames(content)
            case 31: lease.timeServers += addresses(content)
            // Of an address (1), a multicast address and a name, the first is a server.
            case 56:
                for (kind, server) in Self.options(content) ?? [] where kind == 1 {
                    lease.timeServers += addresses(server)
                }
            default: break
            }
        }
        return lease
    }

    /// Code, length, content, each number of 2 bytes; `nil` where one is cut short.
    private static func options(_ bytes: ArraySlice<UInt8>) -> [(code: Int, content: ArraySlice<UInt8>)]? {
        var options: [(code: Int, content: ArraySlice<UInt8>)] = []
        var at = bytes.startIndex
        while at < bytes.endIndex {
            guard at + 4 <= bytes.endIndex else { return nil }
            let length = number(bigEndian: bytes[(at + 2)..<(at + 4)])
            guard at + 4 + length <= bytes.endIndex else { return nil }
            options.append((number(bigEndian: bytes[at..<(at + 2)]), bytes[(at + 4)..<(at + 4 + length)]))
            at += 4 + length
        }
        return options
    }
}
