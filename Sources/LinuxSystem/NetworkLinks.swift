// Links, addresses and routes: changing them, and learning of their changes.

import CLinux
import Glibc
import SystemPackage

/// The network links of this machine.
public enum NetworkLinks {
    /// Changes the link of that number; what is `nil` stays as it is.
    ///
    /// A new name needs a link that is down. An address (`mac`) of other than six bytes is ignored.
    public static func configure(
        _ index: Int, name: String? = nil, mtu: Int? = nil, mac: [UInt8]? = nil, up: Bool? = nil
    ) throws(Errno) {
        let state: Int32 = up.map { $0 ? 1 : 0 } ?? -1
        let mtu = UInt32(clamping: mtu ?? 0)
        let result =
            if let mac, mac.count == 6 {
                firstlight_link_configure(Int32(index), name, mtu, mac, state)
            } else {
                firstlight_link_configure(Int32(index), name, mtu, nil, state)
            }
        if result < 0 { throw Errno(rawValue: -result) }
    }

    /// Adds an address of 4 or 16 bytes; an existing one is accepted.
    public static func addAddress(_ bytes: [UInt8], prefix: Int, to index: Int) throws(Errno) {
        let result = firstlight_address_add(Int32(index), bytes, bytes.count, UInt8(clamping: prefix), true)
        if result < 0, result != -EEXIST { throw Errno(rawValue: -result) }
    }

    /// Removes an address of 4 or 16 bytes.
    public static func removeAddress(_ bytes: [UInt8], prefix: Int, from index: Int) throws(Errno) {
        let result = firstlight_address_add(Int32(index), bytes, bytes.count, UInt8(clamping: prefix), false)
        if result < 0 { throw Errno(rawValue: -result) }
    }

