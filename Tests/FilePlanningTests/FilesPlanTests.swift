import Accounts
import IgnitionConfig
import Testing

@testable import FilePlanning

private func config(_ json: String) throws -> IgnitionConfig {
    let text = #"{"ignition": {"version": "3.4.0"}, "# + json + "}"
    return try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked()
}

private func inventory(_ found: [String: TargetPlace.Found], _ accounts: TargetAccounts = .init()) -> TargetInventory {
    TargetInventory(
        places: .init(uniqueKeysWithValues: found.map { ($0, TargetPlace(resolved: $0, found: $1)) }),
        accounts: accounts)
}

private func steps(_ json: String, _ found: [String: TargetPlace.Found] = [:]) throws -> [FileAction] {
    try FilesPlan(config(json), on: inventory(found)).steps.map(\.action)
}

private func conflicts(_ json: String, _ found: [String: TargetPlace.Found] = [:]) throws -> [String] {
    let wanted = try config(json)
    do throws(FileConflicts) {
        let plan = try FilesPlan(wanted, on: inventory(found))
        return ["planned: \(plan.steps.map(\.action))"]
    } catch {
        return error.conflicts.map(\.description)
    }
}

private let accounts = TargetAccounts(
    passwd: "root:x:0:0:root:/root:/bin/bash\ncore:x:1000:1000:Core:/home/core:/bin/bash\n# note\nbroken:x\n",
    group: "root:x:0:\ncore:x:1000:\nsudo:x:27:core\nadm:x:4:core,other\n", shadow: "core:$6$old:19000:0:99999:7:::\n",
    gshadow: "core:!::\n")

@Suite struct FilePaths {
    /// A target with `/a -> /b`, `/b/up -> ../../../c`, `/loop -> loop`, the folders `/b`, `/c` and the file `/f`.
    private func look(_ path: String) -> PathComponent {
        switch path {
        case "/a": .link(target: "/b")
        case "/b/up": .link(target: "../../../c")
        case "/c/again": .link(target: "/a/up/./in")
        case "/loop": .link(target: "loop")
        case "/b", "/c", "/c/in": .folder
        case "/f": .other
        default: .nothing
        }
    }

    @Test(
        "follow links without leaving the root",
        arguments: [
            ("/x", "/x"), ("/a", "/a"), ("/a/x", "/b/x"), ("/a/up", "/b/up"), ("/a/up/x", "/c/x"),
            ("/c/again/x", "/c/in/x"), ("/new/a/x", "/new/a/x"), ("/a/../x", "/x"), ("/..", "/"), ("/", "/"),
            ("/b/new/../up/x", "/c/x"), ("/a/.", "/b"),
        ])
    func resolved(_ path: String, _ place: String) throws {
        #expect(try resolveParents(of: path, looking: look) == place)
    }

    @Test func loopsAndFilesOnTheWayAreFaults() {
        #expect(throws: PathFault.tooManyLinks("/loop/x")) { try resolveParents(of: "/loop/x", looking: look) }
        #expect(throws: PathFault.blocked(by: "/f")) { try resolveParents(of: "/f/x/y", looking: look) }
    }
}

