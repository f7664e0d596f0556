// Any bytes as a kernel command line.

@testable import BootArguments

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let arguments = BootArguments(bytes: UnsafeBufferPointer(start: data, count: count))
    precondition(arguments.initArguments.count <= count, "more arguments for init than bytes")
    for (_, url) in arguments.machineURLs {
        let filled = (try? MachineURL(url))?.filled { _ in "" }
        precondition(filled.map { $0.utf8.count <= url.utf8.count } ?? true, "a URL grew of nothing")
    }
    return 0
}
