// Any bytes as what a DHCPv6 server answers to each of the client's packets in turn.

@testable import BootArguments
@testable import NetworkPlanning

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    let duid: [UInt8] = [0, 3, 0, 1, 82, 84, 0, 18, 52, 86]
    for isStateful in [true, false] {
        var exchange = DHCPv6Exchange(duid: duid, identity: [0, 0, 0, 2], isStateful: isStateful, at: 0)
        var now = 0.0
        for _ in 0..<4 {
            guard let packet = exchange.packet(at: now) else { break }
            precondition(packet.count >= 4 && packet.count < 1200)
            // As the server of this very transaction.
            let answer = bytes.prefix(1) + packet[1..<4] + bytes.dropFirst()
            if exchange.take(Array(answer), at: now) {
                for name in exchange.lease?.searchDomains ?? [] {
                    precondition(name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "a name that breaks a line")
                }
            }
            now += 40
        }
    }
    return 0
}
