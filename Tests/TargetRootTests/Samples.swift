import Encoding
import FilePlanning
import Foundation
import Glibc
import IgnitionConfig
import LinuxSystem
import Synchronization
import SystemPackage

@testable import TargetRoot

/// A target in a temporary folder, gone with the value. Commands are recorded instead of run.
final class Target {
    let folder: FilePath
    let ran: Mutex<[Command]> = Mutex([])
    /// Which commands have no program here.
    var lacks: (Command) -> Bool = { _ in false }
    var fails: (Command) -> Bool = { _ in false }
    /// What a command does here.
    var does: (Command) -> Void = { _ in }

    init() throws {
        folder = FilePath(NSTemporaryDirectory()).appending("firstlight-\(UUID().uuidString)")
        try Files.makeFolder(path("/etc"))
        try put("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nme:x:\(getuid()):\(getgid())::/home/me:/bin/sh\n")
        try put("/etc/group", "root:x:0:\nours:x:\(getgid()):\n")
    }

    deinit { try? FileManager.default.removeItem(atPath: folder.string) }

    /// The init that is started next.
    var nextInit: String?

    var root: TargetRoot {
        var root = TargetRoot(folder.appending("root")) { [self] command throws(Command.Failure) in
            if lacks(command) { throw .missing(command) }
            if fails(command) { throw .failed(command, status: 1, said: "no") }
            ran.withLock { $0.append(command) }
            does(command)
            return Command.Output()
        }
        root.nextInit = nextInit
        return root
    }

    func path(_ path: String) -> FilePath { FilePath(folder.string + "/root" + path) }

    func put(_ path: String, _ text: String, mode: mode_t = 0o644) throws {
        try Files.makeFolder(self.path(path).removingLastComponent())
        try Files.write(text, to: self.path(path), mode: mode)
    }

    func text(_ path: String) -> String? {
        (try? Files.read(self.path(path))).map { String(decoding: $0, as: UTF8.self) }
    }

    func mode(_ path: String) -> String? {
        Files.status(self.path(path), followingLinks: false).map { String($0.st_mode & 0o7777, radix: 8) }
    }

    /// Every path below the root but the two account files and the result.
    func paths() -> [String] {
        let all = FileManager.default.enumerator(atPath: folder.string + "/root")?.compactMap { $0 as? String } ?? []
        return all.filter { !["etc", "etc/passwd", "etc/group", "etc/.ignition-result.json"].contains($0) }.sorted()
    }

    @discardableResult
    func provision(
        _ json: String, as policy: RerunPolicy = .own, fetch: @escaping TargetRoot.FetchContent = decode,
        written: (String) -> Void = { _ in }
    ) throws -> TargetRoot.Outcome {
        let text = #"{"ignition": {"version": "3.4.0"}, "# + json + "}"
        let config = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked()
        return try root.provision(
            config, userConfigProvided: true, scratch: folder.appending("scratch"), policy: policy,
            written: written,
            fetch: fetch)
    }
}

/// Writes what a data: URL holds.
func decode(_ resource: IgnitionConfig.Resource, to destination: Int32) throws {
    try Files.writeAll(DataURL(parsing: resource.source?.text ?? "").bytes, to: destination)
}
