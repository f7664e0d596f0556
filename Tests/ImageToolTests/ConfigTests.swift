import Butane
import CLinux
import Glibc
import InitramfsImage
import LinuxSystem
import SystemPackage
import Testing

@testable import firstlight_image

@Suite struct FilesOfConfigs {
    private func files(_ folder: borrowing TemporaryFolder) -> LocalFiles {
        .onHost(files: folder.path.appending("files"), config: folder.path.appending("config.bu"))
    }

    @Test("a link that leads out reads nothing inside instead", arguments: ["name", "up", "away/hostname"])
    func linksThatLeadOut(_ path: String) throws {
        let folder = try TemporaryFolder()
        try folder.file("etc/hostname", "outside")
        let outside = folder.path.appending("etc/hostname")
        // Where the link would lead if the folder were the root.
        try folder.file("files\(outside)", "inside")
        try folder.file("files/etc/hostname", "inside")
        try folder.link("files/name", to: outside.string)
        try folder.link("files/up", to: "../etc/hostname")
        try folder.link("files/away", to: folder.path.appending("etc").string)
        #expect(throws: LocalFiles.Fault.escapes) { try files(folder).read(path) }
    }

    @Test func anIncludedConfigIsNotReadThroughALinkThatLeadsOut() throws {
        let folder = try TemporaryFolder()
        try folder.file("configs/etc/passwd", "inside")
        try folder.link("configs/passwd.bu", to: "/etc/passwd")
        let files = LocalFiles.onHost(files: nil, config: folder.path.appending("configs/config.bu"))
        #expect(throws: LocalFiles.Fault.escapes) { try files.include("passwd.bu") }
    }

    @Test func linksThatStayInsideAreFollowed() throws {
        let folder = try TemporaryFolder()
        try folder.file("files/a/text", "text")
        try folder.link("files/relative", to: "a/text")
        try folder.link("files/absolute", to: folder.path.appending("files/a").string)
        for path in ["a/text", "relative", "absolute/text", "absolute/../relative"] {
            #expect(try files(folder).read(path) == Array("text".utf8))
        }
        #expect(throws: LocalFiles.Fault.self) { try files(folder).read("none") }
        #expect(throws: LocalFiles.Fault.self) { try files(folder).read("a") }
    }

    @Test func aFolderOfATreeThatCannotBeReadIsAnError() throws {
        let folder = try TemporaryFolder()
        try folder.file("files/tree/closed/secret", "x")
        try folder.file("files/tree/open", "x")
        let closed = folder.path.appending("files/tree/closed")
        for path in [folder.path, folder.path.appending("files"), folder.path.appending("files/tree")] {
            chmod(path.string, 0o755)
        }
        chmod(closed.string, 0)
        defer { chmod(closed.string, 0o755) }
        // Of this thread alone: to root every folder is open.
        let before = firstlight_set_file_identity(65534, 65534)
        defer { _ = firstlight_set_file_identity(before.user, before.group) }
        #expect(throws: LocalFiles.Fault.system("open \(closed): permission denied")) {
            try files(folder).walk("tree")
        }
    }
}

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

@Suite struct ConfigsOfAnyKind {
    @Test(
        "Butane is translated however it is written",
        arguments: [
            "variant: fcos\nversion: 1.5.0\n", "\"variant\": fcos\n'version': 1.5.0\n",
            "{\"variant\": \"fcos\", \"version\": \"1.5.0\"}", "  {variant: fcos, version: 1.5.0}",
            "--- # Butane\nversion: 1.5.0\n? variant\n: fcos\n",
        ])
    func translated(_ text: String) throws {
        let output = try ConfigOptions.parse([]).translate(Array(text.utf8), from: "<stdin>")
        #expect(String(decoding: output, as: UTF8.self) == #"{"ignition":{"version":"3.4.0"}}"#)
    }

    @Test(
        "what is not Butane is embedded as it is",
        arguments: [
            "", "not JSON", #"{"ignition": {"version": "3.4.0"}}"#, "text: |\n  variant: fcos\n", "- variant: fcos\n",
            "a: b\n",
        ])
    func untouched(_ text: String) throws {
        #expect(try ConfigOptions.parse([]).translate(Array(text.utf8), from: "<stdin>") == Array(text.utf8))
    }

    @Test func aMistakeOfTheYAMLIsToldAsOne() throws {
        let text = "variant: fcos\nversion: 1.5.0\nstorage: [\n"
        #expect(throws: ButaneFailure.self) {
            try ConfigOptions.parse([]).translate(Array(text.utf8), from: "<stdin>")
        }
    }
}
