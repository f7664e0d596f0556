import LiveImage
import Testing

@Suite struct NewcWriting {
    /// A folder, a file whose length is not a multiple of 4, a link.
    private func archive(time: UInt32 = 0) throws -> [UInt8] {
        var writer = NewcWriter(modificationTime: time)
        var bytes = try writer.member("etc", .folder, permissions: 0o755)
        bytes += try writer.member("etc/key", .file, permissions: 0o600, data: Array("12345".utf8))
        bytes += try writer.member("bin", .link, permissions: 0o777, data: Array("usr/bin".utf8))
        return bytes + NewcWriter.trailer()
    }

    @Test func whatIsWrittenIsReadBack() throws {
        var reader = NewcReader()
        var headers: [NewcHeader] = []
        var data: [String] = []
        try inSlices(of: 1 << 20, archive(time: 7)) { slice, _ in
            var rest = slice
            while let event = try reader.next(&rest) {
                if case .member(let header) = event { headers.append(header) }
                if case .data(let bytes) = event { data.append(String(decoding: bytes, as: UTF8.self)) }
            }
        }
        try reader.finish()
        #expect(headers.map(\.name) == ["etc", "etc/key", "bin"])
        #expect(headers.map(\.mode) == [0o040755, 0o100600, 0o120777])
        #expect(headers.map(\.inode) == [1, 2, 3])
        #expect(headers.map(\.modified) == [7, 7, 7])
        #expect(headers.allSatisfy { $0.user == 0 && $0.group == 0 })
        #expect(data == ["12345", "usr/bin"])
    }

    @Test func everyPartStartsAtAMultipleOfFour() throws {
        var writer = NewcWriter()
        for name in ["a", "ab", "abc", "abcd"] {
            #expect(try writer.header(name, .file, permissions: 0o644, size: 1).count % 4 == 0)
        }
        #expect((0...8).map { NewcWriter.padding(after: $0).count } == [0, 3, 2, 1, 0, 3, 2, 1, 0])
        #expect(NewcWriter.trailer().count % 4 == 0)
    }

    @Test("data of a root image starts at byte 124", arguments: ["root.squashfs", "root.erofs"])
    func dataOffset(_ name: String) throws {
        var writer = NewcWriter()
        #expect(try writer.header(name, .file, permissions: 0o644, size: 4096).count == 124)
    }

    @Test func aFileOfFourGibibytesIsRefused() throws {
        var writer = NewcWriter()
        _ = try writer.header("root.squashfs", .file, permissions: 0o644, size: (4 << 30) - 1)
        #expect(throws: NewcWriter.Failure.tooLarge(path: "root.squashfs", bytes: 4 << 30)) {
            try writer.header("root.squashfs", .file, permissions: 0o644, size: 4 << 30)
        }
    }
}
