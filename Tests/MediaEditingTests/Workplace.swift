import BootMedia
import Glibc
import MediaEditing
import MediaSamples
import Synchronization
import Testing

/// A folder of its own, gone with the value.
final class Workplace {
    let path: String

    init() {
        var template = Array("/tmp/firstlight-media-XXXXXX".utf8CString)
        mkdtemp(&template)
        path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } } ?? ""
    }

    deinit { remove(path) }

    private func remove(_ path: String) {
        for name in names(path) { remove("\(path)/\(name)") }
        if rmdir(path) != 0 { unlink(path) }
    }

    private func names(_ path: String) -> [String] {
        guard let handle = opendir(path) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// What is in it, hidden files too.
    var names: [String] { names(path) }

    @discardableResult
    func write(_ name: String, _ bytes: [UInt8]) -> String {
        let file = fopen("\(path)/\(name)", "wb")
        bytes.withUnsafeBytes { _ = fwrite($0.baseAddress, 1, $0.count, file) }
        fclose(file)
        return "\(path)/\(name)"
    }

    @discardableResult
    func write(_ name: String, _ text: String) -> String { write(name, Array(text.utf8)) }

    func read(_ name: String) -> [UInt8]? {
        guard let file = fopen("\(path)/\(name)", "rb") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&room, 1, room.count, file), count > 0 { bytes += room[..<count] }
        return bytes
    }

    func mode(_ name: String) -> mode_t {
        var status = stat()
        return lstat("\(path)/\(name)", &status) == 0 ? status.st_mode & 0o7777 : 0
    }
}

/// What a command printed.
final class Printed {
    var output: [UInt8] = []
    var told: [String] = []
    var text: String { String(decoding: output, as: UTF8.self) }

    func streams(input: [UInt8] = [], terminal: Bool = false) -> Streams {
        var rest: [UInt8]? = input
        return Streams(
            write: { [self] in output += $0 },
            read: {
                defer { rest = nil }
                return rest ?? []
            }, tell: { [self] in told.append($0) }, outputIsTerminal: terminal)
    }
}

/// Runs what a command prints on standard output.
func printed(input: [UInt8] = [], _ body: (Streams) throws -> Void) rethrows -> String {
    let printed = Printed()
    try body(printed.streams(input: input))
    return printed.text
}

/// Runs something that prints nothing of interest.
func quietly(input: [UInt8] = [], _ body: (Streams) throws -> Void) rethrows {
    try body(Printed().streams(input: input))
}

/// What a command that has to fail says.
func refusal(_ body: (Streams) throws -> Void) -> String {
    do {
        try quietly(body)
        return ""
    } catch {
        return "\(error)"
    }
}
