// What was kept, created, changed and destroyed. The report and a plan's summary are made of it.

import IgnitionConfig

/// What provisioning did, or will do, to each thing; one phrase per thing.
public struct ChangeSummary: Equatable, Sendable {
    /// Things that were as wanted, and stay as they are.
    public var kept: [String]
    /// Things that were not there before.
    public var created: [String]
    /// Things that were there and are different now.
    public var changed: [String]
    /// Things that are out of reach now, because the config asked for it.
    public var destroyed: [String]

    /// Makes a summary of lists of phrases.
    public init(
        kept: [String] = [], created: [String] = [], changed: [String] = [], destroyed: [String] = []
    ) {
        self.kept = kept
        self.created = created
        self.changed = changed
        self.destroyed = destroyed
    }

    /// Appends the lists of another summary.
    public static func += (one: inout ChangeSummary, other: ChangeSummary) {
        one.kept += other.kept
        one.created += other.created
        one.changed += other.changed
        one.destroyed += other.destroyed
    }

    /// `2 kept, 6 created, nothing destroyed`.
    public var summary: String {
        let counts = [(kept.count, "kept"), (created.count, "created"), (changed.count, "changed")]
        let parts = counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        return (parts + [destroyed.isEmpty ? "nothing destroyed" : "\(destroyed.count) DESTROYED"])
            .joined(separator: ", ")
    }
}

extension StoragePlan {
    /// What the plan keeps, creates, changes and destroys.
    ///
    /// A table, a partition, an array, a LUKS volume and a filesystem count as one thing each; partitions that the
    /// config does not name do not count.
    public var deeds: ChangeSummary {
        var deeds = ChangeSummary(destroyed: destroyed.map(\.line))
        for disk in disks {
            if disk.createsTable { deeds.created.append("GPT on \(disk.disk.node)") }
            if disk.action == .repair { deeds.changed.append("GPT on \(disk.disk.node)") }
            for partition in disk.partitions where partition.entry != nil {
                let label = partition.label.isEmpty ? "" : " \"\(partition.label)\""
                let name = disk.disk.partitionNode(partition.number) + label
                switch partition.change {
                case .keep: deeds.kept.append(name)
                case .create: deeds.created.append(name)
                case .recreate, .resize: deeds.changed.append(name)
                }
            }
        }
        func add(_ name: String, isKept: Bool) {
            if isKept { deeds.kept.append(name) } else { deeds.created.append(name) }
        }
        for array in arrays { add(array.title, isKept: array.action == .keep) }
        for volume in volumes { add("\(volume.name) on \(volume.node)", isKept: volume.action == .keep) }
        for filesystem in filesystems where filesystem.format != .none {
            add("\(filesystem.name) on \(filesystem.node)", isKept: filesystem.action == .keep)
        }
        return deeds
    }
}

extension FilesPlan {
    /// What carrying out the plan does to the target.
    ///
    /// - Parameters:
    ///   - config: The config that the plan was made from; its accounts are counted.
    ///   - inventory: What was there before.
    ///   - alsoKept: Things that turned out to be as wanted only when their content was fetched.
    ///   - keysOf: Users whose SSH keys were not as wanted.
    /// - Returns: Each thing once.
    public func deeds(
        _ config: IgnitionConfig, on inventory: TargetInventory, alsoKept: [Kept] = [], keysOf: [String] = []
    ) -> ChangeSummary {
        var deeds = ChangeSummary(kept: (kept + alsoKept).map(\.name))
        let left = Set(deeds.kept)
        func add(_ name: String, wasThere: Bool) {
            if left.contains(name) { return }
            if wasThere { deeds.changed.append(name) } else { deeds.created.append(name) }
        }
        for group in config.passwd.groups {
            let name = "group \(group.name)"
            let isThere = inventory.accounts.group(named: group.name) != nil
            if group.shouldExist != false {
                add(name, wasThere: isThere)
            } else if isThere {
                deeds.changed.append(name)
            }
        }
        for user in config.passwd.users {
            let name = "user \(user.name)"
            let isThere = inventory.accounts.user(named: user.name) != nil
            if user.shouldExist != false { add(name, wasThere: isThere) } else if isThere { deeds.changed.append(name) }
            if left.contains(name), keysOf.contains(user.name) { deeds.changed.append("SSH keys of \(user.name)") }
        }
        for step in steps {
            switch step.action {
            case .makeFolder(let path, _, _, let replacing), .writeFile(let path, _, _, _, let replacing),
                .makeLink(let path, _, _, let replacing), .makeHardLink(let path, _, let replacing):
                add(path, wasThere: replacing)
            case .append(let path, _, _, _), .removeLink(let path): add(path, wasThere: true)
            case .disable(let unit): add(unit, wasThere: true)
            // These belong to the line of their account, entry or unit.
            default: break
            }
        }
        return deeds
    }
}
