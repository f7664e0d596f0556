// How a program ended: by itself, or by a signal.

import Glibc

/// How a program ended; a number is the exit status of one that ended by itself.
public enum Ended: Equatable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
    case status(Int32)
    case signal(Int32)

    /// An exit status.
    public init(integerLiteral status: Int32) { self = .status(status) }

    /// Reads what `waitpid` has left.
    init(waited status: Int32) {
        let signal = status & 0x7f
        self = signal == 0 ? .status((status >> 8) & 0xff) : .signal(signal)
    }

    /// The number that a shell has in `$?`.
    public var shellStatus: Int32 {
        switch self {
        case .status(let status): status
        case .signal(let signal): 128 + signal
        }
    }

    /// As a phrase after the program's name.
    public var description: String {
        switch self {
        case .status(let status): "failed (exit status \(status))"
        case .signal(let signal): "was killed by \(Self.name(ofSignal: signal))"
        }
    }

    /// A signal as people write it: `SIGKILL`.
    public static func name(ofSignal signal: Int32) -> String { "SIG\(signalNames[signal] ?? "\(signal)")" }

    /// The signals that end programs, by number, without `SIG`.
    public static let signalNames: [Int32: String] = [
        SIGHUP: "HUP", SIGINT: "INT", SIGQUIT: "QUIT", SIGILL: "ILL", SIGTRAP: "TRAP", SIGABRT: "ABRT", SIGBUS: "BUS",
        SIGFPE: "FPE", SIGKILL: "KILL", SIGSEGV: "SEGV", SIGPIPE: "PIPE", SIGALRM: "ALRM", SIGTERM: "TERM",
        SIGSYS: "SYS", SIGXCPU: "XCPU", SIGXFSZ: "XFSZ",
    ]
}
