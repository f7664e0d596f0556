// Kernel events: what appeared, changed or disappeared below /sys/devices.

import CLinux
import Glibc
import SystemPackage

/// One uevent of the kernel.
public struct KernelEvent: Equatable, Sendable {
    /// What happened to the device.
    public enum Action: String, Sendable { case add, remove, change, move, online, offline, bind, unbind }

    /// What happened to the device.
    public var action: Action
    /// The path below `/sys`: `/devices/pci0000:00/.../block/vda`.
    public var devicePath: String
    /// The keys and values of the event.
    public var properties: [String: String]

    /// Reads one netlink datagram: `add@/devices/...`, then `KEY=value`, each followed by NUL.
    public init?(_ datagram: some Collection<UInt8>) {
        let fields = datagram.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        guard let header = fields.first, let at = header.firstIndex(of: "@"),
            let action = Action(rawValue: String(header[..<at]))
        else { return nil }
        self.action = action
        devicePath = String(header[header.index(after: at)...])
        properties = [:]
        for field in fields.dropFirst() {
            guard let equals = field.firstIndex(of: "=") else { continue }
            properties[String(field[..<equals])] = String(field[field.index(after: equals)...])
        }
    }
}

/// The kernel's event socket, which has to be opened before `/sys` is read, so that no event is missed.
public struct KernelEventSocket: ~Copyable, Sendable {
    /// The descriptor, for waiting on several at once.
    public let descriptor: Int32

    /// Opens the socket; events from here on are not lost.
    public init() throws(Errno) {
        descriptor = firstlight_uevent_socket()
        if descriptor < 0 { throw Errno(rawValue: -descriptor) }
    }

    deinit { close(descriptor) }

    /// What is read from the socket.
    public enum Reading: Equatable, Sendable {
        case event(KernelEvent)
        /// The kernel had more events than the socket holds: the reader has to look at `/sys` again.
        case lost
        case nothing
    }

    /// The next event; nothing if none arrives within `milliseconds` (0 takes only what is there already).
    public func next(within milliseconds: Int32) -> Reading {
        while firstlight_wait_readable(descriptor, milliseconds) > 0 {
            var buffer = [UInt8](repeating: 0, count: 16 << 10)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == ENOBUFS { return .lost }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return .nothing }
            // Messages that are not events, such as those that udev sends to others, are skipped.
            if let event = KernelEvent(buffer[..<count]) { return .event(event) }
        }
        return .nothing
    }
}
