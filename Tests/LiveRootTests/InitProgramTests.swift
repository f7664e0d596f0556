import Glibc
import LinuxSystem
import LoopbackServer
import SystemPackage
import Testing

@testable import LiveRoot

@Suite("the init is looked at before the initramfs is emptied")
struct InitProgramTests {
    private let folder: TemporaryFolder
    private var root: FilePath { folder.path }

    init() throws { folder = try TemporaryFolder() }

    private func put(_ bytes: [UInt8], _ path: String) throws {
        let file = root.appending(path)
        try Files.makeFolder(file.removingLastComponent())
        try Files.write(bytes, to: file, mode: 0o755)
    }

    private func failure(wanted: String? = nil) -> String? {
        do throws(SwitchRoot.Failure) {
            _ = try SwitchRoot(root: root, wanted: wanted, arguments: [])
            return nil
        } catch { return "\(error)" }
    }

    /// A 64-bit ELF file with one program header, which names a loader.
    private func elf(machine: UInt8, loader: String?) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 120)
        bytes.replaceSubrange(0..<6, with: [0x7f, 0x45, 0x4c, 0x46, 2, 1])
        bytes[18] = machine
        bytes[32] = 64
        bytes[54] = 56
        bytes[56] = 1
        guard let loader else { return bytes }
        bytes[64] = 3
        bytes[64 + 8] = 120
        bytes[64 + 32] = UInt8(loader.utf8.count + 1)
        return bytes + loader.utf8 + [0]
    }

    #if arch(x86_64)
        private let own: UInt8 = 62
        private let foreign: UInt8 = 183
        private let words = "it is for 64-bit Arm, and this machine is x86-64"
    #else
        private let own: UInt8 = 183
        private let foreign: UInt8 = 62
        private let words = "it is for x86-64, and this machine is 64-bit Arm"
    #endif

    @Test("one of another architecture stops the boot while it can still be told")
    func foreignInit() throws {
        try put(elf(machine: foreign, loader: nil), "sbin/init")
        #expect(failure() == "the root filesystem's /sbin/init cannot run: \(words)")
    }

    @Test("its loader has to be there, and so has what the loader is a link to")
    func loader() throws {
        try put(elf(machine: own, loader: "/lib/ld.so"), "sbin/init")
        let lacking = "the root filesystem's /sbin/init cannot run: it needs /lib/ld.so, which is not there"
        #expect(failure() == lacking)
        try Files.makeLink(root.appending("lib"), to: "/usr/lib")
        try Files.makeFolder(root.appending("usr/lib"))
        #expect(failure() == lacking)
        try put(elf(machine: own, loader: nil), "usr/lib/ld.so")
        #expect(failure() == nil)
    }

    @Test("a script needs its interpreter, which is looked at in its turn")
    func script() throws {
        try put(Array("#! /bin/sh -e\nexec /sbin/init\n".utf8), "init")
        let start = "the root filesystem's /init cannot run: "
        #expect(failure(wanted: "/init") == start + "it needs /bin/sh, which is not there")
        try put(elf(machine: foreign, loader: nil), "bin/sh")
        #expect(failure(wanted: "/init") == start + words)
        try put(elf(machine: own, loader: nil), "bin/sh")
        #expect(failure(wanted: "/init") == nil)
    }

    @Test("what the kernel could not run is refused, and what runs here is not", arguments: ["", "hello"])
    func others(content: String) throws {
        try put(Array(content.utf8), "init")
        let text = "the root filesystem's /init cannot run: it is neither a program nor a script"
        #expect(failure(wanted: "/init") == text)
        #expect(ProgramObstacle(to: "/bin/sh", inside: "/") == nil)
        #expect(ProgramObstacle(to: "/usr/bin/ldd", inside: "/") == nil)
    }
}
