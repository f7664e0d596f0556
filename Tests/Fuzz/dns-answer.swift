// Any bytes as a DNS server's answer.

@testable import BootArguments
@testable import Encoding
@testable import NetworkPlanning

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    guard bytes.count >= 2 else { return 0 }
    let id = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
    for address in DNSMessage.addresses(bytes, id: id) ?? [] { _ = address.description }
    let name = String(decoding: bytes, as: UTF8.self)
    if let query = DNSMessage.query(name, .v6, id: id) { precondition(query.count <= 12 + 255 + 2 + 4) }
    if let url = try? SourceURL(parsing: name) { _ = NetworkTarget(url: url, proxy: nil) }
    return 0
}
