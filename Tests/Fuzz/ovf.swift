// Any bytes as the OVF environment of a virtual machine.
// with: Sources/Platforms/OVFEnvironment.swift

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let document = Array(UnsafeBufferPointer(start: data, count: count))
    for key in ["guestinfo.ignition.config.data", "a", ""] {
        guard let value = ovfProperty(key, in: document) else { continue }
        // A reference is never shorter than the character that it stands for; a broken byte becomes three.
        precondition(value.count <= 3 * document.count, "more than the document holds")
    }
    return 0
}
