// Any bytes as what a live ISO tells of its areas: igninfo.json, kargs.json, the header in the system area, the areas.

@testable import BootMedia

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let parts = UnsafeBufferPointer(start: data, count: count)
        .split(separator: 0xfe, maxSplits: 3, omittingEmptySubsequences: false).map { Array($0) }
    guard parts.count == 4 else { return 0 }
    let image = liveISO(initrd: parts[0], arguments: parts[1], header: parts[2], area: parts[3])
    do {
        var iso = try LiveISO(reading: ByteSource(image))
        _ = try? iso.features
        guard iso.hasArguments else { return 0 }
        let arguments = try iso.arguments
        precondition(!arguments.areas.isEmpty)
        // What can be set can be read back, and nothing but the areas changes.
        try iso.setArguments("a=b")
        var changed = image
        for patch in try iso.patches() {
            precondition(patch.end <= UInt64(image.count))
            precondition(arguments.areas.contains { $0.region.offset == patch.offset })
            changed.replaceSubrange(Int(patch.offset)..<Int(patch.end), with: patch.new)
        }
        let again = try LiveISO(reading: ByteSource(changed)).arguments.arguments
        precondition(again == "a=b", "not read back")
    } catch {
        _ = "\(error)"
    }
    return 0
}

/// Sector 18: the root; 19: COREOS; 20: IMAGES; 21: igninfo; 22: kargs; 23 and 24: ignition.img.
private let descriptors: [UInt8] = {
    var image = [UInt8](repeating: 0, count: 25 * 2048)
    func put(_ bytes: [UInt8], at offset: Int) { image.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
    put([1] + Array("CD001".utf8) + [1], at: 16 * 2048)
    put([25, 0, 0, 0], at: 16 * 2048 + 80)
    put(record("\0", 18, 2048, isFolder: true), at: 16 * 2048 + 156)
    put([255] + Array("CD001".utf8) + [1], at: 17 * 2048)
    put(record("COREOS", 19, 2048, isFolder: true) + record("IMAGES", 20, 2048, isFolder: true), at: 18 * 2048)
    put(record("IGNITION.IMG;1", 23, 4096, isFolder: false), at: 20 * 2048)
    return image
}()

private func record(_ name: String, _ sector: Int, _ length: Int, isFolder: Bool) -> [UInt8] {
    var record = [UInt8](repeating: 0, count: 33) + Array(name.utf8)
    record[0] = UInt8(record.count)
    record[2] = UInt8(sector)
    (record[10], record[11]) = (UInt8(length & 255), UInt8(length >> 8))
    record[25] = isFolder ? 2 : 0
    record[32] = UInt8(name.utf8.count)
    return record
}

private func liveISO(initrd: [UInt8], arguments: [UInt8], header: [UInt8], area: [UInt8]) -> [UInt8] {
    var files: [UInt8] = []
    if !initrd.isEmpty { files += record("IGNINFO.JSO;1", 21, min(initrd.count, 2048), isFolder: false) }
    if !arguments.isEmpty { files += record("KARGS.JSO;1", 22, min(arguments.count, 2048), isFolder: false) }
    var image = descriptors
    image.withUnsafeMutableBytes { room in
        func put(_ bytes: ArraySlice<UInt8>, at offset: Int) {
            UnsafeMutableRawBufferPointer(rebasing: room[offset...]).copyBytes(from: bytes)
        }
        put(header.prefix(72), at: 32672)
        put(files[...], at: 19 * 2048)
        put(initrd.prefix(2048), at: 21 * 2048)
        put(arguments.prefix(2048), at: 22 * 2048)
        put(area.prefix(4096), at: 23 * 2048)
    }
    return image
}
