// `--output FILE`, and `--output -`, which streams the result.

import ArgumentParser
import Glibc
import InitramfsImage
import LinuxSystem
import SystemPackage

/// Where a command's result goes.
final class OutputTarget {
    /// The file to make; a temporary one if the result is streamed.
    let file: FilePath
    private let isStreamed: Bool
    /// Holds the file that is streamed.
    private let folder: TemporaryFolder?

    init(_ text: String) throws {
        guard text == "-" else {
            file = FilePath(text)
            isStreamed = false
            folder = nil
            return
        }
        guard isatty(STDOUT_FILENO) == 0 else {
            throw Refused(description: "Refusing to write binary data to terminal")
        }
        let folder = try TemporaryFolder()
        file = folder.path.appending("output")
        isStreamed = true
        self.folder = consume folder
    }

    /// The text with the name of the file that the user gave.
    func naming(_ text: String) -> String {
        isStreamed ? text.replacing(file.string, with: "-") : text
    }

    /// Streams the result where that is asked for; `text` goes to standard output, or beside the stream.
    func finish(telling text: String) throws {
        guard isStreamed else {
            print(text, terminator: "")
            return
        }
        let reader = try FileReader(file)
        while true {
            let bytes = try reader.next(1 << 20)
            if bytes.isEmpty { break }
            try Files.naming("write to", "standard output") { () throws(Errno) in
                try Files.writeAll(bytes, to: STDOUT_FILENO)
            }
        }
        try Files.writeAll(Array(text.utf8), to: STDERR_FILENO)
    }
}

/// A refusal in one line.
struct Refused: Error, CustomStringConvertible {
    var description: String
}
