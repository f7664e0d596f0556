import CZlib
import Foundation
import IgnitionConfig
import Testing

@testable import Butane

/// One case of a file below Fixtures/butane; README.md there tells how they are written.
struct ButaneCase: CustomTestStringConvertible {
    var title: String
    var variant = ""
    var version = ""
    var options = Butane.Options()
    /// Without `-d`.
    var hasFiles = true
    var yaml = ""
    var output: String?
    var failure: String?
    /// Severity, path and message, with a mark's number or 0 in front.
    var entries: [(mark: Int, text: String)] = []
    var places: [Int: (line: Int, column: Int)] = [:]
    var testDescription: String { title }

    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fixtures/butane")

    static func all(in file: String) throws -> [ButaneCase] {
        let text = try String(contentsOf: folder.appending(path: file), encoding: .utf8)
        var cases: [ButaneCase] = []
        var lines: [Substring] = []
        func finish() {
            if let first = lines.first, first.hasPrefix("== ") { cases.append(ButaneCase(lines, file: file)) }
            lines = []
        }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("== ") { finish() }
            if !line.hasPrefix("//") { lines.append(line) }
        }
        finish()
        return cases
    }

    private init(_ lines: [Substring], file: String) {
        title = "\(file): \(lines[0].dropFirst(3))"
        let words = lines[1].split(separator: " ")
        variant = words.count > 0 ? String(words[0]) : ""
        version = words.count > 1 ? String(words[1]) : ""
        for word in words.dropFirst(2) {
            switch word {
            case "raw": options.isRaw = true
            case "pretty": options.isPretty = true
            case "no-files": hasFiles = false
            case let word where word.contains("="):
                let pair = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                try? options.variables.set(String(pair[0]), to: String(pair[1]))
            default: Issue.record("unknown word \(word) in \(title)")
            }
        }
        var config: [String] = variant == "-" ? [] : ["variant: \(variant)", "version: \(version)"]
        var outputs: [Substring] = []
        var isOutput = false
        for line in lines.dropFirst(2) {
            if line.hasPrefix("-> ") {
                isOutput = true
                outputs.append(line.dropFirst(3))
            } else if line.hasPrefix("!! ") {
                failure = String(line.dropFirst(3)).replacing("\\n", with: "\n")
            } else if line.hasPrefix("!") {
                var mark = Int(line.dropFirst().prefix { $0.isNumber }) ?? 0
                let numbers = line.dropFirst(2).prefix { $0 != " " }.split(separator: ":").compactMap { Int($0) }
                if line.hasPrefix("!@"), numbers.count == 2 {
                    mark = 100 + entries.count
                    places[mark] = (numbers[0], numbers[1])
                }
                entries.append((mark, Self.expand(String(line.drop { $0 != " " }.dropFirst()))))
            } else if isOutput {
                outputs.append(line)
            } else {
                config.append(Self.expand(String(line)))
            }
        }
        while config.last == "" { config.removeLast() }
        while outputs.last == "" { outputs.removeLast() }
        for index in config.indices {
            while let mark = config[index].firstIndex(of: "«") {
                let digit = config[index].index(after: mark)
                let number = config[index][digit].wholeNumberValue ?? 0
                places[number] = (
                    index + 1, config[index].unicodeScalars.distance(from: config[index].startIndex, to: mark) + 1
                )
                config[index].removeSubrange(mark...digit)
            }
        }
        yaml = config.joined(separator: "\n") + "\n"
        if !outputs.isEmpty {
            let spec = Self.spec(variant, version)
            output = Self.expand(outputs.joined(separator: "\n"))
                .replacing("{~", with: "{\"ignition\":{\"version\":\"\(spec)\"}")
                .replacing("~v", with: "\"version\":\"\(spec)\"")
        }
    }

    /// `%z*200%` is 200 times z.
    private static func expand(_ text: String) -> String {
        text.replacing(#/%(.)\*([0-9]+)%/#) { match in
            String(repeating: String(match.output.1), count: Int(match.output.2) ?? 0)
        }
    }

    /// By the contract's table, typed here once more.
    static func spec(_ variant: String, _ version: String) -> String {
        switch (variant, version) {
        case ("fcos", "1.0.0"): "3.0.0"
        case ("fcos", "1.1.0"): "3.1.0"
        case ("fcos", "1.2.0"), ("fcos", "1.3.0"): "3.2.0"
        case ("fcos", "1.4.0"), ("flatcar", "1.0.0"), ("r4e", "1.0.0"): "3.3.0"
        case ("fcos", "1.5.0"), ("flatcar", "1.1.0"), ("r4e", "1.1.0"), ("fiot", "1.0.0"): "3.4.0"
        case ("fcos", "1.6.0"): "3.5.0"
        case ("fcos", "1.7.0"), ("firstlight", "1.0.0"): "3.6.0"
        case ("openshift", _):
            switch Int(version.split(separator: ".")[1]) ?? 0 {
            case 8...13: "3.2.0"
            case 14...18: "3.4.0"
            case 19...22: "3.5.0"
            default: "3.7.0-experimental"
            }
        default: "3.7.0-experimental"
        }
    }

    // MARK: Running

    func run() -> Butane.Outcome {
        Butane.translate(
            Array(yaml.utf8), name: "config.bu", localFiles: .inMemory(hasFiles: hasFiles), options: options)
    }

    /// What should be reported, a line each.
    var expectedReport: [String] {
        entries.map { mark, text in
            let words = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
            guard words.count == 3 else { return text }
            let path = words[1] == "-" ? [] : [String(words[1])]
            let place = places[mark].map { ["line \($0.line) col \($0.column)"] } ?? []
            let at = (path + place).joined(separator: ", ")
            return "\(words[0])\(at.isEmpty ? "" : " at \(at)"): \(words[2])"
        }
    }
}

