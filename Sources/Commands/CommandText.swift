// How commands read what they are given, and say what went wrong.

import LinuxSystem
import Reporting
import SystemPackage

/// The bytes of a file; `-` is standard input.
func read(_ file: String) throws -> [UInt8] {
    let path = FilePath(file)
    if file == "-" { return try Files.readStandardInput() }
    return try Files.read(path)
}

/// The name of a file as it stands before line numbers.
func name(of file: String) -> String { file == "-" ? "standard input" : file }

/// Runs `body` for each name.
///
/// A failure is reported, and the other names are still tried.
///
/// - Returns: Whether all of them succeeded.
func forEach<Item>(_ items: [Item], _ body: (Item) throws -> Void) -> Bool {
    var isFine = true
    for item in items {
        do {
            try body(item)
        } catch {
            complain("\(error)")
            FileFault.adviceAtAShell(about: error).forEach { complain("  \($0)") }
            isFine = false
        }
    }
    return isFine
}

/// Writes a line to standard error.
func complain(_ text: String) { say(text, to: 2) }

func say(_ text: String, to descriptor: Int32) {
    try? Files.writeAll(Array((text + "\n").utf8), to: descriptor)
}
