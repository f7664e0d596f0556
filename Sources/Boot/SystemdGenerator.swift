// firstlight as a systemd generator in a dracut initramfs: it writes which stages this boot has. A hook of the dracut
// module asks dracut for the network, because newer systemds let generators write to /run alone.

import BootArguments
import LinuxSystem
import ProvisioningEngine
import Reporting
import SystemPackage

/// What the generator writes: a plain value.
struct GeneratedUnits: Equatable, Sendable {
    /// Unit and the target that is to require it.
    var requirements: [(unit: String, target: String)] = []
    var needsNetwork = false
    /// Files that other units of the initramfs look for, and their text.
    var stamps: [(file: FilePath, text: String)] = []
    /// A message for the kernel's log: why something that the command line asks for is not done.
    var warning: String?

    /// Decides which units this boot needs.
    ///
    /// - Parameters:
    ///   - arguments: The kernel command line.
    ///   - hasRootImage: Whether the root image is appended to the initramfs.
    ///   - configNeedsNetwork: Whether the embedded config names something remote.
    init(_ arguments: BootArguments, hasRootImage: Bool, configNeedsNetwork: Bool) {
        // The unit of the root image tells what is wrong with its URL.
        let namesRootImage =
            !arguments.rootfsURLs.isEmpty || arguments.liveISO != nil || arguments.problem(in: .rootImage) != nil
        guard hasRootImage || namesRootImage else {
            if arguments.ignitionFirstboot {
                warning = "ignition.firstboot is given without a root image to boot from: nothing is provisioned"
            }
            return
        }
        let units = StageName.allCases.compactMap { stage in stage.unit.map { (stage.unitName, $0) } }
        let live = units.filter { !$0.1.isProvisioning }
        let provisioning = arguments.ignitionFirstboot ? units.filter(\.1.isProvisioning) : []
        requirements = (live + provisioning).compactMap { name, unit in unit.target.map { (name, $0) } }
        let end = arguments.ignitionFirstboot ? StageName.provisioned : StageName.notProvisioned
        requirements.append((end, "initrd.target"))
        needsNetwork = arguments.needsNetwork(
            rootImageIsLocal: hasRootImage,
            configNeedsNetwork: arguments.ignitionFirstboot && configNeedsNetwork)
        stamps = liveStamps(arguments)
        if needsNetwork { stamps.append(("/run/ignition/neednet", "")) }
    }

    /// Whether there is a root image for this boot to start from.
    var isLive: Bool { !requirements.isEmpty }

    static func == (one: GeneratedUnits, other: GeneratedUnits) -> Bool {
        one.needsNetwork == other.needsNetwork && one.stamps.elementsEqual(other.stamps) { $0 == $1 }
            && one.requirements.elementsEqual(other.requirements) { $0 == $1 } && one.warning == other.warning
    }
}

extension GeneratedUnits {
    func tellWarning() {
        // If the kernel does not take the message, there is nobody else to tell.
        if let warning { try? Files.put("<3>firstlight: \(warning)\n", into: "/dev/kmsg") }
    }

    /// For this machine's initramfs, or the one below `root`, and what it holds.
    static func ofThisMachine(_ arguments: BootArguments, in root: FilePath = "/") -> GeneratedUnits {
        GeneratedUnits(
            arguments, hasRootImage: holdsAppendedRootImage(root),
            configNeedsNetwork: configMayNeedNetwork(arguments))
    }
}

/// firstlight as a systemd generator.
public enum SystemdGenerator {
    /// Writes what systemd is to start: it gives three folders for units, the first for those of normal priority.
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

    /// Writes the links by which systemd requires the units, and what systemd-networkd is to do.
    ///
    /// - Parameters:
    ///   - units: The units of this boot.
    ///   - asksByItself: Whether the command line says nothing about interfaces.
    ///   - folder: The generator's folder.
    /// - Throws: ``FileFault``.
    private static func write(_ units: GeneratedUnits, asksByItself: Bool, to folder: FilePath) throws {
        for (unit, target) in units.requirements {
            try Files.makeLink(folder.appending("\(target).requires/\(unit)"), to: "/usr/lib/systemd/system/\(unit)")
        }
        for (file, text) in units.stamps {
            try Files.makeFolder(file.removingLastComponent())
            try Files.write(text, to: file)
        }
        if units.needsNetwork, asksByItself {
            // If dracut uses systemd-networkd for the network, only files control it.
            try Files.makeFolder(DracutNetwork.networkFile.removingLastComponent())
            try Files.write(DracutNetwork.networkFileText, to: DracutNetwork.networkFile)
        }
    }
}
