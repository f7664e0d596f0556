// `firstlight validate`, and the same under the name and with the manners of ignition-validate.

import Glibc
import IgnitionConfig
import JSONText
import LinuxSystem
import Reporting
import SystemPackage

/// Checks configs for whoever writes them. Nothing is fetched, merged or carried out.
public enum Validation {
    /// Prints what is wrong with configs.
    ///
    /// - Parameters:
    ///   - files: `-` is standard input.
    ///   - asJSON: One array for programs, with an entry for each file.
    ///   - isStrict: Warnings are errors: what a boot takes in its stride, and hardly anybody can have meant.
    /// - Returns: The exit status: 0 without errors, 1 with some or where a file cannot be read.
    public static func run(_ files: [String], asJSON: Bool = false, isStrict: Bool = false) -> Int32 {
        var status: Int32 = 0
        var entries: [JSONValue] = []
        for file in files {
            var report: IgnitionConfig.Report
            do {
                report = IgnitionConfig.parse(try read(file), name: name(of: file)).report
                if isStrict { report.takeWarningsForErrors() }
            } catch {
                status = 1
                if asJSON {
                    entries.append(["source": .string(file), "valid": false, "unreadable": .string("\(error)")])
                } else {
                    say("cannot read \(file): \(error)", to: 2)
                }
                continue
            }
            if !report.errors.isEmpty { status = 1 }
            if asJSON {
                entries.append(report.json)
            } else if !report.diagnostics.isEmpty {
                say("\(report)", to: 1)
            }
        }
        if asJSON { say(JSONValue.array(entries).text(), to: 1) }
        return status
    }

    /// `ignition-validate [-version] FILE`: flags, lines and exit status of the reference.
    public static func reference(_ arguments: [String]) -> Int32 {
        var rest = arguments[...]
        var wantsVersion = false
        while let word = rest.first, word.hasPrefix("-"), word != "-" {
            rest = rest.dropFirst()
            if word == "--" { break }
            let flag = word.drop { $0 == "-" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = flag.count > 1 ? String(flag[1]) : "true"
            switch flag.first.map(String.init) {
            case "version":
                switch value {
                case "1", "t", "T", "true", "TRUE", "True": wantsVersion = true
                case "0", "f", "F", "false", "FALSE", "False": wantsVersion = false
                default:
                    say("invalid boolean value \"\(value)\" for -version\n\(usage)", to: 2)
                    return 2
                }
            case "h", "help":
                say(usage, to: 2)
                return 0
            default:
                say("flag provided but not defined: \(word)\n\(usage)", to: 2)
                return 2
            }
        }
        if wantsVersion {
            say("Ignition \(ignitionVersion), Firstlight \(firstlightVersion)", to: 1)
            return 0
        }
        guard rest.count == 1, let file = rest.first else {
            say(usage, to: 2)
            return 1
        }
        let report: IgnitionConfig.Report
        do {
            report = IgnitionConfig.parse(try read(file), name: name(of: file)).report
        } catch {
            say("cannot read \(file): \(error)", to: 2)
            return 1
        }
        if let reason = report.unparsedReason { say("cannot parse the config: \(reason)", to: 2) }
        let more = report.omittedErrors + report.omittedWarnings
        let lines = report.referenceLines + (more > 0 ? ["info: and \(more) more"] : [])
        if !lines.isEmpty { say(lines.joined(separator: "\n"), to: 1) }
        return report.errors.isEmpty ? 0 : 1
    }

    private static let usage = """
        Usage:
          ignition-validate [flags] config.ign

          -version
            \tprint the version of ignition-validate
        """

    private static func name(of file: String) -> String { file == "-" ? "standard input" : file }

    private static func read(_ file: String) throws -> [UInt8] {
        file == "-" ? try readAll(0) : try Files.read(FilePath(file))
    }

    private static func say(_ text: String, to descriptor: Int32) {
        try? Files.writeAll(Array((text + "\n").utf8), to: descriptor)
    }
}
