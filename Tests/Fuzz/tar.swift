// Any bytes as a tar archive. Checksums of its headers are made right, and what is read lies in the archive.
// with: Sources/ImageMaking/TarReader.swift Sources/ImageMaking/TreeAttributes.swift

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 1 else { return 0 }
    var archive = Array(UnsafeBufferPointer(start: data + 1, count: count - 1))
    // One bit for each of the first blocks: whether it gets the checksum of a header.
    for block in 0..<min(8, archive.count / 512) where data[0] >> block & 1 == 1 { seal(&archive, at: block * 512) }
    let start: UInt64 = 7
    var reader = TarReader(start: start, count: UInt64(archive.count)) { offset, count in
        guard offset < UInt64(archive.count) else { return [] }
        return Array(archive[Int(offset)...].prefix(Int(clamping: count)))
    }
    do {
        var members = 0
        while let entry = try reader.next() {
            members += 1
            precondition(members <= archive.count / 512, "members out of nothing")
            precondition(entry.attributes.permissions <= 0o7777)
            if entry.kind == .file {
                precondition(entry.offset >= start && entry.offset - start <= UInt64(archive.count))
                precondition(entry.size <= UInt64(archive.count) - (entry.offset - start), "data beyond the end")
            }
            if case .device(_, let major, let minor) = entry.kind {
                precondition(major < 1 << 12 && minor < 1 << 20)
            }
        }
    } catch {
        _ = "\(error)"
    }
    return 0
}

private func seal(_ archive: inout [UInt8], at start: Int) {
    for index in start + 148..<start + 156 { archive[index] = UInt8(ascii: " ") }
    let sum = archive[start..<start + 512].reduce(0) { $0 + Int($1) }
    let digits = String(sum, radix: 8).utf8
    archive.replaceSubrange(start + 148..<start + 148 + digits.count, with: digits)
}
