// What the program knows of itself.

import BootArguments
import LinuxSystem

/// What people ask of the program rather than of the machine.
public enum SelfDescription {
    /// The libraries that this program was linked from, a line each; `nil` where that is not known.
    public static var librariesText: String? {
        let libraries = Build.libraries
        guard !libraries.isEmpty else { return nil }
        let width = libraries.map(\.name.count).max() ?? 0
        return libraries.map { library in
            let padding = String(repeating: " ", count: width - library.name.count)
            return "\(library.name)\(padding)  \(library.version)  (\(library.origin))"
        }.joined(separator: "\n")
    }

    /// The kernel arguments that are honoured, as a Markdown table.
    public static var argumentsTable: String { BootArguments.markdownTable }
}
