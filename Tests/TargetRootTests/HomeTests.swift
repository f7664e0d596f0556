import Accounts
import CLinux
import FilePlanning
import Glibc
import IgnitionConfig
import LinuxSystem
import Synchronization
import SystemPackage
import Testing

@testable import TargetRoot

@Suite struct Homes {
    @Test("a home in which another user lives stays, by whatever path")
    func inner() throws {
        let target = try Target()
        try target.put("/home/me/inner/file", "x")
        #expect(symlink("home", target.path("/users").string) == 0)
        let effect = AccountEffect.removeHome(
            "/home/me", of: getuid(), beside: [.init(of: "root", "/root"), .init(of: "you", "/users/me/inner")])
        #expect(try target.root.accounts.perform(effect) == "/home/me holds the home of you; it stays")
        #expect(target.text("/home/me/inner/file") == "x")
        let shared = AccountEffect.removeHome("/home/me", of: getuid(), beside: [.init(of: "you", "/users/me")])
        #expect(try target.root.accounts.perform(shared) == "/home/me holds the home of you; it stays")
    }

    @Test(
        "a home with a filesystem in it is neither removed nor moved, by whatever program", .enabled(if: getuid() == 0),
        arguments: [#""shouldExist": false"#, #""homeDir": "/srv/me""#], [false, true])
    func mounted(wanted: String, hasPrograms: Bool) throws {
        let target = try Target()
        target.lacks = { _ in !hasPrograms }
        try target.put("/home/me/data/photo", "x")
        try target.put("/home/me/mine", "x")
        let mount = target.path("/home/me/data")
        try Mounts.mount("tmpfs", on: mount, type: "tmpfs")
        defer { try? Mounts.unmount(mount) }
        try target.put("/home/me/data/kept", "y")
        let refusal = #expect(throws: FileConflicts.self) {
            try target.provision(#""passwd": {"users": [{"name": "me", \#(wanted)}]}"#)
        }
        #expect(refusal?.conflicts.map(\.problem) == [.homeHoldsMounts("me")])
        #expect(target.text("/home/me/data/kept") == "y" && target.ran.withLock { $0.isEmpty })
    }

    @Test("a home on a filesystem of the config does not move into RAM, and moves on one of them")
    func leaving() throws {
        let target = try Target()
        target.lacks = { _ in true }
        try target.put("/home/me/photo", "x")
        func move(_ new: String, _ path: String = "/home") throws {
            try target.provision(
                #""passwd": {"users": [{"name": "me", "homeDir": "\#(new)"}]}, "#
                    + #""storage": {"filesystems": [{"device": "/dev/a", "format": "xfs", "path": "\#(path)"}]}"#)
        }
        let refusal = #expect(throws: FileConflicts.self) { try move("/srv/me") }
        #expect(refusal?.conflicts.map(\.problem) == [.homeLeavesFilesystem("me", to: "/srv/me")])
        #expect(refusal?.advice.first == "No file of the target was changed.")
        #expect(target.text("/home/me/photo") == "x")
        try move("/home/you")
        #expect(target.text("/home/you/photo") == "x")
    }

    @Test("a home that an earlier boot has moved is used again", arguments: [false, true])
    func movedBefore(hasPrograms: Bool) throws {
        let target = try Target()
        target.lacks = { _ in !hasPrograms }
        try target.put("/home/me/.profile", "the image's")
        try target.put("/data/me/photo", "x")
        try target.provision(#""passwd": {"users": [{"name": "me", "homeDir": "/data/me"}]}"#)
        #expect(target.text("/data/me/photo") == "x")
        if hasPrograms {
            let arguments = target.ran.withLock { $0.first { $0.program == "usermod" }?.arguments } ?? []
            #expect(arguments.contains("--home") && !arguments.contains("--move-home"))
        } else {
            #expect(target.text("/etc/passwd")?.contains(":/data/me:") == true)
        }
    }

    @Test("useradd finds /proc, by way of which glibc sets modes, and nobody does later", .enabled(if: getuid() == 0))
    func procForPrograms() throws {
        let target = try Target()
        try Files.makeFolder(target.path("/proc"))
        let found = Mutex<[String: Bool]>([:])
        target.does = { command in
            let isThere = Files.exists(target.path("/proc/self"))
            found.withLock { $0[command.program] = isThere }
        }
        try target.provision(#""passwd": {"users": [{"name": "new"}]}"#)
        #expect(found.withLock { $0["useradd"] } == true)
        #expect(!Files.exists(target.path("/proc/self")))
    }

    @Test("names that are not UTF-8 move, change their owner and go like all others")
    func rawNames() throws {
        let target = try Target()
        target.lacks = { _ in true }
        let odd: [CChar] = Array("/caf".utf8CString.dropLast()) + [CChar(bitPattern: 0xe9), 0]
        func place(_ folder: String) -> [CChar] { Array(target.path(folder).string.utf8CString.dropLast()) + odd }
        func makeOdd(in folder: String) throws {
            try target.put("\(folder)/plain", "x")
            let descriptor = open(place(folder), O_WRONLY | O_CREAT, 0o644)
            #expect(descriptor >= 0 && close(descriptor) == 0)
            #expect(symlink(odd, place(folder).dropLast() + [CChar(0x32), 0]) == 0)
        }
        try makeOdd(in: "/srv/www")
        let outcome = try target.provision(
            #""storage": {"directories": [{"path": "/srv/www", "overwrite": true}]}"#)
        #expect(target.root.names(in: "/srv/www") == [])
        #expect(outcome.changes.destroyed == ["/srv/www and what is in it"])
        // As when a skeleton is copied, or a home goes to another filesystem.
        try makeOdd(in: "/etc/skel")
        try target.provision(#""passwd": {"users": [{"name": "new"}]}"#)
        #expect(access(place("/home/new"), F_OK) == 0)
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlink(place("/home/new").dropLast() + [CChar(0x32), 0], &buffer, 64)
        #expect(Array(buffer.prefix(max(0, count))) == odd.dropLast())
    }

    @Test("a folder that cannot be read is neither copied as an empty one nor passed over")
    func unreadableFolders() throws {
        let target = try Target()
        try target.put("/home/me/precious", "x")
        // A descriptor that only names a place.
        let folder = OpenFolder(owning: open(target.path("/home/me").string, 0o10_000_000 | O_DIRECTORY))
        let goal = OpenFolder(owning: open(target.path("/etc").string, O_RDONLY | O_DIRECTORY))
        var copy = TreeCopy(rewriting: "/home/me", to: "/etc", withLabels: true) { _, _ in .init(0, 0) }
        #expect(throws: TargetFault.cannot("read", path: "/home/me", .badFileDescriptor)) {
            try copy.copyContent(of: folder, named: "/home/me", into: goal)
        }
    }

    @Test("no new user gets the number of a home that is left, whatever its name", .enabled(if: getuid() == 0))
    func homesThatAreLeft() throws {
        let target = try Target()
        target.lacks = { _ in true }
        try Files.makeFolder(target.path("/home"))
        let plain = target.path("/home/caf").string.utf8CString.dropLast()
        let name: [CChar] = Array(plain) + [CChar(bitPattern: 0xe9), 0]
        #expect(mkdir(name, 0o700) == 0 && chown(name, 1000, 1001) == 0)
        try target.provision(#""passwd": {"users": [{"name": "new"}]}"#)
        #expect(target.text("/etc/passwd")?.contains("\nnew:*:1002:") == true, "\(target.text("/etc/passwd") ?? "")")
    }

    @Test("a home goes where others are beside it, or are gone themselves")
    func alone() throws {
        let target = try Target()
        try target.put("/home/me/file", "x")
        try target.put("/home/me2/file", "x")
        let effect = AccountEffect.removeHome(
            "/home/me", of: getuid(), beside: [.init(of: "a", "/home/me2"), .init(of: "b", "/home/me/nothing")])
        #expect(try target.root.accounts.perform(effect) == nil)
        #expect(target.text("/home/me/file") == nil && target.text("/home/me2/file") == "x")
    }

    @Test(
        "a home in which another user lives does not move, and nothing is changed",
        arguments: ["/home/me", "/users/me"])
    func moves(shown: String) throws {
        let target = try Target()
        target.lacks = { _ in true }
        try target.put("/home/me/inner/file", "x")
        #expect(symlink("home", target.path("/users").string) == 0)
        let accounts = "root:x:0:0:root:/root:/bin/sh\nme:x:\(getuid()):\(getgid())::/home/me:/bin/sh\n"
        try target.put("/etc/passwd", accounts + "you:x:77:77::\(shown)/inner:/bin/sh\n")
        func move(and others: String = "") throws {
            try target.provision(#""passwd": {"users": [{"name": "me", "homeDir": "/srv"}\#(others)]}"#)
        }
        let error = #expect(throws: FileConflicts.self) { try move() }
        #expect(
            error?.description.hasPrefix(
                "/home/me, the home of me, is to move to /srv and would take \(shown)/inner along, the home of you")
                == true)
        #expect(error?.advice.last?.contains("usermod -m -d HOME you") == true)
        #expect(target.text("/home/me/inner/file") == "x" && target.text("/etc/passwd")?.contains("/srv") == false)
        // Where nobody lives in it, it moves.
        try target.put("/etc/passwd", accounts)
        try move()
        #expect(target.text("/srv/inner/file") == "x" && target.text("/home/me/inner/file") == nil)
    }

    // Only root gives files away.
    @Test(
        "a user gets another number and group, and the files of others in its home keep theirs",
        .enabled(if: getuid() == 0), arguments: [false, true], [nil, "/srv/me"] as [String?])
    func inner(hasPrograms: Bool, moved: String?) throws {
        let target = try Target()
        target.lacks = { _ in !hasPrograms }
        #expect(symlink("home", target.path("/users").string) == 0)
        let accounts = [
            "root:x:0:0:root:/root:/bin/sh", "me:x:1000:100::/home/me:/bin/sh",
            "you:x:77:100::\(moved == nil ? "/users" : "/home")/me/you:/bin/sh",
        ]
        try target.put("/etc/passwd", accounts.map { $0 + "\n" }.joined())
        try target.put("/etc/group", "root:x:0:\nusers:x:100:\nstaff:x:50:\n")
        // What is there, as the last part of its path, with its owner before and after.
        let files: [(path: String, before: [UInt32], after: [UInt32])] = [
            ("you/file", [77, 100], [77, 100]), ("you/mine", [1000, 100], [1500, 50]), ("you", [77, 100], [77, 100]),
            ("your", [77, 100], [77, 50]), ("mine", [1000, 100], [1500, 50]), ("", [1000, 100], [1500, 50]),
        ]
        for name in ["you/file", "you/mine", "your", "mine"] { try target.put("/home/me/\(name)", "x") }
        for file in files {
            #expect(lchown(target.path("/home/me/\(file.path)").string, file.before[0], file.before[1]) == 0)
        }
        if let moved { try Files.makeFolder(target.path(moved).removingLastComponent()) }

        let home = moved.map { #", "homeDir": "\#($0)""# } ?? ""
        let goesAlong = moved.map { #", {"name": "you", "homeDir": "\#($0)/you"}"# } ?? ""
        let me = #"{"name": "me", "uid": 1500, "primaryGroup": "staff"\#(home)}"#
        try target.provision(#""passwd": {"users": [\#(me)\#(goesAlong)]}"#)
        for file in files {
            let status = try #require(
                Files.status(target.path("\(moved ?? "/home/me")/\(file.path)"), followingLinks: false))
            #expect([status.st_uid, status.st_gid] == file.after, "\(file.path)")
        }
        #expect(target.text("/etc/passwd")?.contains("me:x:1500:50::\(moved ?? "/home/me"):") == true)
    }

    /// An access list: the owner, user 1, the group, the mask, others. See acl(5) and the kernel's posix_acl_xattr.h.
    private let list: [UInt8] =
        [2, 0, 0, 0] + [1, 0, 6, 0, 255, 255, 255, 255] + [2, 0, 4, 0, 1, 0, 0, 0] + [4, 0, 4, 0, 255, 255, 255, 255]
        + [16, 0, 4, 0, 255, 255, 255, 255] + [32, 0, 0, 0, 255, 255, 255, 255]

    @Test("a copy has the access lists and attributes of what was copied")
    func attributes() throws {
        let target = try Target()
        try target.put("/old/me/folder/file", "x")
        let (folder, file) = (target.path("/old/me/folder").string, target.path("/old/me/folder/file").string)
        let note = Array("note".utf8)
        var copied: [(path: String, name: String, value: [UInt8])] = []
        for (path, place) in [("/new/folder", folder), ("/new/folder/file", file)] {
            // A filesystem without attributes, or without access lists, shows nothing here.
            for (name, value) in [("user.note", note), ("system.posix_acl_access", list)]
            where setxattr(place, name, value, value.count, 0) == 0 { copied.append((path, name, value)) }
        }
        if setxattr(folder, "system.posix_acl_default", list, list.count, 0) == 0 {
            copied.append(("/new/folder", "system.posix_acl_default", list))
        }
        try #require(!copied.isEmpty, "no filesystem with attributes to test on: set TMPDIR to one")
        try Files.makeFolder(target.path("/new"))
        let tree = target.root.tree
        var copy = TreeCopy(rewriting: "/old/me", to: "/new", withLabels: true) { .init($1.st_uid, $1.st_gid) }
        try copy.copy(try tree.entry("/old/me/folder"), to: try tree.entry("/new/folder"))
        for (path, name, value) in copied {
            var found = [UInt8](repeating: 0, count: 256)
            let count = getxattr(target.path(path).string, name, &found, found.count)
            #expect(count >= 0 && Array(found.prefix(max(count, 0))) == value, "\(name) of \(path)")
        }
        // Nothing is inherited that was not there.
        if !copied.contains(where: { $0.path == "/new/folder/file" && $0.name == "system.posix_acl_access" }) {
            #expect(getxattr(target.path("/new/folder/file").string, "system.posix_acl_access", nil, 0) < 0)
        }
        #expect(target.text("/new/folder/file") == "x")
    }
}

@Suite("after accounts") struct AfterAccounts {
    /// A target in which useradd makes a home, as from a skeleton.
    private func target() throws -> Target {
        let target = try Target()
        try target.put("/home/kept", "")
        target.does = { [weak target] command in
            guard let target, command.program == "useradd" else { return }
            let line = "new:x:\(getuid()):\(getgid())::/home/new:/bin/sh\n"
            try? target.put("/etc/passwd", (target.text("/etc/passwd") ?? "") + line)
            try? target.put("/home/new/.bashrc", "skeleton\n")
            try? Files.makeFolder(target.path("/home/new/.config"))
        }
        return target
    }

    private let user = #""passwd": {"users": [{"name": "new", "sshAuthorizedKeys": ["k"]}]}"#

    @Test("directories that a new home has by then get their mode", arguments: [RerunPolicy.own, .dropIn, .strict])
    func folders(_ policy: RerunPolicy) throws {
        let target = try target()
        try target.provision(
            """
            \(user), "storage": {"directories": [{"path": "/home/new/.ssh", "mode": 448},
                {"path": "/home/new/.config", "mode": 448}, {"path": "/home/new/own"}]}
            """, as: policy)
        #expect(target.mode("/home/new/.ssh") == "700" && target.mode("/home/new/.config") == "700")
        #expect(target.mode("/home/new/own") == "755" && target.text("/home/new/.bashrc") == "skeleton\n")
    }

    @Test("a file that a new home has is appended to, and replaced only where the config says so")
    func files() throws {
        var target = try target()
        let append = #"{"path": "/home/new/.bashrc", "append": [{"source": "data:,more%0A"}]}"#
        try target.provision(#"\#(user), "storage": {"files": [\#(append)]}"#)
        #expect(target.text("/home/new/.bashrc") == "skeleton\nmore\n")
        target = try self.target()
        let other = #"{"path": "/home/new/.bashrc", "contents": {"source": "data:,other"}"#
        var written: [String] = []
        let error = #expect(throws: FileConflicts.self) {
            try target.provision(#"\#(user), "storage": {"files": [\#(other)}]}"#, written: { written.append($0) })
        }
        #expect(error?.description.contains("/home/new/.bashrc") == true && !written.isEmpty)
        #expect(target.text("/home/new/.bashrc") == "skeleton\n")
        target = try self.target()
        try target.provision(#"\#(user), "storage": {"files": [\#(other), "overwrite": true}]}"#)
        #expect(target.text("/home/new/.bashrc") == "other")
    }

    @Test("systemd is asked about units when they are written", arguments: [RerunPolicy.dropIn, .strict])
    func units(_ policy: RerunPolicy) throws {
        let target = try Target()
        target.fails = { [weak target] command in
            guard command.arguments.contains("is-enabled") else { return false }
            return target?.text("/etc/systemd/system/own.service") == nil
        }
        try target.provision(
            #""systemd": {"units": [{"name": "own.service", "enabled": false, "contents": "[Unit]\n"}]}"#, as: policy)
        #expect(target.text(FilesPlan.presetFile) == "disable own.service\n")
        #expect(target.ran.withLock { $0.contains { $0.arguments.contains("disable") } })
    }
}
