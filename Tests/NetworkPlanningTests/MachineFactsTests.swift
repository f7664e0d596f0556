import BootArguments
import Testing

@testable import NetworkPlanning

@Suite("what tells a machine from others")
struct MachineFactsTests {
    private let uuid = "4C4C4544-0042-3510-8052-B4C04F4D4B31"

    @Test func firmwareTellsUUIDAndSerialNumber() throws {
        let facts = MachineFacts(uuid: uuid + "\n", serial: "  5CG 12/3 ")
        #expect(try facts.value(.uuid) == uuid.lowercased())
        #expect(try facts.value(.serial) == "5CG 12/3")
        #expect(throws: MachineFacts.Missing.absent(.uuid)) { try MachineFacts().value(.uuid) }
        #expect(throws: MachineFacts.Missing.absent(.serial)) { try MachineFacts(serial: " \n").value(.serial) }
        let shared = "03000200-0400-0500-0006-000700080009"
        #expect(throws: MachineFacts.Missing.shared(.uuid, shared)) { try MachineFacts(uuid: shared).value(.uuid) }
    }

    @Test(
        "a serial number that nobody has filled in is none",
        arguments: [
            "To be filled by O.E.M.", "To Be Filled By O.E.M", "Default string", "System Serial Number",
            "Not Specified", "None", "0", "00000000", "XXXXXXXX", "0123456789", "N/A", "-",
        ])
    func placeholders(serial: String) {
        let facts = MachineFacts(serial: serial)
        #expect(throws: MachineFacts.Missing.shared(.serial, serial)) { try facts.value(.serial) }
    }

    @Test func theCardIsTheOneThatWasBootedFromWhereItIsThere() throws {
        let cards = try ["52:54:00:00:00:01", "52:54:00:00:00:02"].map { try #require(MACAddress($0)) }
        let other = MACAddress("52:54:00:00:00:03")
        var facts = MachineFacts(bootIF: cards[1], cards: cards, bootCard: cards[0])
        #expect(try facts.value(.mac) == "52:54:00:00:00:02")
        facts.bootIF = other
        #expect(try facts.value(.mac) == "52:54:00:00:00:01")
        facts.bootCard = nil
        #expect(throws: MachineFacts.Missing.absent(.mac)) { try facts.value(.mac) }
    }

    @Test(arguments: ["", "(none)", "localhost", "localhost.localdomain"])
    func aNameThatEveryMachineHasIsNone(name: String) {
        #expect(throws: MachineFacts.Missing.absent(.hostname)) { try MachineFacts(hostname: name).value(.hostname) }
        #expect((try? MachineFacts(hostname: "node7.example").value(.hostname)) == "node7.example")
    }

    @Test func theDefaultRouteTellsTheCard() {
        let routes = """
            Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
            ens3\t00000000\t0202000A\t0003\t0\t0\t200\t00000000\t0\t0\t0
            ens4\t00000000\t0202000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
            ens5\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
            """
        let zero = String(repeating: "0", count: 32)
        let routes6 = """
            \(zero) 00 \(zero) 00 fe800000000000000000000000000002 00000400 00000001 00000000 00000003     ens6
            \(zero) 00 \(zero) 00 \(zero) ffffffff 00000001 00000000 00200200       lo
            """
        #expect(interfaceOfDefaultRoute(routes, routes6) == "ens4")
        #expect(interfaceOfDefaultRoute("", routes6) == "ens6")
        #expect(interfaceOfDefaultRoute("", "") == nil)
    }
}
