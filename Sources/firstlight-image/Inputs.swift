// What the commands are given from outside, in one place.

import Glibc
import LinuxSystem
import SystemPackage

func path(_ text: String) -> FilePath { FilePath(text) }

/// A program in the folder of this one.
func besideThisProgram(_ name: String) throws -> FilePath {
    let own = Files.resolved("/proc/self/exe") ?? FilePath(CommandLine.arguments[0])
    return own.removingLastComponent().appending(name)
}

/// The time that reproducible builds agreed on for files (https://reproducible-builds.org/specs/source-date-epoch).
func sourceDate() -> UInt32 {
    getenv("SOURCE_DATE_EPOCH").flatMap { UInt32(String(cString: $0)) } ?? 0
}

/// Prints on standard error.
func say(_ text: String) { try? Files.writeAll(Array("\(text)\n".utf8), to: STDERR_FILENO) }
