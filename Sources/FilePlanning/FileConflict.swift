// The reasons to write nothing: what the config asks for contradicts what the target root holds.

import IgnitionConfig
import Reporting

/// One thing in the target root that is in the way of the config, or that the config names and that is missing.
public struct FileConflict: Equatable, Sendable {
    /// What is wrong with a path.
    public enum Problem: Equatable, Sendable {
        case otherContent(ContentDifference?)
        case inTheWay(TargetPath.Found, wanted: String)
        case samePlace(as: String, resolved: String)
        case unreachable(TargetPath.Found)
        case holdsMounts
        /// A folder where a unit or a drop-in is to be.
        case folderForUnit
        case unknownUser(String)
        case unknownGroup(String)
        case noLinkTarget(String)
        case linkToFolder(String)
        /// The group was copied from the image, and the image gives it another number now.
        case groupMoved(String, here: UInt32, image: UInt32)
        /// The home was kept, and its owner's number belongs to another user now.
        case homeOfAnother(String, number: UInt32, holder: String)
        /// The home is to move, and would take along the home of another user, at `inner`.
        case homeHolds(String, inner: String, of: String, to: String)
        /// The home is to move or to be removed, and a filesystem is mounted in it.
        case homeHoldsMounts(String)
        /// The home is to move from a filesystem of the config into the root's RAM.
        case homeLeavesFilesystem(String, to: String)
    }

    /// Absolute in the target.
    public var path: String
    /// What is wrong.
    public var problem: Problem
    /// The entry of the config.
    public var origin: IgnitionConfig.Origin

    /// Makes a conflict of a path, what is wrong with it, and the entry of the config.
    public init(_ path: String, _ problem: Problem, _ origin: IgnitionConfig.Origin) {
        self.path = path
        self.problem = problem
        self.origin = origin
    }
}

extension FileConflict: CustomStringConvertible {
    /// One sentence without its full stop and without the place in the config.
    public var description: String {
        switch problem {
        case .otherContent(let difference):
            "\(path) is there with other content, and the config does not overwrite it"
                + (difference.map { ": \($0)" } ?? "")
        case .inTheWay(let found, let wanted):
            "\(path) is \(found.noun); the config wants \(wanted) and does not overwrite it"
        case .samePlace(let other, let resolved): "\(path) and \(other) are the same place: \(resolved)"
        case .unreachable(let found): "\(path) is \(found.noun)"
        case .holdsMounts: "\(path) holds a mounted filesystem, which overwriting it would empty"
        case .folderForUnit: "\(path) is a directory; the config wants a unit there"
        case .unknownUser(let name): "\(path) is to belong to \(name), but there is no such user"
        case .unknownGroup(let name): "\(path) is to belong to the group \(name), but there is no such group"
        case .noLinkTarget(let target): "\(path) is to be a hard link to \(target), which is not there"
        case .linkToFolder(let target): "\(path) is to be a hard link to \(target), which is a directory"
        case .groupMoved(let name, let here, let image):
            "\(path) gives the group \(name) the number \(here), and the image's own list gives it \(image)"
        case .homeOfAnother(let user, let number, let holder):
            "\(path) belongs to user number \(number), which is \(holder)'s now: \(user) cannot have that number again"
        case .homeHolds(let user, let inner, let other, let new):
            "\(path), the home of \(user), is to move to \(new) and would take \(inner) along, the home of \(other)"
        case .homeHoldsMounts(let user):
            "\(path), the home of \(user), holds a mounted filesystem, which would be emptied with it"
        case .homeLeavesFilesystem(let user, let new):
            "\(path), the home of \(user), would move to \(new), into RAM, and be gone with the power"
        }
    }

