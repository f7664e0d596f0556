// Any bytes as what the kernel tells of a router advertisement.

@testable import NetworkPlanning

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let message = Array(UnsafeBufferPointer(start: data, count: count))
    for whole in [message, framed(message)] {
        guard let found = RouterDNS(netlinkMessage: whole) else { continue }
        let servers = found.nameservers + found.endedServers
        precondition(servers.allSatisfy { $0.family == .v6 } && servers.count * 16 <= whole.count)
        var names = RouterNames()
        names.take(found)
        for name in names.searchDomains {
            precondition(name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "a name that breaks a line")
        }
        _ = RouterFlags(netlinkMessage: whole)
    }
    return 0
}

/// The bytes as the options of a message that is right in all else.
private func framed(_ options: [UInt8]) -> [UInt8] {
    func number(_ value: Int, _ size: Int) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    let length = 32 + options.count
    return number(length, 4) + number(68, 2) + number(0, 10) + [10, 0] + number(options.count, 2) + number(3, 4)
        + number(0, 8) + options
}
