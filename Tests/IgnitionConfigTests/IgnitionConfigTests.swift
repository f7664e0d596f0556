import Foundation
import IgnitionConfig
import JSONText
import Testing

/// One config below Fixtures/config; `NAME.expected` beside it holds its report, or is absent where that is empty.
struct ConfigFixture: CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    let expected: String?
    var testDescription: String { name }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fixtures/config")

    init(_ path: String) throws {
        let url = ConfigFixture.root.appending(path: path)
        name = url.lastPathComponent
        bytes = [UInt8](try Data(contentsOf: url))
        expected = try? String(
            contentsOf: url.deletingPathExtension().appendingPathExtension("expected"), encoding: .utf8)
    }

    static func all(in folder: String) throws -> [ConfigFixture] {
        try FileManager.default.contentsOfDirectory(atPath: root.appending(path: folder).path).sorted()
            .filter { $0.hasSuffix(".ign") }.map { try ConfigFixture("\(folder)/\($0)") }
    }

    var parsed: IgnitionConfig.Parsed { IgnitionConfig.parse(bytes, name: name) }
}

@Suite struct Configs {
    @Test("valid ones are read, with the warnings expected", arguments: try ConfigFixture.all(in: "valid"))
    func valid(_ fixture: ConfigFixture) {
        let parsed = fixture.parsed
        #expect(parsed.config != nil)
        #expect(parsed.report.description + "\n" == fixture.expected ?? "no mistakes\n")
    }

    @Test("invalid ones are refused, with every mistake", arguments: try ConfigFixture.all(in: "invalid"))
    func invalid(_ fixture: ConfigFixture) throws {
        let parsed = fixture.parsed
        #expect(parsed.config == nil)
        #expect(parsed.report.description + "\n" == (try #require(fixture.expected)))
    }

    @Test("each rule is kept, by a config for each", arguments: try ConfigFixture.all(in: "rules"))
    func rule(_ fixture: ConfigFixture) {
        let parsed = fixture.parsed
        #expect(parsed.report.description + "\n" == fixture.expected ?? "no mistakes\n")
        #expect((parsed.config == nil) == !parsed.report.errors.isEmpty)
    }

    @Test(arguments: ["data:,secret", "DATA:,secret"]) func aDataURLIsItsContentAndNotShown(url: String) {
        let authority = #"{"source": "\#(url)"}"#
        let text =
            #"{"ignition": {"version": "3.4.0", "#
            + #""security": {"tls": {"certificateAuthorities": [\#(authority), \#(authority)]}}}}"#
        let report = IgnitionConfig.parse(Array(text.utf8), name: "c.ign").report
        let messages = report.errors.map(\.message)
        #expect(messages.contains { $0.contains("data: URL") && $0.contains("already") }, "\(messages)")
        #expect(!messages.contains { $0.contains("secret") }, "\(messages)")
    }

