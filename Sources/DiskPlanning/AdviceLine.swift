// One line of what the operator can do about a conflict.

/// A line of advice.
///
/// It is written as a literal, or as `.wiping(...)` where it names a field that destroys.
struct AdviceLine: Equatable, ExpressibleByStringInterpolation {
    var text: String
    /// Whether the line adds a field to the config that has to be removed again afterwards.
    var destroys = false

    init(stringLiteral text: String) { self.text = text }

    /// A line that names a field that destroys.
    static func wiping(_ text: String) -> AdviceLine {
        var line = AdviceLine(stringLiteral: text)
        line.destroys = true
        return line
    }
}
