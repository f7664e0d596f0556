// Laying tar archives over a tree: a whole root, or the layers of a container image.

import InitramfsImage
import LinuxSystem
import SystemPackage

extension RootTree {
    /// Why an archive could not be laid over a tree.
    struct LayerFailure: Error, CustomStringConvertible {
        /// `layer 2 of 3`, or the archive's name.
        var layer: String
        var cause: any Error

        var description: String { "\(layer): \(cause)" }
    }

    /// Adds the members of a plain archive; one of a name that is there takes its place.
    mutating func add(tar archive: PlainFile, called name: String) throws {
        do {
            try forEachEntry(of: archive) { tree, entry in try tree.add(entry, in: archive) }
        } catch let fault as FileFault {
            throw fault
        } catch {
            throw LayerFailure(layer: name, cause: error)
        }
    }

    /// Lays a layer of a container image over what is here.
    ///
    /// `.wh.NAME` takes NAME of the layers below away, `.wh..wh..opq` all that they have in its folder. They say
    /// nothing about their own layer, wherever they stand in it: all of them are heeded before anything is added.
    /// - SeeAlso: The OCI image specification 1.1, `layer.md`, "Whiteouts".
    mutating func lay(_ layer: PlainFile, called name: String) throws {
        do {
            try forEachEntry(of: layer) { tree, entry in
                if let whiteout = Whiteout(entry.path) { tree.heed(whiteout) }
            }
            try forEachEntry(of: layer) { tree, entry in
                if Whiteout(entry.path) == nil { try tree.add(entry, in: layer) }
            }
        } catch let fault as FileFault {
            throw fault
        } catch {
            throw LayerFailure(layer: name, cause: error)
        }
    }

    private mutating func forEachEntry(
        of archive: PlainFile, _ body: (inout RootTree, TarEntry) throws -> Void
    ) throws {
        var reader = TarReader(try ByteRange(archive.file, archive.range))
        while let entry = try reader.next() { try body(&self, entry) }
    }

    private mutating func add(_ entry: TarEntry, in archive: PlainFile) throws(Failure) {
        let kind: Kind
        switch entry.kind {
        case .hardLink: return try link(entry.path, to: entry.target)
        case .folder: kind = .folder
        case .file: kind = .file(.file(archive.file, offset: entry.offset, count: entry.size))
        case .link: kind = .link(entry.target)
        case .pipe: kind = .pipe
        case .device(let isBlock, let major, let minor): kind = .device(isBlock: isBlock, major: major, minor: minor)
        }
        try put(kind, entry.attributes, at: entry.path)
    }
}

/// A member of a layer that stands for something that is gone.
enum Whiteout: Equatable {
    /// All that the layers below have in that folder.
    case opaque([UInt8])
    case name([UInt8])
    /// What some filesystems leave for themselves.
    case other

    private static let prefix = Array(".wh.".utf8)

    init?(_ path: [UInt8]) {
        let components = RootTree.components(of: path)
        guard let last = components.last, last.starts(with: Self.prefix) else { return nil }
        let folder = Array(components.dropLast().joined(separator: [UInt8(ascii: "/")]))
        let name = Array(last.dropFirst(Self.prefix.count))
        if name == Array(".wh..opq".utf8) {
            self = .opaque(folder)
        } else if name.starts(with: Self.prefix) || name.isEmpty || name == Array(".".utf8) || name == Array("..".utf8)
        {
            self = .other
        } else {
            self = .name(folder + [UInt8(ascii: "/")] + name)
        }
    }
}
