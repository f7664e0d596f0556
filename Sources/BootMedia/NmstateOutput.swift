// The keyfiles that nmstate makes of a wanted state.

import Reporting

/// What `nmstatectl gc` prints.
public enum NmstateOutput {
    /// Reads a mapping of backends to pairs of file name and contents.
    ///
    /// - Returns: NetworkManager's.
    public static func keyfiles(parsing bytes: [UInt8]) throws -> [(name: String, contents: [UInt8])] {
        guard let members = try YAMLNode(parsing: bytes)?.members,
            let files = members.first(where: { $0.key.string == "NetworkManager" })?.value.elements
        else { throw MediaFault("nmstatectl made nothing for NetworkManager") }
        return try files.map { file in
            guard let pair = file.elements, pair.count == 2, let name = pair[0].string, let text = pair[1].string else {
                throw MediaFault("nmstatectl printed something other than names and contents of keyfiles")
            }
            return (name, Array(text.utf8))
        }
    }
}
