import Testing

@testable import Accounts

private let passwd = """
    root:x:0:0:root:/root:/bin/bash
    # a comment
    daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
    core:x:1000:1000:Core:/home/core:/bin/bash
    damaged:x:ten:1::/:
    +nis::::::

    """
private let group = "root:x:0:\nmail:x:8:\nwheel:x:10:core,root\ncore:x:1000:\nshort:x:50\n"
private let shadow = "root:*:19000:0:99999:7:::\ncore:$6$old:19001:0:99999:7:::\n"
private let gshadow = "root:*::\nwheel:!:core:core,root\ncore:!::\n"
private let loginDefs = """
    # as Debian has it
    MAIL_DIR        /var/mail
    UMASK\t\t022
    PASS_MAX_DAYS   99999
    PASS_MIN_DAYS   0
    PASS_WARN_AGE   7
    UID_MIN 1000
    UID_MAX 60000
    USERGROUPS_ENAB yes
    HOME_MODE "0700"
    """

private func database(
    passwd: String = passwd, group: String = group, shadow: String? = shadow, gshadow: String? = gshadow,
    subuid: String? = nil, loginDefs: String = loginDefs, useradd: String = "", elsewhere: TargetAccounts = .init()
) -> AccountDatabase {
    let texts: [(AccountFileName, String?)] = [
        (.passwd, passwd), (.group, group), (.shadow, shadow), (.gshadow, gshadow), (.subuid, subuid),
        (.subgid, subuid),
    ]
    var files: [AccountFileName: [UInt8]] = [:]
    for (name, text) in texts { files[name] = text.map { Array($0.utf8) } }
    return AccountDatabase(
        files: files, elsewhere: elsewhere, settings: AccountSettings(loginDefs: loginDefs, useradd: useradd),
        today: 20000)
}

private func user(_ name: String, _ set: (inout AccountRequest.NewUser) -> Void = { _ in }) -> AccountRequest {
    var user = AccountRequest.NewUser(name)
    user.fields.hash = "*"
    set(&user)
    return .addUser(user)
}

private func fields(_ set: (inout AccountRequest.UserFields) -> Void) -> AccountRequest.UserFields {
    var fields = AccountRequest.UserFields()
    set(&fields)
    return fields
}

extension AccountChange {
    fileprivate func text(_ name: AccountFileName) -> String? {
        files.first { $0.name == name }.map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    /// Lines that an earlier text did not have.
    fileprivate func new(_ name: AccountFileName, since old: String) -> [String] {
        let known = Set(old.split(separator: "\n"))
        return (text(name) ?? "").split(separator: "\n").filter { !known.contains($0) }.map(String.init)
    }
}

@Suite struct AccountFileText {
    @Test func linesThatAreNoEntriesStayByteForByte() throws {
        var bytes =
            Array("root:x:0:0:".utf8) + [0xff, 0xfe] + Array(":/root:/bin/sh\n\n#\u{e4}\nodd:line\n+::::::".utf8)
        var file = AccountFile(.passwd, parsing: bytes)
        #expect(file.entries.map { $0.line } == [0])
        #expect(!file.isChanged)
        // Only a line's end is added where the last had none.
        #expect(file.bytes == bytes + [10])
        try file.put(["new", "x", "1", "1", "", "/", ""].map { Array($0.utf8) })
        bytes.insert(contentsOf: Array("new:x:1:1::/:\n".utf8), at: bytes.count - "+::::::".utf8.count)
        #expect(file.bytes == bytes + [10])
    }

    @Test(
        "entries are what shadow's programs take for them",
        arguments: [
            (AccountFileName.passwd, "a:x:1:2::/:", true), (.passwd, "a:x:1:2::/", false),
            (.passwd, "a:x:1:2::/::", false), (.passwd, "a:x::2::/:", false), (.passwd, "-a:x:1:2::/:", false),
            (.passwd, "#a:x:1:2::/:", true), (.passwd, "", false), (.passwd, "a:x:-1:2::/:", false),
            (.group, "a:x:1:", true), (.group, "a:x:1", true), (.group, "a:x:", false), (.group, "a:x:1:b:c", false),
            (.group, "a:x:1:b,\\", false), (.shadow, "a:*:1:0:9:7:::", true), (.shadow, "a:*:1:0:9", true),
            (.shadow, "a:*:::::::", true), (.shadow, "a:*:x::::::", false), (.shadow, "a:*", false),
            (.gshadow, "a:!::", true), (.gshadow, "a:!:", false), (.subuid, "a:1:2", true), (.subuid, "a:1:", false),
        ] as [(AccountFileName, String, Bool)])
    func entries(_ name: AccountFileName, _ line: String, _ isEntry: Bool) {
        #expect(AccountFile(name, parsing: Array(line.utf8)).entries.isEmpty == !isEntry)
    }

