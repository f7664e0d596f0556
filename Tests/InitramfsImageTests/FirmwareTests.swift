import LinuxSystem
import SystemPackage
import Testing

@testable import InitramfsImage

@Suite struct FirmwareOfModules {
    @Test func aModuleNamesWhatItAsksFor() throws {
        let bytes = moduleWith(["license=GPL", "firmware=bnx2/a.fw", "description=firmware=no", "firmware=b.bin"])
        #expect(try Firmware.names(askedForBy: bytes) == ["bnx2/a.fw", "b.bin"])
        #expect(try Firmware.names(askedForBy: moduleWith([])) == [])
        #expect(throws: ELFFile.Failure.notELF) { try Firmware.names(askedForBy: Array("kernel/a.ko".utf8)) }
        for length in stride(from: 5, to: bytes.count - 24, by: 7) {
            #expect(throws: ELFFile.Failure.self) { try Firmware.names(askedForBy: Array(bytes.prefix(length))) }
        }
    }

    @Test func whatIsThereIsFoundAndTheRestIsTold() throws {
        let folder = try TemporaryFolder()
        try folder.file("6.1.0/own.fw", [1])
        try folder.file("own.fw", [2])
        try folder.file("sub/one.fw", [3])
        try folder.file("sub/two.fw.xz", [4])
        let folders = [folder.path.appending("6.1.0"), folder.path]
        var firmware = Firmware()
        for name in ["own.fw", "sub/two.fw", "none.fw", "sub/*.fw", "none/*.fw", "../../etc/passwd"] {
            firmware.add(name, for: "card", in: folders)
        }
        firmware.add("sub", for: "folder", in: folders)
        #expect(
            firmware.files == [
                "own.fw": folders[0].appending("own.fw"), "sub/one.fw": folder.path.appending("sub/one.fw"),
                "sub/two.fw": folder.path.appending("sub/two.fw.xz"),
            ])
        #expect(firmware.missing == ["card": ["none.fw", "none/*.fw"], "folder": ["sub"]])
        #expect(
            firmware.warning
                == "2 modules ask for firmware that this system does not have: card, folder; see its packages `firmware-*`"
        )
        #expect(Firmware().warning == nil)
    }
}
