import FilePlanning
import Foundation
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import Synchronization
import SystemPackage
import Testing

@testable import TargetRoot

@Suite struct TargetAccountsAndUnits {
    private static let accounts =
        #""passwd": {"users": [{"name": "new", "passwordHash": "x"}, {"name": "me", "gecos": "Me"}]}, "systemd": {"units": [{"name": "a.service", "enabled": true}]}"#

    @Test func programsOfTheInitramfsMakeTheAccounts() throws {
        let target = try Target()
        try target.provision(Self.accounts)
        let ran = target.ran.withLock { $0 }
        let root = target.root.root
        #expect(
            ran.map(\.description) == [
                "useradd --root \(root) --create-home --password x new", "usermod --root \(root) --comment Me me",
                "systemctl preset a.service",
            ])
        #expect(ran.map(\.root) == [nil, nil, root])
    }

    @Test func programsOfTheTargetMakeThemWhereTheInitramfsHasNone() throws {
        let target = try Target()
        target.lacks = { $0.root == nil }
        try target.provision(Self.accounts)
        let ran = target.ran.withLock { $0 }
        #expect(
            ran.map(\.description) == [
                "useradd --create-home --password x new", "usermod --comment Me me", "systemctl preset a.service",
            ])
        #expect(ran.allSatisfy { $0.root == target.root.root && $0.environment.contains("SYSTEMD_OFFLINE=1") })
    }

    @Test("a root that boots first is left to its systemd, one with an identifier or another init is not")
    func firstBoots() throws {
        let unit = #"{"name": "a.service", "enabled": true, "contents": "[Install]\nWantedBy=x\n"}"#
        func ran(_ change: (Target) throws -> Void) throws -> [String] {
            let target = try Target()
            try target.put("/usr/lib/systemd/systemd", "")
            try Files.makeFolder(target.path("/sbin"))
            try Files.makeLink(target.path("/sbin/init"), to: "../usr/lib/systemd/systemd")
            target.nextInit = "/sbin/init"
            try change(target)
            try target.provision(#""systemd": {"units": [\#(unit)]}"#)
            #expect(target.text(FilesPlan.presetFile) == "enable a.service\n")
            return target.ran.withLock { $0.map(\.description) }
        }
        #expect(try ran { _ in } == [])
        let preset = ["systemctl preset a.service"]
        #expect(try ran { $0.nextInit = nil } == preset)
        #expect(try ran { $0.nextInit = "/etc/passwd" } == preset)
        #expect(try ran { try $0.put("/etc/machine-id", "") } == preset)
        #expect(try ran { try Files.makeLink($0.path("/etc/machine-id"), to: "gone") } == preset)
        #expect(try ran { try Files.move($0.path("/sbin"), to: $0.path("/oldbin")) } == preset)
    }

    @Test func whatWillRunIsReadBefore() throws {
        let target = try Target()
        func read(_ json: String) throws -> [Command] {
            let text = #"{"ignition": {"version": "3.4.0"}, "# + json + "}"
            target.root.readPrograms(for: try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked())
            return target.ran.withLock { $0 }
        }
        let nothing = #""storage": {"files": [{"path": "/a"}]}, "systemd": {"units": [{"name": "a.service"}]}"#
        #expect(try read(nothing) == [])
        let ran = try read(Self.accounts)
        #expect(ran.map(\.description) == ["systemctl --help", "useradd --help"])
        #expect(ran.allSatisfy { $0.root == target.root.root })
        #expect(target.paths() == [])
        target.lacks = { _ in true }
        #expect(try read(Self.accounts) == ran)
    }

    // Files are given an owner, which is root's alone to do.
    @Test(.enabled(if: getuid() == 0)) func withoutAnyProgramTheAgentWritesTheFiles() throws {
        let target = try Target()
        target.lacks = { $0.program != "systemctl" }
        try target.put("/etc/shadow", "me:!:19000::::::\n", mode: 0o600)
        let config = #"""
            "passwd": {"groups": [{"name": "crew"}],
                       "users": [{"name": "me", "gecos": "Me", "groups": ["crew"]},
                                 {"name": "new", "noCreateHome": true, "primaryGroup": "crew"}]}
            """#
        try target.provision(config)
        #expect(target.text("/etc/group") == "root:x:0:\nours:x:\(getgid()):\ncrew:x:1000:me\n")
        #expect(
            target.text("/etc/passwd")?.contains("me:x:\(getuid()):\(getgid()):Me:/home/me:/bin/sh\nnew:x:") == true)
        #expect(target.text("/etc/shadow")?.hasPrefix("me:!:19000::::::\nnew:*:") == true)
        #expect(target.mode("/etc/shadow") == "600")
        #expect(target.text("/etc/shadow-") == "me:!:19000::::::\n")
        #expect(target.mode("/etc/.pwd.lock") == "600")
        let names = Files.names(in: target.path("/etc"))
        #expect(names.filter { $0.hasSuffix(".lock") || $0.contains("firstlight") } == [".pwd.lock"])
        let ran = target.ran.withLock { $0.count }
        try target.provision(config)
        #expect(target.ran.withLock { $0.count } == ran)
    }

    @Test(.enabled(if: getuid() == 0)) func aLockOfAnotherProcessIsRespected() throws {
        let target = try Target()
        target.lacks = { _ in true }
        let config = #""passwd": {"groups": [{"name": "crew"}]}"#
        // Our parent is there; a number that no process has is a run that was stopped.
        try target.put("/etc/group.lock", "\(getppid())\0")
        let failure = #expect(throws: BootFailure.self) { try target.provision(config) }
        #expect(failure?.cause as? TargetFault == .locked("/etc/group.lock", by: "\(getppid())"))
        #expect(target.text("/etc/group")?.contains("crew") == false)
        try target.put("/etc/group.lock", "2147483646\0")
        try target.provision(config)
        #expect(target.text("/etc/group")?.contains("crew") == true)
        #expect(!Files.exists(target.path("/etc/group.lock")))
    }

    @Test func keysAreWrittenWhereSshdReadsThem() throws {
        let target = try Target()
        try Files.makeFolder(target.path("/home/me"), mode: 0o700)
        let config = #""passwd": {"users": [{"name": "me", "sshAuthorizedKeys": ["one", "two"]}]}"#
        try target.provision(config)
        #expect(target.text("/home/me/.ssh/authorized_keys") == "one\ntwo\n")
        #expect(target.mode("/home/me/.ssh/authorized_keys") == "600")
        #expect(target.mode("/home/me/.ssh") == "700")

        try target.put("/etc/ssh/sshd_config", "#AuthorizedKeysFile .ssh/authorized_keys.d/x\n")
        try target.put("/home/me/.ssh/authorized_keys", "stale\n# a comment\ntwo\n", mode: 0o600)
        let wanted = try IgnitionConfig.parse(
            Array(#"{"ignition": {"version": "3.4.0"}, \#(config)}"#.utf8), name: "config.ign"
        ).checked()
        let preview = try target.root.preview(wanted, scratch: target.folder.appending("scratch"), fetch: decode)
        #expect(preview.destroyed.map(\.what) == ["1 other key in /home/me/.ssh/authorized_keys"])
        try target.provision(config)
        #expect(target.text("/home/me/.ssh/authorized_keys") == "one\ntwo\n")
        #expect(!Files.exists(target.path("/home/me/.ssh/authorized_keys.d")))

        try target.put("/etc/ssh/sshd_config.d/40-keys.conf", "AuthorizedKeysCommand /usr/libexec/ssh-key-dir %u\n")
        try target.provision(config)
        #expect(target.text("/home/me/.ssh/authorized_keys.d/ignition") == "one\ntwo\n")
    }

    @Test func aMissingHomeIsNamed() throws {
        let target = try Target()
        let failure = #expect(throws: BootFailure.self) {
            try target.provision(
                #""passwd": {"users": [{"name": "me", "noCreateHome": true, "sshAuthorizedKeys": ["k"]}]}"#)
        }
        #expect(failure?.cause as? TargetFault == .noHome(user: "me", path: "/home/me"))
    }

    @Test("a user of the image whose home is not there gets one, as a new user does")
    func homeOfTheImagesUser() throws {
        let target = try Target()
        try target.put("/etc/skel/.profile", "x")
        try target.provision(#""passwd": {"users": [{"name": "me", "sshAuthorizedKeys": ["k"]}]}"#)
        #expect(target.text("/home/me/.profile") == "x" && target.text("/home/me/.ssh/authorized_keys") == "k\n")
        #expect(Files.status(target.path("/home/me"), followingLinks: false)?.st_uid == getuid())
    }

    @Test(
        "keys go to the folder of fragments only where sshd reads that of the home",
        arguments: ["/etc/ssh/authorized_keys.d/%u", "%h/.ssh/authorized_keys.d/ignition"])
    func fragments(pattern: String) throws {
        let target = try Target()
        try target.put("/home/me/x", "")
        try target.put("/etc/ssh/sshd_config", "AuthorizedKeysFile .ssh/authorized_keys \(pattern)\n")
        try target.provision(#""passwd": {"users": [{"name": "me", "sshAuthorizedKeys": ["k"]}]}"#)
        let isFragment = pattern.hasPrefix("%h")
        #expect((target.text("/home/me/.ssh/authorized_keys") == nil) == isFragment)
        #expect((target.text("/home/me/.ssh/authorized_keys.d/ignition") == nil) != isFragment)
    }

    @Test func aUnitThatCannotBeEnabledIsAWarning() throws {
        let target = try Target()
        let root = TargetRoot(target.path("")) { command throws(Command.Failure) in
            if let bad = command.arguments.first(where: { $0.hasPrefix("bad") }) {
                throw .failed(command, status: 1, said: "no \(bad)")
            }
            target.ran.withLock { $0.append(command) }
            return Command.Output()
        }
        let work = try TargetWork(in: target.folder.appending("scratch")) { _, _ in }
        let applier = FileApplier(root.tree, root.programs, root.accounts, work, onFailure: {})
        var plan = FilesPlan(
            steps: [.init(.preset(enabled: ["good.service", "bad.service"], disabled: ["badder.service"]), .init())],
            summary: "")
        let applied = try applier.apply(&plan) { _ in }
        #expect(
            applied.warnings == ["bad.service is not enabled: no bad.service"])
        #expect(target.ran.withLock { $0.map(\.description) } == ["systemctl preset good.service"])
    }

    @Test func labelsAreSetOnlyWhereThereIsAPolicy() throws {
        let target = try Target()
        try target.put("/etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n")
        try target.provision(#""storage": {"files": [{"path": "/new/f"}]}"#)
        #expect(target.ran.withLock { $0 }.isEmpty)

        try target.put("/etc/selinux/targeted/contexts/files/file_contexts", "")
        try target.provision(#""storage": {"files": [{"path": "/other/f"}]}"#)
        let command = try #require(target.ran.withLock { $0.first })
        let (root, contexts) = (target.root.root.string, "/etc/selinux/targeted/contexts/files/file_contexts")
        #expect(command.description == "setfiles -vF0 -r \(root) \(root)\(contexts) -f -")
        #expect(
            String(decoding: command.input ?? [], as: UTF8.self)
                == "\(root)/etc/.ignition-result.json\0\(root)/other\0")

        // What is kept keeps its labels; Ignition has them set again, and those of accounts and homes.
        try target.put("/home/me/x", "")
        let kept = #""storage": {"files": [{"path": "/other/f"}]}, "passwd": {"users": [{"name": "me"}]}"#
        func labelled(as policy: RerunPolicy) throws -> [String] {
            try target.provision(kept, as: policy)
            let input = target.ran.withLock { $0.last { $0.program == "setfiles" }?.input } ?? []
            return String(decoding: input, as: UTF8.self).split(separator: "\0").map {
                String($0.dropFirst(root.count))
            }
        }
        #expect(try labelled(as: .own) == ["/etc/.ignition-result.json"])
        #expect(
            try labelled(as: .strict) == [
                "/etc/.ignition-result.json", "/etc/group", "/etc/passwd", "/home/me", "/other/f",
            ])

        // The target's own, where the initramfs has none.
        target.lacks = { $0.root == nil }
        try target.provision(#""storage": {"files": [{"path": "/more/f"}]}"#)
        let theirs = try #require(target.ran.withLock { $0.last })
        #expect(theirs.description == "setfiles -F -0 -f - \(contexts)")
        #expect(theirs.root == target.root.root)
        #expect(
            String(decoding: theirs.input ?? [], as: UTF8.self) == "/etc/.ignition-result.json\0/more\0")
    }

    @Test func anEarlierResultIsKeptWhereTheSystemLivesOn() throws {
        let target = try Target()
        try target.put("/etc/.ignition-result.json", "{\"provisioningBootID\": \"first\"}")
        try target.root.writeResult(userConfigProvided: false, isLive: false)
        #expect(try #require(target.text("/etc/.ignition-result.json")).contains("\"provisioningBootID\": \"first\""))
        try target.root.writeResult(userConfigProvided: false)
        #expect(try !#require(target.text("/etc/.ignition-result.json")).contains("previousReport"))
        try target.put("/etc/.ignition-result.json", "no JSON")
        #expect(throws: TargetFault.noResult("/etc/.ignition-result.json")) {
            try target.root.writeResult(userConfigProvided: false, isLive: false)
        }
    }
}
