// An error that names its file, because an errno alone does not tell where to look.

import Glibc
import Reporting
import SystemPackage

/// A file and what could not be done to it.
public struct FileFault: Error, Equatable, CustomStringConvertible, Advising {
    /// What was tried, as a verb: `read`.
    public var act: String
    /// The file.
    public var path: FilePath
    /// The errno of the failed call.
    public var reason: Errno
    /// Whether the file could be opened, and no loop device be attached to it.
    public internal(set) var isOfLoopDevice = false

    /// Creates an error: what was tried, on which file, and the errno.
    public init(_ act: String, _ path: FilePath, _ reason: Errno) {
        self.act = act
        self.path = path
        self.reason = reason
    }

    /// What the last call of the C library has left in `errno`.
    static func last(_ act: String, _ path: FilePath) -> FileFault { FileFault(act, path, Errno(rawValue: errno)) }

    /// What went wrong, for a message: `cannot read /etc/hosts: No such file or directory`.
    public var description: String { "cannot \(act) \(path): \(reason)" }

    /// What the operator can do.
    public var advice: [String] {
        switch reason {
        case .noSpace: ["Make room there, or choose another place."]
        default: []
        }
    }

    /// What whoever typed the path can do besides; in a boot nobody has.
    private var adviceAtAShell: [String] {
        switch reason {
        case .permissionDenied, .notPermitted: ["Run it as a user who may, or as root."]
        case .noSuchFileOrDirectory: ["Check how it is spelled."]
        default: []
        }
    }

    /// The advice of a failure for whoever typed a command.
    public static func adviceAtAShell(about error: any Error) -> [String] {
        let cause = (error as? BootFailure)?.cause ?? error
        return ((cause as? any Advising)?.advice ?? []) + ((cause as? FileFault)?.adviceAtAShell ?? [])
    }
}

extension Files {
    /// Runs `body`; its failure gets the name of the file.
    ///
    /// - Parameters:
    ///   - act: What `body` does, as a verb: `read`.
    ///   - path: The file.
    ///   - body: What is done to the file.
    /// - Returns: What `body` returns.
    /// - Throws: ``FileFault`` with the errno that `body` threw.
    public static func naming<Result>(
        _ act: String, _ path: FilePath, _ body: () throws(Errno) -> Result
    ) throws(FileFault) -> Result {
        do { return try body() } catch { throw FileFault(act, path, error) }
    }
}
