// Any text as a URL, and lines of it as exceptions from a proxy; as the name of an object in a cloud's storage.
// with: Sources/Fetching/ProxyRules.swift Sources/Fetching/StorageObjects.swift

@testable import Encoding
@testable import IgnitionConfig

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let text = String(decoding: UnsafeBufferPointer(start: data, count: count), as: UTF8.self)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard let url = try? SourceURL(parsing: lines.first ?? "") else { return 0 }
    let exceptions = Array(lines.dropFirst())
    let server = try? SourceURL(parsing: "http://proxy")
    let rules = ProxyRules(http: server, https: server, exceptions: exceptions)
    let proxy = rules.proxy(for: url)
    precondition(proxy == nil || proxy == server)
    if exceptions.contains("*") { precondition(proxy == nil, "everything is an exception, and this is none") }
    // One more exception never leads through the proxy.
    if proxy == nil {
        var more = rules
        more.exceptions.append("192.0.2.0/24")
        precondition(more.proxy(for: url) == nil)
    }
    if let object = S3Object(url, instanceRegion: nil) {
        precondition(!object.bucket.isEmpty && !object.key.isEmpty)
        let request = object.request(in: object.lookupRegion)
        precondition(request.path.hasPrefix("/") && !request.path.contains(" "))
        _ = try? object.lookupURL
    }
    if let place = googleStorageURL(url) {
        precondition(place.text.hasPrefix("https://storage.googleapis.com/storage/v1/b/"))
    }
    return 0
}
