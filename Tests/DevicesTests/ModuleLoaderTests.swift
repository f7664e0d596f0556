import BootArguments
import LinuxSystem
import Logging
import LoopbackServer
import Synchronization
import SystemPackage
import Testing

@testable import Devices

@Suite("modules") struct ModuleLoaders {
    /// A loader of modules that a folder names; `insert` is given the name of each.
    private func loader(
        of dependencies: String, in folder: FilePath, blocking: String = "",
        insert: @escaping @Sendable (String) throws(Errno) -> Void
    ) throws -> ModuleLoader {
        try Files.write(dependencies, to: folder.appending("modules.dep"))
        return ModuleLoader(
            arguments: BootArguments(blocking), folder: folder,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { (file, _, _) throws(Errno) in try insert(file.stem ?? "") }
    }

    @Test("each is loaded once, after what it depends on, and failures are told apart")
    func order() throws {
        let folder = try TemporaryFolder()
        let inserted = Mutex<[String]>([])
        let text = "k/net.ko: k/bus.ko\nk/disk.ko: k/scsi.ko k/bus.ko\nk/bus.ko:\nk/scsi.ko:\nk/idle.ko:\nk/bad.ko:\n"
        let loader = try loader(of: text, in: folder.path, blocking: "modprobe.blacklist=idle") { name throws(Errno) in
            inserted.withLock { $0.append(name) }
            if name == "bad" { throw .invalidArgument }
        }
        #expect(loader.load("net") && loader.load("disk") && loader.load("net"))
        #expect(inserted.withLock { $0 } == ["bus", "net", "scsi", "disk"])
        #expect(!loader.load("bad") && !loader.load("bad") && !loader.load("idle") && !loader.load("none"))
        #expect(loader.record == .init(loaded: ["bus", "net", "scsi", "disk"], failed: ["bad": .invalidArgument]))
    }

    @Test("one that takes long keeps no other thread from loading another, and is waited for where it is needed")
    func sideBySide() throws {
        let folder = try TemporaryFolder()
        let begun = Monitor(false)
        let released = Monitor(false)
        let inserted = Mutex<[String]>([])
        let loader = try loader(of: "k/slow.ko:\nk/net.ko:\nk/disk.ko: k/slow.ko\n", in: folder.path) {
            name throws(Errno) in
            if name == "slow" {
                begun.change { $0 = true }
                released.wait { $0 ? () : nil }
            }
            inserted.withLock { $0.append(name) }
        }
        let ended = Monitor(0)
        try startThread {
            _ = loader.load("slow")
            ended.change { $0 += 1 }
        }
        begun.wait { $0 ? () : nil }
        #expect(loader.load("net"))
        try startThread {
            _ = loader.load("disk")
            ended.change { $0 += 1 }
        }
        #expect(inserted.withLock { $0 } == ["net"])
        released.change { $0 = true }
        ended.wait { $0 == 2 ? () : nil }
        #expect(inserted.withLock { $0 } == ["net", "slow", "disk"])
    }
}
