// Any bytes as a kernel command line.

@testable import BootArguments

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let arguments = BootArguments(bytes: UnsafeBufferPointer(start: data, count: count))
    precondition(arguments.initArguments.count <= count, "more arguments for init than bytes")
    for (_, url) in arguments.machineURLs {
        guard url.fault == nil else { continue }
        let filled = url.filled { _ in "" }
        precondition(filled.text.utf8.count <= url.asWritten.text.utf8.count, "a URL grew of nothing")
        precondition(url.values.isEmpty || filled != url.asWritten, "what was filled is not a URL")
    }
    return 0
}