    @Test func everyFieldArrives() throws {
        let config = try ConfigFixture("valid/every-field.ign").parsed.checked()
        #expect(config.ignition.version == .v35)
        let merge = try #require(config.ignition.config.merge.first)
        #expect(merge.source?.text == "https://example.org/base.ign")
        #expect(merge.isCompressed)
        #expect(merge.httpHeaders.map(\.value) == ["Bearer x", nil])
        #expect(merge.verification.digest?.function == .sha256)
        #expect(merge.verification.digest?.bytes.prefix(3) == [0x01, 0x23, 0x45])
        #expect(config.ignition.timeouts.httpTotal == 600)
        #expect(config.ignition.proxy.noProxy == ["localhost", "10.0.0.0/8"])
        #expect(config.ignition.security.tls.certificateAuthorities.count == 1)
        #expect(config.kernelArguments.shouldExist == ["console=ttyS0", "quiet"])
        #expect(config.kernelArguments.shouldNotExist == ["debug"])

        let partitions = try #require(config.storage.disks.first).partitions
        #expect(partitions.map(\.number) == [1, 2, 3])
        #expect(partitions.map(\.label) == ["ROOT", "", nil])
        #expect(partitions.map(\.startMiB) == [1, 513, nil])
        #expect(partitions.map(\.sizeMiB) == [512, 100, nil])
        #expect(partitions.map(\.shouldExist) == [true, nil, false])
        #expect(partitions.map(\.resize) == [true, nil, nil])
        let array = try #require(config.storage.raid.first)
        #expect(array.devices == ["/dev/vdb", "/dev/vdc", "/dev/vdd"])
        #expect(array.spares == 1)
        let volume = try #require(config.storage.luks.first)
        #expect(volume.clevis.tang.first?.advertisement == "{\"payload\": \"\"}")
        #expect(volume.discard == true)
        #expect(volume.openOptions == ["--perf-no_read_workqueue"])
        let filesystem = try #require(config.storage.filesystems.first)
        #expect(filesystem.mountOptions == ["noatime"])
        #expect(filesystem.wipeFilesystem == true)

        let file = try #require(config.storage.files.first)
        #expect(file.mode == 0o640)
        #expect(file.user.id == 0)
        #expect(file.group.name == "adm")
        #expect(config.storage.files[1].append.map(\.source?.text) == ["data:,a", "data:,a"])
        #expect(config.storage.directories.first?.mode == 0o700)
        #expect(config.storage.links.map(\.hard) == [nil, true])
        let unit = try #require(config.systemd.units.first)
        #expect(unit.enabled == true)
        #expect(unit.mask == false)
        #expect(unit.dropins.map(\.contents) == ["[Service]\nNice=5\n", nil])
        let user = try #require(config.passwd.users.first)
        #expect(user.sshAuthorizedKeys.count == 2)
        #expect(user.uid == 1000)
        #expect(user.noUserGroup == true)
        #expect(config.passwd.groups.first?.gid == 1000)
    }

