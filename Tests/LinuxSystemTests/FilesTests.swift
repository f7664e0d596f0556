import Glibc
import LoopbackServer
import Reporting
import SystemPackage
import Testing

@testable import LinuxSystem

@Suite("files") struct FilesTests {
    @Test func foldersAreMadeWithThoseAboveThem() throws {
        let folder = try TemporaryFolder()
        let root = folder.path
        let deep = root.appending("a/b/c")
        try Files.makeFolder(deep, mode: 0o700)
        try Files.makeFolder(deep)
        #expect(Files.status(deep)?.st_mode == S_IFDIR | 0o700)
        #expect(Files.status(deep.removingLastComponent())?.st_mode == S_IFDIR | 0o755)
    }

    @Test("only whoever typed a path is told to look at its spelling")
    func adviceAtAShell() {
        let fault = FileFault("read", "/a", .noSuchFileOrDirectory)
        #expect(fault.advice.isEmpty && BootFailure(cause: fault).advice.isEmpty)
        #expect(FileFault.adviceAtAShell(about: BootFailure(cause: fault)) == ["Check how it is spelled."])
        let refused = FileFault("open", "/a", .permissionDenied)
        #expect(FileFault.adviceAtAShell(about: refused) == ["Run it as a user who may, or as root."])
        let full = FileFault("write", "/a", .noSpace)
        #expect(FileFault.adviceAtAShell(about: full) == full.advice && !full.advice.isEmpty)
    }

    @Test("a folder that cannot be read is not an empty one")
    func unreadableFolders() throws {
        let folder = try TemporaryFolder().path
        try Files.makeFolder(folder.appending("a"))
        func opened(_ flags: Int32) -> Int32 { open(folder.string, flags | O_DIRECTORY | O_CLOEXEC) }
        #expect(try Files.byteNames(inOwned: opened(O_RDONLY)) == [[97, 0]])
        // A descriptor that only names a place.
        let place = opened(0o10_000_000)
        #expect(place >= 0)
        #expect(throws: Errno.badFileDescriptor) { try Files.byteNames(inOwned: place) }
        #expect(throws: Errno.self) { try Files.byteNames(inOwned: -1) }
        #expect(throws: FileFault.self) { try Files.list(folder.appending("b")) }
    }

    /// Where `FilePath("cache").removingLastComponent()` lies.
    @Test func theWorkingDirectoryIsThere() throws { try Files.makeFolder("") }
}

@Suite struct ProgramsOfARoot {
    @Test func areFoundThroughIt() throws {
        let folder = try TemporaryFolder()
        let root = folder.path
        try Files.makeFolder(root.appending("usr/bin"))
        try Files.makeFolder(root.appending("opt/real"))
        func command(_ program: String) -> Command { Command(program, [], root: root) }
        // As update-alternatives leaves them: absolute, and meant for the root that they are in.
        try Files.makeLink(root.appending("usr/bin/tool"), to: "/opt/real/tool")
        #expect(!command("tool").isInstalled)
        try Files.write("#!/bin/sh\n", to: root.appending("opt/real/tool"), mode: 0o755)
        #expect(try command("tool").resolve() == "/usr/bin/tool")
        // There here, not there.
        try Files.makeLink(root.appending("usr/bin/other"), to: "/bin/sh")
        #expect(Command("/bin/sh", []).isInstalled)
        #expect(!command("other").isInstalled)
        #expect(!command("/bin/sh").isInstalled)
        // What is not a program is none.
        try Files.makeFolder(root.appending("usr/bin/folder"))
        try Files.write("", to: root.appending("usr/bin/text"))
        #expect(!command("folder").isInstalled)
        #expect(!command("text").isInstalled)
    }
}
