import Glibc
import SystemPackage
import Testing

@testable import LinuxSystem

@Suite("files") struct FilesTests {
    @Test func foldersAreMadeWithThoseAboveThem() throws {
        var template = Array("/tmp/firstlight-files-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let root = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
        defer { Files.removeContents(of: root, device: Files.status(root)?.st_dev ?? 0) }
        let deep = root.appending("a/b/c")
        try Files.makeFolder(deep, mode: 0o700)
        try Files.makeFolder(deep)
        #expect(Files.status(deep)?.st_mode == S_IFDIR | 0o700)
        #expect(Files.status(deep.removingLastComponent())?.st_mode == S_IFDIR | 0o755)
    }

    /// Where `FilePath("cache").removingLastComponent()` lies.
    @Test func theWorkingDirectoryIsThere() throws { try Files.makeFolder("") }
}
