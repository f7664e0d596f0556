// Live ISOs of every generation, small ones.

/// What a live ISO of a time looks like to whoever customizes it.
public enum Generation: String, CaseIterable, Sendable {
    case september2020 = "2020-09"
    case january2021 = "2021-01"
    case september2021 = "2021-09"
    case december2021 = "2021-12"
    case february2022 = "2022-02"
    case march2023 = "2023-03"
    case march2023s390x = "2023-03 s390x"
    case july2023 = "2023-07"
    case july2023s390x = "2023-07 s390x"
    case today

    public var hasArguments: Bool { self != .september2020 && self != .march2023s390x }
    public var hasFeatures: Bool { ![.september2020, .january2021, .september2021].contains(self) }
    var isS390x: Bool { self == .march2023s390x || self == .july2023s390x }
    var hasArgumentsFile: Bool { hasArguments && self != .january2021 }
    var hasHeaders: Bool { [.september2020, .january2021, .september2021, .december2021].contains(self) }
    var hasInitrdFile: Bool { [.march2023, .march2023s390x, .july2023, .july2023s390x, .today].contains(self) }
}

/// A live ISO, and where its areas are.
public struct SampleLiveISO {
    public var image: SampleISO
    /// In bytes from the start of the image.
    public var initrdOffset: Int
    public var initrdLength: Int
    public var argumentOffsets: [Int]
    public var argumentLength: Int

    public static let defaults =
        "mitigations=auto,nosmt coreos.liveiso=fedora-coreos-40 ignition.firstboot ignition.platform.id=metal"

    public static let features = """
        {
          "installer-config": true,
          "installer-config-directives": {"append-karg": true, "console": true, "dest-device": true},
          "live-initrd-network": true
        }
        """

    /// - Parameters:
    ///   - initrdLength: Of the initrd area; 256 KiB in real ones.
    ///   - argumentLength: Of each kernel argument area.
    public init(
        _ generation: Generation, initrdLength: Int = 16384, argumentLength: Int = 1139,
        defaults: String = SampleLiveISO.defaults
    ) {
        var image = SampleISO()
        // A boot descriptor, as El Torito has it, and Joliet's.
        var boot = [UInt8](repeating: 0, count: 2048)
        boot.replaceSubrange(0..<30, with: Array("\u{0}CD001\u{1}EL TORITO SPECIFICATION".utf8))
        var joliet = [UInt8](repeating: 0, count: 2048)
        joliet.replaceSubrange(0..<7, with: Array("\u{2}CD001\u{1}".utf8))
        image.moreDescriptors = [boot, joliet]

        let (pad, end): (UInt8, UInt8) = generation.isS390x ? (0, 0) : (UInt8(ascii: "#"), UInt8(ascii: "\n"))
        let area = Array(defaults.utf8) + [end]
        let arguments = area + [UInt8](repeating: pad, count: argumentLength - area.count)
        let grub = Array("linux /images/pxeboot/vmlinuz ".utf8)
        let syslinux = Array("append initrd=/images/pxeboot/initrd.img ".utf8)
        let mark = Array(" COREOS_KARG_EMBED_AREA\n".utf8)

        image["coreos/readme"] = Array("x".utf8)
        image["images/pxeboot/vmlinuz"] = Array("the kernel".utf8)
        image["images/pxeboot/initrd.img"] = Array("the initramfs".utf8)
        image["images/pxeboot/rootfs.img"] = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var locations: [(path: String, offset: Int)] = []
        let initrdFile: String
        var initrdStart = 0
        if generation.isS390x {
            initrdFile = "images/cdboot.img"
            initrdStart = 4096
            var contents = [UInt8](repeating: 0xaa, count: initrdStart) + [UInt8](repeating: 0, count: initrdLength)
            if generation.hasArguments {
                locations = [("images/cdboot.img", contents.count + 480)]
                contents += [UInt8](repeating: 0xbb, count: 480) + arguments
            }
            image[initrdFile] = contents + [UInt8](repeating: 0xcc, count: 3000)
        } else {
            initrdFile = "images/ignition.img"
            image[initrdFile] = [UInt8](repeating: 0, count: initrdLength)
            image["EFI/fedora/grub.cfg"] = grub + (generation.hasArguments ? arguments + mark : area)
            image["isolinux/isolinux.cfg"] = syslinux + (generation.hasArguments ? arguments + mark : area)
            if generation.hasArguments {
                locations = [("EFI/fedora/grub.cfg", grub.count), ("isolinux/isolinux.cfg", syslinux.count)]
            }
        }
        if generation == .january2021 || generation == .september2021 || generation == .december2021 {
            image[".cmdline"] = area + [UInt8](repeating: UInt8(ascii: "#"), count: argumentLength - area.count)
        }
        if generation.hasArgumentsFile {
            let told = generation == .july2023 || generation.isS390x || generation == .today
            let (pad, end) = generation.isS390x ? ("\\u0000", "\\u0000") : ("#", "\\n")
            let files = locations.map { location in
                "    {\n      \"path\": \"\(location.path)\",\n      \"offset\": \(location.offset)"
                    + (told ? ",\n      \"pad\": \"\(pad)\",\n      \"end\": \"\(end)\"" : "") + "\n    }"
            }
            image["coreos/kargs.json"] = Array(
                "{\n  \"default\": \"\(defaults)\",\n  \"files\": [\n\(files.joined(separator: ",\n"))\n  ],\n  \"size\": \(argumentLength)\n}"
                    .utf8)
        }
        if generation.hasFeatures { image["coreos/features.json"] = Array(Self.features.utf8) }
        if generation.hasFeatures { image["coreos/miniso.dat"] = [UInt8](repeating: 0, count: 16384) }
        if generation.hasInitrdFile {
            let place = generation.isS390x ? ", \"offset\": \(initrdStart), \"length\": \(initrdLength)" : ""
            image["coreos/igninfo.json"] = Array("{\"file\": \"\(initrdFile)\"\(place)}".utf8)
        }

        let offsets = image.offsets
        initrdOffset = (offsets[initrdFile] ?? 0) + initrdStart
        self.initrdLength = initrdLength
        argumentOffsets = locations.map { (offsets[$0.path] ?? 0) + $0.offset }.sorted()
        self.argumentLength = argumentLength
        if generation.hasHeaders {
            var header: [UInt8] = []
            if generation.hasArguments {
                header += Array("coreKarg".utf8)
                let places = argumentOffsets + [Int](repeating: 0, count: 6 - argumentOffsets.count)
                for number in [argumentLength, offsets[".cmdline"] ?? 0] + places { header += Self.number(number) }
            }
            header += Array("coreiso+".utf8) + Self.number(initrdOffset) + Self.number(initrdLength)
            image.systemAreaEnd = header
        }
        self.image = image
    }

    /// 64 bits, little endian.
    public static func number(_ number: Int) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }

    /// The same image without root image and miniso.dat, in another order, as a second run of mkisofs makes it.
    public var minimal: SampleISO {
        var minimal = image
        minimal["images/pxeboot/rootfs.img"] = nil
        minimal["coreos/miniso.dat"] = nil
        minimal.files.reverse()
        return minimal
    }

    public func bytes() -> [UInt8] { image.bytes() }
}