    @Test func placesDoNotCountWhenConfigsAreCompared() throws {
        let compact = IgnitionConfig.parse(
            Array(#"{"ignition":{"version":"3.0.0"},"storage":{"files":[{"path":"/a"}]}}"#.utf8), name: "one")
        let spread = IgnitionConfig.parse(
            Array("{\"storage\":{\"files\":[\n{\"path\":\"/a\"}]},\n\"ignition\":{\"version\":\"3.0.0\"}}".utf8),
            name: "two")
        #expect(try compact.checked() == spread.checked())
        #expect(try compact.checked().storage.files[0].origin.description == "storage.files[0], one line 1")
        #expect(try spread.checked().storage.files[0].origin.describe("path") == "storage.files[0].path, two line 2")
    }

    @Test("what programs go by is not a word of a message")
    func kinds() {
        let text = """
            {"ignition": {"version": "3.3.0", "timeouts": {"httpTotal": -1}}, "colour": 1,
             "kernelArguments": {"shouldExist": []},
             "storage": {
               "files": [{"path": "/a", "mode": 644, "Overwrite": true}],
               "luks": [{"name": "a", "device": "/dev/a", "discard": true}],
               "raid": [{"name": "a", "level": "raid5", "devices": ["/dev/a"], "spares": 1}]
             }}
            """
        let report = IgnitionConfig.parse(Array(text.utf8), name: "config.ign").report
        var kinds: [String: IgnitionConfig.Diagnostic.Kind] = [:]
        for warning in report.warnings { kinds[warning.path] = warning.kind }
        #expect(
            kinds == [
                "colour": .unknownKey(since: nil), "storage.luks[0].discard": .unknownKey(since: .v34),
                "ignition.timeouts.httpTotal": .negativeTimeout, "storage.files[0].mode": .decimalMode(644),
                "storage.files[0].Overwrite": .plain, "storage.raid[0].spares": .onlySpares,
            ])
    }

    @Test("places are told of the text that a config was made of")
    func otherPlaces() throws {
        let text = #"{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/a","mode":644},{"path":"b"}]}}"#
        let bytes = Array(text.utf8)
        func byte(_ part: String) throws -> Int {
            text.utf8.distance(from: text.startIndex, to: try #require(text.firstRange(of: part)).lowerBound)
        }
        let source = IgnitionConfig.SourceText(
            name: "config.bu",
            places: [
                try byte("644"): .init(text: "config.bu", line: 7, column: 9),
                try byte(#""b""#): .init(text: "part.bu", line: 3, column: 11),
            ])
        let sent = IgnitionConfig.PlacedText(bytes, source: source).bytes
        let placed = try #require(IgnitionConfig.PlacedText(parsing: sent))
        #expect(placed.config == bytes && IgnitionConfig.PlacedText(parsing: bytes) == nil)
        let parsed = IgnitionConfig.parse(placed.config, source: placed.source)
        #expect(
            parsed.report.description == """
                config.bu:7:9: warning: storage.files[0].mode: 644 is octal 1204; 420 is octal 644
                part.bu:3:11: error: storage.files[1].path: "b" is not an absolute path
                1 error, 1 warning
                """)
        let error = #expect(throws: InvalidConfig.self) { try parsed.checked() }
        #expect(error?.description == #"part.bu line 3, column 11: storage.files[1].path: "b" is not an absolute path"#)
    }

    @Test func specialModeBitsAreKeptFromSpec36On() throws {
        #expect(try ConfigFixture("valid/special-mode-3.6.ign").parsed.checked().storage.directories[0].mode == 0o1777)
        #expect(try ConfigFixture("valid/special-mode-3.5.ign").parsed.checked().storage.directories[0].mode == 0o777)
    }

    @Test func onlyAConfigToBeMergedMayLackALinksTarget() throws {
        let parsed = try ConfigFixture("rules/link-without-target-3.2.ign").parsed
        #expect(parsed.config != nil)
        #expect(throws: InvalidConfig.self) { try parsed.checked() }
    }

    @Test func ofAMillionMistakesTheFirstAreToldAndAllAreCounted() {
        let entries = Array(repeating: #"{"pth":"/a"}"#, count: 5000).joined(separator: ",\n")
        let report = IgnitionConfig.parse(
            Array(#"{"ignition":{"version":"3.0.0"},"storage":{"files":[\#(entries)]}}"#.utf8), name: "many"
        ).report
        #expect(report.diagnostics.count == 2000)
        #expect(report.summary == "5000 errors, 5000 warnings")
        #expect(report.description.split(separator: "\n").count < 400)
        #expect(report.json["errors"]?.integer == 5000)
    }

    @Test func aMessageStaysShortWhateverItQuotes() {
        let marks = "a" + String(repeating: "\u{301}", count: 100_000)
        let long = String(repeating: "/a", count: 100_000)
        for path in [marks, "/\(marks)/", long + "/", "/x/.." + long] {
            let text = #"{"ignition":{"version":"3.0.0"},"storage":{"files":[{"path":"\#(path)"}]},"\#(path)":1}"#
            let report = IgnitionConfig.parse(Array(text.utf8), name: "long").report
            #expect(report.diagnostics.count == 2)
            #expect(report.description.utf8.count < 2000)
        }
    }

    /// To Swift a slash or colon and a combining mark are one character; to the system they are two.
    @Test func combiningMarksHideNothing() {
        func report(_ body: String) -> IgnitionConfig.Report {
            IgnitionConfig.parse(Array(#"{"ignition":{"version":"3.0.0"},\#(body)}"#.utf8), name: "marks").report
        }
        #expect(report("\"storage\":{\"files\":[{\"path\":\"/\u{301}a\"}]}").diagnostics == [])
        #expect(report("\"storage\":{\"files\":[{\"path\":\"/a/../\u{301}b\"}]}").errors.count == 1)
        #expect(report("\"passwd\":{\"users\":[{\"name\":\"a:\u{301}\"}]}").errors.count == 1)
        #expect(report("\"passwd\":{\"users\":[{\"name\":\"a\",\"gecos\":\"x:\u{301}0\"}]}").errors.count == 1)
        let composed = "{\"path\":\"/\u{e9}\"},{\"path\":\"/e\u{301}\"}"
        #expect(report("\"storage\":{\"files\":[\(composed)]}").diagnostics == [])
    }

    @Test func theReferencesLinesNameThePathWithDots() throws {
        let report = try ConfigFixture("rules/user-key-twice.ign").parsed.report
        #expect(
            report.ignitionLines == [
                "error at $.passwd.users.0.sshAuthorizedKeys.1, line 2 col 65: \"k\" is in sshAuthorizedKeys[0] already"
            ])
        #expect(report.unparsedReason == nil)
        let versions = try ConfigFixture("invalid/version-2.ign").parsed.report
        #expect(versions.ignitionLines.isEmpty)
        #expect(versions.unparsedReason?.contains("too old") == true)
    }

    @Test func nullIsAbsentAndEmptyIsNot() throws {
        let config = try ConfigFixture("valid/nulls.ign").parsed.checked()
        #expect(config.storage.files[0].mode == nil)
        #expect(config.storage.files[0].contents.source?.text == "")
        #expect(config.storage.files[0].contents.compression == nil)
        #expect(config.passwd.users[0].sshAuthorizedKeys == [""])
    }

    @Test func strictlyWarningsAreErrors() throws {
        let parsed = try ConfigFixture("rules/mode-octal-digits.ign").parsed
        #expect(parsed.config?.storage.files[0].mode == 0o363 && parsed.report.errors.isEmpty)
        var report = parsed.report
        report.takeWarningsForErrors()
        #expect(report.errors.map(\.sentence) == ["storage.files[0].mode: 755 is octal 1363; 493 is octal 755"])
        #expect(report.summary == "1 error")
    }

    @Test(
        "a key that is there twice is read as Go reads it",
        arguments: [
            (#"{"files": [{"path": "/a"}]}, "storage": {"files": [{"path": "/b"}]}"#, ["/b"], [] as [String]),
            (#"{"files": [{"path": "/a"}]}, "storage": {"links": [{"path": "/l", "target": "/a"}]}"#, ["/a"], ["/l"]),
            (#"{"files": [{"path": "/a", "path": "/b", "path": "/c"}]}"#, ["/c"], []),
        ])
    func twice(storage: String, files: [String], links: [String]) throws {
        let text = #"{"ignition": {"version": "3.3.0"}, "storage": \#(storage)}"#
        let parsed = IgnitionConfig.parse(Array(text.utf8), name: "config.ign")
        #expect(try parsed.checked().storage.files.map(\.path) == files)
        #expect(parsed.config?.storage.links.map(\.path) == links)
        #expect(parsed.report.warnings.allSatisfy { $0.message.hasSuffix("; the last value counts") })
        #expect(!parsed.report.warnings.isEmpty)
    }

    @Test func aFailureNamesTheFirstErrorAndAdvisesTheOthers() throws {
        let parsed = try ConfigFixture("invalid/mode-in-octal-digits.ign").parsed
        let failure = InvalidConfig(parsed.report)
        #expect(
            failure.description
                == "mode-in-octal-digits.ign line 12, column 17: storage.files[1].mode: expected a number, "
                + "found a string; a mode is a decimal number: 384 is octal 600 (and 4 more errors)")
        #expect(failure.advice.count == 5)
    }
}

@Suite struct UnsupportedFields {
    @Test func theGuidesConfigIsSupported() throws {
        #expect(IgnitionConfig.unsupported(in: try ConfigFixture("valid/persistent-var.ign").parsed.checked()).isEmpty)
    }

    @Test func everyFieldWithoutAnActionIsNamedWithItsLine() throws {
        #expect(IgnitionConfig.unsupported(in: try ConfigFixture("valid/every-field.ign").parsed.checked()).isEmpty)
        let text = """
            {"ignition": {"version": "3.5.0"}, "storage": {"luks": [
              {"name": "a", "device": "/dev/vda", "cex": {"enabled": true}},
              {"name": "b", "device": "/dev/vdb", "cex": {"enabled": true}}]}}
            """
        let config = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked()
        let fields = IgnitionConfig.unsupported(in: config)
        #expect(
            fields.map { "\($0.path) \($0.place?.line ?? 0)" } == ["storage.luks[0].cex 2", "storage.luks[1].cex 3"])
        #expect(
            UnsupportedConfig(fields).description
                == "config.ign line 2: storage.luks[0].cex is not supported yet (and 1 more field)")
    }
}
