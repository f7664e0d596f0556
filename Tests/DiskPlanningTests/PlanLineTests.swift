import IgnitionConfig
import Reporting
import Testing

@testable import DiskPlanning

@Suite struct PlanLines {
    @Test("a line is coloured by what it tells, not by the words in it")
    func meanings() throws {
        let text = #"""
            {"ignition": {"version": "3.4.0"}, "storage": {
             "disks": [{"device": "/dev/vda", "wipeTable": true, "partitions": [{"label": "keep"}]}]}}
            """#
        let storage = try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked().storage
        let disk = FoundDisk(path: "/dev/vda", node: "/dev/vda", size: 1 << 30, table: .none)
        let plan = try DiskLayout(storage, on: DiskInventory(disks: [disk])).planBlank()
        #expect(plan.planLines.map(\.meaning) == [.heading, .changes, .changes, .heading])
        #expect(plan.planLines.last?.coloured == "\u{1B}[1m\(plan.summary)\u{1B}[0m")
    }
}
