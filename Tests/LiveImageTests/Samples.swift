// Archives and fixtures for the tests of this target.

import Glibc
import Testing

/// One member as newc has it: header, name, padding, data, padding.
func newcMember(_ name: String, _ data: [UInt8], mode: UInt32 = 0o100644) -> [UInt8] {
    func field(_ value: Int) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
    var bytes = Array("070701".utf8)
    for value in [1, Int(mode), 0, 0, 1, 7, data.count, 0, 0, 0, 0, name.utf8.count + 1, 0] {
        bytes += field(value).utf8
    }
    bytes += name.utf8
    bytes.append(0)
    pad(&bytes)
    bytes += data
    pad(&bytes)
    return bytes
}

private func pad(_ bytes: inout [UInt8]) { while bytes.count % 4 != 0 { bytes.append(0) } }

func newcArchive(_ members: [(name: String, data: [UInt8])]) -> [UInt8] {
    members.flatMap { newcMember($0.name, $0.data) } + newcMember("TRAILER!!!", [], mode: 0)
}

/// Bytes that differ from place to place.
func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

/// A file that Tests/Harness/root_images.py made, which `make test-unit` runs first.
func rootImageFixture(_ name: String) throws -> [UInt8] {
    let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let file = try #require(fopen("/\(folder)/out/root-images/\(name)", "r"), "no \(name); `make test-unit` makes it")
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
    return bytes
}

/// Calls `body` with each slice of `bytes` in turn, `size` bytes long.
func inSlices(of size: Int, _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer, Bool) throws -> Void) rethrows {
    try bytes.withUnsafeBytes { all in
        var start = 0
        repeat {
            let end = min(start + size, all.count)
            try body(UnsafeRawBufferPointer(rebasing: all[start..<end]), end == all.count)
            start = end
        } while start < all.count
    }
}
