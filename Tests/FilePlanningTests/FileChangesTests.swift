import Accounts
import IgnitionConfig
import Testing

@testable import FilePlanning

@Suite("what became of things") struct FileChangesTests {
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
        let file = TargetPath.Found.file(hasWantedContent: false)
        let found: [String: TargetPath.Found] = [
            "/same": .file(hasWantedContent: true), "/over": file, "/equal": file, "/more": file,
        ]
        var inventory = TargetInventory(accounts: accounts)
        for (path, found) in found { inventory.places[path] = TargetPath(resolved: path, found: found) }
        inventory.places["/more"]?.missingFragments = [0]
        let plan = try FilesPlan(config, on: inventory)
        let changes = plan.changes(
            config, on: inventory, alsoKept: [.init("/equal", .sameContent)], keysOf: ["core", "new"])
        #expect(Set(changes.kept) == ["user core", "user gone", "group staff", "/same", "/equal"])
        #expect(Set(changes.created) == ["user new", "/new", "/link", "/etc/systemd/system/a.service"])
        #expect(Set(changes.changed) == ["user old", "SSH keys of core", "/over", "/more"])
        #expect(changes.summary == "5 kept, 4 created, 4 changed, nothing destroyed")
    }
}
