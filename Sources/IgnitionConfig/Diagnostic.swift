// What is wrong with a config, and how it is shown.

import JSONText
import Reporting

extension IgnitionConfig {
    /// One mistake, or something that is likely one.
    public struct Diagnostic: Equatable, Sendable {
        /// How bad it is: only errors make a config unusable.
        public enum Severity: String, Sendable { case error, warning }

        /// What programs can rely on; ``message`` is for people, and its words may change.
        public enum Kind: Equatable, Sendable {
            /// A mistake that no program has to tell from others.
            case plain
            /// A key that no version of the spec knows, or only one after `since`: it is not read.
            case unknownKey(since: SpecVersion?)
            /// A mode that was likely meant in octal.
            case decimalMode(Int)
            /// A timeout below zero, which counts as no timeout.
            case negativeTimeout
            /// As many spares as devices: none is left for the array.
            case onlySpares
        }

        /// Whether this is an error or a warning.
        public var severity: Severity
        /// What it is, for programs.
        public var kind: Kind
        /// The name of the text.
        public var source: String
        /// The field: `storage.files[2].mode`; empty for the config as a whole.
        public var path: String
        /// Where in the text; `nil` where no place is known.
        public var place: SourcePlace?
        /// What is wrong, without path and place.
        ///
        /// It never holds a secret of the config.
        public var message: String

        /// Creates a diagnostic.
        public init(
            severity: Severity, kind: Kind = .plain, source: String, path: String, place: SourcePlace?, message: String
        ) {
            self.severity = severity
            self.kind = kind
            self.source = source
            self.path = path
            self.place = place
            self.message = message
        }
    }

    /// The diagnostics of one text, in the order of the text; if there are very many, the first ones.
    public struct Report: Equatable, Sendable {
        /// The name of the text.
        public var source: String
        /// The bytes that the places of the diagnostics point into; empty where there is no one text.
        public var text: [UInt8]
        /// At most a thousand errors and a thousand warnings.
        public var diagnostics: [Diagnostic]
        /// How many more errors there were.
        public var omittedErrors = 0
        /// How many more warnings there were.
        public var omittedWarnings = 0

        /// Creates a report that omits nothing.
        public init(source: String, text: [UInt8], diagnostics: [Diagnostic]) {
            self.source = source
            self.text = text
            self.diagnostics = diagnostics
        }

        /// Turns every warning into an error, the omitted ones included.
        public mutating func takeWarningsForErrors() {
            for index in diagnostics.indices { diagnostics[index].severity = .error }
            omittedErrors += omittedWarnings
            omittedWarnings = 0
        }

        /// The listed errors.
        public var errors: [Diagnostic] { diagnostics.filter { $0.severity == .error } }
        /// The listed warnings.
        public var warnings: [Diagnostic] { diagnostics.filter { $0.severity == .warning } }
    }
}

/// Collects diagnostics, at most a thousand of each severity: a text can have a million mistakes.
struct DiagnosticList {
    static let limit = 1000

    private(set) var diagnostics: [IgnitionConfig.Diagnostic] = []
    private var kept = (errors: 0, warnings: 0)
    private(set) var omitted = (errors: 0, warnings: 0)
    /// Offsets in the text whose mistakes are already known.
    var ignored: Set<Int> = []

    func isFull(_ severity: IgnitionConfig.Diagnostic.Severity) -> Bool {
        (severity == .error ? kept.errors : kept.warnings) >= DiagnosticList.limit
    }

    /// Adds a diagnostic, or counts it as omitted if there are too many.
    ///
    /// It points to `place`, or else to where the field is written. It is called from hundreds of places, in each of which
    /// a copy of it would make the agent larger.
    @inline(never)
    mutating func add(
        _ severity: IgnitionConfig.Diagnostic.Severity, in origin: IgnitionConfig.Origin, _ field: String,
        at place: SourcePlace? = nil, kind: IgnitionConfig.Diagnostic.Kind = .plain, _ message: String
    ) {
        if isFull(severity) {
            if severity == .error { omitted.errors += 1 } else { omitted.warnings += 1 }
            return
        }
        let found = place.map { (origin.text, origin.path(of: field), $0) } ?? origin.find(field)
        if let start = found.2?.bytes.lowerBound, ignored.contains(start) { return }
        if severity == .error { kept.errors += 1 } else { kept.warnings += 1 }
        let told = found.2.flatMap(found.0.told)
        diagnostics.append(
            .init(
                severity: severity, kind: kind, source: told?.text ?? found.0.name, path: found.1, place: told?.place,
                message: message))
    }
}

extension IgnitionConfig.Report {
    init(source: String, text: [UInt8], _ list: DiagnosticList) {
        self.init(source: source, text: text, diagnostics: list.diagnostics)
        omittedErrors = list.omitted.errors
        omittedWarnings = list.omitted.warnings
    }
}

extension IgnitionConfig.Diagnostic: CustomStringConvertible {
    /// `config.ign:7:15: error: storage.files[2].mode: 644 is octal 1204; 420 is octal 644`.
    public var description: String { "\(position): \(severity.rawValue): \(sentence)" }

    /// The same without the severity, for places that say "warning" already.
    public var warning: String { "\(position): \(sentence)" }

