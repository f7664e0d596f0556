// The lines that people see: one for each event, and the report that ends a failed boot.

/// One line on the console: when something happened, what it is about, what happened.
public struct ConsoleLine: Equatable, Sendable, CustomStringConvertible {
    /// Seconds since the kernel started.
    public var seconds: Double
    /// One word: `rootfs`, `disks`.
    public var topic: String
    /// What happened.
    public var text: String

    /// The columns before the text.
    public static let margin = 20

    /// Creates a line.
    public init(seconds: Double, topic: String, text: String) {
        self.seconds = seconds
        self.topic = topic
        self.text = text
    }

    /// The line as `   5.4 s  plan      ...`; what exceeds 80 columns continues below, indented.
    public var description: String {
        let tenths = Int(nearest: seconds * 10)
        let time = "\(tenths / 10).\(tenths % 10)"
        let head = leftPadded(time, to: 6) + " s  " + rightPadded(topic, to: 10)
        return head + wrapped(text, width: 80, indent: head.count).joined(separator: "\n" + spaces(head.count))
    }
}

/// A text of at most `columns`, if what it says of its longest URL can be shortened to that.
///
/// What may go is `http://` and the middle of the path; the server and the end of the path stay:
/// `a.example:8080/.../rootfs.img`. Where that is not enough, the text is as it was.
public func withShortURL(_ text: String, columns: Int) -> String {
    var words = text.split(separator: " ", omittingEmptySubsequences: false)
    let lengths = words.map { $0.contains("://") ? $0.count : 0 }
    let excess = text.count - columns
    guard excess > 0, let longest = lengths.max(), longest > 0, let place = lengths.firstIndex(of: longest),
        let scheme = words[place].firstRange(of: "://")
    else { return text }
    // Any other scheme stays, because it says how far the connection can be trusted.
    let url = words[place].hasPrefix("http://") ? words[place][scheme.upperBound...] : words[place]
    let room = longest - excess
    if url.count <= room {
        words[place] = url
        return words.joined(separator: " ")
    }
    guard let path = words[place][scheme.upperBound...].firstIndex(of: "/") else { return text }
    let head = url[...path] + "..."
    // A shorter end would tell nothing.
    guard room - head.count >= 10 else { return text }
    let end = url.suffix(room - head.count)
    words[place] = head + (end.firstIndex(of: "/").map { end[$0...] } ?? end)
    return words.joined(separator: " ")
}

/// The first line of a boot: parts with dots between them; what exceeds 80 columns is cut or left out.
public func consoleHeadline(_ parts: [String]) -> String {
    var line = parts.first ?? ""
    for part in parts.dropFirst() {
        let room = 80 - line.count - 3
        if part.count <= room {
            line += " · \(part)"
        } else {
            if room >= 12 { line += " · \(part.prefix(room - 3))..." }
            break
        }
    }
    return line
}

/// What a person at the console needs when the boot has stopped.
public struct FailureReport: Equatable, Sendable {
    /// Why the boot stopped.
    public var cause: String
    /// The steps under way, outermost first, as phrases that follow "while".
    public var steps: [String]
    /// What has been written to disks so far, one phrase each; empty if nothing was, `nil` if that is not known.
    public var written: [String]?
    /// What the operator can do, one line each.
    public var advice: [String]
    /// What happens next: a shell, a reboot.
    public var next: String

    /// Creates the report of a failure.
    public init(_ failure: BootFailure, written: [String]?, next: String) {
        cause = "\(failure.cause)"
        steps = failure.steps
        advice = failure.advice
        self.written = written
        self.next = next
    }

    /// The lines that tell the cause, with which ``lines`` begin.
    public var causeLines: [String] { paragraph("firstlight stopped: \(cause)", indent: 2) }

    /// The report's lines, at most 80 columns wide.
    public var lines: [String] {
        var lines = causeLines
        for step in steps.reversed() { lines += paragraph("  while \(step)", indent: 4) }
        switch written {
        case nil: lines.append("  What was written to disks is not known: /run could not keep it.")
        case let phrases? where phrases.isEmpty: lines.append("  Nothing was written to any disk.")
        case let phrases?: lines += paragraph("  Written so far: \(phrases.joined(separator: ", ")).", indent: 4)
        }
        for line in advice { lines += paragraph("  \(line)", indent: 4) }
        return lines + paragraph("  Log: \(RunFile.log.path). \(next)", indent: 4)
    }

    /// Wraps each line of a text by itself.
    private func paragraph(_ text: String, indent: Int) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().flatMap { number, line in
            let blanks = line.prefix { $0 == " " }.count
            // What is set off further leaves no room for its words.
            let own = min(blanks, 40)
            let line = spaces(own) + line.dropFirst(blanks)
            let first = number == 0 ? "" : spaces(max(0, indent - own))
            let hanging = max(indent, own + 2)
            let lines = wrapped(first + Self.broken(line, room: 80 - hanging), width: 80, indent: 0)
            guard lines.count > 1 else { return lines }
            let rest = lines.dropFirst().joined(separator: " ")
            return [lines[0]] + wrapped(rest, width: 80, indent: hanging).map { spaces(hanging) + $0 }
        }
    }
}

extension FailureReport {
    /// The line with blanks in words that no line has room for, mostly URLs.
    ///
    /// Each part is as long as it can be, so that no two of them come to stand on one line with a blank between.
    fileprivate static func broken(_ line: String, room: Int) -> String {
        line.split(separator: " ", omittingEmptySubsequences: false).map { word in
            var parts: [Substring] = []
            var rest = word
            while rest.count > room {
                let fitting = rest.prefix(room)
                let end = fitting.lastIndex { "/?&".contains($0) }.map(fitting.index(after:)) ?? fitting.endIndex
                parts.append(rest[..<end])
                rest = rest[end...]
            }
            return (parts + [rest]).joined(separator: " ")
        }.joined(separator: " ")
    }
}

/// The lines that a text gives when it is broken at blanks; each takes at most `width - indent` columns.
///
/// A longer word is a line of its own. Blanks inside a line are kept.
public func wrapped(_ text: String, width: Int, indent: Int) -> [String] {
    let room = max(1, width - indent)
    var lines: [String] = []
    var line = ""
    /// The blanks since the line's last word.
    var gap = ""
    var word = ""
    var hasWord = false
    func place() {
        guard !word.isEmpty else { return }
        if hasWord, line.count + gap.count + word.count > room {
            lines.append(line)
            line = word
        } else {
            line += gap + word
        }
        (gap, word, hasWord) = ("", "", true)
    }
    for character in text {
        if character == " " {
            place()
            gap += " "
        } else {
            word.append(character)
        }
    }
    place()
    return lines + [hasWord ? line : gap]
}

/// A number of blanks; none if `count` is negative.
public func spaces(_ count: Int) -> String { String(repeating: " ", count: max(0, count)) }
/// A text with blanks before it, `width` columns in all.
public func leftPadded(_ text: String, to width: Int) -> String { spaces(width - text.count) + text }
/// A text with at least one blank after it, at least `width` columns in all.
public func rightPadded(_ text: String, to width: Int) -> String {
    text.count < width ? text + spaces(width - text.count) : text + " "
}
