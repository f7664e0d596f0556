import LiveImage
import Testing

@Suite struct NewcReading {
    /// What an archive holds, as text: `name(size)@offset:` and the data; `end`.
    private func story(_ archive: [UInt8], slices: Int) throws -> [String] {
        var reader = NewcReader()
        var told: [String] = []
        var data: [UInt8] = []
        try inSlices(of: slices, archive) { slice, _ in
            var rest = slice
            while let event = try reader.next(&rest) {
                switch event {
                case .member(let header): told.append("\(header.name)(\(header.size))@\(header.dataOffset)")
                case .data(let part):
                    #expect(!part.isEmpty)
                    data += part
                case .endOfMember:
                    told.append(String(decoding: data, as: UTF8.self))
                    data = []
                case .endOfArchive: told.append("end")
                }
            }
            #expect(rest.isEmpty)
        }
        try reader.finish()
        #expect(reader.offset == UInt64(archive.count))
        return told
    }

    private func fault(_ archive: [UInt8], slices: Int = 4096) -> NewcError? {
        do {
            _ = try story(archive, slices: slices)
            return nil
        } catch { return error as? NewcError }
    }

    @Test("reads members in slices of any length", arguments: [1, 2, 3, 5, 109, 110, 111, 4096])
    func reads(slices: Int) throws {
        let archive = newcArchive([("root.squashfs", Array("12345".utf8)), ("etc", []), ("a/b", Array("xyz!".utf8))])
        #expect(
            try story(archive + [0, 0, 0, 0], slices: slices) == [
                "root.squashfs(5)@124", "12345", "etc(0)@248", "", "a/b(4)@364", "xyz!", "end",
            ])
    }

    @Test func readsWhatCpioWrites() throws {
        let told = try story(try rootImageFixture("rootfs-erofs.img"), slices: 512)
        #expect(told.filter { $0.contains("@") }.first == "root.erofs(4096)@124")
        #expect(told.contains("40.20240101.0\n"))
        #expect(told.last == "end")
    }

    @Test("names may be padded with NULs, as dracut-cpio pads them", arguments: [1, 2, 3, 5, 400])
    func paddedNames(padding: Int) throws {
        let name = "root.squashfs" + String(repeating: "\0", count: padding)
        let archive = newcMember(name, Array("12345".utf8)) + newcMember("TRAILER!!!", [], mode: 0)
        for slices in [1, 7, 4096] {
            let told = try story(archive, slices: slices)
            #expect(told.count == 3 && told[0].hasPrefix("root.squashfs(5)@") && told[1] == "12345", "\(told)")
        }
        // Linux takes none of these.
        var unended = newcMember("ab", [])
        unended[112] = UInt8(ascii: "c")
        #expect(fault(unended) == .brokenName(offset: 110))
        #expect(fault(newcMember("", [])) == .brokenName(offset: 110))
    }

    @Test func sizesNearFourGiBAreRead() throws {
        var header = newcMember("root.erofs", [])
        header.replaceSubrange(54..<62, with: "FFFFFFFC".utf8)
        var reader = NewcReader()
        try header.withUnsafeBytes { bytes in
            var slice = bytes
            guard case .member(let member)? = try reader.next(&slice) else {
                Issue.record("no member")
                return
            }
            #expect(member.size == 0xffff_fffc)
            #expect(member.dataOffset == 124)
            reader.skipData()
            #expect(reader.offset == 124 + 0xffff_fffc)
            guard case .endOfMember? = try reader.next(&slice) else {
                Issue.record("data left")
                return
            }
        }
    }

    @Test func garbageIsToldByItsFirstBytes() {
        #expect(fault(Array("<html>".utf8)) == .notAnArchive(offset: 0))
        #expect(fault(Array("0707x".utf8), slices: 1) == .notAnArchive(offset: 0))
        let first = newcMember("a", [1, 2, 3, 4])
        #expect(fault(first + [0, 0, 0, 0]) == .notAnArchive(offset: UInt64(first.count)))
    }

    @Test func brokenHeadersAreNamedWithTheirPlace() {
        var bad = newcMember("a", [])
        bad[20] = UInt8(ascii: "g")
        #expect(fault(bad) == .brokenHeader(offset: 0))
        var nameless = newcMember("a", [])
        nameless.replaceSubrange(94..<102, with: "00000000".utf8)
        #expect(fault(nameless) == .brokenName(offset: 0))
        nameless.replaceSubrange(94..<102, with: "00001001".utf8)
        #expect(fault(nameless) == .brokenName(offset: 0))
        var unended = newcMember("ab", [])
        unended[112] = UInt8(ascii: "c")
        #expect(fault(unended) == .brokenName(offset: 110))
    }

    @Test func everyTruncationIsAnError() {
        let archive = newcArchive([("file", Array("1234567".utf8))])
        for count in 0..<archive.count - 3 {
            guard case .endsEarly(let offset, _)? = fault(Array(archive[..<count])) else {
                Issue.record("\(count) bytes were taken for a whole archive")
                continue
            }
            #expect(offset == UInt64(count))
        }
        #expect(fault(Array(archive[..<120])) == .endsEarly(offset: 120, member: "file"))
    }

    @Test func onlyPaddingFollowsTheTrailer() {
        let archive = newcArchive([("file", [])])
        #expect(fault(archive + [UInt8](repeating: 0, count: 513)) == nil)
        #expect(fault(archive + [0, 0, 7]) == .trailingData(offset: UInt64(archive.count + 2)))
    }
}
