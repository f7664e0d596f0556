import BootArguments
import LinuxSystem
import LoopbackServer
import Reporting
import SystemPackage
import Testing

@testable import Fetching
@testable import Platforms

/// No network, no devices.
func loneAccess() -> PlatformAccess {
    PlatformAccess(
        request: { request throws(ResourceFailure) in
            throw ResourceFailure(source: RedactedURL(request.url), reason: .notFound)
        },
        device: { _, _ in nil }, files: { _, _, _ in [:] })
}

@Suite("configs that lie in the machine")
struct LocalSourcesTests {
    private let folder: TemporaryFolder
    private var access = loneAccess()

    init() throws {
        folder = try TemporaryFolder()
        access.sysfs = folder.path
    }

    private func putFirmware(size: String?, _ content: String) throws {
        let blob = folder.path.appending("firmware/qemu_fw_cfg/by_name/opt/com.coreos/config")
        try Files.makeFolder(blob)
        if let size { try Files.write("\(size)\n", to: blob.appending("size")) }
        try Files.write(content, to: blob.appending("raw"))
    }

    @Test func firmwareIsReadByItsSize() throws {
        try putFirmware(size: "5", "{ \"}\"")
        #expect(try Platform.qemu.userConfig(through: access) == Array("{ \"}\"".utf8))
    }

    @Test(arguments: ["4", "6"]) func firmwareOfAnotherSizeIsRefused(size: String) throws {
        try putFirmware(size: size, "12345")
        #expect(throws: PlatformFailure.self) { try Platform.qemu.userConfig(through: access) }
    }

    @Test func firmwareWithoutAConfigGivesNone() throws {
        try Files.makeFolder(folder.path.appending("firmware/qemu_fw_cfg"))
        #expect(try Platform.qemu.userConfig(through: access) == nil)
    }

    @Test func aMachineThatIsNotQEMUSaysSo() {
        #expect(throws: PlatformFailure.noFirmwareDevice) { try Platform.qemu.userConfig(through: access) }
    }

    @Test func theFileIsTheOneThatTheEnvironmentNames() throws {
        var access = access
        let file = folder.path.appending("here.ign")
        access.environment = { $0 == "IGNITION_CONFIG_FILE" ? file.string : nil }
        #expect(throws: PlatformFailure.unreadable(file, .noSuchFileOrDirectory)) {
            try Platform.file.userConfig(through: access)
        }
        try Files.write("{}", to: file)
        #expect(try Platform.file.userConfig(through: access) == Array("{}".utf8))
    }

    @Test func paddingIsNoPartOfABootFifo() throws {
        let fifo = folder.path.appending("bus/platform/devices/MLNXBF04:00")
        try Files.makeFolder(fifo)
        try Files.write("{}\0\0\0", to: fifo.appending("bootfifo"))
        #expect(try Platform.nvidiabluefield.userConfig(through: access) == Array("{}".utf8))
        try Files.write("\0\0", to: fifo.appending("bootfifo"))
        #expect(throws: PlatformFailure.empty(fifo.appending("bootfifo"))) {
            try Platform.nvidiabluefield.userConfig(through: access)
        }
    }

    @Test func metalHasNone() throws { #expect(try Platform.metal.userConfig(through: access) == nil) }

    @Test(arguments: Platform.allCases.filter { !$0.isSupported })
    func whoCannotBeAskedIsNotTakenForEmpty(platform: Platform) {
        #expect(throws: PlatformFailure.unsupported(platform.rawValue)) { try platform.userConfig(through: access) }
    }
}
