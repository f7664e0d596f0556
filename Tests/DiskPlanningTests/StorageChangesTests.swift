import IgnitionConfig
import Testing

@testable import DiskPlanning

@Suite("what became of things") struct StorageChangesTests {
    @Test("of disks, as the plan sums them up", arguments: PlanFixture.all)
    func ofDisks(_ fixture: PlanFixture) throws {
        let disks = try DescribedDisks(fixture.bytes("disks.json"))
        let layout = DiskLayout(try fixture.storage(), on: disks.inventory)
        guard let plan = try? layout.plan(disks.contents) else { return }
        let changes = plan.changes
        #expect(
            Set(changes.kept + changes.created + changes.changed).count == changes.kept.count + changes.created.count
                + changes.changed.count, "one thing stands there twice")
        if plan.isEmpty { #expect(changes.created.isEmpty && changes.changed.isEmpty && changes.destroyed.isEmpty) }
    }
}
