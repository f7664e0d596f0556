import LinuxSystem
import LoopbackServer
import SystemPackage
import Testing

@testable import Commands

@Suite("images that stand for the disks of another machine")
struct StandInTests {
    private let folder: TemporaryFolder
    private let standIns: StandIns

    init() throws {
        folder = try TemporaryFolder()
        for name in ["v", "disk2"] { try Files.write("", to: folder.path.appending(name)) }
        standIns = try StandIns(["/dev/vda=\(folder.path)/v", "/dev/disk/by-id/wwn-1=\(folder.path)/disk2"])
    }

    @Test(
        "they are shown as these disks",
        arguments: [
            ("IMAGES/v: no table", "/dev/vda: no table"), ("ext4 on IMAGES/v1.", "ext4 on /dev/vda1."),
            (#""node": "IMAGES/v12","#, #""node": "/dev/vda12","#), ("IMAGES/v and IMAGES/v", "/dev/vda and /dev/vda"),
            ("IMAGES/disk2p3", "/dev/disk/by-id/wwn-1-part3"), ("IMAGES/disk2", "/dev/disk/by-id/wwn-1"),
            ("Use IMAGES/v.", "Use /dev/vda."),
        ])
    func nodes(text: String, shown: String) {
        #expect(standIns.shown(text.replacing("IMAGES", with: folder.path.string)) == shown)
    }

    @Test(
        "a path of the config that begins or ends as an image does is not one",
        arguments: ["IMAGES/var", "IMAGES/v.d", "IMAGES/v1-old", "IMAGES/v/etc", "/sysrootIMAGES/v", "IMAGES/disk2p3x"])
    func paths(text: String) {
        let text = "mount at " + text.replacing("IMAGES", with: folder.path.string)
        #expect(standIns.shown(text) == text)
    }
}
