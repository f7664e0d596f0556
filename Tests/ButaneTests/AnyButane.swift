import Encoding
import Foundation
import IgnitionConfig
import JSONText
import SeededNumbers
import Testing

@testable import Butane

/// What must hold for any config, tried on some hundreds that a seed makes.
@Suite struct AnyButane {
    @Test("translated it is a valid config of its version", arguments: 0..<300)
    func valid(_ seed: UInt64) throws {
        var generator = ButaneGenerator(seed: seed)
        let (text, spec) = generator.config()
        let outcome = Butane.translate(
            Array(text.utf8), name: "config.bu", localFiles: .inMemory(), options: .raw)
        let output = try #require(outcome.output, "\(text)\n\(outcome.report.rawLines)\(outcome.failure ?? "")")
        let parsed = IgnitionConfig.parse(output, name: "generated")
        #expect(parsed.config != nil, "\(text)\n\(parsed.report)")
        #expect(parsed.config?.ignition.version.description == spec)
    }

    @Test("a text is found again in what it is translated to", arguments: 0..<200)
    func contents(_ seed: UInt64) throws {
        var numbers = SeededNumbers(seed: seed)
        let alphabet = Array("ab \n\"'\\:#-{}%&<>ü€\t").map(String.init)
        let length = Int.random(in: 0...400, using: &numbers)
        let kinds = Int.random(in: 1...alphabet.count, using: &numbers)
        let text = (0..<length).map { _ in alphabet[Int.random(in: 0..<kinds, using: &numbers)] }.joined()
        let config =
            "variant: fcos\nversion: 1.5.0\nstorage: {files: [{path: /f, contents: {inline: \(JSONValue.quoted(text))}}]}"
        let output = try #require(
            Butane.translate(Array(config.utf8), name: "c", localFiles: .inMemory()).output)
        let contents = try JSONNode(parsing: output)["storage"]?["files"]?.elements?.first?["contents"]
        let url = try #require(contents?["source"]?.string)
        let bytes = try DataURL(parsing: url).bytes
        #expect(
            contents?["compression"]?.string == "gzip" ? inflated(bytes) == Array(text.utf8) : bytes == Array(text.utf8)
        )
        #expect(url.utf8.count <= InlineData.escaped(Array(text.utf8)).utf8.count)
        #expect(url.utf8.count <= DataURL.text(for: Array(text.utf8)).utf8.count)
    }

    @Test("any bytes end in an output or in a reason", arguments: 0..<400)
    func anyBytes(_ seed: UInt64) {
        var numbers = SeededNumbers(seed: seed)
        var generator = ButaneGenerator(seed: seed)
        var bytes = Array(generator.config().text.utf8)
        let pieces = [
            "\0", "\t", "- ", ": ", "&a ", "*a", "<<: *a", "[", "}", "!!int ", "|\n", "\u{feff}", "\r\n", "${x}", "? ",
            "---\n",
        ]
        for _ in 0..<Int.random(in: 1...6, using: &numbers) {
            let place = Int.random(in: 0...bytes.count, using: &numbers)
            bytes.replaceSubrange(
                place..<min(bytes.count, place + Int.random(in: 0...3, using: &numbers)),
                with: Array(pieces.randomElement(using: &numbers)!.utf8))
        }
        let outcome = Butane.translate(bytes, name: "config.bu", localFiles: .inMemory())
        #expect((outcome.output == nil) == (outcome.failure != nil))
        #expect(outcome.output == nil || !outcome.report.hasErrors)
        _ = outcome.report.pretty(outcome.texts, isColoured: true)
    }
}

extension Butane.Options {
    static var raw: Butane.Options {
        var options = Butane.Options()
        options.isRaw = true
        return options
    }
}

/// Makes configs that are valid in every version. Names come from small sets, so that sugar and the user's meet in them.
private struct ButaneGenerator {
    private var numbers: SeededNumbers
    private var isFlow = false

    init(seed: UInt64) { numbers = SeededNumbers(seed: seed) }

