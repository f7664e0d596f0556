import Foundation
import ProvisioningEngine
import Testing

/// The units of the dracut module are files, for dracut to copy; what they say stands in the table of stages.
@Suite("the units of the dracut module")
struct UnitFileTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../dracut/50firstlight").standardized

    /// The words of a unit by its keys; of a key that is there twice, of both.
    private func unit(_ stage: StageName) throws -> [String: [String]] {
        let text = try String(contentsOf: Self.folder.appending(path: stage.unitName), encoding: .utf8)
        var found: [String: [String]] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") && line.contains("=") {
            let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
            found[parts[0], default: []] += (parts.count > 1 ? parts[1] : "").split(separator: " ").map(String.init)
        }
        return found
    }

    private func ours(_ words: [String]?) -> Set<String> {
        Set((words ?? []).filter { $0.hasPrefix("firstlight-") })
    }

    @Test("each says what the table says", arguments: StageName.allCases.filter { $0.unit != nil })
    func saysTheSame(stage: StageName) throws {
        let wanted = try #require(stage.unit)
        let file = try unit(stage)
        #expect(file["Description"]?.joined(separator: " ") == "Firstlight: \(wanted.description)")
        #expect(ours(file["Requires"]) == Set(stage.needs.map(\.unitName)))
        #expect(ours(file["After"]) == Set(stage.needs.map(\.unitName)))
        #expect((file["After"] ?? []).contains("systemd-networkd.service") == wanted.usesNetwork)
        #expect((file["Before"] ?? []).contains(StageName.provisioned) == wanted.isProvisioning)
        #expect(file["ExecStart"] == ["/usr/bin/firstlight", "stage", stage.rawValue])
        #expect(file["ExecStopPost"] == ["/usr/bin/firstlight", "stage-ended", stage.rawValue])
        #expect(file["OnFailure"] == ["emergency.target"])
        #expect(file["TimeoutStartSec"] == (wanted.isUnlimited ? ["infinity"] : nil))
        #expect(file["ExecStop"] == (stage == .mount ? ["/usr/bin/firstlight", "stage", "umount"] : nil))
    }

    @Test("the targets that others know are there", arguments: [StageName.provisioned, StageName.notProvisioned])
    func targets(name: String) throws {
        let text = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
        #expect(text.split(separator: "\n").contains("Before=initrd.target"))
    }

    @Test("the module installs each of them")
    func installed() throws {
        let text = try String(contentsOf: Self.folder.appending(path: "module-setup.sh"), encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.contains("for stage in") })
        let words = line.split(whereSeparator: { $0 == " " || $0 == ";" }).map(String.init)
        let names = words.drop { $0 != "in" }.dropFirst().prefix { $0 != "do" }
        #expect(Set(names) == Set(StageName.allCases.filter { $0.unit != nil }.map(\.rawValue)))
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        // The one that is not a stage leaves a process behind.
        #expect(
            Set(files.filter { $0.hasSuffix(".service") })
                == Set(StageName.allCases.filter { $0.unit != nil }.map(\.unitName) + ["firstlight-medium.service"]))
    }
}
