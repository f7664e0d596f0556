// Commands: what a person at a shell can ask. This file is `firstlight validate`.

import IgnitionConfig
import JSONText
import LinuxSystem
import Reporting

/// Checks configs for whoever writes them.
///
/// Nothing is fetched, merged or carried out.
public enum ValidateCommand {
    /// Prints what is wrong with configs.
    ///
    /// - Parameters:
    ///   - files: `-` is standard input.
    ///   - asJSON: One array for programs, with an entry for each file.
    ///   - isStrict: Warnings are errors: things that a boot accepts, and that hardly anybody can have meant.
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
                let reason = (error as? FileFault).map { "\($0.reason)" } ?? "\(error)"
                if asJSON {
                    entries.append(["source": .string(file), "valid": false, "unreadable": .string(reason)])
                } else {
                    complain("cannot read \(file): \(reason)")
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
}
