import Encoding
import Testing

@testable import DiskFormats

@Suite struct ArrayMembers {
    @Test("a superblock that was tampered with is none")
    func superblock() {
        var bytes = [UInt8](repeating: 0, count: 8192)
        func put(_ value: UInt64, _ count: Int, at index: Int) {
            for byte in 0..<count {
                bytes[4096 + index + byte] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(byte)))
            }
        }
        put(0xa92b_4efc, 4, at: 0)
        put(1, 4, at: 4)
        bytes.replaceSubrange(4096 + 32..<4096 + 40, with: "any:data".utf8)
        put(5, 4, at: 72)
        put(128, 4, at: 88)
        put(3, 4, at: 92)
        put(8, 8, at: 128)
        put(4, 8, at: 136)
        put(1, 4, at: 160)
        put(9, 8, at: 200)
        put(3, 4, at: 220)
        for (role, at) in [(0, 256), (2, 258), (0xffff, 260)] { put(UInt64(role), 2, at: at) }
        let read = { (version: String) in
            ArrayMember.read(version: version, size: 8192) { position, count in
                Int(position) + count <= bytes.count ? Array(bytes[Int(position)..<Int(position) + count]) : nil
            }
        }
        #expect(read("1.2") == nil)
        var sum: UInt64 = 0
        for index in stride(from: 0, to: 260, by: 4) { sum += UInt64(ByteFields(bytes).little32(4096 + index)) }
        sum += UInt64(ByteFields(bytes).little16(4096 + 260))
        put((sum & 0xffff_ffff) + (sum >> 32), 4, at: 216)
        let member = read("1.2")
        #expect(member?.name == "any:data" && member?.level == 5 && member?.devices == 3)
        #expect(
            member?.role == .active(2) && member?.events == 9 && member?.chunk == 65536 && member?.dataOffset == 4096)
        #expect(read("1.1") == nil && read("1.0") == nil && read("0.90.0") == nil)
        bytes[4096 + 100] ^= 1
        #expect(read("1.2") == nil)
    }
}
