import Glibc
import Testing

@testable import MediaEditing

@Suite struct CopyingOfFiles {
    private let place = Workplace()

    private func noise(_ count: Int) -> [UInt8] {
        var state: UInt64 = 3
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 40)
        }
    }

    /// Copies a file, or a part of it, into a new one behind `before`; what that holds then.
    private func copied(_ name: String, _ range: Range<UInt64>? = nil, behind before: [UInt8] = []) throws -> [UInt8] {
        let file = try MediaFile("\(place.path)/\(name)")
        unlink("\(place.path)/copy")
        let output = try MediaFile(new: "\(place.path)/copy", mode: 0o600)
        try output.append(before)
        let copy = FileCopy(file: file, output: output)
        if let range { try copy.range(range) } else { try copy.all() }
        // What is written next stands behind it.
        try output.append([1, 2, 3])
        let bytes = place.read("copy") ?? []
        #expect(bytes.suffix(3) == [1, 2, 3] && bytes.starts(with: before))
        return Array(bytes.dropFirst(before.count).dropLast(3))
    }

    @Test(arguments: [0, 1, 4095, 4096, 4097, 1 << 18, 1 << 18 + 1, 8 << 20, 8 << 20 + 1, 17 << 20 + 5])
    func everyLengthIsCopied(_ count: Int) throws {
        let bytes = noise(count)
        place.write("file", bytes)
        #expect(try copied("file") == bytes)
    }

    @Test func aPartIsCopiedWhereverItLies() throws {
        let bytes = noise(3 << 20)
        place.write("file", bytes)
        let end = 3 << 20
        for range in [0..<1, 4095..<4097, 100..<100, 2048..<(2 << 20), (1 << 20 - 1)..<end, (end - 1)..<end] {
            let wanted = Array(bytes[range])
            #expect(try copied("file", UInt64(range.lowerBound)..<UInt64(range.upperBound)) == wanted, "\(range)")
            #expect(
                try copied("file", UInt64(range.lowerBound)..<UInt64(range.upperBound), behind: [9]) == wanted,
                "\(range)")
        }
    }

    @Test func holesStayHoles() throws {
        let bytes = noise(1 << 20)
        place.write("file", bytes)
        // A hole, a little data, and a hole to the end.
        let path = "\(place.path)/file"
        let descriptor = open(path, O_WRONLY)
        #expect(pwrite(descriptor, bytes, 10, 9 << 20) == 10 && ftruncate(descriptor, 16 << 20) == 0)
        close(descriptor)
        var wanted = bytes + [UInt8](repeating: 0, count: 15 << 20)
        wanted.replaceSubrange(9 << 20..<9 << 20 + 10, with: bytes.prefix(10))
        var status = stat()
        try #require(stat(path, &status) == 0 && status.st_blocks * 512 < 2 << 20, "no holes here")
        #expect(try copied("file") == wanted)
        #expect(stat("\(place.path)/copy", &status) == 0 && status.st_blocks * 512 < 2 << 20)
        for range in [5 << 20..<(9 << 20 + 4), 2 << 20..<(3 << 20), 1 << 19..<(16 << 20), 12 << 20..<(16 << 20)] {
            #expect(
                try copied("file", UInt64(range.lowerBound)..<UInt64(range.upperBound)) == Array(wanted[range]),
                "\(range)")
        }
    }

    @Test func aFileThatEndsEarlyIsAnError() throws {
        place.write("file", noise(10_000))
        for range in [0..<UInt64(10_001), 9000..<20_000, 10_000..<3 << 20, 1 << 20..<2 << 20] {
            #expect(refusal { _ in _ = try copied("file", range) }.hasPrefix("the image ends at byte"), "\(range)")
        }
        truncate("\(place.path)/file", 5000)
        // Of what has holes too.
        place.write("sparse", [1])
        truncate("\(place.path)/sparse", 5 << 20)
        #expect(refusal { _ in _ = try copied("sparse", 0..<6 << 20) }.hasPrefix("the image ends at byte"))
        #expect(refusal { _ in _ = try copied("sparse", 7 << 20..<8 << 20) }.hasPrefix("the image ends at byte"))
    }

    @Test func whatTheKernelCannotCopyIsReadAndWritten() throws {
        let bytes = noise(1 << 20 + 7)
        let file = try MediaFile(place.write("file", bytes))
        // Between two files it copies, but not to where everybody appends.
        let descriptor = open("\(place.path)/copy", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        try #require(descriptor >= 0)
        let output = MediaFile(owning: descriptor, path: "copy")
        try FileCopy(file: file, output: output).range(3..<1 << 20 + 7)
        #expect(place.read("copy") == Array(bytes[3...]))
        let tooLong = refusal { _ in try FileCopy(file: file, output: output).range(0..<1 << 21) }
        #expect(tooLong.hasPrefix("the image ends at byte"))
    }

    @Test func aFullDiskIsNamed() throws {
        let file = try MediaFile(place.write("file", noise(5000)))
        let full = open("/dev/full", O_WRONLY)
        let output = MediaFile(owning: full, path: "/dev/full")
        #expect(
            refusal { _ in try FileCopy(file: file, output: output).all() }
                == "writing /dev/full: No space left on device (os error 28)")
    }

    @Test func aFileWithoutANameLeavesNothingBehind() throws {
        do {
            let new = try NewFile(in: place.path)
            try new.file.append([1])
        }
        #expect(place.names == [])
        let new = try NewFile(in: place.path)
        try new.file.append([1, 2])
        place.write("there", "x")
        #expect(refusal { _ in try new.keep(as: "\(place.path)/there") } == "File exists (os error 17)")
        try new.keep(as: "\(place.path)/new", mode: 0o640)
        #expect(place.names == ["new", "there"])
        #expect(place.read("new") == [1, 2] && place.mode("new") == 0o640)
    }
}
