// What is in a filesystem image, as the host's own programs list it: names, kinds and sizes, and no data.

import InitramfsImage
import LinuxSystem
import LiveImage
import SystemPackage

extension RootTree {
    /// The names, kinds and sizes of the files in a filesystem image; `nil` where nobody here can tell.
    ///
    /// Of an erofs only the folders are listed in which something is looked for.
    static func listed(in image: FilePath, _ format: RootImageFormat.Filesystem) -> RootTree? {
        // Programs run in the root folder.
        let image = Files.absolute(image)
        switch format {
        case .squashfs:
            let listing = try? HostProgram.listSquashfs.run(["-quiet", "-llnumeric", image.string])
            return listing.map { RootTree(squashfsListing: $0.text) }
        case .erofs: return RootTree(erofs: image)
        }
    }

    private mutating func put(_ kind: Kind, at path: some StringProtocol) {
        // A name that cannot be is none that is looked for.
        try? put(kind, Attributes(permissions: 0o644), at: Array(path.utf8))
    }

    /// A file of which nothing but the size is known.
    private static func file(_ size: UInt64) -> Kind { .file(.file("", offset: 0, count: size)) }

    /// Reads lines such as `-rw-r--r-- 0/0  33 2026-11-01 10:00 squashfs-root/etc/machine-id`.
    init(squashfsListing text: String) {
        self.init()
        for line in text.split(separator: "\n") {
            guard let range = line.firstRange(of: " squashfs-root/") else { continue }
            let path = line[range.upperBound...]
            switch line.first {
            case "d": put(.folder, at: path)
            case "-":
                let size = line.split(separator: " ", maxSplits: 3).dropFirst(2).first.flatMap { UInt64($0) }
                put(Self.file(size ?? 0), at: path)
            case "l":
                guard let arrow = path.firstRange(of: " -> ") else { continue }
                put(.link(Array(path[arrow.upperBound...].utf8)), at: path[..<arrow.lowerBound])
            default: continue
            }
        }
    }

    private init?(erofs image: FilePath) {
        self.init()
        func dump(_ words: [String]) -> String? {
            try? HostProgram(name: "dump.erofs", package: "erofs-utils").run(words + [image.string]).text
        }
        guard let top = dump(["--ls", "--path=/"]), top.contains("FILENAME") else { return nil }
        for folder in BuildTrace.folders + RootMaking.foldersOfInits {
            guard let listing = dump(["--ls", "--path=/\(folder)"]) else { continue }
            // Rows such as `        59    2  6.1.0-9-amd64`, after a line with the names of the columns.
            for row in listing.split(separator: "\n").drop(while: { !$0.contains("FILENAME") }).dropFirst() {
                let fields = row.split(separator: " ")
                guard fields.count == 3, fields[2] != ".", fields[2] != ".." else { continue }
                let path = folder.isEmpty ? String(fields[2]) : "\(folder)/\(fields[2])"
                switch fields[1] {
                case "1": put(Self.file(1), at: path)
                case "2": put(.folder, at: path)
                // It does not say where links lead; those at the top are the ones of every merged system.
                case "7": put(.link(Array((folder.isEmpty ? "usr/\(path)" : "").utf8)), at: path)
                default: continue
                }
            }
        }
        for path in BuildTrace.emptyOnes where self[path].map({ $0.kind == Self.file(1) }) ?? false {
            let size = dump(["--path=/\(path)"])?.firstMatch(of: /Size: ([0-9]+)/).flatMap { UInt64($0.1) }
            if let size { put(Self.file(size), at: path) }
        }
    }
}
