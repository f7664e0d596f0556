// The syntax of systemd unit files, as far as contents in a config are checked.

/// A unit file, read as far as it is checked.
///
/// - SeeAlso: systemd.syntax(7). As in Ignition, everything before the first `[` is skipped.
struct UnitText: Equatable {
    struct Fault: Error, Equatable, CustomStringConvertible {
        enum Kind: Equatable { case openHeader, afterHeader, noEquals }

        var kind: Kind
        /// The line of the contents, from 1.
        var line: Int

        var description: String {
            switch kind {
            case .openHeader: "line \(line) of the unit: a section header lacks its ]"
            case .afterHeader: "line \(line) of the unit: something follows a section header"
            case .noEquals: "line \(line) of the unit: neither NAME=VALUE, a [Section] nor a comment"
            }
        }
    }

    /// Whether an [Install] section has an option, which is what enabling the unit acts on.
    private(set) var hasInstallOptions = false

    /// Reads by bytes: for Swift, CR LF is one character, and a combining mark changes the one before it.
    init(parsing text: String) throws(Fault) {
        var text = text
        var fault: Fault?
        text.withUTF8 { fault = read($0[...]) }
        if let fault { throw fault }
    }

    private mutating func read(_ text: Slice<UnsafeBufferPointer<UInt8>>) -> Fault? {
        var rest = text
        var number = 0
        var isInSection = false
        var isInInstall = false
        var isContinued = false
        while !rest.isEmpty {
            number += 1
            let whole = rest.prefix { $0 != UInt8(ascii: "\n") }
            rest = rest.dropFirst(whole.count + 1)
            var line = whole.drop(while: isBlank)
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            let wasContinued = isContinued
            isContinued = line.last == UInt8(ascii: "\\")
            guard !wasContinued, let first = line.first else { continue }
            if first == UInt8(ascii: "#") || first == UInt8(ascii: ";") { continue }
            if first == UInt8(ascii: "[") {
                guard let end = line.firstIndex(of: UInt8(ascii: "]")) else {
                    return Fault(kind: .openHeader, line: number)
                }
                guard line[(end + 1)...].allSatisfy(isBlank) else { return Fault(kind: .afterHeader, line: number) }
                isInSection = true
                isInInstall = line[..<end].dropFirst().elementsEqual("Install".utf8)
            } else if isInSection {
                guard line.contains(UInt8(ascii: "=")) else { return Fault(kind: .noEquals, line: number) }
                if isInInstall { hasInstallOptions = true }
            }
        }
        return nil
    }
}

private func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
}
