// Hyper-V: the config is among the key-value pairs that the host sends to the kernel, and the kernel to a daemon.
// They are sent only once. So they are kept for the next attempt, and for the real root's daemon.

import Glibc
import LinuxSystem
import Reporting
import SystemPackage

private let keyName = "ignition.config"

extension PlatformAccess {
    func hyperVConfig() throws -> [UInt8]? {
        let kept = try keptFiles()
        if !kept.isEmpty { return KeyValuePairs(kept).config }
        ["hv_vmbus", "hv_utils"].forEach(loadModule)
        let descriptor = open(keyValueDevice.string, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw PlatformFailure.device(keyValueDevice, Errno(rawValue: errno), module: "hv_utils", .hyperv)
        }
        defer { close(descriptor) }
        var pairs: KeyValuePairs
        do throws(Errno) {
            pairs = try KeyValuePairs(from: descriptor, patience: keyValuePatience, say: say)
        } catch { throw PlatformFailure.unreadable(keyValueDevice, error) }
        try keepFiles(pairs.files)
        return pairs.config
    }
}

/// The pairs that the host sends, by pool and key.
///
/// - SeeAlso: Linux, `include/uapi/linux/hyperv.h` (`struct hv_kvp_msg`) and `tools/hv/hv_kvp_daemon.c`.
struct KeyValuePairs: Equatable {
    /// Each pool's pairs, in the order in which the keys came first.
    private(set) var pools: [UInt8: [(key: [UInt8], value: [UInt8])]] = [:]

    static func == (one: KeyValuePairs, other: KeyValuePairs) -> Bool {
        one.pools.mapValues { $0.map { [$0.key, $0.value] } }
            == other.pools.mapValues { $0.map { [$0.key, $0.value] } }
    }

    init() {}

    /// Reads the daemon's files.
    init(_ files: [PlatformFile]) {
        for file in files where file.path.hasPrefix(Self.filePrefix) {
            guard let number = UInt8(file.path.dropFirst(Self.filePrefix.count)) else { continue }
            let length = Self.keyLength + Self.valueLength
            pools[number] = stride(from: 0, through: file.bytes.count - length, by: length).map { start in
                let record = file.bytes[start..<start + length]
                return (
                    Array(record.prefix(Self.keyLength).prefix { $0 != 0 }),
                    Array(record.dropFirst(Self.keyLength).prefix { $0 != 0 })
                )
            }
        }
    }

    /// Where the daemon has a file for each pool, whose number is the end of its name.
    private static let filePrefix = "/var/lib/hyperv/.kvp_pool_"

    /// The bytes of a message, of a key in it, and of a value.
    static let messageLength = 4 + 7426
    static let keyLength = 512
    static let valueLength = 2048
    private enum Operation { static let (set, register): (UInt8, UInt8) = (1, 100) }
    private static let done: UInt32 = 0
    private static let notSupported: UInt32 = 0x8007_0032

    /// Reads the pairs as the daemon does, until the host sends no more.
    ///
    /// - Parameters:
    ///   - descriptor: The kernel's device.
    ///   - patience: Seconds for the host to begin, and seconds of silence after which it has ended.
    ///   - say: Receives what it waits for.
    /// - Throws: The errno of a failed read or write.
    init(from descriptor: Int32, patience: (begin: Double, end: Double), say: (String) -> Void) throws(Errno) {
        var register = [UInt8](repeating: 0, count: Self.messageLength)
        register[0] = Operation.register
        guard write(descriptor, register, register.count) == register.count else { throw Errno(rawValue: errno) }
        var message = [UInt8](repeating: 0, count: Self.messageLength)
        var hasBegun = false
        say("for Hyper-V's key-value pairs, \(Int(patience.begin)) s at most")
        while true {
            var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let seconds = hasBegun ? patience.end : patience.begin
            let count = poll(&ready, 1, Int32(seconds * 1000))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            let length = read(descriptor, &message, message.count)
            if length < 0, errno == EINTR || errno == EAGAIN { continue }
            // A message that is too short is ignored; the end of the stream ends the loop.
            guard length > 0 else { return }
            if length < 4 || message[0] == Operation.register { continue }
            let isKnown = message[0] == Operation.set && add(Array(message.prefix(length)))
            hasBegun = hasBegun || isKnown
            // The answer is the message with the outcome in place of its first four bytes.
            withUnsafeBytes(of: (isKnown ? Self.done : Self.notSupported).littleEndian) {
                message.replaceSubrange(0..<4, with: $0)
            }
            guard write(descriptor, message, message.count) == message.count else { throw Errno(rawValue: errno) }
        }
    }

    /// Adds the pair of a message: kind, two lengths, key and value, both with a NUL at the end.
    ///
    /// Returns `false` if the message is malformed.
    mutating func add(_ message: [UInt8]) -> Bool {
        func number(_ offset: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(message[offset + $1]) << (8 * $1) }
        }
        let start = 4 + 12
        guard message.count >= start + Self.keyLength + Self.valueLength else { return false }
        let (keyCount, valueCount) = (number(8), number(12))
        guard (1...Self.keyLength).contains(keyCount), (0...Self.valueLength).contains(valueCount) else { return false }
        func text(_ offset: Int, _ count: Int) -> [UInt8] { Array(message[offset..<offset + count].prefix { $0 != 0 }) }
        let key = text(start, keyCount)
        let value = text(start + Self.keyLength, valueCount)
        var pool = pools[message[1]] ?? []
        if let index = pool.firstIndex(where: { $0.key == key }) {
            pool[index].value = value
        } else {
            pool.append((key, value))
        }
        pools[message[1]] = pool
        return true
    }

    /// The config: one value, or as many as a long config needs: `ignition.config.0` and so on.
    var config: [UInt8]? {
        let pool = Dictionary((pools[0] ?? []).map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
        if let whole = pool[Array(keyName.utf8)] { return whole }
        var parts: [UInt8] = []
        var number = 0
        while let part = pool[Array("\(keyName).\(number)".utf8)] {
            parts += part
            number += 1
        }
        return number == 0 ? nil : parts
    }

    /// A file for each pool, in the daemon's format.
    var files: [PlatformFile] {
        pools.sorted { $0.key < $1.key }.map { number, pool in
            func padded(_ bytes: [UInt8], to length: Int) -> [UInt8] {
                bytes + [UInt8](repeating: 0, count: length - bytes.count)
            }
            let records = pool.flatMap { padded($0.key, to: Self.keyLength) + padded($0.value, to: Self.valueLength) }
            return PlatformFile(path: "\(Self.filePrefix)\(number)", bytes: records)
        }
    }
}