    /// What the operator can do in a target at `root`; `nil` where there is nothing to suggest.
    package func advice(in root: String) -> String? {
        let inside = root == "/" ? "" : "chroot \(root) "
        return switch problem {
        case .otherContent, .inTheWay: "To replace \(path): \"overwrite\": true"
        case .holdsMounts: "To keep it: no \"overwrite\" for \(path)"
        case .unknownUser(let name): "Name the owner by id, or create \(name) in passwd.users."
        case .unknownGroup(let name): "Name the group by id, or create \(name) in passwd.groups."
        case .groupMoved(let name, _, let image): "Change it: \(inside)groupmod --gid \(image) \(name)"
        case .homeOfAnother(let user, let number, _):
            "Give \(user) a \"uid\" and change the owner of the home: "
                + "\(inside)chown -Rh --from=\(number) UID \(path)"
        case .homeHolds(let user, _, let other, _):
            "Leave out \"homeDir\" of \(user), or give \(other) a home elsewhere first: "
                + "\(inside)usermod -m -d HOME \(other)"
        case .homeHoldsMounts(let user):
            "Leave \(user) as it is, or give the filesystem a \"path\" outside of \(path)."
        case .homeLeavesFilesystem(let user, let new):
            "Leave out \"homeDir\" of \(user), or mount a filesystem above \(new)."
        case .folderForUnit: "Move the directory away once; what is in it stays as it is until then."
        case .samePlace, .unreachable, .noLinkTarget, .linkToFolder: nil
        }
    }
}

/// How two contents of a file differ, in a few words; for secrets only by their sizes.
public enum ContentDifference: Equatable, Sendable, CustomStringConvertible {
    /// The first line that differs (`nil` where a file ends before it), and how many more lines differ after it.
    case line(Int, here: String?, wanted: String?, more: Int)
    /// Both sizes in bytes.
    case sizes(here: UInt64, wanted: UInt64)

    /// Compares two contents line by line; `nil` where one of them is not text.
    ///
    /// - Parameters:
    ///   - here: The content of the file.
    ///   - wanted: The content that the config gives.
    public init?(here: [UInt8], wanted: [UInt8]) {
        func lines(_ bytes: [UInt8]) -> [String]? {
            guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
            return text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        }
        func shown(_ line: String) -> String {
            let plain = String(
                String.UnicodeScalarView(line.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? " " : $0 }))
            return plain.count > 40 ? plain.prefix(37) + "..." : plain
        }
        guard let here = lines(here), let wanted = lines(wanted) else { return nil }
        let first = zip(here, wanted).prefix { $0 == $1 }.count
        let alike = zip(here[first...].reversed(), wanted[first...].reversed()).prefix { $0 == $1 }.count
        self = .line(
            first + 1, here: first < here.count ? shown(here[first]) : nil,
            wanted: first < wanted.count ? shown(wanted[first]) : nil,
            more: max(0, max(here.count, wanted.count) - first - alike - 1))
    }

    /// A phrase that follows a colon.
    public var description: String {
        switch self {
        case .line(let number, let here, let wanted, let more):
            "line \(number) is \(here.map { "\"\($0)\"" } ?? "missing"), wanted "
                + (wanted.map { "\"\($0)\"" } ?? "no such line")
                + (more == 0 ? "" : ", and \(counted(more, "more line")) from there on")
        case .sizes(let here, let wanted): "\(here) bytes, wanted \(wanted)" + (here == wanted ? " different ones" : "")
        }
    }
}

/// Every conflict of a config with the target root; nothing was written, unless they come late.
public struct FileConflicts: Error, Equatable, Advising {
    /// At least one.
    public var conflicts: [FileConflict]
    /// Where the target is, for advice.
    public var root = "/sysroot"
    /// Whether steps before these conflicts are done already.
    public var comeLate = false

    /// Makes an error of at least one conflict.
    public init(_ conflicts: [FileConflict]) { self.conflicts = conflicts }
}

extension FileConflicts: CustomStringConvertible {
    /// One sentence for a single conflict; several get a line each, the first ten, with their places in the config.
    public var description: String {
        func place(_ conflict: FileConflict) -> String? {
            let place = conflict.origin.description
            return place.isEmpty ? nil : place
        }
        if conflicts.count == 1, let only = conflicts.first {
            return "\(only)" + (place(only).map { " (\($0))" } ?? "")
        }
        let lines = conflicts.prefix(10).map { "  \($0)." + (place($0).map { "\n    at \($0)" } ?? "") }
        let more = conflicts.count - lines.count
        return "the config and the files contradict each other in \(conflicts.count) places.\n"
            + (lines + (more > 0 ? ["  And \(counted(more, "more conflict"))."] : [])).joined(separator: "\n")
    }

    /// What the operator can do about the conflicts, each once; at most six lines.
    public var advice: [String] {
        var told: [String] = []
        for advice in conflicts.compactMap({ $0.advice(in: root) }) where !told.contains(advice) { told.append(advice) }
        return (comeLate ? [] : ["No file of the target was changed."]) + told.prefix(5)
    }
}
