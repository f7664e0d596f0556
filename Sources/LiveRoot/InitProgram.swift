// Whether an init can run at all, looked at while the initramfs is still whole: once PID 1 has emptied it, a program of
// another architecture or without its loader leaves nothing to go back to.

import CLinux
import Encoding
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// Why a program cannot run in a root.
///
/// Only what is certain counts: a program that cannot be looked at is left to the kernel.
public enum ProgramObstacle: Equatable, Sendable, CustomStringConvertible {
    /// Neither an ELF file nor a script.
    case notAProgram
    /// An ELF file for another architecture.
    case foreign(String)
    /// Its loader, or the interpreter of a script, is not there.
    case noInterpreter(String)

    /// What is wrong, as a phrase after the program's name.
    public var description: String {
        switch self {
        case .notAProgram: "it is neither a program nor a script"
        case .foreign(let machine): "it is for \(machine), and this machine is \(ELFHead.thisMachine)"
        case .noInterpreter(let path): "it needs \(path), which is not there"
        }
    }

    /// The obstacle to a program in a root, and to the interpreter that it names; `nil` where none is seen.
    init?(to program: String, inside root: FilePath) {
        var program = program
        // The kernel follows interpreters no deeper.
        for _ in 0..<5 {
            guard let file = OpenProgram(program, inside: root), let head = try? file.head else { return nil }
            let interpreter: String?
            if head.isEmpty {
                self = .notAProgram
                return
            } else if head.starts(with: Array("#!".utf8)) {
                interpreter = Self.interpreter(ofScript: head)
            } else if let elf = ELFHead(head) {
                if let machine = elf.foreignMachine {
                    self = .foreign(machine)
                    return
                }
                interpreter = elf.interpreter { try? file.bytes(at: $0, count: $1) }
            } else {
                self = .notAProgram
                return
            }
            guard let interpreter else { return nil }
            guard Files.isExecutable(interpreter, inside: root) else {
                self = .noInterpreter(interpreter)
                return
            }
            program = interpreter
        }
        return nil
    }

    private static func interpreter(ofScript head: [UInt8]) -> String? {
        let line = head.dropFirst(2).prefix { $0 != UInt8(ascii: "\n") }
        return line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }.first
            .map { String(decoding: $0, as: UTF8.self) }
    }
}

/// A file that is closed when the value goes away.
private struct OpenProgram: ~Copyable {
    private let descriptor: Int32

    init?(_ path: String, inside root: FilePath) {
        descriptor = firstlight_open_inside(root.string, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if descriptor < 0 { return nil }
    }

    deinit { close(descriptor) }

    var head: [UInt8] { get throws(Errno) { try readBytes(descriptor, at: 0, count: 4096) } }

    func bytes(at offset: UInt64, count: Int) throws(Errno) -> [UInt8] {
        try readBytes(descriptor, at: offset, count: count)
    }
}

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