@Suite struct FilePlans {
    @Test func somethingNewIsMadeInTheOrderOfDepthAndHardLinksLast() throws {
        let actions = try steps(
            #"""
            "storage": {
              "files": [{"path": "/srv/a/b", "mode": 384, "contents": {"source": "data:,x"}}, {"path": "/top"}],
              "directories": [{"path": "/srv/a", "mode": 448, "user": {"id": 7}}],
              "links": [{"path": "/hard", "target": "/srv/a/b", "hard": true}, {"path": "/soft", "target": "x"}]
            }
            """#)
        let content = PlannedContent([.resource(.init(source: "data:,x"))])
        #expect(
            actions == [
                .writeFile(.init("/top", .init([]), mode: 0o644, owner: .unchanged, replacing: false)),
                .makeLink(.init("/soft", target: "x", owner: .unchanged, replacing: false)),
                .makeFolder(.init("/srv/a", mode: 0o700, owner: .init(user: .number(7)), replacing: false)),
                .writeFile(.init("/srv/a/b", content, mode: 0o600, owner: .unchanged, replacing: false)),
                .makeHardLink("/hard", target: "/srv/a/b", replacing: false),
            ])
    }

    @Test(
        "a file that is there decides what happens",
        arguments: [
            (#"{"path": "/f"}"#, TargetPlace.Found.file(hasWantedContent: false), "[]"),
            (#"{"path": "/f", "mode": 384}"#, .file(hasWantedContent: false), "[setting the owner and mode of /f]"),
            (
                #"{"path": "/f", "contents": {"source": "data:,x"}}"#, .file(hasWantedContent: true), "[]"
            ),
            (#"{"path": "/f", "append": [{"source": "data:,x"}]}"#, .file(hasWantedContent: true), "[]"),
            (
                #"{"path": "/f", "append": [{"source": "data:,x"}]}"#, .file(hasWantedContent: false),
                "[appending to /f]"
            ),
            (
                #"{"path": "/f", "overwrite": true, "contents": {"source": "data:,x"}}"#,
                .file(hasWantedContent: false), "[writing /f]"
            ),
            (
                #"{"path": "/f", "overwrite": true, "contents": {"source": ""}}"#, .folder(holdsMounts: false),
                "[writing /f]"
            ),
        ])
    func present(_ file: String, _ found: TargetPlace.Found, _ planned: String) throws {
        #expect("\(try steps("\"storage\": {\"files\": [\(file)]}", ["/f": found]))" == planned)
    }

    @Test(
        "what the config does not overwrite is a conflict",
        arguments: [
            (
                #"{"files": [{"path": "/f", "contents": {"source": "data:,x"}}]}"#,
                TargetPlace.Found.file(hasWantedContent: false),
                "/f is there with other content, and the config does not overwrite it"
            ),
            (
                #"{"files": [{"path": "/f"}]}"#, .folder(holdsMounts: false),
                "/f is a directory; the config wants a file and does not overwrite"
            ),
            (
                #"{"files": [{"path": "/f"}]}"#, .link(target: "/x"),
                "/f is a link to /x; the config wants a file and does not overwrite"
            ),
            (
                #"{"directories": [{"path": "/f"}]}"#, .file(hasWantedContent: false),
                "/f is a file; the config wants a directory and does not overwrite"
            ),
            (
                #"{"links": [{"path": "/f", "target": "y"}]}"#, .link(target: "/x"),
                "/f is a link to /x; the config wants a link to y and does not overwrite"
            ),
            (
                #"{"directories": [{"path": "/f", "overwrite": true}]}"#, .folder(holdsMounts: true),
                "/f holds a mounted filesystem, which overwriting it would empty"
            ),
            (
                #"{"files": [{"path": "/f"}]}"#, .blocked(by: "/g"), "/f is below /g, which is no directory"
            ),
            (
                #"{"files": [{"path": "/f"}]}"#, .circular, "/f is behind links that lead round in circles"
            ),
            (
                #"{"links": [{"path": "/f", "target": "/gone", "hard": true}]}"#, .nothing,
                "/f is to be a hard link to /gone, which is not there"
            ),
            (
                #"{"files": [{"path": "/f", "user": {"name": "nobody"}, "group": {"name": "staff"}}]}"#, .nothing,
                "/f is to belong to nobody, but there is no such user"
            ),
        ])
    func inTheWay(_ storage: String, _ found: TargetPlace.Found, _ conflict: String) throws {
        #expect(try conflicts("\"storage\": \(storage)", ["/f": found]).first == conflict)
    }

    @Test func aFailureNamesTheConfigsLineAndAdvises() throws {
        let text = """
            {"ignition": {"version": "3.4.0"},
             "storage": {"files": [
              {"path": "/etc/motd", "contents": {"source": "data:,x"}}]}}
            """
        let config = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked()
        let there = inventory(["/etc/motd": .file(hasWantedContent: false)])
        let error = #expect(throws: FileConflicts.self) { try FilesPlan(config, on: there) }
        #expect(
            error?.description == "/etc/motd is there with other content, and the config does not overwrite it "
                + "(storage.files[0], config.ign line 3)")
        #expect(error?.advice == ["No file of the target was changed.", "To replace /etc/motd: \"overwrite\": true"])
    }

    @Test func twoPathsToOnePlaceAreAConflict() throws {
        let wanted = try config(#""storage": {"files": [{"path": "/var/run/x"}, {"path": "/run/x"}]}"#)
        var there = inventory([:])
        there.places["/var/run/x"] = TargetPlace(resolved: "/run/x", found: .nothing)
        let error = #expect(throws: FileConflicts.self) { try FilesPlan(wanted, on: there) }
        #expect(error?.conflicts.map(\.description) == ["/run/x and /var/run/x are the same place: /run/x"])
    }

    @Test func aFileInTheWayOfAReplacingDirectoryIsNone() throws {
        let actions = try steps(
            #""storage": {"directories": [{"path": "/d", "overwrite": true}], "files": [{"path": "/d/f"}]}"#,
            ["/d": .file(hasWantedContent: false), "/d/f": .blocked(by: "/d")])
        #expect("\(actions)" == "[making the directory /d, writing /d/f]")
    }

    @Test func whatIsBelowAnOverwrittenDirectoryIsMadeAnew() throws {
        let actions = try steps(
            #""storage": {"directories": [{"path": "/d", "overwrite": true}], "files": [{"path": "/d/f", "contents": {"source": "data:,x"}}]}"#,
            ["/d": .folder(holdsMounts: false), "/d/f": .file(hasWantedContent: true)])
        #expect(actions.map(\.description) == ["making the directory /d", "writing /d/f"])
    }

    @Test func aLinkThatPointsThereIsKept() throws {
        let wanted = try config(#""storage": {"links": [{"path": "/l", "target": "../a/"}]}"#)
        let plan = try FilesPlan(wanted, on: inventory(["/l": .link(target: "../a")]))
        #expect(plan.steps.isEmpty)
        #expect(plan.kept == [.init("/l", .sameTarget)])
    }

    @Test func aHardLinkFollowsItsRewrittenTarget() throws {
        func plan(overwrite: Bool) throws -> FilesPlan {
            let wanted = try config(
                #""storage": {"files": [{"path": "/f", "overwrite": \#(overwrite), "contents": {"source": "data:,x"}}], "#
                    + #""links": [{"path": "/h", "target": "f", "hard": true}]}"#)
            let identity = FileIdentity(device: 1, inode: 2)
            let place = TargetPlace(resolved: "/f", found: .file(hasWantedContent: true), identity: identity)
            var link = place
            link.resolved = "/h"
            return try FilesPlan(wanted, on: TargetInventory(places: ["/f": place, "/h": link]))
        }
        #expect(try plan(overwrite: false).steps.isEmpty)
        #expect("\(try plan(overwrite: true).steps.map(\.action))" == "[writing /f, linking /h to the file /f]")
    }

    @Test func theSummaryCountsWhatTheConfigAsksFor() throws {
        let wanted = try config(
            #""storage": {"files": [{"path": "/a"}, {"path": "/b"}], "directories": [{"path": "/c"}, {"path": "/d"}]}, "#
                + #""passwd": {"users": [{"name": "core"}]}, "systemd": {"units": [{"name": "a.service"}]}"#)
        #expect(try FilesPlan(wanted, on: inventory([:])).summary == "2 files, 2 directories, 1 user, 1 unit")
        #expect(try FilesPlan(config(#""storage": {}"#), on: inventory([:])).summary == "nothing asked for")
    }

    @Test func aPlanSaysHowMuchOfItIsDone() {
        let plan = FilesPlan(
            steps: [.init(.removeLink("/a"), .init()), .init(.removeLink("/b"), .init())], summary: "")
        #expect(plan.written(0) == nil)
        #expect(plan.written(1) == "1 of 2 changes to the real root")
        #expect(plan.written(2) == "2 of 2 changes to the real root")
    }
}

@Suite struct PresetInstances {
    @Test(
        arguments: [
            ("systemd 239 (239-41)\n+PAM", true, true), ("systemd 252 (252.38-1)\n", true, false),
            ("systemd 239~rc1", true, true), ("systemd 219\n", false, false), ("no version", true, false),
            (nil, true, false),
        ] as [(String?, Bool, Bool)])
    func oldReleasesAreWarnedOf(_ said: String?, _ isInstance: Bool, _ isWarned: Bool) {
        var unit = IgnitionConfig.Unit()
        unit.name = isInstance ? "a@b.service" : "a.service"
        unit.enabled = true
        #expect((instanceWarning(for: [unit]) { said } != nil) == isWarned)
        unit.enabled = nil
        #expect(instanceWarning(for: [unit]) { said } == nil)
    }
}

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
        "since 2.25 the original gives groupadd no hash where the config has none",
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
        found.homeOwners = homes
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
        // It comes first: nobody else is to be given that number.
        #expect(
            steps == [
                "running useradd --create-home --password ... --uid 1000 core",
                "running useradd --create-home --password ... new",
                "running useradd --create-home --password ... --uid 1500 fixed",
            ])
        let root = try plan(passwd, there, homes: ["core": 0]).steps.map { "\($0.action)" }
        #expect(root.count == 3 && root[1] == "running useradd --create-home --password ... core")
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
        // The original's usermod takes it along.
        #expect(try FilesPlan(wanted, on: found, policy: .strict).steps.isEmpty == false)
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
        let found = try conflicts(
            #""systemd": {"units": [{"name": "a.service", "contents": "[Unit]"}]}"#,
            [path: .folder(holdsMounts: false)])
        #expect(found == ["\(path) is a directory; the config wants a unit there"])
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

@Suite struct UnitPlans {
    @Test func contentsDropinsMasksAndPresets() throws {
        let actions = try steps(
            #"""
            "systemd": {"units": [
              {"name": "a.service", "enabled": true, "contents": "[Unit]\n[Install]\nA=b\n",
               "dropins": [{"name": "x.conf", "contents": ""}, {"name": "y.conf"}]},
              {"name": "b.service", "mask": true, "contents": "[Unit]\n"},
              {"name": "c.service", "mask": false},
              {"name": "d.service", "mask": false, "enabled": false},
              {"name": "e.service", "mask": true},
              {"name": "f.service", "contents": ""}]}
            """#,
            [
                "/etc/systemd/system/c.service": .link(target: "/dev/null"),
                "/etc/systemd/system/d.service": .link(target: "/lib/other.service"),
                "/etc/systemd/system/e.service": .link(target: "/dev/null"),
            ])
        let folder = "/etc/systemd/system"
        #expect(
            actions == [
                .writeFile(
                    .init(
                        "\(folder)/a.service.d/x.conf", .init(text: ""), mode: 0o644, owner: .unchanged,
                        replacing: false)),
                .writeFile(
                    .init(
                        "\(folder)/a.service", .init(text: "[Unit]\n[Install]\nA=b\n"), mode: 0o644, owner: .unchanged,
                        replacing: false)),
                .makeLink(.init("\(folder)/b.service", target: "/dev/null", owner: .unchanged, replacing: false)),
                .removeLink("\(folder)/c.service"),
                .writeFile(
                    .init(
                        FilesPlan.presetFile, .init(text: "enable a.service\ndisable d.service\n"), mode: 0o644,
                        owner: .unchanged, replacing: false)),
                .preset(enabled: ["a.service"], disabled: ["d.service"]),
            ])
    }

    @Test func presetsOfInstancesShareALineAndStaleLinesGo() throws {
        let wanted = try config(
            #"""
            "systemd": {"units": [
              {"name": "z.service", "enabled": true}, {"name": "echo@b.service", "enabled": true},
              {"name": "echo@a.service", "enabled": true}, {"name": "m.service", "enabled": false}]}
            """#)
        let text = "enable echo@.service b a\ndisable m.service\nenable z.service\n"
        #expect(presetText(for: wanted.systemd.units, existing: nil) == text)
        #expect(presetText(for: wanted.systemd.units, existing: text) == text)
        let existing = "# by hand\nenable other.service\nenable m.service\nenable echo@.service old\n"
        #expect(
            presetText(for: wanted.systemd.units, existing: existing) == "# by hand\nenable other.service\n" + text)
        #expect(presetText(for: [], existing: existing) == nil)
    }

    @Test func theOriginalTakesATemplateForItsInstanceWithoutAName() throws {
        let units = try config(
            #""systemd": {"units": [{"name": "t@.service", "enabled": true}, {"name": "t@x.service", "enabled": true}]}"#
        ).systemd.units
        #expect(presetText(for: units, existing: nil) == "enable t@.service x\n")
        #expect(appendedPresets(for: units, existing: nil, disabling: []) == "enable t@.service  x\n")
    }
}