    private mutating func chance(_ of: Int) -> Bool { Int.random(in: 0..<of, using: &numbers) == 0 }

    mutating func config() -> (text: String, spec: String) {
        let dialect = Dialect.all[Int.random(in: 0..<Dialect.all.count, using: &numbers)]
        var lines = ["variant: \(dialect.variant.rawValue)", "version: \(dialect.version)"]
        let isOpenShift = dialect.openshift != nil
        if isOpenShift {
            lines.append("metadata: {name: x1, labels: {machineconfiguration.openshift.io/role: worker}}")
        }
        lines.append(
            "passwd:\n  users:\n    - name: core\n      ssh_authorized_keys: [\"key \(chance(2) ? "a" : "b")\"]")
        lines.append("storage:")
        var files: [String] = []
        for (index, path) in ["/etc/a", "/etc/b", "/srv/motd"].enumerated() where chance(2) {
            var fields = ["path: \(path)", "mode: \(["0644", "0o600", "420"][index])"]
            if chance(2) { fields.append("contents: {inline: \"text \(index) %\"}") }
            files.append("    - {\(fields.joined(separator: ", "))}")
        }
        if !files.isEmpty { lines += ["  files:"] + files }
        if dialect.base >= 2, chance(3) { lines.append("  trees: [{local: one, path: /opt}]") }
        let mayHaveDisks = ![.r4e, .fiot].contains(dialect.variant)
        if mayHaveDisks, chance(2) {
            lines.append(
                "  disks: [{device: /dev/vdb, wipe_table: true, partitions: [{label: data, number: 1, size_mib: \(chance(2) ? "0x100" : "256")}]}]"
            )
            var filesystem = "device: /dev/disk/by-partlabel/data, format: xfs, path: /var/data"
            if dialect.base >= 2, chance(2) {
                filesystem += ", mount_options: [ro], with_mount_unit: \(chance(2) ? "yes" : "true")"
            }
            lines.append("  filesystems: [{\(filesystem)}]")
        }
        if mayHaveDisks, dialect.base >= 3, chance(2) {
            lines.append(
                "  luks:\n    - name: v\n      device: /dev/vdc\n      key_file: {inline: secret}\n      wipe_volume: true"
            )
        }
        if chance(2) {
            lines.append(
                "systemd:\n  units:\n    - name: var-data.mount\n      dropins: [{name: x.conf, contents: \"[Unit]\\nA=b\"}]"
            )
        }
        if dialect.hasBootDevice, chance(3) { lines.append("boot_device: {layout: x86_64, luks: {tpm2: true}}") }
        return (lines.joined(separator: "\n") + "\n", dialect.spec.description)
    }
}

/// Texts that are made to take memory, time or the stack.
@Suite struct ButaneBombs {
    private func failure(_ text: String) -> String? {
        Butane.translate(Array(text.utf8), name: "bomb", localFiles: .inMemory()).failure
    }

    private let head = "variant: fcos\nversion: 1.5.0\n"

