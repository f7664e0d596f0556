// Variants and their versions: which fields there are, which spec a config becomes, what is forbidden.

import IgnitionConfig

/// One version of one variant.
struct Dialect: Sendable {
    enum Variant: String, Sendable { case fcos, flatcar, r4e, fiot, openshift, firstlight }

    var variant: Variant
    var version: String
    var spec: SpecVersion
    /// The common part, 1 to 8: `base` 0.1 to 0.8.
    var base: Int
    /// The minor version of fcos whose sugar it has, also where it is another variant; `nil` without any.
    var fcos: Int?
    /// The minor version of OpenShift 4.
    var openshift: Int?

    var isFirstlight: Bool { variant == .firstlight }
    var isExperimental: Bool { version.hasSuffix("-experimental") }
    var hasBootDevice: Bool { (fcos ?? 0) >= 3 }
    var hasGrub: Bool { (fcos ?? 0) >= 5 }
    /// Quadlets become plain files: our own variant has them whatever its spec.
    var hasQuadlets: Bool { base >= 8 || isFirstlight }
    /// The programs that read a MachineConfig of the first versions cannot decompress files.
    var compresses: Bool { (openshift ?? 10) >= 10 }

    /// What Butane calls the package of the common types in its messages.
    var basePackage: String { "v0_\(base)" + (base == 8 ? "_exp" : "") }
    var package: String {
        "v" + version.prefix { $0 != "-" }.split(separator: ".").prefix(2).joined(separator: "_")
            + (isExperimental ? "_exp" : "")
    }
}

extension Dialect {
    /// Every variant and version there is.
    static let all: [Dialect] =
        [
            fcos("1.0.0", .v30, base: 1), fcos("1.1.0", .v31, base: 2), fcos("1.2.0", .v32, base: 3),
            fcos("1.3.0", .v32, base: 3), fcos("1.4.0", .v33, base: 4), fcos("1.5.0", .v34, base: 5),
            fcos("1.6.0", .v35, base: 6), fcos("1.7.0", .v36, base: 7), fcos("1.8.0-experimental", .v37, base: 8),
            Dialect(variant: .flatcar, version: "1.0.0", spec: .v33, base: 4),
            Dialect(variant: .flatcar, version: "1.1.0", spec: .v34, base: 5),
            Dialect(variant: .flatcar, version: "1.2.0-experimental", spec: .v37, base: 8),
            Dialect(variant: .r4e, version: "1.0.0", spec: .v33, base: 4),
            Dialect(variant: .r4e, version: "1.1.0", spec: .v34, base: 5),
            Dialect(variant: .r4e, version: "1.2.0-experimental", spec: .v37, base: 8),
            Dialect(variant: .fiot, version: "1.0.0", spec: .v34, base: 5),
            Dialect(variant: .fiot, version: "1.1.0-experimental", spec: .v37, base: 8),
            Dialect(variant: .firstlight, version: "1.0.0", spec: .v36, base: 7, fcos: 7),
        ] + (8...13).map { openshift($0, .v32, base: 3, fcos: 3) }
        + (14...18).map { openshift($0, .v34, base: 5, fcos: 5) }
        + (19...22).map { openshift($0, .v35, base: 6, fcos: 6) } + [openshift(23, .v37, base: 8, fcos: 8)]

    private static func fcos(_ version: String, _ spec: SpecVersion, base: Int) -> Dialect {
        let minor = Int(version.split(separator: ".")[1]) ?? 0
        return Dialect(variant: .fcos, version: version, spec: spec, base: base, fcos: minor)
    }

    private static func openshift(_ minor: Int, _ spec: SpecVersion, base: Int, fcos: Int) -> Dialect {
        Dialect(
            variant: .openshift, version: "4.\(minor).0" + (minor == 23 ? "-experimental" : ""), spec: spec,
            base: base, fcos: fcos, openshift: minor)
    }

    /// The fields of each, made once.
    private static let types = Dictionary(
        uniqueKeysWithValues: all.map { ("\($0.variant) \($0.version)", ObjectType.config($0)) })

    /// The fields of a config.
    var type: ObjectType { Dialect.types["\(variant) \(version)"] ?? .config(self) }

    enum Fault: Error, Equatable, CustomStringConvertible {
        case noVariant, noVersion, rhcos
        case unknown(variant: String, version: String)

        var description: String {
            switch self {
            case .noVariant: "error parsing variant; must be specified"
            case .noVersion: "error parsing version; must be a valid semver"
            case .unknown(let variant, let version):
                "No translator exists for variant \(variant) with version \(version)"
            case .rhcos:
                "rhcos variant has been removed; use openshift variant instead: "
                    + "https://coreos.github.io/butane/upgrading-openshift/"
            }
        }
    }

    /// The dialect of a variant and a version, both as written; throws ``Fault`` where there is none.
    ///
    /// `variant` is empty where the config has none.
    static func find(variant: String, version: String) throws(Fault) -> Dialect {
        guard !variant.isEmpty else { throw .noVariant }
        guard let version = semver(version) else { throw .noVersion }
        if let dialect = all.first(where: { $0.variant.rawValue == variant && $0.version == version }) {
            return dialect
        }
        throw variant == "rhcos" && version == "0.1.0" ? .rhcos : .unknown(variant: variant, version: version)
    }

    /// The version in its plain form, or `nil` where it is not a semantic version, as `1.4`.
    static func semver(_ text: String) -> String? {
        let dots = text.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
        guard dots.count == 3 else { return nil }
        let ends = dots[2].split(separator: "+", maxSplits: 1, omittingEmptySubsequences: false)
        let patch = ends[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let metadata = ends.count > 1 ? String(ends[1]) : nil
        let label = patch.count > 1 ? String(patch[1]) : nil
        let numbers = [dots[0], dots[1], patch[0]].map { Int64($0) }
        guard numbers.allSatisfy({ $0 != nil }), [label, metadata].allSatisfy({ isIdentifier($0) }) else { return nil }
        let core = numbers.compactMap { $0.map(String.init) }.joined(separator: ".")
        return core + (label.map { $0.isEmpty ? "" : "-\($0)" } ?? "")
            + (metadata.map { $0.isEmpty ? "" : "+\($0)" } ?? "")
    }

    private static func isIdentifier(_ text: String?) -> Bool {
        (text ?? "").utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }
}
