import DiskPlanning
import IgnitionConfig
import LinuxSystem
import Reporting
import SeededNumbers
import Testing

@testable import BlockDevices

/// Whatever two things stand on one disk and whatever is wanted of it: no byte that has an owner changes without a
/// line that says so and names the owner.
@Suite(.serialized, .enabled(if: isInstalled("sfdisk", "mkswap"))) struct PairsOfOwners {
    private static let size = 80 << 20
    /// Without optimization a pair takes a tenth of a second; Tests/Harness/two_owners.py tries thousands.
    private static let count = 200
    private static let partition = 8 << 20..<48 << 20

    /// Somebody's bytes, and the name a plan must give for them.
    private struct Property {
        var name: String
        var pieces: [(Int, [UInt8])]
    }

    private struct Case {
        var image: Image
        var owners: [Property] = []
        var words: [String] = []
    }

    private func make(_ chance: inout SeededNumbers, _ table: Image) throws -> Case {
        var made = Case(image: try Image(Self.size))
        let image = made.image
        if Bool.random(using: &chance), let remnant = Remnant.allCases.randomElement(using: &chance) {
            for range in [0..<34 * 512, Self.size - 33 * 512..<Self.size] {
                try image.write(table.bytes(range), at: range.lowerBound)
            }
            try remnant.spoil(image)
            made.words.append("GPT \(remnant)")
        }
        if Bool.random(using: &chance), let owner = Owner.allCases.randomElement(using: &chance) {
            let inner = try Image(Self.partition.count)
            try inner.put(owner)
            let pieces = try owner.pieces(of: inner.size, over: { try inner.bytes($0) })
            let placed = pieces.map { ($0.0 + Self.partition.lowerBound, $0.1) }
            for (place, bytes) in placed { try image.write(bytes, at: place) }
            // Nobody can see it where no table says that a partition begins there.
            if made.words.isEmpty == false { made.owners.append(Property(name: owner.name, pieces: placed)) }
            made.words.append("\(owner) in a partition")
        }
        if Bool.random(using: &chance), let owner = Owner.allCases.randomElement(using: &chance) {
            let pieces = try owner.pieces(of: Self.size, over: { try image.bytes($0) })
            for (place, bytes) in pieces { try image.write(bytes, at: place) }
            made.owners.append(Property(name: owner.name, pieces: pieces))
            made.words.append("\(owner) on the disk")
        }
        return made
    }

    private func config(_ device: String, _ chance: inout SeededNumbers) -> String {
        let wipe = Bool.random(using: &chance)
        let partitions =
            [
                "", #"{"number": 1, "label": "var"}"#, #"{"label": "new"}"#,
                #"{"number": 1, "label": "new", "startMiB": 1}"#,
                #"{"number": 1, "label": "var", "sizeMiB": 20, "resize": true}"#,
                #"{"number": 1, "label": "other", "wipePartitionEntry": true}"#,
                #"{"number": 1, "shouldExist": false, "wipePartitionEntry": true}"#,
            ].randomElement(using: &chance) ?? ""
        let disk = "\"disks\": [{\"device\": \"\(device)\", \"wipeTable\": \(wipe), \"partitions\": [\(partitions)]}]"
        let filesystem =
            "\"filesystems\": [{\"device\": \"\(device)\", \"format\": \"swap\", \"wipeFilesystem\": \(Bool.random(using: &chance))}]"
        return "{" + ([disk, filesystem, disk].randomElement(using: &chance) ?? disk) + "}"
    }

    @Test("no byte that has an owner changes without a line that names the owner")
    func pairs() throws {
        let table = try Image(Self.size)
        try table.partition("1: start=16384, size=40MiB, name=var")
        var chance = SeededNumbers(seed: 1)
        var (applied, refused, destroyed) = (0, 0, 0)
        for number in 0..<Self.count {
            let made = try make(&chance, table)
            let text = config(made.image.path, &chance)
            let plan: StoragePlan
            do throws(BootFailure) { plan = try DiskStage.plan(try! storage(text), access: .settled) } catch {
                refused += 1
                continue
            }
            let told = plan.destroyed.map(\.line)
            do { try DiskStage.apply(plan, access: .settled) } catch {
                Issue.record("\(number): \(made.words), \(text): \(error)")
                continue
            }
            applied += 1
            destroyed += told.isEmpty ? 0 : 1
            for owner in made.owners where !told.contains(where: { $0.contains(owner.name) }) {
                for (place, bytes) in owner.pieces {
                    let now = try made.image.bytes(place..<place + bytes.count)
                    #expect(now == bytes, "\(number): \(made.words), \(text), at \(place): \(plan.lines)")
                }
            }
        }
        // A test that refuses everything, or that nothing is ever destroyed in, would show little.
        #expect(applied > 20 && refused > 20 && destroyed > 10, "\(applied) \(refused) \(destroyed)")
    }
}
