// Apple's hypervisor: the host answers HTTP over a vsock, which libcurl does not support. So libcurl gets a Unix
// socket in a folder that only root can enter, and a relay passes the bytes on.

import CLinux
import Fetching
import Glibc
import LinuxSystem
import SystemPackage

/// The vsock address on which the host listens.
///
/// - SeeAlso: Linux, `include/uapi/linux/vm_sockets.h` (`VMADDR_CID_HOST`).
private let (host, port): (UInt32, UInt32) = (2, 1024)

extension PlatformAccess {
    func appleConfig() throws -> [UInt8]? {
        ["vmw_vsock_virtio_transport", "vsock"].forEach(loadModule)
        let relay = try SocketRelay { firstlight_connect_vsock(host, port) }
        defer { relay.close() }
        // No name is looked up, because the socket is used instead of the host.
        var question = try MetadataRequest("http://d/", headers: [("Accept", "application/json")])
        question.exchange.socket = relay.path
        return try request(question)
    }
}

/// A Unix socket whose connections are passed on to those that `connect` makes.
final class SocketRelay: Sendable {
    let path: FilePath
    private let listener: Int32

    /// Starts the relay; `connect` returns a descriptor, or a negative `errno`.
    init(connect: @escaping @Sendable () -> Int32) throws(PlatformFailure) {
        // Connecting first shows at once whether there is such a hypervisor.
        let first = connect()
        guard first >= 0 || first == -ECONNREFUSED || first == -ECONNRESET || first == -ETIMEDOUT else {
            throw .device("/dev/vsock", Errno(rawValue: -first), module: "vmw_vsock_virtio_transport", .applehv)
        }
        if first >= 0 { Glibc.close(first) }
        var template = Array("/run/firstlight-relay-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw .unwritable("/run", Errno(rawValue: errno)) }
        let folder = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
        path = folder.appending("socket")
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        self.listener = listener
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.string.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard listener >= 0, bound == 0, listen(listener, 4) == 0 else {
            let reason = Errno(rawValue: errno)
            close()
            throw .unwritable(path, reason)
        }
        do throws(ThreadFault) {
            try startThread {
                while true {
                    let near = accept(listener, nil, nil)
                    if near < 0, errno == EINTR || errno == ECONNABORTED { continue }
                    guard near >= 0 else { return }
                    let far = connect()
                    if far >= 0 { SocketRelay.pass(near, far) }
                    for end in [near, far] where end >= 0 { Glibc.close(end) }
                }
            }
        } catch {
            close()
            throw .unwritable(path, error.reason)
        }
    }

    /// Ends the relay and wakes whoever waits for a connection.
    func close() {
        shutdown(listener, Int32(SHUT_RDWR))
        Glibc.close(listener)
        unlink(path.string)
        rmdir(path.removingLastComponent().string)
    }

    /// Passes bytes on in both directions until one side has ended, because neither closes one direction alone.
    private static func pass(_ near: Int32, _ far: Int32) {
        let ways = [(from: near, to: far), (from: far, to: near)]
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            var waiting = ways.map { pollfd(fd: $0.from, events: Int16(POLLIN), revents: 0) }
            if poll(&waiting, nfds_t(waiting.count), -1) < 0, errno != EINTR { return }
            for (way, state) in zip(ways, waiting) where state.revents != 0 {
                let count = read(way.from, &buffer, buffer.count)
                if count < 0, errno == EINTR || errno == EAGAIN { continue }
                guard count > 0, write(all: buffer[..<count], to: way.to) else { return }
            }
        }
    }

    private static func write(all bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