    private var position: String {
        ([source] + (place.map { ["\($0.line)", "\($0.column)"] } ?? [])).joined(separator: ":")
    }

    /// The path and the message alone.
    public var sentence: String { path.isEmpty ? message : "\(path): \(message)" }
}

extension IgnitionConfig.Report: CustomStringConvertible {
    /// The counts: "1 error, 1 warning", or "no mistakes".
    public var summary: String {
        let counts = [(errors.count + omittedErrors, "error"), (warnings.count + omittedWarnings, "warning")]
        let parts = counts.filter { $0.0 > 0 }
        return parts.isEmpty ? "no mistakes" : parts.map { counted($0.0, $0.1) }.joined(separator: ", ")
    }

    /// Every diagnostic, each error with its line of the config, then the summary.
    ///
    /// A line of the config may hold a secret: this is for the author of the config, not for a console or a log.
    public var description: String { rendered(excerpts: true) }

    /// The diagnostics and the summary, a line each.
    ///
    /// - Parameters:
    ///   - excerpts: Whether to show the line of the config below each error.
    ///   - limit: How many diagnostics to show; if there are more, errors come first.
    /// - Returns: Lines with newlines between them.
    public func rendered(excerpts: Bool, limit: Int = 100) -> String {
        let shown = diagnostics.count <= limit ? diagnostics : Array((errors + warnings).prefix(limit))
        var lines: [String] = []
        for diagnostic in shown {
            lines.append(diagnostic.description)
            if excerpts, diagnostic.severity == .error, let place = diagnostic.place {
                lines += Excerpt(of: text, at: place).lines
            }
        }
        let more = diagnostics.count - shown.count + omittedErrors + omittedWarnings
        if more > 0 { lines.append("and \(more) more") }
        return (lines + [summary]).joined(separator: "\n")
    }
}

/// A line of the text with a mark below the place in question, cut to the width of a console.
private struct Excerpt {
    var lines: [String] = []

    private static let width = 78

    init(of text: [UInt8], at place: SourcePlace) {
        let start = place.bytes.lowerBound
        guard start <= text.count else { return }
        let newline = UInt8(ascii: "\n")
        // A line can have 50 MiB, so no more of it is read than can be shown.
        let first = max(start - 4 * Self.width, 0)
        let last = min(max(place.bytes.upperBound, start + 1) + 4 * Self.width, text.count)
        let lineStart = text[first..<start].lastIndex(of: newline).map { $0 + 1 } ?? first
        let lineEnd = text[start..<min(start + 8 * Self.width, last)].firstIndex(of: newline) ?? last
        guard lineStart < lineEnd else { return }
        let end = min(max(place.bytes.upperBound, start + 1), lineEnd)
        let before = characters(text[lineStart..<start])
        let marked = characters(text[start..<end].prefix(4 * Self.width))
        let after = characters(text[end..<lineEnd].prefix(4 * Self.width))

        // The window shows the beginning of what is marked, and before it a third of the window of what precedes.
        let isCutLeft = before.count + marked.count > Self.width
        let left = isCutLeft ? before.suffix(Self.width / 3) : before[...]
        let room = max(Self.width - left.count - (isCutLeft ? 3 : 0), 1)
        let right = (marked + after).prefix(room)
        let isCutRight = marked.count + after.count > room || end - start > 4 * Self.width
        let prefix = (isCutLeft ? "..." : "") + String(left)
        lines = [
            prefix + String(right) + (isCutRight ? "..." : ""),
            String(repeating: " ", count: prefix.count) + "^"
                + String(repeating: "~", count: max(min(marked.count, room), 1) - 1),
        ]
    }
}

/// The characters of a line, one column each: control characters become blanks, invalid UTF-8 becomes U+FFFD.
private func characters(_ bytes: ArraySlice<UInt8>) -> [Character] {
    String(decoding: bytes, as: UTF8.self).unicodeScalars.compactMap { scalar in
        scalar == "\r" ? nil : scalar.isControl ? " " : Character(scalar)
    }
}

/// A config that has errors.
public struct InvalidConfig: Error, Equatable, Advising {
    /// Everything that is wrong with the config.
    public var report: IgnitionConfig.Report

    /// Creates an error with a report that has errors.
    public init(_ report: IgnitionConfig.Report) { self.report = report }
}

extension InvalidConfig: CustomStringConvertible {
    /// The first error with its line and column, and how many more there are.
    public var description: String {
        let errors = report.errors
        guard let first = errors.first else { return "\(report.source) cannot be used" }
        let place = first.place.map { " line \($0.line), column \($0.column)" } ?? ""
        let name = first.place == nil ? report.source : first.source
        let more = errors.count > 1 ? " (and \(counted(errors.count - 1, "more error", plural: "more errors")))" : ""
        return "\(name)\(place): \(first.sentence)\(more)"
    }

    /// What the operator can do.
    public var advice: [String] {
        let others = report.errors.dropFirst().prefix(5).map { error in
            (error.place.map { "also line \($0.line), column \($0.column): " } ?? "also ") + error.sentence
        }
        return ["Correct the config, for instance with `firstlight validate`."] + others
    }
}
