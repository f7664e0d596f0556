// Patterns for the names in an initrd.

/// One or more patterns, of which one has to match the whole name.
///
/// `*` is any text, slashes too; `**` any number of whole folders; `?` one character; `[a-z]` and `[!a-z]` one of a set.
public struct ArchiveGlob: Equatable, Sendable {
    private enum Token: Equatable, Sendable {
        case character(UnicodeScalar)
        case any
        case anyText
        /// Nothing, or text that ends with a slash; at the end any text.
        case anyFolders
        case set([ClosedRange<UnicodeScalar>], isNegated: Bool)
    }

    private let patterns: [[Token]]

    /// Every name.
    public static let all = ArchiveGlob(tokens: [[.anyText]])
    /// The Ignition config.
    public static let config = ArchiveGlob(names: [BootMediaName.config])
    /// The keyfiles.
    public static let network = ArchiveGlob(
        tokens: [BootMediaName.networkFolder.unicodeScalars.map { .character($0) } + [.character("/"), .anyText]])

    private init(tokens: [[Token]]) { patterns = tokens }

    /// These names, taken literally.
    public init(names: [String]) { patterns = names.map { $0.unicodeScalars.map { .character($0) } } }

    /// Those that match either.
    public func or(_ other: ArchiveGlob) -> ArchiveGlob { ArchiveGlob(tokens: patterns + other.patterns) }

    /// Parses globs; an empty list matches every name.
    ///
    /// Throws where a glob is malformed.
    public init(parsing globs: [String]) throws(MediaFault) {
        guard !globs.isEmpty else {
            self = .all
            return
        }
        var patterns: [[Token]] = []
        for glob in globs { patterns.append(try Self.tokens(of: glob)) }
        self.patterns = patterns
    }

    private static func tokens(of glob: String) throws(MediaFault) -> [Token] {
        let text = Array(glob.unicodeScalars)
        var tokens: [Token] = []
        var at = 0
        while at < text.count {
            switch text[at] {
            case "?":
                tokens.append(.any)
                at += 1
            case "*":
                let stars = text[at...].prefix { $0 == "*" }.count
                guard stars <= 2 else {
                    throw MediaFault("\(glob): wildcards are either regular `*` or recursive `**`")
                }
                if stars == 1 {
                    tokens.append(.anyText)
                } else {
                    let isAlone = (at == 0 || text[at - 1] == "/") && (at + 2 == text.count || text[at + 2] == "/")
                    guard isAlone else {
                        throw MediaFault("\(glob): recursive wildcards must form a single path component")
                    }
                    if tokens.last != .anyFolders { tokens.append(.anyFolders) }
                    // The slash behind `**` belongs to it.
                    if at + 2 < text.count { at += 1 }
                }
                at += stars
            case "[":
                let isNegated = at + 1 < text.count && text[at + 1] == "!"
                let first = at + (isNegated ? 2 : 1)
                // A bracket right at the start is one of the set.
                guard first < text.count, let end = text[(first + 1)...].firstIndex(of: "]") else {
                    throw MediaFault("\(glob): invalid range pattern")
                }
                tokens.append(.set(ranges(of: text[first..<end]), isNegated: isNegated))
                at = end + 1
            case let character:
                tokens.append(.character(character))
                at += 1
            }
        }
        return tokens
    }

    private static func ranges(of set: ArraySlice<UnicodeScalar>) -> [ClosedRange<UnicodeScalar>] {
        var ranges: [ClosedRange<UnicodeScalar>] = []
        var rest = set
        while let first = rest.first {
            let last = rest.count >= 3 && rest[rest.startIndex + 1] == "-" ? rest[rest.startIndex + 2] : nil
            if let last {
                // A range from high to low matches nothing.
                if first <= last { ranges.append(first...last) }
                rest = rest.dropFirst(3)
            } else {
                ranges.append(first...first)
                rest = rest.dropFirst()
            }
        }
        return ranges
    }

    /// Whether the whole name matches.
    public func matches(_ name: String) -> Bool {
        let text = Array(name.unicodeScalars)
        return patterns.contains { Self.matches($0, text) }
    }

    func matches(_ name: [UInt8]) -> Bool { matches(String(decoding: name, as: UTF8.self)) }

    /// Follows all ways at once, so that no pattern takes longer than its length times that of the name.
    private static func matches(_ tokens: [Token], _ text: [UnicodeScalar]) -> Bool {
        /// What can be reached without a character.
        func spread(_ states: inout [Bool], at place: Int) {
            for index in tokens.indices where states[index] {
                switch tokens[index] {
                case .anyText: states[index + 1] = true
                case .anyFolders:
                    let isAtStart = place == 0 || text[place - 1] == "/"
                    if isAtStart || index == tokens.count - 1 { states[index + 1] = true }
                default: break
                }
            }
        }
        var states = [Bool](repeating: false, count: tokens.count + 1)
        states[0] = true
        spread(&states, at: 0)
        for (place, character) in text.enumerated() {
            var next = [Bool](repeating: false, count: tokens.count + 1)
            for index in tokens.indices where states[index] {
                switch tokens[index] {
                case .character(let wanted): if character == wanted { next[index + 1] = true }
                case .any: next[index + 1] = true
                case .anyText, .anyFolders: next[index] = true
                case .set(let ranges, let isNegated):
                    if ranges.contains(where: { $0.contains(character) }) != isNegated { next[index + 1] = true }
                }
            }
            states = next
            spread(&states, at: place + 1)
            if !states.contains(true) { return false }
        }
        return states[tokens.count]
    }
}
