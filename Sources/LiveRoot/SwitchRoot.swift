// The last step of the initramfs: PID 1 (supervisor.c) frees or moves everything, and the real root's init
// takes its place.

import CLinux
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

public struct SwitchRoot: Equatable, Sendable {
    /// The real root, assembled.
    public var root: FilePath
    /// The real root's init, as a path inside it.
    public var program: String
    /// What follows the program's own name.
    public var arguments: [String]

    /// Where an init is looked for when the kernel command line names none; the kernel's own order,
    /// systemd's place first.
    public static let candidates = [
        "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/sbin/init", "/etc/init", "/bin/init", "/bin/sh",
    ]

    public enum Failure: Error, CustomStringConvertible, Advising {
        case noInit([String])
        case notAnInitramfs
        case refused(step: String, Errno)

        public var description: String {
            switch self {
            case .noInit(let tried): "the root filesystem has no init; looked for \(tried.joined(separator: ", "))"
            case .notAnInitramfs: "the present root is not in RAM; it is not going to be emptied"
            case .refused(let step, let reason): "cannot \(step): \(reason)"
            }
        }

        public var advice: [String] {
            switch self {
            case .noInit: ["Name it with init=PATH, or check that the image is a whole root filesystem."]
            case .notAnInitramfs: ["Only an initramfs boots with firstlight as PID 1."]
            case .refused: []
            }
        }
    }

    /// Finds the init to run.
    ///
    /// - Parameter wanted: `init=` of the kernel command line, where given.
    public init(root: FilePath, wanted: String?, arguments: [String]) throws(Failure) {
        let tried = wanted.map { [$0] } ?? Self.candidates
        guard let program = tried.first(where: { Files.isExecutable($0, inside: root) }) else {
            throw .noInit(tried)
        }
        self.root = root
        self.program = program
        self.arguments = arguments
    }

    /// Asks PID 1 to empty the initramfs, to make `root` the root and to run its init, and ends this process for it.
    /// Returns only by throwing.
    public func request() throws(Failure) -> Never {
        guard Files.isInRAM("/") else { throw .notAnInitramfs }
        let words: [UInt8] = ([root.string, program] + arguments).flatMap { $0.utf8 + [0] }
        let result = words.withUnsafeBytes { bytes in
            firstlight_request_hand_over(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        guard result == 0 else { throw .refused(step: "ask PID 1 to hand over", Errno(rawValue: -result)) }
        exit(0)
    }
}
