import Foundation
import Testing

@testable import DeviceNames

/// One device as a real machine showed it, made by Fixtures/hardware/capture-links.py.
private struct CapturedDevice: Decodable, Sendable {
    var path: String
    var files: [String: String]
    var binary: [String: String]
    var links: [String: String]
    var usage: String?
    var uuid: String?
    var label: String?
    var partitionScheme: String?
    var partitionUUID: String?
    var partitionName: String?
    var identity: String?
    var page80: String?
    var page83: String?
    var memberUUID: String?
    var memberLabel: String?
    var udev: [String]

    var sysfs: Sysfs {
        let read: @Sendable (String) -> [UInt8]? = { [files, binary] path in
            files[path].map { $0.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) } }
                ?? binary[path].map(unhex)
        }
        return Sysfs(
            read: read,
            names: { [files] folder in
                Set(
                    files.keys.filter { $0.hasPrefix(folder + "/") }
                        .compactMap { $0.dropFirst(folder.count + 1).split(separator: "/").first.map(String.init) }
                ).sorted()
            },
            linkTarget: { [links] in links[$0] })
    }

    var values: ProbedValues {
        var values = ProbedValues()
        values.usage = usage
        values.uuid = uuid.map(unhex)
        values.label = label.map(unhex)
        values.partitionScheme = partitionScheme
        values.partitionUUID = partitionUUID
        values.partitionName = partitionName.map(unhex)
        return values
    }

    var member: ProbedValues? {
        guard let memberUUID else { return nil }
        var values = ProbedValues()
        values.uuid = unhex(memberUUID)
        values.label = memberLabel.map(unhex)
        return values
    }
}

private func unhex(_ text: String) -> [UInt8] {
    stride(from: 0, to: text.utf8.count, by: 2).map { offset in
        let start = text.index(text.startIndex, offsetBy: offset)
        return UInt8(text[start..<text.index(start, offsetBy: 2)], radix: 16) ?? 0
    }
}

private let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../Fixtures/hardware/links").standardized

private let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()

@Suite struct DeviceLinksTests {
    @Test func everyBusIsCaptured() {
        for prefix in ["virtio-", "ata-", "scsi-", "wwn-", "nvme-", "usb-", "mmc-", "dm-", "md-", "looped"] {
            #expect(names.contains { $0.hasPrefix(prefix) }, "no device named \(prefix)")
        }
    }

    @Test("links are udev's", arguments: names)
    func linksAreThoseOfUdev(_ name: String) throws {
        let captured = try JSONDecoder().decode(
            CapturedDevice.self, from: Data(contentsOf: folder.appending(path: name)))
        let device = try #require(SysfsDevice(captured.path, in: captured.sysfs))
        let disk = device.type == "partition" ? try #require(device.parent) : device
        var answers = DeviceAnswers()
        for question in disk.openQuestions {
            switch question {
            case .ataIdentity:
                answers.identity = captured.identity.flatMap { ATAIdentity(words: unhex($0), textInOrder: true) }
            case .vitalProductData:
                answers.page80 = captured.page80.map(unhex)
                answers.page83 = captured.page83.map(unhex)
            }
        }
        let links = DeviceLinks(
            of: device, disk: DiskNames(of: disk, answers: answers), values: captured.values, member: captured.member)
        // A serial number may try to climb out of the folder: udev makes no such link either.
        let expected = captured.udev.filter {
            // mdadm itself makes /dev/md/NAME.
            !$0.hasPrefix("md/") && !$0.split(separator: "/").contains("..")
        }
        #expect(links.names == expected)
    }

    @Test func bothFormsOfAnATAIdentityAgree() throws {
        let name = try #require(names.first { $0.hasPrefix("ata-QEMU_HARDDISK_sata-gpt") })
        let captured = try JSONDecoder().decode(
            CapturedDevice.self, from: Data(contentsOf: folder.appending(path: name)))
        let page = try #require(captured.binary.first { $0.key.hasSuffix("vpd_pg89") }?.value)
        let fromPage = try #require(ATAIdentity(page89: unhex(page)))
        let answer = try #require(captured.identity)
        let fromCall = try #require(ATAIdentity(words: unhex(answer), textInOrder: true))
        #expect(fromPage.identifier == "QEMU_HARDDISK_sata-gpt")
        #expect(fromCall.identifier == fromPage.identifier)
    }
}
