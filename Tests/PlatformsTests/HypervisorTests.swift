import BootArguments
import Glibc
import LinuxSystem
import LoopbackServer
import Reporting
import SystemPackage
import Testing

@testable import Platforms

// MARK: Hyper-V

@Suite("the key-value pairs of hyperv") struct HyperVTests {
    private let files = Monitor<[PlatformFile]>([])

    private func message(_ operation: UInt8, pool: UInt8 = 0, _ key: String = "", _ value: String = "") -> [UInt8] {
        func number(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        func field(_ text: String, _ length: Int) -> [UInt8] {
            Array(text.utf8) + [UInt8](repeating: 0, count: length - text.utf8.count)
        }
        let body = number(1) + number(key.utf8.count + 1) + number(value.utf8.count + 1)
        let whole = [operation, pool, 0, 0] + body + field(key, 512) + field(value, 2048)
        return whole + [UInt8](repeating: 0, count: KeyValuePairs.messageLength - whole.count)
    }

    /// The kernel's side: it is registered with, hands on what the host says, and gets an answer to each.
    private func config(_ said: [[UInt8]]) throws -> (config: [UInt8]?, answers: [UInt32]) {
        var pair: [Int32] = [-1, -1]
        #expect(socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &pair) == 0)
        defer { close(pair[0]) }
        var buffer = [UInt8](repeating: 0, count: KeyValuePairs.messageLength)
        for one in said { #expect(write(pair[0], one, one.count) == one.count) }
        let pairs = try KeyValuePairs(from: pair[1], patience: (0.1, 0.1), say: { _ in })
        close(pair[1])
        var answers: [UInt32] = []
        while case let count = read(pair[0], &buffer, buffer.count), count > 0 {
            #expect(count == KeyValuePairs.messageLength)
            answers.append(buffer.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) })
        }
        files.change { $0 = pairs.files }
        return (pairs.config, answers)
    }

    @Test func aConfigIsOneValueOrMany() throws {
        let whole = try config([message(100), message(1, "ignition.config", "{}"), message(1, pool: 3, "other", "x")])
        #expect(whole.config == Array("{}".utf8))
        // What it registers with, then an answer to each pair.
        #expect(whole.answers == [100, 0, 0])
        let parts = (0..<12).map { message(1, "ignition.config.\($0)", "part \($0);") }
        #expect(try config(parts.reversed()).config == (0..<12).flatMap { Array("part \($0);".utf8) })
        #expect(
            try config([message(1, "ignition.config", "old"), message(1, "ignition.config", "new")]).config
                == Array("new".utf8))
    }

    @Test func withoutPairsThereIsNoConfig() throws {
        #expect(try config([]).config == nil)
        #expect(try config([message(100)]).config == nil)
        #expect(try config([message(1, pool: 1, "ignition.config", "a guest's own")]).config == nil)
    }

    @Test func whatIsNoPairIsAnsweredAndPassedOver() throws {
        var long = message(1, "ignition.config", "{}")
        long.replaceSubrange(8..<12, with: [0xff, 0xff, 0xff, 0xff])
        let found = try config([message(3), long, Array(message(1, "a", "b").prefix(100)), message(1, "k", "v")])
        #expect(found.config == nil)
        #expect(found.answers == [100, 0x8007_0032, 0x8007_0032, 0x8007_0032, 0])
    }

    @Test func theRealRootsDaemonFindsThePairs() throws {
        _ = try config([message(1, "ignition.config", "{}"), message(1, "other", "x"), message(1, pool: 3, "a", "b")])
        let files = files.change { $0 }
        #expect(files.map(\.path) == ["/var/lib/hyperv/.kvp_pool_0", "/var/lib/hyperv/.kvp_pool_3"])
        let bytes = try #require(files.first).bytes
        #expect(bytes.count == 2 * (512 + 2048))
        #expect(bytes.starts(with: Array("ignition.config\0".utf8)))
        // Stages hand them on in Ignition's form.
        #expect([PlatformFile](files.json) == files)
        #expect([PlatformFile]().json == .null && [PlatformFile](.null) == [])
    }

    @Test func theHostIsAskedOnlyOnce() throws {
        _ = try config([message(1, "ignition.config.1", "b"), message(1, "ignition.config.0", "a")])
        var access = loneAccess()
        access.keyValueDevice = "/nonexistent"
        #expect(throws: PlatformFailure.device("/nonexistent", .noSuchFileOrDirectory, module: "hv_utils", .hyperv)) {
            try Platform.hyperv.userConfig(through: access)
        }
        access.keptFiles = { files.change { $0 } }
        #expect(try Platform.hyperv.userConfig(through: access) == Array("ab".utf8))
    }
}

// MARK: VirtualBox

/// The host's service: properties in a dictionary, a client at a time.
private final class PropertyService {
    var properties: [String: String]
    private(set) var open = 0
    private(set) var calls = 0

    init(_ properties: [String: String]) { self.properties = properties }

