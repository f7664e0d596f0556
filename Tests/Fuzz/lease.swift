// Any bytes as the environment of udhcpc's hook: variables with NULs between them.

@testable import BootArguments
@testable import NetworkPlanning

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let entries = UnsafeBufferPointer(start: data, count: count).split(separator: 0)
    var environment: [String: String] = [:]
    for entry in entries {
        let text = String(decoding: entry, as: UTF8.self)
        guard let equals = text.firstIndex(of: "=") else { continue }
        environment[String(text[..<equals])] = String(text[text.index(after: equals)...])
    }
    guard let lease = NetworkLease(environment: environment) else { return 0 }
    precondition((0...lease.address.address.bits).contains(lease.address.prefix))
    precondition((576...65_535).contains(lease.mtu ?? 1500))
    for name in lease.searchDomains + [lease.hostname].compactMap({ $0 }) {
        precondition(name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "a name that breaks a line")
    }
    for route in lease.routes {
        precondition((0...route.destination.address.bits).contains(route.destination.prefix))
        precondition(route.destination.network.contains(route.destination.address))
    }
    _ = lease.description
    return 0
}
