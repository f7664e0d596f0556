// The target's users and groups, as its files hold them.

import Accounts
import Glibc
import LinuxSystem
import SystemPackage

extension TargetTree {
    /// The files that hold accounts.
    static let accountFiles = AccountFileName.allCases.flatMap { ["/etc/\($0)", "/etc/\($0)-"] } + ["/etc/.pwd.lock"]

    /// Refuses accounts that are there and cannot be read, which would look like none.
    ///
    /// Files that only root may read are not a failure: an ordinary user may ask for a plan.
    func checkAccountFiles() throws(TargetFault) {
        let folders = ["/etc": ["passwd", "group", "shadow", "gshadow"], "/usr/lib": ["passwd", "group"]]
        for (folder, names) in folders {
            for name in names {
                let path = "\(folder)/\(name)"
                do throws(Errno) {
                    let descriptor = try open(path, O_RDONLY)
                    defer { close(descriptor) }
                    _ = try readAll(descriptor)
                } catch {
                    switch error {
                    case .noSuchFileOrDirectory, .notDirectory, .permissionDenied, .notPermitted: continue
                    default: throw .cannot("read", path: path, error)
                    }
                }
            }
        }
    }

    /// The target's users and groups as its files hold them, including those of the image's own database.
    func accounts() -> TargetAccounts {
        let (shadow, gshadow) = (text("/etc/shadow") ?? "", text("/etc/gshadow") ?? "")
        func accounts(in folder: String) -> TargetAccounts {
            TargetAccounts(
                passwd: text("\(folder)/passwd") ?? "", group: text("\(folder)/group") ?? "", shadow: shadow,
                gshadow: gshadow)
        }
        return accounts(in: "/etc").merged(withImages: accounts(in: "/usr/lib"))
    }

    /// The target's own settings for new accounts.
    var accountSettings: AccountSettings {
        AccountSettings(loginDefs: text("/etc/login.defs") ?? "", useradd: text("/etc/default/useradd") ?? "")
    }
}
