import BootMedia
import Glibc
import MediaSamples
import Testing

@testable import MediaEditing

/// What a power cut leaves of a change in place, and what the next command makes of it.
@Suite struct PowerCuts {
    private let place = Workplace()
    private let pristine = SampleLiveISO(.today).bytes()
    private let undo = ".live.iso.firstlight-undo"

    private func embed(_ image: String, _ config: String) throws {
        try quietly(input: Array(config.utf8)) { try EmbedIgnition(image: image).run($0) }
    }

    /// An image that holds a config, and the change that put it there.
    private func changed(by config: String = "{}") throws -> (image: String, bytes: [UInt8], patch: Patch) {
        let image = place.write("live.iso", pristine)
        try embed(image, config)
        let bytes = place.read("live.iso") ?? []
        let region = try LiveISO(reading: ByteSource(pristine)).initrd.region
        let range = Int(region.offset)..<Int(region.end)
        return (image, bytes, Patch(offset: region.offset, old: Array(pristine[range]), new: Array(bytes[range])))
    }

    /// Writes the file that keeps what stood there, for the owner of the image alone.
    private func keep(_ patch: Patch, mode: mode_t = 0o600) {
        let path = place.write(undo, Undo.contents([patch], length: UInt64(pristine.count)))
        chmod(path, mode)
    }

    @Test func aHalfChangedImageIsWrittenBack() throws {
        // Several sectors of it, also when it is compressed.
        var (image, bytes, patch) = try changed(by: (0..<1000).map { "\($0 &* 7919 % 10007)" }.joined())
        // What a cut leaves between two areas, as the file beside the image tells it.
        let sector = Int(patch.offset)..<Int(patch.offset) + 512
        var half = pristine
        half.replaceSubrange(sector, with: bytes[sector])
        place.write("live.iso", half)
        keep(patch)
        let streams = Printed()
        try RemoveIgnition(image: image).run(streams.streams())
        #expect(streams.told.count == 1)
        #expect(place.read("live.iso") == pristine)
        #expect(place.names == ["live.iso"])
        // Another image of that name is left alone.
        patch.old = [UInt8](repeating: 9, count: patch.old.count)
        patch.new = [UInt8](repeating: 8, count: patch.old.count)
        keep(patch)
        try quietly { try RemoveIgnition(image: image).run($0) }
        #expect(place.read("live.iso") == pristine)
        chmod(place.write(undo, "half a fi"), 0o600)
        try quietly { try RemoveIgnition(image: image).run($0) }
        #expect(place.names == ["live.iso"])
    }

    @Test func aChangeThatIsCompleteStays() throws {
        let (image, bytes, patch) = try changed()
        keep(patch)
        let streams = Printed()
        try ModifyArguments(image: image, edit: .init()).run(streams.streams())
        #expect(streams.told == [])
        #expect(place.read("live.iso") == bytes)
        #expect(place.names == ["live.iso"])
    }

    @Test("a file that others could have written changes no image", arguments: [0o620, 0o602] as [mode_t])
    func filesOfOthers(_ mode: mode_t) throws {
        let (image, bytes, patch) = try changed()
        keep(patch, mode: mode)
        #expect(
            refusal { try ResetISO(image: image).run($0) }
                == "\(image) is left alone: \(place.path)/\(undo), which would say what an interrupted command had begun "
                + "to change in it, can be written by others than its owner; see whose it is, and remove it")
        #expect(place.read("live.iso") == bytes)
        #expect(place.names == [undo, "live.iso"])
        // Nothing is written to an image that is only read.
        #expect(try printed { try ShowIgnition(image: image).run($0) } == "{}")
    }

    @Test(
        "no link is followed, and nothing else than a file is read",
        arguments: [{ symlink("elsewhere", $0) }, { mkfifo($0, 0o600) }, { mkdir($0, 0o700) }]
            as [@Sendable (String) -> Int32])
    func otherKinds(_ make: @Sendable (String) -> Int32) throws {
        let (image, bytes, patch) = try changed()
        chmod(place.write("elsewhere", Undo.contents([patch], length: UInt64(pristine.count))), 0o600)
        #expect(make("\(place.path)/\(undo)") == 0)
        let text = refusal { try ResetISO(image: image).run($0) }
        #expect(text.hasPrefix("\(image) is left alone: \(place.path)/\(undo), which would say"), "\(text)")
        #expect(place.read("live.iso") == bytes)
    }

    @Test("a file of another user is not trusted", .enabled(if: geteuid() == 0)) func otherUsers() throws {
        let (image, bytes, patch) = try changed()
        keep(patch)
        chown("\(place.path)/\(undo)", 65534, 65534)
        let text = refusal { try ResetISO(image: image).run($0) }
        #expect(text.contains("belongs to somebody else"), "\(text)")
        #expect(place.read("live.iso") == bytes)
        // Whoever owns the image may say what is to stand in it.
        chown(image, 65534, 65534)
        try quietly { try ResetISO(image: image).run($0) }
        #expect(place.names == ["live.iso"])
    }

    @Test func itIsToldWhereNothingCanBeKeptForAPowerCut() throws {
        let image = place.write("live.iso", pristine)
        // What is to get the file's name later cannot be made.
        mkdir("\(place.path)/.\(undo).firstlight", 0o700)
        let streams = Printed()
        try ModifyArguments(image: image, edit: .init(appending: ["x"])).run(streams.streams())
        #expect(streams.told.count == 1)
        #expect(streams.told.first?.contains("\(place.path)/\(undo)") == true, "\(streams.told)")
        #expect(try printed { try ShowArguments(image: image).run($0) }.hasSuffix(" x\n"))
    }
}
