// A live ISO as the commands see it: what is embedded in it, and what to write so that something else is.

import Reporting

/// What a live ISO has embedded, to be changed.
public struct LiveISO: Sendable {
    /// The image.
    public let image: ISO9660
    /// Config and keyfiles.
    public var initrd: EmbedArea
    private var storedArguments: ArgumentAreas?

    /// Reads the areas of an image.
    public init(_ image: ISO9660) throws {
        self.image = image
        initrd = try step("Unrecognized CoreOS ISO image.") { try EmbedArea(of: image) }
        storedArguments = try ArgumentAreas(of: image)
        var regions = Set(storedArguments?.areas.map(\.region) ?? []).sorted { $0.offset < $1.offset }
        regions = (regions + [initrd.region]).sorted { $0.offset < $1.offset }
        for (region, next) in zip(regions, regions.dropFirst()) where region.overlaps(next) {
            throw MediaFault("the embed areas at \(region.offset) and \(next.offset) overlap; corrupt ISO?")
        }
    }

    /// Reads descriptors and areas of an image.
    public init(reading source: ByteSource) throws {
        try self.init(try step("parsing ISO9660 image") { try ISO9660(source) })
    }

    /// Whether it has kernel argument areas.
    public var hasArguments: Bool { storedArguments != nil }

    /// The kernel argument areas.
    ///
    /// - Throws: Where there are none.
    public var arguments: ArgumentAreas {
        get throws {
            guard let storedArguments else {
                throw MediaFault("No karg embed areas found; old or corrupted CoreOS ISO image.")
            }
            return storedArguments
        }
    }

    /// Puts other kernel arguments into every area.
    public mutating func setArguments(_ text: String) throws {
        var areas = try arguments
        try areas.set(text)
        storedArguments = areas
    }

    /// Whether its arguments are not those that it came with; an image without areas has none to change.
    public var hasChangedArguments: Bool { storedArguments.map { !$0.areDefault } ?? false }

    /// What is wrong with the arguments that it was given, for the user; `nil` where nothing is.
    public var argumentWarning: String? { storedArguments?.warning }

    /// What it says that it can do.
    public var features: Features {
        get throws {
            guard
                let file = try step("looking up OS features", { try image.fileIfPresent(BootMediaName.features) })
            else { return Features() }
            let bytes = try step("reading OS features") { try image.contents(of: file) }
            return try step("parsing OS features") { try Features(parsing: bytes) }
        }
    }

    /// What has to be written, from front to back; nothing where nothing was changed.
    public func patches() throws -> [Patch] {
        (try initrd.patches() + (storedArguments?.patches() ?? [])).inOrder
    }

    // MARK: Minimal ISOs

    /// What has to be written so that a minimal ISO, just unpacked, boots by itself.
    ///
    /// Its medium holds no root image: the argument that names it goes, from the defaults too. The root image is fetched
    /// from `rootImageURL`; `nil` leaves that to whoever boots the ISO. Throws where `coreos.liveiso=` is not among the
    /// arguments, a blank stands within the URL, or the image has no `kargs.json`.
    public mutating func becomeMinimal(rootImageURL: String?) throws -> [Patch] {
        let present = try arguments.arguments
        guard
            let medium = present.wordsBetweenBlanks.first(where: { $0.utf8.starts(with: "coreos.liveiso=".utf8) })
        else { throw MediaFault("minimal ISO does not have coreos.liveiso= karg") }
        let defaults = try KernelArgumentEdit(deleting: [medium]).applied(to: present)
        try setArguments(defaults)
        if let url = rootImageURL {
            guard url.wordsBetweenBlanks.count <= 1 else {
                throw MediaFault("forbidden whitespace found in '\(url)'")
            }
            try setArguments(
                try KernelArgumentEdit(appending: ["coreos.live.rootfs_url=\(url)"]).applied(to: defaults))
        }
        guard var information = try ArgumentInformation(of: image) else {
            throw MediaFault("minimal ISO does not have kargs.json; please report this as a bug")
        }
        information.defaults = defaults
        return (try patches() + [try information.patch(of: image)]).inOrder
    }
}

extension String {
    /// Blank, tab, line feed, form feed, carriage return.
    fileprivate var wordsBetweenBlanks: [String] {
        utf8.split { [0x20, 0x09, 0x0a, 0x0c, 0x0d].contains($0) }.map { String(Substring($0)) }
    }
}