    @Test func aLineThatIsJoinedWithTheNextIsNoEntryNorIsThat() {
        let file = AccountFile(.group, parsing: Array("a:x:1:b,\\\nc\nd:x:2:\n".utf8))
        #expect(file.entries.map { $0.line } == [2])
    }

    @Test func severalLinesForOneNameAreNotTouched() {
        let twice = "a:x:5:5::/:\na:x:6:6::/:\n"
        #expect(throws: AccountFault.repeated("a", in: .passwd)) {
            try database(passwd: twice).change(for: .changeUser("a", fields { $0.shell = "/bin/sh" }))
        }
    }

    @Test func aFreeRangeIsTheFirstHoleAndTheLinesAreSorted() {
        let text = "b:300:100\nodd\na:100:100\nc:200:50\n"
        var file = AccountFile(.subuid, parsing: Array(text.utf8))
        #expect(file.takeRange(lowest: 100, highest: 1000, count: 50) == 250)
        #expect(String(decoding: file.bytes, as: UTF8.self) == "a:100:100\nc:200:50\nb:300:100\nodd\n")
        #expect(file.takeRange(lowest: 100, highest: 1000, count: 60) == 400)
        #expect(file.takeRange(lowest: 100, highest: 450, count: 60) == nil)
        #expect(file.takeRange(lowest: 0, highest: 1000, count: 100) == 0)
        #expect(file.takeRange(lowest: 1, highest: 0, count: 1) == nil)
    }
}

@Suite struct GroupsOfTheImage {
    private let elsewhere = TargetAccounts(passwd: "", group: "docker:x:950:svc\n")

    @Test func aCopyHasTheNumberAndTheMembers() throws {
        let copy = AccountRequest.copyGroup("docker", gid: 950, members: ["svc"])
        let change = try database(elsewhere: elsewhere).change(for: copy)
        #expect(change.text(.group)?.hasSuffix("docker:x:950:svc\n") == true)
        #expect(change.text(.gshadow)?.hasSuffix("docker:!::svc\n") == true)
        let bare = try database(gshadow: nil, elsewhere: elsewhere).change(for: copy)
        #expect(bare.files.map(\.name) == [.group])
        // An earlier run was stopped after it.
        #expect(try database(group: "docker:x:950:a\n", elsewhere: elsewhere).change(for: copy).files.isEmpty)
        #expect(throws: AccountFault.groupIDInUse(950, by: "other", wantedBy: "docker")) {
            try database(group: "other:x:950:\n", elsewhere: elsewhere).change(for: copy)
        }
    }

    @Test func aUserIsPutIntoTheCopy() throws {
        let there = database(group: "root:x:0:\ndocker:x:950:svc\n", elsewhere: elsewhere)
        let change = try there.change(for: user("a") { $0.fields.groups = ["docker"] })
        #expect(change.text(.group)?.contains("docker:x:950:svc,a\n") == true)
    }
}

