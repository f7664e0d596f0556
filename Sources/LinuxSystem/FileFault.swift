// A failure that knows which file it is about: an errno by itself tells nobody where to look.

import Glibc
import Reporting
import SystemPackage

/// A file that something could not be done to.
public struct FileFault: Error, Equatable, CustomStringConvertible, Advising {
    /// A verb: `read`.
    public var act: String
    public var path: FilePath
    public var reason: Errno

    public init(_ act: String, _ path: FilePath, _ reason: Errno) {
        self.act = act
        self.path = path
        self.reason = reason
    }

    /// What the last call of the C library has left in `errno`.
    static func last(_ act: String, _ path: FilePath) -> FileFault { FileFault(act, path, Errno(rawValue: errno)) }

    public var description: String { "cannot \(act) \(path): \(reason)" }

    public var advice: [String] {
        switch reason {
        case .permissionDenied, .notPermitted: ["Run it as a user who may, or as root."]
        case .noSpace: ["Make room there, or choose another place."]
        case .noSuchFileOrDirectory: ["Check how it is spelled."]
        default: []
        }
    }
}

extension Files {
    /// Runs `body`, which does something to a file; its failure leaves here with the file's name.
    ///
    /// - Parameter act: A verb: `read`.
    public static func naming<Result>(
        _ act: String, _ path: FilePath, _ body: () throws(Errno) -> Result
    ) throws(FileFault) -> Result {
        do { return try body() } catch { throw FileFault(act, path, error) }
    }
}
