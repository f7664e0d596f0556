// The target's users and groups, as its files hold them.

import Accounts

extension TargetTree {
    /// The files that hold accounts.
    static let accountFiles = AccountFileName.allCases.flatMap { ["/etc/\($0)", "/etc/\($0)-"] } + ["/etc/.pwd.lock"]

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
