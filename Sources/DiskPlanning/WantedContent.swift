// What an entry of the config wants to have on a device, as a conflict tells it.

import IgnitionConfig

/// The kind of an entry decides which advice fits; the text is what the console says.
public enum WantedContent: Equatable, Sendable {
    /// In words: `xfs "var"`, `no filesystem`.
    case filesystem(String)
    /// The name under which a LUKS volume is opened.
    case volume(String)
    /// The name in the superblocks of a RAID array.
    case array(String)
}

extension WantedContent: CustomStringConvertible {
    /// The content as a phrase: `LUKS2 "data"`.
    public var description: String {
        switch self {
        case .filesystem(let text): text
        case .volume(let name): "LUKS2 \"\(name)\""
        case .array(let name): "RAID array \"\(name)\""
        }
    }
}

extension WantedContent {
    /// The line of advice that says how to destroy what stands on the device.
    ///
    /// `command` destroys an array, for which the config has no field.
    func destroying(orBy command: String) -> AdviceLine {
        switch self {
        case .filesystem: .wiping("To destroy it:         \"wipeFilesystem\": true")
        case .volume: .wiping("To destroy it:         \"wipeVolume\": true")
        case .array: "To destroy it:         \(command), once, at this console."
        }
    }
}