    /// The addresses of a link, of 4 or 16 bytes, with the lengths of their prefixes.
    public static func addresses(of name: String) -> [(bytes: [UInt8], prefix: Int)] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        func bytes(_ address: UnsafePointer<sockaddr>) -> [UInt8]? {
            let raw = UnsafeRawPointer(address)
            return switch Int32(address.pointee.sa_family) {
            case AF_INET: withUnsafeBytes(of: raw.load(as: sockaddr_in.self).sin_addr) { Array($0) }
            case AF_INET6: withUnsafeBytes(of: raw.load(as: sockaddr_in6.self).sin6_addr) { Array($0) }
            default: nil
            }
        }
        return sequence(first: first, next: { $0?.pointee.ifa_next }).compactMap { entry in
            guard let entry, String(cString: entry.pointee.ifa_name) == name,
                let address = entry.pointee.ifa_addr.flatMap({ bytes($0) }),
                let mask = entry.pointee.ifa_netmask.flatMap({ bytes($0) })
            else { return nil }
            return (address, mask.reduce(0) { $0 + $1.nonzeroBitCount })
        }
    }

    /// A route by one link.
    public struct Route {
        /// A network address of 4 or 16 bytes; `prefix` 0 is the default route.
        public var destination: [UInt8]
        /// The length of the network's part of the address, in bits.
        public var prefix: Int
        /// `nil`: the destination is on the link.
        public var gateway: [UInt8]?
        /// The gateway can be reached directly though no address of the link says so.
        public var isOnLink = false
        /// The rank among routes to the same network; the lowest is taken.
        public var metric: Int
        /// `nil`: the main table.
        public var table: Int?
        /// The largest packet in bytes; `nil`: what the link takes.
        public var mtu: Int?
        /// The address to send from.
        public var source: [UInt8]?

        /// Creates a route in the main table.
        public init(to destination: [UInt8], prefix: Int, gateway: [UInt8]?, metric: Int) {
            self.destination = destination
            self.prefix = prefix
            self.gateway = gateway
            self.metric = metric
        }
    }

    /// Adds or replaces a route; one that is there already is fine.
    public static func add(_ route: Route, by index: Int) throws(Errno) {
        let result = change(route, by: index, adding: true)
        if result < 0, result != -EEXIST { throw Errno(rawValue: -result) }
    }

    /// Takes a route away; one that is gone is fine.
    public static func remove(_ route: Route, by index: Int) throws(Errno) {
        let result = change(route, by: index, adding: false)
        if result < 0, result != -ESRCH { throw Errno(rawValue: -result) }
    }

    private static func change(_ route: Route, by index: Int, adding: Bool) -> Int32 {
        route.destination.withUnsafeBufferPointer { destination in
            (route.gateway ?? []).withUnsafeBufferPointer { gateway in
                (route.source ?? []).withUnsafeBufferPointer { source in
                    var request = firstlight_route(
                        destination: destination.baseAddress, gateway: route.gateway == nil ? nil : gateway.baseAddress,
                        source: route.source == nil ? nil : source.baseAddress, length: destination.count,
                        prefix: UInt8(clamping: route.prefix), on_link: route.isOnLink && route.gateway != nil,
                        metric: UInt32(clamping: route.metric), table: UInt32(clamping: route.table ?? 0),
                        mtu: UInt32(clamping: route.mtu ?? 0))
                    return firstlight_route_change(adding, Int32(clamping: index), &request)
                }
            }
        }
    }

    /// What a link that is made can be.
    public enum Kind {
        case vlan(id: Int, parent: Int, flags: Int)
        case bond
        case bridge
    }

    /// Makes a link; one of that name that is there already is `EEXIST`.
    public static func make(_ name: String, _ kind: Kind) throws(Errno) {
        let result =
            switch kind {
            case .vlan(let id, let parent, let flags):
                firstlight_link_make(
                    name, "vlan", Int32(clamping: parent), Int32(clamping: id), UInt32(clamping: flags))
            case .bond: firstlight_link_make(name, "bond", 0, -1, 0)
            case .bridge: firstlight_link_make(name, "bridge", 0, -1, 0)
            }
        if result < 0 { throw Errno(rawValue: -result) }
    }

    /// Takes away a link that was made.
    public static func remove(_ index: Int) throws(Errno) {
        let result = firstlight_link_remove(Int32(clamping: index))
        if result < 0 { throw Errno(rawValue: -result) }
    }

    /// Makes a link a port of a bond, for which it must be down, or of a bridge.
    public static func join(_ index: Int, to controller: Int) throws(Errno) {
        let result = firstlight_link_join(Int32(clamping: index), Int32(clamping: controller))
        if result < 0 { throw Errno(rawValue: -result) }
    }

    /// Sets how a card talks to the switch; what is `nil` stays as it is.
    ///
    /// `speed` is in megabits a second. Throws what the kernel refuses it with.
    public static func setSpeed(
        of name: String, autonegotiates: Bool?, speed: Int?, halfDuplex: Bool
    ) throws(Errno) {
        let result = firstlight_link_speed(
            name, autonegotiates.map { $0 ? 1 : 0 } ?? -1, UInt32(clamping: speed ?? 0), halfDuplex)
        if result < 0 { throw Errno(rawValue: -result) }
    }
}

/// A socket that receives changes of links and IPv6 addresses, and router advertisements.
public struct NetworkEventSocket: ~Copyable {
    /// The descriptor, which becomes readable when a message arrives.
    public let descriptor: Int32

    /// Opens the socket; throws the errno of the call that failed.
    public init() throws(Errno) {
        descriptor = firstlight_network_events()
        if descriptor < 0 { throw Errno(rawValue: -descriptor) }
    }

    deinit { close(descriptor) }

    /// The netlink messages since the last call, including their headers.
    public func messages() -> [[UInt8]] {
        var messages: [[UInt8]] = []
        var buffer = [UInt8](repeating: 0, count: 32 << 10)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            // An overrun loses messages, which is harmless because readers look at the state too.
            if count < 0, errno == ENOBUFS || errno == EINTR { continue }
            guard count > 0 else { return messages }
            var rest = buffer[..<count]
            while rest.count >= 16 {
                let length = rest.prefix(4).enumerated().reduce(0) { $0 | Int($1.element) << ($1.offset * 8) }
                guard length >= 16, length <= rest.count else { break }
                messages.append(Array(rest.prefix(length)))
                rest = rest.dropFirst((length + 3) & ~3)
            }
        }
    }
}
