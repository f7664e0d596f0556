import Foundation
import IgnitionConfig
import JSONText
import SeededNumbers
import Testing

@testable import Butane

@Suite struct ButaneFixtures {
    static let files = [
        "fields.txt", "versions.txt", "sugar.txt", "boot-device.txt", "messages.txt", "yaml.txt", "forbidden.txt",
        "openshift.txt", "firstlight.txt",
    ]

    @Test("every case has the output and the report expected", arguments: files)
    func cases(_ file: String) throws {
        for fixture in try ButaneCase.all(in: file) {
            let outcome = fixture.run()
            let output = outcome.output.map { unpackingGzip(String(decoding: $0, as: UTF8.self)) }
            let report = outcome.report.rawLines.split(separator: "\n").map(String.init)
            #expect(output == fixture.output, "\(fixture.title)")
            #expect(report == fixture.expectedReport, "\(fixture.title)")
            #expect(outcome.failure == fixture.failure, "\(fixture.title)")
        }
    }

    @Test func thereAreEnough() throws {
        let count = try Self.files.map { try ButaneCase.all(in: $0).count }.reduce(0, +)
        #expect(count >= 300)
    }

    @Test("what is translated without errors is a valid config", arguments: files)
    func valid(_ file: String) throws {
        for fixture in try ButaneCase.all(in: file) where fixture.output != nil {
            var raw = fixture
            raw.options.isRaw = true
            guard let output = raw.run().output else { continue }
            #expect(IgnitionConfig.parse(output, name: "generated").config != nil, "\(fixture.title)")
        }
    }

    @Test("indented or not, the JSON is the same")
    func pretty() throws {
        for fixture in try ButaneCase.all(in: "sugar.txt") {
            var pretty = fixture
            pretty.options.isPretty = true
            guard let one = fixture.run().output, let other = pretty.run().output else { continue }
            #expect(JSONValue(try JSONNode(parsing: one)) == JSONValue(try JSONNode(parsing: other)))
            #expect(other.starts(with: "{\n  \"ignition\": {".utf8))
        }
    }

    @Test("messages about the result name the lines of the text that asks for it")
    func places() throws {
        let text = """
            variant: fcos
            version: 1.5.0
            storage:
              filesystems:
                - device: /dev/vda1
                  path: /var
                  format: ext4
                  with_mount_unit: true
              files:
                - path: /etc/motd
            """
        let outcome = Butane.translate(Array(text.utf8), name: "config.bu", localFiles: .inMemory())
        // From one program to another.
        let sent = try #require(outcome.placed)
        let placed = try #require(IgnitionConfig.PlacedText(parsing: sent.bytes))
        #expect(placed.config == outcome.output && placed.source.name == "config.bu")
        let parsed = IgnitionConfig.parse(placed.config, source: placed.source)
        let config = try parsed.checked()
        #expect("\(config.storage.filesystems[0].origin)" == "storage.filesystems[0], config.bu line 5")
        #expect(config.storage.filesystems[0].origin.place(of: "format")?.line == 7)
        // A field that is not there is where the object is that lacks it.
        #expect(config.storage.filesystems[0].origin.place(of: "wipeFilesystem")?.line == 5)
        #expect(config.storage.files[0].origin.describe("path") == "storage.files[0].path, config.bu line 10")
        // What sugar made is where the sugar stands.
        #expect(config.systemd.units[0].origin.describe("contents") == "systemd.units[0].contents, config.bu line 8")

        let odd = Butane.translate(
            Array(text.replacingOccurrences(of: "path: /etc/motd", with: "path: /etc/motd\n      mode: 644").utf8),
            name: "config.bu", localFiles: .inMemory())
        let report = try #require(odd.placed.map { IgnitionConfig.parse($0.config, source: $0.source).report })
        #expect(
            report.description
                == "config.bu:11:13: warning: storage.files[0].mode: 644 is octal 1204; 420 is octal 644\n1 warning")
    }
}
