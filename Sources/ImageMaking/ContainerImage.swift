// Container images: which layers an image has, in an OCI layout or in what `docker save` writes.

import JSONText
import LinuxSystem
import Reporting
import SystemPackage

/// One image of a layout: its layers, the lowest first.
struct ContainerImage: Equatable {
    struct Layer: Equatable {
        /// The file of the layout.
        var path: String
        /// SHA-256 of that file as it is, in hex digits, where the layout says it.
        var digest: String?
        /// SHA-256 of the layer's tar archive, in hex digits, where the image's config says it.
        var plainDigest: String?
    }

    /// Its name in the layout, if it has one.
    var name: String?
    var layers: [Layer]
    /// `org.opencontainers.image.version`, where the image says it.
    var version: String?

    enum Failure: Error, Equatable, CustomStringConvertible, Advising {
        case malformed(FilePath, String)
        case noImage(FilePath)
        /// The kind that the image is for, and the one that is wanted.
        case otherMachine(FilePath, String, wanted: String)
        case choice(FilePath, [String])
        case unknownName(FilePath, String, [String])
        case missing(FilePath, String)
        case otherDigest(FilePath, String)
        case encrypted(FilePath, String)

        var description: String {
            switch self {
            case .malformed(let file, let what): "\(file): \(what)"
            case .noImage(let file): "\(file) holds no image for this kind of machine"
            case .otherMachine(let file, let kind, let wanted):
                "\(file) holds an image for \(kind), and this tool makes images for linux on \(wanted)"
            case .choice(let file, _): "\(file) holds several images"
            case .unknownName(let file, let name, _): "\(file) holds no image \(name)"
            case .missing(let file, let path): "\(file) lacks \(path)"
            case .otherDigest(let file, let path): "\(file): \(path) is not what its digest says"
            case .encrypted(let file, let path): "\(file): the layer \(path) is encrypted or stored elsewhere"
            }
        }

        var advice: [String] {
            switch self {
            case .choice(_, let names), .unknownName(_, _, let names):
                ["Choose one with --image: \(names.joined(separator: ", "))"]
            case .missing, .otherDigest: ["Make or fetch the image again."]
            case .otherMachine(_, _, let wanted): ["Get that of this kind: skopeo copy --override-arch \(wanted) ..."]
            case .malformed, .noImage, .encrypted: []
            }
        }
    }

    /// Finds the image in a layout.
    ///
    /// `wanted` is its name there (`debian:12`, `latest`), and `nil` where there is one only; `architecture` is a name
    /// of Go's: `amd64`. Throws ``ContainerImage/Failure``, or why the layout cannot be read.
    init(in archive: ImageArchive, named wanted: String?, architecture: String) throws {
        if let index = try archive.text("index.json") {
            self = try Self.image(ofIndex: index, in: archive, named: wanted, architecture: architecture)
        } else if let manifest = try archive.text("manifest.json") {
            self = try Self.image(ofDocker: manifest, in: archive, named: wanted, architecture: architecture)
        } else {
            throw Failure.missing(archive.name, "index.json")
        }
    }

    private init(name: String?, layers: [Layer], version: String?) {
        self.name = name
        self.layers = layers
        self.version = version
    }

    // MARK: OCI

    private static let nameKey = "org.opencontainers.image.ref.name"
    private static let longNameKey = "io.containerd.image.name"

    private static func image(
        ofIndex bytes: [UInt8], in archive: ImageArchive, named wanted: String?, architecture: String
    ) throws -> ContainerImage {
        let index = try json(bytes, "index.json", of: archive)
        let all = (index["manifests"]?.elements ?? []).filter { isImage($0) }
        func names(_ entry: JSONNode) -> [String] {
            [nameKey, longNameKey].compactMap { entry["annotations"]?[$0]?.string }
        }
        var candidates = all
        if let wanted {
            candidates = all.filter { names($0).contains(wanted) }
            guard !candidates.isEmpty else {
                throw Failure.unknownName(archive.name, wanted, all.compactMap { names($0).first })
            }
        }
        let fitting = candidates.filter { fits($0, architecture) }
        guard let entry = fitting.first else { throw Failure.noImage(archive.name) }
        guard fitting.count == 1 || Set(fitting.compactMap { $0["digest"]?.string }).count == 1 else {
            throw Failure.choice(archive.name, fitting.compactMap { names($0).first ?? $0["digest"]?.string })
        }
        let (image, version) = try manifest(entry, in: archive, architecture: architecture, depth: 0)
        return ContainerImage(name: names(entry).first, layers: image, version: version)
    }

    /// Signatures and statements about images lie beside them.
    private static func isImage(_ entry: JSONNode) -> Bool {
        entry["annotations"]?["vnd.docker.reference.type"]?.string != "attestation-manifest"
            && entry["platform"]?["architecture"]?.string != "unknown"
    }

    private static func fits(_ entry: JSONNode, _ architecture: String) -> Bool {
        guard let own = entry["platform"]?["architecture"]?.string else { return true }
        return own == architecture && (entry["platform"]?["os"]?.string ?? "linux") == "linux"
    }

