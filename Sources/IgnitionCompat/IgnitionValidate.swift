// `ignition-validate`: a config checked, with the flags, the lines and the exit status of Ignition.

import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

/// The program under the name `ignition-validate`.
public enum IgnitionValidate {
    /// Checks a config: `ignition-validate [-version] FILE`.
    ///
    /// - Returns: The exit status: 0 without errors, 1 with some or where it cannot be read, 2 used wrongly.
    public static func main(_ words: [String]) -> Int32 {
        var wantsVersion = false
        let files: [String]
        do throws(FlagFault) {
            let flags = CommandFlags(style: .go, switches: ["version"])
            files = try flags.read(words) { (flag, value) throws(FlagFault) in
                wantsVersion = try CommandFlags.flag(flag, value)
            }
        } catch {
            IgnitionProgram.say(error == .helpAsked ? usage : "\(error)\n\(usage)", to: 2)
            return error == .helpAsked ? 0 : 2
        }
        if wantsVersion {
            IgnitionProgram.say(IgnitionProgram.version, to: 1)
            return 0
        }
        guard files.count == 1, let file = files.first else {
            IgnitionProgram.say(usage, to: 2)
            return 1
        }
        let report: IgnitionConfig.Report
        do throws(FileFault) {
            let bytes = file == "-" ? try Files.readStandardInput() : try Files.read(FilePath(file))
            report = IgnitionConfig.parse(bytes, name: file == "-" ? "standard input" : file).report
        } catch {
            IgnitionProgram.say("cannot read \(file): \(error.reason)", to: 2)
            return 1
        }
        if let reason = report.unparsedReason { IgnitionProgram.say("cannot parse the config: \(reason)", to: 2) }
        let more = report.omittedErrors + report.omittedWarnings
        let lines = report.ignitionLines + (more > 0 ? ["info: and \(more) more"] : [])
        if !lines.isEmpty { IgnitionProgram.say(lines.joined(separator: "\n"), to: 1) }
        return report.errors.isEmpty ? 0 : 1
    }

    private static let usage = """
        Usage:
          ignition-validate [flags] config.ign

          -version
            \tprint the version of ignition-validate
        """
}
