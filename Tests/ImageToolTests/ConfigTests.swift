import Butane
import Glibc
import InitramfsImage
import LinuxSystem
import SystemPackage
import Testing

@testable import firstlight_image

@Suite struct ValuesOfVariables {
    /// What `${name}` is translated to.
    private func value(_ words: [String]) throws -> String? {
        var options = Butane.Options()
        options.variables = try VariableOptions.parse(words).values()
        let config = "variant: firstlight\nversion: 1.0.0\nstorage: {links: [{path: /a, target: \"${name}\"}]}\n"
        let files = LocalFiles.onHost(files: nil, config: nil)
        let outcome = Butane.translate(Array(config.utf8), name: "c", localFiles: files, options: options)
        let output = try #require(outcome.output, "\(outcome.report.rawLines)")
        let text = String(decoding: output, as: UTF8.self)
        return text.split(separator: "\"target\":\"").last.map { String($0.prefix { $0 != "\"" }) }
    }

    @Test(
        "one line ending at the end of a secret's file is not part of it",
        arguments: [
            ("word", "word"), ("word\n", "word"), ("word\r\n", "word"), ("word\n\n", "word\\n"), ("word\r", "word\\r"),
        ])
    func lineEndings(_ text: String, _ value: String) throws {
        let folder = try TemporaryFolder()
        let file = try folder.file("secret", text)
        #expect(try self.value(["--set-secret", "name=@\(file)"]) == value)
    }

    @Test("a file of values has lines of both kinds", arguments: ["\n", "\r\n"])
    func files(_ ending: String) throws {
        let folder = try TemporaryFolder()
        let lines = ["# a comment", "", "other=x", "name=a\u{85}b\u{2028}c"]
        let file = try folder.file("values", lines.joined(separator: ending) + ending)
        #expect(try value(["--set-from", file.string]) == "a\u{85}b\\u2028c")
    }

    @Test func bytesThatAreNoTextAreRefused() throws {
        let folder = try TemporaryFolder()
        let file = try folder.file("bytes", Array("name=".utf8) + [0xff, 0xfe, 0x0a])
        let bytes: [CChar] = [-1, -2, 0]
        setenv("FIRSTLIGHT_TEST_BYTES", bytes, 1)
        for (words, named) in [
            (["--set-secret", "name=@\(file)"], "\(file)"), (["--set-from", "\(file)"], "\(file)"),
            (["--env", "FIRSTLIGHT_TEST_BYTES"], "--env FIRSTLIGHT_TEST_BYTES"),
        ] {
            let failure = #expect(throws: TranslateButane.Failure.self) { try VariableOptions.parse(words).values() }
            let text = "\(try #require(failure))"
            #expect(text.contains(named) && text.contains("not UTF-8"), "\(text)")
        }
    }
}
