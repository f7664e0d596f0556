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

@Suite struct TargetFiles {
    @Test func filesDirectoriesAndLinksAreMade() throws {
        let target = try Target()
        let outcome = try target.provision(
            #"""
            "storage": {
              "files": [
                {"path": "/srv/deep/down/f", "mode": 384, "contents": {"source": "data:,hello"}},
                {"path": "/empty", "contents": {"source": ""}},
                {"path": "/joined", "contents": {"source": "data:,a"}, "append": [{"source": "data:,b"}, {}, {"source": "data:,c"}]},
                {"path": "/mine", "user": {"name": "me"}, "group": {"name": "ours"}}],
              "directories": [{"path": "/srv/deep", "mode": 448}],
              "links": [{"path": "/soft", "target": "../gone"}, {"path": "/hard", "target": "joined", "hard": true}]}
            """#)
        #expect(outcome.summary == "4 files, 1 directory, 2 links")
        #expect(outcome.warnings.isEmpty)
        #expect(target.text("/srv/deep/down/f") == "hello")
        #expect(target.mode("/srv/deep/down/f") == "600")
        #expect(target.mode("/srv/deep/down") == "755")
        #expect(target.mode("/srv/deep") == "700")
        #expect(target.text("/empty") == "")
        #expect(target.mode("/empty") == "644")
        #expect(target.text("/joined") == "abc")
        #expect(Files.linkTarget(target.path("/soft")) == "../gone")
        #expect(Files.status(target.path("/hard"))?.st_ino == Files.status(target.path("/joined"))?.st_ino)
        #expect(
            target.paths() == [
                "empty", "hard", "joined", "mine", "soft", "srv", "srv/deep", "srv/deep/down", "srv/deep/down/f",
            ])
        let result = try #require(target.text("/etc/.ignition-result.json"))
        #expect(result.contains("\"userConfigProvided\": true"))
        #expect(target.mode("/etc/.ignition-result.json") == "600")
    }

    @Test func aSecondRunFindsEverythingAsWanted() throws {
        let target = try Target()
        let config = #"""
            "storage": {
              "files": [{"path": "/f", "contents": {"source": "data:,f"}},
                        {"path": "/a", "append": [{"source": "data:,1"}, {"source": "data:,2"}]},
                        {"path": "/o", "overwrite": true, "contents": {"source": "data:,o"}}],
              "directories": [{"path": "/d"}],
              "links": [{"path": "/l", "target": "f"}, {"path": "/h", "target": "/o", "hard": true}]},
            "systemd": {"units": [{"name": "a.service", "enabled": true, "contents": "[Install]\nWantedBy=x\n",
              "dropins": [{"name": "b.conf", "contents": "[Unit]\n"}]}, {"name": "m.service", "mask": true}]}
            """#
        try target.put("/a", "before ")
        try target.provision(config)
        let paths = target.paths()
        let second = try target.provision(config)
        #expect(target.paths() == paths)
        #expect(target.text("/a") == "before 12")
        #expect(Files.status(target.path("/h"))?.st_ino == Files.status(target.path("/o"))?.st_ino)
        #expect(target.text("/etc/systemd/system-preset/20-ignition.preset") == "enable a.service\n")
        #expect(
            Set(second.kept.map(\.name)) == [
                "/f", "/a", "/o", "/d", "/l", "/etc/systemd/system/a.service", "/etc/systemd/system/a.service.d/b.conf",
                "/etc/systemd/system/m.service", "/etc/systemd/system-preset/20-ignition.preset",
            ])
    }

    @Test func aConflictLeavesEverythingAsItWas() throws {
        let target = try Target()
        try target.put("/f", "precious")
        #expect(throws: FileConflicts.self) {
            try target.provision(
                #""storage": {"files": [{"path": "/a", "contents": {"source": "data:,a"}}, {"path": "/f", "contents": {"source": "data:,f"}}]}"#
            )
        }
        #expect(target.text("/f") == "precious")
        #expect(target.paths() == ["f"])
    }

    /// What nobody can tell is not taken for nothing: that would be replaced.
    @Test func whatCannotBeLookedAtStopsBeforeTheFirstChange() throws {
        let target = try Target()
        let long = "/" + String(repeating: "n", count: 300)
        let fault = #expect(throws: TargetFault.self) {
            try target.provision(
                #""storage": {"files": [{"path": "/a", "contents": {"source": "data:,a"}}, {"path": "\#(long)"}]}"#)
        }
        #expect(fault == .cannot("look at", path: long, .fileNameTooLong))
        #expect(target.paths().isEmpty)

        try Files.makeFolder(target.path("/etc/gshadow"))
        let unread = #expect(throws: TargetFault.self) {
            try target.provision(#""passwd": {"users": [{"name": "new"}]}"#)
        }
        #expect(unread == .cannot("read", path: "/etc/gshadow", .isDirectory))
        #expect(target.text("/etc/passwd")?.contains("new") == false)
    }

    @Test func overwriteReplacesWhateverIsThere() throws {
        let target = try Target()
        try target.put("/folder/inner/file", "x")
        try target.put("/file", "x", mode: 0o600)
        try target.put("/linked", "kept")
        symlink("linked", target.path("/link").string)
        try target.provision(
            #"""
            "storage": {
              "files": [{"path": "/folder", "overwrite": true, "contents": {"source": "data:,1"}},
                        {"path": "/file", "overwrite": true, "contents": {"source": "data:,2"}},
                        {"path": "/link", "overwrite": true, "contents": {"source": "data:,3"}}]}
            """#)
        #expect(target.text("/folder") == "1")
        #expect(target.text("/file") == "2")
        #expect(target.mode("/file") == "644")
        #expect(target.text("/link") == "3")
        #expect(target.text("/linked") == "kept")
    }

    @Test func linksOfTheTargetNeverLeadOutOfIt() throws {
        let target = try Target()
        try target.put("/inside/x", "")
        symlink("/inside", target.path("/absolute").string)
        symlink("../../../../../../../../inside", target.path("/climbing").string)
        try target.provision(
            #""storage": {"files": [{"path": "/absolute/a", "contents": {"source": "data:,a"}}, {"path": "/climbing/b"}]}"#
        )
        #expect(target.text("/inside/a") == "a")
        #expect(target.text("/inside/b") == "")
    }

    @Test func aFailedFetchLeavesNoHalfWrittenFileAndNamesItsPlace() throws {
        struct Lost: Error {}
        let target = try Target()
        let failure = #expect(throws: BootFailure.self) {
            try target.provision(#""storage": {"files": [{"path": "/f", "contents": {"source": "http://h/f"}}]}"#) {
                _, file in
                try Files.writeAll("half".utf8, to: file)
                throw Lost()
            }
        }
        #expect(failure?.steps == ["writing /f (storage.files[0], config.ign line 1)"])
        #expect(failure?.cause is Lost)
        #expect(target.paths() == [])
    }

    @Test func aFailedFileTakesNothingWithItAndLeavesNoFolders() throws {
        struct Lost: Error {}
        let target = try Target()
        try target.put("/folder/inner", "precious")
        // What others hold is fetched several at a time; what the config holds is written one by one.
        for source in ["http://h/f", "data:,f"] {
            for file in [#""/deep/er/f""#, #""/folder", "overwrite": true"#] {
                #expect(throws: BootFailure.self) {
                    try target.provision(
                        #"""
                        "storage": {
                          "directories": [{"path": "/made"}],
                          "files": [{"path": \#(file), "contents": {"source": "\#(source)"}},
                                    {"path": "/far/a/way/f", "contents": {"source": "\#(source)"}}]}
                        """#, fetch: { _, _ in throw Lost() })
                }
                #expect(target.paths() == ["folder", "folder/inner", "made"])
            }
        }
    }

    @Test func whatWasChangedIsToldAlsoWhereTheRestFails() throws {
        struct Lost: Error {}
        let config = #"""
            "storage": {"directories": [{"path": "/d"}],
              "files": [{"path": "/a", "contents": {"source": "http://h/a"}},
                        {"path": "/b", "contents": {"source": "http://h/b"}},
                        {"path": "/c", "contents": {"source": "http://h/c"}}],
              "links": [{"path": "/e", "target": "a"}]}
            """#
        func told(failingAt lost: String, in target: Target) -> [String] {
            var told: [String] = []
            _ = try? target.provision(
                config, fetch: { resource, _ in if resource.source?.text == "http://h/\(lost)" { throw Lost() } },
                written: { told.append($0) })
            return told
        }
        #expect(told(failingAt: "b", in: try Target()) == ["2 of 5 changes to the real root"])
        #expect(
            told(failingAt: "no", in: try Target()) == [
                "5 of 5 changes to the real root", "/etc/.ignition-result.json",
            ])
        // What cannot even begin.
        let target = try Target()
        try target.put("/d", "in the way")
        #expect(told(failingAt: "no", in: target) == [])
    }

    @Test func aProgramThatFailsMayHaveChangedSomething() throws {
        let target = try Target()
        target.fails = { $0.program == "useradd" }
        var told: [String] = []
        #expect(throws: BootFailure.self) {
            try target.provision(#""passwd": {"users": [{"name": "new"}]}"#, written: { told.append($0) })
        }
        #expect(told == ["1 of 1 change to the real root"])
    }

    @Test func nothingIsFetchedTwice() throws {
        let target = try Target()
        let fetched = Mutex<[String]>([])
        let config = #"""
            "storage": {"files": [{"path": "/a", "contents": {"source": "http://h/a"}},
                                  {"path": "/b", "overwrite": true, "contents": {"source": "http://h/b"}}]}
            """#
        let fetch: TargetRoot.FetchContent = { resource, file in
            fetched.withLock { $0.append(resource.source?.text ?? "") }
            try Files.writeAll("x".utf8, to: file)
        }
        try target.provision(config, fetch: fetch)
        try target.provision(config, fetch: fetch)
        #expect(fetched.withLock { $0.sorted() } == ["http://h/a", "http://h/a", "http://h/b", "http://h/b"])
    }

    @Test func aKeyIsWrittenIntoItsFileAndMissedBeforeAnythingIsWritten() throws {
        let target = try Target()
        var config = IgnitionConfig()
        config.persist([CrypttabEntry(name: "data", uuid: "1")], crypttab: nil)
        func provision(_ keys: [String: SecretBytes]) throws -> TargetRoot.Outcome {
            try target.root.provision(
                config, userConfigProvided: true, keys: keys, scratch: target.folder.appending("scratch"),
                fetch: decode)
        }
        #expect(throws: TargetFault.noKey(volume: "data")) { try provision([:]) }
        #expect(target.paths() == [])
        let keys = ["data": SecretBytes(Array("secret".utf8))]
        #expect(try provision(keys).changes.created.contains("/etc/luks/data"))
        #expect(target.text("/etc/luks/data") == "secret" && target.mode("/etc/luks/data") == "600")
        #expect(target.text("/etc/crypttab") == "data UUID=1 /etc/luks/data luks,x-initrd.attach\n")
        #expect(try provision(keys).changes.kept.contains("/etc/luks/data"))
    }

    @Test func aFragmentIsFetchedOnceToBeComparedAndAppended() throws {
        let target = try Target()
        try target.put("/log", "begin\n")
        let fetched = Mutex<[String]>([])
        let config = #"""
            "storage": {"files": [{"path": "/log", "append": [{"source": "http://h/a"}, {"source": "http://h/b"}]}]}
            """#
        let fetch: TargetRoot.FetchContent = { resource, file in
            fetched.withLock { $0.append(resource.source?.text ?? "") }
            try Files.writeAll("x\n".utf8, to: file)
        }
        try target.provision(config, fetch: fetch)
        #expect(fetched.withLock { $0 } == ["http://h/a", "http://h/b"])
        #expect(target.text("/log") == "begin\nx\nx\n")
        #expect(Files.names(in: target.folder.appending("scratch")) == [])
    }

    @Test func filesAreFetchedSideBySideAndWrittenInOrder() throws {
        let target = try Target()
        let fetched = Mutex(Set<String>())
        // Each of the first two comes only when the other was asked for too.
        let fetch: TargetRoot.FetchContent = { resource, file in
            let source = resource.source?.text ?? ""
            if source.hasPrefix("data:") { return try decode(resource, to: file) }
            _ = fetched.withLock { $0.insert(source) }
            while !fetched.withLock({ $0.isSuperset(of: ["http://h/0", "http://h/1"]) }) { sched_yield() }
            try Files.writeAll(Array(source.utf8), to: file)
        }
        let files =
            (0..<30).map { #"{"path": "/d/f\#($0)", "contents": {"source": "http://h/\#($0)"}}"# }
            + [
                #"{"path": "/d/here", "contents": {"source": "data:,here"}}"#,
                #"{"path": "/d/both", "contents": {"source": "http://h/30"}, "append": [{"source": "http://h/31"}]}"#,
            ]
        try target.provision(#""storage": {"files": [\#(files.joined(separator: ","))]}"#, fetch: fetch)
        for number in 0..<30 { #expect(target.text("/d/f\(number)") == "http://h/\(number)") }
        #expect(target.text("/d/here") == "here")
        #expect(target.text("/d/both") == "http://h/30http://h/31")
        #expect(target.paths().count == 33)
    }

    @Test func aFileThatFailsStopsTheOthers() throws {
        let target = try Target()
        let hasGivenUp = Mutex(false)
        let config = try IgnitionConfig.parse(
            Array(
                #"""
                {"ignition": {"version": "3.4.0"}, "storage": {"files": [
                  {"path": "/a", "contents": {"source": "http://h/a"}}, {"path": "/b", "contents": {"source": "http://h/b"}},
                  {"path": "/c", "contents": {"source": "http://h/c"}}]}}
                """#.utf8), name: "config.ign"
        ).checked()
        struct Lost: Error {}
        let failure = #expect(throws: BootFailure.self) {
            try target.root.provision(
                config, userConfigProvided: true, scratch: target.path("/etc"),
                onFailure: { hasGivenUp.withLock { $0 = true } }
            ) { resource, file in
                try Files.writeAll("half".utf8, to: file)
                if resource.source?.text == "http://h/b" { throw Lost() }
                // A server that does not answer: waited for until nobody wants it any more.
                if resource.source?.text == "http://h/c" {
                    while !hasGivenUp.withLock({ $0 }) { sched_yield() }
                    throw Lost()
                }
            }
        }
        #expect(failure?.steps.first?.hasPrefix("writing /b") == true)
        #expect(target.paths() == ["a"])
    }
}
