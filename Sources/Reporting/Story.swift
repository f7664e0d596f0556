// The lines that people see: one per thing that happened, and the report that ends a failed boot.

/// One line of a boot's story: when, what it is about, what happened.
public struct StoryLine: Equatable, Sendable, CustomStringConvertible {
    /// Seconds since the kernel started.
    public var seconds: Double
    /// One word: `rootfs`, `disks`.
    public var topic: String
    public var text: String

    /// Columns before the text.
    public static let margin = 20

    public init(seconds: Double, topic: String, text: String) {
        self.seconds = seconds
        self.topic = topic
        self.text = text
    }

    /// `   5.4 s  plan      ...`; text past column 80 goes on under itself.
    public var description: String {
        let tenths = Int((seconds * 10).rounded())
        let time = "\(tenths / 10).\(tenths % 10)"
        let head = leftPadded(time, to: 6) + " s  " + rightPadded(topic, to: 10)
        return head + wrapped(text, width: 80, indent: head.count).joined(separator: "\n" + spaces(head.count))
    }
}

/// The first line of a boot: parts with dots between; the last are cut, or left out, where 80 columns are not enough.
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
    public var cause: String
    /// Acts under way, outermost first, as phrases after "while".
    public var steps: [String]
    /// What has been written to disks so far, one phrase each; empty when nothing was.
    public var written: [String]
    public var advice: [String]
    /// What happens next: a shell, a reboot.
    public var next: String

    public init(_ failure: BootFailure, written: [String], next: String) {
        cause = "\(failure.cause)"
        steps = failure.steps
        advice = failure.advice
        self.written = written
        self.next = next
    }

    /// At most 80 columns wide, each line whole.
    public var lines: [String] {
        var lines = paragraph("firstlight stopped: \(cause)", indent: 2)
        for step in steps.reversed() { lines += paragraph("  while \(step)", indent: 4) }
        if written.isEmpty {
            lines.append("  Nothing was written to any disk.")
        } else {
            lines += paragraph("  Written so far: \(written.joined(separator: ", ")).", indent: 4)
        }
        for line in advice { lines += paragraph("  \(line)", indent: 4) }
        return lines + paragraph("  Log: /run/firstlight/log. \(next)", indent: 4)
    }

    /// A text of several lines keeps them; each is wrapped by itself.
    private func paragraph(_ text: String, indent: Int) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().flatMap { number, line in
            let own = line.prefix { $0 == " " }.count
            let first = number == 0 ? "" : spaces(max(0, indent - own))
            let lines = wrapped(first + line, width: 80, indent: 0)
            let hanging = max(indent, own + 2)
            guard lines.count > 1 else { return lines }
            let rest = lines.dropFirst().joined(separator: " ")
            return [lines[0]] + wrapped(rest, width: 80, indent: hanging).map { spaces(hanging) + $0 }
        }
    }
}

/// Breaks `text` at blanks into lines of at most `width - indent` columns; a longer word stands alone. Blanks
/// inside a line stay as they are.
public func wrapped(_ text: String, width: Int, indent: Int) -> [String] {
    let room = max(1, width - indent)
    var lines: [String] = []
    var line = ""
    /// Blanks seen since the line's last word.
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

/// So many blanks; none where `count` is negative.
public func spaces(_ count: Int) -> String { String(repeating: " ", count: max(0, count)) }
/// `text` at the right of `width` columns.
public func leftPadded(_ text: String, to width: Int) -> String { spaces(width - text.count) + text }
/// `text` at the left of `width` columns, with one blank at least behind it.
public func rightPadded(_ text: String, to width: Int) -> String {
    text.count < width ? text + spaces(width - text.count) : text + " "
}
