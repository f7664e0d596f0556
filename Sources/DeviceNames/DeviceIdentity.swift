// What a disk states about itself: ATA, SCSI and USB identification, as udev's helpers read it.
// Sources: ATA8-ACS (IDENTIFY DEVICE), SPC-4 (INQUIRY, VPD pages 80h, 83h and 89h),
// and the behaviour of systemd 252's ata_id, scsi_id and usb_id.

import Encoding

/// The answer to ATA's IDENTIFY DEVICE or IDENTIFY PACKET DEVICE.
public struct ATAIdentity: Equatable, Sendable {
    /// The model in reading order, padded with blanks.
    public var model: [UInt8]
    /// The serial number in reading order, padded with blanks.
    public var serial: [UInt8]
    /// The world wide name; `nil` if the drive has none.
    public var worldWideName: UInt64?

    /// Reads an answer; `nil` if it is too short or has only zeros.
    ///
    /// - Parameters:
    ///   - words: The 512 bytes of the answer, words little-endian.
    ///   - textInOrder: Whether text is in reading order (`HDIO_GET_IDENTITY`). The drive itself sends it with the two
    ///     bytes of each word swapped.
    public init?(words: [UInt8], textInOrder: Bool) {
        guard words.count >= 512, words.contains(where: { $0 != 0 }) else { return nil }
        func text(_ first: Int, _ count: Int) -> [UInt8] {
            (0..<count).map { words[2 * first + (textInOrder ? $0 : $0 ^ 1)] }
        }
        func word(_ index: Int) -> UInt64 { UInt64(words[2 * index]) | UInt64(words[2 * index + 1]) << 8 }
        serial = text(10, 20)
        model = text(27, 40)
        // Only names that the IEEE registered (NAA 5) are used.
        if word(108) & 0xf000 == 0x5000 {
            worldWideName = (108...111).reduce(0) { $0 << 16 | word($1) }
        }
    }

    /// Reads the ATA information page (89h) of a SCSI device, header included.
    public init?(page89: [UInt8]) {
        guard page89.count >= 572, page89[1] == 0x89 else { return nil }
        self.init(words: Array(page89[60..<572]), textInOrder: false)
    }

    /// The name part `MODEL_SERIAL`, or `MODEL` if the drive has no serial number.
    var identifier: String {
        let serial = DeviceNames.identifier(self.serial)
        let model = DeviceNames.identifier(self.model)
        return serial.isEmpty ? model : "\(model)_\(serial)"
    }
}

/// The identity of a SCSI device by its INQUIRY data, with the rules of `scsi_id --whitelisted`.
struct SCSIIdentity: Equatable {
    /// One digit for the kind of identifier, then the identifier; empty if the device has none.
    var serial: String
    /// Hexadecimal digits, including a vendor's extension.
    var worldWideName: String?

    init(inquiry: [UInt8]?, page80: [UInt8]?, page83: [UInt8]?) {
        let maker = inquiry.flatMap { $0.count >= 32 ? Array($0[8..<32]) : nil }
        if let page83, let found = SCSIIdentity.fromPage83(page83, maker: maker) {
            serial = DeviceNames.identifier(found.identifier)
            worldWideName = found.name
        } else if let page80, page80.count >= 4, page80[1] == 0x80, let maker {
            // "S" keeps it apart from the vendor's own identifiers of page 83h, which begin with "0".
            serial = DeviceNames.identifier([UInt8(ascii: "S")] + maker + page80[4...].prefix(Int(page80[3])))
        } else {
            serial = ""
        }
    }

    private struct Designator {
        var kind: UInt8
        var isText: Bool
        var bytes: ArraySlice<UInt8>
    }

    private static func fromPage83(
        _ page: [UInt8], maker: [UInt8]?
    ) -> (identifier: [UInt8], name: String?)? {
        guard page.count >= 8, page[1] == 0x83 else { return nil }
        let kindNAA: UInt8 = 3
        // If the reserved byte of the first designator is set, the page has the form of SCSI-2, which is one bare name.
        if page[6] != 0 {
            return (Array("3\(hexadecimal(page[4...].prefix(Int(page[3]))))".utf8), nil)
        }
        let all = designators(of: page)
        guard let best = preferences.lazy.compactMap({ wanted in all.first(where: wanted) }).first else { return nil }
        var value = best.isText ? Array(best.bytes) : Array(hexadecimal(best.bytes).utf8)
        if best.kind == kindNAA {
            let name = String(decoding: value.prefix(32), as: UTF8.self)
            return (Array("3".utf8) + value, name)
        }
        if best.kind == 0 {
            // The vendor's own identifier is unique only together with vendor and model.
            guard let maker else { return nil }
            value = maker + value
        }
        return (Array(hexadecimal([best.kind]).utf8.dropFirst()) + value, nil)
    }

    /// The designators of the device itself.
    private static func designators(of page: [UInt8]) -> [Designator] {
        let end = min(page.count, 4 + Int(page[2]) << 8 + Int(page[3]))
        var all: [Designator] = []
        var at = 4
        while at + 4 <= end {
            let next = at + 4 + Int(page[at + 3])
            let codeSet = page[at] & 0x0f
            if page[at + 1] & 0x30 == 0, codeSet == 1 || codeSet == 2 {
                all.append(
                    Designator(kind: page[at + 1] & 0x0f, isText: codeSet == 2, bytes: page[(at + 4)..<min(next, end)]))
            }
            at = next
        }
        return all
    }

