import FilePlanning
import Foundation
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SeededNumbers
import SystemPackage
import Testing

@testable import TargetRoot

/// Everything in a folder, links not followed: name, kind, mode, content, time of change.
private func listing(_ folder: FilePath) -> [String] {
    Files.names(in: folder).flatMap { name -> [String] in
        let path = folder.appending(name)
        guard let status = Files.status(path, followingLinks: false) else { return ["\(path) gone"] }
        var line = "\(path) \(status.st_mode) \(status.st_ino) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return [line] + listing(path)
        case S_IFREG: line += " " + String(decoding: (try? Files.read(path)) ?? [], as: UTF8.self)
        default: break
        }
        return [line]
    }
}

@Suite struct Confinement {
    @Test("before a tree is removed, all of it is looked through for mounts")
    func mounts() throws {
        let root = OpenFolder(owning: open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        // Every machine mounts something in /dev: nothing is removed here, it is only looked through.
        let error = #expect(throws: TargetFault.self) {
            try TargetEntry(folder: root, name: "dev", path: "/dev").checkHoldsNoMount()
        }
        guard case .holdsMount = error else { Issue.record("\(String(describing: error))"); return }
    }

    private static let names = ["a", "b", "c", "d", "home"]

    private func path(_ dice: inout SeededNumbers, parts: ClosedRange<Int> = 1...4) -> String {
        (0..<Int.random(in: parts, using: &dice)).map { _ in
            "/" + (Self.names.randomElement(using: &dice) ?? "a")
        }.joined()
    }

    /// Folders, files and links of every kind: relative, climbing, absolute, out of the target, round in circles.
    private func grow(_ target: Target, outside: String, _ dice: inout SeededNumbers) {
        for _ in 0..<40 {
            let path = target.path(path(&dice)).string
            switch Int.random(in: 0..<8, using: &dice) {
            case 0...2: mkdir(path, 0o755)
            case 3: try? Files.write("here", to: FilePath(path))
            case 4: symlink(self.path(&dice), path)
            case 5:
                symlink(
                    String(repeating: "../", count: Int.random(in: 1...12, using: &dice)) + outside.dropFirst(), path)
            case 6: symlink(outside + (Bool.random(using: &dice) ? "/a" : ""), path)
            default: symlink("../" + (Self.names.randomElement(using: &dice) ?? "a"), path)
            }
        }
    }

