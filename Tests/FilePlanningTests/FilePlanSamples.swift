// Configs, and targets to plan them for.

import Accounts
import IgnitionConfig

@testable import FilePlanning

func config(_ json: String) throws -> IgnitionConfig {
    let text = #"{"ignition": {"version": "3.4.0"}, "# + json + "}"
    return try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked()
}

func inventory(_ found: [String: TargetPath.Found], _ accounts: TargetAccounts = .init()) -> TargetInventory {
    var inventory = TargetInventory(
        places: .init(uniqueKeysWithValues: found.map { ($0, TargetPath(resolved: $0, found: $1)) }),
        accounts: accounts)
    // As most images have it.
    inventory.accountSettings = AccountSettings(loginDefs: "USERGROUPS_ENAB yes\n")
    return inventory
}

func steps(_ json: String, _ found: [String: TargetPath.Found] = [:]) throws -> [FileAction] {
    try FilesPlan(config(json), on: inventory(found)).steps.map(\.action)
}

func conflicts(_ json: String, _ found: [String: TargetPath.Found] = [:]) throws -> [String] {
    let wanted = try config(json)
    do throws(FileConflicts) {
        let plan = try FilesPlan(wanted, on: inventory(found))
        return ["planned: \(plan.steps.map(\.action))"]
    } catch {
        return error.conflicts.map(\.description)
    }
}

let accounts = TargetAccounts(
    passwd: "root:x:0:0:root:/root:/bin/bash\ncore:x:1000:1000:Core:/home/core:/bin/bash\n# note\nbroken:x\n",
    group: "root:x:0:\ncore:x:1000:\nsudo:x:27:core\nadm:x:4:core,other\n", shadow: "core:$6$old:19000:0:99999:7:::\n",
    gshadow: "core:!::\n")
