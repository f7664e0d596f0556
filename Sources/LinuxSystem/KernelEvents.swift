// Kernel events: what appeared, changed or went away below /sys/devices.

import CLinux
import Glibc
import SystemPackage

/// One uevent of the kernel.
public struct KernelEvent: Equatable, Sendable {
    public enum Action: String, Sendable { case add, remove, change, move, online, offline, bind, unbind }

    public var action: Action
    /// Below `/sys`: `/devices/pci0000:00/.../block/vda`.
    public var devicePath: String
    public var properties: [String: String]

    /// Reads one netlink datagram: `add@/devices/...`, then `KEY=value`, each ended by NUL.
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

/// The kernel's event socket. Open it before looking at `/sys`: then nothing falls between.
public struct KernelEventSocket: ~Copyable, Sendable {
    /// For waiting on it together with others.
    public let descriptor: Int32

    public init() throws(Errno) {
        descriptor = firstlight_uevent_socket()
        if descriptor < 0 { throw Errno(rawValue: -descriptor) }
    }

    deinit { close(descriptor) }

    /// The next event, or `nil` when none came within `milliseconds` (0: what is there already).
    public func next(within milliseconds: Int32) -> KernelEvent? {
        guard firstlight_wait_readable(descriptor, milliseconds) > 0 else { return nil }
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? KernelEvent(buffer[..<count]) : nil
    }
}
