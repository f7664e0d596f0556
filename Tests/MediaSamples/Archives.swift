// cpio archives for tests.

/// A member of a newc archive: header, name, data, each padded.
public func newc(
    _ name: String, _ data: [UInt8] = [], mode: UInt32 = 0o100644, namePadding: Int = 0
) -> [UInt8] {
    let name = Array(name.utf8) + [UInt8](repeating: 0, count: 1 + namePadding)
    var bytes = Array("070701".utf8)
    for field in [1, mode, 0, 0, 1, 0, UInt32(data.count), 0, 0, 0, 0, UInt32(name.count), 0] {
        let digits = String(field, radix: 16)
        bytes += Array((String(repeating: "0", count: 8 - digits.count) + digits).utf8)
    }
    bytes += name
    bytes += [UInt8](repeating: 0, count: -bytes.count & 3)
    return bytes + data + [UInt8](repeating: 0, count: -data.count & 3)
}

/// The member that ends an archive.
public let newcTrailer = newc("TRAILER!!!", mode: 0)
