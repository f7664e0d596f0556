// The report as people read it: one page of a console, with the stages below each other.

import Reporting

extension ProvisioningReport {
    /// The report as lines of a console.
    ///
    /// The first line follows a head that leaves it 60 columns; the others are whole lines of at most 80. Each kind of
    /// change takes at most two lines where names allow, so that the report stays a page however long the config is.
    /// What the console has already shown, such as where config and root image came from, is only in `report.json`.
    ///
    ///     provisioned in 1.4 s: 2 kept, 3 created, nothing destroyed
    ///               disks       0.6 s  kept /dev/vda1 "var", xfs "var" on /dev/vda1
    ///               files       0.3 s  created /etc/motd, user core
    public var page: [String] {
        let verb =
            switch outcome {
            case .failed: "stopped after"
            case .unfinished, .done: "provisioned in"
            }
        return ["\(verb) \(tenths(seconds)) s: \(changes.summary)"] + fallbackLines + stages.flatMap(\.lines)
    }

    /// The lines about the fallback: the console has shown them already, and nobody should miss them.
    private var fallbackLines: [String] {
        guard let fallback else { return [] }
        let margin = Stage.margin + 10
        let text = "the OLDER image runs, \(fallback.image)"
        return wrapped(text, width: 80, indent: margin).enumerated().map { number, line in
            (number == 0 ? spaces(Stage.margin) + rightPadded("rootfs", to: 10) : spaces(margin)) + line
        }
    }
}

extension ProvisioningReport.Stage {
    /// The column of the console at which topics begin.
    fileprivate static let margin = 10
    /// The number of lines that each kind of change may take.
    private static let mostLines = 2

    fileprivate var lines: [String] {
        let time = tenths(seconds)
        let head = spaces(Self.margin) + rightPadded(name, to: 10) + leftPadded(time, to: 5) + " s  "
        // Losses come first.
        let kinds = [
            ("DESTROYED", changes.destroyed), ("created", changes.created), ("changed", changes.changed),
            ("kept", changes.kept),
        ]
        let texts = kinds.filter { !$0.1.isEmpty }.flatMap { word, names in
            Self.listed(names, after: word + " ", width: 80 - head.count)
        }
        return texts.enumerated().map { ($0.offset == 0 ? head : spaces(head.count)) + $0.element }
    }

    /// A list such as `created a, b, c and 12 more`, on at most two lines.
    private static func listed(_ names: [String], after word: String, width: Int) -> [String] {
        for count in stride(from: min(names.count, 40), through: 1, by: -1) {
            let more = names.count == count ? "" : " and \(names.count - count) more"
            let text = word + names.prefix(count).joined(separator: ", ") + more
            let lines = wrapped(text, width: width, indent: 0)
            if lines.count <= mostLines, lines.allSatisfy({ $0.count <= width }) { return lines }
        }
        // A single long name is printed whole, broken where the line ends.
        let more = names.count == 1 ? "" : " and \(names.count - 1) more"
        var rest = (word + (names.first ?? "") + more)[...]
        var lines: [String] = []
        while !rest.isEmpty {
            lines.append(String(rest.prefix(width)))
            rest = rest.dropFirst(width)
        }
        return lines
    }
}

private func tenths(_ seconds: Double) -> String {
    // A report may have been written by others.
    let tenths = max(0, Int(nearest: seconds * 10))
    return "\(tenths / 10).\(tenths % 10)"
}
