// Why the target could not be read or written.

import Reporting
import SystemPackage

/// Why the target could not be read or written.
public enum TargetFault: Error, Equatable, CustomStringConvertible, Advising {
    /// `path` is absolute in the target.
    case cannot(String, path: String, Errno)
    case noSuchUser(String)
    case noSuchGroup(String)
    case noHome(user: String, path: String)
    case holdsMount(String)
    case noResult(String)
    case noKey(volume: String)
    /// `by` is the number of the process that holds the lock.
    case locked(String, by: String)

    /// One sentence without its full stop.
    public var description: String {
        switch self {
        case .cannot(let act, let path, let reason): "cannot \(act) \(path): \(reason)"
        case .noSuchUser(let name): "the target has no user \(name)"
        case .noSuchGroup(let name): "the target has no group \(name)"
        case .noHome(let user, let path): "the home directory of \(user), \(path), is not there"
        case .holdsMount(let path): "\(path) is on another filesystem; it is not removed"
        case .noKey(let volume): "there is no key of the LUKS volume \(volume) to leave in the target"
        case .noResult(let path): "\(path) is there and is not JSON"
        case .locked(let path, let process): "the accounts are locked: \(path) is held by process \(process)"
        }
    }

    /// What the operator can do; empty where there is nothing to suggest.
    public var advice: [String] {
        switch self {
        case .cannot(_, _, .noSpace): ["Make room on the target's filesystem."]
        case .cannot(_, _, .readOnlyFileSystem): ["The target is mounted read-only; it must be writable here."]
        case .noHome(let user, _):
            ["Leave out \"noCreateHome\" of \(user), or its SSH keys."]
        case .locked(let path, _): ["If no program changes accounts, an earlier one was stopped: remove that file."]
        default: []
        }
    }
}
