// The names that udev gives to interfaces.

import BootArguments
import DeviceNames
import Foundation
import Testing

@testable import NetworkPlanning

/// One interface as a real machine showed it, made by Fixtures/hardware/capture-interfaces.py.
private struct CapturedInterface: Decodable {
    var name: String
    var files: [String: String]
    var links: [String: String]
    var udev: [String: String]

    var sysfs: Sysfs {
        Sysfs(
            read: { [files] path in files[path].map { $0.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) } } },
            names: { [files, links] folder in
                let below = (Array(files.keys) + links.keys).filter { $0.hasPrefix(folder + "/") }
                return Set(
                    below.compactMap { $0.dropFirst(folder.count + 1).split(separator: "/").first.map(String.init) }
                )
                .sorted()
            },
            linkTarget: { [links] in links[$0] })
    }
}

@Test("names an interface as udev does", arguments: try fixtureFiles("hardware/interfaces"))
func namesAnInterfaceAsUdevDoes(file: URL) throws {
    let captured = try JSONDecoder().decode(CapturedInterface.self, from: Data(contentsOf: file))
    let interface = try #require(NetworkInterface.all(in: captured.sysfs).first)
    #expect(interface.name == captured.name)
    #expect(interface.isWired == (captured.name != "lo"))
    let expected = PredictableNames(
        onboard: captured.udev["onboard"], slot: captured.udev["slot"], path: captured.udev["path"],
        mac: captured.udev["mac"])
    #expect(interface.predictable == expected)
}

@Test("names what no machine at hand has")
func namesRareHardware() {
    func names(_ place: NetworkDevicePlace) -> PredictableNames { PredictableNames(place) }
    let device = NetworkDevicePlace.Parent(name: "0001:0a:1f.3", subsystem: "pci")
    #expect(names(NetworkDevicePlace(port: 2, parents: [device])).path == "enP1p10s31f3d2")
    #expect(names(NetworkDevicePlace(port: 2, portName: "p1", parents: [device])).path == "enP1p10s31f3np1")
    #expect(names(NetworkDevicePlace(hardwareType: 32, parents: [device])).path == "ibP1p10s31f3")
    #expect(names(NetworkDevicePlace(deviceType: "wlan", parents: [device])).path == "wlP1p10s31f3")
    #expect(names(NetworkDevicePlace(hardwareType: 772, parents: [device])).path == nil)
    #expect(names(NetworkDevicePlace(portName: "a-long-name", parents: [device])).path == nil)

    var rubbish = device
    rubbish.attributes = ["index": "16777215"]
    #expect(names(NetworkDevicePlace(parents: [rubbish])).onboard == nil)
    var ari = device
    ari.attributes = ["ari_enabled": "1"]
    #expect(names(NetworkDevicePlace(parents: [ari])).path == "enP1p10s31f251")

    // A bus of another kind between the card and the interface.
    let other = NetworkDevicePlace.Parent(name: "ssb0:0", subsystem: "ssb")
    #expect(names(NetworkDevicePlace(parents: [other, device])) == PredictableNames())

    let bridge = NetworkDevicePlace.Parent(
        name: "0000:00:1c.0", subsystem: "pci", attributes: ["class": "0x060400"])
    var card = NetworkDevicePlace.Parent(name: "0000:02:00.0", subsystem: "pci")
    let slots = [5: "0000:00:1c"]
    #expect(names(NetworkDevicePlace(parents: [card, bridge], slots: slots)).slot == nil)
    card.isMultifunction = true
    #expect(names(NetworkDevicePlace(parents: [card, bridge], slots: slots)).slot == "ens5f0")

    let random = MACAddress(bytes: [2, 0, 0, 0, 0, 1])
    #expect(names(NetworkDevicePlace(mac: random, parents: [])).mac == "enx020000000001")
    #expect(names(NetworkDevicePlace(mac: random, macIsPermanent: false, parents: [])).mac == nil)
}
