// What an entry of the config wants to have on a device, as a conflict tells it.

import IgnitionConfig

/// The kind of an entry decides which advice fits; the text is what the console says.
public enum WantedContent: Equatable, Sendable {
    /// In words: `xfs "var"`, `no filesystem`; `givesUUID`: the entry says which UUID it has.
    case filesystem(String, givesUUID: Bool = false)
    /// The name under which a LUKS volume is opened.
    case volume(String)
    /// The name in the superblocks of a RAID array.
    case array(String)
}

extension WantedContent: CustomStringConvertible {
    /// The content as a phrase: `LUKS2 "data"`.
    public var description: String {
        switch self {
        case .filesystem(let text, _): text
        case .volume(let name): "LUKS2 \"\(name)\""
        case .array(let name): "RAID array \"\(name)\""
        }
    }
}

extension WantedContent {
    /// The field of the entry that lets go of what stands on the device; an array's has none.
    var wipingField: String? {
        switch self {
        case .filesystem: "wipeFilesystem"
        case .volume: "wipeVolume"
        case .array: nil
        }
    }

    /// The line of advice that says how to destroy what stands on the device.
    ///
    /// `command` destroys it for an array.
    func destroying(orBy command: String) -> AdviceLine {
        guard let field = wipingField else { return "To destroy it:         \(command), once, at this console." }
        return .wiping("To destroy it:         \"\(field)\": true")
    }
}
