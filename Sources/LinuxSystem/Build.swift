// What this program knows about its own build.

import CBuild

/// The build of this program.
public enum Build {
    /// The date of the sources in seconds since 1970; 0 if it is unknown.
    public static var date: Int { Int(firstlight_build_date()) }

    /// A library that is part of this program.
    public struct Library: Equatable, Sendable {
        /// The library's name.
        public var name: String
        /// The library's version.
        public var version: String
        /// Where the library was taken from: "Debian source package", "Swift package".
        public var origin: String
    }

    /// All libraries; empty if they are unknown.
    public static var libraries: [Library] {
        String(cString: firstlight_build_libraries()).split(separator: "\n").compactMap { line in
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 3 else { return nil }
            return Library(name: fields[0], version: fields[1], origin: fields[2])
        }
    }
}