@Suite struct AccountSettingsText {
    @Test func settingsAreReadAsShadowReadsThem() {
        let settings = AccountSettings(
            loginDefs: loginDefs + "\nSUB_UID_COUNT 0x10\nGID_MIN none\n  UID_MIN  2000\n",
            useradd:
                "#SHELL=/bin/no\nSHELL=/bin/zsh\nSKEL=\nGROUP=mail\nEXPIRE=2024-10-04\nINACTIVE=5\n"
        )
        #expect(settings.homeMode == 0o700)
        #expect(settings.shell == "/bin/zsh")
        #expect(settings.skeleton == "/etc/skel")
        #expect(settings.subordinates("SUB_UID").count == 16)
        #expect(settings.range("UID", isSystem: false) == .init(lowest: 2000, highest: 60000, lowestWanted: 2000))
        #expect(settings.range("GID", isSystem: true) == .init(lowest: 101, highest: 999, lowestWanted: 1))
        #expect(settings.ages == ["0", "99999", "7", "5", "20000"])
        #expect(AccountSettings(useradd: "EXPIRE=9223372036854775807-03-01").ages.last == "")
        #expect(AccountSettings(loginDefs: "UID_MIN -9223372036854775807").range("UID", isSystem: true) == nil)
        for lowest in ["--9223372036854775808", "0x-8000000000000000", "-0x-8"] {
            #expect(
                AccountSettings(loginDefs: "UID_MIN \(lowest)").range("UID", isSystem: true)
                    == AccountSettings().range("UID", isSystem: true))
        }
        #expect(AccountSettings(loginDefs: "UMASK 077").homeMode == 0o700)
        #expect(AccountSettings().homeMode == 0o755)
        #expect(AccountSettings().ages == ["", "", "", "", ""])
        #expect(AccountSettings(loginDefs: "UID_MIN 5\nUID_MAX 4").range("UID", isSystem: false) == nil)
    }

    @Test(
        "free ids",
        arguments: [
            ([], false, nil, 10), ([10], false, nil, 11), ([10, 15], false, nil, 16), ([20], false, nil, 10),
            ([10, 20], false, nil, 11), ([10], false, 12, 12), ([10, 12], false, 12, 13), ([10], false, 5, 11),
            ([], true, nil, 20), ([20], true, nil, 19), ([15], true, nil, 14), ([10], true, nil, 20),
            ([10, 20], true, nil, 19), ([], true, 5, 5), (Array(10...20), false, nil, nil),
            (Array(10...20), true, nil, nil),
            ([5, 30], false, nil, 10),
        ] as [([UInt32], Bool, UInt32?, UInt32?)])
    func freeIDs(_ taken: [UInt32], _ isSystem: Bool, _ wanted: UInt32?, _ expected: UInt32?) {
        let range = AccountSettings.IDRange(lowest: 10, highest: 20, lowestWanted: isSystem ? 1 : 10)
        #expect(range.free(Set(taken), elsewhere: [], wanted: wanted, isSystem: isSystem) == expected)
    }

    @Test func idsOfOtherDatabasesAreNotFree() {
        let range = AccountSettings.IDRange(lowest: 10, highest: 20, lowestWanted: 10)
        #expect(range.free([10], elsewhere: [11, 12], isSystem: false) == 13)
    }
}

