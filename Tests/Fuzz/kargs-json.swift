// Any bytes as coreos/kargs.json: what is read is written so that the same is read again. The rest as arguments.

@testable import BootMedia

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    if let information = try? ArgumentInformation(parsing: bytes) {
        precondition(must { try ArgumentInformation(parsing: Array(information.text.utf8)) } == information)
    }
    let text = String(decoding: bytes, as: UTF8.self)
    let words = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard words.count >= 3 else { return 0 }
    let edit = KernelArgumentEdit(appending: [words[1]], deleting: [words[2]], replacing: Array(words.dropFirst(3)))
    _ = try? edit.applied(to: words[0])
    return 0
}

/// What cannot fail.
private func must<Value>(_ body: () throws -> Value) -> Value {
    do { return try body() } catch { preconditionFailure("\(error)") }
}
