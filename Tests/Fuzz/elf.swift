// Any bytes as an ELF file: what it needs, and its sections. As a zstd frame: where it ends.
// with: Sources/InitramfsImage/ELFFile.swift Sources/InitramfsImage/ZstandardFrame.swift Sources/LiveRoot/ELFHead.swift

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    if let file = try? ELFFile(bytes) { precondition(file.needed.count <= bytes.count) }
    if let head = ELFHead(Array(bytes.prefix(4096))) {
        _ = head.foreignMachine
        _ = head.interpreter { offset, count in
            guard offset <= bytes.count else { return nil }
            return Array(bytes.dropFirst(Int(offset)).prefix(count))
        }
    }
    for name in [".modinfo", ""] { _ = try? ELFFile.section(name, of: bytes) }
    for given: ArraySlice<UInt8> in [bytes[...], (ZstandardFrame.magic + bytes)[...]] {
        guard let length = ZstandardFrame.length(given) else { continue }
        precondition(length > 5 && length <= given.count, "a frame that is longer than what holds it")
    }
    return 0
}