    private func config(_ dice: inout SeededNumbers) -> String {
        let overwrite = { (dice: inout SeededNumbers) in Bool.random(using: &dice) ? #", "overwrite": true"# : "" }
        var files: [String] = []
        for _ in 0..<3 {
            let content = #", "contents": {"source": "data:,x"}"# + overwrite(&dice)
            let append = #", "append": [{"source": "data:,x"}]"#
            files.append(#"{"path": "\#(path(&dice))", "mode": 448\#(Bool.random(using: &dice) ? content : append)}"#)
        }
        let directory = #"{"path": "\#(path(&dice))", "mode": 493\#(overwrite(&dice))}"#
        let links = [
            #"{"path": "\#(path(&dice))", "target": "../../../../..\#(path(&dice))"\#(overwrite(&dice))}"#,
            #"{"path": "\#(path(&dice))", "target": "\#(path(&dice))", "hard": true\#(overwrite(&dice))}"#,
        ]
        return #"""
            "storage": {"files": [\#(files.joined(separator: ","))], "directories": [\#(directory)],
              "links": [\#(links.joined(separator: ","))]},
            "passwd": {"users": [{"name": "me", "sshAuthorizedKeys": ["key"]}]},
            "systemd": {"units": [{"name": "a.service", "enabled": true, "contents": "[Unit]\n"}, {"name": "m.service", "mask": true}]}
            """#
    }

    /// Most are not: entries of one config must not stand below each other's links.
    private func validConfig(_ dice: inout SeededNumbers) -> String? {
        for _ in 0..<1000 {
            let config = config(&dice)
            let text = #"{"ignition": {"version": "3.4.0"}, "# + config + "}"
            if (try? IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked()) != nil { return config }
        }
        return nil
    }

    @Test("nothing outside the target changes, whatever links are in it", arguments: 0..<48)
    func staysInside(_ seed: UInt64) throws {
        var dice = SeededNumbers(seed: seed)
        let target = try Target()
        let outside = target.folder.appending("outside")
        try Files.makeFolder(outside.appending("a/b"))
        try Files.write("precious", to: outside.appending("b"))
        try Files.makeFolder(target.path("/home/me"))
        grow(target, outside: outside.string, &dice)
        if seed % 3 == 0 {
            // Where the agent itself writes, too.
            for (name, goal) in [("/etc/systemd", "/a"), ("/home/me/.ssh", "/a"), ("/etc/.ignition-result.json", "/b")]
            {
                symlink(outside.string + goal, target.path(name).string)
            }
        }
        let before = listing(outside)
        for _ in 0..<3 {
            do {
                try target.provision(try #require(validConfig(&dice)))
            } catch is FileConflicts {
            } catch is BootFailure {
            }
            #expect(listing(outside) == before)
        }
        #expect(Files.names(in: target.folder).filter { !["root", "scratch", "outside"].contains($0) } == [])
        // Whatever happened, no temporary file stays.
        #expect(target.paths().filter { $0.contains(".firstlight") } == [])
    }

    @Test func aFolderExchangedForALinkIsNotFollowedOut() throws {
        let target = try Target()
        let outside = target.folder.appending("outside")
        try Files.makeFolder(outside)
        try target.put("/d/f", "inside")
        let place = try target.root.tree.entry("/d/f")
        // Between finding the place and writing it.
        rename(target.path("/d").string, target.path("/moved").string)
        symlink(outside.string, target.path("/d").string)
        try place.replace(Array("written".utf8), mode: 0o600)
        #expect(target.text("/moved/f") == "written")
        #expect(Files.names(in: outside) == [])
    }
}

@Suite struct EveryBoot {
    /// Everything that a run could change without need.
    private func state(_ target: Target) -> [String] { listing(target.folder.appending("root")) }

    @Test func whatIsAsWantedIsLeftAloneWithOverwriteToo() throws {
        let target = try Target()
        try target.put("/here/same", "same")
        let config = #"""
            "storage": {
              "files": [{"path": "/here/same", "overwrite": true, "contents": {"source": "data:,same"}},
                        {"path": "/new/f", "overwrite": true, "mode": 448, "contents": {"source": "data:,f"}},
                        {"path": "/new/a", "append": [{"source": "data:,1"}]}],
              "directories": [{"path": "/new", "mode": 493}],
              "links": [{"path": "/new/l", "target": "f", "overwrite": true},
                        {"path": "/h", "target": "/new/f", "hard": true, "overwrite": true}]},
            "systemd": {"units": [{"name": "a.service", "enabled": true, "contents": "[Unit]\n"}, {"name": "m.service", "mask": true}]}
            """#
        let owner = Files.status(target.path("/here/same"))?.st_ino
        try target.provision(config)
        if getuid() == 0 { #expect(Files.status(target.path("/here/same"))?.st_ino == owner) }
        let before = state(target)
        let outcome = try target.provision(config)
        #expect(state(target) == before)
        if getuid() == 0 { #expect(outcome.kept.contains(.init("/new/f", .sameContent))) }
    }

    @Test func anOverwritingFileReplacesOneOfAnotherModeOrContent() throws {
        let target = try Target()
        try target.put("/f", "same", mode: 0o600)
        try target.put("/g", "other")
        try target.provision(
            #""storage": {"files": [{"path": "/f", "overwrite": true, "contents": {"source": "data:,same"}}, {"path": "/g", "overwrite": true, "contents": {"source": "data:,same"}}]}"#
        )
        #expect(target.mode("/f") == "644")
        #expect(target.text("/g") == "same")
    }

    @Test func aFragmentIsAppendedOnceWhateverFollowsIt() throws {
        let target = try Target()
        try target.put("/log", "begin\n", mode: 0o640)
        func run(_ fragments: String...) throws {
            let list = fragments.map { #"{"source": "data:,\#($0)"}"# }.joined(separator: ",")
            try target.provision(#""storage": {"files": [{"path": "/log", "append": [\#(list)]}]}"#)
        }
        try run("one%0A")
        let descriptor = open(target.path("/log").string, O_WRONLY | O_APPEND)
        try Files.writeAll("grown\n".utf8, to: descriptor)
        close(descriptor)
        try run("one%0A")
        #expect(target.text("/log") == "begin\none\ngrown\n")
        // Only the new one, and the same twice where the config says it twice.
        try run("one%0A", "two%0A", "two%0A")
        try run("one%0A", "two%0A", "two%0A")
        #expect(target.text("/log") == "begin\none\ngrown\ntwo\ntwo\n")
        #expect(target.mode("/log") == "640")
        // A program that writes a file anew leaves no record: its last lines tell.
        try target.put("/log", "begin\none\n", mode: 0o640)
        try run("one%0A")
        #expect(target.text("/log") == "begin\none\n")
        try target.put("/log", "none\n")
        try run("one%0A")
        #expect(target.text("/log") == "none\none\n")
    }

    @Test("a fragment is appended once also to a file that appending made", arguments: 1...3)
    func madeByAppending(count: Int) throws {
        let target = try Target()
        let fragments = (0..<count).map { #"{"source": "data:,line\#($0)%0A"}"# }.joined(separator: ",")
        let lines = (0..<count).map { "line\($0)\n" }.joined()
        for round in 0..<3 {
            try target.provision(#""storage": {"files": [{"path": "/list", "append": [\#(fragments)]}]}"#)
            #expect(target.text("/list") == lines + String(repeating: "grown\n", count: round))
            let descriptor = open(target.path("/list").string, O_WRONLY | O_APPEND)
            try Files.writeAll("grown\n".utf8, to: descriptor)
            close(descriptor)
        }
    }

    @Test func appendingKeepsOtherNamesOfTheFile() throws {
        let target = try Target()
        try target.put("/log", "begin\n")
        link(target.path("/log").string, target.path("/other").string)
        for _ in 0..<2 {
            try target.provision(#""storage": {"files": [{"path": "/log", "append": [{"source": "data:,x"}]}]}"#)
        }
        #expect(target.text("/other") == "begin\nx")
    }

    @Test func strictIsTheOriginalsOutcome() throws {
        let target = try Target()
        let append = #""storage": {"files": [{"path": "/log", "append": [{"source": "data:,x"}]}]}"#
        try target.provision(append, as: .strict)
        try target.provision(append, as: .strict)
        #expect(target.text("/log") == "xx")
        try target.put("/f", "same")
        #expect(throws: FileConflicts.self) {
            try target.provision(
                #""storage": {"files": [{"path": "/f", "contents": {"source": "data:,same"}}]}"#, as: .strict)
        }
        let units =
            #""systemd": {"units": [{"name": "a.service", "enabled": true}, {"name": "b.service", "enabled": false}]}"#
        try target.provision(units, as: .strict)
        try target.provision(units, as: .strict)
        let line = "enable a.service\ndisable b.service\n"
        #expect(target.text("/etc/systemd/system-preset/20-ignition.preset") == line + line)
        #expect(target.ran.withLock { $0.map(\.description) }.filter { $0.contains("preset") } == [])
        #expect(target.text("/etc/.ignition-result.json")?.contains("previousReport") == false)
    }

    @Test("called by Ignition's name, what is as wanted is left alone, and units are left to systemd")
    func dropIn() throws {
        let target = try Target()
        try target.put("/f", "same", mode: 0o640)
        let json = """
            "storage": {"files": [{"path": "/f", "contents": {"source": "data:,same"}},
              {"path": "/log", "append": [{"source": "data:,x"}]}]},
            "systemd": {"units": [{"name": "a.service", "enabled": true}, {"name": "b.service", "enabled": false}]}
            """
        try target.provision(json, as: .dropIn)
        try target.provision(json, as: .dropIn)
        #expect(target.text("/f") == "same" && target.mode("/f") == "640")
        #expect(target.text("/log") == "x")
        #expect(
            target.text("/etc/systemd/system-preset/20-ignition.preset") == "enable a.service\ndisable b.service\n")
        #expect(target.ran.withLock { $0.map(\.description) }.filter { $0.contains("preset") } == [])
        let failure = #expect(throws: FileConflicts.self) {
            try target.provision(
                #""storage": {"files": [{"path": "/f", "contents": {"source": "data:,other"}}]}"#, as: .dropIn)
        }
        #expect("\(failure.map { "\($0)" } ?? "")".contains("line 1 is") == false)
        #expect("\(failure.map { "\($0)" } ?? "")".contains("4 bytes, wanted 5"))
    }

    @Test func theSecretsOfAConflictAreNotTold() throws {
        let target = try Target()
        try target.put("/motd", "first\nhello\n")
        try target.put("/key", "topsecret", mode: 0o600)
        try target.put("/group", "topsecret", mode: 0o640)
        try target.put("/public", "public")
        let failure = #expect(throws: FileConflicts.self) {
            try target.provision(
                #""storage": {"files": [{"path": "/motd", "contents": {"source": "data:,first%0Agoodbye%0A"}}, {"path": "/key", "mode": 384, "contents": {"source": "data:,othersecret"}}, {"path": "/group", "contents": {"source": "data:,othersecret!"}}, {"path": "/public", "mode": 416, "contents": {"source": "data:,othersecrets!"}}]}"#
            )
        }
        let text = try #require(failure).description
        #expect(text.contains(#"line 2 is "hello", wanted "goodbye"."#))
        #expect(text.contains("9 bytes, wanted 11"))
        #expect(text.contains("9 bytes, wanted 12") && text.contains("6 bytes, wanted 13"))
        #expect(!text.contains("secret"))
    }

    @Test("nor those of a file that everybody might read, in a folder that nobody else may enter")
    func secretsBehindClosedFolders() throws {
        let target = try Target()
        let paths = ["/closed/aws/credentials", "/open/wanted/key", "/open/motd"]
        for path in paths { try target.put(path, "topsecret\n") }
        #expect(chmod(target.path("/closed").string, 0o700) == 0)
        func conflict(of path: String, _ folders: String = "") throws -> String {
            let failure = #expect(throws: FileConflicts.self) {
                try target.provision(
                    """
                    "storage": {"directories": [\(folders)],
                                "files": [{"path": "\(path)", "contents": {"source": "data:,othersecrets"}}]}
                    """)
            }
            return failure.map { "\($0)" } ?? ""
        }
        #expect(try conflict(of: "/open/motd").contains("topsecret"))
        let told = [
            try conflict(of: "/closed/aws/credentials"),
            // The config is about to close it.
            try conflict(of: "/open/wanted/key", #"{"path": "/open/wanted", "mode": 448}"#),
        ]
        #expect(told.allSatisfy { $0.contains("10 bytes, wanted 12") && !$0.contains("secret") }, "\(told)")
    }
}
