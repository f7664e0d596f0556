// Whose something is to be, in the numbers of the target.

import Accounts
import FilePlanning
import Glibc

/// A user and a group by their numbers; `nil` leaves what is there.
struct OwnerNumbers: Sendable {
    var user: uid_t?
    var group: gid_t?
}

/// Looks owners up in the accounts of a target, which are read once until they change.
final class TargetOwners {
    private let tree: TargetTree
    private var accounts: TargetAccounts?

    init(_ tree: TargetTree) { self.tree = tree }

    /// The accounts have changed.
    func forget() { accounts = nil }

    /// The numbers of a planned owner.
    ///
    /// - Throws: ``TargetFault/noSuchUser(_:)`` or ``TargetFault/noSuchGroup(_:)``.
    func numbers(of owner: PlannedOwner) throws(TargetFault) -> OwnerNumbers {
        var numbers = OwnerNumbers()
        if owner == .unchanged { return numbers }
        let accounts = accounts ?? tree.accounts()
        self.accounts = accounts
        switch owner.user {
        case nil: break
        case .number(let id): numbers.user = id
        case .name(let name):
            numbers.user = accounts.user(named: name)?.uid
            if numbers.user == nil { throw .noSuchUser(name) }
        }
        switch owner.group {
        case nil: break
        case .number(let id): numbers.group = id
        case .name(let name):
            numbers.group = accounts.group(named: name)?.gid
            if numbers.group == nil { throw .noSuchGroup(name) }
        }
        return numbers
    }
}

extension TargetEntry {
    func setOwner(_ owner: OwnerNumbers) throws(TargetFault) {
        if owner.user != nil || owner.group != nil { try setOwner(owner.user, owner.group) }
    }
}
