// What the files stage would do, as a plan that people and programs read.

import IgnitionConfig
import JSONText
import Reporting

/// The part of a ``FilesPlan`` that would change something.
public struct FilesPreview: Equatable, Sendable {
    /// Where the target is.
    public var root: String
    public var changes: [FilesPlan.Step]
    public var kept: [FilesPlan.Kept]
    /// What would be out of reach afterwards: `/srv and what is in it`.
    public var destroyed: [Loss]

    public struct Loss: Equatable, Sendable {
        public var what: String
        public var origin: IgnitionConfig.Origin

        public init(_ what: String, _ origin: IgnitionConfig.Origin) {
            self.what = what
            self.origin = origin
        }
    }

    public init(
        root: String, changes: [FilesPlan.Step] = [], kept: [FilesPlan.Kept] = [], destroyed: [Loss] = []
    ) {
        self.root = root
        self.changes = changes
        self.kept = kept
        self.destroyed = destroyed
    }

    public var lines: [String] {
        var lines = destroyed.map { "DESTROY  \($0.what)\(place($0.origin))" }
        lines.append("\(root)   \(counted(changes.count, "change")), \(kept.count) kept")
        lines += changes.map { "     \($0.action)\(place($0.origin))" }
        return lines + kept.map { "     keep \($0.name), which \($0.reason.rawValue)" }
    }

    private func place(_ origin: IgnitionConfig.Origin) -> String {
        origin.description.isEmpty ? "" : " (\(origin))"
    }

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
