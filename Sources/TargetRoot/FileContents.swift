// What is to be in files: fetched and put together beside their places.

import FilePlanning
import Glibc
import IgnitionConfig
import LinuxSystem

/// Puts contents together.
///
/// Up to eight threads use one at once.
struct ContentWriter: Sendable {
    let fetch: TargetRoot.FetchContent
    /// Of LUKS volumes, by name.
    let keys: [String: SecretBytes]

    /// Writes content into an empty file.
    ///
    /// `spare` is a name for one of its parts. Throws where a part cannot be fetched or written, or its key is not
    /// there.
    ///
    /// - Returns: The hashes of the parts that are fetched, for an ``AppendRecord``.
    @discardableResult
    func fill(_ file: OpenFile, with content: PlannedContent, spare: TargetEntry) throws -> [String] {
        var hashes: [String] = []
        for (index, part) in content.parts.enumerated() {
            switch part {
            case .text(let text): try file.write(Array(text.utf8))
            case .key(let volume):
                guard let key = keys[volume] else { throw TargetFault.noKey(volume: volume) }
                try file.write(key)
            case .resource(let resource) where index == 0:
                try write(resource, into: file)
                hashes.append(try file.sha256())
            case .resource(let resource):
                let rest = try spare.createUnnamed()
                try write(resource, into: rest)
                hashes.append(try rest.sha256())
                try file.append(contentsOf: rest)
            }
        }
        return hashes
    }

    /// Writes a resource into an empty file; one without a source has no bytes.
    func write(_ resource: IgnitionConfig.Resource, into file: OpenFile) throws {
        if !resource.isEmpty { try fetch(resource, file.descriptor) }
    }
}

/// The fragments that a config appends to files that exist.
///
/// Each is fetched once, when a file is compared with it, and kept in a folder of ours until it is appended.
final class FragmentStore {
    private let writer: ContentWriter
    private let scratch: TargetEntry
    private var kept: [(resource: IgnitionConfig.Resource, entry: TargetEntry)] = []
    /// Where in `kept` the resources of a source are.
    private var places: [String: [Int]] = [:]

    /// Creates an empty store in the folder of the entry `scratch`.
    init(_ writer: ContentWriter, in scratch: TargetEntry) {
        self.writer = writer
        self.scratch = scratch
    }

    deinit { for (_, entry) in kept { try? entry.remove() } }

    /// Opens a fragment to read it, and fetches it before where nobody did yet.
    func open(_ resource: IgnitionConfig.Resource) throws -> OpenFile {
        let source = resource.source?.text ?? ""
        if let known = places[source]?.first(where: { kept[$0].resource == resource }) {
            return try kept[known].entry.openFile(O_RDONLY, to: "read")
        }
        let entry = TargetEntry(folder: scratch.folder, name: "fragment-\(kept.count)", path: scratch.path)
        let file = try entry.createFile()
        do {
            try writer.write(resource, into: file)
        } catch {
            try? entry.remove()
            throw error
        }
        places[source, default: []].append(kept.count)
        kept.append((resource, entry))
        return file
    }
}
