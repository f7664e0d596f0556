import Testing

@testable import Encoding

@Suite struct HexadecimalTexts {
    @Test func goThereAndBack() {
        let all = Array(UInt8.min...UInt8.max)
        let text = hexadecimal(all)
        #expect(text.hasPrefix("000102") && text.hasSuffix("fdfeff") && text.utf8.count == 512)
        #expect(bytes(hexadecimal: text.utf8) == all)
        #expect(bytes(hexadecimal: text.uppercased().utf8) == all)
    }

    @Test func haveASeparatorOrAWidth() {
        #expect(hexadecimal([0, 0x5e, 0xff], separator: ":") == "00:5e:ff")
        #expect(hexadecimalDigits(of: 0xab) == Array("000000ab".utf8))
        #expect(hexadecimalDigits(of: 0xdead_beef, isUpper: true) == Array("DEADBEEF".utf8))
    }

    @Test(arguments: ["0", "0g", "-1", "+1", "0x", " 1"])
    func refuseWhatIsNone(text: String) {
        #expect(bytes(hexadecimal: text.utf8) == nil)
    }
}

@Suite struct Base64Texts {
    // RFC 4648, section 10.
    @Test(
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ])
    func goThereAndBack(text: String, encoded: String) throws {
        #expect(Base64.standard.encode(Array(text.utf8)) == Array(encoded.utf8))
        #expect(try Base64.standard.decode(Array(encoded.utf8)[...]) == Array(text.utf8))
        let plain = encoded.filter { $0 != "=" }
        #expect(Base64.url.encode(Array(text.utf8)) == Array(plain.utf8))
        #expect(try Base64.url.decode(Array(plain.utf8)[...]) == Array(text.utf8))
    }

    @Test func differInTwoDigits() throws {
        let bytes: [UInt8] = [0xfb, 0xef, 0xff]
        #expect(Base64.standard.encode(bytes) == Array("++//".utf8))
        #expect(Base64.url.encode(bytes) == Array("--__".utf8))
        #expect(throws: Base64.Fault.digit(0)) { try Base64.url.decode(Array("++//".utf8)[...]) }
        #expect(throws: Base64.Fault.length) { try Base64.standard.decode(Array("Zg=".utf8)[...]) }
        #expect(throws: Base64.Fault.length) { try Base64.url.decode(Array("Zgggg".utf8)[...]) }
    }
}

@Suite struct PercentTexts {
    @Test func goThereAndBack() {
        let text = "a/b c?d=ü~%"
        #expect(percentEncoded(text) == "a%2Fb%20c%3Fd%3D%C3%BC~%25")
        #expect(percentEncoded(text, keeping: "/") == "a/b%20c%3Fd%3D%C3%BC~%25")
        #expect(percentDecoded(percentEncoded(text)) == Array(text.utf8))
    }

    @Test func keepWhatIsNoEscape() {
        #expect(percentDecoded("%-1%+1%4%zz%41") == Array("%-1%+1%4%zzA".utf8))
    }
}

@Suite struct PEMTexts {
    @Test func loseNoLine() {
        let text = """
            before
            -----BEGIN A-----\t
            Proc-Type: 4
            Zm9v\r
            -----END A-----
            between

            -----BEGIN B-----
            Zg==
            -----BEGIN C-----
            Zg==
            -----END D-----
            -----END C-----
            after

            """
        let parts = PEMPart.all(in: Array(text.utf8))
        #expect(
            parts == [
                PEMPart(lines: ["before"], firstLine: 1),
                PEMPart(begin: "A", lines: ["Proc-Type: 4", "Zm9v"], end: "A", firstLine: 2),
                PEMPart(lines: ["between", ""], firstLine: 6),
                PEMPart(begin: "B", lines: ["Zg=="], firstLine: 8),
                PEMPart(begin: "C", lines: ["Zg=="], end: "D", firstLine: 10),
                PEMPart(end: "C", firstLine: 13),
                PEMPart(lines: ["after"], firstLine: 14),
            ])
        #expect(parts.map(\.lastLine) == [1, 5, 7, 9, 12, 13, 14])
        #expect(parts.map(\.content) == [nil, Array("foo".utf8), nil, nil, nil, nil, nil])
    }

    @Test func ofNothingHasNoParts() {
        #expect(PEMPart.all(in: []).isEmpty)
        #expect(PEMPart.all(in: Array("\n\n".utf8)) == [PEMPart(lines: ["", ""], firstLine: 1)])
    }
}

@Suite struct FieldsOfBytes {
    @Test func areNoneWhereTheyDoNotLieInMemory() {
        [UInt8]([1, 2, 3, 4, 5]).withUnsafeBytes { bytes in
            #expect(bytes.littleEndian(UInt32.self, at: 1) == 0x0504_0302)
            #expect(bytes.littleEndian(UInt32.self, at: 2) == nil)
            #expect(bytes.littleEndian(UInt16.self, at: -1) == nil)
        }
    }

    @Test func areZeroBeyondTheEnd() {
        let block = ByteFields([1, 2, 3])
        #expect(block.little16(0) == 0x0201 && block.big32(0) == 0x0102_0300)
        #expect(block.little32(2) == 3 && block.little64(3) == 0 && block[-1] == 0)
    }
}
