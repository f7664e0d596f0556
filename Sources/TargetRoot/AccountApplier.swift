// Users and groups: changed by programs where there are any, otherwise in the account files themselves.

import Accounts
import Glibc
import LinuxSystem
import SystemPackage

/// Makes the accounts of a target what a plan wants.
struct AccountApplier {
    let tree: TargetTree
    let programs: TargetPrograms
    /// As ``TargetRoot/writesKeyFragment``.
    let writesKeyFragment: Bool?

    /// Makes, changes or removes an account with the initramfs's own program, the target's, or without any.
    ///
    /// - Parameter request: The change.
    ///
    /// - Returns: A warning where the account is as wanted and something else is not.
    /// - Throws: What the program says, ``AccountFault`` or ``TargetFault``.
    func apply(_ request: AccountRequest) throws -> String? {
        guard let wanted = request.command else { return try performNatively(request) }
        do throws(Command.Failure) {
            // glibc sets the modes of what is in a skeleton, and of a home that moves, by way of /proc.
            _ = try programs.withProc { () throws(Command.Failure) in
                try programs.runOnTarget(
                    programs.command(wanted.program, wanted.arguments),
                    ours: Command(wanted.program, ["--root", programs.root.string] + wanted.arguments))
            }
            return nil
        } catch {
            switch error {
            case .missing: return try performNatively(request)
            // The user is removed; a home that others share, or that does not exist, is not. See userdel(8).
            case .failed(_, status: 12, let said) where wanted.program == "userdel": return said
            default: throw error
            }
        }
    }

    private func performNatively(_ request: AccountRequest) throws -> String? {
        let etc = try tree.entry("/etc/passwd")
        let locks = try AccountLocks(beside: etc)
        defer { locks.release() }
        let database = try accountDatabase(etc)
        let change = try database.change(for: request)
        var warning: String?
        let written = WrittenFiles()
        defer { written.abandon() }
        // All files are complete on the disk before the first one is replaced, so that a full disk changes nothing.
        for file in change.files { try written.write(file, beside: etc, shadowGroup: database.shadowGroup) }
        for effect in change.effects {
            if let said = try perform(effect) { warning = said }
        }
        try written.publish()
        return warning
    }

    private func accountDatabase(_ etc: TargetEntry) throws -> AccountDatabase {
        var files: [AccountFileName: [UInt8]] = [:]
        for name in AccountFileName.allCases {
            let place = etc.beside(name.rawValue)
            if case .nothing = place.component { continue }
            do throws(Errno) {
                let descriptor = try place.open(O_RDONLY)
                defer { close(descriptor) }
                files[name] = try readAll(descriptor)
            } catch {
                throw TargetFault.cannot("read", path: place.path, error)
            }
        }
        return AccountDatabase(
            files: files,
            elsewhere: TargetAccounts(
                passwd: tree.text("/usr/lib/passwd") ?? "", group: tree.text("/usr/lib/group") ?? ""),
            settings: tree.accountSettings, today: Int(time(nil)) / 86400)
    }
}
