// Where a changed image goes: in place, into a new file, to standard output. The bytes are the same.

import BootMedia
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// Where a command puts the image that it changed.
public enum ImageOutput: Equatable, Sendable {
    /// Into the file that it read.
    case inPlace
    /// Into a file that must not be there yet.
    case file(String)
    case standardOutput

    /// - Parameter option: The value of `-o`; `nil` where it was not given.
    public init(_ option: String?) {
        self =
            switch option {
            case nil: .inPlace
            case "-": .standardOutput
            case let path?: .file(path)
            }
    }

    /// Opens the image that is to be changed.
    func open(_ path: String, _ streams: Streams) throws -> MediaFile {
        let file = try MediaFile(path, forWriting: self == .inPlace)
        if self == .inPlace {
            try InPlace.lock(file)
            if try InPlace.finishInterrupted(file) {
                streams.tell("An interrupted command had begun to change \(path); that is undone.")
            }
        }
        return file
    }

    /// Opens a live ISO, lets `body` change it, and writes it with its changes.
    func change(_ path: String, _ streams: Streams, _ body: (inout LiveISO) throws -> Void) throws {
        let file = try open(path, streams)
        var iso = try LiveISO(reading: try file.source)
        try body(&iso)
        if let warning = iso.argumentWarning { streams.tell(warning) }
        try write(try iso.patches(), of: file, streams)
    }

    /// Writes the image with its changes.
    func write(_ patches: [Patch], of image: MediaFile, _ streams: Streams) throws {
        let patches = patches.inOrder
        for (patch, next) in zip(patches, patches.dropFirst()) where patch.end > next.offset {
            throw MediaFault("region starting at \(next.offset) precedes current offset \(patch.end)")
        }
        switch self {
        case .inPlace: try InPlace.apply(patches, to: image, telling: streams.tell)
        case .file(let path): try Self.copy(image, patches, to: path, streams)
        case .standardOutput: try Self.stream(image, patches, streams)
        }
    }

    private static func copy(_ image: MediaFile, _ patches: [Patch], to path: String, _ streams: Streams) throws {
        let folder = try NewFile.folder(of: path)
        // Refused before a gigabyte is copied; a file that appears meanwhile is refused at the end.
        guard !Files.exists(FilePath(path)) else {
            throw BootFailure(steps: ["persisting output file to \(path)"], cause: SystemFault(.fileExists))
        }
        let output = try NewFile(in: folder)
        try step("copying input to temporary file") {
            try FileCopy(
                file: image, output: output.file, progress: { streams.progress("writing \(path)", $0, $1) }
            ).all()
        }
        for patch in patches { try output.file.write(patch.new, at: patch.offset) }
        try step("persisting output file to \(path)") { try output.keep(as: path) }
    }

    private static func stream(_ image: MediaFile, _ patches: [Patch], _ streams: Streams) throws {
        try streams.refuseTerminal()
        let source = try image.source
        var position: UInt64 = 0
        func copy(to end: UInt64) throws {
            let begin = position
            try source.forEachPart(
                begin..<end, progress: { streams.progress("writing the image", begin + $0, source.length) },
                { try streams.write($0) })
            position = end
        }
        for patch in patches {
            try copy(to: patch.offset)
            try streams.write(patch.new)
            position = patch.end
        }
        try copy(to: source.length)
    }
}
