// The syntax of systemd unit files, as far as a config's contents are checked.

/// A unit file taken apart into the names of its sections and options.
///
/// - SeeAlso: systemd.syntax(7). Like the reference implementation, whatever comes before the first `[` is passed over.
struct UnitText: Equatable {
    struct Fault: Error, Equatable, CustomStringConvertible {
        enum Kind: Equatable { case openHeader, afterHeader, noEquals }

        var kind: Kind
        /// Of the contents, from 1.
        var line: Int

        var description: String {
            switch kind {
            case .openHeader: "line \(line) of the unit: a section header lacks its ]"
            case .afterHeader: "line \(line) of the unit: something follows a section header"
            case .noEquals: "line \(line) of the unit: neither NAME=VALUE, a [Section] nor a comment"
            }
        }
    }

    struct Option: Equatable {
        var section: String
        var name: String
    }

    var options: [Option] = []

    /// By bytes: to Swift, CR LF is one character, and a combining mark changes the one before it.
    init(parsing text: String) throws(Fault) {
        var section: Substring.UTF8View?
        var isContinued = false
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, bytes) in lines.enumerated() {
            let number = index + 1
            var line = bytes.drop(while: isBlank)
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            let wasContinued = isContinued
            isContinued = line.last == UInt8(ascii: "\\")
            guard !wasContinued, let first = line.first else { continue }
            if first == UInt8(ascii: "#") || first == UInt8(ascii: ";") { continue }
            if first == UInt8(ascii: "[") {
                guard let end = line.firstIndex(of: UInt8(ascii: "]")) else {
                    throw Fault(kind: .openHeader, line: number)
                }
                guard line[line.index(after: end)...].allSatisfy(isBlank) else {
                    throw Fault(kind: .afterHeader, line: number)
                }
                section = line[line.index(after: line.startIndex)..<end]
            } else if let section {
                guard let equals = line.firstIndex(of: UInt8(ascii: "=")) else {
                    throw Fault(kind: .noEquals, line: number)
                }
                var name = line[..<equals]
                while let last = name.last, isBlank(last) { name.removeLast() }
                options.append(Option(section: String(Substring(section)), name: String(Substring(name))))
            }
        }
    }

    var hasInstallOptions: Bool { options.contains { $0.section == "Install" } }
}

private func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
}
