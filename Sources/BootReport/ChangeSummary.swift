// What became of things: kept, created, changed, destroyed. The report is made of it, and the sum of a plan.

/// Things that provisioning had to do with, each in a few words.
public struct ChangeSummary: Equatable, Sendable {
    /// As wanted already, and left as they are.
    public var kept: [String]
    public var created: [String]
    public var changed: [String]
    /// Out of reach now, because the config asked for it.
    public var destroyed: [String]

    public init(
        kept: [String] = [], created: [String] = [], changed: [String] = [], destroyed: [String] = []
    ) {
        self.kept = kept
        self.created = created
        self.changed = changed
        self.destroyed = destroyed
    }

    public static func += (one: inout ChangeSummary, other: ChangeSummary) {
        one.kept += other.kept
        one.created += other.created
        one.changed += other.changed
        one.destroyed += other.destroyed
    }

    /// `2 kept, 6 created, nothing destroyed`.
    public var summary: String {
        let counts = [(kept.count, "kept"), (created.count, "created"), (changed.count, "changed")]
        let parts = counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        return (parts + [destroyed.isEmpty ? "nothing destroyed" : "\(destroyed.count) DESTROYED"])
            .joined(separator: ", ")
    }
}
