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

    /// Adds or replaces a route.
    ///
    /// - Parameters:
    ///   - destination: A network address of 4 or 16 bytes.
    ///   - prefix: The length of the network's prefix; 0 is the default route.
    ///   - gateway: The next router; `nil` if the destination is on the link.
    ///   - onLink: Whether the gateway is reached directly, although no address of the link covers it.
    ///   - metric: The route's metric; the lowest is preferred.
    ///   - index: The number of the link.
    /// - Throws: The kernel's errno.
    public static func addRoute(
        to destination: [UInt8], prefix: Int, gateway: [UInt8]?, onLink: Bool = false, metric: Int, by index: Int
    ) throws(Errno) {
        let result =
            if let gateway {
                firstlight_route_add(
                    Int32(index), destination, destination.count, UInt8(clamping: prefix), gateway, onLink,
                    UInt32(clamping: metric))
            } else {
                firstlight_route_add(
                    Int32(index), destination, destination.count, UInt8(clamping: prefix), nil, false,
                    UInt32(clamping: metric))
            }
        if result < 0, result != -EEXIST { throw Errno(rawValue: -result) }
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
