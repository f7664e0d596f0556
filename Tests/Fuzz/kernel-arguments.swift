// Any bytes as a kernel command line.

@testable import BootArguments

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let arguments = BootArguments(bytes: UnsafeBufferPointer(start: data, count: count))
    precondition(arguments.initArguments.count <= count, "more arguments for init than bytes")
    return 0
}
