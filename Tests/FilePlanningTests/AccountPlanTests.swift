import Accounts
import IgnitionConfig
import Testing

@testable import FilePlanning

@Suite struct AccountPlans {
    private func commands(_ passwd: String) throws -> [String] {
        try FilesPlan(config("\"passwd\": \(passwd)"), on: inventory([:], accounts)).steps.map { "\($0.action)" }
    }

    @Test func newAccountsAreMadeGroupsFirst() throws {
        let made = try commands(
            #"""
            {"users": [
               {"name": "admin", "passwordHash": "$y$secret", "uid": 900, "gecos": "An Admin", "homeDir": "/srv/admin",
                "primaryGroup": "ops", "groups": ["sudo", "adm"], "shell": "/bin/sh", "noUserGroup": true,
                "system": true, "noLogInit": true},
               {"name": "guest", "noCreateHome": true, "sshAuthorizedKeys": ["k1", "k2"]}],
             "groups": [{"name": "ops", "gid": 99, "passwordHash": "$y$secret", "system": true}]}
            """#)
        #expect(
            made == [
                "running groupadd --gid 99 --password ... --system ops",
                "running useradd --home-dir /srv/admin --create-home --no-user-group --system --no-log-init "
                    + "--password ... --uid 900 --comment An Admin --gid ops --groups sudo,adm --shell /bin/sh admin",
                "running useradd --no-create-home --password ... guest", "writing the SSH keys of guest",
            ])
    }

    @Test func anExistingUserIsChangedOnlyWhereItDiffers() throws {
        #expect(try commands(#"{"users": [{"name": "core"}]}"#) == [])
        let same = """
            {"users": [{"name": "core", "uid": 1000, "homeDir": "/home/core", "gecos": "Core", "shell": "/bin/bash",
             "primaryGroup": "core", "groups": ["adm", "sudo"], "passwordHash": "$6$old", "system": true}]}
            """
        #expect(try commands(same) == [])
        let other = """
            {"users": [{"name": "core", "uid": 1001, "homeDir": "/srv", "gecos": "C", "shell": "/bin/sh",
             "primaryGroup": "27", "groups": ["adm"], "passwordHash": ""}]}
            """
        #expect(
            try commands(other) == [
                "running usermod --home /srv --move-home --password ... --uid 1001 --comment C --gid 27 --groups adm "
                    + "--shell /bin/sh core"
            ])
    }

    @Test(arguments: [RerunPolicy.own, .dropIn, .strict]) func emptyTextsAreNone(policy: RerunPolicy) throws {
        let empty = #""gecos": "", "shell": "", "homeDir": "", "primaryGroup": """#
        let wanted = try config(#""passwd": {"users": [{"name": "core", \#(empty)}, {"name": "new", \#(empty)}]}"#)
        let plan = try FilesPlan(wanted, on: inventory([:], accounts), policy: policy)
        #expect(plan.steps.map { "\($0.action)" } == ["running useradd --create-home --password ... new"])
    }

    @Test(
        "since 2.25 Ignition gives groupadd no hash where the config has none",
        arguments: ["", #", "passwordHash": """#])
    func groupsWithoutAHash(hash: String) throws {
        let wanted = try config(#""passwd": {"groups": [{"name": "new"\#(hash)}]}"#)
        let plan = try FilesPlan(wanted, on: inventory([:], accounts))
        #expect(plan.steps.map(\.action) == [.account(.addGroup(name: "new"))])
        #expect(plan.steps.map { "\($0.action)" } == ["running groupadd new"])
    }

    // MARK: Accounts of the image's own

    /// As rpm-ostree leaves them: the image's accounts below /usr/lib, and a short /etc/group.
    private func imageAccounts(etc: String = "root:x:0:\n") -> TargetAccounts {
        TargetAccounts(passwd: "root:x:0:0::/root:/bin/sh\n", group: etc)
            .merged(
                withImages: TargetAccounts(
                    passwd: "", group: "docker:x:950:svc\nwheel:x:10:\nunused:x:77:\n"))
    }

    private func plan(
        _ passwd: String, _ accounts: TargetAccounts, homes: [String: UInt32] = [:],
        policy: RerunPolicy = .own
    ) throws -> FilesPlan {
        var found = inventory([:], accounts)
        found.homeOwners = homes.mapValues { .init($0, $0) }
        return try FilesPlan(config(#""passwd": \#(passwd)"#), on: found, policy: policy)
    }

    @Test(arguments: [RerunPolicy.own, .dropIn]) func groupsOfTheImageAreCopiedFirst(policy: RerunPolicy) throws {
        let passwd = #"{"users": [{"name": "a", "groups": ["docker", "10"]}, {"name": "b", "groups": ["docker"]}]}"#
        let steps = try plan(passwd, imageAccounts(), policy: policy).steps
        #expect(
            steps.prefix(2).map(\.action) == [
                .account(.copyGroup("docker", gid: 950, members: ["svc"])),
                .account(.copyGroup("wheel", gid: 10, members: [])),
            ])
        #expect(steps.count == 4 && "\(steps[2].action)".hasPrefix("running useradd"))
        #expect("\(steps[0].action)" == "copying the image's group docker into /etc/group")
        // One that is there is not copied again.
        let second = try plan(passwd, imageAccounts(etc: "docker:x:950:svc,a\nwheel:x:10:a\n")).steps
        #expect(second.allSatisfy { !"\($0.action)".contains("copying") })
    }

    @Test func aCopyWhoseNumberTheImageChangedIsAConflict() throws {
        let passwd = #"{"users": [{"name": "a", "groups": ["docker"]}, {"name": "b", "groups": ["docker"]}]}"#
        let failure = #expect(throws: FileConflicts.self) {
            _ = try plan(passwd, imageAccounts(etc: "docker:x:940:\nwheel:x:11:\n"))
        }
        #expect(failure?.conflicts.map(\.problem) == [.groupMoved("docker", here: 940, image: 950)])
        #expect(failure?.description.contains("number 940") == true)
        #expect(failure?.advice.contains { $0.contains("groupmod --gid 950 docker") } == true)
    }

    // MARK: Homes that were kept

    @Test func aKeptHomeGivesItsUserTheNumberBack() throws {
        let passwd = #"{"users": [{"name": "new"}, {"name": "core"}, {"name": "fixed", "uid": 1500}]}"#
        let there = TargetAccounts(passwd: "root:x:0:0::/root:/bin/sh\n", group: "root:x:0:\n")
        let steps = try plan(passwd, there, homes: ["core": 1000, "fixed": 1400]).steps.map { "\($0.action)" }
        // Nobody else is to be given that number, and the config's order stays.
        #expect(
            steps == [
                "running useradd --create-home --password ... --uid 1001 new",
                "running useradd --create-home --password ... --uid 1000 core",
                "running useradd --create-home --password ... --uid 1500 fixed",
            ])
        let root = try plan(passwd, there, homes: ["core": 0]).steps.map { "\($0.action)" }
        #expect(root.count == 3 && root[1] == "running useradd --create-home --password ... core")
    }

    @Test("a user in whose home a filesystem is mounted stays", arguments: [RerunPolicy.own, .dropIn, .strict])
    func mountsInHomes(policy: RerunPolicy) throws {
        let there = TargetAccounts(passwd: "old:x:1000:1000::/home/old/:/bin/sh\n", group: "root:x:0:\n")
        var found = inventory([:], there)
        let removal = try config(#""passwd": {"users": [{"name": "old", "shouldExist": false}]}"#)
        #expect(try FilesPlan(removal, on: found, policy: policy).steps.count == 1)
        var home = PresentHome()
        home.holdsMounts = true
        found.presentHomes = ["old": home]
        let refusal = #expect(throws: FileConflicts.self) { try FilesPlan(removal, on: found, policy: policy) }
        #expect(refusal?.conflicts.map(\.path) == ["/home/old"])
        #expect(refusal?.conflicts.map(\.problem) == [.homeHoldsMounts("old")])
        // What comes after the accounts does not say that nothing was changed.
        var late = try #require(refusal)
        #expect(late.advice.contains("No file of the target was changed."))
        late.comeLate = true
        #expect(!late.advice.contains("No file of the target was changed."))
    }

    @Test("no new account gets a number of a home that an earlier boot has left, and groups get theirs back")
    func numbersBesideHomes() throws {
        let passwd = #"""
            {"users": [{"name": "app", "system": true, "noCreateHome": true}, {"name": "core", "groups": ["app"]},
                       {"name": "carol"}],
             "groups": [{"name": "guests"}]}
            """#
        let there = TargetAccounts(passwd: "root:x:0:0::/root:/bin/sh\n", group: "root:x:0:\n")
        var found = inventory([:], there)
        found.homeOwners = ["core": .init(1000, 1003)]
        // One whose user has left the config, beside it.
        found.homeNumbers = [1000, 1001, 1003]
        let steps = try FilesPlan(config(#""passwd": \#(passwd)"#), on: found).steps.map { "\($0.action)" }
        #expect(
            steps == [
                "running groupadd --gid 1002 guests",
                "running useradd --no-create-home --system --password ... --uid 999 app",
                "running groupadd --gid 1003 core",
                "running useradd --create-home --password ... --uid 1000 --gid core --groups app core",
                "running useradd --create-home --password ... --uid 1004 carol",
            ])
    }

    @Test(
        "a number that is somebody else's now is a conflict",
        arguments: [
            (["core": 1000], "alice"), (["core": 1500], "fixed"), (["core": 1001, "new": 1001], "new"),
        ] as [([String: UInt32], String)])
    func takenNumbers(homes: [String: UInt32], holder: String) throws {
        let passwd = #"{"users": [{"name": "new"}, {"name": "core"}, {"name": "fixed", "uid": 1500}]}"#
        let there = TargetAccounts(passwd: "alice:x:1000:1000::/home/alice:/bin/sh\n", group: "root:x:0:\n")
        let failure = #expect(throws: FileConflicts.self) { _ = try plan(passwd, there, homes: homes) }
        let number = homes["core"] ?? 0
        #expect(failure?.conflicts.map(\.problem) == [.homeOfAnother("core", number: number, holder: holder)])
        #expect(failure?.conflicts.first?.path == "/home/core")
        #expect(failure?.advice.contains { $0.contains("\"uid\"") } == true)
    }

    @Test(
        "a home that holds another's moves where that one goes along or goes away",
        arguments: [
            ("", false), (#", {"name": "you", "homeDir": "/srv/core/inner"}"#, true),
            (#", {"name": "you", "homeDir": "/srv/you"}"#, false), (#", {"name": "you", "shouldExist": false}"#, true),
        ])
    func homesInside(others: String, isRight: Bool) throws {
        let wanted = try config(#""passwd": {"users": [{"name": "core", "homeDir": "/srv/core"}\#(others)]}"#)
        let there = TargetAccounts(
            passwd: "core:x:1000:1000::/home/core:/bin/sh\nyou:x:1001:1001::/home/core/inner:/bin/sh\n",
            group: "core:x:1000:\nyou:x:1001:\n")
        var found = inventory([:], there)
        found.innerHomes = ["core": [.init(of: "you", "/home/core/inner")]]
        let problem = FileConflict.Problem.homeHolds("core", inner: "/home/core/inner", of: "you", to: "/srv/core")
        let conflicts = { () throws -> [FileConflict.Problem] in
            do throws(FileConflicts) {
                _ = try FilesPlan(wanted, on: found)
                return []
            } catch {
                return error.conflicts.map(\.problem)
            }
        }
        #expect(try conflicts() == (isRight ? [] : [problem]))
        if isRight {
            // usermod refuses to move a home to where something is: the outer one has taken it there.
            let steps = try FilesPlan(wanted, on: found).steps.map { "\($0.action)" }
            #expect(steps.contains("running usermod --home /srv/core --move-home core"))
            #expect(!others.contains("homeDir") || steps.contains("running usermod --home /srv/core/inner you"))
        }
        // Ignition's usermod takes it along.
        #expect(try FilesPlan(wanted, on: found, policy: .strict).steps.isEmpty == false)
    }

    @Test(
        "usermod is not run for another group where others live in the home: it would take their files along",
        arguments: [RerunPolicy.own, .dropIn, .strict])
    func groupsInside(policy: RerunPolicy) throws {
        let there = TargetAccounts(
            passwd: "core:x:1000:1000::/home/core:/bin/sh\nyou:x:1001:1000::/users/core/inner:/bin/sh\n",
            group: "core:x:1000:\nstaff:x:50:\n")
        var found = inventory([:], there)
        found.innerHomes = ["core": [.init(of: "you", "/users/core/inner"), .init(of: "twin", "/home/core/")]]
        func steps(_ fields: String) throws -> [String] {
            let wanted = try config(#""passwd": {"users": [{"name": "core", \#(fields)}]}"#)
            return try FilesPlan(wanted, on: found, policy: policy).steps.map { "\($0.action)" }
        }
        let number = try steps(#""uid": 1500"#)
        #expect(number.first?.hasPrefix("running usermod") == true)
        let group = try steps(#""uid": 1500, "primaryGroup": "staff""#)
        let own = "changing the user core, but not the files of others in its home"
        #expect(policy == .strict ? group.first?.hasPrefix("running usermod") == true : group == [own])
    }

    @Test func whatTheProgramsWriteInOtherWordsIsAsWanted() throws {
        // Groups by number, a home with a slash at its end, hashes outside of the shadow files.
        let there = TargetAccounts(
            passwd: "core:$6$h:1000:1000::/srv/core:/bin/sh\n", group: "core:x:1000:\nadm:$6$g:4:core\nsudo:x:27:core\n"
        )
        let wanted = """
            {"users": [{"name": "core", "homeDir": "/srv/core/", "groups": ["4", "sudo"], "primaryGroup": "1000",
                        "passwordHash": "$6$h"}],
             "groups": [{"name": "adm", "passwordHash": "$6$g"}]}
            """
        #expect(try FilesPlan(config("\"passwd\": \(wanted)"), on: inventory([:], there)).steps == [])
    }

    @Test func aFolderInAUnitsPlaceIsNotEmptiedForIt() throws {
        let path = "/etc/systemd/system/a.service"
        for wanted in [#""contents": "[Unit]""#, #""mask": true"#, #""mask": true, "contents": "[Unit]""#] {
            let found = try conflicts(
                "\"systemd\": {\"units\": [{\"name\": \"a.service\", \(wanted)}]}",
                [path: .folder(holdsMounts: false)])
            #expect(found == ["\(path) is a directory; the config wants a unit there"])
        }
    }

    @Test func accountsGoWhereTheyShouldNotExist() throws {
        let gone = """
            {"users": [{"name": "core", "shouldExist": false, "sshAuthorizedKeys": ["k"]},
                       {"name": "absent", "shouldExist": false}],
             "groups": [{"name": "adm", "shouldExist": false}, {"name": "absent", "shouldExist": false}]}
            """
        #expect(try commands(gone) == ["running groupdel adm", "running userdel --remove core"])
    }

    @Test func foldersMadeForMountsInAHomeGoToItsUser() throws {
        let wanted = try config(#""passwd": {"users": [{"name": "new"}, {"name": "core", "noCreateHome": true}]}"#)
        let plan = try FilesPlan(
            wanted, on: inventory([:], accounts),
            mountFolders: ["/home", "/home/new", "/home/new/data", "/home/newer", "/home/core/data"])
        #expect(plan.steps.map(\.action).contains(.claim(folders: ["/home/new", "/home/new/data"], user: "new")))
        #expect(plan.steps.count == 2)

        let slash = try FilesPlan(
            config(#""passwd": {"users": [{"name": "new", "homeDir": "/srv/new/"}]}"#), on: inventory([:], accounts),
            mountFolders: ["/srv/new"])
        #expect(slash.steps.map(\.action).contains(.claim(folders: ["/srv/new"], user: "new")))

        // An empty home is none; it is not the root of everything.
        let empty = try FilesPlan(
            config(#""passwd": {"users": [{"name": "new", "homeDir": ""}]}"#), on: inventory([:], accounts),
            mountFolders: ["/srv", "/home/new"])
        #expect(empty.steps.map(\.action).contains(.claim(folders: ["/home/new"], user: "new")))

        // Where the target's settings put new homes elsewhere.
        var elsewhere = inventory([:], accounts)
        elsewhere.accountSettings = AccountSettings(useradd: "HOME=/srv/people\n")
        let other = try FilesPlan(wanted, on: elsewhere, mountFolders: ["/home/new", "/srv/people/new"])
        #expect(other.steps.map(\.action).contains(.claim(folders: ["/srv/people/new"], user: "new")))
    }

    @Test func ownersMayBeAccountsThatTheConfigMakes() throws {
        let wanted = #"""
            "passwd": {"users": [{"name": "web"}, {"name": "old", "shouldExist": false}]},
            "storage": {"files": [{"path": "/f", "user": {"name": "web"}, "group": {"name": "web"}}]}
            """#
        let owner = PlannedOwner(user: .name("web"), group: .name("web"))
        #expect(
            try steps(wanted).last == .writeFile(.init("/f", .init([]), mode: 0o644, owner: owner, replacing: false)))
        #expect(
            try conflicts(wanted.replacing(#""name": "web"}, "group""#, with: #""name": "old"}, "group""#))
                == ["/f is to belong to old, but there is no such user"])
    }
}

extension String {
    fileprivate func replacing(_ part: String, with other: String) -> String {
        split(separator: part, omittingEmptySubsequences: false).joined(separator: other)
    }
}