    private static func manifest(
        _ entry: JSONNode, in archive: ImageArchive, architecture: String, depth: Int
    ) throws -> ([Layer], version: String?) {
        let (path, digest) = try blob(entry, of: archive)
        guard let bytes = try archive.text(path) else { throw Failure.missing(archive.name, path) }
        guard let place = archive.place(of: path), try SHA256Digest.of(place.file, place.range) == digest else {
            throw Failure.otherDigest(archive.name, path)
        }
        let manifest = try json(bytes, path, of: archive)
        if let inner = manifest["manifests"]?.elements {
            // An index that is nested three deep is not a real image.
            guard depth < 4 else { throw Failure.malformed(archive.name, "\(path) is an index too deep") }
            let fitting = inner.filter { isImage($0) && fits($0, architecture) }
            guard let first = fitting.first else { throw Failure.noImage(archive.name) }
            return try Self.manifest(first, in: archive, architecture: architecture, depth: depth + 1)
        }
        guard let entries = manifest["layers"]?.elements else {
            throw Failure.malformed(archive.name, "\(path) lists no layers")
        }
        var layers: [Layer] = []
        for entry in entries {
            let (path, digest) = try blob(entry, of: archive)
            let type = entry["mediaType"]?.string ?? ""
            guard !type.contains("encrypted") else { throw Failure.encrypted(archive.name, path) }
            layers.append(Layer(path: path, digest: digest))
        }
        var version = manifest["annotations"]?[versionKey]?.string
        if let entry = manifest["config"], let (path, _) = try? blob(entry, of: archive),
            let bytes = try archive.text(path)
        {
            let config = try json(bytes, path, of: archive)
            try check(config, of: archive, for: architecture)
            take(plainDigestsOf: config, into: &layers)
            version = config["config"]?["Labels"]?[versionKey]?.string ?? version
        }
        return (layers, version)
    }

    private static let versionKey = "org.opencontainers.image.version"

    /// `sha256:abc...` lies at `blobs/sha256/abc...`.
    private static func blob(_ entry: JSONNode, of archive: ImageArchive) throws -> (path: String, digest: String) {
        let digest = entry["digest"]?.string ?? ""
        let parts = digest.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "sha256", parts[1].utf8.count == 64,
            parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { throw Failure.malformed(archive.name, "\"\(digest.prefix(80))\" is not the SHA-256 of a blob") }
        return ("blobs/sha256/\(parts[1])", String(parts[1]))
    }

    // MARK: docker save

    private static func image(
        ofDocker bytes: [UInt8], in archive: ImageArchive, named wanted: String?, architecture: String
    ) throws -> ContainerImage {
        let list = try json(bytes, "manifest.json", of: archive).elements ?? []
        func names(_ entry: JSONNode) -> [String] { (entry["RepoTags"]?.elements ?? []).compactMap(\.string) }
        let fitting = wanted.map { name in list.filter { names($0).contains(name) } } ?? list
        guard let entry = fitting.first else {
            if let wanted { throw Failure.unknownName(archive.name, wanted, list.flatMap(names)) }
            throw Failure.noImage(archive.name)
        }
        guard fitting.count == 1 else { throw Failure.choice(archive.name, list.flatMap(names)) }
        var layers = (entry["Layers"]?.elements ?? []).compactMap(\.string).map { Layer(path: $0) }
        guard !layers.isEmpty else { throw Failure.malformed(archive.name, "manifest.json lists no layers") }
        var version: String?
        if let path = entry["Config"]?.string, let bytes = try archive.text(path) {
            let config = try json(bytes, path, of: archive)
            try check(config, of: archive, for: architecture)
            take(plainDigestsOf: config, into: &layers)
            version = config["config"]?["Labels"]?[versionKey]?.string
        }
        return ContainerImage(name: names(entry).first, layers: layers, version: version)
    }

    /// Refuses an image whose own config says that it is for other machines; the index need not say it.
    private static func check(_ config: JSONNode, of archive: ImageArchive, for architecture: String) throws(Failure) {
        for (key, wanted) in [("architecture", architecture), ("os", "linux")] {
            guard let own = config[key]?.string, !own.isEmpty, own != wanted else { continue }
            throw .otherMachine(archive.name, own, wanted: architecture)
        }
    }

    private static func take(plainDigestsOf config: JSONNode, into layers: inout [Layer]) {
        let digests = (config["rootfs"]?["diff_ids"]?.elements ?? []).map { $0.string ?? "" }
        guard digests.count == layers.count else { return }
        for (index, digest) in digests.enumerated() where digest.hasPrefix("sha256:") {
            layers[index].plainDigest = String(digest.dropFirst("sha256:".count))
        }
    }

    private static func json(_ bytes: [UInt8], _ path: String, of archive: ImageArchive) throws -> JSONNode {
        do throws(JSONSyntaxError) {
            return try JSONNode(parsing: bytes)
        } catch {
            throw Failure.malformed(archive.name, "\(path): \(error)")
        }
    }
}
