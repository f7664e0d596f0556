// Why an account cannot be what the config wants.

import Reporting

/// A request that cannot be met; nothing was changed.
public enum AccountFault: Error, Equatable, CustomStringConvertible, Advising {
    case badUserName(String)
    case badGroupName(String)
    /// The field would break the lines of the account files.
    case badField(String, of: String)
    case badID(Int, of: String)
    case noGroup(String, wantedBy: String)
    case groupExists(String)
    /// A new user is to get a group of its own name, and a group of that name exists.
    case groupIsThere(String)
    case userIDInUse(UInt32, by: String, wantedBy: String)
    case groupIDInUse(UInt32, by: String, wantedBy: String)
    case noFreeID(of: String, setting: String)
    case primaryGroup(String, of: String)
    case repeated(String, in: AccountFileName)
    /// The account comes from another database of the target, not from the file.
    case notInFile(String, AccountFileName)

    /// One sentence without its full stop.
    public var description: String {
        switch self {
        case .badUserName(let name): "\"\(name)\" is not a valid user name"
        case .badGroupName(let name): "\"\(name)\" is not a valid group name"
        case .badField(let field, let name): "the \(field) of \(name) does not fit into an account file"
        case .badID(let id, let name): "\(name) cannot have the id \(id)"
        case .noGroup(let group, let name): "\(name) is to be in the group \(group), but there is no such group"
        case .groupExists(let name): "the group \(name) already exists"
        case .groupIsThere(let name):
            "the user \(name) is to have a group of its own, but a group \(name) already exists"
        case .userIDInUse(let id, let other, let name): "the user id \(id) for \(name) is that of \(other)"
        case .groupIDInUse(let id, let other, let name): "the group id \(id) for \(name) is that of \(other)"
        case .noFreeID(let name, let setting): "no id is free for \(name) in the range of \(setting)"
        case .primaryGroup(let group, let user): "the group \(group) is the primary one of \(user)"
        case .repeated(let name, let file): "/etc/\(file.rawValue) has several lines for \(name)"
        case .notInFile(let name, let file): "\(name) is not in /etc/\(file.rawValue)"
        }
    }

    /// What the operator can change in the config or in the target.
    public var advice: [String] {
        switch self {
        case .badUserName, .badGroupName:
            ["A name has 1 to 32 bytes, no blank and none of \":,/\", and does not begin with \"-\", \"+\" or \"~\"."]
        case .badField: ["It cannot hold a colon or a line break; a home and a shell begin with \"/\"."]
        case .badID: ["An id is a number from 0 to 4294967294."]
        case .noGroup(let group, _): ["Create \(group) in passwd.groups, or name a group that the target has."]
        case .groupIsThere(let name): ["To put the user into it: \"primaryGroup\": \"\(name)\"."]
        case .userIDInUse, .groupIDInUse: ["Give it another id, or none: a free one is chosen."]
        case .noFreeID(_, let setting): ["The range is set in the target's /etc/login.defs: \(setting)."]
        case .primaryGroup(_, let user): ["Give \(user) another \"primaryGroup\" first, or remove the user."]
        case .repeated: ["Repair the file in the image; pwck and grpck find such lines."]
        case .groupExists, .notInFile: []
        }
    }
}
