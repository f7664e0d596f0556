// `--output FILE`, and `--output -`, which streams the result.

import ArgumentParser
import CLinux
import Glibc
import InitramfsImage
import LinuxSystem
import SystemPackage

/// Where a command's result goes.
final class OutputTarget {
    /// The file to make; a temporary one if the result is streamed.
    let file: FilePath
    private let name: String
    /// What the result is streamed to; `nil` where it is a file.
    private let stream: Int32?
    /// Holds the file that is streamed.
    private let folder: TemporaryFolder?

    init(_ text: String) throws {
        name = text
        if text != "-", try OutputPlace(allowed: FilePath(text)) == .file {
            file = FilePath(text)
            stream = nil
            folder = nil
            return
        }
        let stream = text == "-" ? OutputPlace.duplicate(STDOUT_FILENO) : try OutputPlace.open(FilePath(text))
        self.stream = stream
        do {
            guard isatty(stream) == 0 else {
                throw Refused(description: "Refusing to write binary data to terminal")
            }
            let folder = try TemporaryFolder()
            file = folder.path.appending("output")
            self.folder = consume folder
        } catch {
            close(stream)
            throw error
        }
    }

    deinit { if let stream { close(stream) } }

    /// The text with the name of the file that the user gave.
    func naming(_ text: String) -> String { stream == nil ? text : text.replacing(file.string, with: name) }

    /// Streams the result where that is asked for; `text` goes to standard output, or beside the stream.
    func finish(telling text: String) throws {
        guard let stream else {
            print(text, terminator: "")
            return
        }
        let reader = try FileReader(file)
        while true {
            let bytes = try reader.next(1 << 20)
            if bytes.isEmpty { break }
            try Files.naming("write to", name == "-" ? "standard output" : FilePath(name)) { () throws(Errno) in
                try Files.writeAll(bytes, to: stream)
            }
        }
        try Files.writeAll(Array(text.utf8), to: isStandardOutput(stream) ? STDERR_FILENO : STDOUT_FILENO)
    }

    private func isStandardOutput(_ descriptor: Int32) -> Bool {
        var (one, other) = (stat(), stat())
        return fstat(descriptor, &one) == 0 && fstat(STDOUT_FILENO, &other) == 0
            && one.st_dev == other.st_dev && one.st_ino == other.st_ino
    }
}

/// What stands where a result is to go.
enum OutputPlace: Equatable {
    /// Nothing yet, or a file, or a link to one: it is replaced when the result is whole.
    case file
    /// What stays as it is and takes bytes as they come: a pipe, /dev/null, what is open (/dev/stdout).
    case stream
    case device(isBlock: Bool)
    case socket

    init(_ path: FilePath) {
        // A link of /proc stands for what is open, which may well be a file.
        guard let status = Files.status(path), Self.openFile(path) == nil else {
            self = Files.status(path) == nil ? .file : .stream
            return
        }
        switch status.st_mode & S_IFMT {
        case S_IFIFO: self = .stream
        // /dev/null, Documentation/admin-guide/devices.txt of Linux
        case S_IFCHR: self = Files.deviceNumber(status.st_rdev) == "1:3" ? .stream : .device(isBlock: false)
        case S_IFBLK: self = .device(isBlock: true)
        case S_IFSOCK: self = .socket
        default: self = .file
        }
    }

    /// - Throws: Where nothing is to be written there: what is renamed to a device would take its place.
    init(allowed path: FilePath) throws(Refused) {
        self = Self(path)
        let what: String
        switch self {
        case .file, .stream: return
        case .device(isBlock: true):
            what = "a block device, not a file; `firstlight-image usb` writes an ISO to a stick or disk"
        case .device(isBlock: false): what = "a character device, not a file"
        case .socket: what = "a socket, not a file"
        }
        throw Refused(description: "\(path) is \(what)")
    }

    /// Opens what takes bytes as they come; of a pipe this waits for somebody who reads.
    static func open(_ path: FilePath) throws(FileFault) -> Int32 {
        let descriptor = ownDescriptor(path).map(duplicate) ?? Glibc.open(path.string, O_WRONLY | O_TRUNC | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileFault("write to", path, Errno(rawValue: errno)) }
        return descriptor
    }

    /// The same open file under another number, which no program that is started keeps open.
    static func duplicate(_ descriptor: Int32) -> Int32 { fcntl(descriptor, F_DUPFD_CLOEXEC, 0) }

    /// Writes a text there, whatever takes it.
    static func write(_ text: String, to path: FilePath) throws {
        if try OutputPlace(allowed: path) == .file { return try Files.write(text, to: path) }
        let descriptor = try open(path)
        defer { close(descriptor) }
        try Files.naming("write to", path) { () throws(Errno) in
            try Files.writeAll(Array(text.utf8), to: descriptor)
        }
    }

    /// The link of /proc that a path leads through, such as `/proc/self/fd/1`.
    private static func openFile(_ path: FilePath) -> FilePath? {
        var place = path
        // As many links as Linux follows.
        for _ in 0..<40 {
            guard let target = Files.linkTarget(place) else { return nil }
            let folder = place.removingLastComponent()
            // PROC_SUPER_MAGIC of linux/magic.h
            if firstlight_filesystem_magic(folder.isEmpty ? "." : folder.string) == 0x9fa0 { return place }
            place = folder.pushing(FilePath(target))
        }
        return nil
    }

    /// The descriptor of this process that a path stands for: a socket or a log is not to be opened anew.
    private static func ownDescriptor(_ path: FilePath) -> Int32? {
        guard let link = openFile(path), let folder = Files.resolved(link.removingLastComponent()),
            folder == FilePath("/proc/\(getpid())/fd")
        else { return nil }
        return link.lastComponent.flatMap { Int32($0.string) }
    }
}

/// A refusal in one line.
struct Refused: Error, CustomStringConvertible {
    var description: String
}
