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
