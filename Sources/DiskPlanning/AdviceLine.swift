// One line of what the operator can do about a conflict.

/// A line of advice.
///
/// It is written as a literal, or as `.wiping(...)` where it names a field that destroys.
struct AdviceLine: Equatable, ExpressibleByStringInterpolation {
    var text: String
    /// Whether the config has to lose again what the line adds to it.
    var destroys = false

    init(stringLiteral text: String) { self.text = text }

    /// A line that names a field that destroys.
    static func wiping(_ text: String) -> AdviceLine {
        var line = AdviceLine(stringLiteral: text)
        line.destroys = true
        return line
    }
}
