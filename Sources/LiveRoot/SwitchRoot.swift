// The last step of the initramfs: PID 1 (supervisor.c) frees or moves everything, and the real root's init
// replaces it.

import CLinux
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// The switch to a real root and its init.
public struct SwitchRoot: Equatable, Sendable {
    /// The real root, assembled.
    public var root: FilePath
    /// The real root's init, as a path inside it.
    public var program: String
    /// The arguments after the program's name.
    public var arguments: [String]

    /// Where an init is looked for if the kernel command line names none.
    ///
    /// The order is the kernel's, after systemd's own paths.
    public static let candidates = [
        "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/sbin/init", "/etc/init", "/bin/init", "/bin/sh",
    ]

    /// Why the root cannot be switched.
    public enum Failure: Error, CustomStringConvertible, Advising {
        case noInit([String])
        case cannotRun(String, ProgramObstacle)
        case notAnInitramfs
        case refused(step: String, Errno)

        /// What happened, for a message.
        public var description: String {
            switch self {
            case .noInit(let tried): "the root filesystem has no init; looked for \(tried.joined(separator: ", "))"
            case .cannotRun(let program, let obstacle): "the root filesystem's \(program) cannot run: \(obstacle)"
            case .notAnInitramfs: "the present root is not in RAM; nothing in it is deleted"
            case .refused(let step, let reason): "cannot \(step): \(reason)"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .noInit: ["Name it with init=PATH, or check that the image is a whole root filesystem."]
            case .notAnInitramfs: ["Only an initramfs boots with firstlight as PID 1."]
            case .cannotRun(_, .foreign): ["Use a root image for this machine's architecture."]
            case .cannotRun: ["Name another with init=PATH, or check that the image is a whole root filesystem."]
            case .refused: ["This is a defect of Firstlight: please report it, with the log."]
            }
        }
    }

    /// Finds the init to run.
    ///
    /// - Parameters:
    ///   - root: The real root.
    ///   - wanted: The value of `init=` on the kernel command line, if any.
    ///   - arguments: The arguments of the init.
    /// - Throws: ``Failure/noInit(_:)`` if no candidate is executable, ``Failure/cannotRun(_:_:)`` if the first that is
    ///   could not be run by this machine.
    public init(root: FilePath, wanted: String?, arguments: [String]) throws(Failure) {
        let tried = wanted.map { [$0] } ?? Self.candidates
        guard let program = tried.first(where: { Files.isExecutable($0, inside: root) }) else {
            throw .noInit(tried)
        }
        if let obstacle = ProgramObstacle(to: program, inside: root) { throw .cannotRun(program, obstacle) }
        self.root = root
        self.program = program
        self.arguments = arguments
    }

    /// Asks PID 1 to empty the initramfs, to make `root` the root and to run its init; then ends this process.
    ///
    /// It returns only by throwing.
    ///
    /// - Parameter medium: The device that the root runs from: whoever is at a console is told when it is gone. `nil`
    ///   where all of the root is in RAM.
    /// - Throws: ``Failure/notAnInitramfs`` and ``Failure/refused(step:_:)``.
    public func request(watching medium: String?) throws(Failure) -> Never {
        guard Files.isInRAM("/") else { throw .notAnInitramfs }
        let words: [UInt8] = ([root.string, program] + arguments).flatMap { $0.utf8 + [0] }
        let result = words.withUnsafeBytes { bytes in
            firstlight_request_hand_over(
                bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, medium ?? "")
        }
        guard result == 0 else { throw .refused(step: "ask PID 1 to hand over", Errno(rawValue: -result)) }
        exit(0)
    }
}
