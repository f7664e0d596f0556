// What the files stage would do, for people and for programs.

import IgnitionConfig
import JSONText
import Reporting

/// The part of a ``FilesPlan`` that would change something.
public struct FilesPreview: Equatable, Sendable {
    /// Where the target is.
    public var root: String
    /// The steps that would change something, in their order.
    public var changes: [FilesPlan.Step]
    /// What is already as wanted.
    public var kept: [FilesPlan.Kept]
    /// What would be out of reach afterwards.
    public var destroyed: [Loss]

    /// One thing that would be out of reach, and the entry of the config that asks for it.
    public struct Loss: Equatable, Sendable {
        /// The thing as a phrase: `/srv and what is in it`.
        public var what: String
        /// The entry of the config.
        public var origin: IgnitionConfig.Origin

        /// Makes a loss of a phrase and the entry that asks for it.
        public init(_ what: String, _ origin: IgnitionConfig.Origin) {
            self.what = what
            self.origin = origin
        }
    }

    /// Makes a preview.
    public init(
        root: String, changes: [FilesPlan.Step] = [], kept: [FilesPlan.Kept] = [], destroyed: [Loss] = []
    ) {
        self.root = root
        self.changes = changes
        self.kept = kept
        self.destroyed = destroyed
    }

    /// The preview for people: losses first, then changes, then what is kept.
    public var planLines: [PlanLine] {
        var lines = destroyed.map { PlanLine("DESTROY  \($0.what)\(place($0.origin))", .destroys) }
        lines.append(PlanLine("\(root)   \(counted(changes.count, "change")), \(kept.count) kept", .heading))
        lines += changes.map { PlanLine("     \($0.action)\(place($0.origin))", .changes) }
        return lines + kept.map { PlanLine("     keep \($0.name), which \($0.reason.rawValue)", .keeps) }
    }

    private func place(_ origin: IgnitionConfig.Origin) -> String {
        origin.description.isEmpty ? "" : " (\(origin))"
    }

    /// The preview for programs.
    public var json: JSONValue {
        [
            "root": .string(root),
            "changes": .array(
                changes.map { ["what": .string("\($0.action)"), "place": .string($0.origin.description)] }),
            "kept": .array(kept.map { ["what": .string($0.name), "reason": .string($0.reason.rawValue)] }),
            "destroyed": .array(
                destroyed.map { ["what": .string($0.what), "place": .string($0.origin.description)] }),
        ]
    }
}
