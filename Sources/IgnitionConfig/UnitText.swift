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

    init(parsing text: String) throws(Fault) {
        var section: String?
        var isContinued = false
        // By bytes: to Swift, CR LF is one character and other than LF.
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, bytes) in lines.enumerated() {
            let number = index + 1
            var line = Substring(bytes).drop { $0 == " " || $0 == "\t" || $0 == "\r" }
            if line.last == "\r" { line.removeLast() }
            let wasContinued = isContinued
            isContinued = line.hasSuffix("\\")
            if wasContinued || line.isEmpty { continue }
            guard let first = line.first else { continue }
            if first == "#" || first == ";" { continue }
            if first == "[" {
                guard let end = line.firstIndex(of: "]") else { throw Fault(kind: .openHeader, line: number) }
                guard line[line.index(after: end)...].allSatisfy(\.isWhitespace) else {
                    throw Fault(kind: .afterHeader, line: number)
                }
                section = String(line[line.index(after: line.startIndex)..<end])
            } else if let section {
                guard let equals = line.firstIndex(of: "=") else { throw Fault(kind: .noEquals, line: number) }
                let name = line[..<equals].reversed().drop(while: \.isWhitespace).reversed()
                options.append(Option(section: section, name: String(name)))
            }
        }
    }

    var hasInstallOptions: Bool { options.contains { $0.section == "Install" } }
}
