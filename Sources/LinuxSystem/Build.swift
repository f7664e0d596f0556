// What this program knows of its own build.

import CBuild

public enum Build {
    /// The date of the sources, in seconds since 1970; 0 where it is not known.
    public static var date: Int { Int(firstlight_build_date()) }

    /// A library that is part of this program.
    public struct Library: Equatable, Sendable {
        public var name: String
        public var version: String
        /// What it was taken from: "Debian source package", "Swift package".
        public var origin: String
    }

    /// All of them; none where that is not known.
    public static var libraries: [Library] {
        String(cString: firstlight_build_libraries()).split(separator: "\n").compactMap { line in
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 3 else { return nil }
            return Library(name: fields[0], version: fields[1], origin: fields[2])
        }
    }
}
