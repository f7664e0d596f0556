import BlockDevices
import LinuxSystem
import LoopbackServer
import Reporting
import SystemPackage
import Testing

@testable import ProvisioningEngine

@Suite("what stages leave for each other")
struct StateFolderTests {
    private let folder: TemporaryFolder
    private let state: StateFolder

    init() throws {
        folder = try TemporaryFolder()
        state = StateFolder(at: folder.path)
    }

    private func spoil(_ file: RunFile) throws { try Files.write("{", to: folder.path.appending(file.rawValue)) }

    /// A folder stands where the file belongs, so nothing can be read from it or kept in it.
    private func block(_ file: RunFile) throws {
        try Files.makeFolder(folder.path.appending(file.rawValue).appending("in the way"))
    }

    @Test("a file that is there and not readable does not count as missing")
    func unreadable() throws {
        #expect(try state.volumes?.isEmpty == true && state.mounted == [] && state.nodes.isEmpty)
        for file in [RunFile.volumes, .mounts, .nodes, .configRecord, .rootImage] { try spoil(file) }
        #expect(throws: UnreadableState(file: .volumes)) { try state.volumes }
        #expect(throws: UnreadableState(file: .volumes)) { try state.keys() }
        #expect(throws: UnreadableState(file: .mounts)) { try state.mounted }
        #expect(throws: UnreadableState(file: .mounts)) { try state.mountFolders }
        #expect(throws: UnreadableState(file: .mounts)) { try state.keep(mounted: "/var") }
        #expect(throws: UnreadableState(file: .nodes)) { try state.nodes }
        #expect(throws: UnreadableState(file: .configRecord)) { try state.configProgress }
        #expect(throws: UnreadableState(file: .configRecord)) { try state.fetchedConfig() }
        #expect(throws: UnreadableState(file: .rootImage)) { try state.load(RootImageRecord.self) }
    }

    @Test("each says what to do, and the config alone is looked for again")
    func advice() {
        #expect(
            UnreadableState(file: .configRecord).advice
                == ["Remove /run/firstlight/config.json: the config is then looked for again."])
        let volumes = UnreadableState(file: .volumes, reason: .ioError)
        #expect("\(volumes)" == "cannot read /run/firstlight/volumes.json: Input/output error")
        #expect(volumes.advice == ["Restart the machine: all stages then run again, and leave a new one."])
        #expect(
            MissingState(file: .rootImage, stage: .rootfs).advice
                == ["Run `firstlight stage rootfs`, then this one again."])
    }

    @Test("a key that was handed on is none, and one that cannot be read is a failure")
    func keys() throws {
        try state.keep(KeptVolume(name: "data", uuid: "u", opener: .key), key: SecretBytes(Array("secret".utf8)))
        #expect(try state.keys().keys.sorted() == ["data"])
        let file = folder.path.appending("luks-data.key")
        try Files.remove(file)
        #expect(try state.keys().isEmpty)
        try Files.makeFolder(file)
        #expect(throws: BootFailure.self) { try state.keys() }
    }

    @Test("what was written is known where no file could keep it")
    func writtenWithoutAFile() throws {
        #expect(state.written == [])
        try block(.written)
        #expect(StateFolder(at: folder.path).written == nil)
        state.recordWrite("a GPT on /dev/vda")
        state.recordWrite("a GPT on /dev/vda")
        #expect(state.written == ["a GPT on /dev/vda"])
    }

    @Test("what another process wrote comes first, and is kept")
    func writtenByTwo() throws {
        StateFolder(at: folder.path).recordWrite("a GPT on /dev/vda")
        state.recordWrite("xfs on /dev/vda1")
        #expect(state.written == ["a GPT on /dev/vda", "xfs on /dev/vda1"])
        #expect(StateFolder(at: folder.path).written == state.written)
    }
}
