import IgnitionConfig
import Testing

@testable import DiskPlanning

@Suite("what became of things") struct DeedsTests {
    @Test("of disks, as the plan sums them up", arguments: PlanFixture.all)
    func ofDisks(_ fixture: PlanFixture) throws {
        let disks = try DescribedDisks(fixture.bytes("disks.json"))
        let layout = DiskLayout(try fixture.storage(), on: disks.inventory)
        guard let plan = try? layout.plan(disks.contents) else { return }
        let deeds = plan.deeds
        #expect(
            Set(deeds.kept + deeds.created + deeds.changed).count == deeds.kept.count + deeds.created.count
                + deeds.changed.count, "one thing stands there twice")
        if plan.isEmpty { #expect(deeds.created.isEmpty && deeds.changed.isEmpty && deeds.destroyed.isEmpty) }
    }
}
