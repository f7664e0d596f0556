import Testing

@testable import DeviceNames

@Suite struct LinkNamesTests {
    /// What udev makes of a label: `ID_FS_LABEL_ENC`.
    @Test(
        "labels are encoded",
        arguments: [
            ("var", "var"), ("two words", "two\\x20words"), ("a/b", "a\\x2fb"), ("ümlaut", "ümlaut"),
            ("back\\slash", "back\\x5cslash"), ("#+-.:=@_", "#+-.:=@_"), ("tab\there", "tab\\x09here"), ("…", "…"),
            ("(1)", "\\x281\\x29"),
        ])
    func encoding(_ label: String, _ link: String) {
        #expect(encodedForLink(Array(label.utf8)) == link)
    }

    @Test func bytesThatAreNoTextAreEncodedOneByOne() {
        #expect(encodedForLink([0x61, 0xff, 0xfe]) == "a\\xff\\xfe")
        // Cut off, too long a form, a surrogate.
        #expect(encodedForLink([0xc3]) == "\\xc3")
        #expect(encodedForLink([0xc0, 0xaf]) == "\\xc0\\xaf")
        #expect(encodedForLink([0xed, 0xa0, 0x80]) == "\\xed\\xa0\\x80")
    }

    @Test(
        "identifiers are joined and cleaned",
        arguments: [
            ("  QEMU HARDDISK   ", "QEMU_HARDDISK"), ("A  \t B", "A_B"), ("x/y$z", "x_y_z"), ("ok\0ignored", "ok"),
            ("\\x41", "\\x41"), ("    ", ""),
        ])
    func identifiers(_ text: String, _ expected: String) {
        #expect(identifier(Array(text.utf8)) == expected)
    }

    @Test func aBlankAttributeIsNone() {
        #expect(ruleValue(Array("   \n".utf8)) == nil)
        #expect(ruleValue(nil) == nil)
        #expect(ruleValue(Array(" serial \n".utf8)).map { String(decoding: $0, as: UTF8.self) } == " serial")
    }
}

@Suite struct SCSIIdentityTests {
    private let inquiry = [UInt8](repeating: 0, count: 8) + Array("ACME    Disk 2000       1.0 ".utf8)

    private func page83(_ designators: [UInt8]...) -> [UInt8] {
        let all = designators.flatMap(\.self)
        return [0, 0x83, UInt8(all.count >> 8), UInt8(all.count & 255)] + all
    }

    private let naa5: [UInt8] = [1, 3, 0, 8, 0x50, 0, 0xc5, 0, 0xa1, 0xb2, 0xc3, 0xd4]
    private let naa6: [UInt8] =
        [1, 3, 0, 16, 0x60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    private let t10: [UInt8] = [2, 1, 0, 12] + Array("ACME    ab c".utf8)
    private let vendors: [UInt8] = [2, 0, 0, 2] + Array("42".utf8)
    /// A target port, not the device.
    private let port: [UInt8] = [1, 0x13, 0, 8, 0x50, 1, 1, 1, 1, 1, 1, 1]

    @Test func theExtendedNameIsBestAndCarriesItsExtension() {
        let found = SCSIIdentity(inquiry: inquiry, page80: nil, page83: page83(port, t10, naa5, naa6))
        #expect(found.serial == "360010203040506070809" + "0a0b0c0d0e0f")
        #expect(found.worldWideName == "60010203040506070809" + "0a0b0c0d0e0f")
    }

    @Test func aNameIsBetterThanAnIdentifier() {
        let found = SCSIIdentity(inquiry: inquiry, page80: nil, page83: page83(vendors, t10, naa5))
        #expect(found.serial == "35000c500a1b2c3d4")
        #expect(found.worldWideName == "5000c500a1b2c3d4")
    }

    @Test func identifiersAreNoNames() {
        #expect(SCSIIdentity(inquiry: inquiry, page80: nil, page83: page83(vendors, t10)).serial == "1ACME_ab_c")
        let own = SCSIIdentity(inquiry: inquiry, page80: nil, page83: page83(vendors))
        #expect(own.serial == "0ACME_Disk_2000_42")
        #expect(own.worldWideName == nil)
    }

    @Test func theSerialNumberIsTheLastResort() {
        let page80 = [0, 0x80, 0, 5] + Array("SN 17trailing".utf8)
        let found = SCSIIdentity(inquiry: inquiry, page80: page80, page83: page83(port))
        #expect(found.serial == "SACME_Disk_2000_SN_17")
    }

    @Test func damagedPagesGiveNothing() {
        #expect(SCSIIdentity(inquiry: inquiry, page80: [0, 0x80], page83: [0, 0x83]).serial == "")
        #expect(SCSIIdentity(inquiry: nil, page80: nil, page83: nil).serial == "")
        // A length that points past the end.
        #expect(
            SCSIIdentity(inquiry: inquiry, page80: nil, page83: [0, 0x83, 0, 200, 1, 3, 0, 200, 0x50, 1]).serial
                == "35001")
    }
}

@Suite struct LinkClaimsTests {
    @Test func theFirstKeepsANameUntilItGoes() {
        var claims = LinkClaims()
        #expect(claims.set(["disk/by-label/data"], for: "a") == [.point("disk/by-label/data", at: "a")])
        #expect(claims.set(["disk/by-label/data"], for: "b").isEmpty)
        #expect(claims.denied(to: "b") == ["disk/by-label/data"])
        #expect(claims.set([], for: "a") == [.point("disk/by-label/data", at: "b")])
        #expect(claims.denied(to: "b").isEmpty)
        #expect(claims.set([], for: "b") == [.remove("disk/by-label/data")])
    }

    @Test func aDiskAndItsOwnPartitionDoNotContest() {
        var claims = LinkClaims()
        _ = claims.set(["disk/by-label/live"], for: "/devices/usb/block/sda")
        _ = claims.set(["disk/by-label/live"], for: "/devices/usb/block/sda/sda1")
        #expect(claims.denied(to: "/devices/usb/block/sda/sda1").isEmpty)
        _ = claims.set(["disk/by-label/live"], for: "/devices/usb/block/sdaa")
        #expect(claims.denied(to: "/devices/usb/block/sdaa") == ["disk/by-label/live"])
    }

    @Test func askingAgainChangesNothing() {
        var claims = LinkClaims()
        _ = claims.set(["x", "y"], for: "a")
        #expect(claims.set(["x", "y"], for: "a").isEmpty)
        #expect(claims.set(["y", "z"], for: "a") == [.remove("x"), .point("z", at: "a")])
    }

    @Test func aHigherPriorityTakesTheName() {
        var claims = LinkClaims()
        _ = claims.set(["u"], for: "member")
        #expect(claims.set(["u"], priority: 100, for: "array") == [.point("u", at: "array")])
        #expect(claims.owner(of: "u") == "array")
        #expect(claims.set([], for: "array") == [.point("u", at: "member")])
    }

    @Test func whoeverAskedFirstComesBackAtTheEnd() {
        var claims = LinkClaims()
        _ = claims.set(["l"], for: "a")
        _ = claims.set(["l"], for: "b")
        // The label was changed, and changed back.
        #expect(claims.set(["other"], for: "a") == [.point("l", at: "b"), .point("other", at: "a")])
        #expect(claims.set(["l"], for: "a") == [.remove("other")])
        #expect(claims.owner(of: "l") == "b")
    }
}
