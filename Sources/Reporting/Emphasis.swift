// What stands out on a screen that has colours. A colour never carries a meaning that the words do not have.

/// How a text is shown on a screen with colours; elsewhere it is shown as it is.
public enum Emphasis: Sendable {
    case none
    /// What boots on what.
    case headline
    /// What somebody ought to look into.
    case warning
    /// Why the boot has stopped.
    case failure

    /// The text in its colours, which end with each of its lines.
    ///
    /// - SeeAlso: console_codes(4), "ECMA-48 Select Graphic Rendition".
    public func painted(_ text: String) -> String {
        let code =
            switch self {
            case .none: ""
            case .headline: "1"
            case .warning: "1;33"
            case .failure: "1;31"
            }
        if code.isEmpty { return text }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.map { $0.isEmpty ? "" : "\u{1b}[\(code)m\($0)\u{1b}[0m" }.joined(separator: "\n")
    }
}
