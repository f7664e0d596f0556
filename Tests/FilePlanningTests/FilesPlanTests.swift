import Accounts
import Encoding
import IgnitionConfig
import Testing

@testable import FilePlanning

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
        let content = PlannedContent([.resource(.init(source: ConfigURL("data:,x")))])
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
            (#"{"path": "/f"}"#, TargetPath.Found.file(hasWantedContent: false), "[]"),
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
    func present(_ file: String, _ found: TargetPath.Found, _ planned: String) throws {
        #expect("\(try steps("\"storage\": {\"files\": [\(file)]}", ["/f": found]))" == planned)
    }

    @Test(
        "what the config does not overwrite is a conflict",
        arguments: [
            (
                #"{"files": [{"path": "/f", "contents": {"source": "data:,x"}}]}"#,
                TargetPath.Found.file(hasWantedContent: false),
                "/f is there with other content, and the config does not overwrite it"
            ),
            (
                #"{"files": [{"path": "/f"}]}"#, .folder(holdsMounts: false),
                "/f is a directory; the config wants a file and does not overwrite it"
            ),
            (
                #"{"files": [{"path": "/f"}]}"#, .link(target: "/x"),
                "/f is a link to /x; the config wants a file and does not overwrite it"
            ),
            (
                #"{"directories": [{"path": "/f"}]}"#, .file(hasWantedContent: false),
                "/f is a file; the config wants a directory and does not overwrite it"
            ),
            (
                #"{"links": [{"path": "/f", "target": "y"}]}"#, .link(target: "/x"),
                "/f is a link to /x; the config wants a link to y and does not overwrite it"
            ),
            (
                #"{"directories": [{"path": "/f", "overwrite": true}]}"#, .folder(holdsMounts: true),
                "/f holds a mounted filesystem, which overwriting it would empty"
            ),
            (
                #"{"files": [{"path": "/f"}]}"#, .blocked(by: "/g"), "/f is below /g, which is not a directory"
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
    func inTheWay(_ storage: String, _ found: TargetPath.Found, _ conflict: String) throws {
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

    @Test func whatHelpsAgainstSeveralConflictsIsToldOnce() throws {
        let files = ["/a", "/b", "/c"].map { #"{"path": "\#($0)", "user": {"name": "web"}}"# }.joined(separator: ", ")
        let failure = #expect(throws: FileConflicts.self) {
            try FilesPlan(config(#""storage": {"files": [\#(files)]}"#), on: inventory([:]))
        }
        #expect(failure?.conflicts.count == 3)
        #expect(
            failure?.advice == [
                "No file of the target was changed.", "Name the owner by id, or create web in passwd.users.",
            ])
    }

    @Test func twoPathsToOnePlaceAreAConflict() throws {
        let wanted = try config(#""storage": {"files": [{"path": "/var/run/x"}, {"path": "/run/x"}]}"#)
        var there = inventory([:])
        there.places["/var/run/x"] = TargetPath(resolved: "/run/x", found: .nothing)
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

    @Test func aHardLinkHasTheOwnerOfItsTargetWhateverTheConfigSays() throws {
        let link = #"{"path": "/h", "target": "/f", "hard": true, "user": {"name": "nobody-here"}}"#
        let wanted = try config(#""storage": {"links": [\#(link)]}"#)
        let plan = try FilesPlan(wanted, on: inventory(["/f": .file(hasWantedContent: false)]))
        #expect("\(plan.steps.map(\.action))" == "[linking /h to the file /f]")
    }

    @Test func aHardLinkFollowsItsRewrittenTarget() throws {
        func plan(overwrite: Bool) throws -> FilesPlan {
            let wanted = try config(
                #""storage": {"files": [{"path": "/f", "overwrite": \#(overwrite), "contents": {"source": "data:,x"}}], "#
                    + #""links": [{"path": "/h", "target": "f", "hard": true}]}"#)
            let identity = FileIdentity(device: 1, inode: 2)
            let place = TargetPath(resolved: "/f", found: .file(hasWantedContent: true), identity: identity)
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
