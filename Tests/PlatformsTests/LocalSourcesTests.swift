import BootArguments
import Encoding
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

    @Test("no length that the firmware tells is taken at its word", arguments: ["9223372036854775807", "-5", "many"])
    func firmwareOfNoLength(size: String) throws {
        try putFirmware(size: size, "12345")
        #expect(throws: PlatformFailure.self) { try Platform.qemu.userConfig(through: access) }
    }

    @Test("a large config is not read page by page", arguments: [true, false])
    func largeFirmware(isTheSame: Bool) throws {
        let content = String(repeating: "config ", count: 100_000)
        try putFirmware(size: "\(content.utf8.count)", content)
        try Files.write("41\n", to: folder.path.appending("firmware/qemu_fw_cfg/by_name/opt/com.coreos/config/key"))
        var access = access
        var asked: [UInt16] = []
        access.readFirmware = { key, count in
            asked.append(key)
            return [isTheSame ? UInt8(ascii: "c") : 0] + content.utf8.dropFirst().prefix(count)
        }
        // What is not what the kernel's file begins with is not believed.
        #expect(try Platform.qemu.userConfig(through: access) == Array(content.utf8))
        #expect(asked == [41])
        access.readFirmware = { _, _ in nil }
        #expect(try Platform.qemu.userConfig(through: access) == Array(content.utf8))
    }

    @Test("what takes long to read tells every ten seconds how far it is")
    func slowFirmware() throws {
        let content = String(repeating: "config ", count: 100_000)
        try putFirmware(size: "\(content.utf8.count)", content)
        var access = access
        access.readFirmware = { _, _ in nil }
        // Two seconds for each look at the clock, of which there is one for each 64 KiB.
        var seconds = 0.0
        access.uptime = {
            seconds += 2
            return seconds
        }
        var told: [String] = []
        access.say = { told.append($0) }
        #expect(try Platform.qemu.userConfig(through: access) == Array(content.utf8))
        #expect(told.count == 1 && told[0].hasPrefix("for the config from QEMU's firmware: 384 KiB of 68"))
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
}
