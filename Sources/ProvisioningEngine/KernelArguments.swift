// The kernel arguments that a config wants, against those that the machine was started with.

import BootArguments
import IgnitionConfig
import JSONText
import Reporting

/// What should change on the command line that starts this machine.
///
/// A live system has no boot loader entry of its own to change. Whoever serves the command line has to change it, so the
/// difference is told, and the boot goes on.
struct KernelArgumentChanges: Equatable, Sendable {
    /// Wanted, and not there.
    var missing: [String] = []
    /// There, and not wanted.
    var unwanted: [String] = []

    /// An entry may hold several words; each is compared whole, without the quotes around its value.
    init(_ wanted: IgnitionConfig.KernelArguments, on line: KernelCommandLine) {
        let present = line.words + line.afterDashes
        func words(_ entry: String) -> [KernelCommandLine.Word] {
            let entry = KernelCommandLine(entry)
            return entry.words + entry.afterDashes
        }
        missing = wanted.shouldExist.filter { !words($0).allSatisfy(present.contains) }
        unwanted = wanted.shouldNotExist.filter { entry in
            let words = words(entry)
            return !words.isEmpty && words.allSatisfy(present.contains)
        }
    }

    /// A line for each thing to do; none where the command line is as wanted.
    var warnings: [String] {
        var lines: [String] = []
        if !missing.isEmpty {
            lines.append("the config wants kernel arguments; add to the kernel command line: \(Self.list(missing))")
        }
        if !unwanted.isEmpty {
            lines.append(
                "the config excludes kernel arguments; remove from the kernel command line: \(Self.list(unwanted))")
        }
        return lines
    }

    /// For programs.
    var json: JSONValue {
        [
            "missing": .array(missing.map { .string(Self.shown($0)) }),
            "unwanted": .array(unwanted.map { .string(Self.shown($0)) }),
        ]
    }

    private static func list(_ entries: [String]) -> String {
        entries.prefix(8).map(shown).joined(separator: " ")
            + (entries.count > 8 ? " and \(entries.count - 8) more" : "")
    }

    /// As people are told: a URL may hold a password, a string may hold what upsets a terminal.
    private static func shown(_ entry: String) -> String {
        let isPlain = entry.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) }
        guard isPlain, !entry.contains("@"), !entry.contains("?"), entry.utf8.count <= 120 else {
            let key = entry.utf8.prefix { ($0 > 0x20 && $0 < 0x7f) && $0 != UInt8(ascii: "=") }.prefix(40)
            return "\(String(decoding: key, as: UTF8.self))=... (as in the config)"
        }
        return entry
    }
}
