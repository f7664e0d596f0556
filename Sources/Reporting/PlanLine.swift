// One line of a plan that is shown before it is carried out.

/// A line, and what it tells: a terminal colours it by that.
public struct PlanLine: Equatable, Sendable {
    /// What a line is about.
    public enum Meaning: Equatable, Sendable {
        /// The device or the root that the next lines are about, or the sum at the end.
        case heading
        case keeps
        case changes
        case destroys
        case warns
    }

    /// Without its end.
    public var text: String
    /// What it tells.
    public var meaning: Meaning

    /// Makes a line.
    public init(_ text: String, _ meaning: Meaning) {
        self.text = printable(text)
        self.meaning = meaning
    }

    /// The text as a terminal shows it: what destroys red, what changes or warns yellow, what stays green.
    public var coloured: String {
        let colour =
            switch meaning {
            case .heading: 1
            case .keeps: 32
            case .changes, .warns: 33
            case .destroys: 31
            }
        return "\u{1B}[\(colour)m\(text)\u{1B}[0m"
    }
}
