// Any bytes as the target's account files and settings, and requests on them. What nobody asked about stays.

@testable import Accounts

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let parts = UnsafeBufferPointer(start: data, count: count).split(separator: 0, omittingEmptySubsequences: false)
    func part(_ index: Int) -> [UInt8] { index < parts.count ? Array(parts[index]) : [] }
    func text(_ index: Int) -> String { String(decoding: part(index), as: UTF8.self) }
    let files: [AccountFileName: [UInt8]] = [
        .passwd: part(0), .group: part(1), .shadow: part(2), .gshadow: part(3), .subuid: part(4), .subgid: part(4),
    ]
    let settings = AccountSettings(loginDefs: text(5), useradd: text(6))
    let elsewhere = TargetAccounts(passwd: text(7), group: text(8))
    let database = AccountDatabase(files: files, elsewhere: elsewhere, settings: settings, today: 20_000)
    var user = AccountRequest.NewUser("new")
    user.fields.groups = ["wheel", "10"]
    var numbered = AccountRequest.NewUser("fixed")
    numbered.fields.uid = 1000
    numbered.isSystem = true
    var fields = AccountRequest.UserFields()
    (fields.home, fields.hash, fields.uid, fields.groups) = ("/srv/core", "*", 1001, ["wheel"])
    let requests: [AccountRequest] = [
        .addUser(user), .addUser(numbered), .changeUser("core", fields), .removeUser("core"), .addGroup(name: "new"),
        .changeGroup(name: "wheel", gid: 11, hash: "!"), .removeGroup("wheel"),
        .copyGroup("docker", gid: 950, members: ["core"]),
    ]
    for request in requests {
        guard let change = try? database.change(for: request) else { continue }
        for file in change.files {
            let before = files[file.name] ?? []
            precondition(file.bytes.isEmpty || file.bytes.last == UInt8(ascii: "\n"))
            let limit = before.count { $0 == UInt8(ascii: "\n") } + 3
            precondition(file.bytes.count { $0 == UInt8(ascii: "\n") } <= limit, "lines out of nothing")
            // Read again it is the same.
            precondition(AccountFile(file.name, parsing: file.bytes).bytes == file.bytes, "another file")
        }
    }
    _ = settings.ages
    _ = TargetAccounts(passwd: text(0), group: text(1), shadow: text(2), gshadow: text(3))
    return 0
}