    @Test("anchors of anchors", .timeLimit(.minutes(1)))
    func laughs() {
        var text = head + "kernel_arguments:\n  should_exist:\n    - &a0 {x: y}\n"
        for level in 1...40 {
            text += "    - &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ") + "]\n"
        }
        #expect(failure(text)?.hasPrefix("yaml: ") == true)
    }

    @Test("lists of aliases where they are read", .timeLimit(.minutes(1)))
    func readLaughs() {
        let list = "[" + Array(repeating: "*f", count: 2000).joined(separator: ", ") + "]"
        let text =
            head
            + "x: &f {path: /f, user: {id: 1}, append: [\(Array(repeating: "{}", count: 150).joined(separator: ", "))]}\nstorage: {files: \(list)}\n"
        #expect(failure(text) == "yaml: document contains excessive aliasing")
    }

    @Test("merge keys of merge keys", .timeLimit(.minutes(1)))
    func merges() {
        var text = head + "x0: &m0 {path: /f}\n"
        for level in 1...60 { text += "x\(level): &m\(level) {<<: [*m\(level - 1), *m\(level - 1)]}\n" }
        #expect(failure(text + "storage: {files: [{<<: *m60}]}\n") == "yaml: document contains excessive aliasing")
        #expect(failure(head + "storage: &s {<<: *s}\n") == "yaml: document contains excessive aliasing")
    }

    @Test("nesting", .timeLimit(.minutes(1)), arguments: ["[", "{a: ", "- ", "? "])
    func nesting(_ opening: String) {
        let text =
            head + "x: \(opening == "[" || opening == "{a: " ? "" : "\n  ")" + String(repeating: opening, count: 20_000)
        #expect(failure(text)?.hasPrefix("Error unmarshaling yaml: yaml: ") == true)
    }

    @Test("a hundred megabytes", .timeLimit(.minutes(1)))
    func size() {
        var bytes = Array(head.utf8)
        bytes += Array(repeating: UInt8(ascii: "#"), count: 100_000_000)
        let outcome = Butane.translate(bytes, name: "bomb", localFiles: .inMemory())
        #expect(outcome.failure == "Error unmarshaling yaml: yaml: the text is longer than 64 MiB")
    }

    @Test("very many values", .timeLimit(.minutes(1)))
    func values() throws {
        let bytes = Array("x: [\(String(repeating: "a,", count: 2000))]".utf8)
        #expect(try YAMLDocument(parsing: bytes).nodes.count == 2003)
        #expect(throws: YAMLFault.self) { try YAMLDocument(parsing: bytes, nodeLimit: 2000) }
    }

    @Test("very many keys, all the same", .timeLimit(.minutes(1)))
    func keys() {
        let text = head + "storage:\n" + String(repeating: "  files: []\n", count: 3000)
        #expect(failure(text)?.hasPrefix("yaml: unmarshal errors:\n  line 5: mapping key \"files\"") == true)
    }

    @Test("very many unknown keys are told by the first thousand", .timeLimit(.minutes(1)))
    func unknownKeys() {
        let text = head + (0..<5000).map { "k\($0): 1\n" }.joined()
        let outcome = Butane.translate(Array(text.utf8), name: "bomb", localFiles: .inMemory())
        #expect(outcome.report.entries.count == 1000 && outcome.output != nil)
    }

    @Test("two thousand files", .timeLimit(.minutes(1)))
    func files() throws {
        let text =
            head + "storage:\n  files:\n"
            + (0..<2000).map { "    - {path: /f\($0), contents: {inline: text}}\n" }.joined()
        #expect(
            try #require(Butane.translate(Array(text.utf8), name: "big", localFiles: .inMemory()).output).count
                > 100_000)
    }
}

@Suite struct ButaneReports {
    private func report(_ text: String, isColoured: Bool = false) -> String {
        let outcome = Butane.translate(Array(text.utf8), name: "dir/config.bu", localFiles: .inMemory())
        return outcome.report.pretty(outcome.texts, isColoured: isColoured)
    }

