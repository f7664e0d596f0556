// What was kept, created, changed and destroyed. The report and a plan's summary are made of it.

/// What provisioning did, or will do, to each thing; one phrase per thing.
public struct ChangeSummary: Equatable, Sendable {
    /// Things that were as wanted, and stay as they are.
    public var kept: [String]
    /// Things that were not there before.
    public var created: [String]
    /// Things that were there and are different now.
    public var changed: [String]
    /// Things that are out of reach now, because the config asked for it.
    public var destroyed: [String]

    /// Makes a summary of lists of phrases.
    public init(
        kept: [String] = [], created: [String] = [], changed: [String] = [], destroyed: [String] = []
    ) {
        self.kept = kept
        self.created = created
        self.changed = changed
        self.destroyed = destroyed
    }

    /// Appends the lists of another summary.
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
