// Any text as a URL, and as a data URL: what is decoded can be encoded and decoded again.

@testable import Encoding

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let text = String(decoding: UnsafeBufferPointer(start: data, count: count), as: UTF8.self)
    if let url = try? SourceURL(parsing: text) {
        let place = url.host + (url.port ?? "")
        precondition(!place.contains("@"), "user or password are in what goes to the log")
        precondition(!url.description.isEmpty)
    }
    guard let url = try? DataURL(parsing: text) else { return 0 }
    let digits = Array("0123456789ABCDEF".utf8)
    let encoded = url.bytes.flatMap { [UInt8(ascii: "%"), digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    let again = try? DataURL(parsing: "data:\(url.mediaType)," + String(decoding: encoded, as: UTF8.self))
    precondition(again == url, "encoded and decoded again it is other bytes")
    return 0
}
