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

    @Test("that explains its usage is quoted without that") func usage() {
        for (script, said) in [
            ("printf 'bad option\\nUsage: x\\n  -a  all\\n' >&2; exit 1", "bad option"),
            ("printf 'usage: x\\n  -a  all\\n' >&2; exit 1", "usage: x;   -a  all"),
        ] {
            #expect {
                try shell(script).run()
            } throws: { error in
                guard case .failed(_, _, let told) = error as? Command.Failure else { return false }
                return told == said
            }
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

@Suite("how a program ended")
struct EndedTests {
    private func failure(_ script: String) -> Command.Failure? {
        do throws(Command.Failure) {
            try Command("/bin/sh", ["-c", script]).run()
            return nil
        } catch { return error }
    }

    @Test("a signal is named, with what it often means")
    func killed() throws {
        let killed = try #require(failure("kill -9 $$"))
        #expect("\(killed)" == "/bin/sh was killed by SIGKILL")
        #expect(killed.advice.first == "The kernel does that where RAM is used up, and `dmesg` says so.")
        #expect(try "\(#require(failure("kill -11 $$")))" == "/bin/sh was killed by SIGSEGV")
    }

    @Test("an exit status above 128 is one")
    func exited() throws {
        let failed = try #require(failure("echo no such disk >&2; exit 137"))
        #expect("\(failed)" == "/bin/sh failed (exit status 137): no such disk")
        #expect(failed.advice.isEmpty)
        #expect(Ended.signal(9).shellStatus == 137 && Ended.status(3).shellStatus == 3)
    }

    @Test("what is not there, or cannot be started, has advice")
    func advice() {
        let command = Command("mkfs.xfs", [])
        #expect(Command.Failure.missing(command).advice == ["Use an initramfs that has it."])
        #expect(Command.Failure.unstartable(command, .noMemory).advice == ["RAM was used up: give the machine more."])
        #expect(ThreadFault(reason: .noMemory).advice == ["RAM was used up: give the machine more."])
    }
}
