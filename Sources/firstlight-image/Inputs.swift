// What the commands are given from outside, in one place.

import ArgumentParser
import Butane
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

func path(_ text: String) -> FilePath { FilePath(text) }

/// A program in the folder of this one.
func besideThisProgram(_ name: String) throws -> FilePath {
    let own = Files.resolved("/proc/self/exe") ?? FilePath(CommandLine.arguments[0])
    return own.removingLastComponent().appending(name)
}

/// A config that an image is to hold: Ignition's JSON as it is, Butane translated.
///
/// A Butane config may embed the files of the folder `files`; what it is warned of is said on standard error. Throws
/// ``ButaneFailure`` with the report, or why the file cannot be read.
func configBytes(
    from file: FilePath, files: FilePath? = nil, variables: Variables = Variables()
) throws -> [UInt8] {
    let bytes = try Files.read(file)
    return try translated(bytes, in: file, files: files, variables: variables)?.output ?? bytes
}

/// The Ignition config that a Butane config is translated to; `nil` where the text is not Butane.
///
/// What it is warned of is said on standard error. Throws ``ButaneFailure`` where there is no output.
func translated(
    _ bytes: [UInt8], in file: FilePath?, files: FilePath?, variables: Variables
) throws -> Butane.Outcome? {
    guard Butane.isButane(bytes) else { return nil }
    var options = Butane.Options()
    options.isRaw = true
    options.variables = variables
    let outcome = Butane.translate(
        bytes, name: file?.string ?? "<stdin>", localFiles: .onHost(files: files, config: file), options: options)
    guard outcome.output != nil else { throw ButaneFailure(outcome) }
    if !outcome.report.isEmpty { say(outcome.report.pretty(outcome.texts)) }
    outcome.remarks.forEach { say("note: \($0)") }
    return outcome
}

/// A Butane config that makes no Ignition config.
struct ButaneFailure: Error, CustomStringConvertible, Advising {
    let description: String

    init(_ outcome: Butane.Outcome) {
        description = outcome.report.pretty(outcome.texts) + "Error translating config: \(outcome.failure ?? "")"
    }

    var advice: [String] { ["`firstlight-image butane` translates it by itself, with more options."] }
}

/// Where packed modules are kept: below `XDG_CACHE_HOME`, which is `~/.cache`; `nil` where there is no home.
func cacheFolder() -> FilePath? {
    func folder(_ name: String) -> FilePath? {
        getenv(name).map { FilePath(String(cString: $0)) }.flatMap { $0.isAbsolute ? $0 : nil }
    }
    let caches = folder("XDG_CACHE_HOME") ?? folder("HOME")?.appending(".cache")
    return caches?.appending("firstlight/packed")
}

/// The time that reproducible builds agreed on for files (https://reproducible-builds.org/specs/source-date-epoch).
func sourceDate() throws -> UInt32 { try sourceDateIfSet() ?? 0 }

/// The same; `nil` where nobody set it.
func sourceDateIfSet() throws -> UInt32? { try sourceDate(in: getenv("SOURCE_DATE_EPOCH").map { String(cString: $0) }) }

/// What the variable says; empty is as good as unset.
///
/// Throws a wrong use where it is not a time: images that differ each time would be made without a word.
func sourceDate(in text: String?) throws -> UInt32? {
    guard let text, !text.isEmpty else { return nil }
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let time = UInt32(text) else {
        throw ValidationError("SOURCE_DATE_EPOCH=\(text) is not a number of seconds since 1970, up to \(UInt32.max)")
    }
    return time
}

/// Prints on standard error.
func say(_ text: String) { try? Files.writeAll(Array("\(text)\n".utf8), to: STDERR_FILENO) }

/// Runs `body`, which may take minutes; whoever waits reads on standard error what it is doing, and for how long.
///
/// `body` is given a function that tells of the next step: "packing 300 modules".
func whileTelling<Result>(_ act: String, _ body: ((String) -> Void) throws -> Result) rethrows -> Result {
    let watch = WaitWatch()
    let isTerminal = isatty(STDERR_FILENO) == 1
    watch.onDue { due in
        guard let due else { return }
        let seconds = Int(Machine.uptime() - (due.wait.since ?? 0))
        let text = "\(due.wait.reason ?? act): \(seconds) s"
        if isTerminal {
            try? Files.writeAll(Array("\r\(text.prefix(79))\u{1b}[K".utf8), to: STDERR_FILENO)
        } else if due.news != .none {
            say(text)
        }
    }
    let number = watch.waits.begin(Wait(for: "", reason: act))
    defer {
        watch.waits.end(number)
        watch.onDue { _ in }
        if isTerminal { try? Files.writeAll(Array("\r\u{1b}[K".utf8), to: STDERR_FILENO) }
    }
    return try body { watch.doing($0) }
}
