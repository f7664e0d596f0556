// What is wrong or doubtful in a config, and the two ways in which Butane shows it.

import JSONText

extension Butane {
    /// What was noticed about a config, in the order in which it was.
    public struct Report: Equatable, Sendable {
        /// How serious an entry is; an error means that there is no output.
        public enum Severity: String, Sendable { case error, warning, info }

        /// One thing that was noticed.
        public struct Entry: Equatable, Sendable {
            /// How serious it is.
            public var severity: Severity
            /// Where it is; `nil` for what has no path of its own: a mistake of the YAML itself.
            public var path: ConfigPath?
            /// `nil` where the text has no such place.
            public var place: SourcePlace?
            /// What it is, as one phrase.
            public var message: String
            /// Which text: 0 is the one that was given.
            public var text = 0
        }

        /// What was noticed, in that order.
        public var entries: [Entry] = []

        /// Creates an empty report.
        public init() {}

        /// Whether any entry is an error.
        public var hasErrors: Bool { entries.contains { $0.severity == .error } }
        /// Whether there are no entries.
        public var isEmpty: Bool { entries.isEmpty }
    }

    /// A text that entries point into.
    public struct Text: Equatable, Sendable {
        /// As messages call it: `config.bu`, `<stdin>`.
        public var name: String
        /// The whole text.
        public var bytes: [UInt8]

        /// Creates a text from its name and bytes.
        public init(name: String, bytes: [UInt8]) {
            self.name = name
            self.bytes = bytes
        }
    }
}

extension Butane.Report.Entry {
    /// `error at $.storage.files.0.mode, line 7 col 15: ...`.
    var rawLine: String {
        let path = path.flatMap { $0.steps.isEmpty ? nil : $0.description }
        let places = [path, place.map { "line \($0.line) col \($0.column)" }].compactMap { $0 }
        let at = places.isEmpty ? "" : " at " + places.joined(separator: ", ")
        return "\(severity.rawValue)\(at): \(message)"
    }
}

extension Butane.Report {
    /// An entry a line, a newline after each.
    public var rawLines: String { entries.map { $0.rawLine + "\n" }.joined() }

    /// Every entry with two lines around its place and the message below it.
    ///
    /// `texts` are the texts that the entries point into; `isColoured` adds the escape sequences of a terminal. Lines of a
    /// config may hold secrets: the result is for whoever wrote it, not for a log.
    public func pretty(_ texts: [Butane.Text], isColoured: Bool = false) -> String {
        var lines: [Int: [String]] = [:]
        return entries.map { entry in
            if lines[entry.text] == nil {
                let bytes = texts.indices.contains(entry.text) ? texts[entry.text].bytes : []
                lines[entry.text] = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
                    .map { String(decoding: $0, as: UTF8.self) }
            }
            let name = texts.indices.contains(entry.text) ? texts[entry.text].name : ""
            return entry.pretty(lines[entry.text] ?? [], name: name, isColoured: isColoured)
        }.joined(separator: "\n")
    }
}

extension Butane.Report.Entry {
    private enum Colour: String {
        case red = "\u{1b}[1;31m"
        case yellow = "\u{1b}[1;33m"
        case cyan = "\u{1b}[1;36m"
        case blue = "\u{1b}[1;34m"
    }

    fileprivate func pretty(_ lines: [String], name: String, isColoured: Bool) -> String {
        guard let place, lines.indices.contains(place.line - 1) else { return rawLine + "\n" }
        let written = Array(lines[place.line - 1].unicodeScalars)
        guard (1...max(written.count, 1)).contains(place.column), !written.isEmpty else { return rawLine + "\n" }

        func coloured(_ text: String, _ colour: Colour) -> String {
            isColoured ? "\(colour.rawValue)\(text)\u{1b}[0m" : text
        }
        let kind =
            switch severity {
            case .error: coloured("error", .red)
            case .warning: coloured("warning", .yellow)
            case .info: coloured("info", .cyan)
            }
        let path = path.flatMap { $0.steps.isEmpty ? nil : "[\($0)]" } ?? ""
        let first = max(1, place.line - 2)
        let last = min(lines.count, place.line + 2)
        let width = String(last).count
        let margin = String(repeating: " ", count: width)
        var text = "\(kind)\(path):\n"
        text += "  \(coloured("-->", .blue)) \(name):\(place.line):\(place.column)\n"
        text += " \(margin) |\n"
        for number in first...last {
            let label = String(repeating: " ", count: width - String(number).count) + String(number)
            text += " \(coloured(label, .blue)) | \(lines[number - 1])\n"
            guard number == place.line else { continue }
            let word = written[(place.column - 1)...].prefix { !$0.properties.isWhitespace }
            let padding = String(repeating: " ", count: place.column - 1)
            let mark = coloured(String(repeating: "^", count: word.count), .blue)
            text += " \(margin) | \(padding)\(mark) \(message)\n"
        }
        return text + " \(margin) |\n"
    }
}
