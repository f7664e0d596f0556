// What is wrong with a config, and how it is shown.

import JSONText
import Reporting

extension IgnitionConfig {
    /// One mistake, or something that is likely one.
    public struct Diagnostic: Equatable, Sendable {
        public enum Severity: String, Sendable { case error, warning }

        public var severity: Severity
        /// The name of the text.
        public var source: String
        /// `storage.files[2].mode`; empty for the config as a whole.
        public var path: String
        public var place: SourcePlace?
        /// Without path and place; never a secret of the config.
        public var message: String

        public init(severity: Severity, source: String, path: String, place: SourcePlace?, message: String) {
            self.severity = severity
            self.source = source
            self.path = path
            self.place = place
            self.message = message
        }
    }

    /// All diagnostics of one text, in the order of the text.
    public struct Report: Equatable, Sendable {
        public var source: String
        public var text: [UInt8]
        public var diagnostics: [Diagnostic]

        public init(source: String, text: [UInt8], diagnostics: [Diagnostic]) {
            self.source = source
            self.text = text
            self.diagnostics = diagnostics
        }

        public var errors: [Diagnostic] { diagnostics.filter { $0.severity == .error } }
        public var warnings: [Diagnostic] { diagnostics.filter { $0.severity == .warning } }
    }
}

extension IgnitionConfig.Diagnostic: CustomStringConvertible {
    /// `config.ign:7:15: error: storage.files[2].mode: 644 is octal 1204; 420 is octal 644`.
    public var description: String {
        let head = [source] + (place.map { ["\($0.line)", "\($0.column)"] } ?? [])
        return "\(head.joined(separator: ":")): \(severity.rawValue): \(sentence)"
    }

    /// The path and the message alone.
    public var sentence: String { path.isEmpty ? message : "\(path): \(message)" }
}

extension IgnitionConfig.Report: CustomStringConvertible {
    /// "1 error, 1 warning"; "no mistakes".
    public var summary: String {
        let parts = [(errors.count, "error"), (warnings.count, "warning")].filter { $0.0 > 0 }
        return parts.isEmpty ? "no mistakes" : parts.map { counted($0.0, $0.1) }.joined(separator: ", ")
    }

    /// Every diagnostic, errors with their line of the config, then the summary.
    ///
    /// A line of the config may hold a secret: for whoever wrote it, not for a console or a log.
    public var description: String { rendered(excerpts: true) }

    /// - Parameters:
    ///   - excerpts: Show the line of the config below each error.
    ///   - limit: How many diagnostics to show at most, errors first when they are too many.
    public func rendered(excerpts: Bool, limit: Int = 100) -> String {
        let shown = diagnostics.count <= limit ? diagnostics : Array((errors + warnings).prefix(limit))
        var lines: [String] = []
        for diagnostic in shown {
            lines.append(diagnostic.description)
            if excerpts, diagnostic.severity == .error, let place = diagnostic.place {
                lines += Excerpt(of: text, at: place).lines
            }
        }
        if shown.count < diagnostics.count { lines.append("and \(diagnostics.count - shown.count) more") }
        return (lines + [summary]).joined(separator: "\n")
    }
}

/// A line of the text, and a mark below what is meant. Long lines are cut to the width of a console.
private struct Excerpt {
    var lines: [String] = []

    private static let width = 78

    init(of text: [UInt8], at place: SourcePlace) {
        let start = place.bytes.lowerBound
        guard start <= text.count else { return }
        let newline = UInt8(ascii: "\n")
        let lineStart = text[..<start].lastIndex(of: newline).map { $0 + 1 } ?? 0
        let lineEnd = text[start...].firstIndex(of: newline) ?? text.count
        guard lineStart < lineEnd else { return }
        let end = min(max(place.bytes.upperBound, start + 1), lineEnd)
        let before = characters(text[lineStart..<start].suffix(4 * Self.width))
        let marked = characters(text[start..<end].prefix(4 * Self.width))
        let after = characters(text[end..<lineEnd].prefix(4 * Self.width))

        // What is marked stands in the window with its beginning, and with a third of the window before it.
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

/// One column each: control characters and bytes that are not UTF-8 become `?` or U+FFFD.
private func characters(_ bytes: ArraySlice<UInt8>) -> [Character] {
    String(decoding: bytes, as: UTF8.self).unicodeScalars.compactMap { scalar in
        scalar == "\r" ? nil : scalar.value < 0x20 ? " " : Character(scalar)
    }
}

/// A config that cannot be used.
public struct InvalidConfig: Error, Equatable, Advising {
    public var report: IgnitionConfig.Report

    public init(_ report: IgnitionConfig.Report) { self.report = report }
}

extension InvalidConfig: CustomStringConvertible {
    /// The first error with its line and column; how many there are.
    public var description: String {
        let errors = report.errors
        guard let first = errors.first else { return "\(report.source) cannot be used" }
        let place = first.place.map { " line \($0.line), column \($0.column)" } ?? ""
        let more = errors.count > 1 ? " (and \(counted(errors.count - 1, "more error", plural: "more errors")))" : ""
        return "\(report.source)\(place): \(first.sentence)\(more)"
    }

    public var advice: [String] {
        let others = report.errors.dropFirst().prefix(5).map { error in
            (error.place.map { "also line \($0.line), column \($0.column): " } ?? "also ") + error.sentence
        }
        return ["Correct the config, for instance with `firstlight validate`."] + others
    }
}