extension LocalFiles {
    /// The files that cases name.
    static func inMemory(hasFiles: Bool = true) -> LocalFiles {
        let files: [String: String] = [
            "motd": "hello\n", "empty": "", "keys": "ssh-ed25519 AAAA one\r\n\nssh-rsa BBBB two\n",
            "unit": "[Service]\nExecStart=/bin/true\n", "dropin": "[Service]\nRestart=no\n",
            "quadlet": "[Container]\nImage=x\n", "config.ign": #"{"ignition":{"version":"3.4.0"}}"#,
            "tree/a": "A", "tree/bin/run": "#!/bin/sh\n", "tree/bin/zz": "Z", "one/etc/motd": "tree\n",
        ]
        let trees: [String: [TreeEntry]] = [
            "tree": [
                .init(path: ".", kind: .directory), .init(path: "a", kind: .file(isExecutable: false)),
                .init(path: "bin", kind: .directory), .init(path: "bin/run", kind: .file(isExecutable: true)),
                .init(path: "link", kind: .link(target: "../a")),
            ],
            "one": [
                .init(path: ".", kind: .directory), .init(path: "etc", kind: .directory),
                .init(path: "etc/motd", kind: .file(isExecutable: false)),
            ],
            "socket": [.init(path: ".", kind: .directory), .init(path: "s", kind: .other)],
        ]
        let included: [String: String] = [
            "base.bu": """
            variant: firstlight
            version: 1.0.0
            storage:
              files:
                - {path: /etc/base, contents: {inline: base}, mode: 0600}
                - {path: /etc/both, contents: {inline: base}}
            """,
            "sub/more.bu":
                "variant: firstlight\nversion: 1.0.0\ninclude: [deep.bu]\nsystemd: {units: [{name: more.service}]}",
            "sub/deep.bu": "variant: fcos\nversion: 1.5.0\nkernel_arguments: {should_exist: [deep]}",
            "circle.bu": "variant: firstlight\nversion: 1.0.0\ninclude: [circle.bu]",
            "back.bu": "variant: firstlight\nversion: 1.0.0\ninclude: [config.bu]",
            "wrong.bu": "variant: firstlight\nversion: 1.0.0\nstorage: {files: [{path: relative}]}",
            "flatcar.bu": "variant: flatcar\nversion: 1.0.0",
        ]
        return LocalFiles(
            hasFiles: hasFiles,
            read: { path throws(LocalFiles.Fault) in
                if path.hasPrefix("../") { throw .escapes }
                guard let text = files[path.replacing("/./", with: "/")] else {
                    throw .system("open files/\(path): no such file or directory")
                }
                return Array(text.utf8)
            },
            walk: { path throws(LocalFiles.Fault) in
                if path.hasPrefix("../") { throw .escapes }
                if files[path] != nil { throw .notDirectory }
                guard let entries = trees[path] else {
                    throw .system("stat files/\(path): no such file or directory")
                }
                return entries
            },
            include: { path throws(LocalFiles.Fault) in
                guard let text = included[path] else { throw .system("open \(path): no such file or directory") }
                return Array(text.utf8)
            })
    }
}

/// gzip in a text: `data:;base64,H4sI...` becomes `gzip:` and what it holds.
func unpackingGzip(_ text: String) -> String {
    text.replacing(#/data:;base64,(H4sI[A-Za-z0-9+\/=]*)/#) { match in
        guard let data = Data(base64Encoded: String(match.output.1)), let bytes = inflated([UInt8](data)) else {
            return "broken gzip"
        }
        return "gzip:" + String(decoding: bytes, as: UTF8.self)
    }
}

/// What zlib makes of a gzip member, or `nil` where it is none or something follows.
func inflated(_ bytes: [UInt8]) -> [UInt8]? {
    var stream = z_stream()
    guard inflateInit2_(&stream, 31, zlibVersion(), Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
    defer { inflateEnd(&stream) }
    var input = bytes
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    return input.withUnsafeMutableBufferPointer { input in
        stream.next_in = input.baseAddress
        stream.avail_in = UInt32(input.count)
        while true {
            let status = buffer.withUnsafeMutableBufferPointer { output in
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                return inflate(&stream, Z_NO_FLUSH)
            }
            result += buffer[..<(buffer.count - Int(stream.avail_out))]
            if status == Z_STREAM_END { return stream.avail_in == 0 ? result : nil }
            if status != Z_OK { return nil }
        }
    }
}
