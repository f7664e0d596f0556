// ISO 9660 images for tests, made byte by byte: nothing here asks the reader that is tested.

/// A tree of files, and the image that holds it.
public struct SampleISO {
    /// By path, in lower case: `coreos/kargs.json`; in the order of the image.
    public var files: [(path: String, contents: [UInt8])] = []
    public var volumeID = "fedora-coreos-40"
    /// Besides the primary and the one that ends them.
    public var moreDescriptors: [[UInt8]] = []
    /// Put over the end of the system area, so that its last byte is the last of the area.
    public var systemAreaEnd: [UInt8] = []
    /// A path that has its bytes where another one has.
    public var hardLinks: [(path: String, target: String)] = []

    public init() {}

    public subscript(path: String) -> [UInt8]? {
        get { files.first { $0.path == path }?.contents }
        set {
            let index = files.firstIndex { $0.path == path }
            switch (index, newValue) {
            case (let index?, let contents?): files[index].contents = contents
            case (let index?, nil): files.remove(at: index)
            case (nil, let contents?): files.append((path, contents))
            case (nil, nil): break
            }
        }
    }

    private final class Folder {
        let name: String
        var folders: [Folder] = []
        var files: [(name: String, path: String)] = []
        var sector = 0
        weak var parent: Folder?

        init(_ name: String, parent: Folder?) {
            self.name = name
            self.parent = parent
        }
    }

    /// Where each file starts, in bytes, by path; those of the folders end with a slash.
    public var offsets: [String: Int] { layout().offsets }

    private func tree() -> Folder {
        let root = Folder("", parent: nil)
        for path in files.map(\.path) + hardLinks.map(\.path) {
            var folder = root
            let parts = path.split(separator: "/").map(String.init)
            for part in parts.dropLast() {
                if let next = folder.folders.first(where: { $0.name == part }) {
                    folder = next
                } else {
                    let next = Folder(part, parent: folder)
                    folder.folders.append(next)
                    folder = next
                }
            }
            folder.files.append((parts.last ?? "", path))
        }
        return root
    }

    private func all(_ folder: Folder) -> [Folder] { [folder] + folder.folders.flatMap(all) }

    private func layout() -> (root: Folder, offsets: [String: Int], end: Int) {
        let root = tree()
        var next = 18 + moreDescriptors.count
        var offsets: [String: Int] = [:]
        func path(_ folder: Folder) -> String { folder.parent.map { path($0) + folder.name + "/" } ?? "" }
        for folder in all(root) {
            folder.sector = next
            offsets[path(folder)] = next * 2048
            next += sectors(length(of: folder))
        }
        for file in files {
            offsets[file.path] = next * 2048
            next += max(sectors(file.contents.count), 1)
        }
        for link in hardLinks { offsets[link.path] = offsets[link.target] }
        return (root, offsets, next)
    }

    private func length(of folder: Folder) -> Int { records(folder, in: [:]).count }

    /// The image.
    public func bytes() -> [UInt8] {
        let (root, offsets, end) = layout()
        var image = [UInt8](repeating: 0, count: end * 2048)
        func put(_ bytes: [UInt8], at offset: Int) { image.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
        put(systemAreaEnd, at: 32768 - systemAreaEnd.count)
        var primary = Array("\u{1}CD001\u{1}".utf8) + [0]
        primary += padded("LINUX", 32) + padded(volumeID, 32) + [UInt8](repeating: 0, count: 8)
        primary += bothEndian(end)
        primary += [UInt8](repeating: 0, count: 156 - primary.count)
        primary += record([0], root.sector, max(length(of: root), 2048), isFolder: true)
        put(primary, at: 16 * 2048)
        for (index, descriptor) in moreDescriptors.enumerated() { put(descriptor, at: (17 + index) * 2048) }
        put([255] + Array("CD001".utf8) + [1], at: (17 + moreDescriptors.count) * 2048)
        for folder in all(root) { put(records(folder, in: offsets), at: folder.sector * 2048) }
        for file in files { put(file.contents, at: offsets[file.path] ?? 0) }
        return image
    }

    private func records(_ folder: Folder, in offsets: [String: Int]) -> [UInt8] {
        var bytes: [UInt8] = []
        func add(_ record: [UInt8]) {
            // No record crosses a sector.
            if bytes.count / 2048 != (bytes.count + record.count - 1) / 2048 {
                bytes += [UInt8](repeating: 0, count: -bytes.count & 2047)
            }
            bytes += record
        }
        add(record([0], folder.sector, 2048, isFolder: true))
        add(record([1], folder.parent?.sector ?? folder.sector, 2048, isFolder: true))
        for other in folder.folders {
            add(record(Array(other.name.uppercased().utf8), other.sector, length(of: other), isFolder: true))
        }
        for (name, path) in folder.files {
            let size = (files.first { $0.path == path } ?? target(of: path))?.contents.count ?? 0
            let short = shortened(name)
            add(record(Array("\(short);1".utf8), (offsets[path] ?? 0) / 2048, size, isFolder: false))
        }
        return bytes + [UInt8](repeating: 0, count: -bytes.count & 2047)
    }

    private func target(of link: String) -> (path: String, contents: [UInt8])? {
        hardLinks.first { $0.path == link }.flatMap { found in files.first { $0.path == found.target } }
    }

    /// Upper case, 8.3; with a dot at the end where there is no extension.
    private func shortened(_ name: String) -> String {
        let parts = name.uppercased().split(separator: ".", maxSplits: 1).map(String.init)
        return "\(parts[0].prefix(8)).\(parts.count > 1 ? String(parts[1].prefix(3)) : "")"
    }

    private func record(_ name: [UInt8], _ sector: Int, _ size: Int, isFolder: Bool) -> [UInt8] {
        var bytes: [UInt8] = [0, 0]
        bytes += bothEndian(sector) + bothEndian(size) + [UInt8](repeating: 0, count: 7)
        bytes += [isFolder ? 2 : 0, 0, 0, 1, 0, 0, 1, UInt8(name.count)] + name
        if bytes.count % 2 == 1 { bytes.append(0) }
        bytes[0] = UInt8(bytes.count)
        return bytes
    }

    private func bothEndian(_ number: Int) -> [UInt8] {
        let little = (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
        return little + little.reversed()
    }

    private func padded(_ text: String, _ count: Int) -> [UInt8] {
        Array(text.utf8) + [UInt8](repeating: 0x20, count: count - text.utf8.count)
    }

    private func sectors(_ count: Int) -> Int { (count + 2047) / 2048 }
}