@Suite struct NativeAccounts {
    @Test func aNewUserHasItsLinesItsGroupAndItsHome() throws {
        let change = try database(subuid: "").change(for: user("new") { $0.fields.groups = ["wheel", "50"] })
        #expect(change.new(.passwd, since: passwd) == ["new:x:1001:1001::/home/new:/bin/bash"])
        #expect(change.text(.passwd)?.hasSuffix("new:x:1001:1001::/home/new:/bin/bash\n+nis::::::\n") == true)
        #expect(change.new(.shadow, since: shadow) == ["new:*:20000:0:99999:7:::"])
        #expect(
            change.new(.group, since: group) == ["wheel:x:10:core,root,new", "short:x:50:new", "new:x:1001:"])
        #expect(change.new(.gshadow, since: gshadow) == ["wheel:!:core:core,root,new", "new:!::"])
        #expect(change.text(.subuid) == "new:100000:65536\n")
        #expect(change.text(.subgid) == "new:100000:65536\n")
        #expect(
            change.effects == [.makeHome("/home/new", owner: .init(1001, 1001), mode: 0o700, skeleton: "/etc/skel")])
        // The last of the files makes the user; by the first a run that was stopped is known.
        #expect(change.files.last?.name == .passwd)
        #expect(change.files.first?.name == .shadow)
    }

    @Test func aSystemUserHasNeitherAgesNorRanges() throws {
        let request = user("sys") {
            $0.isSystem = true
            $0.hasHome = false
            $0.clearsLoginRecords = false
        }
        let change = try database(subuid: "", useradd: "CREATE_MAIL_SPOOL=yes").change(for: request)
        #expect(change.new(.passwd, since: passwd) == ["sys:x:999:999::/home/sys:/bin/bash"])
        #expect(change.new(.shadow, since: shadow) == ["sys:*:20000::::::"])
        #expect(change.text(.subuid) == nil)
        #expect(change.effects == [])
    }

    @Test func withoutShadowFilesTheHashIsInPasswd() throws {
        let change = try database(shadow: nil, gshadow: nil).change(for: user("new") { $0.fields.hash = "$6$h" })
        #expect(change.new(.passwd, since: passwd) == ["new:$6$h:1001:1001::/home/new:/bin/bash"])
        #expect(change.new(.group, since: group) == ["new:!:1001:"])
        #expect(change.files.count == 2)
    }

    @Test func whoGetsNoGroupOfItsOwnIsInTheDefaultOne() throws {
        let alone = user("new") { $0.mayHaveGroup = false }
        #expect(
            try database().change(for: alone).new(.passwd, since: passwd) == ["new:x:1001:100::/home/new:/bin/bash"])
        #expect(
            try database(useradd: "GROUP=wheel\nHOME=/srv\nSHELL=").change(for: alone).new(.passwd, since: passwd)
                == ["new:x:1001:10::/srv/new:"])
        #expect(
            try database(loginDefs: "").change(for: user("new")).new(.passwd, since: passwd)
                == ["new:x:1001:100::/home/new:/bin/bash"])
    }

    @Test func whatAStoppedRunMadeIsUsed() throws {
        let half = try database(subuid: "").change(for: user("new"))
        let groups = try #require(half.text(.group))
        let halfway = database(
            group: groups, shadow: half.text(.shadow), gshadow: half.text(.gshadow),
            subuid: half.text(.subuid))
        let whole = try halfway.change(for: user("new"))
        #expect(whole.text(.passwd) == half.text(.passwd))
        #expect(whole.text(.group) == nil)
        #expect(whole.text(.subuid) == nil)
        // Without the line in shadow it is another's group.
        #expect(throws: AccountFault.groupIsThere("new")) {
            try database(group: groups).change(for: user("new"))
        }
    }

    @Test(
        "what cannot be is said, and nothing is changed",
        arguments: [
            (user("a b"), AccountFault.badUserName("a b")), (user(""), .badUserName("")),
            (user("-a"), .badUserName("-a")),
            (user(".."), .badUserName("..")), (user("a/b"), .badUserName("a/b")), (user("a:b"), .badUserName("a:b")),
            (user(String(repeating: "a", count: 33)), .badUserName(String(repeating: "a", count: 33))),
            (user("a") { $0.fields.gecos = "x:y" }, .badField("gecos", of: "a")),
            (user("a") { $0.fields.gecos = "x\ny" }, .badField("gecos", of: "a")),
            (user("a") { $0.fields.home = "home" }, .badField("home", of: "a")),
            (user("a") { $0.fields.shell = "sh" }, .badField("shell", of: "a")),
            (user("a") { $0.fields.hash = "a:b" }, .badField("password hash", of: "a")),
            (user("a") { $0.fields.uid = -1 }, .badID(-1, of: "a")),
            (user("a") { $0.fields.uid = 4_294_967_295 }, .badID(4_294_967_295, of: "a")),
            (user("a") { $0.fields.uid = 1000 }, .userIDInUse(1000, by: "core", wantedBy: "a")),
            (user("a") { $0.fields.primaryGroup = "no" }, .noGroup("no", wantedBy: "a")),
            (user("a") { $0.fields.groups = ["wheel", "no"] }, .noGroup("no", wantedBy: "a")),
            (user("wheel"), .groupIsThere("wheel")), (.addGroup(name: "a,b"), .badGroupName("a,b")),
            (.addGroup(name: "g", gid: 10), .groupIDInUse(10, by: "wheel", wantedBy: "g")),
            (.changeGroup(name: "wheel", gid: 8), .groupIDInUse(8, by: "mail", wantedBy: "wheel")),
            (.removeGroup("core"), .primaryGroup("core", of: "core")), (.removeUser("no"), .notInFile("no", .passwd)),
            (.changeUser("no", .init()), .notInFile("no", .passwd)),
        ] as [(AccountRequest, AccountFault)])
    func faults(_ request: AccountRequest, _ fault: AccountFault) {
        #expect(throws: fault) { try database().change(for: request) }
    }

    @Test func noFreeIDIsAFault() {
        let full = "UID_MIN 1000\nUID_MAX 1000\nUSERGROUPS_ENAB yes"
        #expect(throws: AccountFault.noFreeID(of: "new", setting: "UID_MIN to UID_MAX")) {
            try database(loginDefs: full).change(for: user("new"))
        }
    }

    @Test func aUserIsChangedWhereItDiffers() throws {
        let change = try database().change(
            for: .changeUser(
                "core",
                fields {
                    $0.uid = 1500
                    $0.gecos = "New"
                    $0.shell = "/bin/sh"
                    $0.home = "/srv/core/"
                    $0.primaryGroup = "wheel"
                    $0.hash = "$6$new"
                    $0.groups = ["mail"]
                }))
        #expect(change.new(.passwd, since: passwd) == ["core:x:1500:10:New:/srv/core:/bin/sh"])
        #expect(change.new(.shadow, since: shadow) == ["core:$6$new:20000:0:99999:7:::"])
        #expect(change.new(.group, since: group) == ["mail:x:8:core", "wheel:x:10:root"])
        #expect(change.new(.gshadow, since: gshadow) == ["wheel:!:core:root"])
        #expect(
            change.effects == [
                .moveHome("/home/core", to: "/srv/core/", owner: .init(1000, 1000), newOwner: .init(1500, 10))
            ])
        let gecos = try database().change(for: .changeUser("core", fields { $0.gecos = "Core" }))
        #expect(gecos == AccountChange())
        let uid = try database().change(for: .changeUser("core", fields { $0.uid = 7 }))
        #expect(uid.effects.first == .changeOwner(of: "/home/core", from: .init(1000, 1000), to: .init(7, 1000)))
    }

    @Test func aHashGoesWhereTheUserHasIts() throws {
        let wanted = AccountRequest.changeUser("daemon", fields { $0.hash = "$6$d" })
        let change = try database().change(for: wanted)
        #expect(change.new(.shadow, since: shadow) == ["daemon:$6$d:20000:0:99999:7:::"])
        #expect(change.text(.passwd) == passwd.dropLast() + "\n")
        let open = try database(shadow: nil).change(for: wanted)
        #expect(open.new(.passwd, since: passwd) == ["daemon:$6$d:1:1:daemon:/usr/sbin:/usr/sbin/nologin"])
    }

    @Test func groupsAreMadeChangedAndRemoved() throws {
        let made = try database().change(for: .addGroup(name: "new", hash: "$6$g"))
        #expect(made.new(.group, since: group) == ["new:x:1001:"])
        #expect(made.new(.gshadow, since: gshadow) == ["new:$6$g::"])
        let open = try database(gshadow: nil).change(for: .addGroup(name: "new", gid: 7, hash: "$6$g"))
        #expect(open.new(.group, since: group) == ["new:$6$g:7:"])

        let moved = try database().change(for: .changeGroup(name: "core", gid: 2000))
        #expect(moved.new(.group, since: group) == ["core:x:2000:"])
        #expect(moved.new(.passwd, since: passwd) == ["core:x:1000:2000:Core:/home/core:/bin/bash"])
        // What makes the change true comes last: a run that is stopped before is begun again.
        #expect(moved.files.last?.name == .group)
        let locked = try database().change(for: .changeGroup(name: "mail", hash: "$6$g"))
        #expect(locked.new(.gshadow, since: gshadow) == ["mail:$6$g::"])

        let gone = try database().change(for: .removeGroup("wheel"))
        #expect(gone.text(.group)?.contains("wheel") == false)
        #expect(gone.text(.gshadow)?.contains("wheel") == false)
    }

    @Test func aUserThatGoesTakesAllThatIsItsOwn() throws {
        let change = try database(subuid: "core:5:6\nroot:1:2\ncore:9:9\n").change(for: .removeUser("core"))
        #expect(change.text(.passwd)?.contains("core") == false)
        #expect(change.text(.shadow) == "root:*:19000:0:99999:7:::\n")
        #expect(change.text(.group) == "root:x:0:\nmail:x:8:\nwheel:x:10:root\nshort:x:50\n")
        #expect(change.text(.gshadow) == "root:*::\nwheel:!::root\n")
        #expect(change.text(.subuid) == "root:1:2\n")
        let others: [AccountEffect.Home] = [.init(of: "root", "/root"), .init(of: "daemon", "/usr/sbin")]
        #expect(change.effects == [.removeHome("/home/core", of: 1000, beside: others)])
        // A group that others have too stays.
        let shared = passwd + "other:x:1001:1000::/:\n"
        #expect(
            try database(passwd: shared).change(for: .removeUser("core")).text(.group)?.contains("core:x:1000:") == true
        )
    }

    @Test func otherDatabasesOfTheTargetCount() throws {
        let image = TargetAccounts(passwd: "img:x:1001:1001::/:\n", group: "docker:x:1001:\n")
        let change = try database(elsewhere: image).change(for: user("new") { $0.fields.primaryGroup = "docker" })
        #expect(change.new(.passwd, since: passwd) == ["new:x:1002:1001::/home/new:/bin/bash"])
        #expect(throws: AccountFault.notInFile("img", .passwd)) {
            try database(elsewhere: image).change(for: .changeUser("img", fields { $0.shell = "/bin/sh" }))
        }
    }
}
