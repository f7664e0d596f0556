// Versions of the config specification.

/// A version of the specification: `3.minor.0`; the newest is still called experimental.
public struct SpecVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The second number; 4 of 3.4.0.
    public let minor: Int

    /// Version 3.0.0.
    public static let v30 = SpecVersion(minor: 0)
    /// Version 3.1.0.
    public static let v31 = SpecVersion(minor: 1)
    /// Version 3.2.0.
    public static let v32 = SpecVersion(minor: 2)
    /// Version 3.3.0.
    public static let v33 = SpecVersion(minor: 3)
    /// Version 3.4.0.
    public static let v34 = SpecVersion(minor: 4)
    /// Version 3.5.0.
    public static let v35 = SpecVersion(minor: 5)
    /// Version 3.6.0.
    public static let v36 = SpecVersion(minor: 6)
    /// Version 3.7.0-experimental.
    public static let v37 = SpecVersion(minor: 7)
    /// The newest version that is read, which is experimental.
    public static let newest = v37
    /// The newest version that is not experimental.
    public static let newestStable = v36

    private init(minor: Int) { self.minor = minor }

    /// As a config declares it: `3.4.0`.
    public var description: String { "3.\(minor).0\(self > .newestStable ? "-experimental" : "")" }

    /// Whether one version is older than the other.
    public static func < (one: SpecVersion, other: SpecVersion) -> Bool { one.minor < other.minor }

    enum Fault: Error, Equatable {
        case malformed
        /// A version before 3.
        case old(major: Int)
        case experimental
        case unknown
    }

    /// Reads a version; a patch level other than 0 or a build suffix is not accepted.
    init(parsing text: String) throws(Fault) {
        let core = text.prefix { $0 != "-" && $0 != "+" }
        let numbers = core.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard numbers.count == 3, let major = numbers[0], let minor = numbers[1], let patch = numbers[2],
            core.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { throw .malformed }
        if major < 3 { throw .old(major: major) }
        if major == 3, (0...SpecVersion.newest.minor).contains(minor), patch == 0 {
            self.init(minor: minor)
            if description == text { return }
        }
        throw text.hasSuffix("-experimental") ? .experimental : .unknown
    }
}

extension SpecVersion.Fault: CustomStringConvertible {
    var description: String {
        let range = "3.0.0 to \(SpecVersion.newestStable)"
        return switch self {
        case .malformed: "not a version; write one of \(range), such as \"3.4.0\""
        case .old(let major):
            "spec \(major) is too old; versions \(range) are read. Convert the config with ign-converter"
        case .experimental: "of the experimental versions only \(SpecVersion.newest) is read; use one of \(range)"
        case .unknown: "unknown version; \(range) are read, each with a last number of 0"
        }
    }
}
