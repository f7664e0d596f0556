import JSONText
import Reporting
import Testing

@testable import BootReport

private let whole = ProvisioningReport(
    bootID: "0c0b", outcome: .done,
    stages: [
        .init("config", seconds: 0.12, notes: ["http://10.0.2.2:8080/config.ign, spec 3.4.0"]),
        .init(
            "disks", seconds: 1.5,
            changes: ChangeSummary(
                kept: ["/dev/vda1 \"var\"", "xfs \"var\" on /dev/vda1"], created: ["swap on /dev/vdb1"],
                destroyed: ["/dev/vdb1 ntfs \"Photos\", 212 GiB used (wipeFilesystem, config.ign:9)"])),
        .init("mount", seconds: 0.04),
        .init(
            "files", seconds: 0.25,
            changes: ChangeSummary(created: (1...200).map { "/etc/file\($0)" }, changed: ["user core"])),
    ], warnings: ["the target has no systemctl"])

@Suite("the report of provisioning") struct ReportTests {
    @Test func peopleReadAPage() {
        #expect(
            whole.page == [
                "provisioned in 1.9 s: 2 kept, 201 created, 1 changed, 1 DESTROYED",
                "          disks       1.5 s  DESTROYED /dev/vdb1 ntfs \"Photos\", 212 GiB used",
                "                             (wipeFilesystem, config.ign:9)",
                "                             created swap on /dev/vdb1",
                "                             kept /dev/vda1 \"var\", xfs \"var\" on /dev/vda1",
                "          files       0.3 s  created /etc/file1, /etc/file2, /etc/file3,",
                "                             /etc/file4, /etc/file5, /etc/file6 and 194 more",
                "                             changed user core",
            ])
    }

    @Test func noLineIsWiderThanTheConsole() {
        var report = whole
        let path = "/" + String(repeating: "deep/", count: 60)
        report["files"].changes.kept = [path]
        report["mount"].changes.created = [path, path, path]
        #expect(report.page.dropFirst().allSatisfy { $0.count <= 80 })
        #expect(report.page.last?.hasSuffix(" and 2 more") == false)
        // Nothing of a name is lost.
        let text = report.page.map { String($0.drop { $0 == " " }) }.joined()
        #expect(text.contains("created \(path) and 2 more"))
    }

    @Test func anOlderImageIsPartOfIt() throws {
        var report = whole
        report.fallback = .init(image: "http://10.0.2.2:8080/old/rootfs.img", reason: "another hash")
        #expect(report.page[1] == "          rootfs    the OLDER image runs, http://10.0.2.2:8080/old/rootfs.img")
        #expect(ProvisioningReport(json: report.json) == report)
        #expect(report.json["fallback"]?["image"] == "http://10.0.2.2:8080/old/rootfs.img")
        report.fallback?.image = "http://10.0.2.2:8080/" + String(repeating: "old-", count: 6) + "/rootfs.img"
        #expect(report.page.dropFirst().allSatisfy { $0.count <= 80 })
        #expect(report.page[2].hasPrefix("                    http"))
    }

    @Test func programsReadTheSame() throws {
        #expect(ProvisioningReport(json: whole.json) == whole)
        #expect(ProvisioningReport(parsing: whole.bytes) == whole)
        #expect(whole.text["schema"] == 1 && ProvisioningReport(reading: ["schema": 2, "outcome": "done"]) == nil)
        #expect(whole.json["kept"] == 2 && whole.json["created"] == 201 && whole.json["destroyed"] == 1)
        #expect(whole.json["outcome"] == "done" && whole.json["failure"] == nil)
    }

    @Test func aFailureIsPartOfIt() throws {
        struct Refusal: Advising, CustomStringConvertible {
            let description = "/dev/vda holds ext4"
            let advice = ["To destroy it: \"wipeFilesystem\": true"]
        }
        var report = whole
        let failure = BootFailure(steps: ["preparing the disks", "planning"], cause: Refusal())
        report.outcome = .failed(.init(failure, in: "disks", written: ["the partition table of /dev/vdb"]))
        let json = try #require(report.json["failure"])
        #expect(
            report.json["outcome"] == "failed" && json["stage"] == "disks" && json["cause"] == "/dev/vda holds ext4")
        #expect(json["while"] == ["preparing the disks", "planning"])
        #expect(json["written"] == ["the partition table of /dev/vdb"])
        #expect(ProvisioningReport(json: report.json) == report)
        #expect(report.page[0].hasPrefix("stopped after 1.9 s: "))
    }

    @Test func whatThisBootMadeIsNotKeptByTheNextAttempt() {
        var report = ProvisioningReport()
        report.add(ChangeSummary(kept: ["a"], created: ["b"], changed: ["c"]), notes: ["one"], to: "files")
        report.add(ChangeSummary(kept: ["a", "b", "c"], created: ["d"]), to: "files")
        #expect(report["files"].changes == ChangeSummary(kept: ["a"], created: ["b", "d"], changed: ["c"]))
        #expect(report["files"].notes == ["one"] && report.stages.count == 1)
    }
}
