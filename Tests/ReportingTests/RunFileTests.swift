// What a boot leaves below /run/firstlight, and what the documentation tells of it.

import Foundation
import Reporting
import Testing

@Suite("files below /run/firstlight")
struct RunFiles {
    private static let tree = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")

    private func text(_ path: String) throws -> String {
        try String(contentsOf: Self.tree.appending(path: path), encoding: .utf8)
    }

    @Test("the documentation has a row for each, and for no other")
    func documented() throws {
        let page = try text("docs/architecture.md")
        let table = try #require(page.components(separatedBy: "| File | What it holds |").last)
            .components(separatedBy: "\n\n")[0]
        let first = table.split(separator: "\n").compactMap { $0.split(separator: "|").first }
        let named = first.flatMap { $0.matches(of: /`([^`]+)`/).map { String($0.output.1) } }
        #expect(named.count == Set(named).count)
        #expect(Set(named).symmetricDifference(RunFile.allCases.map(\.rawValue)) == [])
    }

    @Test("PID 1's own part knows them by the same names")
    func supervisor() throws {
        let source = try text("Sources/CLinux/supervisor.c")
        let uses = source.replacingOccurrences(of: "#define STATE", with: "")
        let names = uses.matches(of: /(?:STATE "|\/run\/firstlight)\/([a-z0-9.-]+[a-z0-9])/)
        let named = names.map { String($0.output.1) }
        #expect(named.count > 3)
        #expect(Set(named).subtracting(RunFile.allCases.map(\.rawValue)) == [])
        #expect(source.contains("#define STATE \"\(runFolder)\""))
    }

    @Test("a name with capitals stands for many")
    func families() {
        #expect(RunFile.volumeKey.name(of: "data") == "luks-data.key")
        #expect(RunFile.stepOfStage.name(of: "disks") == "step-disks")
        #expect(RunFile.volumeKey.isName("luks-a.key") && !RunFile.volumeKey.isName("luks-a.proven"))
        #expect(!RunFile.volumeKey.isName("luks-.key") && RunFile.log.path == "/run/firstlight/log")
    }
}