    @Test func twoLinesAroundTheWord() {
        let text =
            "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /f\n      mode: 644 # decimal\n      user:\n        id: 5\n      group:\n        id: 5\n"
        #expect(
            report(text) == """
                warning[$.storage.files.0.mode]:
                  --> dir/config.bu:6:13
                   |
                 4 |   files:
                 5 |     - path: /f
                 6 |       mode: 644 # decimal
                   |             ^^^ unreasonable mode would be reasonable if specified in octal; remember to add a leading zero
                 7 |       user:
                 8 |         id: 5
                   |

                warning[$.storage.files.0.mode]:
                  --> dir/config.bu:6:13
                   |
                 4 |   files:
                 5 |     - path: /f
                 6 |       mode: 644 # decimal
                   |             ^^^ octal 1204: special bits are dropped before spec 3.6.0; this is 3.4.0
                 7 |       user:
                 8 |         id: 5
                   |

                """)
    }

    @Test func theNumbersOfLinesStandInAColumn() {
        let text = "variant: fcos\nversion: 1.5.0\n" + String(repeating: "#\n", count: 6) + "nothing: 1\n# end\n"
        #expect(
            report(text) == """
                warning[$.nothing]:
                  --> dir/config.bu:9:1
                    |
                  7 | #
                  8 | #
                  9 | nothing: 1
                    | ^^^^^^^^ unused key nothing
                 10 | # end
                 11 | \("")
                    |

                """)
    }

    @Test func colours() {
        let red = report("variant: fcos\nversion: 1.5.0\nstorage: {files: [{path: f}]}\n", isColoured: true)
        #expect(
            red.hasPrefix(
                "\u{1b}[1;31merror\u{1b}[0m[$.storage.files.0.path]:\n  \u{1b}[1;34m-->\u{1b}[0m dir/config.bu:3:26\n"))
        #expect(red.contains("\u{1b}[1;34m^^^^\u{1b}[0m \"f\" is not an absolute path\n"))
    }

    @Test func aMistakeOfAnIncludedConfigIsShownInItsText() {
        let shown = report("variant: firstlight\nversion: 1.0.0\ninclude: [wrong.bu]\n")
        #expect(shown.contains("  --> wrong.bu:3:26\n"))
        #expect(shown.contains(" 3 | storage: {files: [{path: relative}]}\n"))
    }

    @Test func liveSystemsAreRemarkedOn() {
        func remarks(_ text: String) -> [String] {
            Butane.translate(
                Array(("variant: fcos\nversion: 1.5.0\n" + text).utf8), name: "c", localFiles: .inMemory()
            ).remarks
        }
        #expect(remarks("").isEmpty)
        #expect(remarks("boot_device: {luks: {tpm2: true}}").first?.hasPrefix("boot_device: a live system") == true)
        #expect(remarks("grub: {users: [{name: a, password_hash: b}]}").first?.hasPrefix("grub: a live system") == true)
    }

    @Test(
        "what is Butane and what is Ignition",
        arguments: [
            ("variant: fcos", true), ("# comment\n", false), ("{\"ignition\": {}}", false), ("\n {\"a\": 1}", false),
            ("{\"variant\": \"fcos\"}", true), ("", false), ("{variant: fcos}", true), ("a: {variant: fcos}", false),
            ("---\nversion: 1.5.0\n'variant': fcos", true), ("\u{feff}variant: fcos", true), ("[variant]", false),
            ("{\"ignition\": {}, }\n# variant: fcos", false), ("\0\u{1}", false),
            // Mistakes of the YAML: the translation tells of them.
            ("variant: fcos\nstorage: [\n", true), ("a: b\n\"variant\" : fcos\n\tc", true),
            ("storage: [\n  variant: fcos\n", false), ("variants: [\n", false),
        ])
    func told(_ text: String, isButane: Bool) {
        #expect(Butane.isButane(Array(text.utf8)) == isButane)
    }

    @Test func noSecretIsTold() throws {
        var options = Butane.Options()
        try options.variables.set("word", to: "open sesame", isSecret: true)
        try options.variables.set("long", to: String(repeating: "abc", count: 100), isSecret: true)
        for config in ["files: [{path: \"${word}\"}]", "filesystems: [{device: /dev/a, format: \"${long}\"}]"] {
            let text = "variant: firstlight\nversion: 1.0.0\nstorage: {\(config)}\n"
            let outcome = Butane.translate(
                Array(text.utf8), name: "c", localFiles: .inMemory(), options: options)
            let told = outcome.report.pretty(outcome.texts) + (outcome.failure ?? "")
            #expect(told.contains("} is wrong here"))
            #expect(!told.contains("sesame") && !told.contains("abcabc"))
        }
    }

    @Test func gzipIsOneMemberWithoutNameAndTime() {
        for text in ["", "a", String(repeating: "z", count: 149), String(repeating: "abc", count: 100_000)] {
            let packed = GoGzip.member(Array(text.utf8))
            #expect(packed.starts(with: [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff]))
            #expect(inflated(packed) == Array(text.utf8))
        }
    }
}
