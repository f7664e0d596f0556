import IgnitionConfig
import JSONText
import Reporting
import Testing

@testable import Provisioning

private let whole = ProvisioningReport(
    bootID: "0c0b", outcome: .done,
    stages: [
        .init("config", seconds: 0.12, notes: ["http://10.0.2.2:8080/config.ign, spec 3.4.0"]),
        .init(
            "disks", seconds: 1.5,
            deeds: ChangeSummary(
                kept: ["/dev/vda1 \"var\"", "xfs \"var\" on /dev/vda1"], created: ["swap on /dev/vdb1"],
                destroyed: ["/dev/vdb1 ntfs \"Photos\", 212 GiB used (wipeFilesystem, config.ign:9)"])),
        .init("mount", seconds: 0.04),
        .init(
            "files", seconds: 0.25, deeds: ChangeSummary(created: (1...200).map { "/etc/file\($0)" }, changed: ["user core"])),
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
        report["files"].deeds.kept = [path]
        report["mount"].deeds.created = [path, path, path]
        #expect(report.page.dropFirst().allSatisfy { $0.count <= 80 })
        #expect(report.page.last?.hasSuffix(" and 2 more") == false)
        // Nothing of a name is lost.
        let text = report.page.map { String($0.drop { $0 == " " }) }.joined()
        #expect(text.contains("created \(path) and 2 more"))
    }

    @Test func programsReadTheSame() throws {
        #expect(ProvisioningReport(json: whole.json) == whole)
        let text = try JSONNode(parsing: Array(whole.json.text(.pretty).utf8))
        #expect(ProvisioningReport(json: JSONValue(text)) == whole)
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
        #expect(report["files"].deeds == ChangeSummary(kept: ["a"], created: ["b", "d"], changed: ["c"]))
        #expect(report["files"].notes == ["one"] && report.stages.count == 1)
    }
}

@Suite("what became of things") struct DeedsTests {
    @Test func ofFilesAndAccounts() throws {
        let text = #"""
            {"ignition": {"version": "3.4.0"},
             "passwd": {"users": [{"name": "core", "sshAuthorizedKeys": ["k"]}, {"name": "new"},
                                  {"name": "gone", "shouldExist": false}, {"name": "old", "shouldExist": false}],
                        "groups": [{"name": "staff"}]},
             "storage": {"files": [{"path": "/new"}, {"path": "/same", "contents": {"source": "data:,a"}},
                                   {"path": "/over", "overwrite": true, "contents": {"source": "data:,a"}},
                                   {"path": "/equal", "overwrite": true, "contents": {"source": "data:,a"}},
                                   {"path": "/more", "append": [{"source": "data:,a"}]}],
                         "links": [{"path": "/link", "target": "/new"}]},
             "systemd": {"units": [{"name": "a.service", "mask": true}]}}
            """#
        let config = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked()
        let accounts = TargetAccounts(
            passwd: "core:x:1:1::/home/core:/bin/sh\nold:x:2:2::/:/bin/sh\n", group: "staff:x:5:\n")
        let file = TargetPlace.Found.file(hasWantedContent: false)
        let found: [String: TargetPlace.Found] = [
            "/same": .file(hasWantedContent: true), "/over": file, "/equal": file, "/more": file,
        ]
        var inventory = TargetInventory(accounts: accounts)
        for (path, found) in found { inventory.places[path] = TargetPlace(resolved: path, found: found) }
        inventory.places["/more"]?.missingFragments = [0]
        let plan = try FilesPlan(config, on: inventory)
        let deeds = plan.deeds(
            config, on: inventory, alsoKept: [.init("/equal", .sameContent)], keysOf: ["core", "new"])
        #expect(Set(deeds.kept) == ["user core", "user gone", "group staff", "/same", "/equal"])
        #expect(Set(deeds.created) == ["user new", "/new", "/link", "/etc/systemd/system/a.service"])
        #expect(Set(deeds.changed) == ["user old", "SSH keys of core", "/over", "/more"])
        #expect(deeds.summary == "5 kept, 4 created, 4 changed, nothing destroyed")
    }

    @Test("of disks, as the plan sums them up", arguments: PlanFixture.all)
    func ofDisks(_ fixture: PlanFixture) throws {
        let disks = try DescribedDisks(fixture.bytes("disks.json"))
        let layout = DiskLayout(try fixture.storage(), on: disks.inventory)
        guard let plan = try? layout.plan(disks.contents) else { return }
        let deeds = plan.deeds
        #expect(
            Set(deeds.kept + deeds.created + deeds.changed).count == deeds.kept.count + deeds.created.count
                + deeds.changed.count, "one thing stands there twice")
        if plan.isEmpty { #expect(deeds.created.isEmpty && deeds.changed.isEmpty && deeds.destroyed.isEmpty) }
    }
}

@Suite("what is there beside what was wanted") struct ContentDifferences {
    @Test(arguments: [
        ("a\nb\nc\n", "a\nx\nc\n", #"line 2 is "b", wanted "x""#),
        ("a\nb\nc\nd\n", "a\nx\ny\nd\n", #"line 2 is "b", wanted "x", and 1 more line from there on"#),
        ("a\n", "a\nb\nc\nd", #"line 2 is "", wanted "b", and 2 more lines from there on"#),
        ("a\nb\n", "a\n", #"line 2 is "b", wanted """#),
        ("a", "a\n", #"line 2 is missing, wanted """#),
        ("a\na\na\n", "a\na\n", #"line 3 is "a", wanted """#),
    ])
    func inAFewWords(here: String, wanted: String, text: String) {
        let difference = ContentDifference(here: Array(here.utf8), wanted: Array(wanted.utf8))
        #expect(difference?.description == text)
    }

    @Test func whatIsNoTextIsNotShown() {
        #expect(ContentDifference(here: [0xff, 0xfe], wanted: [0x61]) == nil)
    }
}