    /// The conditions on designators, the best first: names before identifiers, registered ones before others.
    private static let preferences: [@Sendable (Designator) -> Bool] = {
        func naa(_ type: UInt8, _ text: Bool) -> @Sendable (Designator) -> Bool {
            { $0.kind == 3 && $0.isText == text && ($0.bytes.first ?? 0) >> 4 == type }
        }
        func any(_ kind: UInt8) -> [@Sendable (Designator) -> Bool] {
            [{ $0.kind == kind && !$0.isText }, { $0.kind == kind && $0.isText }]
        }
        // NAA 6 (registered extended), NAA 5 (registered), other NAA; EUI-64; T10 vendor; the vendor's own.
        return [naa(6, false), naa(6, true), naa(5, false), naa(5, true)] + any(3) + any(2) + any(1) + any(0)
    }()
}

/// The answers of a device to questions that `/sys` leaves open.
public struct DeviceAnswers: Equatable, Sendable {
    /// The answer to ATA's IDENTIFY.
    public var identity: ATAIdentity?
    /// The vital product data of page 80h, header included.
    public var page80: [UInt8]?
    /// The vital product data of page 83h, header included.
    public var page83: [UInt8]?

    /// Creates answers; `nil` means that the question was not asked or not answered.
    public init(identity: ATAIdentity? = nil, page80: [UInt8]? = nil, page83: [UInt8]? = nil) {
        self.identity = identity
        self.page80 = page80
        self.page83 = page83
    }
}

extension SysfsDevice {
    /// What a device can be asked.
    public enum Question: Equatable, Sendable { case ataIdentity, vitalProductData }

    /// The questions that this disk's names depend on and `/sys` leaves open; mostly for drives for discs.
    public var openQuestions: [Question] {
        guard name.hasPrefix("sd") || name.hasPrefix("sr") else { return [] }
        let chain = self.chain
        guard let scsi = chain.first(where: { $0.subsystem == "scsi" && $0.type == "scsi_device" }) else { return [] }
        var questions: [Question] = []
        if speaksATA(scsi), scsi.bytes("vpd_pg89") == nil { questions.append(.ataIdentity) }
        // On USB, the identification of the bridge is used.
        if scsi.bytes("vpd_pg80") == nil, scsi.bytes("vpd_pg83") == nil,
            !chain.contains(where: { $0.subsystem == "usb" })
        {
            questions.append(.vitalProductData)
        }
        return questions
    }
}

/// Whether a SCSI device is an ATA device behind a translation, which is then asked with ATA commands.
func speaksATA(_ scsi: SysfsDevice) -> Bool {
    if scsi.attribute("vendor").map({ $0.split(separator: " ") }) == ["ATA"] { return true }
    // Drives for discs may be, from SPC-3 on.
    return scsi.attribute("type") == "5" && "6"..."9" ~= (scsi.attribute("scsi_level")?.prefix(1) ?? "")
}

extension SysfsDevice {
    /// The identifier of a USB storage device: `VENDOR_MODEL[_SERIAL][-TARGET:LUN]`; `nil` if it is not on USB.
    func usbIdentifier(chain: [SysfsDevice]) -> String? {
        guard let interface = chain.firstIndex(where: { $0.subsystem == "usb" && $0.type == "usb_interface" }),
            let device = chain[interface...].first(where: { $0.subsystem == "usb" && $0.type == "usb_device" }),
            let vendorNumber = device.bytes("idVendor"), let productNumber = device.bytes("idProduct")
        else { return nil }
        var vendor = identifier(device.bytes("manufacturer") ?? vendorNumber)
        var model = identifier(device.bytes("product") ?? productNumber)
        var instance = ""
        // Mass storage with SCSI or ATAPI commands: the disk behind the bridge has a name of its own.
        let isStorage = chain[interface].attribute("bInterfaceClass") == "08"
        let speaks = chain[interface].attribute("bInterfaceSubClass") ?? ""
        if isStorage, speaks == "06" || speaks == "02",
            let disk = chain.first(where: { $0.subsystem == "scsi" && $0.type == "scsi_device" }),
            let diskVendor = disk.bytes("vendor"), let diskModel = disk.bytes("model")
        {
            let address = disk.name.split(separator: ":")
            if address.count == 4 {
                instance = "-\(address[2]):\(address[3])"
                let named = (identifier(diskVendor), identifier(diskModel))
                if !named.0.isEmpty { vendor = named.0 }
                if !named.1.isEmpty { model = named.1 }
            }
        }
        var serial = ""
        if let text = device.attribute("serial"), text.utf8.allSatisfy({ (0x20...0x7f).contains($0) && $0 != 0x2c }) {
            serial = identifier(text.utf8)
        }
        return "\(vendor)_\(model)\(serial.isEmpty ? "" : "_\(serial)")\(instance)"
    }
}