    func call(_ number: UInt, _ request: UnsafeMutableRawBufferPointer) throws(Errno) {
        func load<Number: FixedWidthInteger>(_ offset: Int, as: Number.Type = UInt32.self) -> Number {
            request.loadUnaligned(fromByteOffset: offset, as: Number.self)
        }
        func store(_ value: some FixedWidthInteger, at offset: Int) {
            withUnsafeBytes(of: value) { bytes in
                for (index, byte) in bytes.enumerated() { request[offset + index] = byte }
            }
        }
        // The size stands in the command too, and the kernel compares the two.
        #expect(number >> 30 == 3 && number >> 16 & 0x3fff == UInt(request.count) && number >> 8 & 0xff == 0x56)
        #expect(load(4) == 0x10001 && load(0) as UInt32 == request.count)
        switch number & 0xff {
        case 4:
            #expect(load(24) == 2 && String(cString: Array(request[28..<156])) == "VBoxGuestPropSvc")
            open += 1
            store(UInt32(77), at: 24)
            store(Int32(0), at: 12)
        case 5:
            #expect(load(24) == 77)
            open -= 1
        default:
            calls += 1
            #expect(load(24) == 77 && load(0) == load(16))
            let name = pointer(load(48, as: UInt64.self)).map {
                String(cString: $0.assumingMemoryBound(to: CChar.self))
            }
            store(answer(load(28), name ?? "", request, store: { store($0, at: $1) }), at: 12)
        }
    }

    private func pointer(_ address: UInt64) -> UnsafeMutableRawPointer? {
        UnsafeMutableRawPointer(bitPattern: UInt(address))
    }

    private func answer(
        _ function: UInt32, _ name: String, _ request: UnsafeMutableRawBufferPointer, store: (UInt32, Int) -> Void
    ) -> Int32 {
        guard let value = properties[name] else { return -78 }
        if function == 4 {
            properties[name] = nil
            return 0
        }
        let text = Array(value.utf8) + [0] + Array("TRANSIENT".utf8) + [0]
        store(UInt32(text.count), 40 + 3 * 16 + 4)
        let size = request.loadUnaligned(fromByteOffset: 40 + 16 + 4, as: UInt32.self)
        if Int(size) < text.count { return -41 }
        pointer(request.loadUnaligned(fromByteOffset: 40 + 16 + 8, as: UInt64.self))?
            .copyMemory(from: text, byteCount: text.count)
        return 0
    }
}

@Suite("the guest properties of virtualbox") struct VirtualBoxTests {
    private func access(_ service: PropertyService) -> PlatformAccess {
        var access = loneAccess()
        access.guestDriver = { (number, request) throws(Errno) in try service.call(number, request) }
        return access
    }

    @Test("a config of any length is read", arguments: [2, 4000, 4096, 100_000]) func values(length: Int) throws {
        let config = String(repeating: "x", count: length)
        let service = PropertyService(["/Ignition/Config": config])
        #expect(try Platform.virtualbox.userConfig(through: access(service)) == Array(config.utf8))
        #expect(service.open == 0)
    }

    @Test func withoutThePropertyThereIsNoConfig() throws {
        #expect(try Platform.virtualbox.userConfig(through: access(PropertyService([:]))) == nil)
        let plain = PropertyService(["/Ignition/Config": "{}", "/Ignition/Config/Encoding": ""])
        #expect(try Platform.virtualbox.userConfig(through: access(plain)) == Array("{}".utf8))
    }

    @Test func anEncodingIsRefused() {
        let service = PropertyService(["/Ignition/Config": "e30=", "/Ignition/Config/Encoding": "base64"])
        #expect(throws: GuestProperties.Fault.encoded("base64")) {
            try Platform.virtualbox.userConfig(through: access(service))
        }
    }

    @Test func theConfigIsTakenAwayOnce() throws {
        let service = PropertyService(["/Ignition/Config": "secret"])
        for _ in 0..<2 { try Platform.virtualbox.removeUserConfig(through: access(service)) }
        #expect(service.properties.isEmpty && service.open == 0)
    }

    @Test func aDriverThatFailsIsNamed() {
        var access = loneAccess()
        access.guestDriver = { (_, _) throws(Errno) in throw .invalidArgument }
        let failure = #expect(throws: GuestProperties.Fault.self) {
            try Platform.virtualbox.userConfig(through: access)
        }
        #expect(failure?.description.contains("refused") == true)
    }
}

// MARK: z/VM

@Suite("the virtual reader of zvm") struct ReaderTests {
    private static let list = """
        ORIGINID FILE CLASS RECORDS  CPY HOLD DATE  TIME      NAME      TYPE     DIST
        T6360025 0007 V PUN 00000008 001 NONE 03/08 10:35:12  profile   exec     T6360025
        T6360025 0008 A PUN 00000012 001 NONE 03/08 10:36:05  config    ign      T6360025
        T6360025 0009 A PUN 00000012 001 NONE 03/08 10:37:05  other     IGN      T6360025
        """

    @Test func theFirstFileOfTheTypeIsReceivedAndStays() throws {
        var access = loneAccess()
        var ran: [String] = []
        access.run = { command throws(Command.Failure) in
            ran.append("\(command)")
            let text = command.arguments.first == "list" ? Self.list : command.arguments.first == "receive" ? "{}" : ""
            return Command.Output(standardOutput: Array(text.utf8))
        }
        #expect(try Platform.zvm.userConfig(through: access) == Array("{}".utf8))
        #expect(ran == ["chccwdev -e 000c", "vmur list", "vmur receive --hold --text --stdout 0008"])
    }

    @Test("an empty reader gives none", arguments: ["", "ORIGINID FILE CLASS\n", "x 00ab A PUN 1 1 N 1 1 a ign d"])
    func empty(list: String) { #expect(spoolFile(in: list) == nil) }
}
