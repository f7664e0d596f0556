// firstlight as a systemd generator in a dracut initramfs: it says which stages this boot has, and
// whether dracut is to bring up the network.

import BootArguments
import LinuxSystem
import Reporting
import SystemPackage

/// What the generator writes: a plain value.
struct GeneratedUnits: Equatable, Sendable {
    /// Unit and the target that is to require it.
    var requirements: [(unit: String, target: String)] = []
    var needsNetwork = false

    /// - Parameter configNeedsNetwork: Whether the embedded config names something remote.
    init(_ arguments: BootArguments, hasRootImage: Bool, configNeedsNetwork: Bool) {
        guard hasRootImage || !arguments.rootfsURLs.isEmpty || arguments.liveISO != nil else { return }
        requirements.append(("firstlight-root.service", "initrd-root-fs.target"))
        if arguments.ignitionFirstboot {
            requirements += ["fetch", "kargs", "disks", "mount", "files", "finish"].map {
                ("firstlight-\($0).service", "initrd.target")
            }
        }
        needsNetwork = arguments.needsNetwork(
            rootImageIsLocal: hasRootImage, configNeedsNetwork: configNeedsNetwork)
    }

    static func == (one: GeneratedUnits, other: GeneratedUnits) -> Bool {
        one.needsNetwork == other.needsNetwork
            && one.requirements.elementsEqual(other.requirements) { $0 == $1 }
    }
}

extension GeneratedUnits {
    /// For this initramfs and what it holds.
    static func ofThisMachine(_ arguments: BootArguments) -> GeneratedUnits {
        let embedded = ConfigSource.embeddedConfig().flatMap { try? Files.read($0) }
        // What is wrong with a config is another stage's to tell.
        let base = try? SystemConfigFolders().baseConfig(
            platform: arguments.platform ?? "metal", notes: ConfigNotes())
        return GeneratedUnits(
            arguments, hasRootImage: Files.exists("/etc/coreos-live-rootfs"),
            configNeedsNetwork: (embedded.map { configNeedsNetwork($0) } ?? arguments.asksPlatformOverNetwork)
                || (base.map { namesSomethingRemote($0) } ?? false))
    }
}

public enum SystemdGenerator {
    /// systemd gives three folders for units; the first is for those of normal priority.
    ///
    /// - SeeAlso: systemd.generator(7).
    public static func main(_ folders: [String]) -> Int32 {
        guard let folder = folders.first.map({ FilePath($0) }) else { return 1 }
        // Generators also run in the real root, where there is nothing to do.
        guard Files.exists("/etc/initrd-release") else { return 0 }
        do {
            let arguments = BootArguments(bytes: try Files.read("/proc/cmdline"))
            let units = GeneratedUnits.ofThisMachine(arguments)
            try write(units, asksByItself: arguments.network.ip.isEmpty, to: folder)
            return 0
        } catch {
            try? Files.put("<3>firstlight-generator: \(error)\n", into: "/dev/kmsg")
            return 1
        }
    }

    /// - Parameter asksByItself: The command line says nothing of interfaces.
    private static func write(_ units: GeneratedUnits, asksByItself: Bool, to folder: FilePath) throws {
        for (unit, target) in units.requirements {
            try Files.makeLink(folder.appending("\(target).requires/\(unit)"), to: "/usr/lib/systemd/system/\(unit)")
        }
        if units.needsNetwork {
            try Files.makeFolder("/etc/cmdline.d")
            try Files.write("rd.neednet=1\n", to: "/etc/cmdline.d/40-firstlight.conf")
            if asksByItself {
                // Where dracut's network is systemd-networkd's: that goes by files alone.
                try Files.makeFolder(DracutNetwork.networkFile.removingLastComponent())
                try Files.write(DracutNetwork.networkFileText, to: DracutNetwork.networkFile)
            }
        }
    }
}
