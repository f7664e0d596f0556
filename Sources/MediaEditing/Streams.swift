// MediaEditing: the commands that change boot media of Fedora CoreOS's kind: files in, files out. What is decided about
// bytes is decided in BootMedia.

import BootMedia
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// Standard input, output and error of a command.
public struct Streams {
    /// Writes on standard output.
    public var write: (UnsafeRawBufferPointer) throws -> Void
    /// The next part of standard input; empty at its end.
    public var read: () throws -> [UInt8]
    /// Prints a line on standard error.
    public var tell: (String) -> Void
    /// Tells how far something is that may take long, in bytes.
    public var progress: (_ act: String, _ done: UInt64, _ total: UInt64) -> Void
    /// Whether standard output is a terminal, which takes no binary data.
    public var outputIsTerminal: Bool
    /// Makes an Ignition config of a user's text in another language; Ignition's own stays as it is.
    public var translate: (_ config: [UInt8], _ name: String) throws -> [UInt8] = { config, _ in config }

    /// Creates streams from functions.
    public init(
        write: @escaping (UnsafeRawBufferPointer) throws -> Void, read: @escaping () throws -> [UInt8],
        tell: @escaping (String) -> Void, progress: @escaping (String, UInt64, UInt64) -> Void = { _, _, _ in },
        outputIsTerminal: Bool = false
    ) {
        self.write = write
        self.read = read
        self.tell = tell
        self.progress = progress
        self.outputIsTerminal = outputIsTerminal
    }

    /// The Ignition config of a file, or of standard input for `nil`.
    func config(_ path: String?) throws -> [UInt8] {
        try translate(try path.map(contents(of:)) ?? readToEnd(), path ?? "<stdin>")
    }

    /// Those of the process.
    public static func standard(progress: @escaping (String, UInt64, UInt64) -> Void) -> Streams {
        Streams(
            write: { bytes in
                try step("writing output") {
                    try SystemFault.converting { () throws(Errno) in try Files.writeAll(bytes, to: STDOUT_FILENO) }
                }
            },
            read: { try step("reading stdin") { try SystemFault.read(STDIN_FILENO) } },
            tell: { try? Files.writeAll(Array("\($0)\n".utf8), to: STDERR_FILENO) },
            progress: progress, outputIsTerminal: isatty(STDOUT_FILENO) == 1)
    }

    func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

    /// Prints a line on standard output.
    func print(_ line: String) throws { try write(Array("\(line)\n".utf8)) }

    func readToEnd() throws -> [UInt8] {
        var bytes: [UInt8] = []
        while case let part = try read(), !part.isEmpty { bytes += part }
        return bytes
    }

    /// - Throws: Where binary data would go to a terminal.
    func refuseTerminal() throws {
        guard !outputIsTerminal else { throw MediaFault("Refusing to write binary data to terminal") }
    }
}

/// An error of the system, in the words that scripts know: `File exists (os error 17)`.
public struct SystemFault: Error, Equatable, CustomStringConvertible {
    /// What the system said.
    public let reason: Errno

    /// Creates an error from what the system said.
    public init(_ reason: Errno) { self.reason = reason }

    /// The error of the call just made.
    static var current: SystemFault { SystemFault(Errno(rawValue: errno)) }

    /// The error as text, with its number.
    public var description: String { "\(reason) (os error \(reason.rawValue))" }

    static func converting<Result>(_ body: () throws(Errno) -> Result) throws(SystemFault) -> Result {
        do { return try body() } catch { throw SystemFault(error) }
    }

    /// The same for what names its file by itself: the step around it does so here.
    static func onFiles<Result>(_ body: () throws(FileFault) -> Result) throws(SystemFault) -> Result {
        do { return try body() } catch { throw SystemFault(error.reason) }
    }

    /// The next part of a file; empty at its end.
    static func read(_ descriptor: Int32, upTo most: Int = 1 << 20) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: most) { buffer, filled in
            while true {
                let count = Glibc.read(descriptor, buffer.baseAddress, most)
                if count >= 0 {
                    filled = count
                    return
                }
                let fault = current
                if fault.reason != .interrupted { throw fault }
            }
        }
    }
}

/// The contents of a file that a user named.
func contents(of path: String) throws -> [UInt8] {
    try step("reading \(path)") {
        try SystemFault.onFiles { () throws(FileFault) in try Files.read(FilePath(path)) }
    }
}
