import Encoding
import Foundation
import IgnitionConfig
import JSONText
import Testing

@testable import Butane

private func translate(_ text: String, _ options: Butane.Options = .init(), files: LocalFiles = .inMemory())
    -> Butane.Outcome
{
    Butane.translate(Array(text.utf8), name: "c", localFiles: files, options: options)
}

@Suite struct BytesOfConfigs {
    private let bytes: [UInt8] = [0xff, 0x00, 0xfe, 0x0a]

    private func source(_ place: String, _ outcome: Butane.Outcome) throws -> [UInt8] {
        let output = try #require(outcome.output, "\(outcome.report.rawLines)\(outcome.failure ?? "")")
        var node: JSONNode? = try JSONNode(parsing: output)
        for key in place.split(separator: ".") { node = node?[String(key)] ?? node?.elements?.first }
        return try DataURL(parsing: #require(node?["source"]?.string)).bytes
    }

    @Test(
        "binary contents come through as they are",
        arguments: [
            ("storage: {files: [{path: /f, contents: {inline: !!binary /wD+Cg==}}]}", "storage.files.0.contents"),
            (
                "storage: {luks: [{name: l, device: /dev/a, key_file: {inline: !!binary /wD+Cg==}}]}",
                "storage.luks.0.keyFile"
            ),
            ("storage: {files: [{path: /f, append: [{inline: !!binary /wD+Cg==}]}]}", "storage.files.0.append.0"),
        ])
    func contents(_ config: String, _ place: String) throws {
        for head in ["variant: fcos\nversion: 1.5.0\n", "variant: firstlight\nversion: 1.0.0\n"] {
            #expect(try source(place, translate(head + config)) == bytes)
        }
        // Before 1.1.0 nothing is compressed, and nothing is base64.
        if !config.contains("luks") {
            #expect(try source(place, translate("variant: fcos\nversion: 1.1.0\n" + config)) == bytes)
        }
    }

    @Test func binaryText() throws {
        let config = "variant: fcos\nversion: 1.5.0\nstorage: {files: [{path: !!binary L2Y=, mode: 420}]}"
        let output = try #require(translate(config).output.map { String(decoding: $0, as: UTF8.self) })
        #expect(output.contains(#""path":"/f""#))
    }

    @Test(
        "bytes in the place of a text are a mistake",
        arguments: [
            "storage: {files: [{path: !!binary /wD+Cg==}]}", "passwd: {users: [{name: !!binary /wD+Cg==}]}",
            "ignition: {config: {replace: {inline: !!binary /wD+Cg==}}}",
        ])
    func bytesAsText(_ config: String) {
        let outcome = translate("variant: fcos\nversion: 1.5.0\n\(config)\n")
        #expect(outcome.output == nil)
    }

    @Test func theMistakeIsNamed() {
        let outcome = translate("variant: fcos\nversion: 1.5.0\npasswd: {users: [{name: !!binary /w==}]}\n")
        #expect(
            outcome.failure
                == "yaml: unmarshal errors:\n  line 3: cannot unmarshal !!binary that is not UTF-8 into string")
        #expect(outcome.report.entries.first?.place?.line == 3)
    }
}

@Suite struct SecretsInTags {
    @Test(
        "what does not fit its tag is shown as it is written",
        arguments: [
            "!!int \"${pw}\"", "!!float '${pw}'", "!!bool \"x${pw}\"", "!!null \"${pw}\"", "!!timestamp \"${pw}\"",
        ])
    func tags(_ value: String) throws {
        var options = Butane.Options()
        try options.variables.set("pw", to: "TOPSECRET", isSecret: true)
        let config = "variant: firstlight\nversion: 1.0.0\npasswd: {users: [{name: a, password_hash: \(value)}]}\n"
        let outcome = translate(config, options)
        let told = outcome.report.pretty(outcome.texts) + (outcome.failure ?? "")
        #expect(outcome.output == nil)
        #expect(!told.contains("TOPSECRET"), "\(told)")
        #expect(told.contains("${pw}` as a !!"), "\(told)")
    }
}

/// Names that look alike and differ in their bytes: Linux compares bytes.
@Suite struct NamesThatDifferInBytes {
    private let composed = "\u{e9}"
    private let decomposed = "e\u{301}"

    private func output(_ config: String, files: LocalFiles = .inMemory()) throws -> JSONNode {
        let outcome = translate(config, files: files)
        return try JSONNode(
            parsing: #require(outcome.output, "\(outcome.report.rawLines)\(outcome.failure ?? "")"))
    }

    @Test func filesOfATree() throws {
        let names = [composed, decomposed]
        let entries =
            [LocalFiles.TreeEntry(path: ".", kind: .directory)]
            + names.map { .init(path: $0, kind: .file(isExecutable: false)) }
        let files = LocalFiles(
            hasFiles: true, read: { path throws(LocalFiles.Fault) in Array(path.utf8) },
            walk: { _ throws(LocalFiles.Fault) in entries }, include: { _ throws(LocalFiles.Fault) in [] })
        let config = "variant: fcos\nversion: 1.5.0\nstorage: {trees: [{local: tree}]}\n"
        let made = try output(config, files: files)["storage"]?["files"]?.elements ?? []
        let paths = made.compactMap { $0["path"]?.string.map { Array($0.utf8) } }
        #expect(paths == names.map { Array("/\($0)".utf8) })
    }

    @Test func mergedFiles() throws {
        func files(_ name: String) -> String { "storage: {files: [{path: /\(name), mode: 420}]}\n" }
        let base = "variant: fcos\nversion: 1.5.0\n" + files(composed)
        let included = LocalFiles(
            hasFiles: true, read: { _ throws(LocalFiles.Fault) in [] }, walk: { _ throws(LocalFiles.Fault) in [] },
            include: { _ throws(LocalFiles.Fault) in Array(base.utf8) })
        let head = "variant: firstlight\nversion: 1.0.0\ninclude: [base.bu]\n"
        for (own, count) in [(files(decomposed), 2), (files(composed), 1)] {
            #expect(try output(head + own, files: included)["storage"]?["files"]?.elements?.count == count)
        }
        // Files and links share their paths.
        let links = "storage: {links: [{path: /\(decomposed), target: /x}]}\n"
        let storage = try output(head + links, files: included)["storage"]
        #expect(storage?["files"]?.elements?.count == 1 && storage?["links"]?.elements?.count == 1)
    }

    @Test func keysOfAMapping() throws {
        let config =
            "variant: openshift\nversion: 4.14.0\nmetadata:\n  name: a\n  labels:\n"
            + "    machineconfiguration.openshift.io/role: worker\n    \(composed): x\n    \(decomposed): y\n"
        #expect(translate(config).failure == nil)
    }
}

@Suite struct Escapes {
    @Test func controlCharactersAreWrittenAsGoWritesThem() throws {
        let text = "variant: fcos\nversion: 1.5.0\nstorage: {links: [{path: /a, target: \"\\b\\f\\e\\n\\t<\\\\\"}]}\n"
        let output = try #require(translate(text).output.map { String(decoding: $0, as: UTF8.self) })
        #expect(output.contains(#""target":"\b\f\u001b\n\t\u003c\\""#), "\(output)")
    }
}
