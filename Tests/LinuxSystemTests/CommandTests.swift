import Foundation
import SystemPackage
import Testing

@testable import LinuxSystem

@Suite struct SearchPaths {
    private let usual = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/firstlight/bin"]

    @Test("PATH counts under Ignition's name", arguments: ["ignition", "/usr/bin/ignition", "ignition-apply"])
    func original(name: String) {
        let path = Command.searchPath(calledAs: name, path: "/opt/bin:.::relative:/usr/bin")
        #expect(path == ["/opt/bin", "/usr/bin", "/usr/sbin", "/sbin", "/bin", "/usr/lib/firstlight/bin"])
        #expect(Command.searchPath(calledAs: name, path: nil) == usual)
    }

    @Test(arguments: ["firstlight", "/init", "", "/opt/ignition/firstlight"]) func ours(name: String) {
        #expect(Command.searchPath(calledAs: name, path: "/opt/bin") == usual)
    }
}

@Suite("a program that takes a secret") struct SecretPrograms {
    private func shell(_ script: String) -> Command { Command("/bin/sh", ["-c", script]) }

    @Test("gets it as its input, and what it prints is another") func output() throws {
        let back = try shell("tr a-z A-Z").run(secret: SecretBytes(Array("secret".utf8)))
        #expect(back.hasSameBytes(as: SecretBytes(Array("SECRET".utf8))))
        #expect {
            try shell("echo no >&2; exit 3").run(secret: SecretBytes([]))
        } throws: { error in
            guard case .failed(_, status: 3, said: "no") = error as? Command.Failure else { return false }
            return true
        }
    }

    @Test("is killed with all that it has started, once nobody needs it") func cancelled() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = FilePath(folder.appending(path: "child").path)
        let script = "sleep 600 & echo $! >\(file).new; mv \(file).new \(file); wait"
        let begun = ContinuousClock.now
        #expect {
            try shell(script).run(secret: SecretBytes([]), unless: { Files.exists(file) })
        } throws: { error in
            guard case .cancelled = error as? Command.Failure else { return false }
            return "\(error)" == "/bin/sh was ended: nobody needs it any more"
        }
        #expect(ContinuousClock.now - begun < .seconds(60))
        let child = try #require(Files.line(file).flatMap { pid_t($0) })
        // Killed, it may still wait for somebody to read its status.
        var state = "R"
        for _ in 0..<100 where state != "Z" && state != "" {
            usleep(50_000)
            let words = (Files.line(FilePath("/proc/\(child)/stat")) ?? "").split(separator: " ")
            state = words.count > 2 ? String(words[2]) : ""
        }
        #expect(state == "Z" || state == "")
    }
}
