// The part of an ELF file that tells which machine and which loader a program needs.

import Encoding

/// The start of an ELF file, as far as it says which machine and which loader it needs.
///
/// - SeeAlso: elf(5), "ELF header" and "Program header".
struct ELFHead {
    #if arch(x86_64)
        static let thisMachine = "x86-64"
        /// i386 runs on it, too.
        private static let own: Set<UInt16> = [62, 3]
    #elseif arch(arm64)
        static let thisMachine = "64-bit Arm"
        /// Some of these processors run 32-bit Arm, too.
        private static let own: Set<UInt16> = [183, 40]
    #endif
    private static let names: [UInt16: String] = [
        3: "32-bit x86", 8: "MIPS", 20: "PowerPC", 21: "64-bit PowerPC", 22: "s390x", 40: "32-bit Arm", 62: "x86-64",
        183: "64-bit Arm", 243: "RISC-V", 258: "LoongArch",
    ]

    private let fields: ByteFields
    private var is64: Bool { fields[4] == 2 }

    init?(_ bytes: [UInt8]) {
        guard bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else { return nil }
        fields = ByteFields(bytes)
    }

    /// Another machine's name; `nil` for a program of this one.
    var foreignMachine: String? {
        let isBigEndian = fields[5] == 2
        let machine = isBigEndian ? fields.little16(18).byteSwapped : fields.little16(18)
        if !isBigEndian, Self.own.contains(machine) { return nil }
        return Self.names[machine] ?? "another architecture"
    }

    /// The loader (PT_INTERP); `nil` for a static program, and for one that is not as they are made.
    func interpreter(_ read: (_ offset: UInt64, _ count: Int) -> [UInt8]?) -> String? {
        let size = Int(fields.little16(is64 ? 54 : 42))
        let length = size * Int(fields.little16(is64 ? 56 : 44))
        guard let table = Self.read(read, number(fields, is64 ? 32 : 28), length).map(ByteFields.init) else {
            return nil
        }
        for at in stride(from: 0, to: length, by: max(size, 1)) where table.little32(at) == 3 {
            let end = number(table, at + (is64 ? 32 : 16))
            return Self.read(read, number(table, at + (is64 ? 8 : 4)), Int(clamping: end))
                .map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        return nil
    }

    /// Bytes of a place that a real program would have them at.
    private static func read(
        _ read: (UInt64, Int) -> [UInt8]?, _ offset: UInt64, _ count: Int
    ) -> [UInt8]? {
        offset < 1 << 40 && (1...64 << 10).contains(count) ? read(offset, count) : nil
    }

    private func number(_ fields: ByteFields, _ offset: Int) -> UInt64 {
        is64 ? fields.little64(offset) : UInt64(fields.little32(offset))
    }
}
