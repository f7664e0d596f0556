// What a plan makes of the target root, for the report.

import Accounts
import BootReport
import IgnitionConfig

extension FilesPlan {
    /// What carrying out the plan does to the target.
    ///
    /// - Parameters:
    ///   - config: The config that the plan was made from; its accounts are counted.
    ///   - inventory: What was there before.
    ///   - alsoKept: Things that turned out to be as wanted only when their content was fetched.
    ///   - keysOf: Users whose SSH keys were not as wanted.
    /// - Returns: Each thing once.
    public func changes(
        _ config: IgnitionConfig, on inventory: TargetInventory, alsoKept: [Kept] = [], keysOf: [String] = []
    ) -> ChangeSummary {
        var changes = ChangeSummary(kept: (kept + alsoKept).map(\.name))
        let left = Set(changes.kept)
        func add(_ name: String, wasThere: Bool) {
            if left.contains(name) { return }
            if wasThere { changes.changed.append(name) } else { changes.created.append(name) }
        }
        for group in config.passwd.groups {
            let name = "group \(group.name)"
            let isThere = inventory.accounts.group(named: group.name) != nil
            if group.shouldExist != false {
                add(name, wasThere: isThere)
            } else if isThere {
                changes.changed.append(name)
            }
        }
        for user in config.passwd.users {
            let name = "user \(user.name)"
            let isThere = inventory.accounts.user(named: user.name) != nil
            if user.shouldExist != false {
                add(name, wasThere: isThere)
            } else if isThere {
                changes.changed.append(name)
            }
            if left.contains(name), keysOf.contains(user.name) { changes.changed.append("SSH keys of \(user.name)") }
        }
        for step in steps {
            switch step.action {
            case .makeFolder(let folder): add(folder.path, wasThere: folder.replacing)
            case .writeFile(let file): add(file.path, wasThere: file.replacing)
            case .makeLink(let link): add(link.path, wasThere: link.replacing)
            case .makeHardLink(let path, _, let replacing): add(path, wasThere: replacing)
            case .append(let append): add(append.path, wasThere: true)
            case .removeLink(let path): add(path, wasThere: true)
            case .disable(let unit): add(unit, wasThere: true)
            // These belong to the line of their account, entry or unit.
            default: break
            }
        }
        return changes
    }
}
