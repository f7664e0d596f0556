// Any bytes as the headers of a UEFI program; sections are added, and are read back.
// with: Sources/ImageMaking/PEFile.swift

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 2 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: data + 2, count: count - 2))
    _ = Result { try PEFile(head: bytes, size: UInt64(data[0]) << UInt64(data[1] & 63)) }
    do {
        let before = try PEFile(head: bytes, size: UInt64(bytes.count))
        let additions = [
            PEFile.Addition(name: ".osrel", size: UInt64(data[0])),
            PEFile.Addition(name: ".longname", size: UInt64(data[1]) << 20),
        ]
        let (head, offsets) = try PEFile.adding(additions, to: bytes)
        precondition(head.count == bytes.count && offsets.count == additions.count)
        precondition(offsets.allSatisfy { $0 >= UInt64(bytes.count) && $0 % UInt64(before.fileAlignment) == 0 })
        let whole = UInt64(1) << 33
        guard let after = try? PEFile(head: head, size: whole) else { preconditionFailure("not read back") }
        precondition(after.sections.dropLast(2) == before.sections[...], "another section")
        precondition(after.sections.suffix(2).map(\.name) == [".osrel", ".longnam"])
        precondition(after.sections.suffix(2).map { UInt64($0.virtualSize) } == additions.map(\.size))
        precondition(after.sections.suffix(2).map { UInt64($0.offset) } == offsets)
    } catch {
        _ = "\(error)"
    }
    return 0
}
