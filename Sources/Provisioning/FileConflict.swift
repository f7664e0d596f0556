// Where the config and the target root contradict each other: the reasons to write nothing.

import IgnitionConfig
import Reporting

/// One thing that is in the way of the config, or that it names and that is not there.
public struct FileConflict: Equatable, Sendable {
    public enum Problem: Equatable, Sendable {
        case otherContent
        case inTheWay(TargetPlace.Found, wanted: String)
        case samePlace(as: String, resolved: String)
        case unreachable(TargetPlace.Found)
        case holdsMounts
        case unknownUser(String)
        case unknownGroup(String)
        case noLinkTarget(String)
        case linkToFolder(String)
    }

    public var path: String
    public var problem: Problem
    public var origin: IgnitionConfig.Origin

    public init(_ path: String, _ problem: Problem, _ origin: IgnitionConfig.Origin) {
        self.path = path
        self.problem = problem
        self.origin = origin
    }
}

extension FileConflict: CustomStringConvertible {
    /// Without the place in the config.
    public var description: String {
        switch problem {
        case .otherContent: "\(path) is there with other content, and the config does not overwrite it"
        case .inTheWay(let found, let wanted):
            "\(path) is \(found.noun); the config wants \(wanted) and does not overwrite"
        case .samePlace(let other, let resolved): "\(path) and \(other) are the same place: \(resolved)"
        case .unreachable(let found): "\(path) is \(found.noun)"
        case .holdsMounts: "\(path) holds a mounted filesystem, which overwriting it would empty"
        case .unknownUser(let name): "\(path) is to belong to \(name), but there is no such user"
        case .unknownGroup(let name): "\(path) is to belong to the group \(name), but there is no such group"
        case .noLinkTarget(let target): "\(path) is to be a hard link to \(target), which is not there"
        case .linkToFolder(let target): "\(path) is to be a hard link to \(target), which is a directory"
        }
    }

    var advice: String? {
        switch problem {
        case .otherContent, .inTheWay: "To replace \(path): \"overwrite\": true"
        case .holdsMounts: "To keep it: no \"overwrite\" for \(path)"
        case .unknownUser(let name): "Name the owner by id, or create \(name) in passwd.users."
        case .unknownGroup(let name): "Name the group by id, or create \(name) in passwd.groups."
        case .samePlace, .unreachable, .noLinkTarget, .linkToFolder: nil
        }
    }
}

/// Every conflict of a config with the target root. Nothing was written.
public struct FileConflicts: Error, Equatable, Advising {
    /// At least one.
    public var conflicts: [FileConflict]

    public init(_ conflicts: [FileConflict]) { self.conflicts = conflicts }
}

extension FileConflicts: CustomStringConvertible {
    public var description: String {
        let lines = conflicts.prefix(10).map { conflict in
            let place = conflict.origin.description
            return "\(conflict)" + (place.isEmpty ? "" : " (\(place))")
        }
        let more = conflicts.count - lines.count
        return (lines + (more > 0 ? ["and \(counted(more, "more conflict"))"] : [])).joined(separator: "; ")
    }

    public var advice: [String] {
        ["No file of the target was changed."] + conflicts.compactMap(\.advice).prefix(5)
    }
}
